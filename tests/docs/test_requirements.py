"""Every `covers:` names a requirement that exists; what nothing covers yet is shown (`pytest -rP`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.scenario import REQUIREMENT_PATTERN
from tests.docs.coverage import (
    REQUIREMENTS,
    Claim,
    all_claims,
    report,
    requirements,
    uncovered,
    unknown_claims,
)


def test_every_claim_names_a_requirement() -> None:
    known, claims = requirements(), all_claims()
    print(report(known, claims))
    assert unknown_claims(known, claims) == []


def test_documents_are_listed_in_order_of_their_lines() -> None:
    document = yaml.safe_load(REQUIREMENTS.read_text(encoding="utf-8"))
    for name, section in document["documents"].items():
        if name.startswith("seed-"):
            lines = [entry["line"] for entry in section["requirements"].values()]
            assert lines == sorted(lines), name


@pytest.mark.parametrize(
    ("document", "needed"),
    [
        ("seed-001", [f"test-{n}" for n in range(1, 5)]),
        ("seed-001", [f"edge-{n}" for n in range(1, 6)]),
        ("seed-001", [f"compat-{n}" for n in range(1, 5)]),
        ("seed-001", [f"decision-{n}" for n in range(1, 6)]),
        ("seed-000", ["test-resume"]),
        ("facts", [f"trap-{n}" for n in range(1, 15)]),
    ],
)
def test_the_numbered_lists_of_the_documents_are_whole(document: str, needed: list[str]) -> None:
    known = requirements()
    assert [short for short in needed if f"{document}/{short}" not in known] == []


def test_an_unknown_claim_is_named_with_its_nearest_requirement() -> None:
    claim = Claim(requirement_id="seed-001/tset-2", path="scenarios/resume/x.yaml")
    (line,) = unknown_claims(requirements(), [claim])
    assert "scenarios/resume/x.yaml" in line
    assert "did you mean 'seed-001/test-2'" in line


def test_uncovered_keeps_what_no_claim_names() -> None:
    known = requirements()
    missing = uncovered(known, [Claim(requirement_id="seed-001/test-2", path="x")])
    assert len(missing) == len(known) - 1
    assert "not covered: seed-001/test-1 " in report(known, [Claim(requirement_id="seed-001/test-2", path="x")])


def test_claims_come_from_scenarios_and_from_comments_in_tests(tmp_path: Path) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "a.yaml").write_text("covers: [seed-001/test-1]\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_b.py").write_text('"""About b.\n\ncovers: seed-001/edge-1, seed-001/edge-2\n"""\n')
    claims = all_claims(tmp_path)
    assert [(c.requirement_id, c.path) for c in claims] == [
        ("seed-001/test-1", "scenarios/a.yaml"),
        ("seed-001/edge-1", "tests/test_b.py"),
        ("seed-001/edge-2", "tests/test_b.py"),
    ]


def test_an_entry_without_a_sentence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requirements.yaml"
    path.write_text("documents: {d: {file: f, requirements: {a: {line: 1, says: no end}}}}")
    with pytest.raises(ValueError, match="no end"):
        requirements(path)


def test_every_id_can_stand_in_a_scenario() -> None:
    assert [name for name in requirements() if re.search(REQUIREMENT_PATTERN, name) is None] == []
