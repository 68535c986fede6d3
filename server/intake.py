"""From a delivered message to its acknowledgement: batches, COMMIT, completion, replies, PUBACK, in this order.

A task for each lane takes what has arrived there as soon as its previous batch is done, and never waits to fill. If the
database fails, the broker connection is dropped, so that the broker delivers again what was not acked; memory is never
the truth. A message that the database refuses (class 22 or 23) is found by halving and goes to quarantine (design 9.1,
9.2).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from server import ingest
from server.batch import Item, sender_of, wanted_by
from server.clock import Clock
from server.completion import Completion, Finding, locks_of, one_a_device
from server.effects import Complete, Refuse, Reply, Say, Watch
from server.ids import IdSource
from server.lanes import Lanes
from server.log import Log
from server.metrics import Metrics
from server.mqtt import Delivery, NotConnected
from server.objects import StoreFailed
from server.quotas import Quotas
from server.session import Turn
from server.store import DATABASE_ERRORS, BatchOutdated, Connection, Store, Wanted, views
from server.watchlist import Watchlist
from server.wire import limits
from server.wire.codec import decode
from server.wire.errors import RemoteProtocolError
from server.wire.states import AckType
from server.writing import WRITE, Outgoing, write

TOGETHER_MAX: Final = 16
"""Images completed in one transaction: so many photos are in memory at once."""

RETRIES_MAX: Final = 5
"""A deadlock victim or a serialization failure tries again; five in a row are no coincidence."""

DATABASE_PAUSE_S: Final = 1.0
"""After the database failed: time for it to come back before the broker delivers again."""

_AGAIN: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, BatchOutdated)
_REFUSED_DATA: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


@dataclass(slots=True)
class _Outcome:
    """What a committed batch leaves to do."""

    replies: list[Outgoing] = field(default_factory=list)
    complete: list[UUID] = field(default_factory=list)


class Intake:
    """Feeds `ingest` from a queue. `send` publishes one reply; `abort` drops the broker connection."""

    def __init__(
        self,
        *,
        store: Store,
        completion: Completion,
        clock: Clock,
        ids: IdSource,
        send: Callable[[Outgoing], None],
        abort: Callable[[str], None],
        log: Log,
        metrics: Metrics,
        quotas: Quotas | None = None,
        lanes: int = 1,
    ) -> None:
        self._store = store
        self._completion = completion
        self._clock = clock
        self._ids = ids
        self._send = send
        self._abort = abort
        self._log = log
        self._metrics = metrics
        self._quotas = quotas or Quotas()
        self._lanes = Lanes(lanes)
        self.watchlist = Watchlist(clock, self._look_at)

    # -- arrivals ----------------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """A message from the broker."""
        self._put(Item(topic=delivery.topic, payload=delivery.payload, delivery=delivery))

    async def handle(self, topic: str, payload: bytes) -> list[Outgoing]:
        """A device message over HTTP: the replies, instead of sending them (design 6.13)."""
        answer: asyncio.Future[list[Outgoing]] = asyncio.get_running_loop().create_future()
        self._put(Item(topic=topic, payload=payload, answer=answer))
        return await answer

    def _look_at(self, mac: str) -> None:
        self._put(Item(topic=None, mac=mac))

    def _put(self, item: Item) -> None:
        self._lanes.put(item)

    @property
    def is_idle(self) -> bool:
        """Nothing is queued or under way."""
        return self._lanes.is_idle

    async def wait_idle(self) -> None:
        """Returns once nothing is queued or under way."""
        await self._lanes.wait_idle()

    async def run(self) -> None:
        """Work batches off, for ever; a bug of ours ends it with its exception."""
        if self._lanes.count == 1:
            await self._run(0)
        tasks = [asyncio.create_task(self._run(lane)) for lane in range(self._lanes.count)]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in ended:
            task.result()

    async def _run(self, lane: int) -> None:
        while True:
            batch = await self._lanes.take(lane)
            self._metrics.queued.set(len(self._lanes))
            try:
                await self._work(batch)
            except DATABASE_ERRORS as error:
                await self._give_back(batch, error)
            self._lanes.done(lane)

    async def _give_back(self, batch: Sequence[Item], error: BaseException) -> None:
        """The database failed: what is queued comes again from the broker."""
        self._metrics.batches.labels("failed").inc()
        self._log("error", f"[Intake] Database failed: {type(error).__name__}: {error}", device=None)
        dropped = [*batch, *self._lanes.clear()]
        self._abort(f"database failed: {type(error).__name__}")
        for item in dropped:
            if item.answer is not None and not item.answer.done():
                item.answer.set_exception(ConnectionError(f"database failed: {error}"))
            elif item.topic is None:
                self.watchlist.add(item.mac, self._clock.now() + timedelta(seconds=DATABASE_PAUSE_S))
        await self._clock.sleep_until(self._clock.now() + timedelta(seconds=DATABASE_PAUSE_S))

    # -- one batch -----------------------------------------------------------------------------------

    async def _work(self, batch: list[Item]) -> None:
        for item in batch:
            self._decode(item)
        self._metrics.batch_size.observe(len(batch))
        outcome = await self._commit(batch)
        outcome.replies.extend(await self.complete(outcome.complete))
        await self._dispatch(batch, outcome.replies)
        for item in batch:
            if item.delivery is not None:
                item.delivery.done()
        self._metrics.batches.labels("committed").inc()

    def _decode(self, item: Item) -> None:
        if item.topic is None or item.message is not None:
            return
        try:
            address, item.message = decode(item.topic, item.payload)
            item.mac, item.family, item.is_enrolment = address.device_id, address.family, address.is_enrolment
            self._metrics.messages.labels(type(item.message).__name__.lower()).inc()
        except RemoteProtocolError as error:
            item.refusal = error
            item.mac = sender_of(item.topic)

    async def _commit(self, batch: list[Item]) -> _Outcome:
        """The batch in one transaction; halved where the database refuses its data."""
        for attempt in range(RETRIES_MAX):
            try:
                return await self._transact(batch)
            except _AGAIN as error:
                self._log("warning", f"[Intake] Batch tries again: {type(error).__name__}", device=None)
                if attempt == RETRIES_MAX - 1:
                    raise
            except _REFUSED_DATA as error:
                return await self._halve(batch, error)
        raise AssertionError("the loop returns or raises")

    async def _halve(self, batch: list[Item], error: asyncpg.PostgresError) -> _Outcome:
        if len(batch) == 1:
            batch[0].refusal = RemoteProtocolError("refused_by_database", str(error))
            return await self._transact(batch)
        middle = len(batch) // 2
        first, second = await self._commit(batch[:middle]), await self._commit(batch[middle:])
        return _Outcome(first.replies + second.replies, first.complete + second.complete)

    async def _transact(self, batch: Sequence[Item]) -> _Outcome:
        now, wanted = self._clock.now(), wanted_by(batch)
        async with self._store.transaction(now, lock_devices=wanted.families) as connection:
            known = await views(connection, wanted, now)
            turns = {mac: Turn(view=view, now=now, ids=self._ids) for mac, view in known.items()}
            refused = [
                (item, refusal) for item in batch if (refusal := self._fold(turns.get(item.mac), item)) is not None
            ]
            active = [turn for turn in turns.values() if turn.effects]
            replies = await write(connection, active) if active else []
            for item, refusal in refused:
                if item.is_kept is None:
                    item.is_kept = self._quotas.keeps(item.mac, now)
                if item.is_kept:
                    await self._quarantine(connection, item, refusal)
        outcome = _Outcome(replies)
        for turn in active:
            self._after_commit(turn, outcome)
        for item, refusal in refused:
            self._metrics.refused.labels(refusal.reason).inc()
            if item.is_kept:
                self._log("warning", f"[Ingest] Refused: {refusal}", device=item.mac or None)
        if refused and (passed_over := self._quotas.passed_over()):
            self._metrics.passed_over.inc(passed_over)
        return outcome

    def _fold(self, turn: Turn | None, item: Item) -> RemoteProtocolError | None:
        """One item over its device's turn; the refusal, where it is none of the protocol's messages."""
        if item.refusal is not None or turn is None:
            return item.refusal
        if item.message is None:
            ingest.look_again(turn)
            return None
        if turn.view.device_id is None and not self._quotas.admits(item.mac, turn.now):
            return RemoteProtocolError("too_many_newcomers", f"{item.mac} is unknown, and so were many in this minute")
        if item.is_enrolment and turn.view.device_id is not None:
            return None  # whoever says HELLO with the newcomers' login speaks for no device that is known
        turn.is_redelivery = item.delivery is not None and item.delivery.dup
        before = len(turn.effects)
        if item.family is not None:
            turn.view.speaks(item.family)
        ingest.receive(turn, item.message)
        refusal = next((effect for effect in turn.effects[before:] if isinstance(effect, Refuse)), None)
        return None if refusal is None else RemoteProtocolError(refusal.reason, refusal.detail)

    async def _quarantine(self, connection: Connection, item: Item, refusal: RemoteProtocolError) -> None:
        await connection.execute(
            WRITE["quarantine"],
            self._clock.now(),
            (item.topic or "").replace("\x00", "\ufffd")[: limits.TOPIC_LENGTH_CHARS_MAX],
            item.payload[: limits.QUARANTINE_PAYLOAD_BYTES_MAX],
            refusal.reason,
            refusal.detail.replace("\x00", "\ufffd").encode("utf-8", "replace").decode(),
            item.mac or None,
        )

    def _after_commit(self, turn: Turn, outcome: _Outcome) -> None:
        for effect in turn.effects:
            match effect:
                case Complete(image_id=image_id):
                    outcome.complete.append(image_id)
                case Watch(at=at):
                    self.watchlist.add(turn.view.mac, at)
                case Say(line=line, level=level):
                    self._log(level, line, device=turn.view.mac)
                case Reply(ack_type=ack_type):
                    self._metrics.replies.labels(ack_type.value).inc()
                case _:
                    pass

    # -- completion and replies ----------------------------------------------------------------------

    async def complete(self, image_ids: Iterable[UUID]) -> list[Outgoing]:
        """Assemble, check and store images whose every chunk is there; many of them share a transaction."""
        wanted = list(dict.fromkeys(image_ids))
        replies: list[Outgoing] = []
        for start in range(0, len(wanted), TOGETHER_MAX):
            for group in one_a_device(await self._completion.examine(wanted[start : start + TOGETHER_MAX])):
                replies += await self._complete_group(group)
        return replies

    async def _complete_group(self, group: list[Finding]) -> list[Outgoing]:
        """All together, or each by itself where one of them stands in the way of the others."""
        if len(group) > 1:
            with contextlib.suppress(StoreFailed, *_AGAIN, *_REFUSED_DATA):
                return await self._complete(group)
        replies: list[Outgoing] = []
        for finding in group:
            try:
                replies += await self._complete([finding])
            except StoreFailed as error:  # it stays whole and incomplete, until a tick of the monitor tries again
                self._metrics.images.labels("not_stored").inc()
                self._log("error", f"[Objects] Image not stored: {error}", device=None)
        return replies

    async def _complete(self, findings: Sequence[Finding]) -> list[Outgoing]:
        """In one transaction: bytes stored first, then the rows; images that somebody else completed are left alone."""
        now = self._clock.now()
        wanted = Wanted(
            families=dict.fromkeys(finding.mac for finding in findings),
            image_ids=frozenset(finding.image_id for finding in findings),
        )
        async with self._store.transaction(now, *locks_of(findings), lock_devices=wanted.families) as connection:
            known = await views(connection, wanted, now)
            decided = [(finding, Turn(view=known[finding.mac], now=now, ids=self._ids)) for finding in findings]
            for finding, turn in decided:
                if finding.flaw is None:
                    ingest.stored(turn, finding.image_id, finding.sha256, finding.object_key)
                else:
                    ingest.damaged(turn, finding.image_id, finding.flaw)
            decided = [(finding, turn) for finding, turn in decided if turn.effects]
            if not decided:
                return []
            sound = [finding for finding, _ in decided if finding.flaw is None]
            await self._completion.keep(sound)
            replies = await write(connection, [turn for _, turn in decided])
            await self._completion.complete(connection, sound, now=now, ids=self._ids)
        for finding, turn in decided:
            self._metrics.images.labels("stored" if finding.flaw is None else "damaged").inc()
            self._after_commit(turn, _Outcome())
        return replies

    async def _dispatch(self, batch: Sequence[Item], replies: list[Outgoing]) -> None:
        answer = batch[0].answer
        if answer is not None:
            if not answer.done():
                answer.set_result(replies)
            await self._note_published([command for reply in replies for command in reply.commands])
            return
        await self.send_all(replies)

    async def send_all(self, replies: Sequence[Outgoing]) -> None:
        """Hand replies to the broker; where it is gone, their audit rows say so."""
        unsent: list[int] = []
        published: list[UUID] = []
        for reply in replies:
            is_resume = reply.ack_type == AckType.PENDING_IMAGE_ACK
            if is_resume:
                text = reply.payload.decode()
                self._log("info", f"[ACK] Sending ACK for pending image: {text}", device=reply.mac)
            try:
                self._send(reply)
                published.extend(reply.commands)
                if is_resume:
                    self._log("info", "[ACK] Pending image ACK published successfully", device=reply.mac)
            except NotConnected:
                self._log("warning", "[ACK] Not sent: no broker connection", device=reply.mac)
                if reply.ack_id is not None:
                    unsent.append(reply.ack_id)
        if unsent:
            async with self._store.transaction(self._clock.now()) as connection:
                await connection.execute(WRITE["ack_not_sent"], unsent, "no broker connection")
        await self._note_published(published)

    async def _note_published(self, commands: list[UUID]) -> None:
        """What the broker has taken: until this is written, a command counts as not delivered."""
        if commands:
            now = self._clock.now()
            async with self._store.transaction(now) as connection:
                await connection.execute(WRITE["commands_published"], commands, now)
