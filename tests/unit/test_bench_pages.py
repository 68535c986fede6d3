"""What `wakestorm bench pages` believes: an answer counts when the page shows what it was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from harness.bench import HttpAnswer
from harness.benchmarks.pages import AIM_MS, SORTS, Asked, Visit
from harness.errors import BenchUnavailable
from server.devices import Sort


class Server:
    """Answers each page with its own address."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def exchange(self, method: str, path: str, headers: dict[str, str]) -> HttpAnswer:
        assert (method, headers["cookie"]) == ("GET", "session=1")
        self.asked.append(path)
        return HttpAnswer(200 if path != "/broken" else 500, {}, f"the page {path}".encode())


def test_every_order_of_the_list_is_asked_for() -> None:
    assert set(SORTS) == set(Sort)


def test_a_page_that_does_not_show_what_it_is_asked_for_is_a_mistake() -> None:
    server: Any = Server()
    visit = Visit(server, "session=1", runs=3)
    right = asyncio.run(visit.times(Asked("right", "/devices", "the page")))
    wrong = asyncio.run(visit.times(Asked("wrong", "/fleet", "no such words", is_list=False)))
    assert visit.mistakes == ["wrong: /fleet does not show 'no such words'"]
    assert (right.aim, wrong.aim) == (AIM_MS, None) and len(right.values) == 3
    assert server.asked == ["/devices"] * 4 + ["/fleet"] * 4
    with pytest.raises(BenchUnavailable, match="GET /broken: 500"):
        asyncio.run(visit.times(Asked("broken", "/broken", "the page")))
