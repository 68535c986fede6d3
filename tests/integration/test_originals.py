"""The cases of seed 003 by name, and the traps of such systems: references, deletions, clean-up, sweep."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from server.hashing import HashFormatError, compute_sha256_from_bytes
from server.objects import StoreFailed, object_key
from server.originals import NewOriginal
from tests.conftest import Database
from tests.support.originals_world import Rig, jpeg, run

pytestmark = pytest.mark.postgres

PHOTO = jpeg(1)
HASH = compute_sha256_from_bytes(PHOTO)
NEW = NewOriginal(content_hash=HASH, file_size_bytes=len(PHOTO), mime_type="image/jpeg", width=24, height=24)


async def count_of(rig: Rig, content_hash: str = HASH) -> int | None:
    original = await rig.app.originals.by_hash(content_hash)
    return None if original is None else original.reference_count


# -- seed 003, unit tests: originalimage/default_service_test ------------------------------------------


def test_decrement_reference_and_cleanup_with_count_above_1_deletes_nothing(
    migrated_database: Database, tmp_path: Path
) -> None:
    async def body(rig: Rig) -> None:
        await rig.app.objects.put(PHOTO)
        original = await rig.app.originals.create(NEW)
        assert (await rig.app.originals.increment(original.id)).reference_count == 2  # type: ignore[union-attr]
        assert await rig.app.originals.decrement_reference_and_cleanup(original.id) is False
        assert await count_of(rig) == 1
        assert await rig.keys() == {object_key(HASH)}

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_decrement_reference_and_cleanup_with_count_1_deletes(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await rig.app.objects.put(PHOTO)
        original = await rig.app.originals.create(NEW)
        assert await rig.app.originals.decrement_reference_and_cleanup(original.id) is True
        assert await rig.app.originals.by_id(original.id) is None
        assert await rig.keys() == set()
        assert any("deleted unreferenced original image" in line for line in rig.lines)
        assert await rig.app.originals.decrement_reference_and_cleanup(original.id) is False

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_cleanup_orphaned_originals(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        originals = rig.app.originals
        for number in range(5):
            data = jpeg(number)
            new = NewOriginal(
                content_hash=compute_sha256_from_bytes(data),
                file_size_bytes=len(data),
                mime_type="image/jpeg",
                width=None,
                height=None,
            )
            await rig.app.objects.put(data)
            original = await originals.create(new)
            if number:
                await originals.decrement(original.id)
        assert (await originals.decrement(original.id)).reference_count == 0  # type: ignore[union-attr]
        rig.clock.advance(hours=23, minutes=59)
        assert await originals.clean_up_orphaned_originals() == 0, "the grace is 24 hours"
        rig.clock.advance(minutes=2)
        assert await originals.clean_up_orphaned_originals(limit=3) == 3
        assert await originals.clean_up_orphaned_originals() == 1
        assert len(await rig.keys()) == 1
        stats = await originals.stats()
        assert (stats.total_count, stats.orphaned_count, stats.avg_references) == (1, 0, 1.0)

    run(migrated_database.dsn("ws_server"), tmp_path, body)


# -- seed 003, unit tests: image/default_service_test ---------------------------------------------------


def test_delete_image_decrements_the_reference_once(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        images = [(await rig.upload(project_id, PHOTO))[0]["id"] for _ in range(2)]
        assert await count_of(rig) == 2
        assert (await rig.http.delete(f"/api/v1/images/{images[0]}")).status_code == 204
        assert await count_of(rig) == 1
        again = await rig.http.delete(f"/api/v1/images/{images[0]}")
        assert (again.status_code, again.headers["content-type"]) == (404, "application/problem+json")
        assert await count_of(rig) == 1, "deleting twice takes one reference off"
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_delete_image_when_the_original_is_deleted(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        (image,) = await rig.upload(await rig.project(), PHOTO)
        assert (await rig.http.delete(f"/api/v1/images/{image['id']}")).status_code == 204
        assert await count_of(rig) is None
        assert await rig.keys() == set()
        (row,) = await rig.rows("SELECT deleted_at, original_image_id FROM images")
        assert row == {"deleted_at": rig.clock.now(), "original_image_id": None}, "the row stays, without its reference"
        assert (await rig.http.get(f"/api/v1/images/{image['id']}")).status_code == 404

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_delete_image_handles_missing_original_image_id_gracefully(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        await rig.app.objects.put_at("uploads/old", PHOTO)
        (old,) = await rig.rows(
            "INSERT INTO images (project_id, file_name, original_url, mime_type) "
            "VALUES ($1, 'old.jpg', 'uploads/old', 'image/jpeg') RETURNING id",
            project_id,
        )
        served = await rig.http.get(f"/api/v1/images/{old['id']}/content")
        assert (served.status_code, served.content) == (200, PHOTO)
        assert (await rig.http.delete(f"/api/v1/images/{old['id']}")).status_code == 204
        assert await rig.keys() == {"uploads/old"}, "as before originals, the bytes stay for now"
        assert not [line for line in rig.lines if "failed" in line]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


# -- seed 003, integration tests ------------------------------------------------------------------------


def test_full_flow_upload_deduplicate_process_delete_all(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        images = [*(await rig.upload(project_id, PHOTO)), *(await rig.upload(project_id, PHOTO, "thumbnail"))]
        assert {image["original_image_id"] for image in images} == {images[0]["original_image_id"]}
        assert await count_of(rig) == 2
        thumbnail = await rig.http.get(f"/api/v1/images/{images[1]['id']}/content")
        assert thumbnail.status_code == 200
        assert thumbnail.content[:2] == b"\xff\xd8"
        assert thumbnail.content != PHOTO
        as_sent = await rig.http.get(f"/api/v1/images/{images[1]['id']}/original")
        assert as_sent.content == PHOTO
        for image in images:
            await rig.http.delete(f"/api/v1/images/{image['id']}")
        assert await rig.rows("SELECT * FROM original_images") == []
        assert await rig.keys() == set()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_multiple_styles_delete_two_then_the_last(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        images = await rig.upload(await rig.project(), PHOTO, "original", "thumbnail", "greyscale")
        assert [image["style"] for image in images] == ["original", "thumbnail", "greyscale"]
        for image in images[:2]:
            await rig.http.delete(f"/api/v1/images/{image['id']}")
        assert await count_of(rig) == 1
        assert (await rig.http.get(f"/api/v1/images/{images[2]['id']}/original")).content == PHOTO
        await rig.http.delete(f"/api/v1/images/{images[2]['id']}")
        assert await rig.rows("SELECT * FROM original_images") == []
        assert await rig.keys() == set()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


# -- projects, failures, sweep ----------------------------------------------------------------------------


def test_a_project_takes_one_reference_off_for_each_row(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        mine, other = await rig.project(), await rig.project()
        await rig.upload(mine, PHOTO, "original", "thumbnail", "greyscale")
        await rig.upload(other, PHOTO)
        deleted = (await rig.upload(mine, PHOTO))[0]["id"]
        await rig.http.delete(f"/api/v1/images/{deleted}")
        await rig.upload(mine, jpeg(2))
        assert (await rig.http.delete(f"/api/v1/projects/{mine}")).status_code == 204
        assert await count_of(rig) == 1
        await rig.assert_sound(after_clean_up=True)
        assert (await rig.http.delete(f"/api/v1/projects/{mine}")).status_code == 404
        assert await rig.rows("SELECT count(*) FROM images") == [{"count": 1}]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_failing_decrement_logs_the_line_and_the_clean_up_mends_it(
    migrated_database: Database, tmp_path: Path
) -> None:
    async def body(rig: Rig) -> None:
        (image,) = await rig.upload(await rig.project(), PHOTO)
        owner = await asyncpg.connect(migrated_database.dsn())
        await owner.execute("ALTER TABLE original_images ADD CONSTRAINT broken CHECK (reference_count > 0)")
        assert (await rig.http.delete(f"/api/v1/images/{image['id']}")).status_code == 204
        assert any("warning [Originals] failed to decrement original reference" in line for line in rig.lines)
        assert await count_of(rig) == 1, "too many, never too few"
        await owner.execute("ALTER TABLE original_images DROP CONSTRAINT broken")
        await owner.close()
        assert await rig.app.originals.mend_counts() == 1
        assert await rig.app.originals.clean_up_orphaned_originals() == 0
        rig.clock.advance(hours=25)
        assert await rig.app.originals.clean_up_orphaned_originals() == 1
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_failing_store_logs_the_line_and_the_sweep_mends_it(
    migrated_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(rig: Rig) -> None:
        (image,) = await rig.upload(await rig.project(), PHOTO)

        async def away(key: str) -> None:
            raise StoreFailed(f"delete {key}: away")

        with monkeypatch.context() as patch:
            patch.setattr(rig.app.objects, "delete", away)
            assert (await rig.http.delete(f"/api/v1/images/{image['id']}")).status_code == 204
        assert any("failed to decrement original reference" in line for line in rig.lines)
        assert await count_of(rig) is None
        assert await rig.keys() == {object_key(HASH)}, "the store is the last to go"
        await rig.app.originals.sweep()
        assert await rig.keys() == {object_key(HASH)}, "the grace is 24 hours"
        rig.clock.advance(hours=24)
        assert await rig.app.originals.sweep() == 1
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_store_that_is_away_refuses_the_upload_whole(
    migrated_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        real = rig.app.objects.put_at

        async def full(key: str, data: bytes) -> None:
            if key.startswith("originals/"):
                raise StoreFailed("No space left on device")
            await real(key, data)

        with monkeypatch.context() as patch:
            patch.setattr(rig.app.objects, "put_at", full)
            answer = await rig.post_upload(project_id, PHOTO, "original", "greyscale")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert await rig.rows("SELECT * FROM images") == await rig.rows("SELECT * FROM original_images") == []
        await rig.clean_up()
        await rig.assert_sound(after_clean_up=True)
        assert await rig.keys() == set()

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_stray_object_that_gets_its_row_in_time_stays(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await rig.app.objects.put(PHOTO)
        await rig.app.objects.put_at("originals/README", b"no hash")
        assert await rig.app.originals.sweep() == 0
        rig.clock.advance(hours=23)
        await rig.upload(await rig.project(), PHOTO)
        rig.clock.advance(hours=2)
        assert await rig.app.originals.sweep() == 1
        assert await rig.keys() == {object_key(HASH)}
        assert await rig.rows("SELECT * FROM stray_objects") == []

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_without_dedup_every_upload_keeps_its_own_bytes(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        (one,), (two,) = await rig.upload(project_id, PHOTO), await rig.upload(project_id, PHOTO)
        assert one["original_image_id"] is two["content_hash"] is None
        assert await rig.keys() == {f"uploads/{one['id']}", f"uploads/{two['id']}"}
        assert (await rig.http.get(f"/api/v1/images/{one['id']}/content")).content == PHOTO
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body, dedup=False)


def test_back_fill_gives_old_uploads_their_original(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        for number in range(3):
            await rig.app.objects.put_at(f"uploads/old-{number}", PHOTO)
        await rig.rows(
            "INSERT INTO images (project_id, file_name, original_url) "
            "SELECT $1, 'old.jpg', 'uploads/old-' || n FROM generate_series(0, 3) n",
            project_id,
        )
        assert await rig.app.projects.back_fill(limit=2) == (3, 1)
        assert await count_of(rig) == 3
        await rig.rows("DELETE FROM images WHERE original_image_id IS NULL")
        await rig.clean_up()
        await rig.assert_sound(after_clean_up=True)
        assert await rig.keys() == {object_key(HASH)}

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_uploads_and_deletes_at_once_leave_nothing_wrong(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()

        async def live_and_die(number: int) -> None:
            images = await rig.upload(project_id, jpeg(number % 2))
            await asyncio.gather(*(rig.http.delete(f"/api/v1/images/{image['id']}") for image in images * 2))

        await asyncio.gather(*(live_and_die(number) for number in range(12)))
        await rig.assert_sound(after_clean_up=True)
        assert await rig.keys() == set()

    run(migrated_database.dsn("ws_server"), tmp_path, body, pool_size=8)


def test_the_service_by_id_and_hash_and_the_api_say_the_same(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        (image,) = await rig.upload(await rig.project(), PHOTO, sha256=HASH, size_bytes=str(len(PHOTO)))
        by_hash = (await rig.http.get(f"/api/v1/originals/by-hash/{HASH}")).json()
        by_id = (await rig.http.get(f"/api/v1/originals/{image['original_image_id']}")).json()
        assert by_hash == by_id
        assert (by_id["content_hash"], by_id["reference_count"], by_id["width"]) == (HASH, 1, 24)
        with pytest.raises(HashFormatError):
            await rig.app.originals.by_hash(HASH.upper())
        assert (await rig.http.get(f"/api/v1/originals/by-hash/{HASH.upper()}")).status_code == 422
        assert (await rig.http.get(f"/api/v1/originals/{uuid4()}")).status_code == 404
        await rig.upload(UUID(image["project_id"]), PHOTO)
        stats = (await rig.http.get("/api/v1/originals/stats")).json()
        assert (stats["total_count"], stats["total_references"], stats["dedup_rate"]) == (1, 2, 0.5)
        assert stats["saved_size"] == stats["total_size"] == len(PHOTO)
        metrics = (await rig.http.get("/metrics")).text
        assert "wakestorm_originals_dedup_ratio 0.5" in metrics
        assert f"wakestorm_originals_saved_bytes {float(len(PHOTO))}" in metrics

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_camera_photo_waits_for_a_store_that_is_away(
    migrated_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(rig: Rig) -> None:
        (device,) = await rig.rows(
            "INSERT INTO devices (device_mac, provisioning_status) VALUES ('B8F862F9C1C4', 'mapped')"
            " RETURNING device_id"
        )
        (image,) = await rig.rows(
            "INSERT INTO device_images (device_id, image_name, captured_at, image_size, total_chunks, received_chunks,"
            " status) VALUES ($1, 'image_1.jpg', $2, $3, 1, 1, 'receiving') RETURNING image_id",
            device["device_id"],
            rig.clock.now(),
            len(PHOTO),
        )
        await rig.rows(
            "INSERT INTO device_image_chunks (image_id, chunk_index, data) VALUES ($1, 0, $2)",
            *(image["image_id"], PHOTO),
        )

        async def full(key: str, data: bytes) -> None:
            raise StoreFailed(f"put {key}: No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(rig.app.objects, "put_at", full)
            await rig.app.monitor.tick()
        assert any("Image not stored: put originals/" in line for line in rig.lines)
        assert await rig.rows("SELECT status, sha256 FROM device_images") == [{"status": "receiving", "sha256": None}]
        assert await count_of(rig) is None
        await rig.app.monitor.tick()
        assert await rig.rows("SELECT status, sha256 FROM device_images") == [{"status": "complete", "sha256": HASH}]
        assert await count_of(rig) == 1
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)
