"""A folder leaves out what the devices can't play, and says so everywhere; a file that is named must fit."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import pytest

from harness.cli import exit_code_of
from harness.dut.inventory import BoardEntry
from harness.dut.kinds import GATE_FAULTS, BoardOrder, DutOrder, refusals
from harness.errors import ScenarioError
from harness.events import Event, LeftOut, ScenarioEnded, SuiteEnded, SuiteStarted
from harness.fitting import fitting
from harness.report.files import RunFiles
from harness.report.junit import JunitReporter
from harness.report.terminal import TerminalReporter
from harness.scenario_faults import LINK_ACTIONS
from harness.selection import Selection, named_files, plans_for, scenario_id
from harness.verdict import Verdict
from simulator.catalogue import rows
from tests.support.results import FAILED

PANIC = "scenarios/hil/a-panic-on-the-console.yaml"
UPGRADE = "scenarios/hil/upgrade-in-the-middle-of-a-pending-image.yaml"
PHOTO = "scenarios/smoke/photo-is-stored.yaml"


def test_a_folder_leaves_out_what_does_not_fit_with_the_reason() -> None:
    paths = ["scenarios/hil", PHOTO]
    plans, left = fitting(plans_for(Selection(paths=paths)), DutOrder(), "embedded", named_files(paths))
    assert {plan.path for plan in plans} == {PHOTO}
    assert [(one.scenario, one.reason) for one in left] == [
        (PANIC, "a simulated camera has no serial console"),
        (UPGRADE, "a simulated camera has no flash"),
    ]
    assert left[0].hint == "--dut virtual, or --dut board:ID"


@pytest.mark.parametrize("paths", [[PANIC, PHOTO], ["scenarios/hil"]], ids=["named", "nothing left"])
def test_a_file_that_is_named_and_a_folder_of_which_nothing_fits_are_mistakes(paths: list[str]) -> None:
    with pytest.raises(ScenarioError, match=f"{PANIC}:8: steps.0.: a simulated camera has no serial console"):
        fitting(plans_for(Selection(paths=paths)), DutOrder(), "embedded", named_files(paths))


def test_a_case_names_its_file_and_a_folder_names_none() -> None:
    assert named_files([f"{PHOTO}::profile=esp32s3-cam@3.5.0", "scenarios/hil"]) == {PHOTO}


def test_what_is_left_out_stands_in_every_report(tmp_path: Path) -> None:
    said = StringIO()
    files = RunFiles(tmp_path, "run", wakestorm="0")
    reporters = [TerminalReporter(said, tty=False, color=False), JunitReporter(tmp_path / "junit.xml"), files]
    left = (LeftOut(scenario=PANIC, reason="a simulated camera has no serial console", hint="--dut virtual"),)
    events: list[Event] = [
        SuiteStarted(planned=(), bench="embedded", seed=None, left_out=left),
        SuiteEnded(verdict=Verdict.PASS, wall_s=0.1),
    ]
    for event in events:
        for reporter in reporters:
            reporter.on_event(event)
    line = f"not for this DUT (simulated): {PANIC}: a simulated camera has no serial console; --dut virtual"
    assert line in said.getvalue().splitlines()
    assert "0 scenarios: 0 passed, 1 not for this DUT" in said.getvalue()
    document = json.loads((files.folder / "verdict.json").read_text())
    assert document["counts"]["not_for_dut"] == 1 and document["not_for_dut"][0]["scenario"] == PANIC
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None and suite.get("skipped") == "1" and suite.find("testcase/skipped") is not None


def test_what_fails_in_quarantine_is_shown_and_said_to_decide_nothing() -> None:
    said = StringIO()
    terminal = TerminalReporter(said, tty=False, color=False)
    events: list[Event] = [
        SuiteStarted(planned=(FAILED.id,), bench="embedded", seed=None, quarantine=(FAILED.id,)),
        ScenarioEnded(result=FAILED),
        SuiteEnded(verdict=Verdict.PASS, wall_s=0.1),
    ]
    for event in events:
        terminal.on_event(event)
    assert "in quarantine: it decides nothing" in said.getvalue()
    assert "1 of those that did not pass are in quarantine, and decide nothing" in said.getvalue()


ANY_DEVICE_PROVES = {f"seed-001/test-{number}" for number in (1, 2, 3, 4)} | {"seed-000/test-resume"}


def test_at_least_twenty_files_and_the_named_ones_run_on_any_device() -> None:
    entry = BoardEntry.model_validate({"kind": "board", "match": {"port": "/dev/null"}})
    one = DutOrder(kind="board", boards=(BoardOrder(id="cam", port="/dev/null", mac="7CDFA1E0B0C5", entry=entry),))
    folders = [f"scenarios/{name}" for name in ("resume", "protocol", "timeout", "duplicates", "backlog", "captures")]
    plans = plans_for(Selection(paths=folders))
    runs_on = [fitting(plans, order, "processes", ())[0] for order in (DutOrder(kind="virtual"), one)]
    anywhere = [plan for plan in runs_on[0] if plan in runs_on[1] and not refusals(plan, DutOrder(), "embedded")]
    assert len({plan.path for plan in anywhere}) >= 60
    assert {name for plan in anywhere for name in plan.covers} >= ANY_DEVICE_PROVES
    cases = {scenario_id(plan).partition("::")[2] for plan in anywhere if "one-board-interrupted" in plan.path}
    assert {case.partition(",there")[0] for case in cases} == {
        f"interruption={how},k={k}" for how in ("power_loss", "cut") for k in range(4)
    }


def test_the_list_of_files_for_a_device_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["ls", "--dut", "virtual", "scenarios/hil", "scenarios/fleet"]) == 0
    said = capsys.readouterr()
    assert [line.partition("  ")[0] for line in said.out.splitlines()][:2] == [PANIC, UPGRADE]
    assert "fifty-devices" not in said.out and "can be played with --dut virtual, 2 can not" in said.err
    late = "scenarios/timeout/retry-whose-answer-never-left.yaml"
    assert exit_code_of(["lint", "--dut", "virtual", late]) == 64
    assert "crash is not to be had in the processes bench" in capsys.readouterr().err


def test_exact_times_are_for_virtual_time() -> None:
    exact = "scenarios/timeout/device-without-schedule.yaml"
    plans = plans_for(Selection(paths=[exact]))
    assert fitting(plans, DutOrder(), "embedded", [exact]) == (plans, ())
    for order in (DutOrder(), DutOrder(kind="virtual")):
        with pytest.raises(ScenarioError, match="that real time does not have"):
            fitting(plans, order, "processes", [exact])


def test_the_catalogue_says_of_each_fault_what_boards_are_refused() -> None:
    refused = {row.name: bool(row.not_board) for row in rows() if row.sign.startswith("action:")}
    assert refused == {name: name not in (*GATE_FAULTS, *LINK_ACTIONS) for name in refused}
    clock = plans_for(Selection(paths=["scenarios/captures/offline-photos-of-1970-are-all-kept.yaml"]))
    assert not refusals(clock[0], DutOrder(), "processes")
    (mistake,) = refusals(clock[0], DutOrder(kind="virtual"), "processes")
    assert "cam[0] has unset-clock, which is inside the chip" in mistake.reason
