"""What people do to a soaking fleet, and how a soak shows itself: data and text, no database."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.soak.firmware import DECK, PACES, firmware_of_day
from harness.soak.people import ACTS, acts_of_day
from harness.soak.plot import plot
from harness.soak.progress import Progress
from harness.soak.seldom import MOVES, reason
from harness.soak.telling import DayEnded, Ticked
from server.session import TRANSITIONS as server_table
from simulator.device_states import TRANSITIONS as device_table
from simulator.profile import BASES

SAMPLE = {
    "faults": {"server crash": 11, "broker pause": 28, "power_loss chunk.sent": 306},
    "images_complete": 669,
    "images_captured": 670,
    "wakes": 740,
    "rss_bytes": 90_000_000,
}


@given(seed=st.integers(0, 2**63 - 1), day=st.integers(0, 400), devices=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_people_do_the_same_for_the_same_seed_to_devices_that_there_are(seed: int, day: int, devices: int) -> None:
    acts = acts_of_day(seed, day, devices)
    assert acts == acts_of_day(seed, day, devices)
    assert all(act.name in ACTS and 0 <= act.device < devices for act in acts)


def test_everything_that_people_can_do_is_done_in_a_season() -> None:
    assert {act.name for day in range(90) for act in acts_of_day(7, day, 3)} == set(ACTS)


def test_every_reason_for_a_zero_names_a_move_that_there_is() -> None:
    server = {f"{state} -- {event} -> {target}" for (state, event), target in server_table.items()}
    device = {
        f"{state.value} -- {event.name.lower()} -> {target.value}"
        for state, moves in device_table.items()
        for event, target in moves.items()
    }
    assert server | device >= set(MOVES)
    asked = {"devices": 3, "chunk_size_bytes": 1_000, "is_processes": False}
    assert "short --wake-every" in reason("server", "failed -- silence -> failed", **asked)
    assert reason("catalogue", "fleet: herd", **asked) == ""
    assert "no herd" in reason("catalogue", "fleet: herd", **asked | {"devices": 1})
    assert "second server" in reason("faults", "server joins", **asked | {"is_processes": True})
    assert "real folder" in reason("catalogue", "store: store_full", **asked | {"is_processes": True})


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_a_few_cameras_run_every_firmware_in_a_month(seed: int) -> None:
    run = {item.profile for day in range(30) for item in firmware_of_day(seed, day, 3)}
    assert len(run & set(DECK)) >= len(set(DECK)) - 2, "one deck, less what the last days hold"
    assert set(BASES) < run


def test_a_camera_keeps_its_firmware_for_three_days_and_not_all_change_on_one() -> None:
    days = [firmware_of_day(7, day, 6) for day in range(30)]
    assert days[5] == firmware_of_day(7, 5, 6)
    changes = [sum(a != b for a, b in zip(one, next_one, strict=True)) for one, next_one in pairwise(days)]
    assert max(changes) < 4 and sum(changes) > 30
    assert {item.reconnects_per_wake for day in days for item in day} == {0, 2}
    assert {(item.chunk_spacing_ms, item.burst_chunks) for day in days for item in day} == set(PACES)


@given(columns=st.integers(20, 200))
def test_a_line_that_is_rewritten_fits_its_terminal(columns: int) -> None:
    shown = io.StringIO()
    progress = Progress(shown, days=30, columns=columns)
    progress.day_ended(DayEnded(day=30, sample=SAMPLE), 180.0)
    progress.ticked(Ticked(hours=719, wakes=740, images_captured=670, faults=3, rss_bytes=90_000_000), 181.0)
    lines = shown.getvalue().split("\r\x1b[K")
    assert all(len(line) < columns for line in lines) and lines[1].startswith("day 30.0/30")


def test_without_a_terminal_a_day_is_a_line_of_a_screen() -> None:
    shown = io.StringIO()
    progress = Progress(shown, days=30, columns=None)
    progress.ticked(Ticked(hours=1, wakes=1, images_captured=1, faults=0, rss_bytes=1), 1.0)
    progress.day_ended(DayEnded(day=30, sample=SAMPLE), 180.0)
    [line] = shown.getvalue().splitlines()
    assert line == "day 30.0/30  740 wakes  670 taken, 669 stored  345 faults  90 MB  10.0 days/min"


class _Texts(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found.append(data)


def test_axes_have_round_numbers_and_name_days() -> None:
    texts = _Texts(plot("Images", {"taken": [0.0, 670.0]}, [1.0, 30.0])).found
    assert texts == ["Images", "0", "200", "400", "600", "800", "start", "day 10", "day 20", "day 30", "taken"]


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=40))
@settings(deadline=None)
def test_every_plot_has_a_few_lines_and_its_values_inside(values: list[float]) -> None:
    figure = plot("x", {"y": values}, [float(day + 1) for day in range(len(values))])
    assert 4 <= figure.count('class="grid"') <= 8
    (points,) = [part.split('"')[0] for part in figure.split('points="')[1:]]
    assert all(10 - 0.1 <= float(point.split(",")[1]) <= 196 + 0.1 for point in points.split())
