"""A device that does harm, as a process of its own: `python -m harness.hostile.attacker PORT MAC KIND COUNT`.

It speaks with its own topics (but for the newcomers), keeps WINDOW messages on their way, and goes as fast as the
broker takes them, or PER_S a second where that is given.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from harness.hostile.prober import Prober
from harness.machine import monotonic_s
from server.wire.mqtt_codec import Puback, Publish

WINDOW: Final = 20
Messages = Iterator[tuple[str, bytes]]


def _announced(mac: str, name: str, **fields: Any) -> bytes:
    whole = {"image_name": name, "timestamp": "2026-01-05T06:00:00Z", "image_size": 60_000, "max_chunks_size": 1_000}
    return json.dumps({"device_id": mac, **whole, "total_chunk_count": 60, **fields}).encode()


def _chunk(mac: str, name: str, number: int, data: bytes) -> bytes:
    payload = base64.b64encode(data).decode()
    return json.dumps({"device_id": mac, "image_name": name, "chunk_id": number, "payload": payload}).encode()


def open_transfers(mac: str, count: int) -> Messages:
    """Announces so many images and sends none."""
    return ((f"ESP32CAM/{mac}/data", _announced(mac, f"image_{number}.jpg")) for number in range(count))


def superseding(mac: str, count: int) -> Messages:
    """So many captures of one name, each with a chunk: every one takes the place of the one before."""
    for number in range(count):
        yield (
            f"ESP32CAM/{mac}/data",
            _announced(mac, "image_1.jpg", timestamp=f"2026-01-05T06:{number // 60 % 60:02}:{number % 60:02}Z"),
        )
        yield f"ESP32CAM/{mac}/data", _chunk(mac, "image_1.jpg", number % 60, bytes(1_000))


def absurd_sizes(mac: str, count: int) -> Messages:
    """2^31 chunks, sizes that lie, both ways."""
    lies: tuple[dict[str, Any], ...] = (
        {"total_chunk_count": 2**31},
        {"total_chunk_count": 2**31 - 1, "max_chunks_size": 1},
        {"image_size": 2**31, "total_chunk_count": 65_535},
        {"image_size": 2**63, "total_chunk_count": 2**63},
        {"image_size": 10**30},
    )
    return (
        (f"ESP32CAM/{mac}/data", _announced(mac, f"lie_{number}.jpg", **lies[number % len(lies)]))
        for number in range(count)
    )


def one_byte_chunks(mac: str, count: int) -> Messages:
    """An image of 65,535 chunks of a byte each, and so many of them."""
    yield (
        f"ESP32CAM/{mac}/data",
        _announced(mac, "tiny.jpg", image_size=65_535, max_chunks_size=1, total_chunk_count=65_535),
    )
    for number in range(count):
        yield f"ESP32CAM/{mac}/data", _chunk(mac, "tiny.jpg", number % 65_535, b"x")


def newcomers(mac: str, count: int) -> Messages:
    """HELLO of so many devices that nobody knows."""
    hello = b'{"status": "Alive", "pendingImg": 0}'
    return ((f"ESP32CAM/DEAD{number:08X}/status", hello) for number in range(count))


def noise(mac: str, count: int) -> Messages:
    """So many messages that nobody can read, with text that a log would have to show."""
    return ((f"ESP32CAM/{mac}/data", b"\x1b[31m%d not json\r\n" % number + b"A" * 500) for number in range(count))


KINDS: Final[dict[str, Callable[[str, int], Messages]]] = {
    kind.__name__: kind for kind in (open_transfers, superseding, absurd_sizes, one_byte_chunks, newcomers, noise)
}


async def attack(port: int, mac: str, kind: str, count: int, per_s: float) -> None:
    """Sends all of it; returns when the broker has taken the last."""
    prober = await Prober.open("127.0.0.1", port)
    await prober.connect(b"attacker", None, None)
    began_s, on_their_way = monotonic_s(), 0
    for number, (topic, payload) in enumerate(KINDS[kind](mac, count)):
        if on_their_way == WINDOW:
            await prober.expect(Puback)
            on_their_way -= 1
        if per_s and (early_s := began_s + number / per_s - monotonic_s()) > 0:
            await asyncio.sleep(early_s)
        prober.send(Publish(topic=topic, payload=payload, qos=1, packet_id=number % 60_000 + 1))
        on_their_way += 1
    for _ in range(on_their_way):
        await prober.expect(Puback)
    await prober.close()


def main() -> None:
    """PORT MAC KIND COUNT [PER_S]"""
    port, mac, kind, count, *rest = sys.argv[1:]
    asyncio.run(attack(int(port), mac, kind, int(count), float(rest[0]) if rest else 0))


if __name__ == "__main__":
    main()
