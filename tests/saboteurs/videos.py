"""Defects of videos (facts: trap 14), and of their migration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch
from uuid import UUID

import server.video_uploads
import server.web.video_uploads
from server.videos import ORIGINAL, VIDEOS, key_of
from tests.saboteurs.migrations import _rewritten

Undo = Callable[[], None]


def _started(patcher: Any) -> Undo:
    patcher.start()
    undo: Undo = patcher.stop
    return undo


def duplicate_is_a_server_error() -> Undo:
    """The 409 for a duplicate is swallowed into a 500."""
    real = server.web.video_uploads.problem_response

    def answer(status: int, detail: str, headers: Any = None, **more: object) -> Any:
        return real(500 if status == 409 else status, detail, headers)

    return _started(patch.object(server.web.video_uploads, "problem_response", answer))


def checksum_kept_by_what_failed() -> Undo:
    """The checksum is written when an upload begins: failed and aborted ones keep it and block the next."""
    begun = VIDEOS["create_upload"].replace("upload_status\n", "upload_status, checksum_sha256\n")
    begun = begun.replace("'uploading')", "'uploading', $10)")
    assert begun != VIDEOS["create_upload"]
    return _started(patch.dict(VIDEOS, {"create_upload": begun}))


def same_name_same_object() -> Undo:
    """Videos of one pin are stored under their file name: the second overwrites the first."""

    def key(kind: str, *, mall_id: UUID, pin_id: UUID, video_id: UUID, part: str) -> str:
        whose = UUID(int=0) if kind == ORIGINAL else video_id
        return key_of(kind, mall_id=mall_id, pin_id=pin_id, video_id=whose, part="/a.mp4" if kind == ORIGINAL else part)

    return _started(patch.object(server.video_uploads, "key_of", key))


def checksum_is_believed() -> Undo:
    """The checksum is never computed from the bytes: what the sender says is stored."""
    real = server.video_uploads.VideoUploads._assembled

    async def believing(self: Any, claimed: Any, file: Any) -> str:
        sha256 = await real(self, type(claimed)(claimed.row, claimed.claim, claimed.parts, None), file)
        return claimed.said or sha256

    return _started(patch.object(server.video_uploads.VideoUploads, "_assembled", believing))


def legacy_columns_left_empty() -> Undo:
    """New rows do not say in the old columns where their bytes are: after a downgrade nobody finds them."""
    return _rewritten("NEW.file_path := coalesce(NEW.original_path, NEW.file_path, '');", "NEW.file_path := '';")


def unknown_checksums_collide() -> Undo:
    """The unique index counts NULL as a checksum."""
    return _rewritten("WHERE checksum_sha256 IS NOT NULL", "NULLS NOT DISTINCT")


def job_never_written_down() -> Undo:
    """A finished job leaves its row running."""
    from server.jobs import JOBS

    return _started(patch.dict(JOBS, {"end_job": JOBS["end_job"].replace("status = $2, completed_at", "completed_at")}))
