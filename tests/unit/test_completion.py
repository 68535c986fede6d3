"""What completion finds in an image, before anything is stored."""

from __future__ import annotations

import asyncio
import hashlib
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from server.completion import Completion
from simulator.camera import render

IMAGE_ID = UUID(int=1)


def test_every_flipped_bit_of_a_picture_with_an_announced_hash_is_found() -> None:
    """Figure S6: a flipped bit decodes as often as not; the hash tells, whichever bit of 10 kB it is."""
    picture = render("B8F862000001", 1, 1, 10_000)
    announced = {"image_sha256": hashlib.sha256(picture).hexdigest()}
    came = bytearray(picture)

    async def images_to_complete(_: object) -> list[dict[str, Any]]:
        size = len(picture)
        return [
            {"image_id": IMAGE_ID, "device_mac": "cam", "data": bytes(came), "image_size": size, "metadata": announced}
        ]

    async def no_flaw(_: bytes) -> None:
        return None

    unused: Any = None
    store: Any = SimpleNamespace(images_to_complete=images_to_complete)
    offload: Any = SimpleNamespace(decode_flaw=no_flaw)
    completion = Completion(store, unused, offload)

    async def flaws() -> tuple[str | None, set[str | None]]:
        sound = (await completion.examine([IMAGE_ID]))[0].flaw
        found = set()
        for bit in range(8 * len(came)):
            came[bit // 8] ^= 1 << bit % 8
            found.add((await completion.examine([IMAGE_ID]))[0].flaw)
            came[bit // 8] ^= 1 << bit % 8
        return sound, found

    assert asyncio.run(flaws()) == (None, {"SHA-256 differs from the announced one"})
