"""The README can be believed: its scenario passes, its commands exist, its SQL and its camera work with `serve`."""

from __future__ import annotations

import io
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from PIL import Image
from typer.main import get_command

from harness import cli_init
from harness.bench.brokers import BrokerProcess
from harness.bench.postgres import SERVER, Cluster, run_blocking
from harness.cli import EXIT_CODES_HELP, app
from harness.errors import ScenarioError
from harness.events import reproduce_command
from harness.loader import discover, load_bytes, load_file
from harness.plan import plans_of
from harness.verdict import Verdict
from server import dialect_table, state_diagram
from tests.conftest import Database
from tests.support.scenario_runs import played
from tests.support.server_process import ServerProcess

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every `$ wakestorm ...` line of the README, split."""
    lines = [line for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line[2:].partition(" > ")[0]) for line in lines if line.startswith("$ wakestorm")]


@pytest.mark.postgres
def test_the_first_scenario_passes(cluster: Cluster, tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    assert text == cli_init.TEMPLATE.read_text(encoding="utf-8")  # what `wakestorm init` writes
    file = tmp_path / "first.yaml"
    file.write_text(text, encoding="utf-8")
    (plan,) = plans_of(load_file(file))
    ended = played(plan, cluster, tmp_path / "run")
    assert ended.result.verdict is Verdict.PASS, ended.result.failures


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_and_option_exists(command: list[str]) -> None:
    known = get_command(app)
    names = command[1:]
    while names and hasattr(known, "commands"):
        known = known.commands[names.pop(0)]
    options = {option for parameter in known.params for option in parameter.opts}
    if known.name not in ("serve", "board"):  # these take the options of programs of their own
        assert {name for name in names if name.startswith("-")} <= options
    for name in names:
        file, _, case = name.partition("::")
        if file.startswith("scenarios/") and file != "scenarios/first.yaml":
            assert (ROOT / file).exists(), file
            if case:
                assert case in {plan.case.strip("[]") for plan in plans_of(load_file(ROOT / file))}


def test_the_slips_shown_are_what_lint_says() -> None:
    text = cli_init.TEMPLATE.read_text(encoding="utf-8").replace("profile:", "profil:").replace("every: 3h", "every: 3")
    text = text.replace('{who: "yard[0]", at: "chunk[2]', '{who: "yrd[0]", at: "chunk[2]')
    with pytest.raises(ScenarioError) as raised:
        load_bytes(text.encode(), Path("bad.yaml"))
    assert [line for line in README.splitlines() if line.startswith("bad.yaml:")] == str(raised.value).splitlines()[:3]


def test_the_editor_settings_are_those_of_init() -> None:
    assert blocks("json") == [cli_init.settings_text()]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w[\w-]*)", "\n".join(blocks("console")), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_failure_shown_belongs_to_a_scenario_that_exists() -> None:
    (shown,) = re.findall(r"Reproduce: (.*)", README)
    file = shown.split()[2]
    assert ROOT / file in discover([ROOT / "scenarios"])
    assert shown == reproduce_command(file, 1)


def test_exit_codes_are_complete() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == {int(code) for code in re.findall(r"\b(\d+) ", EXIT_CODES_HELP)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_architecture_page_is_short_and_its_files_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    for name in re.findall(r"`((?:server|simulator|harness|firmware_fixtures)/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name


@pytest.mark.postgres
def test_the_sql_maps_a_device_and_the_camera_gets_its_photo_stored(
    migrated_database: Database, tmp_path: Path
) -> None:
    (sql,) = blocks("sql")
    (script,) = blocks("python")
    (tmp_path / "camera.py").write_text(script, encoding="utf-8")
    picture = io.BytesIO()
    Image.effect_noise((160, 120), 80.0).save(picture, "JPEG", quality=80)
    (tmp_path / "photo.jpg").write_bytes(picture.getvalue())

    async def stored(query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(migrated_database.dsn())
        try:
            await connection.execute(sql if query == "" else "SELECT 1")
            return await connection.fetch(query or "SELECT 1")
        finally:
            await connection.close()

    run_blocking(stored(""))
    with BrokerProcess("iotcore", tmp_path / "broker") as broker:
        url = f"mqtt://127.0.0.1:{broker.port}"
        options = ("--database-url", migrated_database.dsn(SERVER), "--mqtt-url", url, "--objects", "photos")
        with ServerProcess(tmp_path, *options) as server:
            assert server.ready_line.startswith("wakestorm serve: ready, ")
            command = [sys.executable, "camera.py", "photo.jpg", str(broker.port)]
            told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
            assert server.end(signal.SIGTERM) == 0
    first, last = told.stdout.splitlines()
    assert first == "{'device_id': 'B8F862F9C1C4', 'capture_image': True}", told.stderr
    assert "next_wake_time" in last
    rows = run_blocking(stored("SELECT status, image_size FROM device_images"))
    assert [tuple(row) for row in rows] == [("complete", len(picture.getvalue()))]


def test_generated_pages_of_the_server_are_current() -> None:
    for module in (state_diagram, dialect_table):
        assert (ROOT / module.PAGE).read_text(encoding="utf-8") == module.page(), f"run: python -m {module.__name__}"
