"""One server, wired: pool, store, objects, intake, MQTT client, monitor; and the order in which they stop.

A bench passes its own clock, ids, pool, offload and log; production takes the defaults of `cli`. `stop` finishes the
batch at hand and lets everything go; `abandon` is a crash: nothing is finished, nothing is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from server.accounts import Accounts
from server.clock import Clock, SteppedClock
from server.completion import Completion
from server.config import Settings, mqtt_settings
from server.devices import Devices
from server.fence import Fences
from server.ids import IdSource, SecretSource, random_secrets
from server.ids import seeded_ids as new_seeded_ids
from server.intake import Intake
from server.job_watch import Carrier
from server.journals import Journals
from server.log import Log
from server.metrics import Metrics
from server.monitor import Monitor
from server.mqtt import Delivery, MqttClient
from server.objects import ObjectStore, StoreFailed
from server.offload import InlineOffload as new_inline_offload
from server.offload import Offload
from server.originals import Originals
from server.projects import Projects
from server.runs import Runs
from server.store import Pool, Store, open_pool
from server.upkeep import Upkeep
from server.video_side import VideoSide
from server.wire.topics import uplink_filters
from server.writing import Outgoing

__all__ = [
    "App",
    "ObjectStore",
    "Parts",
    "Settings",
    "StoreFailed",
    "migrate",
    "new_inline_offload",
    "new_seeded_ids",
    "open_pool",
    "revisions",
    "stamp",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an app takes from outside; without `objects` the store that the settings name."""

    clock: Clock
    ids: IdSource
    pool: Pool
    offload: Offload
    log: Log
    objects: ObjectStore | None = None
    changes: Callable[[], int] | None = None
    """How many transactions anybody has committed, where that can be known."""
    carrier: Carrier | None = None
    """Brings background jobs to workers; without one the server does them itself."""
    secrets: SecretSource = field(default_factory=random_secrets)
    """What tokens of sessions and salts of passwords are made of."""


class App:
    """A reference server. `failure` holds the bug that ended it, if one did."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self.settings = settings
        self.parts = parts
        self.metrics = Metrics()
        self.store = Store(parts.pool)
        self.objects = parts.objects or ObjectStore(settings.objects_url, parts.offload)
        self.originals = Originals(
            store=self.store, objects=self.objects, clock=parts.clock, ids=parts.ids, log=parts.log
        )
        self.projects = Projects(self.originals, parts.offload, parts.ids, dedup=settings.dedup)
        self.videos = VideoSide(
            store=self.store,
            objects=self.objects,
            offload=parts.offload,
            clock=parts.clock,
            ids=parts.ids,
            log=parts.log,
            carrier=parts.carrier,
            is_idle_quiet=parts.changes is not None,
        )
        self.accounts = Accounts(
            store=self.store,
            clock=parts.clock,
            ids=parts.ids,
            secrets=parts.secrets,
            offload=parts.offload,
            log=parts.log,
        )
        self.devices = Devices(self.store, parts.clock)
        self.journals = Journals(self.store, parts.clock, self.objects)
        self.runs = Runs(Path(settings.runs) if settings.runs else None, parts.offload)
        self.intake = Intake(
            store=self.store,
            completion=Completion(self.store, self.objects, parts.offload, dedup=settings.dedup),
            clock=parts.clock,
            ids=parts.ids,
            send=self._send,
            abort=self._abort,
            log=parts.log,
            metrics=self.metrics,
            lanes=settings.lanes,
        )
        self.fences = Fences() if isinstance(parts.clock, SteppedClock) else None
        prefix = f"$share/{settings.shared_group}/" if settings.shared_group else ""
        self.mqtt = MqttClient(
            mqtt_settings(settings),
            [(prefix + topic_filter, 1) for topic_filter in uplink_filters()],
            self._deliver,
            on_state=self._broker_state,
        )
        self.monitor = Monitor(
            store=self.store,
            intake=self.intake,
            clock=parts.clock,
            log=parts.log,
            every=timedelta(seconds=settings.monitor_every_s),
            upkeep=Upkeep(self.originals, self.videos, parts.log),
            changes=parts.changes,
        )
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self._asgi: Any = None
        self._tasks: list[asyncio.Task[None]] = []

    def _deliver(self, delivery: Delivery) -> None:
        if self.fences is None or not self.fences.takes(delivery):
            self.intake.deliver(delivery)

    def _send(self, reply: Outgoing) -> None:
        self.mqtt.publish(reply.topic, reply.payload)

    def _abort(self, reason: str) -> None:
        self.mqtt.abort(reason)

    def _broker_state(self, state: str) -> None:
        self.metrics.connected.set(1 if state == "ready" else 0)
        self.parts.log("warning" if state.startswith(("refused", "lost")) else "info", f"[MQTT] {state}", device=None)

    def asgi(self) -> Any:
        """The HTTP side: health, metrics, and the HTTP mode of seed 001."""
        if self._asgi is None:
            from server.web import http_app

            self._asgi = http_app(self)
        return self._asgi

    async def start(self) -> None:
        """Start every task; returns at once. `mqtt.wait_ready()` tells when messages are taken."""
        for work in (self.intake.run(), self.intake.watchlist.run(), self.monitor.run(), self.videos.watch.run()):
            self._tasks.append(asyncio.create_task(self._guarded(work)))
        await self.mqtt.start()

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.failure = error
            self.failed.set()
            self.parts.log("critical", f"[App] {type(error).__name__}: {error}", device=None)
            raise

    async def stop(self) -> None:
        """Stop taking messages, finish the batch at hand, let go (SIGTERM)."""
        if self.failure is None:
            await self.intake.wait_idle()
        await self.mqtt.stop()
        await self.abandon()

    async def abandon(self) -> None:
        """Drop every task where it stands."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(BaseException):
                await task
        self._tasks.clear()
        await self.videos.close()
        self.parts.offload.close()


async def migrate(
    dsn: str,
    revision: str = "head",
    *,
    on_line: Callable[[str], None] | None = None,
    on_progress: Callable[[str], None] | None = None,
    now: datetime | None = None,
    history: str | None = None,
) -> None:
    """Bring a database up or down to a revision of that history alone.

    Without a history the revision is one of the cameras or the videos, and `head` is the newest of all.
    """
    from server.migrations.apply import Listener, move, move_all

    listener = Listener(on_line=on_line, on_progress=on_progress)
    if history is None:
        await move_all(dsn, revision, listener=listener, now=now)
    else:
        await move(dsn, revision, history=history, listener=listener, now=now)


async def stamp(dsn: str, revision: str) -> None:
    """Write down that a database stands at a revision of the videos, or at `head` of theirs; nothing is run."""
    from server.migrations import apply

    await apply.stamp(dsn, revision, history="videos")


def revisions(history: str = "cameras") -> list[str]:
    """The revisions of a history, oldest first."""
    from server.migrations import apply

    return apply.revisions(history)
