"""APPLY_PENDING_IMAGE_PROTOCOL_STATE (seed 001): the state ack_pending_sent."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "APPLY_PENDING_IMAGE_PROTOCOL_STATE"
down_revision = "APPLY_IMAGE_RESUME_MIGRATION"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Adds the state to the CHECK and to the column comment."""
    run_files(_SQL / "pending_ack", "upgrade")


def downgrade() -> None:
    """Takes the state away."""
    run_files(_SQL / "pending_ack", "downgrade")
