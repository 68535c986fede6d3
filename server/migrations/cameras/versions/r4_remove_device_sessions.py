"""20251108210000_remove_duplicate_device_sessions (seed 002): one table of sessions."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import outside_transaction, run_briefly, run_files

revision = "20251108210000_remove_duplicate_device_sessions"
down_revision = "20251108200001_session_and_timeout_fix"

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Carries the rows over and drops the table."""
    folder = _SQL / "remove_device_sessions"
    with outside_transaction():
        run_files(folder, "session_table")
        run_briefly(folder, "let_go")
    run_files(folder, "upgrade")


def downgrade() -> None:
    """Makes the table again from its backup."""
    run_files(_SQL / "remove_device_sessions", "downgrade")
