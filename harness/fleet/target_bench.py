"""A fleet before somebody else's server: MACs of a range of its own, the target's tables, and the end of its rows."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import asyncpg

from harness.aiming import PAGE_MACS, cleaned, seen_target, words_before
from harness.bench.external import stored_file
from harness.bench.external_database import (
    OWN_NUMBERS,
    READER_SETTINGS,
    WRITER_SETTINGS,
    connect,
    reading,
    register,
    taken_macs,
)
from harness.bench.external_links import target_settings
from harness.bench.postgres import run_blocking
from harness.errors import BenchUnavailable, UsageError
from harness.fleet.bench import BrokerAddress
from harness.fleet.order import FleetOrder, TheirWire
from harness.machine import token
from harness.target import CHANNELS, OBJECT_COLUMNS, Target, read_target
from harness.target_view import TargetSeen, with_view
from simulator.fleet import camera_mac
from simulator.link import LinkError, LinkSettings
from simulator.link.raw import RawLink

REGISTERED_AT_ONCE: Final = 1_000
"""Rows of cameras in one INSERT."""

_IMAGES: Final = """
SELECT d.device_mac, i.wire_image_name, i.captured_at, i.status, {key} AS object_key, {sha256} AS sha256, i.image_size,
    (SELECT count(DISTINCT p.session_id) FROM device_wake_payloads p WHERE p.device_image_id = i.image_id) AS offers
