"""A target's database and broker: what is refused before anything runs, TLS, and that no row of others is touched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.bench.brokers import BrokerProcess
from harness.bench.external_database import (
    LooksLikeProduction,
    MappedConnection,
    MayWrite,
    delete_own_rows,
    looked_at,
    own_rows,
    reading,
    register,
    taken_macs,
    writing,
)
from harness.bench.external_links import TargetTap, TopicNames, links_to
from harness.bench.postgres import run_blocking
from harness.errors import BenchUnavailable, InternalError, WakestormError
from harness.target import Target, TargetError, Topics, read_target
from harness.target_view import TargetSeen
from server.wire.topics import Family
from simulator.link import LinkSettings
from tests.support.second_server import SCHEMA
from tests.support.target_world import MQTT_PASSWORD, TargetWorld, executed, roles_of, url_of
from tests.support.tls_door import TlsDoor, server_context

pytestmark = pytest.mark.postgres
OWN, OTHER = "02574B000001", "b8:f8:62:00:00:01"


@pytest.fixture
def there(database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TargetWorld]:
    """The second server's tables with a device of somebody else's; nothing runs."""
    run_blocking(executed(database.superuser_dsn, SCHEMA))
    environment = roles_of(database, f"lab_{os.getpid()}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    world = TargetWorld(port=1, database=database, url=url_of(database.cluster, database.name), environment=environment)
    world.ask(f"INSERT INTO cams (hw_addr) VALUES ('{OTHER}') RETURNING 1")
    yield world


def seen(path: Path) -> TargetSeen:
    return run_blocking(looked_at(read_target(path), path, path.read_text()))


def refusal(path: Path) -> str:
    with pytest.raises(WakestormError) as refused:
        seen(path)
    return str(refused.value)


def test_many_devices_of_others_look_like_production(tmp_path: Path, there: TargetWorld) -> None:
    path = there.file(tmp_path)
    assert seen(path).tables.has("device_images", "object_bytes")
    there.ask("INSERT INTO cams (hw_addr) SELECT 'x' || n FROM generate_series(1, 20) n RETURNING 1")
    with pytest.raises(LooksLikeProduction, match="more than 20 devices") as refused:
        seen(path)
    assert f'not_production = "{there.database.name}"' in str(refused.value)
    text = path.read_text()
    path.write_text(text.replace("[database]", '[database]\nnot_production = "another"'))
    assert "not_production names 'another'" in refusal(path)
    path.write_text(text.replace("[database]", f'[database]\nnot_production = "{there.database.name}"'))
    assert seen(path)
    path.write_text(text.replace("[database]", "[database]\nstrangers_max = 21"))
    assert seen(path)


def test_a_name_looks_like_production(tmp_path: Path, there: TargetWorld) -> None:
    path = there.file(tmp_path)
    path.write_text(path.read_text().replace("127.0.0.1", "mqtt-prod2.example"))
    assert "the broker is called mqtt-prod2.example" in refusal(path)
    path.write_text(path.read_text().replace("mqtt-prod2.example", "products.example"))
    assert seen(path)


def test_a_judge_that_may_write_is_refused(tmp_path: Path, there: TargetWorld) -> None:
    there.ask(f"GRANT UPDATE ON snaps TO {there.environment['LAB_READER']}")
    with pytest.raises(MayWrite, match='may write to "snaps"'):
        seen(there.file(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('table = "cams"', 'table = "camz"', "tables.devices.table: the database has no table camz (did"),
        ('"filename"', '"file_name"', "snaps has no column file_name (did you mean filename?)"),
        (', object_bytes = "jpeg"', "", "the stored bytes can not be seen"),
        ('captured_at = "taken", ', "", "snaps has no column captured_at, and nothing can be judged without"),
        ('columns = {image_id = "snap_no", chunk_index', "columns = {chunk_index", "nothing says whose the rows"),
    ],
)
def test_names_that_the_database_does_not_have(
    tmp_path: Path, there: TargetWorld, old: str, new: str, found: str
) -> None:
    path = there.file(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TargetError) as refused:
        seen(path)
    assert found in str(refused.value)


def test_a_database_that_can_not_be_reached(tmp_path: Path, there: TargetWorld) -> None:
    path = there.file(tmp_path)
    path.write_text(path.read_text().replace(f"/{there.database.name}", "/none_of_these"))
    with pytest.raises(BenchUnavailable, match="none_of_these"):
        seen(path)


def test_rows_of_others_are_never_seen_and_never_deleted(tmp_path: Path, there: TargetWorld) -> None:
    given = seen(there.file(tmp_path))
    snap = "INSERT INTO snaps (cam_no, filename, taken, size_total, parts_total)"
    there.ask(f"{snap} VALUES (1, 'a', now(), 1, 1) RETURNING 1")
    there.ask("INSERT INTO snap_parts VALUES (1, 0, 'x') RETURNING 1")

    async def worked() -> None:
        async with reading(given.target) as reader, writing(given.target) as writer:
            await register(writer, given.tables, [OWN])
            assert await taken_macs(reader, given.tables) == {OWN}
            await writer.execute(f"{snap} SELECT cam_no, 'b', now(), 1, 1 FROM cams WHERE hw_addr LIKE '02%'")
            await writer.execute("INSERT INTO snap_parts SELECT max(snap_no), 0, 'y' FROM snaps")
            mapped = MappedConnection(reader, given.tables, {OWN: "the-id"})
            columns = "device_id, device_mac, image_name, status"
            rows = await mapped.fetch(f"SELECT {columns} FROM device_images JOIN devices USING (device_id)")
            assert [tuple(row) for row in rows] == [("the-id", OWN, "b", "receiving")]
            assert len(await mapped.fetch("SELECT * FROM device_image_chunks")) == 1
            assert await own_rows(reader, given.tables, [OWN]) == {"cams": 1, "snaps": 1, "snap_parts": 1}
            with pytest.raises(InternalError):
                await delete_own_rows(writer, given.tables, [OWN, "B8F862000001"])
            assert await delete_own_rows(writer, given.tables, [OWN]) == ""
            assert await own_rows(reader, given.tables, [OWN]) == {}

    run_blocking(worked())
    all_rows = "FROM cams JOIN snaps USING (cam_no) JOIN snap_parts USING (snap_no)"
    assert there.ask(f"SELECT hw_addr, filename, body {all_rows}") == [(OTHER, "a", b"x")]
    assert there.ask("SELECT count(*) FROM cams") == [(1,)]


def test_what_a_foreign_key_holds_is_left_and_said(tmp_path: Path, there: TargetWorld) -> None:
    run_blocking(executed(there.database.superuser_dsn, "CREATE TABLE notes (snap_no bigint REFERENCES snaps)"))
    given = seen(there.file(tmp_path))

    async def worked() -> tuple[str, dict[str, int]]:
        async with reading(given.target) as reader, writing(given.target) as writer:
            await register(writer, given.tables, [OWN])
            await writer.execute(
                "INSERT INTO snaps (cam_no, filename, taken, size_total, parts_total) SELECT cam_no, 'b', now(), 1, 1"
                " FROM cams WHERE hw_addr LIKE '02%'"
            )
            await executed(there.database.superuser_dsn, "INSERT INTO notes SELECT snap_no FROM snaps")
            return await delete_own_rows(writer, given.tables, [OWN]), await own_rows(reader, given.tables, [OWN])

    reason, left = run_blocking(worked())
    assert "notes" in reason
    assert left == {"cams": 1, "snaps": 1}


# -- TLS -------------------------------------------------------------------------------------------------


def tls_target(folder: Path, port: int, ca: str = 'ca = "ca.crt"') -> Target:
    path = folder / "target.toml"
    path.write_text(
        f'[broker]\nurl = "mqtts://127.0.0.1:{port}"\n{ca}\n'
        'login = {user_variable = "LAB_USER", password_variable = "LAB_PASSWORD"}\n'
        '[database]\nurl = "postgresql://x/y"\nreader = {user_variable = "A"}\n'
    )
    return read_target(path)


def test_cameras_speak_tls_with_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_USER", "lab")
    monkeypatch.setenv("LAB_PASSWORD", MQTT_PASSWORD)
    names = TopicNames(Topics(), {OWN: Family.ESP32CAM})

    async def spoken(port: int) -> None:
        heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        told: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        target = tls_target(tmp_path, port)
        tap = TargetTap(target, names, OWN, lambda topic, payload: heard.put_nowait((topic, payload)))
        await tap.connect()
        settings = LinkSettings("127.0.0.1", port, "cam", filters=((f"ESP32CAM/{OWN}/cmd", 1),))
        camera = links_to(target, names)(settings, lambda *message: told.put_nowait(message), lambda _reason: None)
        await camera.connect()
        await camera.publish(f"ESP32CAM/{OWN}/status", b"hello")
        messages = [b"%d" % number * 30 for number in range(50)]  # at once: many fit into one record of TLS
        topic = f"ESP32CAM/{OWN}/cmd"
        await tap.publish(topic, messages[0], qos=1, retain=False)
        await asyncio.gather(*(tap.publish(topic, text, qos=1, retain=False) for text in messages[1:]))
        async with asyncio.timeout(20):
            assert await heard.get() == (f"ESP32CAM/{OWN}/status", b"hello")
            assert [(await told.get())[1] for _ in messages] == messages
        camera.cut()
        strict = tls_target(tmp_path, port, ca="")
        with pytest.raises(BenchUnavailable, match="certificate"):
            await TargetTap(strict, names, OWN, lambda topic, payload: None).connect()
        await tap.close()

    with (
        BrokerProcess("iotcore", tmp_path / "broker", login=("lab", MQTT_PASSWORD)) as broker,
        TlsDoor(broker.port, server_context(tmp_path)) as door,
    ):
        asyncio.run(spoken(door.port))
