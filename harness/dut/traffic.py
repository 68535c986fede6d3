"""Messages of a simulated device on their way: the fault chain between its state machine and its link."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.dut.armed import struck
from server.wire.codec import decode_reply, encode_device_message
from server.wire.errors import RemoteProtocolError
from server.wire.topics import Channel, topic_of
from simulator.device_messages import chunk_message
from simulator.effects import Publish, PublishChunks
from simulator.fault import EVENT_OF_REPLY, Begin, Cut, Deliver, DeliverPart, LinkAction, PowerOff
from simulator.link import LinkError

if TYPE_CHECKING:
    from harness.dut.simulated import SimulatedDut


class Traffic:
    """What the device of `owner` sends and is sent."""

    def __init__(self, owner: SimulatedDut) -> None:
        self._owner = owner

    # -- sent ------------------------------------------------------------------------------------------

    async def publish(self, publish: Publish, incarnation: int) -> None:
        """One message of the device, through its faults; the device hears of the PUBACK."""
        if await self._publish(publish, incarnation):
            self._sent(publish.number, incarnation)

    async def publish_chunks(self, burst: PublishChunks, incarnation: int) -> None:
        """Chunks of one photo, each through its faults and none waiting for another; the device hears of the last
        PUBACK."""
        owner, indexes = self._owner, range(burst.first_index, burst.first_index + burst.count)
        count = -(-len(burst.jpeg) // owner.profile.chunk_size_bytes)
        ways = [
            Publish(
                number=burst.number,
                message=chunk_message(owner.planned.mac, burst.image_name, burst.jpeg, index, owner.profile),
                event="chunk",
                chunk_index=index,
                chunk_count=count,
            )
            for index in indexes
        ]
        if all(await asyncio.gather(*(self._publish(way, incarnation) for way in ways))):
            self._sent(burst.number, incarnation)

    def _sent(self, number: int, incarnation: int) -> None:
        owner = self._owner
        if incarnation == owner.incarnation:
            owner.perform(owner.device.sent(number, owner.clock.now_ms()))

    async def _publish(self, publish: Publish, incarnation: int) -> bool:
        """False where no PUBACK comes."""
        owner = self._owner
        channel, payload = encode_device_message(publish.message, owner.dialect, owner.profile.encoding_quirks)
        topic = topic_of(owner.dialect.family, owner.planned.mac, channel)
        actions = owner.faults.for_wake(owner.wakes).process(
            "sent",
            publish.event,
            topic,
            payload,
            chunk_index=publish.chunk_index,
            chunk_count=publish.chunk_count,
        )
        self._note_strike(actions, publish.event, "sent", publish.chunk_index, payload)
        try:
            return await self._send(actions, incarnation)
        except LinkError:
            return False  # on_lost tells the device, or its own patience

    async def _send(self, actions: Sequence[LinkAction], incarnation: int) -> bool:
        """Publish what the chain lets through; False where the device is gone."""
        owner = self._owner
        for action in actions:
            match action:
                case Deliver(parcel=parcel, after_ms=after_ms):
                    if after_ms:
                        await owner.pause(after_ms)
                    if incarnation != owner.incarnation:
                        return False
                    await owner.link.publish(parcel.topic, parcel.payload, qos=1)
                case DeliverPart(parcel=parcel):
                    owner.link.publish_part(parcel.topic, parcel.payload)
                case _:
                    if not self._strike(action):
                        return False
        return incarnation == owner.incarnation

    def _strike(self, action: Cut | PowerOff | Begin) -> bool:
        """What is no message; False where the connection does not live on."""
        owner = self._owner
        match action:
            case Cut():
                owner.link.cut()
                owner.on_lost("cut by a fault")
                return False
            case PowerOff(back_after_ms=back_after_ms):
                owner.power_loss(back_after_ms)
                return False
            case Begin():
                incarnation = owner.incarnation
                owner.mishaps.begin(action)
                return incarnation == owner.incarnation

    def release(self, actions: Sequence[LinkAction]) -> None:
        """What a heal sets free goes out where there is a way, else it is lost with the link."""
        if actions and not self._owner.is_asleep:
            self._owner.start(self._release(actions))

    async def _release(self, actions: Sequence[LinkAction]) -> None:
        try:
            await self._send(actions, self._owner.incarnation)
        except LinkError:
            return

    def drop_held(self) -> None:
        """The connection is over, and what was held back on its way with it."""
        count = self._owner.faults.chain.drop_held()
        if count:
            self._owner.note("fault", address="link", actions=["drop", count])

    # -- received --------------------------------------------------------------------------------------

    def on_message(self, topic: str, payload: bytes) -> None:
        """One message of the server, through the faults."""
        owner = self._owner
        channel = Channel(topic.split("/", 2)[2])
        try:
            message = decode_reply(channel, payload, owner.clock.now(), owner.dialect)
        except RemoteProtocolError as error:
            owner.note("log", level="warning", text=f"not understood: {error.reason}", source="device")
            return
        event = EVENT_OF_REPLY[type(message)]
        actions = owner.faults.for_wake(owner.wakes).process("received", event, topic, payload)
        self._note_strike(actions, event, "received", None, payload)
        if all(isinstance(action, Deliver) and not action.after_ms for action in actions):
            for action in actions:
                if isinstance(action, Deliver):
                    self._receive(action.parcel.topic, action.parcel.payload)
        else:
            owner.start(self._receive_late(actions, owner.incarnation))

    async def _receive_late(self, actions: Sequence[LinkAction], incarnation: int) -> None:
        owner = self._owner
        for action in actions:
            match action:
                case Deliver(parcel=parcel, after_ms=after_ms):
                    if after_ms:
                        await owner.pause(after_ms)
                    if incarnation != owner.incarnation:
                        return
                    self._receive(parcel.topic, parcel.payload)
                case DeliverPart():
                    raise AssertionError("half a message is never received: the language does not allow it")
                case _:
                    if not self._strike(action):
                        return

    def _receive(self, topic: str, payload: bytes) -> None:
        owner = self._owner
        channel = Channel(topic.split("/", 2)[2])
        try:
            message = decode_reply(channel, payload, owner.clock.now(), owner.dialect)
        except RemoteProtocolError:
            return  # corrupted on its way
        owner.perform(owner.device.receive(message, owner.clock.now_ms()))

    def _note_strike(
        self, actions: Sequence[LinkAction], event: str, direction: str, index: int | None, payload: bytes
    ) -> None:
        what = struck(actions, event, payload)
        if what is not None:
            where = event if index is None else f"{event}[{index}]"
            self._owner.note("fault", address=f"{where}.{direction}", actions=what)
