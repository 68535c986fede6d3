"""SLIP (RFC 1055), the framing of the ESP serial protocol, in bulk: split and replace, never byte by byte. Pure."""

from __future__ import annotations

from typing import Final

END: Final = b"\xc0"
_ESC: Final = b"\xdb"
_ESC_END: Final = b"\xdb\xdc"
_ESC_ESC: Final = b"\xdb\xdd"
_FRAME_BYTES_MAX: Final = 1 << 17
"""Longer than any packet of the protocol: without an END in so many bytes, what came is noise."""


def encode(packet: bytes) -> bytes:
    """One frame, with an END on both sides."""
    return END + packet.replace(_ESC, _ESC_ESC).replace(END, _ESC_END) + END


class Decoder:
    """Takes a stream in pieces of any size and gives whole frames. State: the beginning of the next frame."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that end in `data`, unescaped, without empty ones."""
        if END not in data:
            self._hold(data)
            return []
        self._parts.append(data)
        *whole, rest = b"".join(self._parts).split(END)
        self._parts, self._held_bytes = [], 0
        self._hold(rest)
        return [frame.replace(_ESC_END, END).replace(_ESC_ESC, _ESC) for frame in whole if frame]

    def _hold(self, data: bytes) -> None:
        self._held_bytes += len(data)
        if self._held_bytes > _FRAME_BYTES_MAX:
            self._parts, self._held_bytes = [], 0
        elif data:
            self._parts.append(data)


def checksum(data: bytes | memoryview, start: int = 0xEF) -> int:
    """XOR of all bytes, folded in halves as one large integer: 16 KiB take some ten operations."""
    number = int.from_bytes(data, "little")
    half_bits = (1 << max(0, (len(data) - 1).bit_length())) * 4
    while half_bits >= 8:
        number = (number >> half_bits) ^ (number & ((1 << half_bits) - 1))
        half_bits //= 2
    return start ^ (number & 0xFF)
