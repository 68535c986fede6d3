"""What `wakestorm doctor` looks at: this machine, its limits, PostgreSQL, brokers. Each finding names its fix."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final, Literal

from harness.machine import architecture, monotonic_s, python_version, unix_ms, version

State = Literal["ok", "note", "problem", "wall"]
"""`note`: something optional is missing; `problem`: it will hurt; `wall`: scenarios can not run at all."""

PYTHON_MIN: Final = (3, 11)
OPEN_FILES_MIN: Final = 1_024
OPEN_FILES_GOOD: Final = 10_000
DISK_FREE_MIN_BYTES: Final = 500_000_000
SHARED_MEMORY_NEEDED_BYTES: Final = 1_000_000_000
MEMORY_PER_WORKER_BYTES: Final = 300_000_000
EPHEMERAL_PORTS_GOOD: Final = 20_000
USUAL_PORTS: Final = {1883: "MQTT", 8080: "the HTTP address of `wakestorm serve`"}
ZONE: Final = "Europe/Berlin"
NOT_ON_THIS_MACHINE: Final = "not to be known on this system"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the machine. `fix` is what to do, empty where all is well."""

    what: str
    state: State
    text: str
    fix: str = ""


def examine(environ: Mapping[str, str], folder: Path, *, start: bool = True) -> Iterator[Look]:
    """All looks, one after another; with `start` PostgreSQL and the broker are started for real. Never raises."""
    looks: list[Callable[[], Look]] = [
        _python,
        _packages,
        _machine,
        _memory,
        lambda: _disk("disk", folder),
        lambda: _disk("temporary folder", Path(tempfile.gettempdir())),
        _shared_memory,
        _open_files,
        _ephemeral_ports,
        _usual_ports,
        _clock,
        _time_zones,
        lambda: _postgres_programs(environ),
    ]
    if start:
        looks += [lambda: _postgres(environ), lambda: _broker_starts(environ)]
    looks += [lambda: _mosquitto(environ), _serial_ports]
    for look in looks:
        try:
            yield look()
        except Exception as error:  # a look that fails is a finding too
            name = getattr(look, "__name__", "look").strip("_<>").replace("_", " ")
            yield Look(name, "problem", f"{type(error).__name__}: {error}", "WAKESTORM_DEBUG=1 shows more")


def _python() -> Look:
    text = f"wakestorm {version()}, Python {python_version()}, {architecture()}"
    if sys.version_info < PYTHON_MIN:
        return Look("version", "wall", text, "install Python 3.11 or later, and a new virtual environment with it")
    return Look("version", "ok", text)


