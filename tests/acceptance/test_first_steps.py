"""The first minutes with wakestorm: --help, --version, completion, init."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from harness import cli_init
from harness.cli_groups import GROUPS
from harness.errors import UsageError
from harness.loader import load_file
from harness.machine import version

ROOT = Path(__file__).parent.parent.parent


def wakestorm(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_first_screen_begins_with_what_a_newcomer_needs(tmp_path: Path) -> None:
    said = wakestorm(tmp_path, "--help").stdout
    sections = [line.rstrip(":") for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections[:2] == ["Options", "Start here"]
    words = [line.split()[0] for line in said.split("Start here:")[1].splitlines() if line.startswith("  ")]
    first = [word for word in words if word in GROUPS["Start here"]]
    assert first[:2] == ["init", "run"]
    assert max(len(line) for line in said.splitlines()) <= 80


def test_version(tmp_path: Path) -> None:
    assert wakestorm(tmp_path, "--version").stdout.strip() == version()


@pytest.mark.parametrize(
    ("line", "expected"),
    [("wakestorm pro", "profiles"), ("wakestorm run --b", "--bench"), ("wakestorm explain expect.ro", "expect.rows")],
)
def test_the_shell_completes(line: str, expected: str, tmp_path: Path) -> None:
    at = str(len(line.split()) - 1)
    ended = wakestorm(tmp_path, COMP_WORDS=line, COMP_CWORD=at, _WAKESTORM_COMPLETE="complete_bash")
    assert expected in ended.stdout.splitlines(), ended.stderr


def test_init_writes_a_scenario_that_its_schema_takes(tmp_path: Path) -> None:
    ended = wakestorm(tmp_path, "init", "mine", "--vscode")
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "mine" / "scenarios"
    schema = json.loads((folder / "scenario.schema.json").read_text())
    text = (folder / "first.yaml").read_text()
    jsonschema.Draft7Validator(schema).validate(yaml.safe_load(text))
    modeline = text.splitlines()[0].rpartition("=")[2]
    assert (folder / modeline).exists()
    settings = json.loads((tmp_path / "mine" / ".vscode" / "settings.json").read_text())
    ((where, what),) = settings["yaml.schemas"].items()
    assert (tmp_path / "mine" / where).exists()
    assert list((tmp_path / "mine").glob(what)) == [folder / "first.yaml"]
    assert len(load_file(folder / "first.yaml").cases) == 1
    assert "wakestorm run scenarios/first.yaml" in ended.stdout
    assert wakestorm(tmp_path / "mine", "lint").stdout == "1 file, 1 scenario: no mistakes\n"


def test_init_writes_over_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli_init.init_command(tmp_path, vscode=False, force=False)
    cli_init.init_command(tmp_path, vscode=True, force=False)  # the same text again is no loss
    file = tmp_path / "scenarios" / "first.yaml"
    file.write_text("mine")
    (tmp_path / "scenarios" / "scenario.schema.json").unlink()
    with pytest.raises(UsageError, match=r"first\.yaml is there already; nothing was written"):
        cli_init.init_command(tmp_path, vscode=False, force=False)
    assert file.read_text() == "mine" and not (tmp_path / "scenarios" / "scenario.schema.json").exists()
    cli_init.init_command(tmp_path, vscode=False, force=True)
    assert file.read_text() == cli_init.TEMPLATE.read_text()
    (tmp_path / ".vscode" / "settings.json").write_text("{}")
    with pytest.raises(UsageError, match=r"add this to it: .yaml\.schemas"):
        cli_init.init_command(tmp_path, vscode=True, force=False)
    capsys.readouterr()
