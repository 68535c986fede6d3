"""A deployment of 2025 before the documented migrations: 4-parameter handler, no UNIQUE, device_sessions."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "legacy_base"
down_revision = None

_SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Makes every table."""
    run_files(_SQL / "legacy_base", "clock", "lineage", "records", "journal", "next_wake", "wake_ingestion")


def downgrade() -> None:
    """Drops everything."""
    run_files(_SQL / "legacy_base", "downgrade")
