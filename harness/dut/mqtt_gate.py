"""The gate between one board and its broker: faults that a board can not have by itself strike its messages here.

Theory. The board is given the gate's address instead of the broker's. Each connection is passed on packet by packet;
a PUBLISH goes through the device's fault chain first, exactly as in `simulated`, and what the chain says is done here:
delivered (later, more than once), swallowed, the connection reset, the power cut. The gate gives messages packet ids of
its own and keeps the acknowledgements apart, so that neither side sees a difference: the board's PUBACK comes once the
broker has sent its own, and for a lost message at once. After the fault at a chunk the broker has exactly that chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.dut.topic_guard import NotAllowed, TopicGuard
from server.wire.mqtt_codec import Decoder, Disconnect, MalformedPacket, Packet, Puback, Publish, encode
from simulator.fault import Begin, Cut, Deliver, LinkAction, PowerOff

ACK_WITHIN_S: Final = 30.0
READ_BYTES: Final = 65_536
_LINGER_NONE: Final = struct.pack("ii", 1, 0)
_PACKET_ID_MAX: Final = 65_535

Lullaby = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Carries on one connection to its end."""

OnMessage = Callable[[Publish], Sequence[LinkAction]]
"""What becomes of this message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateHooks:
    """What a gate asks its owner. `pause` waits scenario milliseconds; `power_off` takes the board's power.

    `begin`: this lasts from this message on, of which the line had so many bytes (`passed`) before the board was told
    that it is through. `over`: a connection has ended, with all that was on its way.
    """

    uplink: OnMessage
    downlink: OnMessage
    pause: Callable[[int], Awaitable[None]]
    power_off: Callable[[PowerOff], None]
    passed: Callable[[], int]
    begin: Callable[[Begin, int | None], Awaitable[None]]
    over: Callable[[], None]
    note: Callable[[str], None]


class _Broken(Exception):
    """This connection is over, by a fault or because one side has gone."""


@dataclass(slots=True, eq=False)
class _Side:
    """One of the two connections: where it is written, and what it has not acknowledged yet."""

    writer: asyncio.StreamWriter
    last_id: int = 0
    acks: dict[int, asyncio.Future[None]] = field(default_factory=dict)

    def send(self, packet: Packet) -> None:
        if self.writer.is_closing():
            raise _Broken("closed")
        self.writer.write(encode(packet))

    def publish(self, message: Publish) -> asyncio.Future[None]:
        """Send it under an id of its own; the future is done with its PUBACK (at once for QoS 0)."""
        acked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if message.qos == 0:
            self.send(message)
            acked.set_result(None)
            return acked
        self.last_id = self.last_id % _PACKET_ID_MAX + 1
        self.acks[self.last_id] = acked
        self.send(
            Publish(
                topic=message.topic,
                payload=message.payload,
                qos=message.qos,
                retain=message.retain,
                packet_id=self.last_id,
            )
        )
        return acked

    def acknowledged(self, packet_id: int) -> None:
        acked = self.acks.pop(packet_id, None)
        if acked is not None and not acked.done():
            acked.set_result(None)

    def reset(self) -> None:
        """End with RST, so that the other end knows at once."""
        wire = self.writer.get_extra_info("socket")
        if wire is not None and wire.fileno() >= 0:
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        self.writer.transport.abort()
        for acked in self.acks.values():
            acked.cancel()


class MqttGate:
    """One board's way to the broker, and to its own topics alone. `is_open` False: nobody gets through, as without
    Wi-Fi."""

    def __init__(self, broker: tuple[str, int], hooks: GateHooks, *, device_id: str, listen: str = "127.0.0.1") -> None:
        self._broker = broker
        self._device_id = device_id
        self._hooks = hooks
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._ways: set[_Way] = set()
        self._sung_to: set[_Side] = set()
        self.is_open = True
        self.is_dark = False
        """Its board has no power, whatever a slow switch still lets it say."""
        self.lullaby: Lullaby | None = None
        """Who answers instead of the broker."""
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._connected, self._listen, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Nothing goes through any more."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.gather(*(way.task for way in self._ways if way.task is not None), return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for way in list(self._ways):
            way.break_off()
        for board in list(self._sung_to):
            board.reset()

    def deliver(self, actions: Sequence[LinkAction]) -> None:
        """What a heal has set free goes out where there is a connection, else it is lost with it."""
        for way in list(self._ways):
            way.release(actions)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        board = _Side(writer)
        if self.lullaby is not None:
            self._sung_to.add(board)
            try:
                await self.lullaby(reader, writer)
            finally:
                self._sung_to.discard(board)
            return
        if not self.is_open or self.is_dark:
            board.reset()
            return
        try:
            upstream, broker_writer = await asyncio.open_connection(*self._broker)
        except OSError:
            board.reset()
            return
        way = _Way(board, _Side(broker_writer), self._hooks, TopicGuard(self._device_id))
        way.task = asyncio.current_task()
        self._ways.add(way)
        try:
            await way.carry(reader, upstream)
        finally:
            self._ways.discard(way)
            self._hooks.over()


class _Way:
    """One connection through the gate."""

    def __init__(self, board: _Side, broker: _Side, hooks: GateHooks, guard: TopicGuard) -> None:
        self.board = board
        self.broker = broker
        self.guard = guard
        self._hooks = hooks
        self._pumps: list[asyncio.Task[None]] = []
        self.task: asyncio.Task[None] | None = None

    def break_off(self) -> None:
        """Reset both sides and stop."""
        self.board.reset()
        self.broker.reset()
        for pump in self._pumps:
            pump.cancel()

    def release(self, actions: Sequence[LinkAction]) -> None:
        """Pass on what was held back."""
        for action in actions:
            if isinstance(action, Deliver):
                side = self.broker if action.parcel.point.direction == "sent" else self.board
                with contextlib.suppress(_Broken):
                    side.publish(Publish(topic=action.parcel.topic, payload=action.parcel.payload, qos=1))

    async def carry(self, from_board: asyncio.StreamReader, from_broker: asyncio.StreamReader) -> None:
        """Until one side ends; then the other does too."""
        loop = asyncio.get_running_loop()
        up, down = _Pump(self, self.board, self.broker, "up"), _Pump(self, self.broker, self.board, "down")
        self._pumps = [
            loop.create_task(work) for work in (up.read(from_board), up.work(), down.read(from_broker), down.work())
        ]
        try:
            await asyncio.wait(self._pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in self._pumps:
                pump.cancel()
            await asyncio.gather(*self._pumps, return_exceptions=True)
            for side in (self.board, self.broker):
                side.writer.close()
                with contextlib.suppress(OSError):
                    await side.writer.wait_closed()


class _Pump:
    """One direction: reads packets, and does in order what the chain makes of them."""

    def __init__(self, way: _Way, source: _Side, target: _Side, direction: str) -> None:
        self._way = way
        self._source = source
        self._target = target
        self._hooks = way._hooks
        self._direction = direction
        self._judge = self._hooks.uplink if direction == "up" else self._hooks.downlink
        self._waiting: asyncio.Queue[Packet | None] = asyncio.Queue()

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Acknowledgements are settled at once, the rest waits its turn."""
        decoder = Decoder()
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                try:
                    packets = decoder.feed(data)
                except MalformedPacket as error:
                    self._hooks.note(f"no MQTT: {error}")
                    break
                for packet in packets:
                    if isinstance(packet, Puback):
                        self._source.acknowledged(packet.packet_id)
                    else:
                        self._waiting.put_nowait(packet)
        self._waiting.put_nowait(None)
        await asyncio.Event().wait()  # `work` ends the connection once everything that came is passed on

    async def work(self) -> None:
        """Passes packets on until the end, or until a fault ends it."""
        try:
            while (waiting := await self._waiting.get()) is not None:
                if (packet := self._guarded(waiting)) is None:
                    continue
                if isinstance(packet, Publish) and packet.qos < 2:
                    await self._publish(packet)
                else:
                    self._target.send(packet)
                if isinstance(packet, Disconnect):
                    await self._target.writer.drain()
        except (_Broken, OSError):
            return

    def _guarded(self, packet: Packet) -> Packet | None:
        """The packet as it may go on; None where it was answered here."""
        if self._direction == "down":
            return self._way.guard.down(packet)
        try:
            judged = self._way.guard.up(packet)
        except NotAllowed as refusal:
            self._hooks.note(str(refusal))
            raise _Broken("not allowed") from None
        if judged.note:
            self._hooks.note(judged.note)
        if judged.answer is not None:
            self._source.send(judged.answer)
        return judged.onward

    async def _publish(self, message: Publish) -> None:
        begins: list[Begin] = []
        for action in self._judge(message):
            match action:
                case Deliver(parcel=parcel, after_ms=after_ms):
                    if after_ms:
                        await self._hooks.pause(after_ms)
                    await self._passed_on(
                        Publish(topic=parcel.topic, payload=parcel.payload, qos=message.qos, retain=message.retain)
                    )
                case Cut():
                    self._end()
                case PowerOff():
                    self._hooks.power_off(action)
                    self._end()
                case Begin():
                    begins.append(action)
        passed = self._hooks.passed() if self._direction == "up" and message.packet_id is not None else None
        if message.packet_id is not None:
            self._source.send(Puback(message.packet_id))
        for begin in begins:
            await self._hooks.begin(begin, passed)

    async def _passed_on(self, message: Publish) -> None:
        """Returns with its PUBACK."""
        try:
            async with asyncio.timeout(ACK_WITHIN_S):
                await self._target.publish(message)
        except TimeoutError:
            raise _Broken("not acknowledged") from None

    def _end(self) -> None:
        self._way.board.reset()
        self._way.broker.reset()
        raise _Broken("by a fault")
