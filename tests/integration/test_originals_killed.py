"""kill -9 of a real server process between every two steps of an upload, a deletion, a clean-up; and a cut upload.

A step is a statement to PostgreSQL or an operation of the store. What a dead server leaves may be too much until the
clean-up, never too little; started again, a client goes on with its Idempotency-Key.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from tests.conftest import Database
from tests.integration.test_http_api import served
from tests.support.killed import Work, was_killed
from tests.support.originals_world import Rig, jpeg, run

pytestmark = pytest.mark.postgres

KEY: Final = {"Idempotency-Key": "killed"}


async def _upload(rig: Rig, ids: list[str]) -> None:
    await rig.http.post(
        f"/api/v1/projects/{ids[0]}/images",
        files={"file": ("photo.jpg", jpeg(7), "image/jpeg")},
        data={"style": ["original", "thumbnail"]},
        headers=KEY,
    )


async def _delete_image(rig: Rig, ids: list[str]) -> None:
    await rig.http.delete(f"/api/v1/images/{ids[1]}", headers=KEY)


async def _delete_project(rig: Rig, ids: list[str]) -> None:
    await rig.http.delete(f"/api/v1/projects/{ids[0]}", headers=KEY)


async def _clean_up(rig: Rig, ids: list[str]) -> None:
    rig.clock.advance(hours=25)
    await rig.app.originals.clean_up_orphaned_originals()
    await rig.app.originals.sweep()


WORK: Final[dict[str, Work]] = {
    "upload": _upload,
    "delete_image": _delete_image,
    "delete_project": _delete_project,
    "clean_up": _clean_up,
}


async def _execute(rig: Rig, statements: str) -> None:
    async with rig.app.store.transaction(rig.clock.now()) as connection:
        await connection.execute(statements)


async def _ground(rig: Rig) -> list[str]:
    """A project with two images of one original and one of another; an orphan and a stray object beside it."""
    project_id = await rig.project()
    images = [
        *(await rig.upload(project_id, jpeg(1), "greyscale")),
        *(await rig.upload(project_id, jpeg(1))),
        *(await rig.upload(project_id, jpeg(2))),
    ]
    other = await rig.upload(await rig.project(), jpeg(3))
    await _execute(rig, f"DELETE FROM images WHERE id = '{UUID(other[0]['id'])}'")
    await rig.app.objects.put_at("processed/stray", b"stray")
    return [str(project_id), images[2]["id"]]


def _killed_everywhere(database: Database, folder: Path, kind: str, numbers: Iterator[int]) -> int:
    """Returns the last number, or how many steps there are."""
    reached = 0

    async def body(rig: Rig) -> None:
        nonlocal reached
        for reached in numbers:
            ids = await _ground(rig)
            dsn = database.dsn("ws_server")
            is_killed = await asyncio.to_thread(was_killed, dsn, str(folder), rig.clock, WORK[kind], ids, reached)
            await rig.assert_sound()
            await WORK[kind](rig, ids)  # the client, or the next tick, goes on
            await rig.assert_sound(after_clean_up=False)
            await rig.clean_up()
            await rig.assert_sound(after_clean_up=True)
            await _execute(rig, "DELETE FROM projects; DELETE FROM idempotency_keys")
            await rig.clean_up()
            assert await rig.keys() == set(), reached
            if not is_killed:
                reached -= 1
                return

    run(database.dsn("ws_server"), folder, body, time_limit_s=600)
    return reached


@pytest.mark.parametrize(("kind", "number"), [("upload", 11), ("delete_image", 8), ("delete_project", 9)])
def test_kill_9_between_two_steps(migrated_database: Database, tmp_path: Path, kind: str, number: int) -> None:
    assert _killed_everywhere(migrated_database, tmp_path, kind, iter((number,))) == number


@pytest.mark.night
@pytest.mark.parametrize("kind", WORK)
def test_kill_9_between_every_two_steps(migrated_database: Database, tmp_path: Path, kind: str) -> None:
    assert _killed_everywhere(migrated_database, tmp_path, kind, iter(range(1, 200))) > 8


def test_an_upload_that_is_cut_leaves_nothing_and_disturbs_nobody(migrated_database: Database, tmp_path: Path) -> None:
    import httpx

    with served(migrated_database, tmp_path) as address, httpx.Client(base_url=address) as client:
        project_id = client.post("/api/v1/projects", json={"name": "yard"}).json()["id"]
        host, port = address.removeprefix("http://").split(":")
        cut = [socket.create_connection((host, int(port))) for _ in range(5)]
        head = (
            f"POST /api/v1/projects/{project_id}/images HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        )
        for number, line in enumerate(cut):
            line.sendall(head.encode() + jpeg(1)[: 100 * number])
        whole = client.post(f"/api/v1/projects/{project_id}/images", files={"file": ("b.jpg", jpeg(2), "image/jpeg")})
        assert whole.status_code == 201
        for line in cut:
            line.close()
        page = client.get(f"/api/v1/projects/{project_id}/images").json()
        assert [image["file_name"] for image in page["items"]] == ["b.jpg"]
    stored = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(stored) == 1
