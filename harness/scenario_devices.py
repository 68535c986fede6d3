"""The devices of a scenario: how many, which firmware, when they wake, what they photograph."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from harness.cron import cron_of_interval, cron_problem
from harness.scenario_types import Duration, Size, StrictModel
from harness.units import LanguageError, format_size
from server.wire import limits

IMAGE_SIZE_BYTES_MIN: Final = 1_000
"""Smallest image: below that a JPEG has no room for a picture."""

MAC_PATTERN: Final = r"^([0-9A-F]{12}|(TEST-|SYSTEM:|VIRTUAL:)[A-Z0-9:._-]{1,48})$"


class WakeSchedule(StrictModel):
    """When a device wakes. `every` is its own timer and, unless told otherwise, the server's schedule too."""

    every_ms: Duration | None = Field(
        None,
        alias="every",
        description="The device's own timer. It becomes the server's schedule too, so it must divide an hour or a day.",
    )
    schedule: str | None = Field(
        None,
        max_length=64,
        description="The server's schedule, cron `minute hour * * *` in the group's time zone, if it is not `every`.",
        examples=["0 */3 * * *", "30 6,18 * * *"],
    )
    none: Literal[True] | None = Field(None, description="The server knows no schedule for these devices.")
    jitter_ms: Duration = Field(0, alias="jitter", description="Each wake comes up to this much later, by the seed.")

    @model_validator(mode="after")
    def _agrees(self) -> WakeSchedule:
        if self.none and self.schedule is not None:
            raise LanguageError("none and schedule exclude each other", "keep one of them")
        if self.every_ms is None and self.schedule is None and not self.none:
            raise LanguageError("says nothing", "give every, schedule or none")
        if self.every_ms is not None and self.every_ms < 60_000:
            raise LanguageError("every is below a minute", "the shortest wake interval is 1m")
        if self.every_ms is not None and self.schedule is None and not self.none:
            cron_of_interval(self.every_ms)
        if self.schedule is not None and (problem := cron_problem(self.schedule)):
            raise LanguageError(f"schedule {self.schedule!r}: {problem}", "for example 0 */3 * * * or 30 6,18 * * *")
        return self


class ImageSpec(StrictModel):
    """What a photo of these devices looks like; its size is met to the byte."""

    size_bytes: Size = Field(10_000, alias="size", description="Size of every photo.")
    chunk_bytes: Size = Field(1_000, alias="chunk", description="Bytes that one chunk carries.")
    picture: Literal["fast", "photo", "still"] = Field(
        "fast",
        description="`fast`: a small real JPEG filled up to its size; `photo`: a picture that looks like one; `still`: "
        "the same bytes from every camera at every wake.",
    )

    @model_validator(mode="after")
    def _fits(self) -> ImageSpec:
        if not IMAGE_SIZE_BYTES_MIN <= self.size_bytes <= limits.IMAGE_SIZE_BYTES_MAX:
            least, most = format_size(IMAGE_SIZE_BYTES_MIN), format_size(limits.IMAGE_SIZE_BYTES_MAX)
            raise LanguageError(f"size {format_size(self.size_bytes)} is not possible", f"from {least} to {most}")
        if not 1 <= self.chunk_bytes <= limits.CHUNK_SIZE_BYTES_MAX:
            raise LanguageError("chunk is not possible", f"from 1B to {limits.CHUNK_SIZE_BYTES_MAX}B")
        if self.total_chunks > limits.CHUNK_COUNT_MAX:
            raise LanguageError(f"makes {self.total_chunks} chunks", f"at most {limits.CHUNK_COUNT_MAX}")
        return self

    @property
    def total_chunks(self) -> int:
        """Chunks of one photo."""
        return -(-self.size_bytes // self.chunk_bytes)


class Traits(StrictModel):
    """Single habits of the device that differ from its profile's."""

    answer_wait_ms: Duration | None = Field(
        None, alias="answer_wait", description="How long it waits for an answer to its HELLO."
    )
    ack_wait_ms: Duration | None = Field(
        None, alias="ack_wait", description="How long it waits for an ack after its last chunk."
    )
    ack_linger_ms: Duration | None = Field(
        None, alias="ack_linger", description="How long it stays awake after a final ack, for further messages."
    )
    chunk_spacing_ms: Duration | None = Field(None, alias="chunk_spacing", description="Pause between two chunks.")
    publish_wait_ms: Duration | None = Field(
        None, alias="publish_wait", description="How long it waits for the broker to take a message."
    )
    wifi_tries: Annotated[int, Field(ge=1, le=20)] | None = Field(
        None, description="How often it tries to join the Wi-Fi before it works offline."
    )
    wifi_try_ms: Duration | None = Field(None, alias="wifi_try", description="How long one of these tries takes.")
    reconnects_per_wake: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="How often it connects again in a wake after its connection broke."
    )
    resend_max_per_chunk: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="How often it sends a missing chunk again in one wake."
    )
    card_capacity_bytes: Size | None = Field(
        None, alias="card_capacity", description="Size of its SD card; a full card keeps no new photo."
    )
    counter_restarts_after_wakes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="After so many wakes its image counter starts at 1 again."
    )
    resume_from: Literal["last_chunk", "start"] | None = Field(
        None, description="Where it goes on when told to resume: after the last chunk it sent, or from the start."
    )
    battery_voltage_v: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, alias="battery_voltage", description="Battery voltage it reports in its HELLO (volts)."
    )
    wifi_rssi_dbm: Annotated[int, Field(ge=-127, le=0)] | None = Field(
        None, alias="wifi_rssi", description="Signal strength it reports in its HELLO (dBm)."
    )


class DeviceGroup(StrictModel):
    """A group of equal devices: `yard: {count: 3}` makes yard[0], yard[1] and yard[2]."""

    count: int = Field(1, ge=1, le=10_000, description="How many.")
    profile: str = Field(
        "esp32s3-cam@3.5.0", max_length=128, description="Device model and firmware; misbehaviour is added with +."
    )
    wake: WakeSchedule = Field(
        default_factory=lambda: WakeSchedule.model_validate({"every": "3h"}),
        description="When they wake; every 3h if not given.",
    )
    image: ImageSpec = Field(default_factory=lambda: ImageSpec.model_validate({}), description="What they photograph.")
    provisioning: Literal["mapped", "unmapped", "inactive", "unknown"] = Field(
        "mapped",
        description="What the server knows of them at the start: `mapped` to a site, known but `unmapped`, "
        "`inactive`, or `unknown` (no row at all).",
    )
    timezone: str = Field("UTC", max_length=64, description="Time zone of their site, in which the schedule is read.")
    mac: list[Annotated[str, Field(pattern=MAC_PATTERN)]] | None = Field(
        None, description="Their MAC addresses, one each (12 upper-case hex digits, or an id that starts with TEST-)."
    )
    traits: Traits = Field(
        default_factory=lambda: Traits.model_validate({}), description="Habits that differ from the profile's."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        from zoneinfo import available_timezones

        if value not in available_timezones():
            raise LanguageError(f"no time zone is called {value!r}", "for example UTC or Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _one_mac_each(self) -> DeviceGroup:
        if self.mac is not None and len(self.mac) != self.count:
            raise LanguageError(f"{len(self.mac)} MACs for {self.count} devices", "give one MAC a device")
        if self.mac is not None and len(set(self.mac)) != len(self.mac):
            raise LanguageError("the same MAC stands twice", "a MAC belongs to one device")
        return self
