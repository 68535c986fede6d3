"""Expected messages: counted together, or for each device by itself."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.expectations import Finding, World, evaluate
from harness.history import Header, History
from harness.plan import plans_of
from harness.plan_steps import Expect
from tests.support.scenario_texts import loaded, with_steps

HEADER = Header(
    scenario="a.yaml", seed=1, bench="embedded", wakestorm="0", python="3.11", postgres_major=18, architecture="x86_64"
)


def _found(expect: str, senders: list[str]) -> Finding:
    """What the expectation says where these devices have said HELLO, one message each time they are named."""
    (plan,) = plans_of(loaded(with_steps(f"- expect: {expect}")))
    history = History(HEADER)
    for t_ms, who in enumerate(senders):
        fields = {"topic": "ESP32CAM/B8F862000000/status", "direction": "up", "payload": {"status": "Alive"}}
        history.append(t_ms, "message", who, **fields)
    world = World(cast(Any, SimpleNamespace(plan=plan, history=history)), cast(Any, None))
    (step,) = plan.steps
    assert isinstance(step, Expect)
    return asyncio.run(evaluate(world, step.subject, 0))


@pytest.mark.parametrize(
    ("senders", "together", "by_each"),
    [
        (["yard[0]", "yard[1]", "yard[2]"], True, True),
        (["yard[0]", "yard[0]", "yard[2]"], True, False),
        (["yard[0]", "yard[1]"], False, False),
        (["yard[0]", "yard[1]", "yard[2]", "yard[2]"], False, False),
        ([], False, False),
    ],
)
def test_each_counts_the_messages_of_every_device_by_itself(senders: list[str], together: bool, by_each: bool) -> None:
    assert _found("{message: {from: yard, topic: status, count: 3}}", senders).holds is together
    assert _found("{message: {from: yard, topic: status, count: 1, each: true}}", senders).holds is by_each


def test_a_failure_names_the_devices_whose_count_is_wrong() -> None:
    finding = _found("{message: {from: yard, topic: status, count: 1, each: true}}", ["yard[0]", "yard[0]", "yard[1]"])
    assert finding.expected == "1 message from each of yard[0], yard[1], yard[2] on status"
    assert finding.found == "yard[0] 2, yard[2] 0: 3 such among 3 messages"


def test_none_of_each_is_none_at_all() -> None:
    expect = "{message: {from: yard, topic: status, count: 0, each: true}}"
    assert _found(expect, []).holds and not _found(expect, ["yard[1]"]).holds
