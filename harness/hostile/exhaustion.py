"""S10: one device that takes all it can get, on a real server; what it got, and what the others noticed of it."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any, Final

from harness.fleet.guarded import ROOT
from harness.hostile.bystanders import Bystanders, percentile
from harness.hostile.figure import Figure
from harness.hostile.stand import FIRST_ATTACKER, AttackedServer, peak_of
from harness.machine import monotonic_s
from simulator.fleet import camera_mac

RSS_BYTES_MAX: Final = 300_000_000
SLOWER_MAX: Final = 2.0
QUIET_ANSWERS: Final = 40
"""Answers to each bystander that say how long they take where nobody attacks."""

PER_S: Final = 100
"""Messages a second of the attacker: more than the link of a camera carries, and it does not stop for an answer."""


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent, how often, and how many rows may stand afterwards."""

    id: str
    title: str
    kind: str
    count: int
    quick: int
    rows: str
    rows_max: int


_MINE: Final = "FROM device_images JOIN devices USING (device_id) WHERE device_mac = $1 AND image_name LIKE"

ATTACKS: Final = (
    Attack(
        "S10 transfers", "1,000 open transfers of one device", "open_transfers", 1_000, 200,
        f"SELECT count(*) {_MINE} 'image%'", 16,
    ),
    Attack(
        "S10 superseded", "2,000 captures of one name, each closing the last", "superseding", 2_000, 100,
        f"SELECT count(*) {_MINE} 'image\\_1%'", 33,
    ),
    Attack(
        "S10 sizes", "2^31 chunks and sizes that lie", "absurd_sizes", 1_000, 200,
        f"SELECT count(*) {_MINE} 'lie%'", 0,
    ),
    Attack(
        "S10 tiny chunks", "chunks of one byte", "one_byte_chunks", 5_000, 300,
        f"SELECT count(*) {_MINE} 'tiny%'", 1,
    ),
    Attack(
        "S10 newcomers", "10,000 devices that nobody knows", "newcomers", 10_000, 500,
        "SELECT count(*) FROM devices WHERE device_mac LIKE 'DEAD%'", 0,
    ),
    Attack(
        "S10 log flood", "10,000 messages that nobody can read", "noise", 10_000, 500,
        "SELECT count(*) FROM quarantined_messages WHERE reason = 'not_json'", 0,
    ),
)  # fmt: skip

LINES_A_MINUTE: Final = 1_000
"""Of refused messages of all senders that are logged."""

A_MINUTE: Final = {"newcomers": 50, "noise": 60}
"""Rows that these may make in every minute that they take, and in the one they begin in."""


async def exhaustion(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """Each attack by itself, at the pace PER_S, while ten cameras say HELLO."""
    bystanders = await Bystanders.come(server.broker.port)
    found = []
    try:
        for number, attack in enumerate(ATTACKS):
            found.append(await _attacked(server, bystanders, attack, camera_mac(FIRST_ATTACKER + number), is_quick))
    finally:
        await bystanders.leave()
    return found


async def _attacked(server: AttackedServer, bystanders: Bystanders, attack: Attack, mac: str, is_quick: bool) -> Figure:
    """How the machine is loaded counts on both sides: the quiet time is one half before, one half after."""
    count = attack.quick if is_quick else attack.count
    quiet_ms = await bystanders.waits_ms(_set(), QUIET_ANSWERS // 2)
    lines, over, began_s = len(server.lines), asyncio.Event(), monotonic_s()
    async with peak_of(server.rss_bytes) as peak:
        attacking = asyncio.create_task(_send(server, mac, attack.kind, count))
        attacking.add_done_callback(lambda _: over.set())
        waits_ms = await bystanders.waits_ms(over, 2)
        await attacking
        await bystanders.waits_ms(_set(), 2)  # what was sent before is dealt with
    minutes = int((monotonic_s() - began_s) / 60) + 2
    logged = sum("Refused" in line for line in server.lines[lines:])
    quiet_ms += await bystanders.waits_ms(_set(), QUIET_ANSWERS // 2)
    rows_max = A_MINUTE[attack.kind] * minutes if attack.kind in A_MINUTE else attack.rows_max
    rows = await server.owner.fetchval(attack.rows, *([mac] if "$1" in attack.rows else []))
    before, meanwhile = percentile(quiet_ms, 0.99), percentile(waits_ms, 0.99)
    slower, logged_max = meanwhile / before, LINES_A_MINUTE * minutes
    return Figure(
        id=attack.id,
        title=attack.title,
        found=(
            f"{count:,} sent at {PER_S} a second: {rows} rows, {logged} log lines; others' answers p99 {before:.0f} ms "
            f"around, {meanwhile:.0f} ms meanwhile ({slower:.1f} times); server {peak.most_bytes / 1e6:.0f} MB"
        ),
        limit=f"{rows_max} rows, {logged_max} lines, {SLOWER_MAX:g} times, {RSS_BYTES_MAX / 1e6:.0f} MB",
        holds=rows <= rows_max and logged <= logged_max and slower <= SLOWER_MAX and peak.most_bytes < RSS_BYTES_MAX,
    )


async def _send(server: AttackedServer, mac: str, kind: str, count: int) -> None:
    words: list[Any] = [server.broker.port, mac, kind, count, PER_S]
    program = [sys.executable, "-P", "-m", "harness.hostile.attacker", *map(str, words)]
    child = await asyncio.create_subprocess_exec(*program, cwd=ROOT)
    if await child.wait():
        raise RuntimeError(f"the attacker ended with {child.returncode}")


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
