"""`wakestorm doctor`: what is wrong is seen, named with its fix, and decides the exit code."""

from __future__ import annotations

import json
import resource
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from harness import cli_doctor, machine_health
from harness.machine_health import Look, examine

SCREEN_COLUMNS = 80
Usage = namedtuple("Usage", "total used free")


def looks(folder: Path, **environ: str) -> dict[str, Look]:
    """All that starts nothing."""
    return {look.what: look for look in examine(environ, folder, start=False)}


def test_this_machine_runs_scenarios(tmp_path: Path) -> None:
    found = looks(tmp_path)
    assert not [look for look in found.values() if look.state == "wall"]
    assert {"version", "open files", "ports", "disk", "clock", "PostgreSQL programs", "serial ports"} <= set(found)
    assert not [look for look in found.values() if look.state != "ok" and not look.fix]


def test_a_low_limit_of_open_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4_096))
    look = looks(tmp_path)["open files"]
    assert (look.state, look.fix) == ("problem", "ulimit -n 4096")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 512))
    assert "as root: ulimit -n 10000" in looks(tmp_path)["open files"].fix, "ulimit -n 512 would mend nothing"
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, -1))
    assert looks(tmp_path)["open files"].state == "note"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 1_000_000))
    found = looks(tmp_path)
    assert found["disk"].state == found["temporary folder"].state == "problem"
    assert "1 MB free" in found["disk"].text and found["shared memory"].state == "note"


def test_a_clock_that_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_health, "unix_ms", lambda: 86_400_000)
    assert looks(tmp_path)["clock"].state == "problem"


def test_a_port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(machine_health, "USUAL_PORTS", {port: "MQTT"})
        assert f"{port} (MQTT)" in looks(tmp_path)["ports"].text
    assert looks(tmp_path)["ports"].state == "ok"


def test_no_postgresql_is_a_wall(tmp_path: Path) -> None:
    look = looks(tmp_path, WAKESTORM_POSTGRES_BIN=str(tmp_path))["PostgreSQL programs"]
    assert look.state == "wall" and "no program `initdb`" in look.text and "pip install" in look.fix


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it, nobody answers
        url = f"postgresql://nobody@127.0.0.1:{closed.getsockname()[1]}/none"
        found = {look.what: look for look in examine({"DATABASE_URL": url}, tmp_path)}
    look = found["PostgreSQL of DATABASE_URL"]
    assert look.state == "wall" and look.fix
    assert found["broker iotcore"].state == "ok"


def test_a_look_that_breaks_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Look:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(machine_health, "_memory", broken)
    assert looks(tmp_path)["broken"] == Look(
        "broken", "problem", "RuntimeError: no such thing", "WAKESTORM_DEBUG=1 shows more"
    )


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("problem", 1), ("wall", 3)])
def test_exit_codes(state: machine_health.State, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = [Look("one", "ok", "fine"), Look("disk", state, "text " * 40, "fix " * 40)]
    assert cli_doctor.told(found, as_json=False) == code
    said = capsys.readouterr().out
    assert max(len(line) for line in said.splitlines()) <= SCREEN_COLUMNS and "-> fix" in said
    assert cli_doctor.told(found, as_json=True) == code
    assert json.loads(capsys.readouterr().out)["ok"] is (code == 0)
