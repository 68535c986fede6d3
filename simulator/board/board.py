"""The virtual ESP32-S3 as a whole: bytes, modem lines and time in, bytes and events out; nothing here waits. Pure.

Theory of operation
-------------------
A reset samples the boot strap. Low: the ROM loader answers (`rom`), and a stub that was uploaded takes over (`stub`).
High: what lies in flash starts (`boot`). The app itself runs outside, in a driver that hears `AppStarted` and
`AppStopped`, writes with `app_writes`, and asks for resets and deep sleep. What can't start resets again and again.

Resets come by DTR and RTS where the transport has them (`has_lines`). A pseudo-terminal or a bare TCP socket has none;
there the signals come in band: a SYNC while something else runs presses both buttons, and the register write that
esptool makes before each hard reset is taken for that reset, unless another command follows within a moment. A SYNC is
no such command: it comes from the next host. Once a reset is under way it finds the ROM loader, never what ran before,
however late its driver got to ring the timer.

The driver's duties: send what each call returns; drain `events` after each call; call `tick` at `deadline_ms`. Times
are milliseconds of any clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulator.board import slip
from simulator.board.board_fault import ArmedBoardFaults, BoardFault, FaultKind
from simulator.board.boot import Boot, boot
from simulator.board.boot_log import banner
from simulator.board.efuse import ChipIdentity, Efuse
from simulator.board.flash import SECTOR_BYTES, NorFlash
from simulator.board.loader import Loader
from simulator.board.protocol import SYNC_MARK, Answer, Failure, Then, parse
from simulator.board.registers import Registers
from simulator.board.resets import AutoResetCircuit, ChipReset
from simulator.board.rom import GREETING, RomLoader
from simulator.board.stub import StubLoader

CONSOLE_BAUD: Final = 115_200
_BAUD_TOLERANCE: Final = 0.03
_GARBLED: Final = bytes(0x80 | (byte * 37 + 11) & 0x3F for byte in range(256))
"""What arrives at another speed: nothing that is text, a frame's end, or a command."""

_ANNOUNCED_RESET_MS: Final = 250
_LAST_WORDS_MS: Final = 50
_RESTART_MS: Final = 1_000
_LINE_BYTES_MAX: Final = 1_024
_NOISE: Final = b"\x00\xff\x13\x8f"
_PANIC: Final = b"Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.\r\n"
_WAKE_WORD: Final = "wake"
_BACKSPACES: Final = b"\x08\x7f"
_CONTROLS_END: Final = 0x20


class Mode(Enum):
    """What the chip does."""

    OFF = "off"
    HELD = "held in reset"
    LOADER = "download"
    RAM_CODE = "code from RAM"
    APP = "app"
    ASLEEP = "deep sleep"
    FAILED = "nothing to start"


@dataclass(frozen=True, slots=True)
class AppStarted:
    """app_main is called. `reset` is why the chip started."""

    boot: Boot
    reset: ChipReset


@dataclass(frozen=True, slots=True)
class AppStopped:
    """The app is gone from one instant to the next: reset, power, or the loader was asked for."""

    has_power: bool


@dataclass(frozen=True, slots=True)
class ConsoleLine:
    """A line was typed on the serial console of the running app."""

    text: str


@dataclass(frozen=True, slots=True)
class Unplugged:
    """The cable was pulled: the port is gone, and with it the power."""


BoardEvent = AppStarted | AppStopped | ConsoleLine | Unplugged


@dataclass(frozen=True, slots=True)
class _Pending:
    """A reset to come."""

    at_ms: float
    reset: ChipReset
    download: bool = False
    is_announced: bool = False


