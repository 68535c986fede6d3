"""Scenario files as pytest items, and fixtures `dut`, `board` and `bench` for tests written in Python.

The plugin does nothing to a test that asks for none of them, nor to YAML files that are no scenarios: it adds options
and fixtures, and imports the rest of wakestorm only when they are used. A fixture of the same name in a conftest.py or
a test file hides the one here, as pytest has it.

`board` is one ESP32-S3 with an open console: virtual unless `--dut` names another. `dut` is the same, once for each
device that `--dut` names, `duts` all of them at once. `bench.run` plays a scenario, a file or its text, and fails with
its failures.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from harness.pytest_devices import BenchFixture, BoardFixture
    from harness.pytest_scenarios import ScenarioFile

_USES: Final = pytest.StashKey["list[BoardFixture]"]()
_FIXTURES: Final = frozenset({"board", "dut", "duts", "bench"})
_PACKAGES: Final = ("server", "simulator")
_BENCHES: Final = ("embedded", "processes", "external")
_SUFFIXES: Final = (".yaml", ".yml")
_READ_BYTES: Final = 262_144
_MODELINE: Final = re.compile(rb"^#\s*yaml-language-server:\s*\$schema=\S*\bscenario\.schema\.json\s*$", re.MULTILINE)
_TOP_KEYS: Final = tuple(
    re.compile(rb"^" + key, re.MULTILINE) for key in (rb"version:\s*1\s*(#|$)", b"name:", b"steps:")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, all of which begin with --dut or --wakestorm; one setting."""
    parser.addini(
        "wakestorm_scenarios",
        "which YAML files are scenarios: auto (they look like one), off, or globs from the root folder",
        type="args",
        default=["auto"],
    )
    group = parser.getgroup("wakestorm", "boards and benches of wakestorm")
    group.addoption("--dut", metavar="KINDS", default="virtual", help="virtual, board:ID; several: virtual,virtual")
    group.addoption("--wakestorm-boards", metavar="FILE", default="boards.yaml", help="the inventory that names boards")
    group.addoption("--wakestorm-logs", metavar="DIR", default="", help="a console log for each board of each test")
    group.addoption("--wakestorm-bench", metavar="BENCH", default="", help="embedded (default), processes or external")
    group.addoption("--wakestorm-target", metavar="FILE", default="", help="your own server, for the external bench")
    group.addoption("--wakestorm-retries", metavar="N", type=int, default=0, help="attempts more for what fails")
    group.addoption("--wakestorm-flakes", metavar="FILE", default="", help="the flake ledger; obeys its quarantine")
    group.addoption("--wakestorm-seed", metavar="N", type=int, default=None, help="instead of the scenarios' own")


def pytest_configure(config: pytest.Config) -> None:
    """Makes the mark of all scenarios known."""
    config.addinivalue_line("markers", "wakestorm: a scenario file of wakestorm")
    resolve_bench(config)
    retries, file = config.getoption("--wakestorm-retries"), config.getoption("--wakestorm-flakes")
    if retries > 0 or file:
        explain_clash()
        from harness.errors import UsageError
        from harness.pytest_flakes import Attempts

        try:
            attempts = Attempts(
                retries, Path(file) if file else None, writes=not hasattr(config, "workerinput"), is_ours=is_ours
            )
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        config.pluginmanager.register(attempts, "wakestorm-attempts")


def resolve_bench(config: Any) -> None:
    """Bench and target fit each other. Raises UsageError, also for a target file that is wrong."""
    bench, target = config.getoption("--wakestorm-bench"), config.getoption("--wakestorm-target")
    bench = config.option.wakestorm_bench = bench or ("external" if target else "embedded")
    if bench not in _BENCHES:
        raise pytest.UsageError(f"--wakestorm-bench {bench}: write one of {', '.join(_BENCHES)}")
    if bench != "external":
        if target:
            raise pytest.UsageError("--wakestorm-target is for --wakestorm-bench external")
        return
    if not target:
        raise pytest.UsageError("--wakestorm-bench external needs --wakestorm-target FILE; docs/external.md has one")
    explain_clash()
    from harness.errors import ScenarioError
    from harness.target import read_target

    try:
        read_target(Path(target))
    except ScenarioError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Which target this is aimed at."""
    target = config.getoption("--wakestorm-target")
    return f"wakestorm: external bench, target {target}" if target else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was left in the target, and what it was not held to."""
    if not terminalreporter.config.getoption("--wakestorm-target"):
        return
    from harness.pytest_target import summary_of

    reports = [report for found in terminalreporter.stats.values() for report in found]
    said = [
        text
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, text in report.user_properties
        if name == "target" and isinstance(text, str)
    ]
    if said:
        terminalreporter.section("wakestorm target")
        for line in summary_of(said):
            terminalreporter.line(line)


