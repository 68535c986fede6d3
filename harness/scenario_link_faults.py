"""Faults of the line between device and broker: what happens to the bytes of its connections while they last."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from harness.scenario_types import Duration, Percent, Shorthand, Size, StrictModel

Ways = Annotated[Literal["up", "down", "both"], Field(description="`up`: from the device; `down`: to it; `both` ways.")]


class Latency(StrictModel):
    """Everything arrives later; order is kept."""

    delay_ms: Duration = Field(alias="delay", description="How much later.")
    jitter_ms: Duration = Field(0, alias="jitter", description="Up to so much more, drawn for each piece.")
    way: Ways = "both"


class Bandwidth(StrictModel):
    """The line carries only so many bytes a second, in each way."""

    rate_bytes_per_s: Size = Field(alias="rate", description="Bytes a second.", gt=0)
    way: Ways = "both"


class Slicer(StrictModel):
    """What was written at once arrives in slices."""

    slice_bytes: Size = Field(1, alias="size", description="Size of a slice.", gt=0)
    gap_ms: Duration = Field(0, alias="gap", description="Time between two slices.")
    way: Ways = "both"


class CutAfter(StrictModel):
    """So many bytes pass, then both ends hear RST."""

    after_bytes: Size = Field(alias="after", description="How many bytes of a connection pass.")
    way: Ways = "up"


class Truncate(StrictModel):
    """So many bytes pass, the rest vanishes, and both ends hear FIN."""

    after_bytes: Size = Field(alias="after", description="How many bytes of a connection pass.")
    way: Ways = "up"


class HalfOpen(StrictModel):
    """One end hears RST, the other hears nothing and takes the connection for open."""

    unaware: Literal["broker", "device"] = Field("broker", description="Which end does not know.")


class Rst(StrictModel):
    """Both ends hear RST; with `for`, every connection that is tried meanwhile too."""


class SlowClose(StrictModel):
    """FIN and RST arrive late."""

    delay_ms: Duration = Field(alias="delay", description="How much later.")
    way: Ways = "both"


class Blackhole(StrictModel):
    """Everything vanishes in both ways while TCP seems to live."""


class OneWayLoss(StrictModel):
    """Everything of one way vanishes."""

    way: Literal["up", "down"] = Field(description="`up`: what the device sends; `down`: what it is sent.")


class PacketLoss(StrictModel):
    """Packets are lost, and TCP sends them again."""

    percent: Percent = Field(description="How many of a hundred.", gt=0, le=90)
    resend_ms: Duration = Field(200, alias="resend", description="Until the first is sent again; then twice as long.")
    way: Ways = "both"


class CorruptBytes(StrictModel):
    """Bits of one byte of the stream flip."""

    flip: int = Field(1, ge=1, le=8, description="How many bits of that byte, chosen by the seed.")
    after_bytes: Size = Field(0, alias="after", description="How many bytes of a connection pass before it.")
    way: Literal["up", "down"] = Field("up", description="`up`: from the device; `down`: to it.")


LinkActionName = Literal[
    "latency",
    "bandwidth",
    "slicer",
    "cut_after",
    "truncate",
    "half_open",
    "rst",
    "slow_close",
    "blackhole",
    "one_way_loss",
    "packet_loss",
    "corrupt_bytes",
]

_TEXT: Final = {"type": "string"}


class LinkActions(StrictModel):
    """What can happen to the line; the faults of a scenario have one of these or of the others."""

    latency: Annotated[Latency, Shorthand("delay", schema=_TEXT)] | None = Field(
        None, description="Everything arrives later; a duration stands for `delay`."
    )
    bandwidth: Annotated[Bandwidth, Shorthand("rate", schema=_TEXT)] | None = Field(
        None, description="So many bytes a second; a size stands for `rate`."
    )
    slicer: Annotated[Slicer, Shorthand("size", schema=_TEXT)] | None = Field(
        None, description="Writes arrive in slices; a size stands for `size`."
    )
    cut_after: Annotated[CutAfter, Shorthand("after", schema=_TEXT)] | None = Field(
        None, description="RST after so many bytes; a size stands for `after`."
    )
    truncate: Annotated[Truncate, Shorthand("after", schema=_TEXT)] | None = Field(
        None, description="FIN after so many bytes; a size stands for `after`."
    )
    half_open: Annotated[HalfOpen, Shorthand("unaware", schema=_TEXT)] | None = Field(
        None, description="One end does not know that the connection is gone; a word stands for `unaware`."
    )
    rst: Rst | None = Field(None, description="Both ends hear RST.")
    slow_close: Annotated[SlowClose, Shorthand("delay", schema=_TEXT)] | None = Field(
        None, description="FIN and RST arrive late; a duration stands for `delay`."
    )
    blackhole: Blackhole | None = Field(None, description="Everything vanishes while TCP seems to live.")
    one_way_loss: Annotated[OneWayLoss, Shorthand("way", schema=_TEXT)] | None = Field(
        None, description="Everything of one way vanishes; `up` or `down` stands for `way`."
    )
    packet_loss: Annotated[PacketLoss, Shorthand("percent", schema=_TEXT)] | None = Field(
        None, description="Packets are lost and sent again; a share such as 5% stands for `percent`."
    )
    corrupt_bytes: CorruptBytes | None = Field(None, description="Bits of one byte of the stream flip.")
