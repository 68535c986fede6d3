"""pytest before a foreign server: MACs of its own for each item, a judge that must see all, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.external_database import each_once
from harness.errors import UsageError
from harness.pytest_plugin import resolve_bench
from harness.pytest_target import BLOCKS, block_of
from tests.support.target_world import SECRETS, TargetWorld, target_world

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0

PHOTO = """\
version: 1
name: One photo
devices:
  yard: {count: "${many}", image: {size: 2kB, chunk: 1kB}, traits: {chunk_spacing: 20ms, ack_wait: 2s, answer_wait: 2s}}
matrix: {many: [1, 2]}
steps:
  - wake: yard
  - expect: {ledger: {who: yard, captured: "${many}"}}
drain: {wakes: 1}
"""
UNSEEN = PHOTO.replace('"${many}"', "3").replace("matrix: {many: [1, 2]}\n", "").replace("2kB", "3kB")
CRASH = UNSEEN.replace("  - expect:", "  - server: crash\n  - expect:")
RECORDED = """
    CREATE TABLE recorded (mac text);
    CREATE FUNCTION record_mac() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO recorded VALUES (NEW.hw_addr); RETURN NEW; END $$;
    CREATE TRIGGER record_mac AFTER INSERT ON cams FOR EACH ROW EXECUTE FUNCTION record_mac();
"""
HIDDEN = """
    ALTER TABLE snaps ENABLE ROW LEVEL SECURITY;
    CREATE POLICY writer_sees ON snaps TO {role}_writer USING (true);
    CREATE POLICY reader_sees ON snaps TO {role}_reader USING (size_total <> 3000);
"""


class GivenOptions:
    """What `resolve_bench` asks of pytest's configuration."""

    def __init__(self, bench: str, target: str) -> None:
        self.option = SimpleNamespace(wakestorm_bench=bench, wakestorm_target=target)

    def getoption(self, name: str) -> Any:
        return getattr(self.option, name.removeprefix("--").replace("-", "_"))


@pytest.fixture
def there(tmp_path: Path, database: object) -> Iterator[TargetWorld]:
    with target_world(tmp_path, database, f"lab_{os.getpid()}") as world:
        yield world


def run_pytest(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "DATABASE_URL")}
    kept |= {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    plugins = ["-p", "xdist.plugin", "-p", "harness.pytest_plugin"]
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *plugins, "-W", "error", "--strict-markers", "-rs", *options],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.postgres
@pytest.mark.slow
def test_items_play_before_a_foreign_server_each_with_macs_of_its_own(tmp_path: Path, there: TargetWorld) -> None:
    there.ask("INSERT INTO cams (hw_addr) VALUES ('b8:f8:62:00:00:01') RETURNING 1")
    there.execute(RECORDED + HIDDEN.format(role=f"lab_{os.getpid()}"))
    for name, text in {"crash": CRASH, "photo": PHOTO, "unseen": UNSEEN}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    target, junit = there.file(tmp_path).name, tmp_path / "junit.xml"
    words = ["-n", "2", "--wakestorm-target", target, "--junitxml", str(junit)]
    done = run_pytest(tmp_path, *words, **there.environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed, 1 skipped" in done.stdout
    cases = {case.get("name"): case for case in ET.parse(junit).iter("testcase")}
    skipped = cases["crash"].find("skipped")
    assert skipped is not None and "crash.yaml:7: steps[1].server" in skipped.get("message", "")
    assert cases["unseen"].find("failure") is not None
    assert "check judge_sees_all" in done.stdout
    assert "wakestorm run unseen.yaml --seed 1 --bench external --target target.toml" in done.stdout
    assert "check left out: states_legal" in done.stdout
    assert "rows of its own cameras deleted after 3 scenarios" in done.stdout
    macs = [mac.replace(":", "") for (mac,) in there.ask("SELECT mac FROM recorded")]
    assert len(macs) == len(set(macs)) == 6
    assert len({int(mac, 16) >> 16 for mac in macs}) == 2, "a block for each process"
    assert there.ask("SELECT hw_addr FROM cams") == [("b8:f8:62:00:00:01",)]
    assert there.ask("SELECT count(*) FROM snaps") == [(0,)]
    assert not any(secret in done.stdout + done.stderr + junit.read_text() for secret in SECRETS)


@pytest.mark.parametrize(
    ("bench", "target", "said"),
    [
        ("external", "", "needs --wakestorm-target FILE"),
        ("embedded", "target.toml", "--wakestorm-target is for --wakestorm-bench external"),
        ("elsewhere", "", "write one of embedded, processes, external"),
        ("", "target.toml", "target.toml:1: broker: is missing"),
    ],
)
def test_options_that_contradict_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bench: str, target: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "target.toml").write_text("")
    with pytest.raises(pytest.UsageError, match=said):
        resolve_bench(GivenOptions(bench, target))


@given(run=st.text(max_size=40), workers=st.sets(st.integers(0, BLOCKS - 1), min_size=2, max_size=8))
def test_no_two_processes_share_a_block(run: str, workers: set[int]) -> None:
    blocks = [block_of(run, f"gw{worker}") for worker in workers]
    assert len({block.start for block in blocks}) == len(workers)
    assert all(0 <= block.start < block.stop <= 1 << 24 for block in blocks)


@given(first=st.integers(0, 1_000), size=st.integers(1, 50), start=st.integers(0, 1 << 32))
def test_each_number_of_a_block_is_given_out_once(first: int, size: int, start: int) -> None:
    block = range(first, first + size)
    assert sorted(each_once(block, start)) == list(block)


def test_more_processes_than_blocks_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 256"):
        block_of("run", f"gw{BLOCKS}")
