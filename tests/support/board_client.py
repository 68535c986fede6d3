"""A host that speaks the ESP serial protocol to a board's core, byte for byte and without any waiting."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from simulator.board.board import Board
from simulator.board.efuse import ChipIdentity
from simulator.board.flash import NorFlash
from simulator.board.protocol import Op
from simulator.board.slip import Decoder, checksum, encode

CHIP = ChipIdentity(mac=bytes.fromhex("7cdfa1e0b0c5"))
SYNC = b"\x07\x07\x12\x20" + b"\x55" * 32
STUB_ADDRESS = 0x4037_8000


@dataclass(frozen=True, slots=True)
class Reply:
    """One response: `status` is (failed, code)."""

    op: int
    value: int
    data: bytes
    status: tuple[int, int]


class BoardClient:
    """`now_ms` is its clock; move it and call `tick`."""

    def __init__(self, board: Board, baud: int | None = None) -> None:
        self.board = board
        self.baud = baud
        self.now_ms = 0.0
        self._slip = Decoder()

    def frames(self, packet: bytes) -> list[bytes]:
        """Send one frame; what comes back, frame by frame."""
        return self._slip.feed(self.board.feed(encode(packet), self.now_ms, self.baud))

    def replies(self, op: int, body: bytes = b"", *, sum_of: bytes | None = None) -> list[Reply]:
        """One command and its answers."""
        check = 0 if sum_of is None else checksum(sum_of)
        pad = 2 if self.board.is_stub_running else 4
        found = []
        for frame in self.frames(struct.pack("<BBHI", 0, op, len(body), check) + body):
            if frame[:1] == b"\x01":
                _, op_back, _, value = struct.unpack_from("<BBHI", frame)
                rest = frame[8:]
                found.append(Reply(op_back, value, rest[:-pad], (rest[-pad], rest[-pad + 1])))
        return found

    def command(self, op: int, *words: int, data: bytes = b"") -> Reply:
        """One command of words and data; exactly one answer."""
        body = struct.pack(f"<{len(words)}I", *words) + data
        (reply,) = self.replies(op, body, sum_of=data if data else None)
        return reply

    def sync(self) -> list[Reply]:
        """The eight answers to a SYNC."""
        return self.replies(Op.SYNC, SYNC)

    def load_stub(self) -> None:
        """Upload something that greets as a stub does."""
        code = b"OHAI".ljust(64, b"\0")
        self.command(Op.MEM_BEGIN, len(code), 1, len(code), STUB_ADDRESS)
        self.command(Op.MEM_DATA, len(code), 0, 0, 0, data=code)
        assert b"OHAI" in self.frames(struct.pack("<BBHIII", 0, Op.MEM_END, 8, 0, 0, STUB_ADDRESS + 8))
        assert self.board.is_stub_running

    def write(self, offset: int, data: bytes, block_bytes: int = 0x400) -> list[Reply]:
        """Write uncompressed; the answers to the blocks."""
        count = -(-len(data) // block_bytes)
        self.command(Op.FLASH_BEGIN, len(data), count, block_bytes, offset, 0)
        blocks = [data[start : start + block_bytes] for start in range(0, len(data), block_bytes)]
        return [
            self.command(Op.FLASH_DATA, len(block), number, 0, 0, data=block) for number, block in enumerate(blocks)
        ]


def board_with(cells: bytearray | None = None, **options: object) -> tuple[Board, str]:
    """A board that was just switched on, and what it printed."""
    flash = NorFlash.blank(1 << 20) if cells is None else NorFlash(cells)
    board = Board(CHIP, flash, **options)  # type: ignore[arg-type]
    return board, board.power_on(0).decode()
