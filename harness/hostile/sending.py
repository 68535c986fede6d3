"""S5 and S6: pictures that lie or explode, sent by cameras to a real server, and single bits flipped on their way."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import Any, Final

from harness.hostile.bystanders import Bystanders, percentile
from harness.hostile.figure import Figure
from harness.hostile.pictures import Bomb, bombs
from harness.hostile.prober import Prober
from harness.hostile.stand import AttackedServer, peak_of
from harness.machine import monotonic_s
from simulator.camera import render
from simulator.fleet import camera_mac
from simulator.rng import Rng

BOMBS_MIN: Final = 40
GROWN_BYTES_MAX: Final = 5_000_000
FIRST_CAMERA: Final = 12
CHUNK_BYTES: Final = 48_000
DECIDED_WITHIN_S: Final = 60.0
FLIPS, FLIPS_QUICK = 60, 10
_STATUS: Final = "SELECT status, timeout_reason FROM device_images JOIN devices USING (device_id) WHERE device_mac = $1"


async def pictures(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """S5 and S6: pictures that lie or explode, and bits flipped on their way to the server."""
    return [await _exploding(server, is_quick=is_quick), await _flipped(server, is_quick=is_quick)]


async def _exploding(server: AttackedServer, *, is_quick: bool) -> Figure:
    sound = Bomb("a sound picture", render(camera_mac(11), 1, 1, 20_000), may_stay=True)
    await _sent(server, 11, sound)  # the decoder is up
    chosen = bombs()[:: 4 if is_quick else 1]
    stayed, wrong = 0, []
    bystanders = await Bystanders.come(server.broker.port)
    over = asyncio.Event()
    waiting = asyncio.create_task(bystanders.waits_ms(over, 2))
    try:
        async with peak_of(server.rss_bytes) as peak:
            for number, bomb in enumerate(chosen):
                status = await _sent(server, FIRST_CAMERA + number, bomb)
                stayed += status == "complete"
                if (status == "complete" and not bomb.may_stay) or status not in ("complete", "failed"):
                    wrong.append(f"{bomb.name}: {status}")
    finally:
        over.set()
        waits_ms = await waiting
        await bystanders.leave()
    least = BOMBS_MIN // 4 if is_quick else BOMBS_MIN
    return Figure(
        id="S5 pictures",
        title="Pictures that lie or explode: sizes, formats, EXIF, scans, cut, flipped",
        found=(
            f"{len(chosen)} sent, {stayed} stored (they decode within the limits), {len(chosen) - stayed} refused, "
            f"{len(wrong)} otherwise; server's memory {peak.grown_bytes / 1e6:+.1f} MB, others' answers p99 "
            f"{percentile(waits_ms, 0.99):.0f} ms"
        ),
        limit=f"{least} or more, 0 otherwise, memory below {GROWN_BYTES_MAX / 1e6:.0f} MB more",
        holds=len(chosen) >= least and not wrong and peak.grown_bytes < GROWN_BYTES_MAX,
        details=tuple(wrong),
    )


async def _flipped(server: AttackedServer, *, is_quick: bool) -> Figure:
    """The dialect `sha256` announces the hash; one bit of the picture differs."""
    chance, number, stored = Rng("hostile flips"), 10, 0
    count = FLIPS_QUICK if is_quick else FLIPS
    mac = camera_mac(number)
    picture = render(mac, 1, 1, 10_000)
    for flip in range(count):
        data = bytearray(picture)
        data[chance.between(2, len(data) - 3)] ^= 1 << chance.between(0, 7)
        bomb = Bomb(f"flip_{flip}", bytes(data))
        stored += await _sent(server, number, bomb, sha256=hashlib.sha256(picture).hexdigest()) == "complete"
    return Figure(
        id="S6 flips",
        title="One bit flipped in a picture of 10 kB whose SHA-256 was announced",
        found=f"{count} pictures, {stored} stored",
        limit="0 stored",
        holds=stored == 0,
    )


async def _sent(server: AttackedServer, number: int, bomb: Bomb, sha256: str | None = None) -> str:
    """What became of the picture: `complete`, `failed`, or how far it came."""
    mac, data = camera_mac(number), bomb.data or b"\x00"
    name = f"{bomb.name if sha256 else 'image_1'}.jpg"
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    prober = await Prober.open("127.0.0.1", server.broker.port)
    await prober.connect(f"sender-{number}".encode(), None, None)
    announced: dict[str, Any] = {
        "device_id": mac, "image_name": name, "timestamp": "2026-01-05T06:00:00Z", "image_size": len(data),
        "max_chunks_size": CHUNK_BYTES, "total_chunk_count": len(pieces),
    }  # fmt: skip
    announced |= {} if sha256 is None else {"image_sha256": sha256}
    topic = f"ESP32CAM/{mac}/data"
    await prober.publish(topic, json.dumps(announced).encode())
    for index, piece in enumerate(pieces):
        body = {"device_id": mac, "image_name": name, "chunk_id": index, "payload": base64.b64encode(piece).decode()}
        await prober.publish(topic, json.dumps(body).encode())
    await prober.close()
    until_s = monotonic_s() + DECIDED_WITHIN_S
    status = "never heard of"
    while monotonic_s() < until_s:
        rows = await server.owner.fetch(f"{_STATUS} AND wire_image_name = $2", mac, name)
        status = rows[0]["status"] if rows else status
        if status in ("complete", "failed") or (rows and rows[0]["timeout_reason"]):
            return "complete" if status == "complete" else "failed"
        await asyncio.sleep(0.02)
    return status
