"""The catalogue of faults is whole: what the lists name has a row, and each row's scenario has its fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from harness.cli import exit_code_of
from harness.fault_signs import signs_of
from harness.fault_table import rendered
from harness.loader import load_bytes, load_file
from harness.plan import plans_of
from simulator.catalogue import BENCHES, LAYERS, FaultRow, rows
from simulator.faults import CATALOGUE, TEMPLATE

ROOT: Final = Path(__file__).resolve().parents[2]

ASKED_FOR: Final[dict[str, tuple[str, ...]]] = {
    "Link: drop": ("lose",),
    "Link: duplicate": ("duplicate",),
    "Link: reorder": ("reorder",),
    "Link: delay+jitter": ("latency",),
    "Link: bandwidth": ("bandwidth",),
    "Link: slicer (1-byte writes)": ("slicer",),
    "Link: cut after N bytes": ("cut_after",),
    "Link: half-open (no FIN)": ("half_open",),
    "Link: RST": ("rst",),
    "Link: slow close": ("slow_close",),
    "Link: blackhole with live TCP": ("blackhole",),
    "Link: one-way loss": ("one_way_loss",),
    "Link: loss as a percentage": ("packet_loss",),
    "R13: drift 200 ppm": ("clock_drift",),
    "Link: corrupt byte": ("corrupt_bytes", "corrupt"),
    "Link: truncate": ("truncate",),
    "Device: crash at chunk k": ("crash",),
    "Device: brown-out mid-publish": ("brownout",),
    "Device: reboot with lost RAM": ("reset",),
    "Device: lost flash": ("card_loss",),
    "Device: battery death": ("battery_death",),
    "Device: wake early": ("wake_early",),
    "Device: wake late": ("wake_late",),
    "Device: wake skip": ("wake_skip",),
    "Device: two devices one id": ("twin",),
    "Device: old firmware": ("old_firmware",),
    "duplicate image id with other bytes": ("counter_reset",),
    "Device: counter wrap": ("counter_reset",),
    "Herd: all wake in one microsecond": ("herd",),
    "design 5: latency": ("latency",),
    "design 5: disconnect": ("cut",),
    "design 5: power_loss": ("power_loss",),
    "design 5: brownout": ("brownout",),
    "design 5: reset with reason": ("reset",),
    "design 5: clock skew": ("clock_skew",),
    "design 5: counter reset": ("counter_reset",),
    "design 5: full SD card": ("card_full",),
    "design 5: server": ("server_stop",),
    "design 5: broker": ("broker_stop",),
    "design 5: database": ("database_stop",),
    "Broker: kill": ("broker_crash",),
    "Broker: disconnect storm": ("broker_disconnect_storm",),
    "Broker: queue full": ("broker_full_queue",),
    "Broker: session lost": ("broker_lose_sessions",),
    "Broker: freeze": ("broker_pause",),
    "Broker: QoS1 redelivery with/without DUP": ("broker_redeliver",),
    "Broker: retained junk": ("broker_retained_junk",),
    "Broker: takeover": ("broker_takeover",),
    "DB: kill -9 all": ("database_crash",),
    "DB: deadlock": ("database_deadlock",),
    "DB: disk full": ("database_disk_full",),
    "DB: kill backend": ("database_kill_backends",),
    "R16: lock timeout": ("database_lock_timeout",),
    "DB: answer lost after COMMIT": ("database_lose_answer",),
    "DB: freeze": ("database_pause",),
    "R16: read-only": ("database_read_only",),
    "R16: serialization failure": ("database_serialization_failure",),
    "R16: PG too many connections": ("database_too_many_connections",),
    "Server: kill": ("server_crash",),
    "Server: freeze": ("server_pause",),
    "Server: slow": ("server_slow",),
    "Server: two servers at once": ("two_servers",),
    "issue 5: store full": ("store_full",),
    "issue 5: store unreachable": ("store_unreachable",),
    "seed 003: a failing store on deletion": ("store_keeps",),
    "seed 003: a slow store": ("store_slow",),
}
"""The words of the design's section 5 and of the list B2 for link, device and fleet, and the rows that answer them."""

BASE: Final = """\
version: 1
name: An example of the catalogue
"""


def every_row() -> tuple[FaultRow, ...]:
    return rows()


@pytest.mark.parametrize("words", ASKED_FOR)
def test_what_the_lists_name_has_a_row(words: str) -> None:
    by_name = {row.name: row for row in every_row()}
    for name in ASKED_FOR[words]:
        assert words in by_name[name].source


def test_a_row_is_named_as_its_file_and_its_entry() -> None:
    names = [row.name for row in every_row()]
    assert sorted(names) == sorted(name for name in CATALOGUE if name != TEMPLATE)
    for name, entry in CATALOGUE.items():
        assert entry.partition(":")[0] == f"simulator.faults.{name}"
    files = {path.stem for path in (ROOT / "simulator" / "faults").glob("*.py")} - {"__init__"}
    assert files == set(CATALOGUE)


@pytest.mark.parametrize("row", every_row(), ids=lambda row: row.name)
def test_a_row_says_everything(row: FaultRow) -> None:
    assert row.layer in LAYERS
    assert row.does.endswith(".") and row.heals and row.source
    assert any(not row.reason_against(bench) for bench in BENCHES), "no bench can do it"
    for setting in row.settings:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", setting.name) and setting.unit and setting.does


@cache
def signs_in(scenario: str) -> frozenset[str]:
    return frozenset().union(*(signs_of(plan) for plan in plans_of(load_file(ROOT / scenario))))


@pytest.mark.parametrize("row", every_row(), ids=lambda row: row.name)
def test_the_scenario_of_a_row_has_its_fault(row: FaultRow) -> None:
    assert row.sign in signs_in(row.scenario), f"{row.scenario} has {sorted(signs_in(row.scenario))}"


@pytest.mark.parametrize("row", every_row(), ids=lambda row: row.name)
def test_the_example_of_a_row_loads_and_has_its_fault(row: FaultRow) -> None:
    piece: dict[str, Any] = yaml.safe_load(row.example)
    whole = {"devices": {"yard": {"count": 2}}, "steps": [{"wake": "yard"}]} | piece
    loaded = load_bytes(as_yaml(whole), Path("example.yaml"))
    assert row.sign in frozenset().union(*(signs_of(plan) for plan in plans_of(loaded)))


def as_yaml(whole: dict[str, Any]) -> bytes:
    return (BASE + yaml.safe_dump(whole, sort_keys=False, width=1000)).encode()


def lines_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Iterator[str]:
    assert exit_code_of(["faults", *arguments]) == 0
    yield from capsys.readouterr().out.splitlines()


def test_the_command_lists_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [json.loads(line) for line in lines_of(capsys, "--json")]
    assert [item["name"] for item in shown] == [row.name for row in every_row()]
    assert all(set(item["benches"]) == set(BENCHES) for item in shown)
    table = " ".join(lines_of(capsys))
    assert all(row.name in table for row in every_row())


def test_the_command_explains_one(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(lines_of(capsys, "power_loss"))
    assert "until its next wake" in text
    assert "do: {power_loss: {for: 10s}}" in text


def test_a_name_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["faults", "power_los"]) == 64
    assert "did you mean 'power_loss'" in capsys.readouterr().err


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "faults.md").read_text(encoding="utf-8") == rendered()
