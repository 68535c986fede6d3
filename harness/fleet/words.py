"""From the command line's words to an order; every mistake names its option."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.bench.brokers import missing_reason
from harness.errors import BenchUnavailable, UsageError, did_you_mean
from harness.fleet.bench import BrokerAddress
from harness.fleet.command import FleetCommand
from harness.fleet.limits import AT_ONCE_DEFAULT
from harness.fleet.order import FleetOrder, LinkKind
from harness.selection import shard_of
from harness.units import LanguageError, parse_duration_ms, parse_size_bytes
from simulator.camera import ImageTooSmall
from simulator.fleet_fault import KINDS as FAULT_KINDS
from simulator.fleet_fault import FleetFault
from simulator.profile import UnknownProfile
from simulator.stock_camera import StockCamera

KINDS: Final = ("iotcore", "mosquitto")
FAULT_PERCENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetWords:
    """The options as they were written."""

    devices: int
    wake_every: str
    length: str
    grace: str
    spread: str
    image: str
    chunk: str
    pause: str
    burst: int
    profile: str
    seed: int
    link: str
    broker: str
    database_url: str
    bench: str
    target: Path | None
    at_once: int
    connects: int
    shards: int
    shard: str
    ray: str
    faults: Sequence[str]
    out: Path
    as_json: bool


def command_of(words: FleetWords) -> FleetCommand:
    """Raises UsageError, and BenchUnavailable where the broker is not installed."""
    part, parts = shard_of(words.shard)
    kind: LinkKind = "raw" if words.link == "raw" else "paho"
    order = FleetOrder(
        devices=words.devices,
        wake_every_ms=_duration("--wake-every", words.wake_every, least_ms=1_000),
        for_ms=_duration("--for", words.length),
        grace_ms=_duration("--grace", words.grace),
        spread_ms=_duration("--spread", words.spread),
        seed=words.seed,
        profile=words.profile,
        image_bytes=_size("--image", words.image),
        chunk_bytes=_size("--chunk", words.chunk),
        chunk_spacing_ms=_duration("--pause", words.pause),
        burst_chunks=words.burst,
        link=kind,
        at_once=words.at_once or min(AT_ONCE_DEFAULT, -(-words.devices // parts)),
        connects=words.connects,
        part=part,
        parts=parts,
        faults=tuple(_fault(text) for text in words.faults),
    )
    _check_photo(order)
    _check_bench(words)
    return FleetCommand(
        order=order,
        broker=words.broker or KINDS[0],
        database_url=words.database_url or None,
        shards=words.shards,
        runs_folder=words.out,
        as_json=words.as_json,
        at_once_asked=bool(words.at_once),
        target=words.target,
        ray_address=words.ray or None,
    )


def _fault(text: str) -> FleetFault:
    """`cut` or `cut=10%`."""
    name, _, share = text.partition("=")
    kind = next((kind for kind in FAULT_KINDS if kind == name), None)
    if kind is None:
        raise UsageError(f"--fault {text}: no such fault", hint=did_you_mean(name, list(FAULT_KINDS)))
    percent = share.removesuffix("%") if share else str(FAULT_PERCENT)
    if not percent.isdecimal() or not 1 <= int(percent) <= 100:
        raise UsageError(f"--fault {text}: {share!r} is no share of wakes", hint=f"1% to 100%, such as {name}=10%")
    return FleetFault(kind, int(percent) / 100)


def _check_photo(order: FleetOrder) -> None:
    try:
        if order.device_profile().jpeg_without is not None:
            raise UsageError(f"--profile {order.profile}: a fleet takes whole photos only")
        camera = StockCamera(device_id="", seed=order.seed, size_bytes=order.image_bytes, chunk_bytes=order.chunk_bytes)
        camera(1, 1)
    except UnknownProfile as error:
        raise UsageError(f"--profile {order.profile}: {error}") from error
    except ImageTooSmall as error:
        raise UsageError(f"--image {order.image_bytes}B: {error}") from error


def _check_target(words: FleetWords) -> None:
    """`--bench external` and what else says where the server is."""
    if words.bench == "embedded":
        raise UsageError(
            "--bench embedded: a fleet lives in real time",
            hint="`wakestorm soak --devices 200 --for 1d` lets a fleet live in virtual time; `wakestorm run` scenarios",
        )
    if words.bench == "external" and words.target is None:
        raise UsageError("--bench external needs --target FILE", hint="docs/external.md has a whole file")
    if words.bench == "processes" and words.target is not None:
        raise UsageError("--target is for --bench external", hint="write --bench external, or leave --target out")
    if words.target is None:
        return
    for option, value in (("--broker", words.broker), ("--database-url", words.database_url)):
        if value:
            raise UsageError(
                f"{option} {value}: the target says where broker and database are", hint=f"leave {option} out"
            )


def _check_bench(words: FleetWords) -> None:
    _check_target(words)
    if words.target is not None:
        return
    broker = words.broker or KINDS[0]
    if broker in KINDS:
        if words.database_url:
            raise UsageError(
                f"--database-url belongs to a server that runs already, and --broker {broker} starts one",
                hint="name that server's broker: --broker mqtt://host:1883; or set DATABASE_URL to lend a PostgreSQL",
            )
        reason = missing_reason("mosquitto" if broker == "mosquitto" else "iotcore", os.environ)
        if reason is not None:
            raise BenchUnavailable(f"no {broker} broker", hint=reason)
        return
    if "://" not in words.broker:
        raise UsageError(f"--broker {words.broker}: no such kind", hint="iotcore, mosquitto, or mqtt://host:port")
    BrokerAddress.from_url(words.broker)
    if not words.database_url:
        raise UsageError(
            "--broker with a URL needs --database-url: without the rows nobody can say what became of the photos",
            hint="the role must be allowed to insert devices, and to read device_images",
        )


def _duration(option: str, text: str, least_ms: int = 0) -> int:
    try:
        duration_ms = parse_duration_ms(text)
    except LanguageError as error:
        raise UsageError(f"{option} {text}: {error.reason}", hint=error.hint) from error
    if duration_ms < least_ms:
        raise UsageError(f"{option} {text}: at least {least_ms} ms")
    return duration_ms


def _size(option: str, text: str) -> int:
    try:
        return parse_size_bytes(text)
    except LanguageError as error:
        raise UsageError(f"{option} {text}: {error.reason}", hint=error.hint) from error
