"""The three brokers of the suite. A real one is started once per test process; tests keep apart by their own names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.bench.brokers import BrokerKind, BrokerProcess, missing_reason
from tests.support.conformance import BrokerUnderTest

_processes = ExitStack()
_real: dict[BrokerKind, BrokerUnderTest] = {}


@pytest.fixture(params=["simulated", "mosquitto", "iotcore"])
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BrokerUnderTest:
    """One of the three, with names that no other test uses."""
    if request.param == "simulated":
        under_test = BrokerUnderTest("simulated")
    else:
        under_test = _started(request.param, tmp_path_factory)
    return under_test.named(request.node.name)


@pytest.fixture(params=["simulated", "mosquitto", "iotcore"])
def own_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerUnderTest]:
    """One of the three for this test alone: iotcore may not survive what is done to it."""
    if request.param == "simulated":
        yield BrokerUnderTest("simulated", prefix="own")
        return
    skip_if_missing(request.param)
    with BrokerProcess(request.param, tmp_path / "broker") as process:
        yield BrokerUnderTest(request.param, port=process.port, prefix="own")


@pytest.fixture(params=["mosquitto", "iotcore"])
def real_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BrokerProcess]:
    """A process of its own, for tests that pause, stop or kill it."""
    skip_if_missing(request.param)
    with BrokerProcess(request.param, tmp_path / "broker") as process:
        yield process


def pytest_unconfigure() -> None:
    """End the processes with the test session."""
    _processes.close()


def _started(kind: BrokerKind, tmp_path_factory: pytest.TempPathFactory) -> BrokerUnderTest:
    skip_if_missing(kind)
    if kind not in _real:
        process = BrokerProcess(kind, tmp_path_factory.mktemp(kind))
        _processes.enter_context(process)
        _real[kind] = BrokerUnderTest(kind, host=process.host, port=process.port)
    return _real[kind]


def skip_if_missing(kind: BrokerKind) -> None:
    """Skip the test with the reason; CI has all of them installed."""
    reason = missing_reason(kind, os.environ)
    if reason is not None:
        pytest.skip(reason)
