"""`pytest scenarios/`: YAML files as items, pytest's own options, and other people's files left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster

ROOT = Path(__file__).parents[2]
MODELINE = "# yaml-language-server: $schema=../scenario.schema.json\n"
GOOD = """\
version: 1
name: One photo is stored
tags: [quick, skip, needs-db]
devices: {yard: {image: {size: "${size}", chunk: 1kB}}}
matrix: {size: [2kB, 3kB]}
steps:
  - wake: yard
  - expect: {rows: {table: device_images, are: [{status: complete}]}}
"""
FAILING = (
    GOOD.replace("matrix: {size: [2kB, 3kB]}\n", "")
    .replace('"${size}"', "2kB")
    .replace("complete", "failed")
    .replace("quick, ", "")
)
TYPO = FAILING.replace("are: [{status: failed}]", "are: [{state: failed}]")
FOREIGN = {
    "ci.yml": "name: ci\non: push\njobs: {}\n",
    "compose.yaml": "version: '3'\nservices: {}\n",
    "pipeline.yaml": "name: build\nsteps:\n  - script: make\n",
    "other.yaml": "version: 1\nname: x\n  steps: [\n",
    "version.yaml": "version: 12\nname: x\nsteps: []\n",
}
LOADED = """
import sys

def pytest_sessionfinish(session):
    heavy = ("harness.scenario", "harness.pytest_scenarios", "simulator", "server", "asyncpg", "pydantic", "yaml")
    print("loaded:", [name for name in heavy if name in sys.modules])
"""


def run_pytest(folder: Path, *options: str, url: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DATABASE_URL": url, "COLUMNS": "100"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # others of this environment take seconds to import
    environment.pop("PYTEST_ADDOPTS", None)
    plugins = ["-p", "xdist.plugin", "-p", "harness.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *plugins, "-W", "error", "--strict-markers", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "scenarios" / "good.yaml").write_text(GOOD)
    (tmp_path / "scenarios" / "failing.yaml").write_text(FAILING)
    return tmp_path


def collected(folder: Path, *options: str) -> list[str]:
    said = run_pytest(folder, "--collect-only", "-q", *options).stdout
    return [line for line in said.splitlines() if "::" in line]


def test_foreign_yaml_is_left_alone_and_nothing_heavy_is_imported(tmp_path: Path) -> None:
    for name, text in FOREIGN.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "conftest.py").write_text(LOADED)
    (tmp_path / "test_mine.py").write_text("def test_mine(): pass\n")
    ended = run_pytest(tmp_path, "-q", "-s")
    assert "1 passed" in ended.stdout and "loaded: []" in ended.stdout, ended.stdout


def test_the_plugin_itself_imports_next_to_nothing() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import harness.pytest_plugin; print(*set(sys.modules) - before)"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert {name for name in said.split() if not name.startswith("_")} <= {"harness", "harness.pytest_plugin"}


def test_items_are_cases_and_tags_are_marks(project: Path) -> None:
    good = ["scenarios/good.yaml::size=2kB", "scenarios/good.yaml::size=3kB"]
    failing = "scenarios/failing.yaml::failing"
    assert collected(project, "scenarios") == [failing, *good]
    assert collected(project, "-m", "quick", good[1]) == good[1:]
    assert collected(project, "-m", "needs-db and tag_skip and wakestorm and not quick") == [failing]
    assert collected(project, "-k", "stored and 3kB", "scenarios/good.yaml") == good[1:]


def test_a_setting_says_what_is_collected(project: Path) -> None:
    (project / "deep" / "er").mkdir(parents=True)
    (project / "deep" / "er" / "mine.yaml").write_text("version: 1\n")
    assert collected(project, "-o", "wakestorm_scenarios=off") == []
    ended = run_pytest(project, "-q", "--collect-only", "-o", "wakestorm_scenarios=deep/**/*.yaml scenarios/**/g*.yaml")
    assert "\ndeep/er/mine.yaml:1: name: is required" in ended.stdout
    assert "scenarios/good.yaml::size=2kB" in ended.stdout and "failing" not in ended.stdout
    assert "Traceback" not in ended.stdout


@pytest.mark.postgres
@pytest.mark.slow
def test_a_run_in_parallel_says_what_failed_without_a_traceback(project: Path, cluster: Cluster) -> None:
    (project / "scenarios" / "typo.yaml").write_text(MODELINE + TYPO)
    (project / "test_python.py").write_text(
        "def test_bench(bench):\n    assert bench.run('scenarios/good.yaml')[0].result.counts.images_stored == 2\n"
    )
    url = cluster.dsn("postgres", cluster.superuser)
    ended = run_pytest(project, "-n", "2", "--junitxml", "junit.xml", "-rA", "--durations=3", url=url)
    assert "2 failed, 3 passed" in ended.stdout, ended.stdout
    assert "PASSED test_python.py::test_bench" in ended.stdout
    assert "One photo is stored" in ended.stdout
    assert "Reproduce: wakestorm run scenarios/failing.yaml --seed 1" in ended.stdout
    assert "scenarios/typo.yaml:8: steps[1]: device_images has no column state (did you mean status?)" in ended.stdout
    assert "harness/" not in ended.stdout and "Traceback" not in ended.stdout
    cases = {case.get("name"): case for case in ET.parse(project / "junit.xml").iter("testcase")}
    assert set(cases) == {"failing", "typo", "size=2kB", "size=3kB", "test_bench"}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["failing", "typo"]
    assert {item.get("name") for item in cases["failing"].iter("property")} == {"scenario", "seed", "blame"}
    again = run_pytest(project, "--lf", "-x", "-q", url=url)
    assert "stopping after 1 failures" in again.stdout and "1 failed" in again.stdout, again.stdout
