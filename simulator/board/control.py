"""What hands and a laboratory supply do to a board: power, buttons, cable, clock, faults; by command.

One command a line on a Unix socket, one JSON object as answer: `{"ok": true, ...}` or `{"ok": false, "error": ...}`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from simulator.board.board_fault import UnknownBoardFault
from simulator.board.board_fault import parse as parse_fault
from simulator.board.camera_app import CameraApp
from simulator.board.host import BoardHost
from simulator.board.machine import cpu_s
from simulator.catalogue import UnknownFault
from simulator.fault import fault_named

COMMANDS: Final[dict[str, str]] = {
    "power off": "take the power now",
    "power on": "give it back",
    "power off at STEP": "take it right after a message: hello.sent, chunk[5].sent, chunk[last].sent",
    "power off at STEP back MS": "the same, and give it back after so many milliseconds",
    "reset": "press the reset button",
    "boot": "press reset with boot held: into the loader",
    "wake": "the wake-up pin, in deep sleep",
    "crash KIND": "the firmware dies: panic, abort, wdt, brownout",
    "unplug": "pull the cable",
    "plug": "put it in again",
    "wifi up": "Wi-Fi is there at the next tries",
    "wifi down": "it is not",
    "time UNIX_MS": "set the board's clock",
    "fault FAULT": "as --faults takes it",
    "heal": "no fault any more, Wi-Fi is up",
    "status": "what it does",
}
_LINE_BYTES_MAX: Final = 4_096


class BadOrder(Exception):
    """No such command; the text says what there is."""


class Control:
    """Carries out commands on one board."""

    def __init__(self, host: BoardHost, app: CameraApp) -> None:
        self._host = host
        self._app = app
        self._plain: dict[str, Callable[[], object]] = {
            "power off": host.power_off,
            "power on": host.power_on,
            "reset": host.reset,
            "boot": lambda: host.reset(download=True),
            "wake": host.wake,
            "unplug": host.unplug,
            "wifi up": lambda: self._wifi(up=True),
            "wifi down": lambda: self._wifi(up=False),
            "heal": self._heal,
        }

    async def perform(self, order: str) -> dict[str, Any]:
        """One command; returns the board's status. Raises BadOrder."""
        words = order.split()
        text = " ".join(words)
        if text in self._plain:
            self._plain[text]()
        elif text == "plug":
            await self._host.plug()
        elif words[:3] == ["power", "off", "at"] and (len(words) == 4 or (len(words) == 6 and words[4] == "back")):
            self._power_off_at(words[3], _milliseconds(words[5]) if len(words) == 6 else None)
        elif words[:1] == ["time"] and len(words) == 2:
            self._app.set_time(_milliseconds(words[1]))
        elif words[:1] == ["crash"] and len(words) == 2:
            self._app.line(text)
        elif words[:1] == ["fault"] and len(words) == 2:
            self._fault(words[1])
        elif text != "status":
            raise BadOrder(f"no command {order[:60]!r}; there are {', '.join(COMMANDS)}")
        return self.status()

    def status(self) -> dict[str, Any]:
        """What the board does, as JSON can say it."""
        board, device = self._host.board, self._app.device
        return {
            "mode": board.mode.value,
            "stub": board.is_stub_running,
            "plugged": self._host.is_plugged,
            "port": self._host.port.name,
            "mac": board.chip.mac_text,
            "erases_max": board.flash.wear_max,
            "cpu_s": round(cpu_s(), 3),
            "faults": [fault.text for fault in board.faults.faults],
            "device": None
            if device is None
            else {
                "id": device.identity.device_id,
                "profile": device.profile.name,
                "state": device.state.value,
                "wakes": device.wake_number,
                "photos": self._app.photos,
                "pending": list(device.pending),
                "next_wake_ms": device.next_wake_ms,
            },
        }

    def _wifi(self, *, up: bool) -> None:
        self._app.is_wifi_up = up

    def _heal(self) -> None:
        self._host.board.faults.heal()
        self._host.board.flash.renew()
        self._app.switch.heal(release=False)
        self._wifi(up=True)

    def _fault(self, text: str) -> None:
        try:
            self._host.board.faults.arm(parse_fault(text))
        except UnknownBoardFault as error:
            raise BadOrder(str(error)) from None

    def _power_off_at(self, step: str, back_after_ms: int | None) -> None:
        try:
            self._app.switch.arm(step, fault_named("power_loss", back_after_ms=back_after_ms))
        except UnknownFault as error:
            raise BadOrder(str(error)) from None


def _milliseconds(text: str) -> int:
    if not text.isdecimal():
        raise BadOrder(f"{text[:40]!r} is no number of milliseconds")
    return int(text)


async def serve(path: Path, perform: Callable[[str], Awaitable[dict[str, Any]]]) -> asyncio.AbstractServer:
    """Listen on a Unix socket at `path`, which a later board may take over."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    answer: dict[str, Any] = {"ok": True} | await perform(line.decode("utf-8", "replace").strip())
                except BadOrder as error:
                    answer = {"ok": False, "error": str(error)}
                writer.write(json.dumps(answer, sort_keys=True).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):
            return
        finally:
            writer.close()

    path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at the start
    return await asyncio.start_unix_server(talk, path, limit=_LINE_BYTES_MAX)


async def send(path: Path, order: str) -> dict[str, Any]:
    """Ask a running board; raises OSError where none listens."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(order.encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        return answer
    finally:
        writer.close()
