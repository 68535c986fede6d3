"""${message}."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}

_SQL = Path(__file__).parent.parent / "sql" / "${up_revision}"


def upgrade() -> None:
    """Runs upgrade.sql of the revision's folder."""
    run_files(_SQL, "upgrade")


def downgrade() -> None:
    """Runs downgrade.sql of the revision's folder."""
    run_files(_SQL, "downgrade")
