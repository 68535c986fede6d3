"""A board as a device under test: its console tells what it does, a gate carries its messages, a switch its power.

The same class drives a virtual board and a real one; they differ in their `Switch` and in how they are flashed. What
happens on the board is known from its console lines (`firmware_lines`), never from inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from harness.bench.clock import Changes, ScenarioClock, Timer
from harness.blame import Blame
from harness.dut.board_link import BoardLink
from harness.dut.board_trouble import BoardTrouble
from harness.dut.console import Console, ConsoleError
from harness.dut.firmware_lines import Asleep, ClockSet, Freed, Photo, Picture, Ready, said_in
from harness.dut.log_lines import LEVEL_WORDS, log_line
from harness.dut.lullaby import Song, lull
from harness.dut.power_switch import SerialSwitch, Switch
from harness.history import History
from harness.machine import monotonic_s
from harness.plan_steps import PlannedDevice, PlannedFault

WAKE_LIMIT_MS: Final = 180_000
"""A wake of a board that does not hang is over by then, in real time."""

LOOK_EVERY_S: Final = 0.02

Flasher = Callable[[str, bool], Coroutine[Any, Any, None]]
"""(firmware, force): writes the firmware and leaves the board as it was found: asleep or dark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardWorld:
    """What all boards of a bench share."""

    clock: ScenarioClock
    changes: Changes
    history: History
    seed: int
    broker: tuple[str, int]
    login: tuple[str, str] | None = None
    """What the broker asks for."""
    listen: str = "127.0.0.1"


@dataclass(slots=True)
class _Power:
    """On, and awake or not."""

    is_on: bool = True
    is_awake: bool = False
    woken_at_ms: int | None = None
    next_wake_ms: int | None = None
    told_ms: int | None = None
    timer: Timer | None = None


