"""A board's switch in a run: things are done in order, in a thread, and what fails is told, never raised."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.blame import Blame
from harness.dut.console import ConsoleError
from harness.dut.power import PowerFailed
from harness.dut.power_switch import SerialHands, SerialSwitch


class Line:
    """A console that only remembers; `has_reset`: whether its port has RTS."""

    def __init__(self, *, has_reset: bool = False) -> None:
        self.name, self.port = "cam-7", "/dev/ttyUSB0"
        self.done: list[str] = []
        self._has_reset = has_reset

    def write_line(self, text: str) -> None:
        self.done.append(text)

    def write(self, text: str) -> None:
        self.done.append(text)

    def reset(self) -> bool:
        if self._has_reset:
            self.done.append("reset")
        return self._has_reset


class Plug:
    def __init__(self, done: list[str], *, is_broken: bool = False) -> None:
        self._done = done
        self._is_broken = is_broken

    def off(self) -> None:
        if self._is_broken:
            raise PowerFailed("cam-7: the plug does not answer", hint="is this its address?")
        self._done.append("off")

    def on(self) -> None:
        self._done.append("on")


def played(line: Line, plug: Plug | None, *acts: str) -> list[ConsoleError]:
    """Does these on a loop; returns what was told."""
    told: list[ConsoleError] = []

    async def play() -> None:
        console: Any = line
        switch = SerialSwitch(console, plug, told.append)
        switch.is_fresh = True
        for act in acts:
            switch.booted(5) if act == "booted" else getattr(switch, act)()
        assert switch.is_busy
        while switch.is_busy:
            await asyncio.sleep(0)
        switch.close()

    asyncio.run(play())
    return told


def test_all_is_done_in_order_and_the_board_is_left_with_power() -> None:
    line = Line()
    assert played(line, Plug(line.done), "wake", "booted", "booted", "power_off") == []
    assert line.done == ["wake", "format\ntime 5\n", "time 5\n", "off", "on"]


@pytest.mark.parametrize(
    ("line", "expected"), [(Line(has_reset=True), ["reset"]), (Line(), ["off", "on"])], ids=["by RTS", "by its power"]
)
def test_a_reset_is_done_by_what_there_is(line: Line, expected: list[str]) -> None:
    assert played(line, Plug(line.done), "reset") == []
    assert line.done == expected


def test_what_fails_is_told_with_its_blame_and_its_hint() -> None:
    line = Line()
    (told,) = played(line, Plug(line.done, is_broken=True), "power_off")
    assert told.blame is Blame.HARNESS and "is this its address?" in str(told)
    (without,) = played(Line(), None, "reset")
    assert "has no reset line" in str(without)
    with pytest.raises(ConsoleError, match="no power switch"):
        console: Any = line
        SerialHands(console, None).power_off()
