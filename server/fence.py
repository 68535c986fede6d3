"""Fence messages of a test bench: seen on every uplink filter, acknowledged in their turn, never handled.

A broker keeps the order of one filter; so who has seen a fence has been given everything before it. Only a server with
a test clock takes them; to any other they are messages of an unknown device.
"""

from __future__ import annotations

from server.mqtt import Delivery
from server.wire.topics import FENCE_ID


class Fences:
    """The highest number seen on each topic. A fence's payload is its number."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def takes(self, delivery: Delivery) -> bool:
        """True for a fence, which is done with then."""
        if f"/{FENCE_ID}/" not in delivery.topic:
            return False
        self.seen[delivery.topic] = max(self.seen.get(delivery.topic, 0), int(delivery.payload))
        delivery.done()
        return True
