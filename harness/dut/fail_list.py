"""Lines that no healthy board prints: the fail list that is active in every step. Pure.

The texts are those of ESP-IDF and of the ESP32-S3's ROM (reset reasons of the ROM are not `esp_reset_reason()`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.blame import Blame


@dataclass(frozen=True, slots=True)
class FailLine:
    """One kind of bad line; `name` is what a scenario's `allow` calls it."""

    name: str
    pattern: re.Pattern[bytes]
    blame: Blame
    meaning: str


def _line(name: str, pattern: bytes, blame: Blame, meaning: str) -> FailLine:
    return FailLine(name, re.compile(pattern), blame, meaning)


FAIL_LIST: Final[tuple[FailLine, ...]] = (
    _line(
        "stack_overflow",
        rb"stack overflow in task|Stack canary watchpoint triggered|Stack smashing protect failure",
        Blame.FIRMWARE,
        "a task used more stack than it has",
    ),
    _line(
        "heap_corruption",
        rb"CORRUPT HEAP:|heap_caps_.*corrupt|assert failed: (?:multi_heap|tlsf|block_)|Bad (?:head|tail) at 0x",
        Blame.FIRMWARE,
        "somebody wrote outside an allocation",
    ),
    _line(
        "interrupt_watchdog",
        rb"Interrupt wdt timeout on CPU|rst:0x8 \(TG1WDT_SYS_RST\)",
        Blame.FIRMWARE,
        "interrupts were off for too long",
    ),
    _line(
        "task_watchdog",
        rb"task_wdt: Task watchdog got triggered|rst:0x7 \(TG0WDT_SYS_RST\)",
        Blame.FIRMWARE,
        "a task did not give others a turn",
    ),
    _line("rtc_watchdog", rb"rst:0x(?:10|9) \(RTCWDT_\w+\)", Blame.FIRMWARE, "the board hung while it started"),
    _line("abort", rb"abort\(\) was called at PC|assert failed: |ESP_ERROR_CHECK failed", Blame.FIRMWARE, "abort()"),
    _line("panic", rb"Guru Meditation Error:", Blame.FIRMWARE, "an exception that nobody handles"),
    _line(
        "brownout",
        rb"Brownout detector was triggered|rst:0xf \((?:RTCWDT_)?BROWN_?OUT_(?:SYS_)?RE?SE?T\)",
        Blame.BOARD,
        "the supply voltage fell: power, cable or regulator",
    ),
    _line(
        "flash_image",
        rb"invalid header: 0x|No bootable app partitions|Failed to verify partition table|"
        rb"esp_image: (?:Checksum failed|Image hash failed|image at 0x\w+ has invalid magic)",
        Blame.BOARD,
        "the flash does not hold a program that boots",
    ),
)
"""In the order in which a line is tried: the most telling first."""

NAMES: Final = tuple(item.name for item in FAIL_LIST)


def failing(line: bytes, allowed: Sequence[str] = ()) -> FailLine | None:
    """The first kind of failure that this line is, unless it is allowed."""
    return next((item for item in FAIL_LIST if item.name not in allowed and item.pattern.search(line)), None)
