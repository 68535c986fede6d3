"""wakestorm's own columns, tables, functions and rights."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import build_index, outside_transaction, run_briefly, run_files

revision = "wakestorm_tables"
down_revision = "20251108210000_remove_duplicate_device_sessions"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Fills the new columns of images, and moves chunks, while others write; then makes the rest."""
    folder = _SQL / "wakestorm"
    with outside_transaction():
        run_briefly(folder, "image_columns", "columns")
        run_files(folder, "wire_image_names")
        run_briefly(folder, "wire_image_name_set")
        build_index("idx_device_images_wire_name", "device_images (device_id, wire_image_name, captured_at)")
        build_index("idx_device_wake_payloads_session", "device_wake_payloads (session_id)")
        run_briefly(folder, "chunk_buffer")
        run_files(folder, "chunks")
        run_briefly(folder, "chunk_keys")
    run_files(folder, "tables", "fn_missing_chunks", "captures", "ingestion", "access")


def downgrade() -> None:
    """Takes them away, and puts the functions of the earlier revisions back."""
    run_files(_SQL / "wakestorm", "downgrade")
    run_files(_SQL / "session_and_timeout", "fn_missing_chunks")
    run_files(_SQL / "image_resume", "fn_check_image_resumable", "fn_log_duplicate_image", "fn_wake_ingestion_handler")
