"""Shards of a run: every scenario in one of them, and merged the run is what it was without shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import exit_code_of
from harness.events import Counts, ScenarioEnded, ScenarioResult, SuiteEnded, SuiteStarted
from harness.ledger import LedgerEntry, LedgerTotals, Outcome
from harness.merging import merge
from harness.report.files import RunFiles
from harness.selection import Selection, order_of_whole, plans_for, scenario_id, shard_of_scenario
from harness.verdict import Verdict

WHOLE = tuple(f"scenarios/{name}.yaml" for name in ("zebra", "ant", "bee", "cat", "dog"))


@given(st.text(), st.integers(1, 9))
def test_a_scenario_is_in_one_shard_whatever_else_runs(scenario: str, parts: int) -> None:
    part = shard_of_scenario(scenario, parts)
    assert 1 <= part <= parts
    assert (shard_of_scenario(scenario, parts * 3) - 1) % parts == part - 1


def test_the_shards_of_shipped_scenarios_are_the_whole_selection() -> None:
    whole = Selection(paths=["scenarios/resume"], seed=1)
    ids = [scenario_id(plan) for plan in plans_for(whole)]
    shards = [Selection(paths=["scenarios/resume"], seed=1, shard=(part, 3)) for part in (1, 2, 3)]
    parts = [[scenario_id(plan) for plan in plans_for(shard)] for shard in shards]
    assert sorted(scenario for part in parts for scenario in part) == sorted(ids)
    assert all(parts)
    assert {order_of_whole(shard) for shard in shards} == {tuple(ids)}
    assert order_of_whole(whole) == ()


def _stored(image_name: str) -> LedgerEntry:
    return LedgerEntry(
        device="cam",
        image_name=image_name,
        captured_at="",
        outcome=Outcome.STORED,
        recovered=False,
        size_bytes=1,
        captured_sha256="00",
        stored_sha256="00",
        complete_rows=1,
        open_rows=0,
        offers=1,
    )


def written(folder: Path, shard: tuple[int, int], order: tuple[str, ...] = WHOLE) -> Path:
    """A run's folder with a photo for each scenario of that shard."""
    mine = [scenario for scenario in WHOLE if shard_of_scenario(scenario, shard[1]) == shard[0]]
    files = RunFiles(folder, "run", wakestorm="1")
    files.shard, files.order = "{}/{}".format(*shard), () if shard[1] == 1 else order
    files.on_event(SuiteStarted(planned=tuple(mine), bench="embedded", seed=1))
    for scenario in mine:
        files.on_event(
            ScenarioEnded(
                result=ScenarioResult(
                    id=scenario,
                    file=scenario,
                    name=scenario,
                    verdict=Verdict.PASS,
                    seed=1,
                    bench="embedded",
                    counts=Counts(),
                    ledger=LedgerTotals(captured=1, stored=1),
                ),
                ledger=(_stored(f"{scenario}.jpg"),),
            )
        )
    files.on_event(SuiteEnded(verdict=Verdict.PASS, wall_s=1.0, interrupted=False))
    return files.folder


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_merged_shards_are_the_run_without_shards(parts: int, tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", (1, 1))
    folders = [written(tmp_path / f"part{part}", (part, parts)) for part in range(1, parts + 1)]
    merged, document = merge(folders, tmp_path / "merged")
    assert tuple(result.id for result in document.scenarios) == WHOLE
    for name in ("ledger.csv", "history.jsonl"):
        assert sorted((merged / name).read_text().splitlines()) == sorted((whole / name).read_text().splitlines())
    assert (merged / "ledger.csv").read_text() == (whole / "ledger.csv").read_text()


def test_shards_of_different_selections_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = written(tmp_path / "one", (1, 2)), written(tmp_path / "two", (2, 2), WHOLE[1:])
    assert exit_code_of(["merge", str(one), str(two), "--out", str(tmp_path / "merged")]) == 64
    assert "parts of different selections" in capsys.readouterr().err
