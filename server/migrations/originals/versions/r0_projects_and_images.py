"""Projects and their images as they were before originals: every image names its own stored bytes."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "0013_create_projects_and_images"
down_revision = None

_SQL = Path(__file__).parent.parent / "sql" / "projects_and_images"


def upgrade() -> None:
    """Makes them; the cameras history has to stand at its head."""
    run_files(_SQL, "needs_cameras", "upgrade")


def downgrade() -> None:
    """Takes them away."""
    run_files(_SQL, "downgrade")
