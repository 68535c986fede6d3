"""The console of one board: a port that is read all the time, an expect on it, and a log file.

A thread reads the port into a `Transcript`, so that nothing is lost while nobody looks. A port that goes away is
waited for and opened again; every error names the board, the port, and shows the last lines. `released` lends the port
to another program (esptool) and takes it back.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from harness.blame import Blame
from harness.dut.expect import BadLine, ConsoleMatch, Transcript, pattern_of
from harness.dut.panic import panics_in
from harness.dut.serial_port import RESET_PULSE_S, PortGone, PortUnavailable, SerialPort
from harness.dut.symbols import symbol_store
from harness.errors import WakestormError
from harness.machine import monotonic_s

LAST_LINES: Final = 20
LINES_BEFORE: Final = 3
"""A bad line is shown with so many before it; what matters, a backtrace, comes after it."""

SHOWN_CHARS_MAX: Final = 160
"""What comes at a wrong speed has no ends of lines; the log file keeps all of it."""

REOPEN_EVERY_S: Final = 0.1
GONE_AT_MOST_S: Final = 30.0
"""So long a write waits for a port that went away."""

OnLine = Callable[[str], None]
"""Called in the reading thread with each whole line."""


SETTLE_S: Final = 0.1
"""So long nothing comes any more: text that was under way has arrived."""

SETTLE_AT_MOST_S: Final = 2.0


class ConsoleError(WakestormError):
    """A console did not do what it should. `blame` says where to look first."""

    exit_code = 1

    def __init__(self, message: str, blame: Blame, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.blame = blame


class ConsoleTimeout(ConsoleError):
    """What was expected did not come in time."""


class ConsoleFailure(ConsoleError):
    """The board printed a line of the fail list."""


class Console:
    """One board's console. Use it as a context, or `open` and `close` it.

    With `wakes_line` an empty line is typed first: a pseudo-terminal's other end learns the speed by what it is sent.
    """

    def __init__(
        self,
        port: str,
        *,
        name: str = "",
        baud: int = 115_200,
        log: Path | None = None,
        on_line: OnLine | None = None,
        on_change: Callable[[], None] | None = None,
        on_note: OnLine | None = None,
        wakes_line: bool = False,
    ) -> None:
        self.port = port
        self.name = name or port
        self.baud = baud
        self.transcript = Transcript()
        self._log_path = log
        self._log: TextIO | None = None
        self._on_line = on_line
        self._on_change = on_change
        self._on_note = on_note
        self._wakes_line = wakes_line
        self._changed = threading.Condition()
        self._serial: SerialPort | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._opened_s = 0.0
        self._gone_since_s: float | None = None
        self._gone_because = ""
        self.vanished = 0
        """How often the port went away by itself."""

    # -- life ------------------------------------------------------------------------------------------

    def __enter__(self) -> Console:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the port and begin to read. Raises PortUnavailable."""
        self._serial = SerialPort(self.port, self.baud)
        self._opened_s = self._opened_s or monotonic_s()
        if self._log_path is not None and self._log is None:
            self._log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._log_path.open("a", encoding="utf-8")
        self._stopping = False
        self._thread = threading.Thread(target=self._read_on, name=f"console {self.name}", daemon=True)
        self._thread.start()
        if self._wakes_line:
            self.write("\n")

    def close(self) -> None:
        """Stop reading; the log file is whole."""
        self._halt()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _halt(self) -> None:
        self._stopping = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._serial is not None:
            self._serial.close()
            self._serial = None

    @contextmanager
    def released(self) -> Iterator[None]:
        """Another program has the port meanwhile; what the board says to that one is not read here."""
        self._halt()
        try:
            yield
        finally:
            self.open()

    @property
    def away_s(self) -> float | None:
        """For how long the port has been away; None while it is there."""
        since_s = self._gone_since_s
        return None if since_s is None else monotonic_s() - since_s

    # -- reading ---------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        while not self._stopping:
            if self._serial is None:
                self._reopen()
                continue
            try:
                data = self._serial.read()
            except PortGone as error:
                self._lost(str(error))
                continue
            if data:
                self._take(data)

    def _take(self, data: bytes) -> None:
        with self._changed:
            lines = self.transcript.feed(data)
            self._changed.notify_all()
        for line in lines:
            self._write_log(line)
            if self._on_line is not None:
                self._on_line(line)
        if self._on_change is not None:
            self._on_change()

    def _write_log(self, line: str) -> None:
        if self._log is not None:
            self._log.write(f"{monotonic_s() - self._opened_s:10.3f} {line}\n")
            self._log.flush()

    def _lost(self, reason: str) -> None:
        if self._serial is not None:
            self._serial.close()
        with self._changed:
            self._serial = None
            self._gone_since_s, self._gone_because = monotonic_s(), reason
            self.vanished += 1
            self._changed.notify_all()
        self.note(f"{self.port} went away: {reason}")

    def _reopen(self) -> None:
        try:
            serial = SerialPort(self.port, self.baud)
        except PortUnavailable:
            with self._changed:
                self._changed.wait(REOPEN_EVERY_S)
            return
        with self._changed:
            self._serial, self._gone_since_s = serial, None
            self._changed.notify_all()
        self.note(f"{self.port} is there again")

    # -- what a test does ------------------------------------------------------------------------------

    def expect(
        self, pattern: str | re.Pattern[bytes], timeout_s: float = 10.0, *, literal: bool = False, prompt: bool = False
    ) -> ConsoleMatch:
        """The next match after the last one. Raises ConsoleTimeout, or ConsoleFailure for a bad line before it."""
        __tracebackhide__ = True  # a test that fails shows its own line
        compiled = pattern_of(pattern, literal=literal) if isinstance(pattern, str) else pattern
        until_s = monotonic_s() + timeout_s
        with self._changed:
            since = self.transcript.cursor
            while True:
                left_s = until_s - monotonic_s()
                found = self.transcript.expect(compiled, prompt=prompt or left_s <= 0)
                bad = self.transcript.bad_since(since)
                if bad is not None and (found is None or bad.at < found.start):
                    raise self.failure(bad)
                if found is not None:
                    return found
                if left_s <= 0:
                    raise self._timeout(compiled.pattern.decode("utf-8", "replace"), timeout_s)
                self._changed.wait(left_s)

    def check(self, since: int = 0) -> None:
        """Raises ConsoleFailure where a bad line has come since that byte."""
        __tracebackhide__ = True
        with self._changed:
            bad = self.transcript.bad_since(since)
        if bad is not None:
            raise self.failure(bad)

    def write(self, text: str) -> None:
        """Send text as it is; a port that is away is waited for. Raises ConsoleError."""
        self.write_bytes(text.encode())

    def write_bytes(self, data: bytes) -> None:
        """As `write`, for what is no text."""
        until_s = monotonic_s() + GONE_AT_MOST_S
        while True:
            with self._changed:
                while self._serial is None:
                    if not self._changed.wait(max(0.0, until_s - monotonic_s())):
                        raise self._cable(f"{self.port} is away, {data[:80].strip()!r} can not be written")
                serial = self._serial
            try:
                serial.write(data)
                return
            except PortGone as error:
                if monotonic_s() >= until_s:
                    raise self._cable(f"{self.port} takes no bytes: {error}") from None
                with self._changed:
                    self._changed.wait(REOPEN_EVERY_S)

    def write_line(self, text: str) -> None:
        """Send a line."""
        self.write(text + "\n")

    def hold_reset(self, *, held: bool) -> bool:
        """Hold the board in reset by its EN line, or let it run; False where the port has no such line."""
        serial = self._serial
        return serial is not None and serial.set_reset(held=held)

    def note(self, text: str) -> None:
        """A line of the log file that the board has not printed; who listens to such hears it."""
        self._write_log(f"[{text}]")
        if self._on_note is not None:
            self._on_note(text)

    def reset(self) -> bool:
        """Reset the board by its EN line (RTS); False where the port has no such line."""
        serial = self._serial
        if serial is None or not serial.set_reset(held=True):
            return False
        with self._changed:
            self._changed.wait_for(lambda: False, RESET_PULSE_S)
        return serial.set_reset(held=False)

    # -- errors ----------------------------------------------------------------------------------------

    def _has_grown(self, end: int) -> bool:
        return self.transcript.end != end

    def forget_the_past(self) -> None:
        """What is there and in flight belongs to before: the next `expect` begins after the first quiet moment."""
        until_s = monotonic_s() + SETTLE_AT_MOST_S
        with self._changed:
            while monotonic_s() < until_s:
                if not self._changed.wait_for(partial(self._has_grown, self.transcript.end), SETTLE_S):
                    break
            self.transcript.skip()

    def last_lines(self, count: int = LAST_LINES) -> tuple[str, ...]:
        """The newest lines, as far as a person reads them."""
        with self._changed:
            return self._newest(count)

    def _newest(self, count: int = LAST_LINES) -> tuple[str, ...]:
        return _cut(self.transcript.last_lines(count))

    def failure(self, bad: BadLine) -> ConsoleFailure:
        """A bad line as an error: what came before it, what came of it, and where in the program that was."""
        message = f"{self.name}: {bad.kind.name.replace('_', ' ')}: {bad.line}"
        with self._changed:
            lines = _cut(self.transcript.lines_around(bad.at, LINES_BEFORE, LAST_LINES))
        frames = [frame for panic in panics_in(lines) for frame in symbol_store(os.environ).explain(panic)]
        hint = "\n    ".join([f"{bad.kind.meaning}; its lines:", *lines, *frames])
        return ConsoleFailure(message, bad.kind.blame, hint=hint)

    def _timeout(self, pattern: str, timeout_s: float) -> ConsoleTimeout:
        if self._gone_since_s is not None:
            away_s = monotonic_s() - self._gone_since_s
            what = f"{self.port} has been away for {away_s:.1f} s ({self._gone_because})"
            return ConsoleTimeout(f"{self.name}: no {pattern!r} within {timeout_s:g} s: {what}", Blame.CABLE)
        if not self.transcript.end:
            hint = f"not a byte from {self.port}: asleep, without power, wrong port, or not at {self.baud} baud?"
            return ConsoleTimeout(f"{self.name}: no {pattern!r} within {timeout_s:g} s", Blame.CABLE, hint=hint)
        if self._is_garbled():
            hint = self._shown(f"what came is not text: is {self.baud} the right baud rate? The last lines:")
            return ConsoleTimeout(f"{self.name}: no {pattern!r} within {timeout_s:g} s", Blame.CABLE, hint=hint)
        return ConsoleTimeout(
            f"{self.name}: no {pattern!r} within {timeout_s:g} s", Blame.FIRMWARE, hint=self._shown("the last lines:")
        )

    def _is_garbled(self) -> bool:
        text = "".join(self.transcript.last_lines(LAST_LINES))
        return text.count("\\x") * 4 > len(text) / 2

    def _cable(self, message: str) -> ConsoleError:
        return ConsoleError(f"{self.name}: {message}", Blame.CABLE, hint=self._shown("the last lines:"))

    def _shown(self, title: str) -> str:
        lines = self._newest() or ("(nothing)",)
        return "\n    ".join([title, *lines])


def _cut(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Each no longer than a person reads."""
    return tuple(
        line if len(line) <= SHOWN_CHARS_MAX else f"{line[:SHOWN_CHARS_MAX]}... ({len(line):,} characters)"
        for line in lines
    )
