"""Nobody reaches what is another's: the isolation matrix against the simulated broker and a real mosquitto."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from harness.bench.brokers import missing_reason
from harness.dut.topic_guard import Judged, TopicGuard
from harness.hostile import brokers
from harness.hostile.isolation import A, Matrix, isolation


async def _matrix(kind: str, folder: Path, *, hole: bool = False) -> Matrix:
    async with asyncio.timeout(120):
        if kind == "simulated":
            rules = brokers.doors()
            if hole:
                own = rules.access
                rules.access = lambda who, action, topic: who == A or own(who, action, topic)  # type: ignore[method-assign]
            async with brokers.simulated(rules) as place:
                return await isolation(place, is_brief=hole)
        text = f"\nuser {A}\ntopic readwrite ESP32CAM/+/cmd\n" if hole else ""
        async with brokers.mosquitto(folder, text) as place:
            return await isolation(place, is_brief=hole)


@pytest.fixture(params=["simulated", "mosquitto"])
def kind(request: pytest.FixtureRequest) -> str:
    """The brokers that have doors; iotcore has none."""
    reason = missing_reason("mosquitto", os.environ) if request.param == "mosquitto" else None
    if reason is not None:
        pytest.skip(reason)
    return str(request.param)


@pytest.mark.slow
def test_no_cell_of_the_matrix_is_allowed(kind: str, tmp_path: Path) -> None:
    matrix = asyncio.run(_matrix(kind, tmp_path))
    assert matrix.allowed == []
    assert matrix.cells >= 2_000


@pytest.mark.slow
def test_the_matrix_sees_a_hole(kind: str, tmp_path: Path) -> None:
    """A device that may use the commands of all is found out, whether it speaks or listens."""
    allowed = asyncio.run(_matrix(kind, tmp_path, hole=True)).allowed
    assert any("publishes to ESP32CAM/B8F862F9C1C4/cmd" in cell for cell in allowed)
    assert any("hears ESP32CAM/B8F862F9C1C4/cmd by +/+/+" in cell for cell in allowed)
    assert any("wills to ESP32CAM/B8F862F9C1C4/cmd" in cell for cell in allowed)
    assert any("retained on" in cell for cell in allowed)


@pytest.mark.slow
@pytest.mark.parametrize("is_guarded", [True, False])
def test_boards_behind_gates_reach_their_own_topics_alone(
    is_guarded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker without rules, as iotcore is; without the guard of the gates the same attempts go through."""
    if (reason := missing_reason("mosquitto", os.environ)) is not None:
        pytest.skip(reason)
    if not is_guarded:
        monkeypatch.setattr(TopicGuard, "up", lambda guard, packet: Judged(onward=packet))

    async def matrix() -> Matrix:
        async with asyncio.timeout(120), brokers.gated(tmp_path) as place:
            return await isolation(place, is_brief=True)

    allowed = asyncio.run(matrix()).allowed
    if is_guarded:
        assert allowed == []
    for attempt in ("publishes to", "hears", "wills to", "takes over"):
        assert any(attempt in cell for cell in allowed) is not is_guarded, attempt
