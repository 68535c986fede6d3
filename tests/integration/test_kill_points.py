"""A server's every request to the database is a point at which it can break: a sample of `harness.kill_points`.

The whole of it is for the night; here each flow and kind is struck a few times, spread over its requests.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from harness.bench.postgres_cluster import Cluster
from harness.kill_points import FLOWS, HOW, Player, Point
from harness.verdict import Verdict

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

FIRST = {"kill": 3, "lose_answer": 8, "fail": 5, "crash": 18}
"""A photo is more than 40 requests."""

EVERY = 20
TRIED = 2


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("how", HOW)
def test_no_photo_is_lost_at_any_request(flow: str, how: str, cluster: Cluster, tmp_path: Path) -> None:
    points = Player(cluster, tmp_path).points(flow, how, "request", first=FIRST[how], every=EVERY)
    struck = list(islice(points, TRIED))
    assert len(struck) == TRIED
    assert [(str(item.point), item.found) for item in struck if item.verdict is not Verdict.PASS] == []


def test_a_point_that_no_flow_has_is_no_strike(cluster: Cluster, tmp_path: Path) -> None:
    point = Point(flow="image", how="lose_answer", at="commit", nth=1000)
    assert Player(cluster, tmp_path).played(point) is None
