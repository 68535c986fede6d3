"""`wakestorm report`, `diff` and `replay` on a real run: what is the same, what differs, and who says so."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.postgres import Cluster
from harness.cli import exit_code_of

TINY = """\
version: 1
name: One photo is stored
devices:
  yard: {count: 1, image: {size: 2kB, chunk: 1kB}}
matrix:
  end: [complete, failed]
steps:
  - wake: yard
    faults:
      - {who: yard, at: "chunk[0].sent", do: {delay: 2s}}
  - expect: {rows: {table: device_images, are: [{status: "${end}"}]}}
"""
PASSED, FAILED = "tiny.yaml::end=complete", "tiny.yaml::end=failed"


@pytest.fixture(scope="module")
def ran(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which both cases were run once; the tests work on copies of the run."""
    folder, before = tmp_path_factory.mktemp("ran"), Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", cluster.dsn("postgres", cluster.superuser))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(before), os.environ.get("PYTHONPATH", "")]))
        patch.chdir(folder)
        (folder / "tiny.yaml").write_text(TINY)
        assert exit_code_of(["run", "tiny.yaml"]) == 1
        yield folder


def copied(folder: Path, name: str) -> Path:
    target = folder / "runs" / name
    shutil.copytree((folder / "runs" / "latest").resolve(), target)
    return target


@pytest.mark.postgres
def test_a_run_leaves_its_report_and_the_report_is_made_again(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latest = ran / "runs" / "latest"
    first = (latest / "report.html").read_text()
    assert first.count("<svg") == 2 and "status is complete, expected failed" in first
    assert "image_1.jpg complete 2/2" in first, "the witness saw the rows"
    assert "chunk[0].sent" in first and "data:image/jpeg;base64," in first
    (latest / "report.html").unlink()
    assert exit_code_of(["report"]) == 0
    assert re.fullmatch(r"runs/latest/report\.html  \([1-9]\d* kB\)\n", capsys.readouterr().out)
    assert (latest / "report.html").read_text() == first


@pytest.mark.postgres
def test_the_failure_in_the_terminal_shows_the_whole_story(ran: Path) -> None:
    document = json.loads((ran / "runs/latest/verdict.json").read_text())
    failure = next(item for item in document["scenarios"] if item["verdict"] == "FAIL")["failures"][0]
    assert failure["found"] == "status is complete, expected failed"
    assert any(line.startswith("> 11 |") for line in failure["excerpt"])
    trace = "\n".join(failure["trace"])
    assert trace.split("\n")[0].split() == ["device", "server", "database"]
    for part in ("HELLO", "X## chunk[0].sent", "image_1 complete 2/2", "!!! steps[1] expect fails here"):
        assert part in trace, part


@pytest.mark.postgres
def test_a_replay_that_is_the_same(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["replay"]) == 1, "the failed case fails again"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[::2]] == [PASSED, FAILED]
    assert all(line.strip().startswith("the same history, ") for line in lines[1::2])


@pytest.mark.postgres
def test_a_replay_that_differs_is_not_passed(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = copied(ran, "changed")
    lines = (run / "history.jsonl").read_text().splitlines()
    place = next(n for n, line in enumerate(lines) if PASSED in line and '"kind":"capture"' in line)
    lines[place] = lines[place].replace('"offline":false', '"offline":true')
    (run / "history.jsonl").write_text("\n".join(lines) + "\n")
    assert exit_code_of(["replay", f"runs/changed:{PASSED}"]) == 2
    out = capsys.readouterr().out
    assert "DIFFERS" in out and "offline true before, false now" in out
    assert f"line {place + 1}:" in out


@pytest.mark.postgres
def test_diff_names_what_changed(ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["diff", "runs/latest", "runs/latest"]) == 0
    run = copied(ran, "other")
    document = json.loads((run / "verdict.json").read_text())
    document["scenarios"][0]["verdict"] = "FAIL"
    (run / "verdict.json").write_text(json.dumps(document))
    capsys.readouterr()
    assert exit_code_of(["diff", "runs/other"]) == 1
    assert f"FAIL -> PASS  {PASSED}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "nowhere"], "nowhere: no run stands there"),
        (["diff", "nowhere"], "nowhere: no run stands there"),
        (["replay", "nowhere:x"], "nowhere: no run stands there"),
        (["replay", "runs/latest:nothing"], "no scenario 'nothing' was run"),
        (["replay", "runs/latest:tiny"], "2 scenarios have 'tiny' in their id"),
    ],
)
@pytest.mark.postgres
def test_what_is_not_there(ran: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(arguments) == 64
    assert words in capsys.readouterr().err
