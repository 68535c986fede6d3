"""Phase 2.1 (seed 004): multipart uploads with checksums, proxies, two statuses, jobs in the background."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "002_phase_2_video_mgmt"
down_revision = "839d4ee251e4"

_SQL = Path(__file__).parent.parent / "sql" / "phase_2_video_mgmt"


def upgrade() -> None:
    """Extends videos, carries the rows over, makes processing_jobs."""
    run_files(_SQL, "orphans", "columns", "rows", "rules", "jobs", "uploads", "legacy_columns", "access")


def downgrade() -> None:
    """Warns, then deletes what phase 2 added; the legacy columns stay."""
    run_files(_SQL, "downgrade")
