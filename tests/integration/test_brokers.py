"""Real brokers as child processes: they start, keep what they promise to keep, and never outlive us."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.brokers import BrokerKind, BrokerProcess, find_mosquitto, missing_reason
from harness.errors import BenchUnavailable
from server.wire.mqtt_codec import Connack, Connect, Decoder, encode
from tests.support.conformance import BrokerUnderTest, bare_client, numbers
from tests.support.scripted_broker import run

every_kind = pytest.mark.parametrize("kind", ["iotcore", "mosquitto"])


@pytest.fixture(autouse=True)
def _is_installed(request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params.get("kind") if hasattr(request.node, "callspec") else None
    reason = missing_reason(kind, os.environ) if kind else None
    if reason is not None:
        pytest.skip(reason)


@every_kind
def test_start_stop_and_start_again_on_the_same_port(kind: BrokerKind, tmp_path: Path) -> None:
    broker = BrokerProcess(kind, tmp_path)
    with broker as started:
        assert started is broker
        port, pid = broker.port, broker.pid
        assert broker.start().pid == pid
        broker.kill()
        assert not broker.is_running
        broker.start()
        assert (broker.port, broker.is_running) == (port, True)
    broker.stop()
    assert (broker.is_running, broker.pid) == (False, None)


@every_kind
def test_a_paused_broker_can_be_stopped(kind: BrokerKind, tmp_path: Path) -> None:
    with BrokerProcess(kind, tmp_path) as broker:
        broker.pause()
        assert broker.is_running


@every_kind
def test_a_port_in_use_is_said(kind: BrokerKind, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BenchUnavailable, match=f"port {port} of 127.0.0.1 is in use"):
            BrokerProcess(kind, tmp_path, port=port).start()


def test_a_missing_mosquitto_is_said(tmp_path: Path) -> None:
    environment = {"WAKESTORM_MOSQUITTO": str(tmp_path / "nothing"), "PATH": os.environ["PATH"]}
    assert find_mosquitto(environment) is None
    with pytest.raises(BenchUnavailable, match=r"WAKESTORM_MOSQUITTO names .*nothing, which is no program"):
        BrokerProcess("mosquitto", tmp_path, environment=environment).start()


def test_a_broker_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    program.chmod(0o755)
    environment = {"WAKESTORM_MOSQUITTO": str(program), "PATH": os.environ["PATH"]}
    with pytest.raises(BenchUnavailable, match="no such option"):
        BrokerProcess("mosquitto", tmp_path, environment=environment).start()


@pytest.mark.parametrize("kind", ["mosquitto"])
def test_mosquitto_keeps_its_sessions_over_a_clean_stop(kind: BrokerKind, tmp_path: Path) -> None:
    broker = BrokerProcess(kind, tmp_path)

    def at() -> BrokerUnderTest:
        return BrokerUnderTest(kind, port=broker.port)

    async def leave_messages() -> None:
        async with bare_client(at(), "sub", clean=False) as sub, bare_client(at(), "pub") as pub:
            await sub.subscribe(("t", 1))
            sub.cut()
            await pub.publish("t", b"", count=2000)

    async def get_them() -> None:
        async with bare_client(at(), "sub", clean=False) as sub:
            assert sub.session_present
            got = []
            for _ in range(4):
                batch = await sub.messages(500)
                sub.ack(*batch)
                got += numbers(batch)
            assert got == list(range(2000))

    with broker:
        run(leave_messages)
    with broker:
        run(get_them)


@every_kind
def test_a_broker_dies_with_its_parent_even_when_paused(kind: BrokerKind, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from harness.bench.brokers import BrokerProcess;"
        "b = BrokerProcess(sys.argv[1], Path(sys.argv[2])).start(); b.pause(); print(b.pid, flush=True);"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, kind, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdout is not None
        descriptor = os.pidfd_open(int(parent.stdout.readline()))
        try:
            parent.send_signal(signal.SIGKILL)
            parent.wait(10)
            readable, _, _ = select.select([descriptor], [], [], 10)
            assert readable == [descriptor], "the broker outlived its parent"
        finally:
            os.close(descriptor)


@every_kind
def test_a_login_lets_its_owner_in_and_nobody_else(kind: BrokerKind, tmp_path: Path) -> None:
    with BrokerProcess(kind, tmp_path, login=("bench", "right")) as broker:
        answers = [
            connected(broker.port, username=name, password=word)
            for name, word in (("bench", b"right"), ("bench", b"wrong"), (None, None))
        ]
    assert [answer == [Connack()] for answer in answers] == [True, False, False]


def connected(port: int, *, username: str | None, password: bytes | None) -> list[object]:
    """What a broker says to a CONNECT."""
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as wire:
        wire.sendall(encode(Connect(client_id="stranger", keep_alive_s=30, username=username, password=password)))
        return [*Decoder().feed(wire.recv(64))]
