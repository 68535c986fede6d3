"""The command line as its users meet it: output, exit codes, and one screen for every mistake; never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import suite
from harness.bench.postgres import Cluster
from harness.events import Event, ScenarioEnded, StepStarted
from harness.loader import load_file
from harness.machine import monotonic_s
from harness.plan import plans_of
from harness.selection import shard_of_scenario
from harness.verdict import Verdict

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 120.0
SCREEN_LINES = 40

TINY = """\
version: 1
name: One photo is stored
tags: [tiny]
devices:
  yard: {count: 1, image: {size: 2kB, chunk: 1kB}}
matrix:
  end: [complete, failed]
steps:
  - wake: yard
  - expect: {rows: {table: device_images, are: [{status: "${end}"}]}}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A folder to give commands in."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.cli", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, **environment: str) -> Ended:
        """A command to its end."""
        prompt = Prompt(self.folder, self.environment | environment)
        with prompt.start(*arguments) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        return Ended(process.returncode, out, err)

    def write(self, name: str, text: str) -> str:
        """A file beside us."""
        (self.folder / name).write_text(text)
        return name


@pytest.fixture
def wakestorm(tmp_path: Path) -> Prompt:
    unset = ("DATABASE_URL", "WAKESTORM_DEBUG", "NO_COLOR")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return Prompt(tmp_path, environment | {"PYTHONPATH": str(ROOT)})


@pytest.fixture
def with_database(wakestorm: Prompt, cluster: Cluster) -> Iterator[Prompt]:
    """The same, on the PostgreSQL of this test run."""
    url = cluster.dsn("postgres", cluster.superuser)
    yield Prompt(wakestorm.folder, wakestorm.environment | {"DATABASE_URL": url})


