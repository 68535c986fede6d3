"""What a board keeps back or says that is not allowed: another program, silence, a port that stays away."""

from __future__ import annotations

import pytest

from harness.blame import Blame
from harness.dut import board_trouble
from harness.dut.board_trouble import BoardTrouble
from harness.dut.console import Console, ConsoleError

ELF = "4eb4236d8c0ffee"


class Desk:
    """A board's console that is never opened, a clock, and a switch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000.0
        self.is_switching = False
        self.away_s: float | None = None
        monkeypatch.setattr(board_trouble, "monotonic_s", lambda: self.now_s)
        monkeypatch.setattr(Console, "away_s", property(lambda console: self.away_s))
        self.console = Console("/dev/ttyNone", name="yard[0]")
        self.watch = BoardTrouble("yard[0]", self.console, lambda: self.is_switching)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def blame(desk: Desk) -> Blame | None:
    found = desk.watch.look()
    return None if found is None else found.blame


def test_the_program_that_was_flashed_is_proved_by_its_boot_log(desk: Desk) -> None:
    desk.watch.expect_program(ELF)
    assert desk.watch.heard("I (27) boot: ESP-IDF v5.4.1", is_ready=False) is None
    assert desk.watch.heard("I (144) app_init: ELF file SHA256:  4eb4236d8...", is_ready=False) == "4eb4236d8"
    assert desk.watch.heard("I (180) cam: ready", is_ready=True) is None
    assert blame(desk) is None


@pytest.mark.parametrize(
    ("line", "is_ready", "said"),
    [
        ("I (144) app_init: ELF file SHA256:  abaea4092...", False, "begins abaea4092, expected 4eb4236d8"),
        ("I (180) cam: ready", True, "names no ELF file, expected 4eb4236d8"),
    ],
)
def test_another_program_is_the_firmwares(desk: Desk, line: str, is_ready: bool, said: str) -> None:
    desk.watch.expect_program(ELF)
    assert desk.watch.heard(line, is_ready=is_ready) is None
    assert blame(desk) is Blame.FIRMWARE
    assert said in str(desk.watch.look())


def test_silence_after_a_wake_is_the_cables_unless_it_has_no_power(desk: Desk) -> None:
    desk.watch.silent_since_s = desk.now_s
    desk.now_s += 59
    assert blame(desk) is None
    desk.is_switching = True  # the plug takes its time: patience begins anew
    assert blame(desk) is None
    desk.is_switching = False
    desk.now_s += 59
    assert blame(desk) is None
    desk.now_s += 2
    assert blame(desk) is Blame.CABLE
    assert "has said nothing for 60 s" in str(desk.watch.look())


def test_a_port_may_be_away_while_its_board_is_dark(desk: Desk) -> None:
    desk.watch.set_power(is_on=False)
    desk.away_s = 600.0
    assert blame(desk) is None
    desk.watch.set_power(is_on=True)
    desk.now_s += 4
    assert blame(desk) is None
    desk.now_s += 2
    assert blame(desk) is Blame.CABLE


def test_the_first_trouble_stays_and_bad_lines_of_before_the_flash_do_not_count(desk: Desk) -> None:
    desk.console.transcript.feed(b"invalid header: 0xffffffff\n")
    desk.watch.forget()
    assert blame(desk) is None
    desk.watch.allow(["panic"])
    desk.console.transcript.feed(b"Guru Meditation Error: Core  0 panic'ed\n")
    assert blame(desk) is None
    desk.watch.add(ConsoleError("the plug does not answer", Blame.HARNESS))
    desk.console.transcript.feed(b"Brownout detector was triggered\n")
    assert blame(desk) is Blame.HARNESS
