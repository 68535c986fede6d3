"""What is wrong with a board of the inventory, from outside to inside, each with its fix; stops at the first wall.

It resets the board: esptool asks the loader who it is, then the program is started with the console open.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.blame import Blame
from harness.dut.board_lock import BoardHeld, held
from harness.dut.boot_proof import refined, reset_from_loader
from harness.dut.console import Console, ConsoleError
from harness.dut.esptool import Esptool, has_modem_lines, has_speed
from harness.dut.finding import BoardNotFound, SystemPort, port_of
from harness.dut.flash_trouble import last_words, trouble_of
from harness.dut.flashing import ROM_BAUD
from harness.dut.inventory import BoardEntry, plain_mac
from harness.errors import WakestormError

CONSOLE_WITHIN_S: Final = 5.0
ASK_WITHIN_S: Final = 30.0
PSEUDO_TERMINALS: Final = "/dev/pts/"
_ANY_TEXT: Final = r"[\w:()\[\] .,=-]{8,}"
_SIZE: Final = re.compile(r"(\d+)MB")


@dataclass(frozen=True, slots=True)
class Finding:
    """One look at a board. `blame` is None where all is well."""

    what: str
    text: str
    blame: Blame | None = None
    fix: str = ""


@dataclass(slots=True)
class Diagnosis:
    """All looks at one board, in the order in which they were taken."""

    board_id: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """No problem was found."""
        return all(finding.blame is None for finding in self.findings)


class _Wall(Exception):
    """What comes behind can not be looked at."""


def examine(board_id: str, entry: BoardEntry, ports: Sequence[SystemPort]) -> Diagnosis:
    """Looks at one board. Never raises for what is wrong with it."""
    diagnosis = Diagnosis(board_id)
    if entry.kind == "simulated":
        diagnosis.findings.append(Finding("kind", "simulated: nothing to look at"))
        return diagnosis
    try:
        _Examination(entry, diagnosis).run(ports)
    except _Wall:
        pass
    except WakestormError as error:
        diagnosis.findings.append(Finding("harness", error.message, Blame.HARNESS, error.hint or ""))
    return diagnosis


class _Examination:
    def __init__(self, entry: BoardEntry, diagnosis: Diagnosis) -> None:
        self.entry = entry
        self.diagnosis = diagnosis
        self.port = ""

    def run(self, ports: Sequence[SystemPort]) -> None:
        self.find(ports)
        self.look_at_device_file()
        try:
            with held(self.diagnosis.board_id, self.port, "wakestorm boards doctor"):
                self.ask_loader()
                self.hear_console()
        except BoardHeld as error:
            self.wall("lock", error.message, Blame.HARNESS, error.hint or "")

    def well(self, what: str, text: str) -> None:
        self.diagnosis.findings.append(Finding(what, text))

    def wrong(self, what: str, text: str, blame: Blame, fix: str) -> None:
        self.diagnosis.findings.append(Finding(what, text, blame, fix))

    def wall(self, what: str, text: str, blame: Blame, fix: str) -> None:
        self.wrong(what, text, blame, fix)
        raise _Wall

    def find(self, ports: Sequence[SystemPort]) -> None:
        try:
            self.port = port_of(self.diagnosis.board_id, self.entry, ports)
        except BoardNotFound as error:
            self.wall("port", error.message, Blame.CABLE, error.hint or "")
        self.well("port", self.port)

    def look_at_device_file(self) -> None:
        if "://" in self.port:
            return
        path = Path(self.port)
        if not path.exists():
            self.wall("port", f"{self.port} is not there", Blame.CABLE, "plug it in, with a cable that carries data")
        if not os.access(path, os.R_OK | os.W_OK):
            group = _group_of(path)
            fix = f"sudo usermod -aG {group} $USER, then log in again" if group != "root" else f"sudo chmod 666 {path}"
            self.wall("permission", f"this user may not open {self.port} (group {group})", Blame.HARNESS, fix)
        is_emulated = str(path.resolve()).startswith(PSEUDO_TERMINALS)  # whoever plays the board has that open itself
        if not is_emulated and (holders := programs_with(path)):
            self.wall("port held", f"{', '.join(holders)} has {self.port} open", Blame.HARNESS, "close it")

    def ask_loader(self) -> None:
        has_lines = has_modem_lines(self.port)
        options = self.entry.flash
        esptool = Esptool(
            port=self.port,
            chip="auto",
            baud=options.baud if has_speed(self.port) else ROM_BAUD,
            connect_attempts=options.connect_attempts,
            stub=options.stub,
            has_lines=has_lines,
        )
        ended = esptool.run("flash-id", time_limit_s=ASK_WITHIN_S)
        if ended.code:
            trouble = refined(trouble_of(ended.text), self.port, self.entry.console.baud)
            self.wall("loader", f"{trouble.cause} ({last_words(ended.text)})", trouble.blame, trouble.fix)
        self.well("loader", f"{ended.chip}, MAC {ended.mac}, flash {ended.flash_size}")
        chip = (ended.chip or "").split(" ")[0].replace("-", "").lower()
        if chip != self.entry.chip:
            self.wrong("chip", f"is {chip}, the inventory says {self.entry.chip}", Blame.BOARD, "another board?")
        match = self.entry.match
        if match is not None and match.mac is not None and plain_mac(match.mac) != ended.mac:
            fix = f'the board that is there has match: {{mac: "{ended.mac}"}}'
            self.wrong("mac", f"is {ended.mac}, the inventory says {plain_mac(match.mac)}", Blame.BOARD, fix)
        if _mb(ended.flash_size) < _mb(self.entry.flash_size):
            text = f"has {ended.flash_size}, the inventory says {self.entry.flash_size}"
            self.wrong("flash size", text, Blame.BOARD, "correct flash_size")

    def hear_console(self) -> None:
        entry = self.entry.console
        port = entry.port or self.port
        has_lines = has_modem_lines(self.port)
        with Console(port, name=self.diagnosis.board_id, baud=entry.baud) as console:
            console.transcript.allowed = ("rtc_watchdog",)
            reset_from_loader(console, has_lines=has_lines)
            try:
                console.expect(_ANY_TEXT, CONSOLE_WITHIN_S)
                found = console.expect(r"main_task: Calling app_main\(\)|waiting for download", CONSOLE_WITHIN_S)
            except ConsoleError as error:
                self.hear_worse(console, error)
                return
            if "waiting for download" in found.text:
                fix = "let BOOT go; is IO0 held low by something?"
                self.wrong("boot", "it waits for a download after a reset", Blame.BOARD, fix)
                return
        self.well("console", f"it boots, {port} at {entry.baud} baud")

    def hear_worse(self, console: Console, error: ConsoleError) -> None:
        lines = [line for line in console.last_lines() if re.search(_ANY_TEXT, line)]
        if not lines:
            fix = error.hint or "is console.port right, and console.baud?"
            self.wrong("console", f"silent: {error.message}", Blame.CABLE, fix)
        elif error.blame is Blame.FIRMWARE and "within" in error.message:
            self.well("console", f"it talks, but does not say that it is up: {lines[-1][:100]}")
        else:
            fix = "flash it: `wakestorm flash`" if error.blame is Blame.BOARD else "the log says more"
            self.wrong("boot", error.message, error.blame, fix)


def programs_with(path: Path) -> list[str]:
    """Other processes of this user that have a device open, as `name (pid)`; Linux only."""
    target = str(path.resolve())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            is_open = any(str(descriptor.readlink()) == target for descriptor in (process / "fd").iterdir())
            if is_open:
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
        except OSError:
            continue
    return sorted(found)


def _group_of(path: Path) -> str:
    try:
        return grp.getgrgid(path.stat().st_gid).gr_name
    except KeyError:
        return str(path.stat().st_gid)


def _mb(size: str | None) -> int:
    match = _SIZE.fullmatch(size or "")
    return int(match[1]) if match else 0
