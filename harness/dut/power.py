"""What can take a board's power and give it back, as `power:` in boards.yaml says."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import quote

from harness.dut.inventory import PowerEntry
from harness.errors import BenchUnavailable
from harness.machine import monotonic_s

ANSWER_WITHIN_S: Final = 60.0
ANSWER_BYTES_MAX: Final = 65_536


class PowerFailed(BenchUnavailable):
    """A power switch did not do what it was told."""


class PowerSwitch(Protocol):
    """Takes power, gives it back."""

    def off(self) -> None:
        """Dark when this returns. Raises PowerFailed."""
        ...

    def on(self) -> None:
        """Power is there when this returns. Raises PowerFailed."""
        ...


HoldReset = Callable[[bool], bool]
"""Hold the chip in reset, or let it run; False where the port can not."""


def power_switch(board_id: str, entry: PowerEntry, hold_reset: HoldReset | None = None) -> PowerSwitch | None:
    """The switch of a board; None where there is none. `hold_reset` is needed for type lines."""
    tell = _tell(board_id, entry, hold_reset)
    return None if tell is None else _Switch(tell, entry.off_for)


class _Switch:
    """Keeps the power off for the time that the supply's capacitors need."""

    def __init__(self, tell: Callable[[bool], None], off_for_ms: int) -> None:
        self._tell = tell
        self._off_for_s = off_for_ms / 1_000
        self._off_since_s: float | None = None

    def off(self) -> None:
        self._tell(False)
        self._off_since_s = monotonic_s()

    def on(self) -> None:
        if self._off_since_s is not None:
            threading.Event().wait(max(0.0, self._off_since_s + self._off_for_s - monotonic_s()))
            self._off_since_s = None
        self._tell(True)


def _tell(board_id: str, entry: PowerEntry, hold_reset: HoldReset | None) -> Callable[[bool], None] | None:
    match entry.type:
        case "lines":
            return lambda on: _by_lines(board_id, hold_reset, on=on)
        case "command":
            return lambda on: _ran(board_id, shlex.split((entry.on if on else entry.off) or ""))
        case "uhubctl":
            socket = ["-l", str(entry.hub), "-p", str(entry.socket)]
            return lambda on: _ran(board_id, ["uhubctl", *socket, "-a", "on" if on else "off"])
        case "tasmota":
            return lambda on: _asked(board_id, str(entry.url), entry.outlet, on=on)
        case _:
            return None


def _by_lines(board_id: str, hold_reset: HoldReset | None, *, on: bool) -> None:
    if hold_reset is None or not hold_reset(not on):
        raise PowerFailed(f"{board_id}: its port has no RTS to hold EN with", hint="give another power type")


def _ran(board_id: str, command: list[str]) -> None:
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else "(empty)"
        raise PowerFailed(f"{board_id}: no program {name} to switch its power with", hint="is it installed, in PATH?")
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=ANSWER_WITHIN_S
        )
    except subprocess.TimeoutExpired as error:
        text = f"{board_id}: {shlex.join(command)} did not end within {ANSWER_WITHIN_S:g} s"
        raise PowerFailed(text, hint="run it by hand") from error
    if ended.returncode:
        said = " ".join((ended.stderr or ended.stdout).split())[:200] or "nothing"
        text = f"{board_id}: {shlex.join(command)} ended with code {ended.returncode}"
        raise PowerFailed(text, hint=f"it said: {said}")


def _asked(board_id: str, url: str, outlet: int, *, on: bool) -> None:
    """Tasmota's HTTP command; its answer names the state that it is in now."""
    wanted = "On" if on else "Off"
    request = f"{url}/cm?cmnd={quote(f'Power{outlet} {wanted}')}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a plug is never behind a proxy
    try:
        with opener.open(request, timeout=ANSWER_WITHIN_S) as answer:
            text = answer.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
    except (OSError, urllib.error.URLError) as error:
        raise PowerFailed(f"{board_id}: {url} does not answer: {error}", hint="is this the plug's address?") from error
    try:
        states = {str(name).upper(): str(state).upper() for name, state in json.loads(text).items()}
    except (ValueError, AttributeError):
        states = {}
    found = states.get(f"POWER{outlet}", states.get("POWER") if outlet == 1 else None)
    if found != wanted.upper():
        raise PowerFailed(
            f"{board_id}: {url} was told Power{outlet} {wanted} and answers {text[:100]!r}",
            hint="does the plug have this outlet, and no password?",
        )