def assert_refused(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= SCREEN_LINES
    for word in words:
        assert word in ended.err


# -- running ---------------------------------------------------------------------------------------------


def test_a_case_that_passes(with_database: Prompt) -> None:
    file = with_database.write("tiny.yaml", TINY)
    ended = with_database("run", f"{file}::end=complete", "--json", "--seed", "7")
    assert ended.code == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert events[0]["event"] == "SuiteStarted"
    assert events[0]["planned"] == ["tiny.yaml::end=complete"]
    assert [event["kind"] for event in events if event["event"] == "StepStarted"] == ["wake", "expect"]
    assert (events[-1]["event"], events[-1]["verdict"]) == ("SuiteEnded", "PASS")
    folder = with_database.folder / "runs" / "latest"
    names = {"verdict.json", "history.jsonl", "ledger.csv", "junit.xml", "report.html"}
    assert {path.name for path in folder.iterdir()} == names
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["scenarios"][0]["seed"] == 7
    assert verdict["counts"]["passed"] == 1


def test_a_case_that_fails_names_the_command_that_repeats_it(with_database: Prompt) -> None:
    file = with_database.write("tiny.yaml", TINY)
    ended = with_database("run", file, "-k", "end=failed", "--out", "kept")
    assert ended.code == 1, ended.err
    assert ended.out.startswith("FAIL  kept/")
    assert "Traceback" not in ended.err
    assert "tiny.yaml:10 (steps[1])" in ended.err
    assert "Reproduce: wakestorm run tiny.yaml::end=failed --seed 1" in ended.err


def test_max_failures_stops_early_and_shards_share(with_database: Prompt) -> None:
    file = with_database.write("tiny.yaml", TINY.replace("[complete, failed]", "[failed, receiving, complete]"))
    ended = with_database("run", file, "--max-failures", "1", "--workers", "1")
    assert ended.code == 1
    verdict = json.loads((with_database.folder / "runs/latest/verdict.json").read_text())
    assert (verdict["interrupted"], verdict["counts"]["failed"], verdict["counts"]["not_run"]) == (True, 1, 2)
    whole = [f"tiny.yaml::end={end}" for end in ("failed", "receiving", "complete")]
    mine = [scenario for scenario in whole if shard_of_scenario(scenario, 2) == 2]
    assert 0 < len(mine) < len(whole)
    ended = with_database("run", file, "--shard", "2/2", "--json")
    assert json.loads(ended.out.splitlines()[0])["planned"] == mine
    assert json.loads((with_database.folder / "runs/latest/verdict.json").read_text())["order"] == whole


def test_ctrl_c_keeps_what_there_is_and_leaves_no_database(with_database: Prompt) -> None:
    ends = ", ".join(f"complete{number}" for number in range(200))
    text = TINY.replace("[complete, failed]", f"[complete, {ends}]").replace("tags: [tiny]", "time_limit: 300d")
    process = with_database.start("run", with_database.write("tiny.yaml", text), "--json", "--workers", "1")
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["event"] == "ScenarioEnded":
                process.send_signal(signal.SIGINT)
                break
        process.stdout.read()
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    verdict = json.loads((with_database.folder / "runs/latest/verdict.json").read_text())
    assert verdict["interrupted"] is True
    assert 1 <= len(verdict["scenarios"]) < 201


def test_a_worker_that_dies_is_an_error_and_the_others_go_on(with_database: Prompt) -> None:
    with_database.write("deadly.py", "import os\n\n\ndef strike(bench):\n    os._exit(9)\n")
    dying = TINY.replace("matrix:\n  end: [complete, failed]\n", "").replace(
        "  - expect", "  - hook: deadly:strike\n  - expect"
    )
    files = [with_database.write("a.yaml", dying.replace("${end}", "complete")), with_database.write("b.yaml", TINY)]
    ended = with_database("run", files[0], f"{files[1]}::end=complete", "--workers", "1")
    assert ended.code == 70
    assert "the worker process ended by itself with code 9" in ended.err
    assert "Traceback" not in ended.err
    assert "1 passed, 1 broken" in ended.err


def test_a_hook_that_raises_is_an_error_with_its_traceback_in_the_log(with_database: Prompt) -> None:
    with_database.write("broken.py", "def strike(bench):\n    raise LookupError('no such thing')\n")
    text = TINY.replace("matrix:\n  end: [complete, failed]\n", "").replace('"${end}"', "complete")
    file = with_database.write("a.yaml", text.replace("  - expect", "  - hook: broken:strike\n  - expect"))
    ended = with_database("run", file)
    assert ended.code == 70
    assert "LookupError: no such thing" in ended.err
    assert "Traceback" not in ended.err
    assert "Traceback" in (with_database.folder / "runs/latest/errors.log").read_text()


def test_a_scenario_that_hangs_is_ended_at_its_step(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code that never returns: virtual time stands still, and no limit of scenario time is ever looked at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", cluster.dsn("postgres", cluster.superuser))
    (tmp_path / "hung.py").write_text("import threading\n\n\ndef strike(bench):\n    threading.Event().wait()\n")
    text = TINY.replace("matrix:\n  end: [complete, failed]\n", "").replace('"${end}"', "complete")
    (tmp_path / "a.yaml").write_text(text.replace("  - expect", "  - hook: hung:strike\n  - expect"))
    events: list[Event] = []
    began_s = monotonic_s()

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, StepStarted) and event.kind == "hook":
            monkeypatch.setitem(suite.WALL_MAX_S, "embedded", monotonic_s() - began_s + 5.0)

    options = suite.SuiteOptions(errors_log=tmp_path / "errors.log")
    verdict = suite.Suite(plans_of(load_file(Path("a.yaml"))), options, on_event).run()
    (ended,) = [event for event in events if isinstance(event, ScenarioEnded)]
    assert verdict is Verdict.ERROR
    found = ended.result.failures[0].found
    assert found.startswith("no verdict within ")
    assert found.endswith("s of real time; it was ended at a.yaml:8 (steps[1], hook)")
    assert 'hung.py", line 5 in strike' in (tmp_path / "errors.log").read_text()


# -- bad input -------------------------------------------------------------------------------------------

MISTAKES = [
    ("malformed", "version: 1\nname: [unclosed\n", ("bad.yaml:",)),
    ("unknown key", TINY.replace("tags:", "tagz:"), ("bad.yaml:3: tagz:", "did you mean tags?")),
    ("missing unit", TINY.replace("2kB", "2000"), ("bad.yaml:5: devices.yard.image.size:",)),
    ("unknown device", TINY.replace("wake: yard", "wake: yrd"), ("bad.yaml:9: steps[0].wake:", "did you mean yard?")),
]


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
@pytest.mark.parametrize("command", ["lint", "run"])
def test_a_mistake_in_a_scenario(wakestorm: Prompt, command: str, text: str, words: Sequence[str]) -> None:
    assert_refused(wakestorm(command, wakestorm.write("bad.yaml", text)), 64, *words)


def test_sql_that_can_not_run_is_found_before_anything_runs(with_database: Prompt) -> None:
    step = '  - expect: {sql: "SELECT stats FROM device_images", rows: 1}\n'
    column = "  - given: {table: devices, where: {device: yard}, set: {next_wake: null}}\n"
    file = with_database.write("bad.yaml", TINY + step + column)
    ended = with_database("run", file)
    assert_refused(ended, 64, 'bad.yaml:11: steps[2]: PostgreSQL: column "stats" does not exist', "docs/schema.md")
    assert "bad.yaml:12: steps[3]: devices has no column next_wake" in ended.err
    assert not list((with_database.folder / "runs").iterdir())


@pytest.mark.parametrize("command", [["run", "tiny.yaml"], ["db", "verify"], ["db", "migrate"], ["serve"]])
def test_a_database_that_is_not_there(wakestorm: Prompt, command: list[str]) -> None:
    wakestorm.write("tiny.yaml", TINY)
    ended = wakestorm(
        *command, DATABASE_URL="postgresql://somebody:secret@127.0.0.1:1/nowhere", WAKESTORM_HTTP="127.0.0.1:0"
    )
    assert_refused(ended, 3, "127.0.0.1:1", "DATABASE_URL" if command != ["serve"] else "can not be reached")
    assert "secret" not in ended.err


def test_a_broker_that_is_not_there(wakestorm: Prompt) -> None:
    wakestorm.write("tiny.yaml", TINY)
    ended = wakestorm(
        "run", "tiny.yaml", "--bench", "processes", "--broker", "mosquitto", WAKESTORM_MOSQUITTO="/nowhere"
    )
    assert_refused(ended, 3, "no mosquitto broker", "WAKESTORM_MOSQUITTO")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "frobnicate"),
        (["run", "--frobnicate"], "--frobnicate"),
        (["run", "--workers", "none"], "--workers"),
        (["run", "--shard", "3/2", "tiny.yaml"], "--shard 2/4"),
        (["run", "missing.yaml"], "missing.yaml: no such file or folder"),
        (["run", "tiny.yaml::end=compleet"], "did you mean end=complete?"),
        (["run", "tiny.yaml", "-t", "huge"], "wakestorm ls"),
        (["run", "tiny.yaml", "--out", "tiny.yaml/runs"], "--out tiny.yaml/runs"),
        (["serve"], "--database-url"),
        (["serve", "--database-url", "mysql://x"], "postgresql://"),
        (["serve", "--database-url", "postgresql://x", "--mqtt-url", "http://x"], "mqtt://host"),
        (["serve", "--database-url", "postgresql://x", "--http", "80"], "127.0.0.1:8080"),
        (["serve", "--database-url", "postgresql://x", "--insecure-local", "--http", "0.0.0.0:0"], "loopback only"),
        (["user", "list", "--database-url", ""], "DATABASE_URL"),
        (["db", "migrate"], "--database-url"),
    ],
)
def test_a_command_line_that_is_wrong(wakestorm: Prompt, arguments: list[str], words: str) -> None:
    wakestorm.write("tiny.yaml", TINY)
    assert_refused(wakestorm(*arguments), 64, words)


