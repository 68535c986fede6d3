"""What a soak is asked to do, and the plan that it becomes: a fleet, one hook that lives the days, two quiet wakes.

The plan is compiled from scenario text like any other, so the fleet of a soak obeys the same language and limits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness.cron import cron_of_interval
from harness.errors import UsageError
from harness.loader import load_bytes
from harness.plan import Plan, plan_of
from harness.run_one import BenchKind
from harness.units import LanguageError, format_duration, parse_duration_ms, parse_size_bytes

DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 390
"""The longest scenario time of the language, less the drain."""

JITTER: Final = "45s"
"""Cameras of one schedule do not wake within one microsecond."""

SERVERS: Final = 2
"""The second one lives for a while only, where the nemesis has it started."""

CARD_IMAGES: Final = 48
"""Images that a card has room for: days without a server, and a simulated card that stops growing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakOrder:
    """The command line of a soak, in plain numbers."""

    devices: int
    days: int
    seed: int
    wake_every_ms: int
    image_size_bytes: int
    chunk_size_bytes: int
    bench: BenchKind = "embedded"
    broker: str = "iotcore"
    """Of the processes bench."""

    @property
    def wakes_per_day(self) -> int:
        """Scheduled wakes of one device."""
        return max(1, DAY_MS // self.wake_every_ms)

    @property
    def chunks(self) -> int:
        """Chunks of one image."""
        return -(-self.image_size_bytes // self.chunk_size_bytes)

    @property
    def cards_full_after(self) -> int:
        """Days until every card has been filled, with some to spare for wakes without a photo."""
        return -(-CARD_IMAGES // self.wakes_per_day) + 2

    def command(self) -> str:
        """The command line that does it again."""
        return (
            f"wakestorm soak --devices {self.devices} --for {self.days}d --seed {self.seed}"
            f" --wake-every {format_duration(self.wake_every_ms)}"
            f" --image {self.image_size_bytes}B/{self.chunk_size_bytes}B"
            + (f" --bench processes --broker {self.broker}" if self.bench == "processes" else "")
        )


def plan_of_soak(order: SoakOrder) -> Plan:
    """Raises ScenarioError where the language refuses a wake interval or an image size."""
    name = f"soak/{order.devices}x{order.days}d"
    document = {
        "version": 1,
        "name": f"{order.devices} cameras live {order.days} days under a nemesis",
        "seed": order.seed,
        "time_limit": f"{order.days + 4}d",
        "devices": _fleet(order),
        "servers": SERVERS if order.bench == "embedded" else 1,
        "steps": [{"hook": "harness.soak.days:live"}],
        "drain": {"wakes": 2},
    }
    loaded = load_bytes(json.dumps(document, indent=1).encode(), Path(f"{name}.yaml"))
    plan = plan_of(loaded, loaded.cases[0])
    return replace(plan, path=name)


def _fleet(order: SoakOrder) -> dict[str, Any]:
    """One group: which firmware each camera runs is `harness.soak.firmware`'s to say, day by day."""
    return {
        "cam": {
            "count": order.devices,
            "wake": {"every": format_duration(order.wake_every_ms), "jitter": JITTER},
            "image": {"size": f"{order.image_size_bytes}B", "chunk": f"{order.chunk_size_bytes}B"},
            "traits": {"card_capacity": f"{CARD_IMAGES * order.image_size_bytes}B"},
        }
    }


def order_of(
    *, devices: int, duration: str, seed: int, wake_every: str, image: str, bench: BenchKind, broker: str
) -> SoakOrder:
    """The words of the command line as an order. Raises UsageError."""
    try:
        days, rest_ms = divmod(parse_duration_ms(duration), DAY_MS)
        if rest_ms or not 1 <= days <= DAYS_MAX:
            raise LanguageError(f"{duration} is not 1 to {DAYS_MAX} whole days", "for example 30d")
        size, mark, chunk = image.partition("/")
        if not mark:
            raise LanguageError(f"{image} has no chunk size", "for example 10kB/1kB")
        order = SoakOrder(
            devices=devices,
            days=days,
            seed=seed,
            wake_every_ms=parse_duration_ms(wake_every),
            image_size_bytes=parse_size_bytes(size),
            chunk_size_bytes=parse_size_bytes(chunk),
            bench=bench,
            broker=broker,
        )
        if order.wake_every_ms <= 0 or order.wake_every_ms > DAY_MS:
            raise LanguageError(f"--wake-every {wake_every} is not between a minute and a day", "for example 3h")
        cron_of_interval(order.wake_every_ms)
    except LanguageError as error:
        raise UsageError(error.reason, hint=error.hint) from error
    return order
