"""Saboteurs of timeouts, retries and of what happens when the database fails; see `catalogue`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import asyncpg

import harness.bench.embedded
import server.completion
import server.ingest
import server.intake
import server.monitor
import server.store
import server.wake
import server.writing

Undo = Callable[[], None]


def _patched(target: Any, name: str, new: Any) -> Undo:
    patcher = patch.object(target, name, new)
    patcher.start()
    return patcher.stop


def _statement(texts: dict[str, str], name: str, old: str, new: str) -> Undo:
    """One of the server's statements says something else."""
    assert old in texts[name], f"{name} has no {old!r}"
    patcher = patch.dict(texts, {name: texts[name].replace(old, new)})
    patcher.start()
    return patcher.stop


def _function(name: str, old: str, new: str) -> Undo:
    """An SQL function of the scenario's database says something else."""
    real = harness.bench.embedded.seed_fleet

    async def seed_fleet(owner: asyncpg.Connection, *rest: Any) -> None:
        await real(owner, *rest)
        text = await owner.fetchval("SELECT pg_get_functiondef($1::regproc)", name)
        assert old in text, f"{name} has no {old!r}"
        await owner.execute(text.replace(old, new, 1))

    return _patched(harness.bench.embedded, "seed_fleet", seed_fleet)


def counter_raised_twice() -> Undo:
    """The timeout raises retry_count, and the retry that it queues raises it once more."""
    again = "UPDATE device_images SET retry_count = retry_count + 1 WHERE image_id = p_image_id;\n"
    return _function(
        "queue_image_retry", "    INSERT INTO device_history", f"    {again}    INSERT INTO device_history"
    )


def timeout_from_created_at() -> Undo:
    """An image is stale one hour after its row was made, whatever its wake window says."""
    real = "least(s.next_wake_scheduled, d.next_wake_at) AS wake"
    return _function("fn_open_image_windows", real, "i.created_at + interval '1 hour' AS wake")


def command_sent_while_asleep() -> Undo:
    """A retry is published when it is queued, to a device that sleeps."""
    real = server.monitor.Monitor.tick

    async def tick(self: Any) -> Any:
        done = await real(self)
        for row in done.timed_out:
            mac, name = row["device_mac"], row["image_name"]
            payload = f'{{"device_id":"{mac}","send_image":"{name}"}}'.encode()
            self._intake._send(server.writing.Outgoing(f"ESP32CAM/{mac}/cmd", payload, None, mac))
        return done

    return _patched(server.monitor.Monitor, "tick", tick)


def published_before_it_left() -> Undo:
    """A command counts as published at its COMMIT, whether or not anybody ever sends it."""
    real = "status = 'sent', device"
    return _statement(
        server.writing.WRITE, "command_sent", real, "status = 'published', published_at = fn_now(), device"
    )


def payload_of_a_timeout_left_open() -> Undo:
    """A timed-out image leaves its wake payload in progress."""
    return _function("fn_timeout_image", "SET payload_status = 'failed',", "SET payload_status = p.payload_status,")


def schedule_in_utc() -> Undo:
    """A schedule is read as if every site were in Greenwich."""
    real = server.wake.next_wake
    return _patched(server.wake, "next_wake", lambda cron, timezone, now: real(cron, "UTC", now))


def capture_command_never_ends() -> Undo:
    """A capture command stays published, whether or not a photo came."""
    return _statement(server.writing.WRITE, "capture_commands_ended", "AND command_type", "AND false AND command_type")


def next_wake_stays_behind() -> Undo:
    """HELLO does not move the device's next wake on."""
    moved = "next_wake_at = u.next_wake_at"
    return _statement(server.writing.WRITE, "save", moved, "next_wake_at = coalesce(d.next_wake_at, u.next_wake_at)")


def retry_of_everything() -> Undo:
    """A retry asks for all chunks, those that are there included."""
    real = server.ingest.Retry
    return _patched(
        server.ingest,
        "Retry",
        lambda *, image_id, image_name, chunk_indexes: real(
            image_id=image_id, image_name=image_name, chunk_indexes=None
        ),
    )


def expiry_ignored() -> Undo:
    """A command that expired is delivered all the same, and never set to expired."""
    undo_read = _statement(server.store.READ, "due_commands", "c.expires_at > $2", "c.expires_at > '-infinity'")
    undo_monitor = _statement(
        server.monitor.MONITOR, "expire_commands", "fn_expire_commands()", "fn_stale_images() WHERE false"
    )

    def undo() -> None:
        undo_monitor()
        undo_read()

    return undo


def window_ignored() -> Undo:
    """A command is delivered before its time has come."""
    return _statement(server.store.READ, "due_commands", "c.scheduled_for <= $2", "true")


def buffer_left_behind() -> Undo:
    """The chunks of a stored image stay in the buffer table."""
    real = "DELETE FROM device_image_chunks WHERE image_id"
    return _statement(server.completion.WRITE, "complete_image", real, real.replace("WHERE", "WHERE false AND"))


def staged_chunks_left_behind() -> Undo:
    """Chunks whose metadata never comes stay in the staging table."""
    return _statement(server.monitor.MONITOR, "forget_staged", "WHERE", "WHERE false AND")


def lost_answer_is_written_again() -> Undo:
    """A COMMIT without an answer counts as failed: what was decided is written once more, without a look."""
    real_write, real_transact = server.intake.write, server.intake.Intake._transact
    decided: list[Any] = []

    async def write(connection: Any, turns: Any) -> Any:
        decided[:] = turns
        return await real_write(connection, turns)

    async def transact(self: Any, batch: Any) -> Any:
        decided.clear()
        try:
            return await real_transact(self, batch)
        except (asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError):
            async with self._store.transaction(self._clock.now()) as connection:
                return server.intake._Outcome(await real_write(connection, list(decided)))

    undo_write = _patched(server.intake, "write", write)
    undo_transact = _patched(server.intake.Intake, "_transact", transact)

    def undo() -> None:
        undo_transact()
        undo_write()

    return undo


def read_only_connection_kept() -> Undo:
    """After a fail-over the server keeps connections that may only read."""

    async def roll_back(connection: Any, error: BaseException) -> None:
        await connection.execute("ROLLBACK")

    return _patched(server.store, "_roll_back", roll_back)