class BoardDut:
    """One board of a plan. `switch` and `flasher` are set by who knows how to."""

    wake_limit_ms = WAKE_LIMIT_MS

    def __init__(self, planned: PlannedDevice, port: str, world: BoardWorld, *, baud: int, log: Path | None) -> None:
        self.planned = planned
        self._world = world
        self._loop = asyncio.get_running_loop()
        self.console = Console(port, name=planned.name, baud=baud, log=log, on_line=self._heard, wakes_line=True)
        self.link = BoardLink(planned, world, self)
        self.switch: Switch | None = None
        self.flasher: Flasher | None = None
        self.picture = Picture()
        self._power = _Power()
        self._is_prelude = False
        self._wakes = 0
        self._is_resting = False
        self.watch = BoardTrouble(planned.name, self.console, lambda: self.switch is not None and self.switch.is_busy)

    # -- what a scenario sees --------------------------------------------------------------------------

    @property
    def is_asleep(self) -> bool:
        """Deep sleep or without power."""
        return not self._power.is_awake

    @property
    def is_alone(self) -> bool:
        """Nothing reaches it before its next wake."""
        return self.is_asleep

    @property
    def next_wake_ms(self) -> int | None:
        """Scenario time of the next wake."""
        return self._power.next_wake_ms if self.is_asleep else None

    @property
    def is_on(self) -> bool:
        """It has power."""
        return self._power.is_on

    def switched_off(self) -> None:
        """It was left without power: dark until it is woken."""
        self._power.is_on = False
        self.watch.set_power(is_on=False)

    @property
    def told_ms(self) -> int | None:
        """Scenario time of the wake that the server has named in this one."""
        return self._power.told_ms

    @told_ms.setter
    def told_ms(self, told_ms: int) -> None:
        self._power.told_ms = told_ms

    @property
    def wakes(self) -> int:
        """Wakes begun since the start."""
        return self._wakes

    @property
    def pending(self) -> tuple[str, ...]:
        """Names in the SD card's queue, oldest first."""
        return tuple(name for name, _ in self.picture.queue)

    @property
    def held_sha256(self) -> frozenset[str]:
        """Hashes of the images in the queue."""
        return frozenset(sha256 for _, sha256 in self.picture.queue)

    @property
    def photos(self) -> int:
        """Photos taken since the start."""
        return self.picture.photos

    @property
    def trouble(self) -> ConsoleError | None:
        """The first bad line, a port that stays away, silence after a wake, another program."""
        return self.watch.look()

    # -- what a scenario does --------------------------------------------------------------------------

    def wake(self, reason: str) -> None:
        """Wake now."""
        if self._power.is_awake:
            return
        assert self.switch is not None
        self.switch.set_clock(self._world.clock.now_ms())
        if self._power.is_on:
            self.switch.wake()
        else:
            self.link.gate.is_dark = False
            self.switch.power_on()
            self.watch.set_power(is_on=True)
            self._power.is_on = True
        self._begin_wake(reason)

    def _begin_wake(self, reason: str) -> None:
        self._cancel_timer()
        self._wakes += 1
        self._power.is_awake = True
        self.watch.silent_since_s = monotonic_s()
        self._power.woken_at_ms = self._world.clock.now_ms()
        self._power.told_ms = None
        self._note("wake", number=self._wakes, reason=reason)
        self.link.windows.new_wake()

    def arm(self, faults: Sequence[PlannedFault]) -> None:
        """Let these faults strike from now on; the ones armed before are gone."""
        mine = [fault for fault in faults if self.planned.number in fault.devices]
        self.link.arm(mine)

    def set_wifi(self, *, up: bool) -> None:
        """Down: nobody gets through the gate."""
        self.link.set_open(is_open=up)

    def power_loss(self, back_after_ms: int | None) -> None:
        """Take the power; back after that long, or at its next wake."""
        self._note("fault", action="power_loss")
        self.cut_power(back_after_ms)

    def cut_power(self, back_after_ms: int | None) -> None:
        """As `power_loss`, told of by the fault that does it."""
        assert self.switch is not None
        now_ms = self._world.clock.now_ms()
        due_ms = self._power.next_wake_ms if self.is_asleep else self._own_wake_ms(now_ms)
        self.link.gate.is_dark = True
        self.link.gate.cut()
        self.switch.power_off()
        self.watch.set_power(is_on=False)
        self._power.is_on = self._power.is_awake = False
        self._sleep_until(due_ms if back_after_ms is None else now_ms + back_after_ms)

    def _own_wake_ms(self, now_ms: int) -> int:
        """Whole intervals after this wake began, and after now, as the firmware's own timer has it."""
        since_ms = self._power.woken_at_ms or now_ms
        return since_ms + self.planned.interval_ms * ((now_ms - since_ms) // self.planned.interval_ms + 1)

    def reset(self) -> None:
        """Press the reset button."""
        assert self.switch is not None
        self._note("fault", action="reset")
        self._power.is_awake = False
        self._begin_wake("software")
        self.switch.reset()

    def heal(self) -> None:
        """End every fault: chains disarmed, Wi-Fi and power back."""
        self.link.heal()
        if self.is_asleep and self._power.next_wake_ms is None and self._wakes:
            self._sleep_until(self._world.clock.now_ms() + self.planned.interval_ms)

    def rest(self) -> None:
        """No more wakes: the scenario is over."""
        self._is_resting = True
        self._cancel_timer()

    def allow(self, names: Sequence[str]) -> None:
        """Lines of the fail list that are meant to come."""
        self.watch.allow(names)

    async def talk(self, write: str | None, pattern: str | None, *, literal: bool, within_s: float) -> None:
        """Type a line, then wait for one. Raises ConsoleError."""
        if write is not None:
            await self._blocking(self.console.write_line, write)
        if pattern is not None:
            await self._loop.run_in_executor(None, lambda: self.console.expect(pattern, within_s, literal=literal))

    async def flash(self, firmware: str, *, force: bool) -> None:
        """Another firmware; the board sleeps or is dark before and after."""
        assert self.flasher is not None
        await self.flasher(firmware, force)

    def flashed(self, **fields: Any) -> None:
        """What came of flashing it, for the history."""
        self._note("info", **fields)

    @contextmanager
    def lulled(self) -> Iterator[None]:
        """Whoever boots inside is sung to sleep; wakes in here are not the scenario's."""
        wake = self._world.clock.now() + timedelta(milliseconds=self.planned.interval_ms)
        song = Song(self.link.dialect, wake, self._world.login, self.link.say)
        self._is_prelude = self._power.is_awake = True
        is_dark, self.link.gate.is_dark = self.link.gate.is_dark, False
        self.link.gate.lullaby = lambda reader, writer: lull(reader, writer, song)
        try:
            yield
        finally:
            self._is_prelude = self._power.is_awake = False
            self.link.gate.is_dark = is_dark
            self.link.gate.lullaby = None

    async def wait_asleep(self, within_s: float) -> None:
        """Returns once it says that it sleeps. Raises ConsoleError."""
        until_s = monotonic_s() + within_s
        while self._power.is_awake:
            if self.trouble is not None:
                raise self.trouble
            if monotonic_s() > until_s:
                lines = ["it must say HELLO and obey next_wake; the last lines:", *self.console.last_lines()]
                hint = "\n    ".join(lines)
                raise ConsoleError(
                    f"{self.planned.name} does not sleep within {within_s:g} s", Blame.FIRMWARE, hint=hint
                )
            await asyncio.sleep(LOOK_EVERY_S)

    async def open(self) -> None:
        """The gate listens, the console reads."""
        await self.link.gate.start()
        await self._blocking(self.console.open)

    async def close(self) -> None:
        """Let go of gate, port and timers."""
        self._is_resting = True
        self._cancel_timer()
        await self.link.gate.close()
        await self._blocking(self.console.close)

    async def _blocking(self, call: Callable[..., Any], *args: Any) -> Any:
        return await self._loop.run_in_executor(None, call, *args)

    # -- what the board says ---------------------------------------------------------------------------

    def _heard(self, line: str) -> None:
        """In the console's thread."""
        try:
            self._loop.call_soon_threadsafe(self._line, line)
        except RuntimeError:  # the loop has ended meanwhile
            return

    def _line(self, line: str) -> None:
        parts = log_line(line)
        level = LEVEL_WORDS[parts.level] if parts is not None else "info"
        if line:
            self._note("serial", level=level, text=line)
        said = said_in(line)
        if said is not None:
            self.picture.take(said)
        proved = self.watch.heard(line, is_ready=isinstance(said, Ready))
        if proved is not None:
            self._note("info", program=proved, proved=True)
        if isinstance(said, Ready) and self._power.is_on and self.switch is not None:
            self.switch.booted(self._world.clock.now_ms())
        if isinstance(said, ClockSet) and isinstance(self.switch, SerialSwitch):
            self.switch.keeps_time = True
        if self._is_prelude:
            self._power.is_awake = self._power.is_awake and not isinstance(said, Asleep)
            said = None
        match said:
            case Ready():
                self._booted(said)
            case Photo():
                self._photographed(said)
            case Freed(image_name=name, sha256=sha256):
                self._note("info", released=name, sha256=sha256)
            case Asleep(for_ms=for_ms) if self._power.is_on:
                self._fell_asleep(for_ms)
            case _:
                pass
        self._world.changes.notify()

    def _booted(self, ready: Ready) -> None:
        if not self._power.is_on or self._is_resting:
            return
        if not self._power.is_awake:
            self._begin_wake(ready.reset)  # by itself: its own timer, or a crash

    def _fell_asleep(self, for_ms: int | None) -> None:
        """Until when: by its own words where its clock is the scenario's, else by what the server told it."""
        now_ms = self._world.clock.now_ms()
        self._power.is_awake = False
        if self.switch is None or self.switch.keeps_time:
            at_ms = None if for_ms is None else now_ms + for_ms
        else:
            at_ms = self._power.told_ms or self._own_wake_ms(now_ms)
        self._sleep_until(at_ms)

    def _photographed(self, photo: Photo) -> None:
        self._note(
            "capture",
            image_name=photo.image_name,
            captured_at=datetime.fromisoformat(photo.captured_at),
            sha256=photo.sha256,
            size_bytes=photo.size_bytes,
            total_chunks=photo.total_chunks,
            damaged_at_source=photo.damaged_at_source,
            offline=photo.offline,
        )

    def _sleep_until(self, at_ms: int | None) -> None:
        self._cancel_timer()
        if self._is_resting:
            return
        self._power.next_wake_ms = at_ms
        self._note("sleep", until_ms=None if at_ms is None else at_ms - self._world.clock.start_ms)
        if at_ms is not None:
            self._power.timer = self._world.clock.call_at(at_ms, lambda: self.wake("timer"))
        self._world.changes.notify()

    def _cancel_timer(self) -> None:
        if self._power.timer is not None:
            self._power.timer.cancel()
        self._power.timer = None
        self._power.next_wake_ms = None

    def _note(self, kind: Any, **fields: Any) -> None:
        self._world.history.append(self._world.clock.elapsed_ms(), kind, self.planned.name, **fields)
