"""From delivered messages to rows and acknowledgements, on a real PostgreSQL, without a broker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.batch import Item
from server.clock import SystemClock
from server.completion import Completion
from server.ids import random_ids
from server.intake import Intake
from server.metrics import Metrics
from server.mqtt import NotConnected
from server.objects import ObjectStore, StoreFailed, sha256_of
from server.offload import InlineOffload
from server.store import Store, open_pool
from server.wire.messages import Chunk
from server.wire.topics import Family
from server.writing import Outgoing
from simulator.camera import render

pytestmark = pytest.mark.postgres
MAC = "B8F862F9C1C4"
STATUS, DATA = f"ESP32CAM/{MAC}/status", f"ESP32CAM/{MAC}/data"


@dataclass(eq=False)
class FakeDelivery:
    """A delivery that notes when it is done."""

    topic: str
    payload: bytes
    order: list[str]
    name: str
    qos: int = 1
    dup: bool = False

    def done(self) -> None:
        self.order.append(self.name)


@dataclass(eq=False)
class Rig:
    """One intake on one pool."""

    pool: asyncpg.Pool[Any]
    intake: Intake
    sent: list[Outgoing] = field(default_factory=list)
    aborts: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    is_connected: bool = True

    def deliver(self, topic: str, body: Any, name: str = "") -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        delivery: Any = FakeDelivery(topic, payload, self.order, name)
        self.intake.deliver(delivery)

    async def rows(self, query: str, *arguments: Any) -> list[Any]:
        async with self.pool.acquire() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]


def run(dsn: str, folder: Path, body: Callable[[Rig], Awaitable[None]], servers: int = 1, **pool_options: Any) -> None:
    """The body with rigs that work until it returns; the last one is handed over, the others in `rig.others`."""

    async def main() -> None:
        rigs = [await _rig(dsn, folder, **pool_options) for _ in range(servers)]
        tasks = [asyncio.create_task(rig.intake.run()) for rig in rigs]
        try:
            for rig in rigs:
                rig.others = rigs  # type: ignore[attr-defined]
            async with asyncio.timeout(60):
                await body(rigs[0])
        finally:
            for task in tasks:
                task.cancel()
            for rig in rigs:
                rig.pool.terminate()

    asyncio.run(main())


async def _rig(dsn: str, folder: Path, **pool_options: Any) -> Rig:
    pool = await open_pool(dsn, size=2, **pool_options)
    store, offload = Store(pool), InlineOffload()
    rig: Rig

    def send(reply: Outgoing) -> None:
        if not rig.is_connected:
            raise NotConnected
        rig.order.append(reply.ack_type)
        rig.sent.append(reply)

    def note_abort(reason: str) -> None:
        rig.aborts.append(reason)

    intake = Intake(
        store=store,
        completion=Completion(store, ObjectStore(str(folder), offload), offload),
        clock=SystemClock(),
        ids=random_ids(),
        send=send,
        abort=note_abort,
        log=lambda level, line, *, device: None,
        metrics=Metrics(),
    )
    rig = Rig(pool, intake)
    return rig


async def camera(rig: Rig, mac: str = MAC) -> None:
    await rig.rows(
        "INSERT INTO devices (device_mac, provisioning_status, wake_schedule_cron)"
        " VALUES ($1, 'mapped', '0 */3 * * *') RETURNING device_id",
        mac,
    )


def image(size: int = 3_000, mac: str = MAC, jpeg: bytes | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    import base64

    jpeg = render(MAC, 1, 1, size) if jpeg is None else jpeg
    pieces = [jpeg[at : at + 1_000] for at in range(0, len(jpeg), 1_000)]
    metadata = {
        "device_id": mac,
        "image_name": "image_1.jpg",
        "timestamp": "2026-01-05T03:00:00Z",
        "image_size": size,
        "max_chunks_size": 1_000,
        "total_chunk_count": len(pieces),
    }
    chunks = [
        {"device_id": mac, "image_name": "image_1.jpg", "chunk_id": number, "payload": base64.b64encode(piece).decode()}
        for number, piece in enumerate(pieces)
    ]
    return metadata, chunks


HELLO = {"device_id": MAC, "status": "Alive", "pendingImg": 0}


def test_a_whole_wake_in_one_batch(migrated_database: Any, tmp_path: Path) -> None:
    """The final ACK_OK is handed to the broker before the PUBACK of the last chunk (design 9.2)."""

    async def body(rig: Rig) -> None:
        await camera(rig)
        metadata, chunks = image()
        for name, (topic, message) in enumerate([(STATUS, HELLO), (DATA, metadata), *((DATA, c) for c in chunks)]):
            rig.deliver(topic, message, str(name))
        await rig.intake.wait_idle()
        assert rig.order == ["SNAP", "ACK_OK", "0", "1", "2", "3", "4"]
        rows = await rig.rows("SELECT status, received_chunks, total_chunks, sha256 FROM device_images")
        assert [(row["status"], row["received_chunks"], row["total_chunks"]) for row in rows] == [("complete", 3, 3)]
        assert not await rig.rows("SELECT * FROM device_image_chunks")
        acks = await rig.rows("SELECT ack_type, mqtt_success FROM device_ack_log ORDER BY ack_id")
        assert [(row["ack_type"], row["mqtt_success"]) for row in acks] == [("SNAP", True), ("ACK_OK", True)]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_message_that_the_database_refuses_is_found(migrated_database: Any, tmp_path: Path) -> None:
    """Class 22 in the middle of a batch: that message goes to quarantine, all others are kept."""

    async def body(rig: Rig) -> None:
        await camera(rig)
        metadata, chunks = image()
        poison = Chunk(device_id=MAC, image_name="a\x00b.jpg", chunk_id=0, payload=b"x")
        rig.deliver(STATUS, HELLO, "hello")
        rig.deliver(DATA, metadata, "metadata")
        delivery: Any = FakeDelivery(DATA, b"{}", rig.order, "poison")
        item = Item(topic=DATA, payload=b"{}", mac=MAC, delivery=delivery, family=Family.ESP32CAM, message=poison)
        rig.intake._put(item)
        for chunk in chunks:
            rig.deliver(DATA, chunk, "chunk")
        await rig.intake.wait_idle()
        assert [row["reason"] for row in await rig.rows("SELECT reason FROM quarantined_messages")] == [
            "refused_by_database"
        ]
        assert [row["status"] for row in await rig.rows("SELECT status FROM device_images")] == ["complete"]
        assert [name for name in rig.order if name.islower()] == ["hello", "metadata", "poison", *["chunk"] * 3]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_without_a_database_nothing_is_acknowledged(migrated_database: Any, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await camera(rig)
        rig.pool.terminate()
        rig.deliver(STATUS, HELLO, "hello")
        while not rig.aborts:
            await asyncio.sleep(0)
        assert rig.order == [] and rig.aborts[0].startswith("database failed")

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_database_that_does_not_answer_is_given_up(migrated_database: Any, tmp_path: Path) -> None:
    """What was asked comes again from the broker, and is done once the database answers."""

    async def body(rig: Rig) -> None:
        await camera(rig)
        async with rig.pool.acquire() as other, other.transaction():
            await other.execute("LOCK TABLE devices IN ACCESS EXCLUSIVE MODE")
            rig.deliver(STATUS, HELLO, "hello")
            while not rig.aborts:
                await asyncio.sleep(0.01)
            assert rig.aborts == ["database failed: TimeoutError"] and rig.order == []
        rig.deliver(STATUS, HELLO, "hello")
        await rig.intake.wait_idle()
        assert rig.order == ["SNAP", "hello"]

    run(migrated_database.dsn("ws_server"), tmp_path, body, command_timeout=1.0)


def test_a_reply_that_can_not_be_sent_is_written_down(migrated_database: Any, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await camera(rig)
        rig.is_connected = False
        rig.deliver(STATUS, HELLO, "hello")
        await rig.intake.wait_idle()
        rows = await rig.rows("SELECT mqtt_success, mqtt_error FROM device_ack_log")
        assert [(row["mqtt_success"], row["mqtt_error"]) for row in rows] == [(False, "no broker connection")]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_command_is_published_when_its_answer_has_left(migrated_database: Any, tmp_path: Path) -> None:
    """Without a broker it stays `sent`; the HELLO that comes again takes it out, once."""

    async def body(rig: Rig) -> None:
        await camera(rig)
        await rig.rows(
            "INSERT INTO device_commands (device_id, command_type) SELECT device_id, 'capture_image' FROM devices"
        )
        seen = "SELECT status, published_at IS NOT NULL AS published FROM device_commands"
        rig.is_connected = False
        rig.deliver(STATUS, HELLO, "hello")
        await rig.intake.wait_idle()
        assert await rig.rows(seen) == [{"status": "sent", "published": False}]
        rig.is_connected = True
        for _ in range(2):
            rig.deliver(STATUS, HELLO, "hello")
            await rig.intake.wait_idle()
        assert await rig.rows(seen) == [{"status": "published", "published": True}]
        assert len(await rig.rows("SELECT 1 FROM device_history WHERE event_type = 'command_published'")) == 1
        assert [reply.ack_type for reply in rig.sent] == ["SNAP", "SNAP"]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_two_servers_share_an_image_and_a_stranger(migrated_database: Any, tmp_path: Path) -> None:
    """Chunks split over two servers, all delivered twice: one row, completed once; a stranger gets one row."""

    async def body(rig: Rig) -> None:
        await camera(rig)
        one, other = rig.others  # type: ignore[attr-defined]
        metadata, chunks = image(20_000)
        one.deliver(STATUS, HELLO)
        await one.intake.wait_idle()
        one.deliver(DATA, metadata)
        await one.intake.wait_idle()
        stranger = {"device_id": "AAAAAAAAAAAA", "status": "Alive", "pendingImg": 0}
        for number, chunk in enumerate([*chunks, *chunks]):
            (one if number % 2 else other).deliver(DATA, chunk)
            for server in (one, other):
                server.deliver("ESP32CAM/AAAAAAAAAAAA/status", stranger)
        await one.intake.wait_idle()
        await other.intake.wait_idle()
        rows = await rig.rows("SELECT status, received_chunks FROM device_images")
        assert [(row["status"], row["received_chunks"]) for row in rows] == [("complete", 20)]
        assert len(await rig.rows("SELECT * FROM devices WHERE device_mac = 'AAAAAAAAAAAA'")) == 1
        assert not await rig.rows("SELECT * FROM quarantined_messages")

    run(migrated_database.dsn("ws_server"), tmp_path, body, servers=2)


SAME, TWIN, OTHER, TORN = "A00000000001", "A00000000002", "A00000000003", "A00000000004"
FOUR = {SAME: render("A", 1, 1, 3_000), OTHER: render("B", 1, 1, 3_000), TORN: bytes(3_000)}
FOUR[TWIN] = FOUR[SAME]


async def four_cameras(rig: Rig) -> None:
    """A whole wake of each in one batch: two send the same bytes, one sends no JPEG."""
    for mac in FOUR:
        await camera(rig, mac)
    for mac, jpeg in FOUR.items():
        metadata, chunks = image(3_000, mac, jpeg)
        topics = [(f"ESP32CAM/{mac}/status", HELLO | {"device_id": mac}), (f"ESP32CAM/{mac}/data", metadata)]
        for topic, message in [*topics, *((f"ESP32CAM/{mac}/data", chunk) for chunk in chunks)]:
            rig.deliver(topic, message)


async def states(rig: Rig) -> dict[str, str]:
    rows = await rig.rows("SELECT device_mac, status FROM device_images JOIN devices USING (device_id)")
    return {row["device_mac"]: row["status"] for row in rows}


def test_images_of_a_batch_are_completed_together(
    migrated_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction for the batch and one for its images, one object and one original for the same bytes."""
    begun: list[int] = []
    real = Store.transaction

    def counted(self: Store, *arguments: Any, **options: Any) -> Any:
        begun.append(len(options.get("lock_devices", ())))
        return real(self, *arguments, **options)

    async def body(rig: Rig) -> None:
        await four_cameras(rig)
        await rig.intake.wait_idle()
        assert await states(rig) == dict.fromkeys(FOUR, "complete") | {TORN: "failed"}
        assert begun == [4, 4]
        acked = [reply.mac for reply in rig.sent if reply.ack_type == "ACK_OK"]
        assert sorted(acked) == sorted({SAME, TWIN, OTHER})
        originals = await rig.rows("SELECT reference_count FROM original_images ORDER BY reference_count")
        assert [row["reference_count"] for row in originals] == [1, 2]
        assert not await rig.rows("SELECT * FROM device_image_chunks")

    monkeypatch.setattr(Store, "transaction", counted)
    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_an_image_that_can_not_be_stored_does_not_stop_the_others(
    migrated_database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, away = ObjectStore.put_at, sha256_of(FOUR[OTHER])

    async def put(self: ObjectStore, key: str, data: bytes) -> None:
        if sha256_of(data) == away:
            raise StoreFailed("no room")
        await real(self, key, data)

    async def body(rig: Rig) -> None:
        await four_cameras(rig)
        await rig.intake.wait_idle()
        assert await states(rig) == {SAME: "complete", TWIN: "complete", OTHER: "receiving", TORN: "failed"}
        assert sorted(reply.mac for reply in rig.sent if reply.ack_type == "ACK_OK") == [SAME, TWIN]
        assert len(await rig.rows("SELECT * FROM device_image_chunks")) == 3

    monkeypatch.setattr(ObjectStore, "put_at", put)
    run(migrated_database.dsn("ws_server"), tmp_path, body)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xfe", b"[]", b'{"chunk_id": -1}', b"x" * 10_000_000, b'{"device_id": "FFFFFFFFFFFF"}', b"{" * 100_000],
    ids=["empty", "no text", "a list", "negative", "10 MB", "somebody else", "deep"],
)
def test_bad_messages_go_to_quarantine(migrated_database: Any, tmp_path: Path, payload: bytes) -> None:
    async def body(rig: Rig) -> None:
        await camera(rig)
        rig.deliver(DATA, payload, "bad")
        rig.deliver(STATUS, HELLO, "good")
        await rig.intake.wait_idle()
        rows = await rig.rows("SELECT reason, octet_length(payload) AS size FROM quarantined_messages")
        assert len(rows) == 1 and rows[0]["size"] <= 4096
        assert rig.order == ["SNAP", "bad", "good"]

    run(migrated_database.dsn("ws_server"), tmp_path, body)
