"""The tutorial is run as it stands: files are saved, changes made, commands given, and their output compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster

ROOT = Path(__file__).parent.parent.parent
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
CI = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
_BLOCK = re.compile(
    r"(?:<!-- (?P<what>file|change): (?P<name>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.M | re.S
)
PATIENCE_S = 300.0


def given(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command in a shell in which `wakestorm` is this one."""
    here = f'wakestorm() {{ "{sys.executable}" -P -m harness.cli "$@"; }}\n'
    return subprocess.run(
        ["bash", "-e", "-c", here + command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def commands_in(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block with the lines that are shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


def assert_shown(said: str, shown: list[str]) -> None:
    """The lines stand in the output in this order; `...` is for any lines, or for the rest of a line."""
    rest = said.splitlines()
    gap = False
    for line in shown:
        if line == "...":
            gap = True
            continue
        fitting = [number for number, found in enumerate(rest) if _fits(found, line)]
        assert fitting and (gap or fitting[0] == 0), f"{line!r} is not next in:\n" + "\n".join(rest)
        rest, gap = rest[fitting[0] + 1 :], False
    assert gap or not rest, f"not shown: {rest}"


def _fits(found: str, shown: str) -> bool:
    found, shown = " ".join(found.split()), " ".join(shown.split())
    return found.startswith(shown[:-3]) if shown.endswith("...") else found == shown


def change(file: Path, diff: str) -> None:
    """Puts the + lines where the - lines stood."""
    text = file.read_text()
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)*)", diff, re.MULTILINE):
        before, after = (re.sub(r"^[-+]", "", part, flags=re.MULTILINE) for part in (old, new))
        assert text.count(before) == 1, f"not once in {file.name}: {before}"
        text = text.replace(before, after)
    file.write_text(text)


@pytest.mark.postgres
@pytest.mark.slow
def test_the_tutorial_word_for_word(cluster: Cluster, tmp_path: Path) -> None:
    url = cluster.dsn("postgres", cluster.superuser)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": url, "COLUMNS": "80", "NO_COLOR": "1"}
    folder, count = tmp_path, 0
    for block in _BLOCK.finditer(TUTORIAL):
        if block["what"] == "file":
            (folder / block["name"]).write_text(block["text"])
        elif block["what"] == "change":
            change(folder / block["name"], block["text"])
        else:
            assert block["kind"] == "console", block["text"]
            for command, shown in commands_in(block["text"]):
                count += 1
                if command.startswith("cd "):
                    folder = folder / command[3:]
                    continue
                ended = given(command, folder, environment)
                assert "internal error" not in ended.stdout, ended.stdout
                assert_shown(ended.stdout, shown)
    assert count >= 10


@pytest.mark.postgres
@pytest.mark.slow
def test_the_plain_recipe_of_ci(cluster: Cluster, tmp_path: Path) -> None:
    (script,) = re.findall(r"^```sh\n(.*?)^```", CI, re.MULTILINE | re.DOTALL)
    lines = [line for line in script.splitlines() if line.startswith("wakestorm ")]
    assert len(lines) == 3 and len(script.splitlines()) == len(lines) + 3  # the others make the environment
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": cluster.dsn("postgres", cluster.superuser)}
    assert given("wakestorm init .", tmp_path, environment).returncode == 0
    ended = given("\n".join(lines), tmp_path, environment)
    assert ended.returncode == 0, ended.stdout
    assert (tmp_path / "runs" / "latest" / "junit.xml").exists()
