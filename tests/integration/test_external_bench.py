"""The external bench before a server that is not wakestorm's: own tables, own topics, a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.bench.brokers import BrokerProcess
from harness.cli import exit_code_of
from tests.support.server_process import ServerProcess
from tests.support.target_world import SECRETS, TARGET, TargetWorld, target_world, url_of

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 180.0
pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CUT = """\
version: 1
name: A transfer that is cut goes on, and a lost ack doubles nothing
devices:
  yard: {count: 2, image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 20ms, ack_wait: 2s, answer_wait: 2s}}
steps:
  - wake: yard
    faults:
      - {who: "yard[0]", at: "chunk[1].sent", do: cut}
      - {who: "yard[1]", at: ack_ok.received, do: lose}
  - expect: {queue: {who: "yard[1]", pending: 1}}
  - advance: next_wake
  - expect: {eventually: 30s, sleeping: yard}
  - expect: {sql: "SELECT count(*) FROM device_images JOIN devices USING (device_id) WHERE status = 'complete'", equals: 2}
  - expect: {rows: {table: device_images, where: {device: "yard[0]", status: complete}, count: 1}}
  - expect: {message: {to: "yard[1]", topic: ack, contains: {image_name: image_1.jpg}, count: {min: 1}}, since: start}
"""  # noqa: E501
PHOTO = """\
version: 1
name: One photo
devices:
  yard: {count: 1, image: {size: 2kB, chunk: 1kB}, traits: {chunk_spacing: 20ms, ack_wait: 2s, answer_wait: 2s}}
steps:
  - wake: yard
  - expect: {ledger: {who: yard, captured: 1}}
drain: {wakes: 1}
"""
CRASH = PHOTO.replace("  - expect:", "  - server: crash\n  - expect:")
LOG = PHOTO.replace("  - expect: {ledger: {who: yard, captured: 1}}", '  - expect: {log: {contains: "[Ingest]"}}')
SESSIONS = PHOTO.replace(
    "  - expect: {ledger: {who: yard, captured: 1}}", "  - expect: {rows: {table: device_wake_sessions, count: 1}}"
)
MISSING_COLUMN = PHOTO.replace(
    "  - expect: {ledger: {who: yard, captured: 1}}",
    '  - expect: {sql: "SELECT retry_count FROM device_images", rows: 1}',
)
HOURS = PHOTO.replace("  - wake: yard", "  - wake: yard\n  - advance: 3h")

REFERENCE = """\
[broker]
url = "mqtt://127.0.0.1:{port}"
[database]
url = "{url}"
reader = {{user_variable = "LAB_READER", password_variable = "LAB_READER_PASSWORD"}}
writer = {{user_variable = "LAB_WRITER", password_variable = "LAB_WRITER_PASSWORD"}}
[devices]
registered_by = "writer"
row = {{provisioning_status = "mapped", wake_schedule_cron = "0 */3 * * *", device_type = "virtual"}}
[store]
folder = "objects"
"""

World = Callable[..., TargetWorld]


@pytest.fixture
def world(tmp_path: Path, database: object) -> Iterator[World]:
    """Starts broker and second server; ends them after the test."""
    with ExitStack() as ends:

        def start(defect: str = "") -> TargetWorld:
            return ends.enter_context(target_world(tmp_path, database, f"lab_{os.getpid()}", defect))

        yield start


def run(folder: Path, target: Path, world: TargetWorld, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`wakestorm run --bench external` in that folder."""
    return command(folder, world.environment, "--bench", "external", "--target", target.name, *arguments)


