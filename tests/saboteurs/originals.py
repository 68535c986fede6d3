"""Defects of originals, as systems of that kind had them (seed 003, and where they went wrong)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import server.completion
import server.once
import server.originals
import server.projects

Undo = Callable[[], None]


def _patched(target: Any, name: str, new: Any) -> Undo:
    patcher = patch.object(target, name, new)
    patcher.start()
    return patcher.stop


def _rewritten(statements: dict[str, str], name: str, old: str, new: str) -> Undo:
    assert old in statements[name], f"{name} has changed"
    patcher = patch.dict(statements, {name: statements[name].replace(old, new)})
    patcher.start()
    return patcher.stop


def upload_side_never_wired() -> Undo:
    """Uploads keep bytes of their own: nothing calls the originals."""
    real = server.projects.Projects.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options)
        self._dedup = False

    return _patched(server.projects.Projects, "__init__", init)


def camera_side_never_wired() -> Undo:
    """A completed photo names no original."""
    real = server.completion.Completion.__init__

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **(options | {"dedup": False}))

    return _patched(server.completion.Completion, "__init__", init)


def project_counted_distinct() -> Undo:
    """A deleted project takes one reference off for each original, not for each row."""
    return _rewritten(
        server.originals.ORIGINALS, "decrement_reference_count", "count(*)::integer AS times", "1 AS times"
    )


def deleted_twice_counts_twice() -> Undo:
    """The second deletion of an image finds it once more."""
    real = server.projects.Projects.delete_image
    seen: dict[Any, Any] = {}

    async def delete_image(self: Any, image_id: Any, *arguments: Any) -> bool:
        image = await self.image(image_id)
        if image is not None:
            seen[image_id] = image.original_image_id
        elif image_id in seen:
            await self._originals.decrement_reference_and_cleanup(seen[image_id])
        return await real(self, image_id, *arguments)

    return _patched(server.projects.Projects, "delete_image", delete_image)


def no_grace() -> Undo:
    """The clean-up takes orphans at once."""
    real = server.originals.Originals.orphans

    async def orphans(self: Any, older_than: timedelta = timedelta(), limit: int = 100) -> Any:
        return await real(self, timedelta(), limit)

    return _patched(server.originals.Originals, "orphans", orphans)


def failing_store_fails_the_deletion() -> Undo:
    """What the store refuses is not logged and left to the sweep: the deletion breaks."""

    async def remove(self: Any, original: Any) -> bool:
        return bool(await self.delete(original))

    return _patched(server.originals.Originals, "remove", remove)


def key_kept_after_the_commit() -> Undo:
    """The answer is kept with its key in another transaction, which a death in between spares."""

    async def end(self: Any, connection: Any, result: Any) -> None:
        await connection.execute(server.once.ONCE["release_key"], self._key)

    return _patched(server.once.ByKey, "end", end)
