"""What `wakestorm videos bench` and `wakestorm originals bench` measure, once and small: every request is taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from harness.bench import originals_rate, videos_rate
from harness.machine import monotonic_s
from tests.conftest import Database

pytestmark = pytest.mark.postgres


def test_a_video_and_six_originals_are_measured(migrated_database: Database, tmp_path: Path) -> None:
    async def main() -> None:
        cluster, name = migrated_database.cluster, migrated_database.name
        rate = await videos_rate.measured(cluster, name, str(tmp_path), 1_000_000, 1, monotonic_s)
        assert 0 < rate.whole_mb_per_s < min(rate.parts_mb_per_s, rate.complete_mb_per_s)
        rates = await originals_rate.measured(cluster, name, str(tmp_path), 3, monotonic_s)
        assert [found.count for found in rates] == [3, 3, 6]
        assert all(found.per_second > 0 for found in rates)

    asyncio.run(main())
