"""Resets a board with its console open, and proves by the boot log that it runs what was flashed.

A board without DTR and RTS is reset through its loader, by the watchdog registers that esptool's `watchdog-reset` uses.
"""

from __future__ import annotations

import re
import struct
import threading
from dataclasses import dataclass
from typing import Final

from harness.blame import Blame
from harness.dut.console import Console, ConsoleFailure, ConsoleTimeout
from harness.dut.flash_trouble import Trouble, trouble_of
from harness.dut.serial_port import RESET_PULSE_S, PortGone, PortUnavailable, SerialPort
from harness.machine import monotonic_s
from simulator.board.slip import encode

PATIENCE_S: Final = 10.0
LISTEN_S: Final = 2.0
NAMELESS_PATIENCE_S: Final = 3.0
"""An app without a description names no ELF file; so long it may show that it does not boot."""

ELF_LINE: Final = r"ELF file SHA256:\s+([0-9a-f]{8,64})|waiting for download"
_REFUSED: Final = re.compile(
    r"invalid header: 0x|SHA-256 comparison failed|No bootable app partitions|partition table|Image hash failed|"
    r"Checksum failed|invalid magic|mismatch chip ID|csum err"
)
_TEXT: Final = re.compile(rb"[\x20-\x7e]{12,}")
_SYNC: Final = 0x08
_SYNC_BODY: Final = b"\x07\x07\x12\x20" + b"\x55" * 32
_WRITE_REGISTER: Final = 0x09
_WATCHDOG: Final = (
    (0x600080B0, 0x50D83AA1),  # unlock
    (0x6000809C, 2_000),
    (0x60008098, 1 << 31 | 5 << 28 | 1 << 8 | 2),
    (0x600080B0, 0),  # lock: the last answer before the reset
)
_ALL_BITS: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of the reset; without trouble the board runs the program with `elf_sha256`."""

    elf_sha256: str | None
    trouble: Trouble | None
    lines: tuple[str, ...]


def watchdog_frames() -> bytes:
    """The packets that make the loader's watchdog reset the chip (esptool, targets/esp32s3.py, watchdog_reset).

    A SYNC goes before them, by which a loader that was left at another speed finds to this one.
    """
    writes = (struct.pack("<4I", address, value, _ALL_BITS, 0) for address, value in _WATCHDOG)
    return _frame(_SYNC, _SYNC_BODY) + b"".join(_frame(_WRITE_REGISTER, body) for body in writes)


def _frame(op: int, body: bytes) -> bytes:
    return encode(struct.pack("<BBHI", 0, op, len(body), 0) + body)


def refined(trouble: Trouble, port: str, baud: int) -> Trouble:
    """Where nobody answered: a board that prints something is there, and only its loader is not reached."""
    if trouble.kind != "no-answer" or not _speaks(port, baud):
        return trouble
    return trouble_of("Wrong boot mode detected")


def _speaks(port: str, baud: int) -> bool:
    """Whether text comes, after a reset where the port has that line."""
    heard = b""
    try:
        serial = SerialPort(port, baud)
        try:
            if serial.set_reset(held=True):
                threading.Event().wait(RESET_PULSE_S)
                serial.set_reset(held=False)
            until_s = monotonic_s() + LISTEN_S
            while monotonic_s() < until_s and not _TEXT.search(heard):
                heard += serial.read()
        finally:
            serial.close()
    except (PortUnavailable, PortGone):
        return False
    return _TEXT.search(heard) is not None


def reset_from_loader(console: Console, *, has_lines: bool) -> None:
    """Start the program of a board that waits in its loader; the next `expect` looks at what comes of it."""
    console.forget_the_past()  # the loader's own "waiting for download" may come late
    if not (has_lines and console.reset()):
        console.write_bytes(watchdog_frames())


def prove(
    console: Console, elf_sha256: str | None, *, has_lines: bool, is_sound: bool, patience_s: float = PATIENCE_S
) -> Proof:
    """Reset, and wait for the line that names the ELF file; without a hash, only look whether it boots.

    `is_sound`: the files flashed had no flaw of their own.
    """
    console.transcript.allowed = ("rtc_watchdog",)  # that is this reset
    reset_from_loader(console, has_lines=has_lines)
    try:
        found = console.expect(ELF_LINE, patience_s if elf_sha256 else min(patience_s, NAMELESS_PATIENCE_S))
    except ConsoleFailure as error:
        if error.blame is Blame.BOARD and _REFUSED.search(str(error)):
            return Proof(None, _refused(error.message, is_sound=is_sound), console.last_lines())
        return Proof(
            None, Trouble("boot", error.blame, error.message, "the log says more", False), console.last_lines()
        )
    except ConsoleTimeout as error:
        if elf_sha256 is None and error.blame is not Blame.CABLE:
            return Proof(None, None, console.last_lines())
        return Proof(None, _silence(console.last_lines(), error, is_sound=is_sound), console.last_lines())
    seen = found.groups[0] or ""
    if not seen:
        fix = "let BOOT go; is IO0 held low by something?"
        stuck = Trouble("stuck-in-download", Blame.BOARD, "after the reset it waits for a download again", fix, False)
        return Proof(None, stuck, console.last_lines())
    if elf_sha256 is None or elf_sha256.startswith(seen):
        return Proof(seen, None, console.last_lines())
    cause = f"another program runs: its ELF SHA-256 begins {seen}, that of the app flashed {elf_sha256[: len(seen)]}"
    fix = "OTA data chose the other slot: flash ota_data_initial.bin too (--force)"
    return Proof(seen, Trouble("other-program", Blame.FIRMWARE, cause, fix, False), console.last_lines())


def _silence(lines: tuple[str, ...], error: ConsoleTimeout, *, is_sound: bool) -> Trouble:
    text = "\n".join(lines)
    if _REFUSED.search(text):
        said = next(line for line in reversed(lines) if _REFUSED.search(line))
        return _refused(said, is_sound=is_sound)
    if error.blame is Blame.CABLE:
        fix = (error.hint or "is the console's port the right one?").splitlines()[0]
        return Trouble("silent", Blame.CABLE, "after the reset its boot log does not come", fix, False)
    fix = "does it log at INFO? else give --no-proof"
    return Trouble("no-proof", Blame.FIRMWARE, "the boot log does not name the ELF file", fix, False)


def _refused(said: str, *, is_sound: bool) -> Trouble:
    """The files decide: what was sound when it was written and verified has changed in the flash."""
    if is_sound:
        fix = "the files are sound, so the flash has changed: flash again; if it stays, the flash is worn"
        return Trouble("flash-corrupt", Blame.BOARD, f"does not boot: {said}", fix, False)
    return Trouble(
        "image-broken", Blame.FIRMWARE, f"does not boot: {said}", "the image is broken: build it again", False
    )
