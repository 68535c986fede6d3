"""One server of a processes bench: a real `wakestorm serve --test-clock`, its log, its clock, its signals.

The child dies with this process however that ends; only its own pid is ever signalled.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from harness.bench import HttpAnswer
from harness.bench.http_request import exchange_over_tcp
from harness.errors import BenchUnavailable

READY_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 15.0
LAST_LINES_WITHIN_S: Final = 2.0
MARK_WITHIN_S: Final = 10.0
_MARK: Final = "[TestClock] mark "
_TAIL_LINES: Final = 20
_LAUNCHER: Final = Path(__file__).with_name("die_with_parent.py")
_ROOT: Final = Path(__file__).parents[2]
_ADDRESS: Final = re.compile(r"http://\S+:(\d+)")

OnLog = Callable[[str, str, str | None], None]
"""(level, line, device) of each line of the server's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What a server says of itself under `--test-clock`."""

    now: datetime
    next_due: datetime | None
    is_ready: bool
    is_idle: bool
    in_flight: int
    outgoing: int
    fences: dict[str, int]


@dataclass(slots=True, eq=False)
class ServerProcess:
    """A number that stays, and processes that come and go. `is_wanted`: it should be running."""

    number: int
    arguments: list[str]
    on_log: OnLog
    has_test_clock: bool = True
    is_wanted: bool = False
    is_paused: bool = False
    port: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    _process: subprocess.Popen[bytes] | None = None
    _reading: list[asyncio.Task[None]] = field(default_factory=list)
    _ready: asyncio.Future[int] | None = None
    _mark: int = 0
    _mark_read: int = 0
    _marked: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """As it stands in the history."""
        return f"server{self.number}"

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """There is a process (paused counts)."""
        return self._process is not None and self._process.poll() is None

    @property
    def answers(self) -> bool:
        """It can be asked something."""
        return self.is_running and not self.is_paused and self.port != 0

    # -- life ------------------------------------------------------------------------------------------

    async def start(self, at: datetime) -> None:
        """Start it with its test clock at `at`; returns once its HTTP side answers."""
        self.is_wanted, self.is_paused, self.port = True, False, 0
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        program = [sys.executable, "-P", "-m", "server.cli", *self.arguments]
        if self.has_test_clock:
            program += ["--test-clock", "--test-clock-start", at.isoformat()]
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(  # noqa: ASYNC220 - forks in this thread: the child dies with it
            [sys.executable, "-P", "-I", "-S", str(_LAUNCHER), str(os.getpid()), *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # a Ctrl-C in the terminal is the bench's to handle
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._reading = [
            loop.create_task(self._read(self._process.stdout, self._out)),
            loop.create_task(self._read(self._process.stderr, self._log)),
        ]
        ended = loop.create_task(self._wait_end())
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await asyncio.wait((self._ready, ended), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            await self.kill()
        finally:
            ended.cancel()
        if not self._ready.done():
            raise BenchUnavailable(f"{self.name} did not start", hint="\n  ".join(self.tail) or "it said nothing")
        self.port = self._ready.result()

    async def kill(self) -> None:
        """SIGKILL: a crash."""
        self.is_wanted = False
        self._signal(signal.SIGKILL)
        await self._reap()

    async def stop(self) -> bool:
        """SIGTERM; whether it ended well, and in time."""
        self.is_wanted = False
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._wait_end()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        return await self._reap() == 0

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing is done."""
        self.is_paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.is_paused = False
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running and self._process is not None:
            self._process.send_signal(number)

    async def _wait_end(self) -> None:
        while self.is_running:
            await asyncio.sleep(0.005)

    async def _reap(self) -> int | None:
        """Exit code, after the last line of the log."""
        await self._wait_end()
        if self._reading:  # a child of the server's own may hold the pipe
            await asyncio.wait(self._reading, timeout=LAST_LINES_WITHIN_S)
        for reading in self._reading:
            reading.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        code = None if self._process is None else self._process.returncode
        self._process, self._reading, self.port = None, [], 0
        self._marked.set()
        return code

    async def end_unwanted(self) -> str | None:
        """Why it ended although it should run; None while all is well."""
        if self._process is None or self.is_running or not self.is_wanted:
            return None
        self.is_wanted = False
        code = await self._reap()
        return f"{self.name} ended by itself with exit code {code}: {' | '.join(list(self.tail)[-3:])}"

    # -- what it writes --------------------------------------------------------------------------------

    async def _read(self, pipe: Any, line_read: Callable[[str], None]) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        rest = b""
        try:
            while data := await reader.read(1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    line_read(line.decode("utf-8", "replace"))
        finally:
            transport.close()

    def _out(self, line: str) -> None:
        found = _ADDRESS.search(line)
        if found and self._ready is not None and not self._ready.done():
            self._ready.set_result(int(found[1]))

    def _log(self, line: str) -> None:
        try:
            record = json.loads(line)
            level, text, device = record["level"], record["event"], record.get("device")
        except (ValueError, TypeError, KeyError):
            self.tail.append(line)  # a traceback, a warning of the interpreter
            self._out(line)  # without a broker, the address stands here
            return
        if text.startswith(_MARK):
            self._mark_read = int(text.removeprefix(_MARK))
            self._marked.set()
            return
        if level in ("error", "critical"):
            self.tail.append(text)
        self.on_log(level, text, device)

    # -- what it is asked ------------------------------------------------------------------------------

    async def exchange(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One HTTP exchange; raises BenchUnavailable where it is gone."""
        return await exchange_over_tcp("127.0.0.1", self.port, method, path, headers=headers, body=body)

    async def state(self) -> ServerState:
        """What it says of itself."""
        return _state_of(await self.exchange("GET", "/test-clock"))

    async def advance_to(self, moment: datetime) -> None:
        """Step its clock on to that moment; one that is past already changes nothing."""
        await self.exchange("POST", "/test-clock", body=json.dumps({"advance_to": moment.isoformat()}).encode())

    async def read_log(self) -> None:
        """Returns once everything that it has logged so far was read."""
        self._mark += 1
        mark = self._mark
        await self.exchange("GET", f"/test-clock?mark={mark}")
        async with asyncio.timeout(MARK_WITHIN_S):
            while self._mark_read < mark and self.is_running:
                self._marked.clear()
                await self._marked.wait()


def _state_of(answer: HttpAnswer) -> ServerState:
    try:
        fields = json.loads(answer.body)
        next_due = fields.pop("next_due")
        return ServerState(
            now=datetime.fromisoformat(fields.pop("now")),
            next_due=None if next_due is None else datetime.fromisoformat(next_due),
            **fields,
        )
    except (ValueError, TypeError, KeyError):
        raise BenchUnavailable(f"the server has no test clock: {answer.status} {answer.body[:200]!r}") from None
