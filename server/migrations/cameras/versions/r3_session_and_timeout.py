"""20251108200001_session_and_timeout_fix (seed 002): timeouts, retries, row-level security."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import build_index, lock_tables, outside_transaction, run_briefly, run_files

revision = "20251108200001_session_and_timeout_fix"
down_revision = "APPLY_PENDING_IMAGE_PROTOCOL_STATE"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Adds columns and indexes while others write; then the functions and the policies."""
    folder = _SQL / "session_and_timeout"
    with outside_transaction():
        run_files(folder, "session_table")
        run_briefly(folder, "image_columns", "columns")
        run_files(folder, "image_checks")
        build_index("idx_device_images_session", "device_images (session_id)")
        build_index(
            "idx_device_images_incomplete",
            "device_images (device_id, captured_at) WHERE status IN ('pending', 'receiving', 'failed')",
        )
        build_index("idx_device_images_open", "device_images (image_id) WHERE status IN ('pending', 'receiving')")
    run_files(folder, "fn_missing_chunks", "retry", "timeouts", "security")
    lock_tables(
        "devices", "device_images", "device_wake_sessions", "device_commands", "device_alerts", "device_history"
    )
    run_files(folder, "secured")


def downgrade() -> None:
    """Takes them away."""
    run_files(_SQL / "session_and_timeout", "downgrade")
