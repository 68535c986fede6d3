"""From the command line's words to plans: paths, cases, tags, a substring, a shard, a seed.

A path may carry a case of its matrix, `scenarios/resume/cut.yaml::k=3,how=cut`. A relative path that is not there is
looked for among the scenarios that ship with wakestorm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from harness.errors import Mistake, ScenarioError, UsageError, did_you_mean
from harness.loader import discover, load_bytes, load_file, selected
from harness.plan import Plan, plan_of
from harness.scenario import Case, LoadedScenario

SCENARIOS: Final = Path("scenarios")
SHIPPED: Final = Path(__file__).parent.parent
"""Where `scenarios/` stands beside the packages: a source tree, or site-packages."""

CASE_MARK: Final = "::"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to take of the scenarios found."""

    paths: Sequence[str] = ()
    tags: Sequence[str] = ()
    substring: str = ""
    seed: int | None = None
    shard: tuple[int, int] = (1, 1)
    """(i, n): the i-th of n parts, counted from 1; by `shard_of_scenario`."""


def scenario_id(plan: Plan) -> str:
    """`scenarios/resume/cut.yaml`, or `scenarios/resume/cut.yaml::k=3,how=cut` for a case of a matrix."""
    return plan.path + (CASE_MARK + case_words(plan.case) if plan.case else "")


def case_words(case_id: str) -> str:
    """A case without its brackets."""
    return case_id.removeprefix("[").removesuffix("]")


def shard_of(text: str) -> tuple[int, int]:
    """`2/4` as (2, 4). Raises UsageError."""
    part, mark, parts = text.partition("/")
    if not (mark and part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise UsageError(f"--shard {text}: not a shard", hint="write i/n, counted from 1: --shard 2/4")
    return int(part), int(parts)


def scenario_files(paths: Sequence[str]) -> dict[Path, list[str]]:
    """Files in order, as they are shown to the user, with the cases asked for; none means all. Raises UsageError."""
    files: dict[Path, list[str]] = {}
    for text in paths or [str(SCENARIOS)]:
        name, _, case = (text, "", "") if Path(text).exists() else text.partition(CASE_MARK)
        for file in discover([_located(Path(name))]):
            shown = _shown(file)
            cases = files.setdefault(shown, [])
            if case:
                cases.append(case)
    return files


def named_files(paths: Sequence[str]) -> frozenset[str]:
    """The files that were asked for by name, as their plans name them; what a folder brings is not among them."""
    found = set()
    for text in paths:
        name = text if Path(text).exists() else text.partition(CASE_MARK)[0]
        file = _located(Path(name))
        if file.is_file():
            found.add(_shown(file).as_posix())
    return frozenset(found)


def loaded_scenarios(paths: Sequence[str]) -> list[tuple[LoadedScenario, list[str]]]:
    """Every file read, with the cases asked for. Raises one ScenarioError with the mistakes of all files."""
    loaded: list[tuple[LoadedScenario, list[str]]] = []
    mistakes: list[Mistake] = []
    for shown, cases in scenario_files(paths).items():
        try:
            loaded.append((_loaded(shown), cases))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return loaded


MacsOf = Callable[[Case], Sequence[str]]


def plans_for(selection: Selection, *, macs: Sequence[str] | MacsOf = ()) -> list[Plan]:
    """The plans to run, in the order of paths and cases. Raises UsageError where nothing is left.

    `macs` take the place of the scenario's own: those of real boards, or others for each case.
    """
    plans: list[Plan] = []
    for loaded, cases in loaded_scenarios(selection.paths):
        if selected([loaded], selection.tags):
            plans += [
                plan_of(loaded, case, selection.seed, macs(case) if callable(macs) else macs)
                for case in _cases(loaded, cases)
            ]
    plans = [plan for plan in plans if _contains(plan, selection.substring)]
    if not plans:
        raise UsageError("no scenario fits paths, tags and words", hint="`wakestorm ls` shows what there is")
    part, parts = selection.shard
    return [plan for plan in plans if shard_of_scenario(scenario_id(plan), parts) == part]


def shard_of_scenario(scenario: str, parts: int) -> int:
    """The part, counted from 1, that a scenario belongs to: by a hash of its id, whatever else is selected."""
    return 1 + int.from_bytes(sha256(scenario.encode()).digest()[:8], "big") % parts


def order_of_whole(selection: Selection) -> tuple[str, ...]:
    """Ids of the run that the selection is a shard of, in its order; nothing where it is no shard."""
    if selection.shard[1] == 1:
        return ()
    return tuple(scenario_id(plan) for plan in plans_for(replace(selection, shard=(1, 1))))


def _contains(plan: Plan, substring: str) -> bool:
    word = substring.lower()
    return word in scenario_id(plan).lower() or word in plan.name.lower()


def _cases(loaded: LoadedScenario, wanted: Sequence[str]) -> list[Case]:
    if not wanted:
        return list(loaded.cases)
    cases = {case_words(case.id): case for case in loaded.cases}
    for words in wanted:
        if words not in cases:
            known = [name for name in cases if name]
            hint = did_you_mean(words, known) if known else "this scenario has no matrix"
            raise UsageError(f"{loaded.path}: no case {words!r}", hint=hint)
    return [cases[words] for words in dict.fromkeys(wanted)]


def _located(path: Path) -> Path:
    """The path itself, or the shipped one of that name."""
    if path.exists() or path.is_absolute():
        return path
    shipped = SHIPPED / path
    is_scenario = path.parts[:1] == (SCENARIOS.name,) and ".." not in path.parts
    return shipped if is_scenario and shipped.exists() else path


def _shown(file: Path) -> Path:
    """The path as ids name it: below the working folder or the shipped scenarios relative, else as given."""
    for base in (Path.cwd(), SHIPPED):
        if file.is_absolute() and file.is_relative_to(base):
            return file.relative_to(base)
    return file


def source_of(path: str) -> str:
    """The text of a scenario file that was run, as it stands there now; nothing where it is gone."""
    try:
        return _located(Path(path)).read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""


def _loaded(shown: Path) -> LoadedScenario:
    if shown.exists() or not (SHIPPED / shown).exists():
        return load_file(shown)
    return load_bytes((SHIPPED / shown).read_bytes(), shown)
