"""kill -9 of a real server process between every two steps of a video's upload, its abort, its deletion.

What a dead server leaves is nothing that a row calls stored; its client does the same again and comes to the end.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from server.objects import ObjectStore
from server.offload import InlineOffload
from tests.conftest import Database
from tests.support.half_stored import store_half
from tests.support.killed import SPAWN, Work, was_killed
from tests.support.originals_world import Rig
from tests.support.video_files import video
from tests.support.videos_world import API, PART, Yard, run

pytestmark = pytest.mark.postgres

CLAIM_S: Final = 61
"""A server that died while it completed an upload keeps others from it for less."""


async def _upload(rig: Rig, ids: list[str]) -> None:
    """A client that knows of an upload what the server tells, and goes on where it stands."""
    pin_id, key, number = ids
    data = video(int(number))
    said = {"pin_id": pin_id, "filename": "a.mp4", "size_bytes": len(data), "part_size_bytes": PART}
    begun = await rig.http.post(f"{API}/videos/uploads", json=said, headers={"Idempotency-Key": key})
    assert begun.status_code == 201, begun.text
    upload = begun.json()
    place = f"{API}/videos/{upload['video_id']}/upload"
    for missing in (await rig.http.get(place)).json()["missing_parts"]:
        part = upload["parts"][missing - 1]
        piece = data[part["offset_bytes"] : part["offset_bytes"] + part["size_bytes"]]
        assert (await rig.http.put(part["url"], content=piece)).status_code == 200
    stored = await rig.http.post(f"{place}/complete")
    assert stored.status_code == 200, stored.text
    assert stored.json()["checksum_sha256"] == hashlib.sha256(data).hexdigest()


async def _abort(rig: Rig, ids: list[str]) -> None:
    answer = await rig.http.delete(f"{API}/videos/{ids[0]}/upload")
    assert answer.status_code == 204, answer.text


async def _delete(rig: Rig, ids: list[str]) -> None:
    answer = await rig.http.delete(f"{API}/videos/{ids[0]}")
    assert answer.status_code in (204, 404), answer.text


WORK: Final[dict[str, Work]] = {"upload": _upload, "abort": _abort, "delete": _delete}


async def _ground(yard: Yard, kind: str, number: int) -> list[str]:
    """What the work needs, with another upload under way beside it."""
    if kind == "upload":
        return [yard.pin_id, f"upload-{number}", str(number)]
    if kind == "delete":
        return [str((await yard.stored(video(number)))["id"])]
    upload = await yard.initiate(video(number))
    await yard.send(upload, video(number))
    return [str(upload["video_id"])]


async def _assert_nothing_half_stored(yard: Yard) -> None:
    """Right after the death: what a row calls stored is whole, and nothing else has a checksum."""
    for row in await yard.rig.rows("SELECT * FROM videos"):
        is_stored = row["upload_status"] == "uploaded"
        assert (row["checksum_sha256"] is not None, row["original_path"] is not None) == (is_stored, is_stored), row
        if is_stored:
            data = await yard.rig.app.objects.get(row["original_path"])
            assert hashlib.sha256(data).hexdigest() == row["checksum_sha256"]
    for part in await yard.rig.rows("SELECT * FROM video_upload_parts"):
        assert hashlib.sha256(await yard.rig.app.objects.get(part["object_key"])).hexdigest() == part["sha256"]


def _killed_everywhere(database: Database, folder: Path, kind: str, numbers: Iterable[int]) -> int:
    """Returns the last number, or how many steps there are."""
    reached, dsn = 0, database.dsn("ws_server")

    async def body(yard: Yard) -> None:
        nonlocal reached
        beside = video(100_000)
        other = await yard.initiate(beside)
        for reached in numbers:
            ids, clock = await _ground(yard, kind, reached), yard.rig.clock
            is_killed = await asyncio.to_thread(was_killed, dsn, str(folder), clock, WORK[kind], ids, reached)
            await _assert_nothing_half_stored(yard)
            clock.advance(seconds=CLAIM_S)
            await WORK[kind](yard.rig, ids)
            await _assert_nothing_half_stored(yard)
            if not is_killed:
                reached -= 1
                break
        stored = await yard.rig.rows("SELECT * FROM videos WHERE upload_status = 'uploaded'")
        jobs = await yard.rig.rows("SELECT video_id FROM processing_jobs")
        assert sorted(job["video_id"] for job in jobs) == sorted(row["id"] for row in stored), "one job for each"
        await yard.send(other, beside)
        await yard.complete(other)
        await yard.sweep()
        await yard.assert_sound()

    run(dsn, folder, body, time_limit_s=1_800)
    return reached


@pytest.mark.parametrize(("kind", "number"), [("upload", 40), ("abort", 6), ("delete", 6)])
def test_kill_9_between_two_steps(migrated_database: Database, tmp_path: Path, kind: str, number: int) -> None:
    assert _killed_everywhere(migrated_database, tmp_path, kind, [number]) == number


@pytest.mark.night
@pytest.mark.parametrize("kind", WORK)
def test_kill_9_between_every_two_steps(migrated_database: Database, tmp_path: Path, kind: str) -> None:
    assert _killed_everywhere(migrated_database, tmp_path, kind, range(1, 300)) > 5


def test_a_server_killed_in_the_middle_of_a_file_leaves_no_object_and_its_rest_is_swept(tmp_path: Path) -> None:
    process = SPAWN.Process(target=store_half, args=(str(tmp_path),))
    process.start()
    process.join(300)
    assert process.exitcode == -9

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in left] == ["half#1"]

    async def body() -> None:
        store = ObjectStore(str(tmp_path), InlineOffload())
        assert await store.pages("videos") == []
        with pytest.raises(FileNotFoundError):
            await store.size_bytes("videos/half")

        moment = datetime.fromtimestamp(left[0].stat().st_mtime, UTC)
        assert await store.sweep_unfinished(moment - timedelta(seconds=1)) == 0
        assert await store.sweep_unfinished(moment + timedelta(seconds=1)) == 1
        assert not left[0].exists()

    asyncio.run(body())
