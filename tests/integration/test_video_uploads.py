"""Uploads in parts over HTTP on a real PostgreSQL: right, wrong, twice, at once, and cut between two steps."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.objects import ObjectStore, StoreFailed
from tests.conftest import Database
from tests.integration.test_http_api import served
from tests.support.video_files import video
from tests.support.videos_world import API, PART, Yard, run

pytestmark = pytest.mark.postgres


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_video_in_parts_out_of_order_is_whole_and_has_its_properties(
    migrated_database: Database, tmp_path: Path
) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        said = {"recorded_at": "2026-01-04T08:00:00+02:00", "operator_notes": "gate open", "checksum_sha256": sha(data)}
        upload = await yard.initiate(data, **said)
        assert [part["part_number"] for part in upload["parts"]] == upload["missing_parts"] == [1, 2]
        await yard.put(upload, 2, data)
        status = (await yard.http.get(f"{API}/videos/{upload['video_id']}/upload")).json()
        assert (status["missing_parts"], status["received_bytes"]) == ([1], len(data) - PART)
        await yard.put(upload, 1, data)
        done = await yard.complete(upload)
        assert (done["width"], done["height"], done["fps"], done["codec"]) == (64, 48, 20.0, "h264")
        assert done["duration_seconds"] == pytest.approx(0.2)
        assert (done["checksum_sha256"], done["upload_status"]) == (sha(data), "uploaded")
        assert (done["recorded_at"], done["operator_notes"]) == ("2026-01-04T06:00:00Z", "gate open")
        assert await yard.complete(upload) == done, "a second time the same"
        row = (await yard.rig.rows("SELECT * FROM videos"))[0]
        assert (row["file_path"], row["original_filename"], row["camera_pin_id"]) == (
            row["original_path"], "a.mp4", row["pin_id"],
        )  # fmt: skip
        answer = await yard.http.get(f"{API}/videos/{done['id']}/content", headers={"Range": "bytes=4-7"})
        assert (answer.status_code, answer.content) == (206, data[4:8])
        answer = await yard.http.get(f"{API}/videos/{done['id']}/content")
        assert (answer.content, answer.headers["content-type"]) == (data, "video/mp4")
        assert (await yard.http.get(f"{API}/videos/{done['id']}/proxy")).status_code == 404
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_the_proxy_has_480_lines_and_10_frames_a_second(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        done = await yard.stored(video())
        job = (await yard.http.get(f"{API}/videos/{done['id']}/jobs")).json()[0]
        assert (job["status"], job["job_type"], job["celery_task_id"]) == (
            "pending", "proxy_generation", done["processing_job_id"],
        )  # fmt: skip
        await yard.run_jobs()
        job = (await yard.http.get(f"{API}/jobs/{job['id']}")).json()
        assert (job["status"], job["worker_hostname"], job["attempt"]) == ("completed", "server", 1), job
        assert job["result_data"] == {"width": 640, "height": 480, "fps": 10.0, "codec": "h264"}
        shown = (await yard.http.get(f"{API}/videos/{done['id']}")).json()
        assert (shown["processing_status"], shown["processing_error"]) == ("completed", None)
        assert (await yard.rig.rows("SELECT processed FROM videos"))[0]["processed"] is True
        assert (await yard.http.get(f"{API}/videos/{done['id']}/proxy")).content[4:8] == b"ftyp"
        await yard.assert_sound()
        assert (await yard.http.post(f"{API}/jobs/{job['id']}/cancel")).status_code == 409
        assert (await yard.http.delete(f"{API}/videos/{done['id']}")).status_code == 204
        assert await yard.keys() == []

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_beginning_sent_again_with_its_key_is_answered_alike(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        body = {"pin_id": yard.pin_id, "filename": "a.mp4", "size_bytes": 2_000, "part_size_bytes": PART}
        answers = [
            await yard.http.post(f"{API}/videos/uploads", json=body, headers={"Idempotency-Key": "a"}) for _ in range(2)
        ]
        assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true"]
        assert answers[0].json() == answers[1].json()
        assert len(await yard.rig.rows("SELECT * FROM videos")) == 1

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_the_same_bytes_collide_on_one_pin_only(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        first = await yard.stored(data)
        told = await yard.initiate(data, status=409, checksum_sha256=sha(data))
        assert told["existing_video_id"] == first["id"]
        unsaid = await yard.initiate(data)
        await yard.send(unsaid, data)
        told = await yard.complete(unsaid, status=409)
        assert (told["existing_video_id"], told["title"]) == (first["id"], "Conflict")
        other = await yard.stored(data, pin_id=await yard.new_pin())
        assert other["original_path"] != first["original_path"]
        again = await yard.stored(video(2))
        assert again["original_path"] != first["original_path"], "the same file name overwrites nothing"
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_what_failed_or_was_aborted_stands_in_nobodys_way(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        data, checksum = video(), sha(video())
        aborted = await yard.initiate(data, checksum_sha256=checksum)
        await yard.send(aborted, data)
        for _ in range(2):
            answer = await yard.http.delete(f"{API}/videos/{aborted['video_id']}/upload")
            assert answer.status_code == 204
        assert (await yard.complete(aborted, status=409))["detail"] == "the upload is aborted: begin a new one"
        assert (await yard.put(aborted, 1, data)).status_code == 409
        broken = bytes(reversed(data))
        failed = await yard.initiate(broken, checksum_sha256=sha(broken))
        await yard.send(failed, broken)
        assert "no video that decodes" in (await yard.complete(failed, status=422))["detail"]
        assert (await yard.complete(failed, status=409))["detail"] == "the upload is failed: begin a new one"
        await yard.stored(data, checksum_sha256=checksum)
        statuses = await yard.rig.rows("SELECT upload_status, count(*) FROM videos GROUP BY 1 ORDER BY 1")
        assert [tuple(row.values()) for row in statuses] == [("failed", 2), ("uploaded", 1)]
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_wrong_checksum_leaves_the_upload_open_for_the_right_part(
    migrated_database: Database, tmp_path: Path
) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        upload = await yard.initiate(data, checksum_sha256=sha(data))
        await yard.send(upload, data)
        await yard.put(upload, 1, bytes([data[0] ^ 1]) + data[1:])
        assert "were said to have" in (await yard.complete(upload, status=422))["detail"]
        digest = base64.b64encode(hashlib.sha256(data[:PART]).digest()).decode()
        flipped = bytes([data[0] ^ 1]) + data[1:]
        refused = await yard.put(upload, 1, flipped, **{"Content-Digest": f"sha-256=:{digest}:"})
        assert (refused.status_code, "send it again" in refused.text) == (422, True)
        right = await yard.put(upload, 1, data, **{"Content-Digest": f"sha-256=:{digest}:"})
        assert right.status_code == 200
        await yard.complete(upload)
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


BAD_BEGINNINGS: list[tuple[dict[str, Any], str]] = [
    ({"checksum_sha256": "ABC"}, "checksum_sha256"),
    ({"checksum_sha256": "A" * 64}, "checksum_sha256"),
    ({"size_bytes": 0}, "size_bytes"),
    ({"size_bytes": 10**15}, "size_bytes"),
    ({"filename": "../../etc/passwd"}, "is a path"),
    ({"filename": "..\\x.mp4"}, "is a path"),
    ({"filename": ".."}, "is a path"),
    ({"filename": "a\u0000.mp4"}, "control"),
    ({"filename": "n" * 65_535}, "filename"),
    ({"filename": ""}, "filename"),
    ({"part_size_bytes": 10}, "part_size_bytes"),
    ({"size_bytes": 10_241_025}, "more than 10000"),
    ({"recorded_at": "2026-01-04T08:00:00"}, "recorded_at"),
    ({"operator_notes": "x" * 10_001}, "operator_notes"),
    ({"uploaded_by_user_id": "00000000-0000-4000-8000-000000000000"}, "there is no user"),
    ({"checksum": "x"}, "checksum"),
]


def test_bad_beginnings_are_refused_with_a_problem(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        for said, words in BAD_BEGINNINGS:
            told = await yard.initiate(b"x", status=422, **said)
            assert words in told["detail"] and told["title"] in ("Unprocessable Entity", "Unprocessable Content")
        assert await yard.rig.rows("SELECT * FROM videos") == []

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_bad_parts_are_refused_and_other_uploads_go_on(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        upload, other = await yard.initiate(data), await yard.initiate(data)
        place = f"{API}/videos/{upload['video_id']}/upload"
        for number, content, status, words in [
            (1, data[: PART - 1], 422, "has 1023 bytes; 1024 are expected"),
            (1, data[: PART + 1], 413, "more than the 1024 bytes"),
            (1, b"", 422, "has 0 bytes"),
            (3, b"x", 422, "has parts 1 to 2"),
            (10_001, b"x", 422, "part_number"),
        ]:
            answer = await yard.http.put(f"{place}/parts/{number}", content=content)
            assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text
        text = await yard.http.put(f"{place}/parts/1", content=b"x", headers={"Content-Type": "text/plain"})
        assert text.status_code == 415
        told = await yard.complete(upload, status=409)
        assert (told["missing_parts"], told["detail"]) == ([1, 2], "2 of 2 parts are missing: 1, 2")
        nowhere = f"{API}/videos/00000000-0000-4000-8000-000000000000/upload"
        assert (await yard.http.get(nowhere)).status_code == 404
        assert (await yard.http.put(f"{nowhere}/parts/1", content=b"x")).status_code == 404
        assert (await yard.initiate(data, status=404, pin_id="00000000-0000-4000-8000-000000000000"))["status"] == 404
        await yard.send(other, data)
        await yard.complete(other)
        await yard.sweep()
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_an_upload_that_nobody_finishes_expires_with_its_bytes(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        upload = await yard.initiate(data)
        await yard.put(upload, 1, data)
        yard.rig.clock.advance(hours=23)
        await yard.put(upload, 2, data)
        yard.rig.clock.advance(hours=23)
        assert await yard.rig.app.videos.uploads.expire() == 0, "it was touched since"
        yard.rig.clock.advance(hours=2)
        assert await yard.rig.app.videos.uploads.expire() == 1
        assert await yard.keys() == []
        assert (await yard.complete(upload, status=409))["detail"] == "the upload is expired: begin a new one"
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_two_completes_and_an_abort_at_once_have_one_outcome(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        outcomes = set()
        for number in range(6):
            data = video(number)
            upload = await yard.initiate(data)
            await yard.send(upload, data)
            place = f"{API}/videos/{upload['video_id']}/upload"
            calls = [yard.http.post(f"{place}/complete"), yard.http.post(f"{place}/complete")]
            if number % 2:
                calls.insert(1, yard.http.delete(place))
            codes = sorted(answer.status_code for answer in await asyncio.gather(*calls))
            outcomes.add(tuple(codes))
            status = (await yard.http.get(f"{API}/videos/{upload['video_id']}")).json()["upload_status"]
            assert codes.count(500) == 0 and (200 in codes) == (status == "uploaded"), codes
            assert (204 in codes) == (status == "failed")
            assert len(await yard.rig.rows("SELECT * FROM processing_jobs")) == len(
                await yard.rig.rows("SELECT * FROM videos WHERE upload_status = 'uploaded'")
            )
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_two_uploads_of_the_same_bytes_at_once_leave_one_video(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        data = video()
        uploads = [await yard.initiate(data, checksum_sha256=sha(data)) for _ in range(3)]
        for upload in uploads:
            await yard.send(upload, data)
        told = await asyncio.gather(*(yard.complete(upload, status=None) for upload in uploads))
        codes = [answer["status_code"] for answer in told]
        assert sorted(codes) == [200, 409, 409]
        video_id = next(answer["id"] for answer in told if answer["status_code"] == 200)
        assert all(answer["existing_video_id"] == video_id for answer in told if answer["status_code"] == 409)
        await yard.assert_sound()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


class Dying(ObjectStore):
    """Dies at one of its calls: everything after it fails too, as if the process were gone."""

    calls = 0
    dies_at: int | None = None

    async def _call(self, what: str, work: Any) -> Any:
        self.calls += 1
        if self.dies_at is not None and self.calls >= self.dies_at:
            raise StoreFailed(f"{what}: dead")
        return await super()._call(what, work)


def test_a_store_that_dies_at_any_call_leaves_nothing_half_stored(migrated_database: Database, tmp_path: Path) -> None:
    async def body(yard: Yard) -> None:
        store = yard.rig.app.objects
        assert isinstance(store, Dying)
        for dies_at in range(1, 9):
            data = video(100 + dies_at)
            store.calls, store.dies_at = 0, dies_at
            upload = await yard.initiate(data, checksum_sha256=sha(data))
            for number in (1, 2):
                await yard.put(upload, number, data)
            await yard.complete(upload, status=None)
            store.dies_at = None
            status = (await yard.http.get(f"{API}/videos/{upload['video_id']}/upload")).json()
            for number in status["missing_parts"]:
                assert (await yard.put(upload, number, data)).status_code == 200
            assert (await yard.complete(upload))["checksum_sha256"] == sha(data), "it goes on where it stopped"
        await yard.sweep()
        await yard.assert_sound()

    from server.offload import InlineOffload
    from tests.support.videos_world import new_yard

    async def main() -> None:
        yard = await new_yard(migrated_database.dsn("ws_server"), Dying(str(tmp_path), InlineOffload()))
        try:
            await body(yard)
        finally:
            await yard.http.aclose()
            yard.rig.pool.terminate()

    asyncio.run(main())


def test_a_foreign_client_that_is_cut_off_goes_on_with_what_is_missing(
    migrated_database: Database, tmp_path: Path
) -> None:
    data = video()
    with served(migrated_database, tmp_path) as address, httpx.Client(base_url=address, timeout=60) as client:
        mall = client.post(f"{API}/malls", json={"name": "Northgate"}).json()
        pin = client.post(f"{API}/malls/{mall['id']}/pins", json={"name": "entrance"}).json()
        said = {"pin_id": pin["id"], "filename": "a.mp4", "size_bytes": len(data), "part_size_bytes": PART}
        upload = client.post(f"{API}/videos/uploads", json=said).json()
        place = f"{API}/videos/{upload['video_id']}/upload"
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as line:
            head = f"PUT {upload['parts'][0]['url']} HTTP/1.1\r\nHost: x\r\nContent-Length: {PART}\r\n\r\n"
            line.sendall(head.encode() + data[:500])
        assert client.get(place).json()["missing_parts"] == [1, 2]
        while missing := client.get(place).json()["missing_parts"]:
            part = upload["parts"][missing[0] - 1]
            client.put(part["url"], content=data[part["offset_bytes"] :][: part["size_bytes"]]).raise_for_status()
        stored = client.post(f"{place}/complete").json()
        assert stored["checksum_sha256"] == sha(data)
        assert client.get(f"{API}/videos/{stored['id']}/content").content == data
