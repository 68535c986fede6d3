"""The one door to esptool, run as a program (its licence is GPL): plain output, its own configuration, no orphans.

A child that Linux kills when this process ends, however that ends; it inherits no lock and no port.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from harness.machine import monotonic_s

LAUNCHER: Final = Path(__file__).parent.parent / "bench" / "die_with_parent.py"
TIME_LIMITS: Final = "sync_timeout = 0.25\nmem_end_rom_timeout = 2\n"
"""esptool waits 0.1 and 0.2 s for these answers, which a machine that flashes many boards at a time can't promise."""

NO_LINES_CONFIG: Final = "custom_reset_sequence = W0.01\ncustom_hard_reset_sequence = W0.01\n"
"""Where a port has no DTR and RTS, esptool need not try them (and not warn about it)."""

TIME_LIMIT_CODE: Final = 124
_MAC: Final = re.compile(r"^MAC:\s+([0-9a-f]{2}(?::[0-9a-f]{2}){5})", re.MULTILINE)
_CHIP: Final = re.compile(r"^Chip type:\s+(.+)$", re.MULTILINE)
_VERIFYING: Final = re.compile(r"^Verifying 0x[0-9a-f]+ \(\d+\) bytes at (0x[0-9a-f]+) in flash", re.MULTILINE)
_running: Final[set[subprocess.Popen[str]]] = set()
_WRITING: Final = re.compile(r"^Writing '.*' at (0x[0-9a-f]+)\.\.\.", re.MULTILINE)
_FLASH_SIZE: Final = re.compile(r"^Detected flash size:\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ended:
    """One run of esptool."""

    command: str
    code: int
    out: str
    err: str
    wall_s: float

    @property
    def text(self) -> str:
        """All it said."""
        return f"{self.out}\n{self.err}"

    @property
    def mac(self) -> str | None:
        """The chip's MAC as 12 upper-case digits; None when it did not come so far."""
        match = _MAC.search(self.out)
        return match[1].replace(":", "").upper() if match else None

    @property
    def chip(self) -> str | None:
        """The chip in esptool's words."""
        match = _CHIP.search(self.out)
        return match[1].strip() if match else None

    @property
    def flash_size(self) -> str | None:
        """Such as 8MB; only flash-id says it."""
        match = _FLASH_SIZE.search(self.out)
        return match[1] if match else None

    @property
    def verified(self) -> dict[int, bool]:
        """What verify-flash found: offset to whether the device's MD5 is the file's."""
        places = list(_VERIFYING.finditer(self.out))
        ends = [place.start() for place in places[1:]] + [len(self.out)]
        found = {}
        for place, end in zip(places, ends, strict=False):
            said = self.out[place.end() : end]
            if "Verification successful" in said or "Verification failed" in said:
                found[int(place[1], 16)] = "Verification successful" in said
        return found

    @property
    def erased(self) -> dict[int, bool]:
        """What write-flash came to: offset to whether it was erased and written, or was there already."""
        places = list(_WRITING.finditer(self.out))
        found = {}
        for place, after in zip(places, [*places[1:], None], strict=False):
            said = self.out[place.end() : after.start() if after else len(self.out)]
            if "already in flash" in said:
                found[int(place[1], 16)] = False
            elif "Flash will be erased" in said:
                found[int(place[1], 16)] = True
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Esptool:
    """How to reach one board."""

    port: str
    chip: str = "esp32s3"
    baud: int = 460_800
    connect_attempts: int = 2
    stub: bool = True
    has_lines: bool = True
    program: tuple[str, ...] = (sys.executable, "-P", "-m", "esptool")

    def run(self, command: str, *arguments: str, after: str = "no-reset", time_limit_s: float = 120.0) -> Ended:
        """One command to its end; after the time limit it is killed and has code 124. Never raises for what it says."""
        with TemporaryDirectory(prefix="wakestorm-esptool-") as folder:
            config = Path(folder, "esptool.cfg")
            lines = "" if self.has_lines else NO_LINES_CONFIG
            config.write_text(f"[esptool]\n{TIME_LIMITS}{lines}", encoding="utf-8")
            words = [*self.program, "--chip", self.chip, "--port", self.port, "--baud", str(self.baud)]
            words += ["--connect-attempts", str(self.connect_attempts), "--after", after]
            words += [] if self.stub else ["--no-stub"]
            begun_s = monotonic_s()
            code, out, err = _ran([*words, command, *arguments], _environment(config), time_limit_s)
            return Ended(command, code, out, err, monotonic_s() - begun_s)


def has_modem_lines(port: str) -> bool:
    """Whether DTR and RTS can be driven: not on a pseudo-terminal, not on a bare socket."""
    if "://" in port:
        return not port.startswith("socket://")
    import fcntl
    import termios

    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.ioctl(descriptor, termios.TIOCMGET, bytes(4))
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def has_speed(port: str) -> bool:
    """Whether a speed can be set: not on a bare socket. A pseudo-terminal has one, which its other end can read."""
    return not port.startswith("socket://")


def _environment(config: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ESPTOOL_")}
    plain = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return {**kept, **plain, "ESPTOOL_CFGFILE": str(config), "ESPTOOL_OPEN_PORT_ATTEMPTS": "1"}


def _ran(command: Sequence[str], environment: Mapping[str, str], time_limit_s: float) -> tuple[int, str, str]:
    """A group of its own, so that a Ctrl-C in the terminal ends the harness first, and the harness its child."""
    marked = [sys.executable, "-P", "-I", "-S", str(LAUNCHER), str(os.getpid()), *command]
    process = subprocess.Popen(
        marked,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    _running.add(process)
    try:
        out, err = process.communicate(timeout=time_limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return TIME_LIMIT_CODE, out, f"{err}\nkilled after {time_limit_s:g} s"
    finally:
        _running.discard(process)
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, out, err


def stop_all() -> None:
    """Ends every esptool that this process runs, in any thread; their runs end with a code below 0."""
    for process in list(_running):
        process.kill()
