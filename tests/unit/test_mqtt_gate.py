"""The gate between a board and its broker, on real sockets: what each fault leaves on either side."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.bench.brokers import BrokerProcess, find_mosquitto
from harness.dut.lullaby import Song, lull
from harness.dut.mqtt_gate import GateHooks, MqttGate
from server.wire.codec import dialect_called
from server.wire.mqtt_codec import (
    Connack,
    Connect,
    Decoder,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    encode,
)
from simulator.fault import Begin, Cut, Deliver, FaultPoint, LinkAction, Parcel, PowerOff
from simulator.link import LinkError, LinkSettings
from simulator.link.raw import RawLink
from simulator.stream import StreamFault

DEVICE = "B8F862F9C1C4"
TOPIC, COMMANDS = f"ESP32CAM/{DEVICE}/data", f"ESP32CAM/{DEVICE}/cmd"


def parcel(message: Publish, payload: bytes | None = None) -> Parcel:
    point = FaultPoint(direction="sent", event="chunk")
    return Parcel(point=point, topic=message.topic, payload=message.payload if payload is None else payload)


class TinyBroker:
    """Takes everything, keeps what was published."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.logins: list[tuple[str | None, bytes | None]] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = Decoder()
        self.writers.append(writer)
        try:
            while data := await reader.read(4096):
                for packet in decoder.feed(data):
                    for answer in self._answers(packet):
                        writer.write(encode(answer))
        except ConnectionError:
            pass
        writer.close()

    def _answers(self, packet: Packet) -> list[Packet]:
        match packet:
            case Connect():
                self.logins.append((packet.username, packet.password))
                return [Connack()]
            case Subscribe(packet_id=number, filters=filters):
                return [Suback(packet_id=number, return_codes=tuple(qos for _, qos in filters))]
            case Publish(payload=payload, packet_id=number):
                self.payloads.append(payload)
                return [] if number is None else [Puback(number)]
        return []


class World:
    """A broker, a gate, and a client behind it."""

    def __init__(self, judge: str = "pass") -> None:
        self.judge = judge
        self.broker = TinyBroker()
        self.offs: list[PowerOff] = []
        self.begun: list[Begin] = []
        self.overs: list[bool] = []
        self.told = asyncio.Event()
        self.received: list[bytes] = []
        self.lost: list[str] = []

    async def __aenter__(self) -> World:
        port = await self.broker.start()
        hooks = GateHooks(
            uplink=self.up,
            downlink=self.down,
            pause=self.pause,
            power_off=self.offs.append,
            passed=lambda: 0,
            begin=self.begin,
            over=lambda: self.overs.append(True),
            note=self.lost.append,
        )
        self.gate = MqttGate(("127.0.0.1", port), hooks, device_id=DEVICE)
        await self.gate.start()
        login = {"username": "camera", "password": "secret"}
        settings = LinkSettings("127.0.0.1", self.gate.port, "cam", filters=((COMMANDS, 1),), ack_timeout_s=5, **login)
        self.link = RawLink(settings, lambda topic, payload: self.received.append(payload), self.lost.append)
        return self

    async def begin(self, begin: Begin, passed: int | None) -> None:
        await self.told.wait()
        self.begun.append(begin)

    async def __aexit__(self, *_: object) -> None:
        self.link.cut()
        await self.gate.close()
        for writer in self.broker.writers:
            writer.close()
        assert self.broker.server is not None
        self.broker.server.close()

    async def pause(self, ms: int) -> None:
        await asyncio.sleep(0)

    def up(self, message: Publish) -> Sequence[LinkAction]:
        if message.payload != b"struck":
            return [Deliver(parcel(message))]
        return {
            "lose": [],
            "twice": [Deliver(parcel(message)), Deliver(parcel(message))],
            "corrupt": [Deliver(parcel(message, b"sturck"))],
            "cut": [Deliver(parcel(message)), Cut()],
            "power": [Deliver(parcel(message)), PowerOff(500)],
            "lasts": [Deliver(parcel(message)), Begin("blackhole", StreamFault())],
        }[self.judge]

    def down(self, message: Publish) -> Sequence[LinkAction]:
        return [Deliver(parcel(message))] if message.payload != b"struck" else []


@pytest.mark.parametrize(
    ("judge", "there"),
    [("lose", [b"a", b"b"]), ("twice", [b"a", b"struck", b"struck", b"b"]), ("corrupt", [b"a", b"sturck", b"b"])],
)
def test_messages_are_lost_doubled_and_changed_and_the_board_knows_nothing(judge: str, there: list[bytes]) -> None:
    async def played() -> World:
        async with World(judge) as world:
            await world.link.connect()
            for payload in (b"a", b"struck", b"b"):
                await world.link.publish(TOPIC, payload)
        return world

    world = asyncio.run(played())
    assert world.broker.payloads == there
    assert world.broker.logins == [("camera", b"secret")], "the login goes through"


@pytest.mark.parametrize("judge", ["cut", "power"])
def test_after_a_cut_or_a_loss_of_power_the_broker_has_exactly_that_message(judge: str) -> None:
    async def played() -> World:
        async with World(judge) as world:
            await world.link.connect()
            await world.link.publish(TOPIC, b"a")
            with pytest.raises(LinkError):
                await world.link.publish(TOPIC, b"struck")
        return world

    world = asyncio.run(played())
    assert world.broker.payloads == [b"a", b"struck"]
    assert world.offs == ([PowerOff(500)] if judge == "power" else [])
    assert world.overs == [True], "what was held back is lost with its connection"