FROM device_images i JOIN devices d USING (device_id)
ORDER BY d.device_mac, i.captured_at, i.created_at, i.image_id
"""
_COUNT: Final = "SELECT count(*) AS rows FROM device_images"


def target_bench(file: Path, order: FleetOrder) -> TargetBench:
    """Looks at the target before anything is started; says what the user should know.

    Raises TargetError, BenchUnavailable, and UsageError where the target must not be used or takes no such cameras.
    """
    target = read_target(file)
    dialect = order.device_profile().dialect
    if dialect not in target.devices.dialects:
        taken = ", ".join(target.devices.dialects)
        raise UsageError(
            f"--profile {order.profile} speaks {dialect}, the target takes {taken}",
            hint=f"devices.dialects of {file}, or another --profile; `wakestorm profiles` lists them",
        )
    seen = seen_target(target, file)
    there = run_blocking(_taken(seen))
    print("\n".join(words_before(seen, len(there))), file=sys.stderr)
    first = int(target.devices.mac_prefix, 16) << 24
    begin = free_block(order.devices, int(token()[:6], 16), [int(mac, 16) - first for mac in there])
    if begin is None:
        raise UsageError(
            f"--devices {order.devices:,}: so many MACs in a row are not free below {target.devices.mac_prefix}",
            hint=f"at most {OWN_NUMBERS:,} cameras, and fewer where earlier ones were left; or another mac_prefix",
        )
    return TargetBench(seen, order, first + begin)


def free_block(count: int, near: int, taken: Collection[int]) -> int | None:
    """The first of so many numbers in a row that nobody has, below `OWN_NUMBERS`: from `near` on, else from the lowest.

    None where there are not so many.
    """
    ends = [-1, *sorted(number for number in taken if 0 <= number < OWN_NUMBERS), OWN_NUMBERS]
    gaps = [(before + 1, after) for before, after in pairwise(ends) if after - before > count]
    starts = [max(begin, near) for begin, end in gaps if max(begin, near) + count <= end]
    return min(starts, default=min((begin for begin, _ in gaps), default=None))


async def _taken(seen: TargetSeen) -> set[str]:
    async with reading(seen.target) as connection:
        return await taken_macs(connection, seen.tables)


def _address(target: Target, mac_first: int) -> BrokerAddress:
    broker = target.broker
    user, password = (None, None) if broker.login is None else broker.login.read(os.environ, "broker.login")
    files = {
        name: None if (path := getattr(broker, name)) is None else str(path) for name in ("ca", "certificate", "key")
    }
    topics = {word: text for word in CHANNELS if (text := getattr(target.topics, word)) is not None}
    wire = TheirWire(url=broker.url, topics=topics, **files)
    return BrokerAddress(*broker.address, user, password, wire, mac_first)


class TargetBench:
    """See `FleetBench`. `clean` deletes what the fleet left, once nobody sends any more."""

    def __init__(self, seen: TargetSeen, order: FleetOrder, mac_first: int) -> None:
        self.broker = _address(seen.target, mac_first)
        self.pids: dict[str, int] = {}
        self._seen = seen
        self._macs = [camera_mac(index, mac_first) for index in order.cameras()]
        self._began = False
        self._ends = ExitStack()

    async def start(self) -> None:
        """Connect to the database, and once to the broker. Raises BenchUnavailable."""
        database = self._seen.target.database
        self._reader = await connect(self._seen.target, database.reader, "database.reader", READER_SETTINGS)
        self._ends.callback(self._reader.terminate)
        self._writer: Any = None
        if database.writer is not None:
            self._writer = await connect(self._seen.target, database.writer, "database.writer", WRITER_SETTINGS)
            self._ends.callback(self._writer.terminate)
        host, port = self.broker.host, self.broker.port
        settings = target_settings(self._seen.target, LinkSettings(host, port, f"wakestorm-{self._macs[0]}"))
        link = RawLink(settings, lambda _topic, _payload: None, lambda _reason: None)
        try:
            await link.connect()
        except LinkError as error:
            raise BenchUnavailable(
                f"the target's broker {host}:{port}: {error}", hint="[broker] of the target"
            ) from None
        await link.disconnect()

    async def register(self, cameras: Sequence[int], seed: int) -> None:
        """The server knows these cameras, where it is not expected to make their rows at the first HELLO."""
        self._began = True
        if self._seen.target.devices.registered_by == "writer":
            for start in range(0, len(self._macs), REGISTERED_AT_ONCE):
                page = self._macs[start : start + REGISTERED_AT_ONCE]
                await register(self._writer, self._seen.tables, page)

    async def images(self, macs: Sequence[str], since: datetime) -> Sequence[Mapping[str, Any]]:
        """See `FleetBench`; these cameras have been there for this fleet only."""
        has_bytes = any(self._seen.tables.has("device_images", name) for name in OBJECT_COLUMNS)
        shown = {"key": "NULL::text", "sha256": "i.object_sha256"}
        query = _IMAGES.format(**shown if has_bytes else {"key": "i.object_key", "sha256": "NULL::text"})
        return await self._asked(self._reader, query, macs)

    async def blind_spots(self) -> str | None:
        """See `FleetBench`; without `database.writer` there is nobody to compare with."""
        if self._writer is None:
            return None
        seen = there = 0
        for start in range(0, len(self._macs), PAGE_MACS):
            page = self._macs[start : start + PAGE_MACS]
            seen += (await self._asked(self._reader, _COUNT, page))[0]["rows"]
            there += (await self._asked(self._writer, _COUNT, page))[0]["rows"]
        return None if seen == there else f"the judge sees {seen} of {there} rows of the fleet's photos"

    async def _asked(self, connection: Any, query: str, macs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        text = with_view(self._seen.tables, {mac: mac for mac in macs}, query, filled=True)
        try:
            rows: Sequence[Mapping[str, Any]] = await connection.fetch(text)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BenchUnavailable(f"the target's database, asked about the fleet's photos: {error}") from None
        return rows

    def stored_bytes(self, key: str) -> bytes | None:
        """The file of that key below `store.folder`."""
        return stored_file(self._seen.target.store.folder, key)

    async def failure(self) -> str | None:
        """Nobody watches it."""
        return None

    async def stop(self) -> None:
        """Disconnect."""
        self._ends.close()

    def clean(self, say: Callable[[str], None]) -> None:
        """Deletes the rows of the fleet's cameras, or says what it left."""
        for line in cleaned(self._seen, self._macs) if self._began else ():
            say(line)
