"""0014_create_original_images_table (seed 003): one original for equal bytes, counted references, back-fill."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "0014_create_original_images_table"
down_revision = "0013_create_projects_and_images"

_SQL = Path(__file__).parent.parent / "sql" / "original_images"


def upgrade() -> None:
    """Makes the table and gives the images that are there their originals."""
    run_files(_SQL, "upgrade", "references", "backfill", "access")


def downgrade() -> None:
    """Takes originals away; every image keeps the address of its bytes in original_url or object_key."""
    run_files(_SQL, "downgrade")
