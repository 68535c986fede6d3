"""Raw messages of a scenario: published as given, by a client of the bench's own."""

from __future__ import annotations

import hashlib

from harness.bench import Bench
from harness.dut.simulated import profile_of
from harness.plan_steps import PlannedDevice, Send
from server.wire.codec import dialect_called
from server.wire.topics import Channel, topic_of

_CHANNELS = {
    "status": Channel.STATUS,
    "data": Channel.DATA,
    "cmd": Channel.CMD,
    "ack": Channel.ACK,
    "retry": Channel.RETRY,
}


def topic_for(planned: PlannedDevice, topic: str) -> str:
    """The whole topic: of the device's family and id, where only a channel is named."""
    if "/" in topic:
        return topic
    family = dialect_called(profile_of(planned).dialect).family
    return topic_of(family, planned.mac, _CHANNELS[topic])


async def send(bench: Bench, step: Send) -> None:
    """Publish `times` messages for each device, spread over `within_ms`; returns after the last PUBACK."""
    payload = step.payload
    if payload is None:
        seed = f"{bench.plan.seed}/send/{step.place.path}".encode()
        payload = hashlib.shake_128(seed).digest(step.size_bytes or 0)
    topics = (
        [step.topic]
        if step.devices is None
        else [topic_for(bench.plan.devices[number], step.topic) for number in step.devices]
    )
    gap_ms = step.within_ms // step.times if step.within_ms else 0
    for _ in range(step.times):
        for topic in topics:
            await bench.publish(topic, payload, qos=step.qos, retain=step.retain)
        if gap_ms:
            await bench.pass_time(bench.clock.now_ms() + gap_ms)
    await bench.settle()
