"""Brokers with doors: the simulated one and mosquitto, with the logins of the isolation matrix; and one without rules,
behind the gates that a bench with boards puts before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness.bench.brokers import BrokerProcess, OwnConfiguration, free_port
from harness.dut.mqtt_gate import GateHooks, MqttGate
from harness.hostile.isolation import ENROLMENT, NAMES, SERVER, SPY, A, B, Place
from server.wire.access import Role
from server.wire.mosquitto import Listeners, acl_file, configuration, hashed, password_file
from server.wire.mqtt_codec import Publish
from simulator.broker import Broker
from simulator.broker_doors import DoorLogin, Doors
from simulator.broker_host import BrokerHost
from simulator.fault import Deliver, FaultPoint, LinkAction, Parcel

PASSWORDS = {name: f"password of {name}" for name in NAMES}
OTHERS = [(SERVER, Role.SERVER), (ENROLMENT, Role.ENROLMENT)]
HASHES = {name: hashed(password, name.encode()[:12].ljust(12, b"-"), 2) for name, password in PASSWORDS.items()}


def doors() -> Doors:
    """The logins for the simulated broker."""
    roles = dict.fromkeys(NAMES, Role.DEVICE) | dict(OTHERS)
    return Doors(DoorLogin(name, roles[name], HASHES[name]) for name in NAMES)


@asynccontextmanager
async def simulated(rules: Doors | None = None) -> AsyncIterator[Place]:
    """The simulated broker on loopback sockets."""
    held = rules or doors()

    def access(client_id: str, action: str, topic: str) -> bool:
        return client_id == SPY or held.access(client_id, action, topic)

    host = BrokerHost(Broker(access=access, authenticate=held.authenticate))
    server = await asyncio.get_running_loop().create_server(host.protocol, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Place(host="127.0.0.1", port=port, enrolment_port=port, passwords=PASSWORDS)
    finally:
        host.stop()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


@asynccontextmanager
async def mosquitto(folder: Path, hole: str = "") -> AsyncIterator[Place]:
    """mosquitto with the files that `broker-config` writes, one spy, and perhaps a hole in its ACL."""

    enrolment_port = free_port()

    def text(where: Path, port: int) -> str:
        (where / "passwords").write_text(password_file(HASHES.items()))
        (where / "acl").write_text(f"{acl_file(OTHERS)}\nuser {SPY}\ntopic read #\ntopic read $SYS/#\n{hole}")
        listeners = Listeners(host="127.0.0.1", port=port, enrolment_port=enrolment_port)
        return configuration(listeners, passwords=str(where / "passwords"), acl=str(where / "acl"))

    process = BrokerProcess("mosquitto", folder, login=(SPY, PASSWORDS[SPY]), configuration=OwnConfiguration(text))
    process.start()
    try:
        yield Place(host=process.host, port=process.port, enrolment_port=enrolment_port, passwords=PASSWORDS)
    finally:
        process.stop()


@asynccontextmanager
async def gated(folder: Path) -> AsyncIterator[Place]:
    """mosquitto that knows passwords and no rules; A, B and the newcomer come through gates, as boards do."""

    def text(where: Path, port: int) -> str:
        (where / "passwords").write_text(password_file(HASHES.items()))
        settings = f"password_file {where / 'passwords'}\nsys_interval 0\nmax_queued_messages 0\n"
        return f"listener {port} 127.0.0.1\nallow_anonymous false\n{settings}"

    process = BrokerProcess("mosquitto", folder, login=(SPY, PASSWORDS[SPY]), configuration=OwnConfiguration(text))
    process.start()
    gates = {name: MqttGate((process.host, process.port), _LETS_THROUGH, device_id=name) for name in (A, B)}
    try:
        for gate in gates.values():
            await gate.start()
        direct = {SPY: process.port, SERVER: process.port}
        ports = {name: gate.port for name, gate in gates.items()} | direct
        yield Place(host=process.host, port=ports[A], enrolment_port=ports[A], passwords=PASSWORDS, ports=ports)
    finally:
        for gate in gates.values():
            await gate.close()
        process.stop()


async def _at_once(_: object, __: object = None) -> None:
    return None


def _delivered(message: Publish) -> list[LinkAction]:
    point = FaultPoint(direction="sent", event="telemetry")
    return [Deliver(Parcel(point=point, topic=message.topic, payload=message.payload))]


_LETS_THROUGH = GateHooks(
    uplink=_delivered,
    downlink=_delivered,
    pause=_at_once,
    power_off=lambda action: None,
    passed=lambda: 0,
    begin=_at_once,
    over=lambda: None,
    note=lambda text: None,
)
