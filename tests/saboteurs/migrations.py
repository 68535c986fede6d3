"""Defects of migrations: a statement of theirs says something else than it should."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import server.migrations.script

Undo = Callable[[], None]


def _rewritten(old: str, new: str) -> Undo:
    """Migrations run `new` where a statement of theirs has `old`."""
    real = server.migrations.script._run

    def run(statement: str) -> None:
        real(statement.replace(old, new))

    patcher = patch.object(server.migrations.script, "_run", run)
    patcher.start()
    return patcher.stop


def worst_version_kept() -> Undo:
    """Of duplicates the clean-up keeps one that failed before one that is complete."""
    return _rewritten(
        "['complete', 'receiving', 'pending', 'failed']", "['failed', 'pending', 'receiving', 'complete']"
    )


def removed_without_backup() -> Undo:
    """Duplicates are deleted without a copy."""
    return _rewritten("JOIN superfluous_images s USING (image_id)", "JOIN superfluous_images s ON false")


def pointers_dropped() -> Undo:
    """What pointed at a removed duplicate points nowhere."""
    return _rewritten("CALL repoint_superfluous_images();", "")


def old_handler_left() -> Undo:
    """The handler with 4 parameters stays beside the new one."""
    return _rewritten("DROP FUNCTION IF EXISTS fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb)", "SELECT 1")


def chunks_left_behind() -> Undo:
    """The chunks of half a transfer do not come along."""
    return _rewritten("WHERE c.chunk_index >= 0", "WHERE false AND c.chunk_index >= 0")


def counts_of_chunks_that_are_gone() -> Undo:
    """received_chunks goes on claiming chunks that the old buffer forgot (facts: trap 1)."""
    return _rewritten("i.received_chunks <> there.chunks", "false")


def open_session_without_payload() -> Undo:
    """A session that was open at the migration makes the server deaf to its device."""
    return _rewritten("WHERE s.status = 'in_progress' AND s.payload_id IS NULL", "WHERE false")
