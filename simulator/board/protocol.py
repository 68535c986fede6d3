"""The ESP serial protocol (Espressif: 'Serial Protocol'): commands, error codes, and the form of an answer. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final


class Op(IntEnum):
    """Commands of the ROM loader; from 0xD0 on of the stub only."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


CHECKED: Final = frozenset({Op.FLASH_DATA, Op.MEM_DATA, Op.FLASH_DEFL_DATA})
"""Commands whose data carries a checksum."""

SYNC_MARK: Final = b"\xc0\x00\x08\x24\x00"
"""How a SYNC starts on the wire."""


class Failure(Enum):
    """Why a command failed: (code of the ROM, code of the stub)."""

    INVALID_MESSAGE = (0x05, 0xC0)
    FAILED_TO_ACT = (0x06, 0xC4)
    BAD_CHECKSUM = (0x07, 0xC1)
    WRITE_FAILED = (0x08, 0xC4)
    READ_FAILED = (0x09, 0xC4)
    INFLATE_FAILED = (0x0B, 0xC7)
    NOT_IN_FLASH_MODE = (0x06, 0xC6)
    TOO_MUCH_DATA = (0x06, 0xC9)
    UNKNOWN_COMMAND = (0x05, 0xFF)


class CommandFailed(Exception):
    """A command was refused."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class Then(Enum):
    """What the chip does once the answer is out."""

    RUN_STUB = "run the stub that was uploaded"
    RUN_OTHER_CODE = "run code from RAM that is no stub"
    RUN_APP = "run the application"
    RUN_ROM = "restart the ROM loader"
    HOST_WILL_RESET = "the host announces a hard reset"
    WATCHDOG_RESET = "be reset by the RTC watchdog"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Packets to send, in order, and what happens next. `baud` is the line's speed after them."""

    packets: tuple[bytes, ...] = ()
    then: Then | None = None
    baud: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One command as it came in."""

    op: int
    checksum: int
    body: bytes

    def words(self, count: int) -> tuple[int, ...]:
        """The first `count` words of the body; raises CommandFailed where it is shorter."""
        if len(self.body) < 4 * count:
            raise CommandFailed(Failure.INVALID_MESSAGE)
        return struct.unpack_from(f"<{count}I", self.body)

    def payload(self) -> bytes:
        """What follows the 16 bytes of a data command's header."""
        length = self.words(4)[0]
        data = self.body[16:]
        if len(data) < length:
            raise CommandFailed(Failure.INVALID_MESSAGE)
        return data[:length]


def parse(packet: bytes) -> Request | None:
    """A command; None where the packet is none, as noise and console text are."""
    if len(packet) < 8:
        return None
    direction, op, length, checksum = struct.unpack_from("<BBHI", packet)
    if direction != 0:
        return None
    body = packet[8:]
    return Request(op if len(body) == length else -1, checksum, body)


def response(op: int, value: int = 0, data: bytes = b"", status: tuple[int, int] = (0, 0), pad: bytes = b"") -> bytes:
    """A reply: value, data, two status bytes, and the ROM's two spare ones."""
    tail = data + bytes(status) + pad
    return struct.pack("<BBHI", 1, op & 0xFF, len(tail), value) + tail
