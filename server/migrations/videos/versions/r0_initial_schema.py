"""Initial schema of phase 1: malls with their camera pins, users, and videos as they were uploaded then."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "839d4ee251e4"
down_revision = None

_SQL = Path(__file__).parent.parent / "sql" / "initial_schema"


def upgrade() -> None:
    """Makes them; the cameras history has to stand at its head."""
    run_files(_SQL, "needs_cameras", "upgrade")


def downgrade() -> None:
    """Takes them away."""
    run_files(_SQL, "downgrade")
