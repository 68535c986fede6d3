"""A console on a pseudo-terminal: what it finds, what it says when it does not, and a port that goes away."""

from __future__ import annotations

import io
import os
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

import firmware_fixtures
from harness.blame import Blame
from harness.cli import exit_code_of
from harness.dut.board_lock import FOLDER_VARIABLE, held
from harness.dut.console import Console, ConsoleFailure, ConsoleTimeout
from harness.dut.serial_port import PortUnavailable
from harness.dut.symbols import VARIABLE, SymbolStore
from simulator.board.panic import last_words


class Wire:
    """The board's end of a pseudo-terminal, under a name that stays when the terminal is made anew."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self._ends: tuple[int, int] = (-1, -1)
        self.plug()

    def plug(self) -> None:
        self._ends = os.openpty()
        tty.setraw(self._ends[1])
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._ends[1]))

    def pull(self) -> None:
        self.link.unlink()
        for end in self._ends:
            os.close(end)

    def say(self, text: bytes) -> None:
        os.write(self._ends[0], text)

    def heard(self, count: int) -> bytes:
        return os.read(self._ends[0], count)


@pytest.fixture(autouse=True)
def own_symbols(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "symbols"))


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    made = Wire(tmp_path / "ttyBoard0")
    yield made
    if made.link.is_symlink():
        made.pull()


def test_lines_are_expected_written_and_kept_in_a_log(wire: Wire, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "yard.log"
    with Console(str(wire.link), name="yard[0]", log=log) as console:
        wire.say(b"I (1) camera: wake 1\r\nI (2) camera: photo image_1.jpg\r\n")
        assert console.expect("photo (\\S+)").groups == ("image_1.jpg",)
        console.write_line("status")
        assert wire.heard(7) == b"status\n"
    assert [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()] == [
        "I (1) camera: wake 1",
        "I (2) camera: photo image_1.jpg",
    ]


def test_a_bad_line_before_the_expected_one_is_the_result(wire: Wire) -> None:
    with Console(str(wire.link), name="yard[0]") as console:
        wire.say(
            b"I (1) camera: wake 1\nGuru Meditation Error: Core  0 panic'ed (StoreProhibited).\nI (2) camera: ok\n"
        )
        with pytest.raises(ConsoleFailure, match=r"yard\[0\]: panic: Guru Meditation") as caught:
            console.expect("camera: ok")
        assert caught.value.blame is Blame.FIRMWARE
        assert "I (1) camera: wake 1" in str(caught.value)


def test_a_panic_is_shown_with_its_backtrace_in_words_whatever_came_after_it(wire: Wire, tmp_path: Path) -> None:
    elf = Path(firmware_fixtures.__file__).parent / "esp32s3" / "camera.elf"
    sha256 = SymbolStore(tmp_path / "symbols").add(elf)
    reboot = b"".join(b"I (%d) boot: line %d\r\n" % (number, number) for number in range(30))
    with Console(str(wire.link), name="yard[0]") as console:
        panic = last_words("panic", 5, (0x420000F0, 0x4200012B), sha256)
        wire.say(b"I (1) cam: long before\r\nI (2) cam: a\nI (3) cam: b\nI (4) cam: c\n" + panic + reboot)
        with pytest.raises(ConsoleFailure) as caught:
            console.expect("line 29")
    shown = str(caught.value)
    assert "I (2) cam: a" in shown and "long before" not in shown and "line 29" not in shown
    assert "Backtrace: 0x420000f0" in shown
    assert "0x420000f0: camera_capture at camera.c:82" in shown and "0x4200012b: wake_cycle" in shown


def test_a_bad_line_after_the_expected_one_is_left_for_the_next(wire: Wire) -> None:
    with Console(str(wire.link)) as console:
        wire.say(b"I (1) camera: ok\nabort() was called at PC 0x4037a1b2 on core 0\n")
        assert console.expect("camera: ok")
        with pytest.raises(ConsoleFailure, match="abort"):
            console.expect("never")


def test_a_timeout_shows_the_last_twenty_lines(wire: Wire) -> None:
    with Console(str(wire.link), name="yard[0]") as console:
        wire.say(b"".join(b"I (%d) camera: line %d\n" % (number, number) for number in range(40)))
        console.expect("line 39")
        with pytest.raises(ConsoleTimeout, match=r"no 'line 40' within 0.05 s") as caught:
            console.expect("line 40", 0.05)
    shown = str(caught.value)
    assert shown.count("camera: line") == 20 and "line 20\n" in shown and "line 19\n" not in shown
    assert caught.value.blame is Blame.FIRMWARE


def test_silence_and_noise_are_blamed_on_the_cable(wire: Wire) -> None:
    with Console(str(wire.link), name="yard[0]") as console:
        with pytest.raises(ConsoleTimeout, match="not a byte from") as silent:
            console.expect("boot", 0.05)
        wire.say(b"\xfe\xf8\x80\x00\xfe\xc0\xf0\xfe" * 8 + b"\n")
        with pytest.raises(ConsoleTimeout, match="right baud rate") as noisy:
            console.expect("boot", 0.2)
        wire.say(b"\xa7" * 5_000)
        with pytest.raises(ConsoleTimeout, match="right baud rate") as endless:
            console.expect("boot", 0.2)
    assert (silent.value.blame, noisy.value.blame) == (Blame.CABLE, Blame.CABLE)
    assert max(map(len, str(endless.value).splitlines())) < 200 and "(20,000 characters)" in str(endless.value)


def test_a_port_that_went_away_is_named_and_waited_for(wire: Wire) -> None:
    gone = threading.Event()
    noted: list[str] = []
    with Console(str(wire.link), name="yard[0]", on_change=gone.set, on_note=noted.append) as console:
        wire.pull()
        with pytest.raises(ConsoleTimeout, match=f"{wire.link} has been away for") as caught:
            console.expect("boot", 0.3)
        assert caught.value.blame is Blame.CABLE
        wire.plug()
        while console.vanished and console._serial is None:  # until it is open, or the test's own time limit
            gone.wait(0.01)
        wire.say(b"I (27) boot: again\n")
        assert console.expect("boot: again")
        assert console.vanished == 1
    assert [note.partition(":")[0] for note in noted] == [f"{wire.link} went away", f"{wire.link} is there again"]


def test_the_port_can_be_lent_to_another_program(wire: Wire) -> None:
    with Console(str(wire.link)) as console:
        with pytest.raises(PortUnavailable, match="another program"):
            Console(str(wire.link)).open()
        with console.released(), Console(str(wire.link)) as other:
            wire.say(b"to the other one\n")
            assert other.expect("other one")
        wire.say(b"back\n")
        assert console.expect("back")


def test_a_port_that_is_not_there_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["console", str(tmp_path / "ttyNone")]) == 3
    error = capsys.readouterr().err
    assert "ttyNone can not be opened" in error and "boards scan" in error
    assert exit_code_of(["console", "cam-7"]) == 64


def test_the_command_names_who_holds_the_port(
    wire: Wire, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "locks"))
    with held("yard", str(wire.link), "a run"):
        assert exit_code_of(["console", str(wire.link), "--for", "50ms"]) == 3
    assert f"process {os.getpid()}, a run, since" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert exit_code_of(["console", str(wire.link), "--for", "50ms"]) == 0


def test_the_command_shows_lines_until_one_comes(
    wire: Wire, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    said = threading.Thread(
        target=lambda: (wire.heard(7), wire.say(b"I (1) wifi: up\nW (2) camera: low\nI (3) camera: status ok\n"))
    )
    said.start()
    words = ["console", str(wire.link), "--send", "status", "--until", "status ok", "--for", "10s", "-f", "*:V wifi:N"]
    assert exit_code_of(words) == 0
    said.join()
    assert capsys.readouterr().out == "W (2) camera: low\nI (3) camera: status ok\n"
    assert exit_code_of(["console", str(wire.link), "--until", "never", "--for", "50ms"]) == 1


def test_symbols_are_kept_by_their_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "camera.elf"
    program.write_bytes(b"\x7fELF and so on")
    store = str(tmp_path / "store")
    assert exit_code_of(["symbols", "add", str(program), "--symbols", store]) == 0
    sha256 = capsys.readouterr().out.split()[0]
    assert exit_code_of(["symbols", "ls", "--symbols", store]) == 0
    assert capsys.readouterr().out.split() == [sha256]
    program.write_bytes(b"\xe9 an image")
    assert exit_code_of(["symbols", "add", str(program), "--symbols", store]) == 64
    assert "no ELF file" in capsys.readouterr().err
