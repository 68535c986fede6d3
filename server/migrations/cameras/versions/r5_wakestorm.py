"""wakestorm's own columns, tables, functions and rights."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "wakestorm_tables"
down_revision = "20251108210000_remove_duplicate_device_sessions"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Makes them."""
    run_files(_SQL / "wakestorm", "tables", "chunks", "fn_missing_chunks", "captures", "ingestion", "access")


def downgrade() -> None:
    """Takes them away, and puts the functions of the earlier revisions back."""
    run_files(_SQL / "wakestorm", "downgrade")
    run_files(_SQL / "session_and_timeout", "fn_missing_chunks")
    run_files(_SQL / "image_resume", "fn_check_image_resumable", "fn_log_duplicate_image", "fn_wake_ingestion_handler")