def _packages() -> Look:
    wanted = [line for line in metadata.requires("wakestorm") or () if "extra ==" not in line]
    names = [line.split(";")[0].split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip() for line in wanted]
    missing = []
    for name in names:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Look("packages", "wall", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Look("packages", "ok", f"all {len(names)} are installed")


def _machine() -> Look:
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    text = f"{cores} cores, load {load:.1f}"
    if load > 2 * cores:
        return Look("processor", "note", text, "other programs keep it busy: runs in real time may be late")
    return Look("processor", "ok", text)


def _memory() -> Look:
    lines = Path("/proc/meminfo").read_text().splitlines()
    free_bytes = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    needed = MEMORY_PER_WORKER_BYTES * len(os.sched_getaffinity(0))
    text = f"{_size(free_bytes)} free"
    if free_bytes < needed:
        return Look("memory", "problem", f"{text}, {_size(needed)} needed", "close programs, or run with --workers 1")
    return Look("memory", "ok", text)


def _disk(what: str, folder: Path) -> Look:
    free_bytes = shutil.disk_usage(folder).free
    text = f"{_size(free_bytes)} free in {folder.resolve()}"
    if not os.access(folder, os.W_OK):
        return Look(
            what, "problem", f"{folder.resolve()} can not be written to", "run where you may write; or --out DIR"
        )
    if free_bytes < DISK_FREE_MIN_BYTES:
        fix = "make room, or set TMPDIR to another folder" if what != "disk" else "make room: old runs/ may go"
        return Look(what, "problem", f"{text}, {_size(DISK_FREE_MIN_BYTES)} needed", fix)
    return Look(what, "ok", text)


def _shared_memory() -> Look:
    folder = Path("/dev/shm")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Look("shared memory", "note", "none", "PostgreSQL works on disk instead, which is slower")
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < SHARED_MEMORY_NEEDED_BYTES:
        text = f"{_size(free_bytes)} free, PostgreSQL works there from {_size(SHARED_MEMORY_NEEDED_BYTES)} on"
        return Look("shared memory", "note", text, "in a container: --shm-size=2g; it works on disk meanwhile")
    return Look("shared memory", "ok", f"{_size(free_bytes)} free, PostgreSQL works there")


def _open_files() -> Look:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"ulimit -n {_limit(soft)} (at most {_limit(hard)})"
    raised = f"ulimit -n {min(hard, OPEN_FILES_GOOD) if hard > 0 else OPEN_FILES_GOOD}"
    if 0 <= hard < OPEN_FILES_MIN:
        raised = f"as root: ulimit -n {OPEN_FILES_GOOD}; or raise nofile in /etc/security/limits.conf and log in again"
    if 0 <= soft < OPEN_FILES_MIN:
        return Look("open files", "problem", f"{text}, {OPEN_FILES_MIN} needed", raised)
    if 0 <= soft < OPEN_FILES_GOOD:
        return Look("open files", "note", f"{text}: room for about {soft // 2 - 100} cameras with sockets", raised)
    return Look("open files", "ok", text)


def _ephemeral_ports() -> Look:
    path = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not path.exists():
        return Look("ephemeral ports", "ok", NOT_ON_THIS_MACHINE)
    low, high = (int(word) for word in path.read_text().split())
    text = f"{low} to {high}, {high - low + 1} of them"
    if high - low + 1 < EPHEMERAL_PORTS_GOOD:
        fix = "sudo sysctl -w net.ipv4.ip_local_port_range='10240 65535'"
        return Look("ephemeral ports", "note", f"{text}: as many connections at a time", fix)
    return Look("ephemeral ports", "ok", text)


def _usual_ports() -> Look:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # raises where loopback is not to be had
    taken = [f"{port} ({what})" for port, what in USUAL_PORTS.items() if _answers(port)]
    if taken:
        fix = "no harm for scenarios, which take free ports; for `serve` name others: --http 127.0.0.1:0"
        return Look("ports", "note", f"in use: {', '.join(taken)}", fix)
    return Look("ports", "ok", f"loopback works; {' and '.join(map(str, USUAL_PORTS))} are free")


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _clock() -> Look:
    newest_s = Path(__file__).stat().st_mtime
    if unix_ms() < (newest_s - 86_400) * 1_000:
        text = "this machine's clock is behind wakestorm's own files"
        return Look("clock", "problem", text, "set it (sudo date -s ..., or start a time service)")
    return Look("clock", "ok", "not behind wakestorm's own files; scenarios have a time of their own")


def _time_zones() -> Look:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(ZONE)
    except ZoneInfoNotFoundError:
        return Look("time zones", "problem", f"{ZONE} is not known", "pip install tzdata")
    return Look("time zones", "ok", f"{ZONE} is known")


def _postgres_programs(environ: Mapping[str, str]) -> Look:
    from harness.bench.postgres import URL_VARIABLE
    from harness.bench.postgres_binaries import resolve_binaries
    from harness.errors import BenchUnavailable

    if environ.get(URL_VARIABLE):
        return Look("PostgreSQL programs", "ok", f"not needed: {URL_VARIABLE} names a server")
    try:
        found = resolve_binaries(environ)
    except BenchUnavailable as error:
        return Look("PostgreSQL programs", "wall", error.message, error.hint or "")
    return Look("PostgreSQL programs", "ok", f"version {found.version}, {found.origin}")


def _postgres(environ: Mapping[str, str]) -> Look:
    from harness.bench.postgres import URL_VARIABLE, ephemeral_cluster, run_blocking
    from harness.errors import WakestormError

    what = f"PostgreSQL of {URL_VARIABLE}" if environ.get(URL_VARIABLE) else "PostgreSQL starts"
    fix = f"is {URL_VARIABLE} right? its role must be allowed to make databases and roles"
    begun_s = monotonic_s()
    try:
        with ephemeral_cluster(environ) as cluster:

            async def ask() -> int:
                async with cluster.admin() as connection:
                    major: int = connection.get_server_version().major
                    return major

            major = run_blocking(ask())
    except (WakestormError, OSError) as error:
        hint = getattr(error, "hint", None) or (fix if environ.get(URL_VARIABLE) else "the text names the cause")
        return Look(what, "wall", str(getattr(error, "message", error)), hint)
    return Look(what, "ok", f"version {major}, there and gone again in {monotonic_s() - begun_s:.1f} s")


def _broker_starts(environ: Mapping[str, str]) -> Look:
    from harness.bench.brokers import BrokerProcess, missing_reason
    from harness.errors import WakestormError

    reason = missing_reason("iotcore", environ)
    fix = "pip install iotcore; only --bench processes needs a broker"
    if reason is not None:
        return Look("broker iotcore", "problem", reason, fix)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="wakestorm-doctor-") as folder,
            BrokerProcess("iotcore", Path(folder) / "broker") as broker,
        ):
            port = broker.port
    except (WakestormError, OSError) as error:
        return Look("broker iotcore", "problem", str(error), fix)
    return Look("broker iotcore", "ok", f"took a connection on port {port}, and is gone again")


def _mosquitto(environ: Mapping[str, str]) -> Look:
    from harness.bench.brokers import missing_reason

    reason = missing_reason("mosquitto", environ)
    if reason is not None:
        return Look("broker mosquitto", "note", "not installed", "for --broker mosquitto: sudo apt install mosquitto")
    return Look("broker mosquitto", "ok", "installed")


def _serial_ports() -> Look:
    from harness.dut.finding import system_ports

    ports = [str(port.device) for port in system_ports()]
    closed = [port for port in ports if Path(port).exists() and not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        fix = "sudo usermod -aG dialout $USER, then log in again; `wakestorm boards doctor` says more"
        return Look("serial ports", "note", f"may not be opened: {', '.join(closed)}", fix)
    text = ", ".join(ports) if ports else "none; only real boards need one"
    return Look("serial ports", "ok", text)


def _limit(value: int) -> str:
    return "unlimited" if value < 0 else str(value)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
