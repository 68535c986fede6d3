"""What one sender may make the server write down, and what one device may have open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from server.quotas import Quotas

NOW = datetime(2026, 1, 5, 12, 0, 30, tzinfo=UTC)


def test_fifty_newcomers_a_minute_and_the_same_answer_again() -> None:
    quotas = Quotas()
    macs = [f"{number:012X}" for number in range(60)]
    assert [quotas.admits(mac, NOW) for mac in macs] == [True] * 50 + [False] * 10
    assert [quotas.admits(mac, NOW) for mac in macs] == [True] * 50 + [False] * 10
    assert all(quotas.admits(mac, NOW + timedelta(minutes=1)) for mac in macs[-10:])


def test_a_flood_of_refusals_is_counted_and_not_kept() -> None:
    quotas = Quotas(refusals_max=3, refusals_of_all_max=5)
    assert [quotas.keeps("A", NOW) for _ in range(5)] == [True] * 3 + [False] * 2
    assert [quotas.keeps("B", NOW) for _ in range(3)] == [True] * 2 + [False]
    assert quotas.passed_over() == 3
    assert quotas.passed_over() == 0
    assert quotas.keeps("A", NOW + timedelta(seconds=30))
