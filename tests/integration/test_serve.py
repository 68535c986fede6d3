"""`wakestorm serve` as a real process with a real broker and a camera that knows nothing of this project."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from PIL import Image

from harness.bench.brokers import BrokerProcess
from harness.bench.postgres import SERVER, run_blocking
from tests.conftest import Database
from tests.support.server_process import PahoCamera, ServerProcess

MAC = "B8F862F9C1C4"
CHUNK_SIZE_BYTES = 512
NAME = "image_1.jpg"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with BrokerProcess("iotcore", tmp_path / "broker") as started:
        yield started


@pytest.fixture
def camera(broker: BrokerProcess) -> Iterator[PahoCamera]:
    made = PahoCamera(broker.port, MAC)
    yield made
    made.close()


@pytest.fixture
def mapped(migrated_database: Database) -> Database:
    """A database that knows the camera and its schedule."""
    asked(
        migrated_database,
        f"""
        INSERT INTO companies (company_id, company_name) VALUES (fn_uuid(), 'C');
        INSERT INTO programs (company_id, program_name) SELECT company_id, 'P' FROM companies;
        INSERT INTO sites (program_id, site_name) SELECT program_id, 'S' FROM programs;
        INSERT INTO devices (device_mac, provisioning_status, wake_schedule_cron)
            VALUES ('{MAC}', 'mapped', '0 */3 * * *');
        INSERT INTO device_site_assignments (device_id, site_id) SELECT d.device_id, s.site_id FROM devices d, sites s;
        """,
    )
    return migrated_database


def asked(database: Database, query: str) -> Any:
    async def work() -> Any:
        connection = await asyncpg.connect(database.dsn())
        try:
            return await (connection.execute(query) if ";" in query else connection.fetch(query))
        finally:
            await connection.close()

    return run_blocking(work())


def options(database: Database, broker_port: int, folder: Path) -> list[str]:
    return [
        "--database-url",
        database.dsn(SERVER),
        "--mqtt-url",
        f"mqtt://127.0.0.1:{broker_port}",
        "--objects",
        str(folder / "objects"),
        "--client-id",
        "server-under-test",
    ]


def picture() -> bytes:
    image = Image.effect_noise((160, 120), 80.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def test_a_hello_is_answered_and_sigterm_ends_with_0(
    mapped: Database, broker: BrokerProcess, camera: PahoCamera, tmp_path: Path
) -> None:
    with ServerProcess(tmp_path, *options(mapped, broker.port, tmp_path)) as server:
        assert server.ready_line.startswith("wakestorm serve: ready, http://127.0.0.1:")
        with urllib.request.urlopen(f"{server.url}/health") as answer:
            assert json.load(answer)["status"] == "ok"
        camera.hello()
        assert camera.answer("cmd", "capture_image")["capture_image"] is True
        assert server.end(signal.SIGTERM) == 0
    assert [row["status"] for row in asked(mapped, "SELECT status FROM device_wake_sessions")] == ["in_progress"]


def test_kill_9_in_the_middle_of_a_transfer_loses_nothing(
    mapped: Database, broker: BrokerProcess, camera: PahoCamera, tmp_path: Path
) -> None:
    data = picture()
    total = -(-len(data) // CHUNK_SIZE_BYTES)
    assert total > 8
    settings = options(mapped, broker.port, tmp_path)
    with ServerProcess(tmp_path, *settings) as server:
        camera.hello()
        camera.answer("cmd", "capture_image")
        camera.metadata(NAME, data, CHUNK_SIZE_BYTES)
        for index in range(total // 2):
            camera.chunk(NAME, data, CHUNK_SIZE_BYTES, index)
        server.end(signal.SIGKILL)
    for index in range(total // 2, total):
        camera.chunk(NAME, data, CHUNK_SIZE_BYTES, index)
    with ServerProcess(tmp_path, *settings) as server:
        done = camera.answer("ack", "ACK_OK")
        assert done["image_name"] == NAME
        assert done["ACK_OK"]["next_wake_time"]
        assert server.end(signal.SIGTERM) == 0
    rows = asked(mapped, "SELECT status, received_chunks, sha256, object_key FROM device_images")
    assert [(row["status"], row["received_chunks"]) for row in rows] == [("complete", total)]
    assert rows[0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (tmp_path / "objects" / rows[0]["object_key"]).read_bytes() == data


def test_without_a_broker_it_says_so_and_ends_with_3(migrated_database: Database, tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound but not listening: nobody else gets the port, nobody answers there
        taken.bind(("127.0.0.1", 0))
        settings = options(migrated_database, taken.getsockname()[1], tmp_path)
        with ServerProcess(tmp_path, *settings, "--wait-for-broker", "300ms") as server:
            assert server.ready_line == ""
            assert server.process.wait(60) == 3
    last = (tmp_path / "server.log").read_text().splitlines()[-1]
    assert last.startswith("wakestorm serve: no broker at mqtt://127.0.0.1:")
    assert "--mqtt-url" in last


def test_a_database_of_another_revision_is_refused_and_migrate_heals_it(
    database: Database, broker: BrokerProcess, tmp_path: Path
) -> None:
    settings = options(database, broker.port, tmp_path)
    with ServerProcess(tmp_path, *settings) as server:
        assert server.process.wait(60) == 3
    assert "wakestorm db migrate" in (tmp_path / "server.log").read_text()
    settings[1] = database.dsn()
    with ServerProcess(tmp_path, *settings, "--migrate") as server:
        assert "ready" in server.ready_line
        assert server.end(signal.SIGINT) == 0


def test_a_port_in_use_is_named(migrated_database: Database, broker: BrokerProcess, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = [*options(migrated_database, broker.port, tmp_path), "--http", f"127.0.0.1:{port}"]
        with ServerProcess(tmp_path, *settings) as server:
            assert server.process.wait(60) == 3
    assert f"127.0.0.1:{port} can not be listened on: address already in use" in (tmp_path / "server.log").read_text()
