"""Brokers with doors: the simulated one and mosquitto, with the logins of the isolation matrix; and one without rules,
behind the gates that a bench with boards puts before it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Certified:
    """A broker at which a certificate is the login, and the folders where those stand that should open it, and not."""

    place: Place
    certificates: Path
    others: Path
    process: BrokerProcess


Command = Callable[..., Awaitable[str]]
"""Runs `wakestorm` with these words and gives what it prints."""

EXPIRED, REVOKED = "LATE-CAMERA", "LOST-CAMERA"


@asynccontextmanager
async def certified(command: Command, folder: Path, without: str | None = None) -> AsyncIterator[Certified]:
    """mosquitto over TLS as its user sets it up by `command`; `without` leaves a line of its configuration out."""
    certificates, others, files = folder / "certs", folder / "others", folder / "files"
    port, enrolment_port = free_port(), free_port()
    await command("certs", "--out", certificates, "--host", "127.0.0.1", A, B, SPY, SERVER, REVOKED)
    await command("certs", "--out", certificates, "--revoke", REVOKED, "--expired", EXPIRED)
    await command("certs", "--out", others, "--host", "127.0.0.1", A, SERVER)
    await command("logins", "add", SERVER, "--role", "server")
    said = await command("logins", "add", ENROLMENT, "--role", "enrolment")
    passwords = PASSWORDS | dict([said.strip().split(",")])
    where = ["--port", port, "--enrolment-port", enrolment_port, "--certs", certificates, "--out", files]
    await command("broker-config", "mosquitto", "--client-certificates", *where)
    with (files / "acl").open("a") as acl:
        acl.write(f"\nuser {SPY}\ntopic read #\ntopic read $SYS/#\n")
    contexts = {name: client_context(certificates, name) for name in (A, B, SPY, SERVER)}
    lines = (files / "mosquitto.conf").read_text().splitlines(keepends=True)
    kept = "".join(line for line in lines if without is None or not line.startswith(without))
    written = OwnConfiguration(lambda _, __: kept, contexts[SPY])
    process = BrokerProcess("mosquitto", folder / "broker", port=port, configuration=written)
    process.start()
    try:
        place = Place(
            host="127.0.0.1",
            port=port,
            enrolment_port=enrolment_port,
            passwords=passwords,
            tls=client_context(certificates),
            certificates=contexts,
        )
        yield Certified(place, certificates, others, process)
    finally:
        process.stop()


def client_context(folder: Path, name: str | None = None, authority: Path | None = None) -> ssl.SSLContext:
    """TLS of a client that has that certificate of `folder`, and trusts the CA that stands there or in `authority`."""
    tls = ssl.create_default_context(cafile=str((authority or folder) / "ca.crt"))
    if name is not None:
        tls.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return tls


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
