"""A virtual ESP32-S3 as a child process: its serial port for esptool and console, its control socket as power switch.

The child is `python -m simulator.board`; it dies with this process however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Final

from harness.blame import Blame
from harness.dut.console import ConsoleError
from harness.errors import BenchUnavailable

_LAUNCHER: Final = Path(__file__).parent.parent / "bench" / "die_with_parent.py"
_ROOT: Final = Path(__file__).parents[2]
ANSWER_WITHIN_S: Final = 10.0
STOP_WITHIN_S: Final = 5.0


class VirtualBoard:
    """One child. `port` is a pseudo-terminal; the methods of `Switch` go over the control socket. Blocking calls."""

    keeps_time = True
    is_busy = False

    def __init__(self, name: str, mac: str, folder: Path, *, faults: str = "") -> None:
        self.name = name
        self.mac = mac
        self.folder = folder
        self.port = ""
        self._faults = faults
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._control: socket.socket | None = None
        self._answers: IO[bytes] | None = None

    # -- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, from a thread that outlives it; returns once its port is there. Raises BenchUnavailable."""
        self.folder.mkdir(parents=True, exist_ok=True)
        control = self.folder / "control"
        options = {
            "--pty": str(self.folder / "tty"),
            "--flash": str(self.folder / "flash.bin"),
            "--mac": self.mac,
            "--control": str(control),
        }
        if self._faults:
            options["--faults"] = self._faults
        command = [sys.executable, "-P", "-m", "simulator.board", *(word for pair in options.items() for word in pair)]
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._errors = (self.folder / "board.log").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-I", "-S", str(_LAUNCHER), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().decode().strip()
        if not self.port:
            self.stop()
            raise BenchUnavailable(f"the virtual board {self.name} did not start", hint=self._said())
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.settimeout(ANSWER_WITHIN_S)
        self._control.connect(str(control))
        self._answers = self._control.makefile("rb")

    def stop(self) -> None:
        """SIGTERM, by force after 5 s."""
        process = self._process
        if process is None:
            return
        for end in (self._answers, self._control):
            if end is not None:
                end.close()
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()
        self._process = None

    def _said(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "board.log").read_text(errors="replace").strip()[-1_500:] or "it said nothing"
        return "it said nothing"

    # -- the switch ------------------------------------------------------------------------------------

    def order(self, command: str) -> dict[str, Any]:
        """One command of the control socket; returns its answer. Raises ConsoleError."""
        assert self._control is not None and self._answers is not None, "the board has started"
        try:
            self._control.sendall(command.encode() + b"\n")
            answer: dict[str, Any] = json.loads(self._answers.readline())
        except (OSError, ValueError) as error:
            raise ConsoleError(f"{self.name}: the virtual board is gone ({error})", Blame.HARNESS) from None
        if not answer.get("ok"):
            raise ConsoleError(f"{self.name}: {command}: {answer.get('error')}", Blame.HARNESS)
        return answer

    def power_off(self) -> None:
        """Dark, at once."""
        self.order("power off")

    def power_on(self) -> None:
        """It boots."""
        self.order("power on")

    def boot(self) -> None:
        """Reset with the boot button held: into the loader."""
        self.order("boot")

    def wake(self) -> None:
        """The wake-up pin."""
        self.order("wake")

    def reset(self) -> None:
        """The reset button."""
        self.order("reset")

    def set_clock(self, now_ms: int) -> None:
        """What SNTP would say."""
        self.order(f"time {now_ms}")

    def booted(self, now_ms: int) -> None:
        """Nothing: its clock was set before."""