class Board:
    """One board. `flash` and eFuses outlive everything, registers and RAM nothing."""

    def __init__(
        self, chip: ChipIdentity, flash: NorFlash, *, has_lines: bool = False, faults: Iterable[BoardFault] = ()
    ) -> None:
        self.chip = chip
        self.flash = flash
        self.faults = ArmedBoardFaults(list(faults))
        self.mode = Mode.OFF
        self.baud = CONSOLE_BAUD
        self._has_lines = has_lines
        self._fuses = Efuse(chip)
        self._circuit = AutoResetCircuit()
        self._loader: Loader | None = None
        self._slip = slip.Decoder()
        self._typed = b""
        self._pending: _Pending | None = None
        self._host_baud: int | None = None
        self._is_off_speed = False
        self._events: list[BoardEvent] = []

    # -- what the driver sees ----------------------------------------------------------------------

    @property
    def deadline_ms(self) -> float | None:
        """When `tick` is wanted."""
        return None if self._pending is None else self._pending.at_ms

    @property
    def is_stub_running(self) -> bool:
        return self._loader is not None and self._loader.is_stub

    def events(self) -> list[BoardEvent]:
        """What happened since the last call."""
        happened, self._events = self._events, []
        return happened

    # -- power, buttons, lines, time ---------------------------------------------------------------

    def power_on(self, now_ms: float) -> bytes:
        """Not heard while there is power."""
        return self._start(ChipReset.POWERON, now_ms) if self.mode is Mode.OFF else b""

    def power_off(self) -> None:
        """At once, whatever it does."""
        self._stop_app(has_power=False)
        self.mode, self._loader, self._pending = Mode.OFF, None, None

    def reset(self, now_ms: float, reset: ChipReset = ChipReset.POWERON, *, download: bool = False) -> bytes:
        """Press the reset button (with `download` the boot button too); not heard without power."""
        return b"" if self.mode is Mode.OFF else self._start(reset, now_ms, download=download)

    def wake(self, now_ms: float) -> bytes:
        """The wake-up pin; heard in deep sleep only."""
        return self._start(ChipReset.DEEP_SLEEP, now_ms) if self.mode is Mode.ASLEEP else b""

    def lines(self, dtr: bool, rts: bool, now_ms: float) -> bytes:
        """The host sets its modem lines (True: asserted)."""
        download = self._circuit.set(dtr, rts)
        if self.mode is Mode.OFF:
            return b""
        if download is not None:
            return self._start(ChipReset.POWERON, now_ms, download=download)
        if self._circuit.holds_reset and self.mode is not Mode.HELD:
            self._stop_app(has_power=True)
            self.mode, self._loader, self._pending = Mode.HELD, None, None
        return b""

    def tick(self, now_ms: float) -> bytes:
        """A deadline has come; not heard before it."""
        pending = self._pending
        if pending is None or now_ms < pending.at_ms:
            return b""
        return self._start(pending.reset, now_ms, download=pending.download)

    # -- what the app asks for ---------------------------------------------------------------------

    def app_writes(self, text: bytes) -> bytes:
        """The app's serial output; nothing once it is gone."""
        return self._out(text) if self.mode is Mode.APP else b""

    def app_resets(self, reset: ChipReset, now_ms: float) -> bytes:
        """The app, or what watches over it, restarts the chip."""
        return self._start(reset, now_ms) if self.mode is Mode.APP else b""

    def app_sleeps(self, wake_at_ms: float | None) -> None:
        """Deep sleep, until that time or until somebody wakes it."""
        if self.mode is not Mode.APP:
            return
        self.mode, self._typed = Mode.ASLEEP, b""
        self._pending = None if wake_at_ms is None else _Pending(wake_at_ms, ChipReset.DEEP_SLEEP)

    def wakes_at(self, at_ms: float) -> None:
        """Set the timer of a deep sleep anew; heard in deep sleep only."""
        if self.mode is Mode.ASLEEP:
            self._pending = _Pending(at_ms, ChipReset.DEEP_SLEEP)

    # -- the serial line ---------------------------------------------------------------------------

    def feed(self, data: bytes, now_ms: float, baud: int | None = None) -> bytes:
        """Bytes from the host, sent at `baud` (None: the transport has no speed); returns the answer."""
        self._host_baud = baud
        if self.mode in (Mode.OFF, Mode.HELD):
            return b""
        start = data.find(SYNC_MARK) if self._hears_sync() else -1
        is_caught = self.mode is not Mode.LOADER or self._is_garbled or self._pending is not None
        before = b""
        if start >= 0 and not self._has_lines and is_caught:
            self._enter_loader()
            data = data[start:]
        else:
            before = self.tick(now_ms)
        if start >= 0 and self.mode is Mode.LOADER and not self.is_stub_running:
            self.baud = self.baud if baud is None else baud  # the ROM measures the SYNC
        if self._is_garbled:
            data = data.translate(_GARBLED)
        return before + (self._download(data, now_ms) if self.mode is Mode.LOADER else self._console(data, now_ms))

    def host_speed(self, baud: int | None) -> None:
        """The speed that the host has set; to be told before anything is written to it."""
        self._host_baud = baud

    def _hears_sync(self) -> bool:
        """Without lines a SYNC stands for the buttons, which work at any speed."""
        return not self.faults.has(FaultKind.NO_DOWNLOAD) and not (self._is_off_speed and self._has_lines)

    @property
    def _is_garbled(self) -> bool:
        if self._is_off_speed:
            return True
        return self._host_baud is not None and abs(self._host_baud - self.baud) > _BAUD_TOLERANCE * self.baud

    def _out(self, data: bytes) -> bytes:
        return data.translate(_GARBLED) if self._is_garbled else data

    def _console(self, data: bytes, now_ms: float) -> bytes:
        *whole, self._typed = (self._typed + data).replace(b"\r", b"\n").split(b"\n")
        self._typed = self._typed[-_LINE_BYTES_MAX:]
        for raw in whole:
            text = _as_typed(raw)
            if self.mode is Mode.APP and text:
                self._events.append(ConsoleLine(text))
            elif self.mode is Mode.ASLEEP and text == _WAKE_WORD:
                return self.wake(now_ms)
        return b""

    # -- resets ------------------------------------------------------------------------------------

    def _start(self, reset: ChipReset, now_ms: float, *, download: bool = False) -> bytes:
        self._stop_app(has_power=True)
        self._pending, self._loader, self._typed = None, None, b""
        self.baud, self._is_off_speed = CONSOLE_BAUD, False
        for fault in self.faults.take(FaultKind.CORRUPT_IMAGE):
            self.flash.flip(fault.address, 0)
        for fault in self.faults.take(FaultKind.WORN_SECTOR):
            self.flash.wear_out([fault.address // SECTOR_BYTES])
        if self.faults.has(FaultKind.STUCK_IN_DOWNLOAD) or (download and not self.faults.has(FaultKind.NO_DOWNLOAD)):
            self._enter_loader()
            return self._out("\r\n".join([*banner(reset, download=True), ""]).encode())
        with self.flash.view() as cells:
            started = boot(cells, self.chip, reset)
        if started.ota_data is not None:
            offset, entry = started.ota_data
            self.flash.erase(offset, SECTOR_BYTES)
            self.flash.program(offset, entry)
        if started.app is None:
            self.mode = Mode.FAILED
            self._pending = _Pending(now_ms + _RESTART_MS, started.restart or ChipReset.WATCHDOG_GROUP_0)
        else:
            self.mode = Mode.APP
            self._events.append(AppStarted(started, reset))
        return self._out(started.text)

    def _stop_app(self, *, has_power: bool) -> None:
        if self.mode in (Mode.APP, Mode.ASLEEP):
            self._events.append(AppStopped(has_power))

    def _enter_loader(self) -> None:
        self._stop_app(has_power=True)
        self.mode, self._pending, self._is_off_speed = Mode.LOADER, None, False
        self.baud = CONSOLE_BAUD if self._host_baud is None else self._host_baud
        self._slip = slip.Decoder()
        self._loader = RomLoader(self.flash, Registers(self._fuses, self.flash, strap=0, baud=self.baud))

    # -- the loaders -------------------------------------------------------------------------------

    def _download(self, data: bytes, now_ms: float) -> bytes:
        out: list[bytes] = []
        for packet in self._slip.feed(data):
            if self.mode is not Mode.LOADER or self._loader is None:
                break
            out.append(self._command(self._loader, packet, now_ms))
        return b"".join(out)

    def _command(self, loader: Loader, packet: bytes, now_ms: float) -> bytes:
        request = parse(packet)
        fault = None if request is None else self.faults.strike(request.op)
        if self._pending is not None and self._pending.is_announced and request is not None:
            self._pending = None
        match fault.kind if fault is not None else None:
            case FaultKind.ERROR_STATUS if request is not None:
                return self._frames(loader.refusal(request.op, Failure.FAILED_TO_ACT))
            case FaultKind.PANIC:
                return self._out(_PANIC)
            case FaultKind.UNPLUG:
                self.power_off()
                self._events.append(Unplugged())
                return b""
        _, answer = loader.handle(packet)
        if fault is not None and fault.kind is FaultKind.BAD_MD5:
            answer = Answer(packets=(_with_other_data(answer.packets[0]),))
        out = self._frames(answer)
        self._after(answer, now_ms)
        if answer.then is Then.RUN_STUB:
            out += self._out(slip.encode(GREETING))
        match fault.kind if fault is not None else None:
            case FaultKind.LOST_REPLY:
                return b""
            case FaultKind.NOISE:
                return self._out(_NOISE) + out
        return out

    def _frames(self, answer: Answer) -> bytes:
        return self._out(b"".join(slip.encode(packet) for packet in answer.packets))

    def _after(self, answer: Answer, now_ms: float) -> None:
        """What the command set going."""
        if answer.baud is not None:
            self.baud = answer.baud
            self._is_off_speed = self.faults.has(FaultKind.BAUD_MISMATCH)
        match answer.then:
            case Then.RUN_STUB if isinstance(self._loader, RomLoader):
                self._loader = StubLoader(self.flash, self._loader.registers)
            case Then.RUN_OTHER_CODE:
                self.mode, self._loader = Mode.RAM_CODE, None
            case Then.RUN_APP:
                self._pending = _Pending(now_ms + _LAST_WORDS_MS, ChipReset.SOFTWARE_CPU)
            case Then.RUN_ROM:
                self._pending = _Pending(now_ms + _LAST_WORDS_MS, ChipReset.SOFTWARE_CPU, download=True)
            case Then.WATCHDOG_RESET:
                self._pending = _Pending(now_ms + _LAST_WORDS_MS, ChipReset.RTC_WATCHDOG)
            case Then.HOST_WILL_RESET if not self._has_lines:
                at_ms = now_ms + _ANNOUNCED_RESET_MS
                self._pending = _Pending(at_ms, ChipReset.POWERON, is_announced=True)


def _with_other_data(packet: bytes) -> bytes:
    """A response whose first byte of data is another hex digit, or just another byte."""
    return packet[:8] + (b"1" if packet[8:9] == b"0" else b"0") + packet[9:]


def _as_typed(raw: bytes) -> str:
    """A line of a terminal: backspace takes back what was typed, other control characters are none of it."""
    kept = bytearray()
    for byte in raw:
        if byte in _BACKSPACES:
            del kept[-1:]
        elif byte >= _CONTROLS_END:
            kept.append(byte)
    return kept.decode("utf-8", "replace").strip()
