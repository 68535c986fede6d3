"""A board with the camera firmware, a broker on real sockets and a server of a few lines, all on one loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from simulator.board.board import Board
from simulator.board.camera_app import CameraApp
from simulator.board.flash import NorFlash
from simulator.board.host import BoardHost
from simulator.board.ports import OnData, OnLines
from simulator.broker import Broker
from simulator.broker_host import BrokerHost
from simulator.link import LinkSettings
from simulator.link.paho import PahoLink
from simulator.link.raw import RawLink
from tests.support.board_client import CHIP
from tests.support.board_images import flash_of, flashed

ID = "B8F800000042"
PATIENCE_S = 120.0
"""For machines that are busy: a limit to hanging, no measure of speed."""
NOW_MS = 1_767_600_000_000
"""2026-01-05T08:00:00Z."""


class LoopPort:
    """A port without wires: what the board prints piles up here."""

    name = "loop"
    has_lines = False

    def __init__(self) -> None:
        self.text = ""
        self.grew = asyncio.Event()
        self.on_data: OnData = lambda data, baud: None

    def baud(self) -> int | None:
        return None

    async def plug(self, on_data: OnData, on_lines: OnLines) -> None:
        self.on_data = on_data

    def unplug(self) -> None:
        self.on_data = lambda data, baud: None

    def write(self, data: bytes) -> None:
        self.text += data.decode("utf-8", "replace")
        self.grew.set()


@dataclass
class BoardWorld:
    """`received` is what the server got, as (channel, object). Without `answers` it keeps silent."""

    host: BoardHost
    app: CameraApp
    port: LoopPort
    received: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    answers: bool = True
    _read_to: int = 0

    async def expect(self, text: str) -> str:
        """Wait for a text on the console behind the last one that was found; the rest of its line."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while (found := self.port.text.find(text, self._read_to)) < 0 or "\n" not in self.port.text[found:]:
                    self.port.grew.clear()
                    await self.port.grew.wait()
        except TimeoutError:
            raise AssertionError(f"no {text!r} on the console:\n{self.port.text[-2000:]}") from None
        self._read_to = self.port.text.index("\n", found) + 1
        return self.port.text[found : self._read_to].strip()

    def type(self, line: str) -> None:
        """A line on the console."""
        self.port.on_data(line.encode() + b"\n", None)

    @property
    def kinds(self) -> list[str]:
        """What the server got, shortly: hello, metadata, chunk 0, ..."""
        found = []
        for channel, message in self.received:
            chunk = message.get("chunk_id")
            found.append("hello" if channel == "status" else "metadata" if chunk is None else f"chunk {chunk}")
        return found


@asynccontextmanager
async def board_world(settings: Mapping[str, str | int], **parts: bytes) -> AsyncIterator[BoardWorld]:
    """A camera that is switched on when the world is there; the server tells it to capture, and acknowledges."""
    loop = asyncio.get_running_loop()
    broker = BrokerHost(Broker())
    listening = await loop.create_server(broker.protocol, "127.0.0.1", 0)
    address = listening.sockets[0].getsockname()
    given = {
        "device_id": ID,
        "broker_host": address[0],
        "broker_port": address[1],
        "wifi_ssid": "barn",
        "image_bytes": 3_500,
        "chunk_bytes": 1_000,
        "traits": '{"chunk_spacing_ms": 1, "ack_linger_ms": 50}',
    }
    cells = flash_of(flashed(given | dict(settings), **parts))
    port = LoopPort()
    host = BoardHost(Board(CHIP, NorFlash(cells)), port)
    app = CameraApp(host, PahoLink, lambda: NOW_MS + round(loop.time() * 1000))
    host.run(app)
    world = BoardWorld(host, app, port)

    def answer(topic: str, payload: bytes) -> None:
        channel, message = topic.rpartition("/")[2], json.loads(payload)
        world.received.append((channel, message))
        last = message.get("chunk_id") == 3
        if world.answers and channel == "status":
            names = message.get("pending_list") or []
            reply = {"image_name": names[0], "ACK_OK": {}} if names else {"capture_image": True}
            send("ack" if names else "cmd", reply)
        elif world.answers and last:
            send("ack", {"image_name": message["image_name"], "ACK_OK": {"next_wake_time": "5:30PM"}})

    def send(channel: str, reply: dict[str, object]) -> None:
        topic = f"ESP32CAM/{ID}/{channel}"
        payload = json.dumps({"device_id": ID} | reply).encode()
        tasks.add(asyncio.ensure_future(server.publish(topic, payload)))

    tasks: set[asyncio.Future[None]] = set()
    filters = ((f"ESP32CAM/{ID}/status", 1), (f"ESP32CAM/{ID}/data", 1))
    server = RawLink(
        LinkSettings(address[0], address[1], client_id="server", filters=filters), answer, lambda why: None
    )
    await server.connect()
    try:
        await host.plug()
        yield world
    finally:
        await app.close()
        host.unplug()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.cut()
        listening.close()
        broker.stop()
