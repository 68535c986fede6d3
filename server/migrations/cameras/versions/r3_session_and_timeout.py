"""20251108200001_session_and_timeout_fix (seed 002): timeouts, retries, row-level security."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "20251108200001_session_and_timeout_fix"
down_revision = "APPLY_PENDING_IMAGE_PROTOCOL_STATE"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Adds the columns, the policies and the functions."""
    run_files(_SQL / "session_and_timeout", "columns", "security", "fn_missing_chunks", "retry", "timeouts")


def downgrade() -> None:
    """Takes them away."""
    run_files(_SQL / "session_and_timeout", "downgrade")