# -- the rest --------------------------------------------------------------------------------------------


def test_lint_and_ls(wakestorm: Prompt) -> None:
    (wakestorm.folder / "scenarios").mkdir()
    wakestorm.write("scenarios/tiny.yaml", TINY)
    assert wakestorm("lint").out == "1 file, 2 scenarios: no mistakes\n"
    lines = [json.loads(line) for line in wakestorm("ls", "--json").out.splitlines()]
    assert [line["id"] for line in lines] == ["scenarios/tiny.yaml::end=complete", "scenarios/tiny.yaml::end=failed"]
    assert lines[0]["tags"] == ["tiny"]


def test_db_verify_and_migrate(with_database: Prompt, wakestorm: Prompt) -> None:
    ended = wakestorm("db", "verify")
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 12  # five of the cameras, seven of the videos
    assert all(line.startswith("ok ") for line in ended.out.splitlines())
    assert with_database("db", "verify").code == 1  # the maintenance database was never migrated
    assert "CREATE TABLE devices" in wakestorm("db", "migrate", "--sql").out


def test_help_imports_nothing_heavy() -> None:
    heavy = {
        "asyncpg",
        "pydantic",
        "yaml",
        "rich",
        "sqlalchemy",
        "alembic",
        "fastapi",
        "PIL",
        "paho",
        "asyncio",
        "msgspec",
    }
    program = (
        "import sys; from harness.cli import exit_code_of\n"
        "exit_code_of(['--help'])\n"
        f"print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)\n"
        "exit_code_of(['run', '--help'])\n"  # typer itself takes pydantic for that
        f"print(sorted({heavy!r} - {{'pydantic'}} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stderr.split() == ["[]", "[]"]
    assert "130 interrupted" in done.stdout
    assert "--max-failures" in done.stdout


def test_version(wakestorm: Prompt) -> None:
    ended = wakestorm("version")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.strip()


def test_a_shell_with_the_demo_takes_the_seeds_statements(wakestorm: Prompt) -> None:
    statement = "SELECT image_name, retry_count FROM timeout_stale_images()"
    late = "UPDATE devices SET next_wake_at = NOW() - INTERVAL '5 minutes'"
    with wakestorm.start("db", "shell", "--demo") as process:
        out, err = process.communicate(f"{late};{statement};", timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert " image_1762625082788.jpg |           1" in out