def command(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "harness.cli", "run", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def scenario(folder: Path, name: str, text: str) -> str:
    path = folder / "mine" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path.relative_to(folder).as_posix()


def verdicts(folder: Path) -> dict[str, str]:
    document = json.loads((folder / "runs" / "latest" / "verdict.json").read_text())
    return {Path(one["file"]).stem: one["verdict"] for one in document["scenarios"]}


def test_a_foreign_server_is_judged_and_left_as_it_was(tmp_path: Path, world: World) -> None:
    there = world()
    there.ask("INSERT INTO cams (hw_addr) VALUES ('b8:f8:62:00:00:01') RETURNING 1")
    there.ask(
        "INSERT INTO snaps (cam_no, filename, taken, size_total, parts_total) VALUES (1, 'image_1.jpg', now(), 1, 1)"
        " RETURNING 1"
    )
    for name, text in {"cut": CUT, "crash": CRASH, "log": LOG, "sessions": SESSIONS, "hours": HOURS}.items():
        scenario(tmp_path, name, text)
    scenario(tmp_path, "column", MISSING_COLUMN)
    done = run(tmp_path, there.file(tmp_path), there, "mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(tmp_path) == {"cut": "PASS"}
    document = json.loads((tmp_path / "runs" / "latest" / "verdict.json").read_text())
    reasons = {Path(one["scenario"]).stem: one["reason"] for one in document["not_for_dut"]}
    assert "is not to be struck" in reasons["crash"]
    assert "log is not to be seen" in reasons["log"]
    assert "has no device_wake_sessions" in reasons["sessions"]
    assert "retry_count" in reasons["column"]
    assert "real time" in reasons["hours"]
    assert "check left out: states_legal" in done.stderr
    assert "deleted from the target: 2 rows of cams" in done.stderr
    assert there.ask("SELECT hw_addr FROM cams") == [("b8:f8:62:00:00:01",)]
    assert there.ask("SELECT count(*) FROM snaps") == [(1,)]
    kept = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert len(kept) > 3
    for secret in SECRETS:
        assert not any(secret.encode() in path.read_bytes() for path in kept)
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("defect", "text", "check"),
    [
        ("doubles", CUT, "no_doubled_image"),
        ("flips", PHOTO, "no_damaged_image"),
        ("forgets", PHOTO, "released_is_stored"),
    ],
)
def test_a_foreign_server_that_is_broken_fails(
    tmp_path: Path, world: World, defect: str, text: str, check: str
) -> None:
    there = world(defect)
    name = scenario(tmp_path, "cut", text)
    done = run(tmp_path, there.file(tmp_path, writer=False), there, name)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"check {check}" in done.stderr
    assert "left in the target:" in done.stderr
    if defect == "doubles":
        assert re.search(r"server +database\n", done.stderr), "the diagram shows where rows changed"
        assert re.search(r"\|-+ image_1\S* complete", done.stderr)
    assert "--bench external --target target.toml" in done.stderr


def test_options_that_contradict_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target.toml").write_text("")
    photo = scenario(tmp_path, "photo", PHOTO)
    for words, said in {
        ("run", "--bench", "external"): "needs --target FILE",
        ("run", "--bench", "embedded", "--target", "target.toml"): "--target is for --bench external",
        ("run", "--target", "target.toml", "--dut", "virtual"): "simulated cameras only",
        ("run", "--target", "target.toml", "--retries", "2"): "--retries is not for --bench external",
        ("run", "--target", "target.toml"): "target.toml:1: broker: is missing",
        ("lint", "--bench", "external"): "--bench external and --target FILE go together",
    }.items():
        assert exit_code_of([*words, photo]) == 64
        assert said in capsys.readouterr().err


def test_lint_says_what_a_target_does_not_allow_without_asking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target.toml").write_text(TARGET.format(port=1, url="postgresql://nowhere.invalid/x", writer=""))
    assert exit_code_of(["lint", "--target", "target.toml", scenario(tmp_path, "photo", PHOTO)]) == 0
    assert exit_code_of(["lint", "--target", "target.toml", scenario(tmp_path, "crash", CRASH)]) == 64
    assert "mine/crash.yaml:7: steps[1].server: server: crash" in capsys.readouterr().err
    cases = CRASH.replace("devices:", "matrix: {n: [1, 2, 3]}\ndevices:").replace("count: 1,", 'count: "${n}",')
    assert exit_code_of(["lint", "--target", "target.toml", scenario(tmp_path, "cases", cases)]) == 64
    said = capsys.readouterr().err
    assert said.count("server: crash") == 1 and "[in all 3 cases]" in said
    waiting = cases.replace("server: crash", 'advance: "${n}0s"')
    assert exit_code_of(["lint", "--target", "target.toml", scenario(tmp_path, "some", waiting)]) == 64
    assert "[in 1 of 3 cases]" in capsys.readouterr().err


def test_the_reference_server_is_a_target_too(tmp_path: Path, migrated_database: Any) -> None:
    cluster, name = migrated_database.cluster, migrated_database.name
    logins = {"LAB_READER": "ws_reader", "LAB_WRITER": "ws_owner"}
    passwords = {f"{key}_PASSWORD": cluster.password_of(role) or "none" for key, role in logins.items()}
    objects = tmp_path / "objects"
    (tmp_path / "target.toml").write_text(REFERENCE.format(port="{port}", url=url_of(cluster, name)))
    cut = scenario(tmp_path, "cut", CUT.replace("equals: 2", "equals: 3"))  # a new photo beside the old one
    with BrokerProcess("iotcore", tmp_path / "broker") as broker:
        text = (tmp_path / "target.toml").read_text()
        (tmp_path / "target.toml").write_text(text.replace("{port}", str(broker.port)))
        options = ["--database-url", migrated_database.dsn("ws_server"), "--objects", str(objects)]
        with ServerProcess(tmp_path, *options, "--mqtt-url", f"mqtt://127.0.0.1:{broker.port}"):
            done = command(tmp_path, logins | passwords, "--target", "target.toml", cut)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 images captured: 5 stored" in done.stderr
    assert "states_legal" not in done.stderr
    assert "deleted from the target: 2 rows of devices" in done.stderr


def test_a_broker_that_is_not_there_ends_the_run(tmp_path: Path, world: World) -> None:
    there = world()
    path = there.file(tmp_path)
    path.write_text(path.read_text().replace(f"127.0.0.1:{there.port}", "127.0.0.1:1"))
    done = run(tmp_path, path, there, scenario(tmp_path, "photo", PHOTO))
    assert done.returncode == 3, done.stderr
    assert "the target's broker 127.0.0.1:1" in done.stderr


def test_a_named_file_must_fit(tmp_path: Path, world: World) -> None:
    there = world()
    done = run(tmp_path, there.file(tmp_path), there, scenario(tmp_path, "crash", CRASH))
    assert done.returncode == 64, done.stderr
    assert "mine/crash.yaml:7: steps[1].server: server: crash" in done.stderr
    assert there.ask("SELECT count(*) FROM cams") == [(0,)]


def test_an_interrupted_run_cleans_up_too(tmp_path: Path, world: World) -> None:
    there = world()
    name = scenario(tmp_path, "long", PHOTO.replace("drain: {wakes: 1}", "drain: {wakes: 5}"))
    target = there.file(tmp_path)
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.cli", "run", "--target", target.name, name],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | there.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        while running.poll() is None and not there.ask("SELECT 1 FROM snaps"):
            pass  # each look is a connection of its own
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=PATIENCE_S)
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "deleted from the target: 1 row of cams" in said
    assert there.ask("SELECT count(*) FROM cams") == [(0,)]
