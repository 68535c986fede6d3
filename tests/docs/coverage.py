"""Which requirement is covered by which scenario or test (`tests/requirements.yaml`).

Run `python -m tests.docs.coverage` to see what nothing covers yet.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[2]
REQUIREMENTS = PROJECT / "tests" / "requirements.yaml"
_COMMENT = re.compile(r"^\s*#?\s*covers:\s*(?P<ids>[a-z0-9][\w.\-/, ]*)$", re.MULTILINE)
_ID = re.compile(r"[a-z0-9-]+/[a-z0-9][a-z0-9.-]*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One sentence of a document; `line` counts from 1."""

    id: str
    file: str
    line: int
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A scenario or test that says it proves a requirement."""

    requirement_id: str
    path: str


def requirements(path: Path = REQUIREMENTS) -> dict[str, Requirement]:
    """All requirements by id; raises ValueError for an entry without line or sentence, or a malformed id."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: dict[str, Requirement] = {}
    for name, section in document["documents"].items():
        for short, entry in section["requirements"].items():
            item = Requirement(id=f"{name}/{short}", file=section["file"], line=entry["line"], says=entry["says"])
            if not _ID.match(item.id) or item.line < 1 or not item.says.endswith("."):
                raise ValueError(f"{path.name}: {item}")
            found[item.id] = item
    return found


def claims_of_scenarios(folder: Path) -> Iterator[Claim]:
    """What the scenario files below `folder` name in `covers:`."""
    for path in sorted(folder.rglob("*.yaml")):
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        covers = document.get("covers", []) if isinstance(document, dict) else []
        for requirement_id in covers:
            yield Claim(requirement_id=str(requirement_id), path=str(path.relative_to(folder.parent)))


def claims_of_tests(folder: Path) -> Iterator[Claim]:
    """What the tests below `folder` name in a line `covers: id, id` of a comment or docstring."""
    for path in sorted(folder.rglob("test_*.py")):
        for match in _COMMENT.finditer(path.read_text(encoding="utf-8")):
            for requirement_id in re.split(r"[,\s]+", match["ids"].strip(" ,")):
                yield Claim(requirement_id=requirement_id, path=str(path.relative_to(folder.parent)))


def all_claims(project: Path = PROJECT) -> list[Claim]:
    """Claims of scenarios first, then of tests."""
    return [*claims_of_scenarios(project / "scenarios"), *claims_of_tests(project / "tests")]


def unknown_claims(known: dict[str, Requirement], claims: list[Claim]) -> list[str]:
    """One line for each claim of an id that does not exist, with the nearest id that does."""
    lines = []
    for claim in claims:
        if claim.requirement_id not in known:
            near = difflib.get_close_matches(claim.requirement_id, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            lines.append(f"{claim.path}: covers unknown requirement {claim.requirement_id!r}{hint}")
    return lines


def uncovered(known: dict[str, Requirement], claims: list[Claim]) -> list[Requirement]:
    """Requirements that no claim names, in the order of their documents."""
    claimed = {claim.requirement_id for claim in claims}
    return [item for item in known.values() if item.id not in claimed]


def report(known: dict[str, Requirement], claims: list[Claim]) -> str:
    """The page that CI shows: a count for each document, then what is not covered."""
    missing = uncovered(known, claims)
    lines = []
    for document in dict.fromkeys(item.id.split("/")[0] for item in known.values()):
        total = sum(item.id.startswith(f"{document}/") for item in known.values())
        open_count = sum(item.id.startswith(f"{document}/") for item in missing)
        lines.append(f"{document}: {total - open_count} of {total} requirements covered")
    lines += [f"not covered: {item.id} ({item.file}:{item.line}) {item.says}" for item in missing]
    return "\n".join(lines)


def main() -> int:
    """Prints the report; 1 when a claim names an unknown requirement."""
    known, claims = requirements(), all_claims()
    print(report(known, claims))
    unknown = unknown_claims(known, claims)
    for line in unknown:
        print(line, file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
