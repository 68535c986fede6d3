"""What one batch of the intake consists of, and what has to be known for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from server.mqtt import Delivery
from server.store import Wanted
from server.wire.errors import RemoteProtocolError
from server.wire.messages import Chunk, DeviceMessage, Hello, Metadata, Telemetry
from server.wire.topics import Family, parse_uplink
from server.writing import Outgoing


@dataclass(slots=True, kw_only=True, eq=False)
class Item:
    """One thing to do: a delivered message, a message over HTTP, or a look at a device (`topic` None)."""

    topic: str | None
    payload: bytes = b""
    mac: str = ""
    delivery: Delivery | None = None
    answer: asyncio.Future[list[Outgoing]] | None = None
    family: Family | None = None
    message: DeviceMessage | None = None
    refusal: RemoteProtocolError | None = None
    is_enrolment: bool = False
    is_kept: bool | None = None
    """Whether its refusal is written down; decided once, however often its batch is tried."""


def sender_of(topic: str) -> str:
    """Whose topic it is, for the quarantine; empty where no device could own it."""
    try:
        return parse_uplink(topic).device_id
    except RemoteProtocolError:
        return ""


def wanted_by(batch: Sequence[Item]) -> Wanted:
    """What has to be read before the messages of the batch can be answered."""
    names: set[str] = set()
    families: dict[str, Family | None] = {}
    hello = False
    for item in batch:
        if item.refusal is not None:
            continue
        families[item.mac] = item.family or families.get(item.mac)
        match item.message:
            case Hello(pending_list=listed):
                hello = True
                names.update(listed or ())
            case Metadata(image_name=name) | Chunk(image_name=name):
                names.add(name)
            case Telemetry() | None:
                pass
    return Wanted(families=families, image_names=frozenset(names), commands=hello)
