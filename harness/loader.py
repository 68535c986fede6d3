"""Scenario files to valid scenarios: every mistake of a file at once, each with its line.

Text is read by `yaml_reader`, the matrix put in by `matrix`, each case checked against the models of `scenario` and the
rules of `scenario_rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from harness.checks import CATALOGUE
from harness.errors import Mistake, ScenarioError, UsageError
from harness.matrix import PathMistake, cases_of, name_mistakes, substituted
from harness.scenario import Case, LoadedScenario, Scenario
from harness.scenario_mistakes import mistakes_of, without_spoiled
from harness.scenario_rules import Vocabulary, place_mistakes, rule_mistakes
from harness.yaml_reader import TEXT_SIZE_BYTES_MAX, read_yaml
from simulator.profile import BASES, MISBEHAVIOURS

VALUES_IN_ALL_CASES_MAX: Final = 400_000
"""Bounds the work of a file: a thousand cases of an ordinary scenario, or twenty of the largest file."""

SUFFIXES: Final = (".yaml", ".yml")


def load_file(path: Path, vocabulary: Vocabulary | None = None) -> LoadedScenario:
    """Reads one file. Raises ScenarioError with every mistake in it, UsageError when it can not be read."""
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_SIZE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return load_bytes(data, path, vocabulary)


def load_bytes(data: bytes, path: Path, vocabulary: Vocabulary | None = None) -> LoadedScenario:
    """Reads the text of one file; `path` only names it. Raises ScenarioError."""
    file = str(path)
    tree = read_yaml(data, file)
    mistakes = list(tree.mistakes)
    cases: list[Case] = []
    if tree.whole:
        if isinstance(tree.value, dict):
            spoiled = {mistake.path for mistake in mistakes}
            cases, found = _cases(tree.value, len(tree.lines), vocabulary or known_words())
            mistakes += [
                Mistake(file, line_of(tree.lines, mistake.path), mistake.path, mistake.reason, mistake.hint)
                for mistake in found
                if mistake.path not in spoiled
            ]
        else:
            mistakes.append(Mistake(file, 1, "", "a scenario is a mapping", "start with version: 1"))
    if mistakes:
        raise ScenarioError(mistakes)
    return LoadedScenario(path, data.decode("utf-8-sig"), tuple(cases), tree.lines)


def load_files(paths: Iterable[Path], vocabulary: Vocabulary | None = None) -> list[LoadedScenario]:
    """Reads many files. Raises one ScenarioError with the mistakes of all of them."""
    words = vocabulary or known_words()
    loaded: list[LoadedScenario] = []
    mistakes: list[Mistake] = []
    for path in paths:
        try:
            loaded.append(load_file(path, words))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return loaded


def discover(paths: Sequence[Path]) -> list[Path]:
    """The scenario files at and below these paths, sorted, each once. Raises UsageError where there is none."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not files:
                raise UsageError(f"{path}: no scenario files here", hint="scenario files end in .yaml")
        elif path.exists():
            files = [path]
        else:
            raise UsageError(f"{path}: no such file or folder")
        found.update(dict.fromkeys(files))
    return list(found)


def selected(loaded: Iterable[LoadedScenario], tags: Sequence[str]) -> list[LoadedScenario]:
    """Those that have any of the tags, and none of those written with `!` before them."""
    wanted = {tag for tag in tags if not tag.startswith("!")}
    refused = {tag[1:] for tag in tags if tag.startswith("!")}
    return [
        scenario
        for scenario in loaded
        if (not wanted or wanted & set(scenario.model.tags)) and not refused & set(scenario.model.tags)
    ]


def line_of(lines: dict[str, int], path: str) -> int:
    """The line of a path, or of the nearest thing around it that stands in the file."""
    while path not in lines and path:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else ""
    return lines.get(path, 1)


def known_words() -> Vocabulary:
    """Profiles, misbehaviours, checks and tables as this installation has them."""
    return Vocabulary(profiles=tuple(BASES), misbehaviours=tuple(MISBEHAVIOURS), checks=tuple(CATALOGUE))


def _cases(tree: dict[str, Any], size: int, words: Vocabulary) -> tuple[list[Case], list[PathMistake]]:
    """The valid cases, and every mistake once; one that only some cases have names the first of these."""
    combinations, mistakes = cases_of(tree.get("matrix"))
    if not mistakes:
        mistakes = name_mistakes(tree, list(combinations[0][1]))
    if size * len(combinations) > VALUES_IN_ALL_CASES_MAX:
        reason = f"makes {len(combinations)} cases of {size} values"
        return [], [*mistakes, PathMistake("matrix", reason, f"at most {VALUES_IN_ALL_CASES_MAX} values in all")]
    cases: list[Case] = []
    found: dict[tuple[str, str], list[tuple[str, PathMistake]]] = {}
    for case_id, values in combinations:
        text = {key: value if key == "matrix" else substituted(value, values) for key, value in tree.items()}
        model, wrong = _checked(text, words)
        if model is not None:
            cases.append(Case(case_id, values, model))
        for mistake in wrong:
            found.setdefault((mistake.path, mistake.reason), []).append((case_id, mistake))
    for sightings in found.values():
        case_id, mistake = sightings[0]
        everywhere = len(sightings) == len(combinations)
        mistakes.append(mistake if everywhere else replace(mistake, hint=_joined(mistake.hint, f"in case {case_id}")))
    return cases, mistakes


def _checked(text: dict[str, Any], words: Vocabulary) -> tuple[Scenario | None, list[PathMistake]]:
    try:
        model = Scenario.model_validate(text)
    except ValidationError as error:
        wrong = mistakes_of(error)
        return None, wrong + _further_mistakes(text, [mistake.path for mistake in wrong], words)
    wrong = rule_mistakes(model, words) + place_mistakes(text, model)
    return (None, wrong) if wrong else (model, [])


def _further_mistakes(text: dict[str, Any], spoiled: list[str], words: Vocabulary) -> list[PathMistake]:
    """What the rules say about the parts that the models do accept, so that one run shows everything."""
    try:
        model = Scenario.model_validate(without_spoiled(text, spoiled))
    except ValidationError:
        return []
    return [
        mistake
        for mistake in rule_mistakes(model, words)
        if not any(mistake.path == path or mistake.path.startswith((path + ".", path + "[")) for path in spoiled)
    ]


def _joined(hint: str | None, more: str) -> str:
    return f"{hint}; {more}" if hint else more
