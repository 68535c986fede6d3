"""`wakestorm bench pages` with a small fleet: all pages at a real server, and one that does not show what it should.

For the night: a server of its own and 24 pages are 15 s of CPU. What it counts as a mistake is in the unit tests, too.
"""

from __future__ import annotations

import asyncio

import pytest

from harness.bench.postgres_cluster import Cluster
from harness.benchmarks import pages
from server.devices import Sort

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.night]
DEVICES = 200


def test_every_page_is_measured_and_must_show_what_it_is_asked_for(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is asked for a camera that there is not; all others show what they should, and to one company only that."""
    assert set(pages.SORTS) == set(Sort)
    monkeypatch.setattr(pages, "mac_of", lambda number: "A4:CF:12:00:00:01")
    settings = pages.PagesSettings(devices=DEVICES, images=2 * DEVICES, runs=1)
    told: list[str] = []
    report = asyncio.run(pages.pages(settings, told.append, cluster))
    assert [mistake.partition(":")[0] for mistake in report.mistakes] == ["search by MAC"]
    lists = [item for item in report.measurements if item.aim is not None]
    assert len(lists) == 20 and {item.aim for item in lists} == {200.0}
    assert all(item.median > 0 for item in report.measurements)
    assert f"{DEVICES} of {DEVICES} devices" in told and f"{2 * DEVICES} of {2 * DEVICES} photos" in told
