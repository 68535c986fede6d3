"""Fleets before a server that is not wakestorm's: own tables, own topics, a login and TLS; judged, and cleaned up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.bench.external_database import OWN_NUMBERS
from harness.cli import exit_code_of
from harness.fleet.target_bench import free_block
from tests.support.target_world import SECRETS, TargetWorld, target_world
from tests.support.tls_door import TlsDoor, server_context

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
SHORT = ("--wake-every", "1s", "--for", "1s", "--image", "2kB", "--chunk", "1kB", "--pause", "10ms")


@pytest.fixture
def there(
    tmp_path: Path, database: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[TargetWorld]:
    """The second server with the defect named, and a camera and a photo of somebody else's."""
    monkeypatch.chdir(tmp_path)
    with target_world(tmp_path, database, f"lab_{os.getpid()}", getattr(request, "param", "")) as world:
        for name, value in world.environment.items():
            monkeypatch.setenv(name, value)
        world.ask("INSERT INTO cams (hw_addr) VALUES ('b8:f8:62:00:00:01') RETURNING 1")
        world.ask(
            "INSERT INTO snaps (cam_no, filename, taken, size_total, parts_total)"
            " VALUES (1, 'image_1.jpg', now(), 1, 1) RETURNING 1"
        )
        yield world


def fleet(*arguments: str) -> int:
    return exit_code_of(["fleet", "--target", "target.toml", *SHORT, *arguments])


def test_a_fleet_over_tls_is_judged_in_foreign_tables_and_leaves_none_of_its_rows(
    tmp_path: Path, there: TargetWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    with TlsDoor(there.port, server_context(tmp_path)) as door:
        path = there.file(tmp_path)
        text = path.read_text().replace(f"mqtt://127.0.0.1:{there.port}", f"mqtts://127.0.0.1:{door.port}")
        path.write_text(text.replace("[broker]", '[broker]\nca = "ca.crt"'))
        codes = [
            fleet("--bench", "external", "--devices", "6", "--out", "paho"),
            fleet("--devices", "6", "--link", "raw", "--shards", "2", "--fault", "cut=100%", "--out", "raw"),
        ]
    out, err = capfd.readouterr()
    assert codes == [0, 0], out + err
    summary = json.loads((tmp_path / "paho" / "latest" / "fleet.json").read_text())
    assert (summary["ledger"]["captured"], summary["ledger"]["stored"]) == (6, 6)
    assert "6 photos: 6 stored" in out
    assert err.count("deleted from the target: 6 rows of cams, 6 rows of snaps") == 2
    assert there.ask("SELECT hw_addr FROM cams") == [("b8:f8:62:00:00:01",)]
    assert there.ask("SELECT count(*) FROM snaps") == [(1,)]
    ledgers = [(tmp_path / name / "latest" / "ledger.csv").read_text().splitlines() for name in ("paho", "raw")]
    assert [line.split(",")[6:8] for line in ledgers[0]] == [line.split(",")[6:8] for line in ledgers[1]]
    kept = [path for path in tmp_path.glob("*/*/*") if path.is_file() and path.parent.parent.name in ("paho", "raw")]
    assert len(kept) > 6
    for secret in SECRETS:
        assert not any(secret.encode() in path.read_bytes() for path in kept)
        assert secret not in out + err


@pytest.mark.parametrize(
    ("there", "said"),
    [("flips", "damaged"), ("forgets", "lost")],
    indirect=["there"],
)
def test_a_broken_server_fails_and_without_a_writer_its_rows_are_named(
    tmp_path: Path, there: TargetWorld, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    there.file(tmp_path, writer=False)
    assert fleet("--devices", "3") == 1
    out, err = capfd.readouterr()
    assert f"3 photos {said}" in out
    assert "left in the target: 3 rows of cams" in err
    assert "database.writer" in err


def test_what_can_not_be_is_refused_before_anything_runs(
    tmp_path: Path, there: TargetWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    path = there.file(tmp_path)
    for words, code, said in (
        (["--broker", "mosquitto"], 64, "--broker mosquitto: the target says"),
        (["--bench", "processes"], 64, "--target is for --bench external"),
        (["--bench", "embedded"], 64, "wakestorm soak"),
        (["--profile", "esp32s3-cam@2025.10"], 64, "the target takes v3.5.0"),
    ):
        assert fleet(*words) == code, words
        assert said in capfd.readouterr().err
    assert exit_code_of(["fleet", "--bench", "external"]) == 64
    path.write_text(path.read_text().replace(f":{there.port}", ":1"))
    assert fleet("--devices", "1") == 3
    assert "the target's broker 127.0.0.1:1" in capfd.readouterr().err
    assert not (tmp_path / "runs" / "latest").exists()


def test_macs_are_a_block_that_nobody_has() -> None:
    assert free_block(5, 100, []) == 100
    assert free_block(5, 100, [102]) == 103
    assert free_block(5, 100, [50, 106]) == 100
    assert free_block(5, OWN_NUMBERS - 2, [3]) == 4
    assert free_block(OWN_NUMBERS, 7, []) == 0
    assert free_block(OWN_NUMBERS, 7, [9]) is None
