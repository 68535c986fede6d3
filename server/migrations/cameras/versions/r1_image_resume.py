"""APPLY_IMAGE_RESUME_MIGRATION (seed 000): duplicates cleaned up, UNIQUE, resume."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import (
    build_index,
    build_unique_index,
    lock_tables,
    outside_transaction,
    run_briefly,
    run_files,
    say,
)

revision = "APPLY_IMAGE_RESUME_MIGRATION"
down_revision = "legacy_base"

_SQL = Path(__file__).parent.parent / "sql"
_UNIQUE = "device_images_device_id_image_name_key"


def upgrade() -> None:
    """Cleans up and builds the indexes while others write, forbids duplicates, and says the lines of the seed."""
    folder = _SQL / "image_resume"
    with outside_transaction():
        run_files(folder, "backup", "clean_up")
        build_index("idx_device_images_resume", "device_images (device_id, image_name, status)")
        run_files(folder, "sessions_index")
        build_unique_index(_UNIQUE, "device_images (device_id, image_name)", folder, "clean_up_call")
        run_files(folder, "clean_up_summary")
        run_briefly(folder, "unique")
    lock_tables("devices", "device_images", mode="SHARE ROW EXCLUSIVE")
    say("✓ Added UNIQUE constraint on device_images(device_id, image_name)")
    say("✓ Created index idx_device_images_resume")
    run_files(folder, "duplicate_images_log")
    say("✓ Created table duplicate_images_log")
    run_files(folder, "fn_check_image_resumable")
    say("✓ Created function fn_check_image_resumable")
    run_files(folder, "fn_log_duplicate_image")
    say("✓ Created function fn_log_duplicate_image")
    run_files(folder, "drop_old_handler")
    say("✓ Dropped old fn_wake_ingestion_handler")
    run_files(folder, "fn_wake_ingestion_handler")
    say("✓ Created new fn_wake_ingestion_handler with resume support")
    run_files(folder, "summary")


def downgrade() -> None:
    """Brings the removed duplicates and the old handler back."""
    run_files(_SQL / "image_resume", "downgrade")
    run_files(_SQL / "legacy_base", "wake_ingestion")