def test_what_lasts_begins_once_the_board_knows_that_its_message_is_through() -> None:
    async def played() -> World:
        async with World("lasts") as world:
            await world.link.connect()
            await world.link.publish(TOPIC, b"struck")  # acknowledged, while `begin` waits
            assert world.begun == []
            world.told.set()
            await world.link.publish(TOPIC, b"b")
        return world

    world = asyncio.run(played())
    assert [begin.name for begin in world.begun] == ["blackhole"]
    assert world.broker.payloads == [b"struck", b"b"]


def test_messages_to_the_board_come_through_and_are_acknowledged() -> None:
    async def played() -> World:
        async with World() as world:
            await world.link.connect()
            for number, payload in enumerate((b"one", b"struck", b"two"), 7):
                packet = Publish(topic=COMMANDS, payload=payload, qos=1, packet_id=number)
                world.broker.writers[0].write(encode(packet))
            await world.link.publish(TOPIC, b"a")
            while len(world.received) < 2:
                await asyncio.sleep(0)
        return world

    assert asyncio.run(played()).received == [b"one", b"two"]


def test_a_closed_gate_lets_nobody_through() -> None:
    async def played() -> World:
        async with World() as world:
            world.gate.is_open = False
            with pytest.raises(LinkError):
                await world.link.connect()
            world.gate.is_open = True
            await world.link.connect()
        return world

    assert len(asyncio.run(played()).broker.logins) == 1


@contextlib.contextmanager
def sung_to(gate: MqttGate, login: tuple[str, str] | None) -> Iterator[list[str]]:
    """The gate tells whoever comes to sleep; given: what it says of those it refuses."""
    notes: list[str] = []
    song = Song(dialect_called("v3.5.0"), datetime(2026, 1, 5, 3, tzinfo=UTC), login, notes.append)
    gate.lullaby = lambda reader, writer: lull(reader, writer, song)
    yield notes
    gate.lullaby = None


def test_a_lullaby_tells_whoever_says_hello_to_sleep() -> None:
    async def played() -> list[bytes]:
        async with World() as world:
            with sung_to(world.gate, ("camera", "secret")) as notes:
                await world.link.connect()
                await world.link.publish("ESP32CAM/B8F862F9C1C4/status", b'{"device_id": "B8F862F9C1C4"}')
                while not world.received:
                    await asyncio.sleep(0)
            assert not world.broker.logins, "the broker hears nothing of it"
            assert not notes
        return world.received

    assert b'"next_wake":"3:00AM"' in asyncio.run(played())[0].replace(b" ", b"")


async def answers_to(port: int, *packets: Packet) -> list[Packet]:
    """All that a stranger hears until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(encode(packet) for packet in packets))
    try:
        async with asyncio.timeout(5):
            return Decoder().feed(await reader.read())
    except ConnectionResetError:
        return []
    finally:
        writer.close()


HELLO = Publish(topic=f"ESP32CAM/{DEVICE}/status", payload=b'{"device_id": "B8F862F9C1C4"}', qos=1, packet_id=3)


@pytest.mark.parametrize(
    "login",
    [
        {},
        {"username": "camera"},
        {"username": "camera", "password": b"secre"},
        {"username": "camera", "password": b"\xff"},
        {"username": "bench", "password": b"secret"},
        {"username": "c\u00e4mera", "password": b"secret"},
    ],
)
def test_a_lullaby_is_for_those_with_the_login_as_the_broker_is(login: dict[str, Any], tmp_path: Path) -> None:
    """The same refusal as mosquitto's, byte for byte, and not one answer more."""
    connect = Connect(client_id="stranger", keep_alive_s=30, **login)

    async def played() -> tuple[list[Packet], list[str]]:
        async with World() as world:
            with sung_to(world.gate, ("camera", "secret")) as notes:
                return await answers_to(world.gate.port, connect, HELLO), notes

    refused, notes = asyncio.run(played())
    assert refused == [Connack(return_code=5)]
    assert len(notes) == 1 and "login" in notes[0] and "secre" not in notes[0]
    if find_mosquitto(os.environ) is not None:
        with BrokerProcess("mosquitto", tmp_path, login=("camera", "secret")) as broker:
            assert asyncio.run(answers_to(broker.port, connect)) == refused


@pytest.mark.parametrize("packet", [HELLO, Subscribe(packet_id=1, filters=((COMMANDS, 1),)), Pingreq()])
def test_who_does_not_connect_first_hears_nothing_of_a_lullaby(packet: Packet) -> None:
    async def played() -> list[Packet]:
        async with World() as world:
            with sung_to(world.gate, None):
                return await answers_to(world.gate.port, packet)

    assert asyncio.run(played()) == []


def test_a_gate_that_closes_ends_a_lullaby_that_somebody_still_hears() -> None:
    async def played() -> bytes:
        async with World() as world:
            with sung_to(world.gate, None):
                reader, writer = await asyncio.open_connection("127.0.0.1", world.gate.port)
                writer.write(encode(Connect(client_id="stranger", keep_alive_s=30)))
                await reader.readexactly(4)
                await world.gate.close()
                try:
                    async with asyncio.timeout(5):
                        return await reader.read()
                except ConnectionResetError:
                    return b""
                finally:
                    writer.close()

    assert asyncio.run(played()) == b""
