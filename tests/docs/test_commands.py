"""Every command in README and docs is one that the command line takes; pictures and recipes fit the code."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from tests.docs.commands import PAGES, ROOT, commands_of, problem_of

RUN_PAGE = (ROOT / "docs" / "run.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    commands = list(commands_of(page.read_text(encoding="utf-8")))
    assert {" ".join(words): problem for words in commands if (problem := problem_of(words))} == {}


def test_commands_are_found_and_judged() -> None:
    text = "`wakestorm no-such`\n```console\n$ wakestorm run --no-such x > y\nwakestorm: said\n```\n"
    text += "```yaml\n- run: wakestorm ls\n```\n"
    found = list(commands_of(text))
    assert found == [["no-such"], ["run", "--no-such", "x"], ["ls"]]
    assert [problem_of(words) for words in found] == ["there is no command 'no-such'", "no option --no-such", None]
    assert sum(len(list(commands_of(page.read_text(encoding="utf-8")))) for page in PAGES) > 60


def arrows() -> list[tuple[str, str]]:
    """The arrows of the picture, as modules."""
    names = dict(re.findall(r"(\w+)\[([\w.]+)\]", RUN_PAGE))
    found = re.findall(r"^\s+(\w+)(?:\[[\w.]+\])? --> (\w+)", RUN_PAGE, re.MULTILINE)
    return [(names[one], names[other]) for one, other in found]


@pytest.mark.parametrize(("module", "imported"), arrows())
def test_the_picture_of_a_run_shows_what_the_code_does(module: str, imported: str) -> None:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    package, _, last = imported.rpartition(".")
    found = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module)
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    assert imported in found, f"{module} does not import {package}.{last}"


def test_the_picture_has_arrows() -> None:
    assert len(arrows()) == RUN_PAGE.count("-->") > 15


def test_recipes_are_yaml_with_commands() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    recipes = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    github, gitlab, night = recipes
    for recipe in (github, night):
        (job,) = recipe["jobs"].values()
        uses = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        assert uses == ["actions/checkout", "actions/setup-python", "actions/upload-artifact"]
        assert any(step.get("run", "").startswith("wakestorm ") for step in job["steps"])
        assert job["timeout-minutes"] <= 360
    assert any(line.startswith("wakestorm run") for line in gitlab["scenarios"]["script"])
    assert len(list(commands_of(text))) >= 12
