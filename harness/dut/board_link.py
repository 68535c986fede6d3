"""A board's messages: what its faults make of each, asked by the gate that carries it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from harness.dut.armed import ArmedFaults, struck
from harness.dut.mqtt_gate import GateHooks, MqttGate
from harness.dut.windows import Windows
from harness.plan_steps import PlannedDevice, PlannedFault
from server.wire.codec import chunk_index_of, decode, decode_reply, dialect_called
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Chunk, Done, Hello, Metadata, Sleep
from server.wire.mqtt_codec import Publish
from server.wire.topics import Channel
from simulator.fault import EVENT_OF_REPLY, Begin, Deliver, FaultChain, FaultPoint, LinkAction, Parcel, PowerOff
from simulator.profile import profile_named
from simulator.proxy import FaultProxy
from simulator.rng import Rng

if TYPE_CHECKING:
    from harness.dut.board import BoardDut, BoardWorld

CARRIED_WITHIN_S: Final = 2.0
"""A line that carries nothing at all has faults of its own already."""


class BoardLink:
    """The gate of one board, and its fault chain: the same chain, addresses and seeds as a simulated camera has."""

    def __init__(self, planned: PlannedDevice, world: BoardWorld, dut: BoardDut) -> None:
        self.dialect = dialect_called(profile_named(planned.profile).dialect)
        self._planned = planned
        self._world = world
        self._dut = dut
        self.faults = ArmedFaults(FaultChain(Rng(f"{world.seed}/{planned.name}").child("faults")))
        self.windows = Windows(self, None)
        self.clock = world.clock
        self._totals: dict[str, int] = {}
        self.port = 0
        """Where the board is to connect."""

        hooks = GateHooks(
            uplink=self._uplink,
            downlink=self._downlink,
            pause=self._pause,
            power_off=self._power_off,
            passed=self._passed,
            begin=self._begin,
            over=self._over,
            note=self.say,
        )
        self.gate = MqttGate(world.broker, hooks, device_id=planned.mac, listen=world.listen)

    async def open(self, *, with_line: bool) -> FaultProxy | None:
        """The gate listens; `with_line`: behind a proxy that does to bytes what faults of the line say."""
        await self.gate.start()
        self.port = self.gate.port
        if not with_line:
            return None
        proxy = FaultProxy((self._world.listen, self.gate.port), Rng(f"{self._world.seed}/line/{self._planned.name}"))
        await proxy.start(self._world.listen)
        self.windows.line = proxy
        self.port = proxy.address[1]
        return proxy

    def arm(self, faults: Sequence[PlannedFault]) -> None:
        """These strike from now on; what the former ones held back goes out."""
        self.gate.deliver(self.faults.arm(faults, self._dut.wakes))

    def heal(self) -> None:
        """Nothing strikes any more, and everything gets through."""
        self.windows.heal()
        self.gate.deliver(self.faults.heal())
        self.gate.is_open = True

    def set_open(self, *, is_open: bool) -> None:
        """Closed: nobody gets through."""
        self.gate.is_open = is_open
        if not is_open:
            self.gate.cut()

    def _power_off(self, action: PowerOff) -> None:
        self.note("fault", action="power_loss")
        self._dut.cut_power(action.back_after_ms)

    @property
    def wakes(self) -> int:
        """Wakes of the board so far."""
        return self._dut.wakes

    def note(self, kind: Any, **fields: Any) -> None:
        """A record of the history about this board."""
        self._world.history.append(self._world.clock.elapsed_ms(), kind, self._planned.name, **fields)

    def _uplink(self, message: Publish) -> Sequence[LinkAction]:
        event, index, total = self._what_it_is(message)
        actions = self.faults.for_wake(self._dut.wakes).process(
            "sent", event, message.topic, message.payload, chunk_index=index, chunk_count=total
        )
        self._note_strike(actions, event, "sent", index, message.payload)
        return actions

    def _what_it_is(self, message: Publish) -> tuple[str, int | None, int | None]:
        """Event, index and number of chunks; whatever can not be read goes through as telemetry."""
        try:
            _, body = decode(message.topic, message.payload)
            match body:
                case Hello():
                    return "hello", None, None
                case Metadata(image_name=name, total_chunks=count):
                    self._totals[name] = count
                    return "metadata", None, None
                case Chunk(image_name=name):
                    total = self._totals.get(name, self._planned.total_chunks)
                    return "chunk", chunk_index_of(body, self.dialect), total
        except RemoteProtocolError as error:
            self.say(f"not understood: {error.reason}")
        return "telemetry", None, None

    def _downlink(self, message: Publish) -> Sequence[LinkAction]:
        channel = Channel(message.topic.split("/", 2)[2])
        try:
            reply = decode_reply(channel, message.payload, self._world.clock.now(), self.dialect)
        except RemoteProtocolError:
            point = FaultPoint(direction="received", event="unknown")
            return [Deliver(Parcel(point=point, topic=message.topic, payload=message.payload))]
        event = EVENT_OF_REPLY[type(reply)]
        if isinstance(reply, Done | Sleep):
            self._dut.told_ms = round(reply.next_wake.timestamp() * 1000)
        actions = self.faults.for_wake(self._dut.wakes).process("received", event, message.topic, message.payload)
        self._note_strike(actions, event, "received", None, message.payload)
        return actions

    def _note_strike(
        self, actions: Sequence[LinkAction], event: str, direction: str, index: int | None, payload: bytes
    ) -> None:
        what = struck(actions, event, payload)
        if what is not None:
            where = event if index is None else f"{event}[{index}]"
            self.note("fault", address=f"{where}.{direction}", actions=what)

    def _passed(self) -> int:
        """Bytes that the line has taken so far."""
        line = self.windows.line
        return line.taken_bytes if isinstance(line, FaultProxy) else 0

    async def _begin(self, begin: Begin, passed: int | None) -> None:
        """The message that it begins with was acknowledged to the board, so that much the line must still carry."""
        if passed is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CARRIED_WITHIN_S):
                    while self._passed() <= passed:
                        await asyncio.sleep(0.001)
        self.windows.begin(begin)

    def _over(self) -> None:
        """What was held back was on its way, and is lost with its connection."""
        count = self.faults.chain.drop_held()
        if count:
            self.note("fault", address="link", actions=["drop", count])

    async def _pause(self, ms: int) -> None:
        done = asyncio.Event()
        self._world.clock.call_at(self._world.clock.now_ms() + ms, done.set)
        await done.wait()

    def say(self, text: str) -> None:
        """A line of the gate in the history."""
        self.note("log", level="warning", text=text, source="gate")
