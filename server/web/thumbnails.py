"""Small pictures of stored images for the pages, made in the decoder's process and kept for a while."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

from server.offload import Offload, WorkFailed
from server.pictures import examined_and_rendered
from server.wire.states import ImageStyle

THUMBNAILS_KEPT: Final = 500
"""About 5 MB."""


class Thumbnails:
    """Made one at a time, so that whole images never wait for more than one; the last ones are kept."""

    def __init__(self, offload: Offload) -> None:
        self._offload = offload
        self._made: dict[UUID, bytes] = {}
        self._turn = asyncio.Lock()

    async def of(self, image_id: UUID, data: bytes) -> bytes:
        """The small JPEG; the image itself where the decoder is too busy. Raises PictureRefused."""
        async with self._turn:
            if image_id in self._made:
                return self._made[image_id]
            try:
                _, (small,) = await self._offload.isolated(examined_and_rendered, data, (ImageStyle.THUMBNAIL,))
            except WorkFailed:
                return data
            if len(self._made) >= THUMBNAILS_KEPT:
                self._made.pop(next(iter(self._made)))
            return self._made.setdefault(image_id, small or data)