def is_ours(item: pytest.Item) -> bool:
    """Whether an item is a scenario, or a test that uses a fixture of this file."""
    if item.get_closest_marker("wakestorm") is not None:
        return True
    found: Any = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return any(found[name][-1].func.__module__ == __name__ for name in _FIXTURES & set(found))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """In the controller of xdist: its workers can ask for one PostgreSQL for all."""
    from harness.pytest_cluster import open_door

    open_door(node)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Takes the YAML files that are scenarios, and no others."""
    if file_path.suffix not in _SUFFIXES or not is_scenario(file_path, parent.config):
        return None
    explain_clash()
    from harness.pytest_scenarios import ScenarioFile

    return ScenarioFile.from_parent(parent, path=file_path)


def is_scenario(path: Path, config: pytest.Config) -> bool:
    """Whether a YAML file is one, by its schema's modeline or its top keys; or by the setting's globs."""
    wanted: list[str] = config.getini("wakestorm_scenarios")
    if wanted != ["auto"]:
        inside = path.relative_to(config.rootpath) if path.is_relative_to(config.rootpath) else path
        return any(pattern != "off" and _matches(inside, pattern) for pattern in wanted)
    try:
        with path.open("rb") as file:
            data = file.read(_READ_BYTES)
    except OSError:
        return False
    return bool(_MODELINE.search(data)) or all(key.search(data) for key in _TOP_KEYS)


def _matches(path: Path, pattern: str) -> bool:
    """`scenarios/**/*.yaml` takes files at any depth, also directly in `scenarios`."""
    return any(fnmatch(path.as_posix(), text) for text in (pattern, pattern.replace("**/", "")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of `dut` runs once for each device of --dut."""
    if "dut" in metafunc.fixturenames and _is_ours(metafunc, "dut"):
        devices = _devices(metafunc.config)
        metafunc.parametrize("dut", range(len(devices)), indirect=True, ids=[name for name, _ in devices])


def _devices(config: pytest.Config) -> list[tuple[str, str]]:
    """Name and kind of each device of --dut: `virtual`, or `virtual-1` and so on where there are several."""
    kinds = [kind.strip() for kind in str(config.getoption("--dut")).split(",")]
    virtual = [number for number, kind in enumerate(kinds) if kind == "virtual"]
    numbers = {place: f"-{number}" for number, place in enumerate(virtual, 1)} if len(virtual) > 1 else {}
    return [(kind + numbers.get(place, ""), kind) for place, kind in enumerate(kinds)]


def _is_ours(metafunc: pytest.Metafunc, name: str) -> bool:
    """Whether the fixture that the test would get is this file's."""
    found: Any = metafunc._arg2fixturedefs.get(name)
    return bool(found) and found[-1].func.__module__ == __name__


def explain_clash() -> None:
    """Raises UsageError where another package hides one of wakestorm's."""
    root = Path(__file__).resolve().parents[1]
    for package in _PACKAGES:
        there = _origin(package)
        if Path(there).resolve().parent.parent != root:
            raise pytest.UsageError(
                f"wakestorm needs its own package `{package}`, but Python finds another one:\n"
                f"  {there}\n"
                f"Your project has a package or file called `{package}` that is imported first. Either\n"
                "  - run pytest with --import-mode=importlib and without that folder on sys.path, or\n"
                "  - rename it, or put it into a package of its own, or\n"
                "  - test boards in a folder of their own, with their own conftest.py (python -P -m pytest FOLDER)."
            )


def _origin(package: str) -> str:
    import importlib.util

    spec = importlib.util.find_spec(package)
    if spec is None:
        return "nowhere"
    return spec.origin or str(next(iter(spec.submodule_search_locations or ()), "nowhere"))


@pytest.fixture
def dut(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BoardFixture]:
    """One device of --dut, flashed and dark (virtual), or as it is (board)."""
    with _made(request, tmp_path, request.param) as device:
        yield device


@pytest.fixture
def duts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[BoardFixture, ...]]:
    """All devices of --dut at once, in that order."""
    with ExitStack() as stack:
        places = range(len(_devices(request.config)))
        yield tuple([stack.enter_context(_made(request, tmp_path, place)) for place in places])


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BoardFixture]:
    """The first device of --dut."""
    with _made(request, tmp_path, 0) as device:
        yield device


@contextmanager
def _made(request: pytest.FixtureRequest, tmp_path: Path, place: int) -> Iterator[BoardFixture]:
    explain_clash()
    from harness.pytest_devices import opened_board
    from harness.pytest_flakes import ATTEMPT

    name, kind = _devices(request.config)[place]
    logs = request.config.getoption("--wakestorm-logs")
    test = "".join(letter if letter.isalnum() or letter in "-_.[]" else "-" for letter in request.node.name)
    attempt = request.node.stash.get(ATTEMPT, 1)
    words = [test, name.replace(":", "-"), *([f"attempt-{attempt}"] if attempt > 1 else []), "log"]
    log = (Path(logs) if logs else tmp_path) / ".".join(words)
    inventory = Path(request.config.getoption("--wakestorm-boards"))
    request.node.user_properties.append(("console_log", str(log)))
    with opened_board(kind, inventory, tmp_path / name.replace(":", "-"), log, name=name, place=place) as device:
        request.node.stash.setdefault(_USES, []).append(device)
        yield device
        if not device.has_failed:
            device.console.check(device.since)


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> BenchFixture:
    """Plays scenarios: `bench.run(path or text)`."""
    explain_clash()
    from harness.pytest_devices import BenchFixture

    return BenchFixture(request.config.getoption("--wakestorm-bench"), request.config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a test of a board failed: who is to blame, and the last lines of each console."""
    report = yield
    if not report.failed or not is_ours(item):
        return report
    from harness.blame import of_failed_test

    devices = item.stash.get(_USES, [])
    if call.excinfo is not None:
        shown = {blame for device in devices for blame in device.troubles()}
        blame = of_failed_test(call.excinfo.value, shown, has_board=bool(devices))
        item.user_properties.append(("blame", str(blame)))
        report.user_properties = list(item.user_properties)
    for device in devices:
        device.has_failed = True
        report.sections.append((f"console of {device.name}", "\n".join(device.console.last_lines())))
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The devices of an earlier attempt are no longer there."""
    if _USES in item.stash:
        del item.stash[_USES]
