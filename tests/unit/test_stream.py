"""Faults of the line, byte by byte and microsecond by microsecond."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scenario_faults import LINK_ACTIONS
from simulator.fault import fault_named
from simulator.rng import Rng
from simulator.stream import Abandon, Bytes, CloseBoth, Crossing, Fin, Line, Piece, ResetBoth, Rst

SETTINGS: dict[str, dict[str, Any]] = {
    "latency": {"delay_ms": 200, "jitter_ms": 50},
    "bandwidth": {"rate_bytes_per_s": 1_000},
    "slicer": {"slice_bytes": 3, "gap_ms": 2},
    "cut_after": {"after_bytes": 10},
    "truncate": {"after_bytes": 10},
    "half_open": {},
    "rst": {},
    "slow_close": {"delay_ms": 60_000},
    "blackhole": {},
    "one_way_loss": {"way": "up"},
    "packet_loss": {"percent": 50.0},
    "corrupt_bytes": {"after_bytes": 4, "flip": 2},
}
KEEPING = ("latency", "bandwidth", "slicer", "slow_close", "packet_loss")
"""These change times only."""


def line_with(*names: str, once: bool = False) -> tuple[Line, Crossing]:
    """A line on which these faults are active, and a connection over it."""
    line = Line(Rng(7))
    for name in names:
        line.begin(fault_named(name, **SETTINGS[name]), once=once)
    return line, line.open()


def data_of(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces if isinstance(piece, Bytes))


def test_every_fault_of_the_line_is_tested_here() -> None:
    assert set(SETTINGS) == set(LINK_ACTIONS)


def test_a_line_without_faults_passes_everything_at_once() -> None:
    _, crossing = line_with()
    assert crossing.take("up", b"hello", 5) == [Bytes(b"hello", 5)]
    assert crossing.finish("up", 6) == [Fin(6)]
    assert crossing.reset("down", 7) == [Rst(7)]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fault_that_is_over_leaves_new_connections_whole(name: str) -> None:
    line, crossing = line_with()
    number, _ = line.begin(fault_named(name, **SETTINGS[name]))
    crossing.take("up", b"some bytes that it may have", 0)
    line.end(number)
    assert line.open().take("up", b"whole", 9) == [Bytes(b"whole", 9)]
    assert line.end(number) == [], "twice is once"


def test_latency_is_the_fixed_time_and_a_drawn_one() -> None:
    _, crossing = line_with("latency")
    times_us = [piece.at_us for n in range(50) for piece in crossing.take("up", b"x", 1_000_000 * n)]
    delays_us = [at_us - 1_000_000 * n for n, at_us in enumerate(times_us)]
    assert all(200_000 <= delay_us <= 250_000 for delay_us in delays_us)
    assert len(set(delays_us)) > 10


def test_bandwidth_is_a_queue() -> None:
    _, crossing = line_with("bandwidth")
    assert crossing.take("up", b"x" * 500, 0) == [Bytes(b"x" * 500, 500_000)]
    assert crossing.take("up", b"y" * 250, 100_000) == [Bytes(b"y" * 250, 750_000)]
    assert crossing.take("down", b"z", 0) == [Bytes(b"z", 1_000)], "each way is its own"
    assert crossing.take("up", b"late", 2_000_000) == [Bytes(b"late", 2_004_000)]


def test_slices_have_their_size_and_their_gap() -> None:
    _, crossing = line_with("slicer")
    assert crossing.take("up", b"abcdefgh", 100) == [Bytes(b"abc", 100), Bytes(b"def", 2_100), Bytes(b"gh", 4_100)]


@pytest.mark.parametrize(("name", "end"), [("cut_after", ResetBoth()), ("truncate", CloseBoth(3))])
def test_so_many_bytes_pass_and_no_more(name: str, end: Piece) -> None:
    _, crossing = line_with(name)
    assert crossing.take("up", b"01234567", 1) == [Bytes(b"01234567", 1)]
    assert crossing.take("down", b"other way, longer than that", 2) == [Bytes(b"other way, longer than that", 2)]
    assert crossing.take("up", b"89abc", 3) == [Bytes(b"89", 3), end]
    assert crossing.take("up", b"more", 4) == []
    assert crossing.finish("down", 5) == []


def test_a_half_open_connection_tells_one_end_only() -> None:
    line, crossing = line_with()
    _, befallen = line.begin(fault_named("half_open"), once=True)
    assert befallen == [(crossing, Abandon("broker"))]
    assert crossing.take("down", b"x", 1) == []
    assert line.open().take("up", b"x", 2) == [Bytes(b"x", 2)], "it has struck once"


def test_reset_connections_as_long_as_it_lasts_or_once() -> None:
    line, crossing = line_with()
    number, befallen = line.begin(fault_named("rst"))
    assert befallen == [(crossing, ResetBoth())]
    assert line.open().take("up", b"x", 1) == [ResetBoth()]
    line.end(number)
    _, crossing = line_with("rst", once=True)
    assert crossing.take("up", b"x", 1) == [ResetBoth()], "none stood: the next one is struck"
    assert crossing.line.open().take("up", b"x", 2) == [Bytes(b"x", 2)]


def test_only_the_end_of_a_slow_close_is_late() -> None:
    _, crossing = line_with("slow_close")
    assert crossing.take("up", b"x", 1) == [Bytes(b"x", 1)]
    assert crossing.finish("up", 2) == [Fin(60_000_002)]
    assert crossing.reset("down", 3) == [Rst(60_000_003)]


@pytest.mark.parametrize(("name", "other"), [("blackhole", []), ("one_way_loss", [Bytes(b"down", 2)])])
def test_what_vanishes_leaves_a_hole_and_a_reset(name: str, other: list[Piece]) -> None:
    line, crossing = line_with(name)
    untouched = line.open()
    assert crossing.take("up", b"up", 1) == []
    assert crossing.take("down", b"down", 2) == other
    assert crossing.finish("up", 3) == []
    assert line.end(1) == [(crossing, ResetBoth())]
    assert untouched.take("up", b"x", 4) == [Bytes(b"x", 4)]


def test_one_byte_is_damaged_wherever_the_writes_part() -> None:
    for cut in range(1, 9):
        _, crossing = line_with("corrupt_bytes")
        text = b"01234567"
        found = data_of(crossing.take("up", text[:cut], 0) + crossing.take("up", text[cut:], 0))
        wrong = [index for index in range(8) if found[index] != text[index]]
        assert wrong == [4]
        assert (found[4] ^ text[4]).bit_count() == 2


@given(
    names=st.lists(st.sampled_from(KEEPING), max_size=4),
    writes=st.lists(st.tuples(st.sampled_from(["up", "down"]), st.binary(min_size=1, max_size=40)), max_size=12),
)
def test_faults_of_time_keep_bytes_and_their_order(names: list[str], writes: list[tuple[Any, bytes]]) -> None:
    _, crossing = line_with(*names)
    arrived: dict[str, list[Piece]] = {"up": [], "down": []}
    for number, (way, data) in enumerate(writes):
        arrived[way] += crossing.take(way, data, 1_000 * number)
    for way, pieces in arrived.items():
        assert data_of(pieces) == b"".join(data for written, data in writes if written == way)
        times_us = [piece.at_us for piece in pieces if isinstance(piece, Bytes)]
        assert times_us == sorted(times_us)


@given(
    names=st.lists(st.sampled_from(sorted(SETTINGS)), max_size=5), writes=st.lists(st.binary(min_size=1), max_size=9)
)
def test_whatever_goes_wrong_nothing_comes_out_that_was_not_written(names: list[str], writes: list[bytes]) -> None:
    line, crossing = line_with(*names)
    written = b"".join(writes)
    found = data_of([piece for data in writes for piece in crossing.take("up", data, 0)])
    assert len(found) <= len(written)
    assert sum((a ^ b).bit_count() for a, b in zip(found, written, strict=False)) <= 2 * names.count("corrupt_bytes")
    line.end_all()
    assert line.active == []
