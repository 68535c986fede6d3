"""The suite can fail: every planted defect turns a named scenario red, and the same scenario is green without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.plan import Plan
from harness.verdict import Verdict
from tests.saboteurs.catalogue import SABOTEURS, Saboteur
from tests.support.scenario_runs import plans, played


def _plan_of(saboteur: Saboteur) -> Plan:
    """The case that the saboteur names, the file's first where it names none."""
    file, _, case = saboteur.scenario.partition("::")
    return next(plan for plan in plans(file) if not case or plan.case.strip("[]") == case)


def test_there_are_enough() -> None:
    assert len(SABOTEURS) >= 10 and len({saboteur.name for saboteur in SABOTEURS}) == len(SABOTEURS)


@pytest.mark.postgres
@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.name)
def test_the_suite_catches(saboteur: Saboteur, cluster: Cluster, tmp_path: Path) -> None:
    plan = _plan_of(saboteur)
    undo = saboteur.apply()
    try:
        sabotaged = played(plan, cluster, tmp_path / "sabotaged")
    finally:
        undo()
    found = [f"{failure.title}: {failure.found}" for failure in sabotaged.result.failures]
    print(f"{saboteur.name} ({saboteur.defect}) caught by {saboteur.scenario}: {found[:1]}")
    assert sabotaged.result.verdict is Verdict.FAIL, f"{saboteur.defect} was not caught: {found}"
    assert not any(said.startswith("a server ended by itself") for said in found), f"it only crashes: {found}"
    clean = played(plan, cluster, tmp_path / "clean")
    assert clean.result.verdict is Verdict.PASS, clean.result.failures
