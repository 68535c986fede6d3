"""0014_create_original_images_table (seed 003): one original for equal bytes, counted references, back-fill."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import build_index, outside_transaction, run_briefly, run_files

revision = "0014_create_original_images_table"
down_revision = "0013_create_projects_and_images"

_SQL = Path(__file__).parent.parent / "sql" / "original_images"


def upgrade() -> None:
    """Makes the table and gives the images that are there their originals, batch by batch, while others write."""
    with outside_transaction():
        run_files(_SQL, "upgrade")
        run_briefly(_SQL, "columns")
        run_files(_SQL, "references")
        run_briefly(_SQL, "triggers")
        run_files(_SQL, "backfill", "backfill_call", "validated")
        build_index("idx_images_original_image_id", "images (original_image_id)")
        build_index("idx_device_images_original_image_id", "device_images (original_image_id)")
        build_index(
            "idx_device_images_without_original",
            "device_images (object_key) WHERE original_image_id IS NULL AND object_key IS NOT NULL",
        )
    run_files(_SQL, "access")


def downgrade() -> None:
    """Takes originals away; every image keeps the address of its bytes in original_url or object_key."""
    run_files(_SQL, "downgrade")
