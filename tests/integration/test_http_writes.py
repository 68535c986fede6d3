"""Writes over HTTP that are sent again with their key, and lists by pages that rows come to and go from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import httpx
import pytest

from tests.conftest import Database
from tests.support.originals_world import Rig, jpeg, run

pytestmark = pytest.mark.postgres

KEY = {"Idempotency-Key": "7d5c1c5e-0001"}


async def _upload(rig: Rig, project_id: Any, picture: int, headers: dict[str, str]) -> Any:
    return await rig.http.post(
        f"/api/v1/projects/{project_id}/images",
        files={"file": ("photo.jpg", jpeg(picture), "image/jpeg")},
        data={"style": ["original", "thumbnail"]},
        headers=headers,
    )


def test_a_write_with_its_key_is_done_once_and_answered_alike(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        made = [await rig.http.post("/api/v1/projects", json={"name": "yard"}, headers=KEY) for _ in range(2)]
        assert [answer.status_code for answer in made] == [201, 201]
        assert made[0].json() == made[1].json()
        assert [answer.headers.get("Idempotency-Replayed") for answer in made] == [None, "true"]
        project_id = made[0].json()["id"]
        sent = [await _upload(rig, project_id, 1, {"Idempotency-Key": "b"}) for _ in range(2)]
        assert sent[0].json() == sent[1].json()
        assert await rig.rows("SELECT reference_count FROM original_images") == [{"reference_count": 2}]
        path = f"/api/v1/images/{sent[0].json()[0]['id']}"
        gone = [await rig.http.delete(path, headers={"Idempotency-Key": "c"}) for _ in range(2)]
        assert [(answer.status_code, answer.content) for answer in gone] == [(204, b"")] * 2
        assert (await rig.http.delete(path)).status_code == 404, "without the key it is another deletion"
        gone = [
            await rig.http.delete(f"/api/v1/projects/{project_id}", headers={"Idempotency-Key": "d"}) for _ in range(2)
        ]
        assert [answer.status_code for answer in gone] == [204, 204]
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_key_stands_for_one_request(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        assert (await _upload(rig, project_id, 1, KEY)).status_code == 201
        for answer in (
            await _upload(rig, project_id, 2, KEY),
            await rig.http.post("/api/v1/projects", json={"name": "yard"}, headers=KEY),
            await rig.http.delete(f"/api/v1/projects/{project_id}", headers=KEY),
        ):
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
            assert "stands for another request" in answer.json()["detail"]
        refused = await rig.http.post("/api/v1/projects", json={"name": "y"}, headers={"Idempotency-Key": "a" * 129})
        assert refused.status_code == 422
        assert await rig.rows("SELECT count(*) FROM images") == [{"count": 2}]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_key_is_its_owners(migrated_database: Database, tmp_path: Path) -> None:
    """What stands before the routes says who asks; the same key of somebody else is another key."""

    async def body(rig: Rig) -> None:
        served = rig.app.asgi()

        async def signed_in(scope: Any, receive: Any, send: Any) -> None:
            owner = dict(scope["headers"]).get(b"x-owner", b"").decode()
            await served({**scope, "state": {"owner": owner}}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(signed_in), base_url="http://localhost") as http:
            for name in ("yard", "hall"):  # one key, two requests
                answer = await http.post("/api/v1/projects", json={"name": name}, headers={**KEY, "X-Owner": name})
                assert (answer.status_code, answer.headers.get("Idempotency-Replayed")) == (201, None)
            again = await http.post("/api/v1/projects", json={"name": "hall"}, headers={**KEY, "X-Owner": "hall"})
            assert (again.json()["name"], again.headers["Idempotency-Replayed"]) == ("hall", "true")
            refused = await http.delete(f"/api/v1/projects/{again.json()['id']}", headers={**KEY, "X-Owner": "yard"})
            assert refused.status_code == 422
            nobody = await http.delete(f"/api/v1/projects/{again.json()['id']}", headers=KEY)
            assert nobody.status_code == 204
        found = await rig.rows("SELECT owner FROM idempotency_keys ORDER BY owner")
        assert [row["owner"] for row in found] == ["", "hall", "yard"]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_what_was_refused_leaves_its_key_free(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        nowhere = "00000000-0000-4000-8000-000000000000"
        assert (await _upload(rig, nowhere, 1, KEY)).status_code == 404
        assert (await rig.http.delete(f"/api/v1/projects/{nowhere}", headers=KEY)).status_code == 404
        assert (await rig.http.delete(f"/api/v1/images/{nowhere}", headers=KEY)).status_code == 404
        assert await rig.rows("SELECT * FROM idempotency_keys") == []
        assert (await _upload(rig, await rig.project(), 1, KEY)).status_code == 201

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_ten_at_once_with_one_key_make_one(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        answers = await asyncio.gather(*(_upload(rig, project_id, 1, KEY) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert await rig.rows("SELECT count(*) FROM images") == [{"count": 2}]
        await rig.clean_up()
        await rig.assert_sound(after_clean_up=True)

    run(migrated_database.dsn("ws_server"), tmp_path, body, pool_size=8)


def test_an_answer_lost_after_the_commit_is_found_by_its_key(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        real = asyncpg.Connection.execute
        commits = []

        async def lost(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
            result = await real(self, query, *arguments, **options)
            if query == "COMMIT":
                commits.append(query)
                if len(commits) == 2:  # the first one ends the look for the key
                    raise ConnectionResetError("the database restarted")
            return result

        project_id = await rig.project()
        with patch.object(asyncpg.Connection, "execute", lost):
            answer = await _upload(rig, project_id, 1, KEY)
        assert (answer.status_code, "whether it was done is not known" in answer.text) == (503, True)
        again = await _upload(rig, project_id, 1, KEY)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
        assert await rig.rows("SELECT id::text FROM images ORDER BY 1") == sorted(
            ({"id": image["id"]} for image in again.json()), key=lambda row: row["id"]
        )

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_keys_are_forgotten_after_a_day(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        made = [(await rig.http.post("/api/v1/projects", json={"name": "y"}, headers=KEY)).json()["id"]]
        await rig.app.monitor.tick()
        rig.clock.advance(hours=23)
        made.append((await rig.http.post("/api/v1/projects", json={"name": "y"}, headers=KEY)).json()["id"])
        rig.clock.advance(hours=2)
        await rig.app.monitor.tick()
        made.append((await rig.http.post("/api/v1/projects", json={"name": "y"}, headers=KEY)).json()["id"])
        assert made[0] == made[1] != made[2]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_pages_show_every_row_once_while_rows_come_and_go(migrated_database: Database, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        names = []
        for number in range(7):
            names.append(f"yard {number}")
            await rig.project(names[-1])
            rig.clock.advance(seconds=number // 3)  # some of the same age
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = (await rig.http.get("/api/v1/projects", params={"limit": 2, **after})).json()
            seen += [project["name"] for project in page["items"]]
            if page["next"] is None:
                break
            first = page["items"][0]["id"]
            assert (await rig.http.delete(f"/api/v1/projects/{first}")).status_code == 204
            after = {"after": page["next"]}
        assert sorted(seen) == names, "an offset would have skipped some"
        for wrong in ("x", "eA==", "MjAyNi0wMS0wNVQxMjowMDowMCAx", "é"):
            refused = await rig.http.get("/api/v1/projects", params={"after": wrong})
            assert (refused.status_code, "query.after" in refused.json()["detail"]) == (422, True)

    run(migrated_database.dsn("ws_server"), tmp_path, body)
