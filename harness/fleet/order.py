"""What a fleet is asked to do, and what a shard of it says: plain data that crosses borders of processes as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from simulator.fleet import MAC_FIRST, FleetCounts, FleetPlan
from simulator.fleet_fault import FleetFault
from simulator.latency import Latencies
from simulator.latency import merged as merged_latencies
from simulator.profile import Profile, profile_named
from simulator.roster import shard_of_camera

LinkKind = Literal["paho", "raw"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirWire:
    """What a target's broker wants: TLS by its URL and PEM files; topics where they differ (channel -> topic)."""

    url: str
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    topics: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOrder:
    """The whole fleet; `part` of `parts` is one shard of it. Times are milliseconds, sizes bytes."""

    devices: int
    wake_every_ms: int
    for_ms: int
    spread_ms: int
    grace_ms: int = 600_000
    """After `for_ms`: for those that are awake, and to bring in what is still held. Then all are cut off."""
    seed: int = 1
    profile: str = "esp32s3-cam@3.5.0"
    image_bytes: int = 10_000
    chunk_bytes: int = 1_024
    chunk_spacing_ms: int = 200
    burst_chunks: int = 1
    link: LinkKind = "paho"
    at_once: int = 10_000
    connects: int = 200
    cycling: bool = False
    drain: bool = True
    part: int = 1
    parts: int = 1
    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password: str | None = None
    source_hosts: tuple[str, ...] = ()
    mac_first: int = MAC_FIRST
    theirs: TheirWire | None = None
    faults: tuple[FleetFault, ...] = ()

    def shard(self, part: int, parts: int) -> FleetOrder:
        """One of several shards; what all share of the machine is split evenly."""
        return replace(
            self, part=part, parts=parts, at_once=-(-self.at_once // parts), connects=-(-self.connects // parts)
        )

    def cameras(self) -> list[int]:
        """Numbers of the cameras of this part."""
        every = range(self.devices)
        return [index for index in every if self.parts == 1 or shard_of_camera(index, self.parts) == self.part]

    @property
    def ends_within_s(self) -> float:
        """From the first wake to the last word of a shard, at most."""
        return (self.for_ms + self.grace_ms) / 1000

    def device_profile(self) -> Profile:
        """The cameras keep their own timer: the server's wake times are whole minutes."""
        return profile_named(self.profile).with_traits(
            image_size_bytes=self.image_bytes,
            chunk_size_bytes=self.chunk_bytes,
            chunk_spacing_ms=self.chunk_spacing_ms,
            burst_chunks=self.burst_chunks,
            ignores_next_wake=True,
            **({"ack_linger_ms": 0} if self.cycling else {}),
        )

    def plan(self, start_ms: int) -> FleetPlan:
        """For the simulator."""
        return FleetPlan(
            devices=self.devices,
            seed=self.seed,
            profile=self.device_profile(),
            interval_ms=self.wake_every_ms,
            spread_ms=self.spread_ms,
            length_ms=self.for_ms,
            start_ms=start_ms,
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            part=self.part,
            parts=self.parts,
            at_once=self.at_once,
            connects=self.connects,
            cycling=self.cycling,
            drain=self.drain,
            source_hosts=self.source_hosts,
            mac_first=self.mac_first,
            faults=self.faults,
        )


class Capture(msgspec.Struct, array_like=True, frozen=True):
    """One photo as its camera took it; `captured_s` is Unix time, as it stands in the metadata."""

    index: int
    wake: int
    image_name: str
    captured_s: int
    sha256: str
    size_bytes: int


class Progress(msgspec.Struct, kw_only=True, frozen=True, tag="progress"):
    """Where a shard is; `captures` are those since the last one. `cpu_s`: of its process since it began to wake."""

    part: int
    registered: int
    asleep: int
    connecting: int
    uploading: int
    done: int
    failed: int
    wakes: int
    confirmed: int
    messages: int
    held: int
    not_begun: int
    late_ms: int
    elapsed_s: float
    cpu_s: float
    rss_bytes: int
    latencies: dict[int, int]
    troubles: dict[str, int]
    captures: list[Capture]


class Finished(msgspec.Struct, kw_only=True, frozen=True, tag="finished"):
    """A shard's last word, after its last progress."""

    part: int
    held_sha256: list[str]
    unfinished: dict[int, str] = {}
    """Cameras that were cut off while awake, and what each waited for."""


class Failed(msgspec.Struct, kw_only=True, frozen=True, tag="failed"):
    """A shard could not go on; one sentence."""

    part: int
    reason: str


ShardSays = Progress | Finished | Failed
DECODER = msgspec.json.Decoder(ShardSays)


def progress_of(
    part: int, counts: FleetCounts, captures: list[Capture], *, elapsed_s: float, cpu_s: float, rss_bytes: int
) -> Progress:
    """A snapshot as it is sent."""
    return Progress(
        part=part,
        registered=counts.registered,
        asleep=counts.asleep,
        connecting=counts.connecting,
        uploading=counts.uploading,
        done=counts.done,
        failed=counts.failed,
        wakes=counts.wakes,
        confirmed=counts.confirmed,
        messages=counts.messages,
        held=counts.held,
        not_begun=counts.not_begun,
        late_ms=counts.late_ms,
        elapsed_s=elapsed_s,
        cpu_s=cpu_s,
        rss_bytes=rss_bytes,
        latencies=counts.latencies.counts,
        troubles=dict(counts.troubles),
        captures=captures,
    )


_SUMS: Final = (
    "registered",
    "asleep",
    "connecting",
    "uploading",
    "done",
    "failed",
    "wakes",
    "confirmed",
    "messages",
    "held",
    "not_begun",
    "cpu_s",
    "rss_bytes",
)


@dataclass(slots=True)
class FleetState:
    """All shards together, as far as they have said."""

    parts: int
    latest: dict[int, Progress] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    lost: dict[int, str] = field(default_factory=dict)
    captures: list[Capture] = field(default_factory=list)
    held_sha256: set[str] = field(default_factory=set)
    unfinished: dict[int, str] = field(default_factory=dict)

    def hear(self, said: ShardSays) -> None:
        """One more word of a shard."""
        match said:
            case Progress():
                self.captures += said.captures
                self.latest[said.part] = said
            case Finished():
                self.finished.add(said.part)
                self.held_sha256.update(said.held_sha256)
                self.unfinished.update(said.unfinished)
            case Failed():
                self.lost.setdefault(said.part, said.reason)

    @property
    def is_over(self) -> bool:
        """Every shard has finished or is lost."""
        return len(self.finished | set(self.lost)) >= self.parts

    def sums(self) -> dict[str, Any]:
        """The counts of all shards, added up."""
        return {name: sum(getattr(said, name) for said in self.latest.values()) for name in _SUMS}

    def latencies(self) -> Latencies:
        """From wake to final ACK, of all shards."""
        return merged_latencies(Latencies(said.latencies) for said in self.latest.values())

    def troubles(self) -> dict[str, int]:
        """What went wrong on the devices' side, the most frequent first."""
        counts: dict[str, int] = {}
        for text, count in _all_troubles(self.latest.values()):
            counts[text] = counts.get(text, 0) + count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def elapsed_s(self) -> float:
        """Of the shard that runs longest."""
        return max((said.elapsed_s for said in self.latest.values()), default=0.0)

    @property
    def late_ms(self) -> int:
        """The wake that began latest after it was due."""
        return max((said.late_ms for said in self.latest.values()), default=0)


def _all_troubles(progress: Iterable[Progress]) -> Iterable[tuple[str, int]]:
    return (item for said in progress for item in said.troubles.items())
