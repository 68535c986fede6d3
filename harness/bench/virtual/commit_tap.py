"""Watches what servers say against what they have committed: an ACK before its COMMIT is a lost photo in waiting.

It reads the bytes that a server's MQTT connection writes and gets. A PUBACK must come after a transaction that began
after its PUBLISH arrived. When a final ACK_OK is written, the image must be complete in the database at that very
moment: the question is put beside an open transaction of the writer, or before any later one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from harness.bench.virtual.gate import Gate
from server.wire.mqtt_codec import Decoder, Puback, Publish

if TYPE_CHECKING:
    import asyncpg

_IS_COMPLETE: Final = """
SELECT EXISTS (
    SELECT FROM device_images i JOIN devices d USING (device_id)
    WHERE d.device_mac = $1 AND i.wire_image_name = $2 AND i.status = 'complete'
)
"""


class _Connection:
    """One connection of a server: its two streams, and the PUBLISHes that wait for their PUBACK."""

    def __init__(self) -> None:
        self.decoders = {"in": Decoder(), "out": Decoder()}
        self.arrived_at: dict[int, int] = {}


class CommitTap:
    """`early` collects what left too early, in words. `reader` gives the connection of the bench's own eyes."""

    def __init__(self, gate: Gate, reader: Callable[[], asyncpg.Connection]) -> None:
        self.early: list[str] = []
        self._gate = gate
        self._reader = reader
        self._connections: WeakKeyDictionary[Any, _Connection] = WeakKeyDictionary()
        self._asking: set[asyncio.Task[None]] = set()
        self._one_question = asyncio.Lock()  # two ACKs of one batch ask over one connection

    def on_bytes(self, transport: Any, direction: str, data: bytes) -> None:
        """Bytes of some connection of the network; those of servers are looked at."""
        tag = transport.tag
        if tag is None or not tag.startswith("server"):
            return
        connection = self._connections.setdefault(transport, _Connection())
        arrived = connection.arrived_at
        for packet in connection.decoders[direction].feed(data):
            match packet:
                case Publish(packet_id=packet_id) if direction == "in" and packet_id is not None:
                    arrived.setdefault(packet_id, self._gate.passes.get(tag, 0))
                case Puback(packet_id=packet_id) if direction == "out":
                    arrived_at = arrived.pop(packet_id, None)
                    if arrived_at is not None and self._gate.passes.get(tag, 0) <= arrived_at:
                        self._say(f"PUBACK of message {packet_id} left {tag} before a COMMIT")
                case Publish(topic=topic, payload=payload) if direction == "out":
                    self._look_at_ack(topic, payload, tag)
                case _:
                    pass

    def _say(self, text: str) -> None:
        if len(self.early) < 20:
            self.early.append(text)

    def _look_at_ack(self, topic: str, payload: bytes, tag: str) -> None:
        levels = topic.split("/")
        fields = json.loads(payload) if levels[-1] == "ack" else {}
        if not fields.get("ACK_OK"):
            return
        mac, name = levels[1], fields["image_name"]

        async def ask() -> None:
            async with self._one_question:
                is_complete = await self._reader().fetchval(_IS_COMPLETE, mac, name)
            if not is_complete:
                self._say(f"final ACK_OK for {name} of {mac} left {tag}, and the image was not complete then")

        if self._gate.is_held_by(tag):  # its own transaction is open: look beside it, not after it
            task = asyncio.get_running_loop().create_task(ask())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        else:
            self._gate.interpose(ask)
