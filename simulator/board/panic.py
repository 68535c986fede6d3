"""How firmware dies: the text of a panic, an abort, a watchdog, a brownout, with a backtrace that decodes. Pure.

The code isn't executed, so there is no stack to walk. An app may carry call chains in its read-only data: `WSTRACE\0`,
a count and the largest depth, then for each chain 12 bytes of reason, its depth, and as many addresses as the largest
depth, innermost first. An app without them shows the start of its code.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from simulator.board.boot import BootedApp
from simulator.board.boot_log import log_line
from simulator.board.image import Cells
from simulator.board.resets import ChipReset

MAGIC: Final = b"WSTRACE\0"
_HEAD: Final = struct.Struct("<II")
_CHAIN: Final = struct.Struct("<12sI")
_CHAINS_MAX: Final = 16
_DEPTH_MAX: Final = 32

_STACK_TOP: Final = 0x3FC9_A2B0
_FRAME_BYTES: Final = 0x20
_LOAD_PROHIBITED: Final = 0x1C


def frames_of(flash: Cells, app: BootedApp, reason: str) -> tuple[int, ...]:
    """Program counters of the calls under way, innermost first: the chain of that reason, else the first."""
    chains: dict[str, tuple[int, ...]] = {}
    for segment in app.image.segments:
        data = bytes(flash[segment.data_offset : segment.data_offset + segment.length])
        place = data.find(MAGIC)
        if place >= 0:
            chains |= _chains(data[place + len(MAGIC) :])
    if chains:
        return chains.get(_CHAIN_OF.get(reason, reason)) or next(iter(chains.values()))
    code = [s for s in app.image.segments if 0x4200_0000 <= s.address < 0x4400_0000]
    return (code[0].address if code else app.image.entry,)


def _chains(data: bytes) -> dict[str, tuple[int, ...]]:
    """What is whole and not empty; data behind the magic may be anything."""
    if len(data) < _HEAD.size:
        return {}
    count, depth_max = _HEAD.unpack_from(data)
    size = _CHAIN.size + 4 * depth_max
    found = {}
    if 0 < depth_max <= _DEPTH_MAX:
        for number in range(min(count, _CHAINS_MAX, (len(data) - _HEAD.size) // size)):
            start = _HEAD.size + number * size
            reason, depth = _CHAIN.unpack_from(data, start)
            frames = struct.unpack_from(f"<{min(depth, depth_max)}I", data, start + _CHAIN.size)
            if frames:
                found[reason.split(b"\0", 1)[0].decode("ascii", "replace")] = frames
    return found


def _backtrace(frames: tuple[int, ...]) -> str:
    return "Backtrace: " + " ".join(
        f"0x{pc:08x}:0x{_STACK_TOP + number * _FRAME_BYTES:08x}" for number, pc in enumerate(frames)
    )


def _end(frames: tuple[int, ...], elf_sha256: str) -> list[str]:
    return ["", "", _backtrace(frames), "", "", "", "", f"ELF file SHA256: {elf_sha256[:9]}", "", "Rebooting..."]


def _registers(pc: int) -> list[str]:
    values = [("PC", pc), ("PS", 0x0006_0430), ("A0", 0x8200_0000 | (pc + 3) & 0xFF_FFFF), ("A1", _STACK_TOP)]
    values += [(f"A{number}", (number * 0x0101_0101) & 0xFFFF if number != 2 else 0) for number in range(2, 16)]
    values += [("SAR", 0x1E), ("EXCCAUSE", _LOAD_PROHIBITED), ("EXCVADDR", 0), ("LBEG", 0x4005_6F08)]
    values += [("LEND", 0x4005_6F12), ("LCOUNT", 0)]
    cells = [f"{name:<8}: 0x{value:08x}  " for name, value in values]
    return ["".join(cells[start : start + 4]) for start in range(0, len(cells), 4)]


def _panic(ms: int, frames: tuple[int, ...], elf_sha256: str) -> list[str]:
    return [
        "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.",
        "",
        "Core  0 register dump:",
        *_registers(frames[0]),
        *_end(frames, elf_sha256),
    ]


def _abort(ms: int, frames: tuple[int, ...], elf_sha256: str) -> list[str]:
    return ["", f"abort() was called at PC 0x{frames[0]:08x} on core 0", *_end(frames, elf_sha256)]


def _watchdog(ms: int, frames: tuple[int, ...], elf_sha256: str) -> list[str]:
    told = (
        "Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:",
        " - main (CPU 0)",
        "Tasks currently running:",
        "CPU 0: main",
        "CPU 1: IDLE1",
        "Aborting.",
        "Print CPU 0 (current core) backtrace",
    )
    return [*(log_line("E", ms, "task_wdt", text) for text in told), *_end(frames, elf_sha256)]


def _brownout(ms: int, frames: tuple[int, ...], elf_sha256: str) -> list[str]:
    return ["", "Brownout detector was triggered", ""]


_CHAIN_OF: Final = {"wdt": "watchdog"}

CRASHES: Final[dict[str, tuple[Callable[[int, tuple[int, ...], str], list[str]], ChipReset, str]]] = {
    "panic": (_panic, ChipReset.SOFTWARE_CPU, "panic"),
    "abort": (_abort, ChipReset.SOFTWARE_CPU, "panic"),
    "wdt": (_watchdog, ChipReset.SOFTWARE_CPU, "task_wdt"),
    "brownout": (_brownout, ChipReset.BROWNOUT, "brownout"),
}
"""By name: the text, how the chip resets, and what `esp_reset_reason()` says afterwards."""


def last_words(kind: str, ms: int, frames: tuple[int, ...], elf_sha256: str) -> bytes:
    """The text of one of CRASHES, each line with CR LF."""
    return b"".join(line.encode() + b"\r\n" for line in CRASHES[kind][0](ms, frames, elf_sha256))
