"""Two companies on one server: neither finds a trace of the other's rows, by page, API or database."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image

from server.devices import DeviceQuery
from server.journals import Journal
from server.store import WHOSE, Whose
from server.web.journal_pages import OF_DEVICE
from server.web.rights import RIGHTS
from server.wire.states import Role
from tests.conftest import Database
from tests.support.originals_world import START, Rig
from tests.support.web_world import add_alert, add_company, add_device, add_image, add_user, run

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def picture(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (shade, shade, 0)).save(out, "JPEG")
    return out.getvalue()


async def api(rig: Rig, name: str, company: str | None, role: Role = Role.ADMIN) -> httpx.AsyncClient:
    await add_user(rig, name, role, company)
    token = await rig.app.accounts.issue_token(name, role, 1)
    transport = httpx.ASGITransport(app=rig.app.asgi())
    headers = {"authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://cameras.example", headers=headers)


async def made(client: httpx.AsyncClient, address: str, **fields: Any) -> dict[str, Any]:
    answer = await client.post(address, **fields)
    assert answer.status_code == 201, answer.text
    found: Any = answer.json()
    return found if isinstance(found, dict) else found[0]


async def holdings(rig: Rig, client: httpx.AsyncClient, company_id: UUID, number: int) -> dict[str, str]:
    """One of each thing that a company has, by the words of addresses."""
    device_id = await add_device(rig, number, name=f"Camera {number}", company_id=company_id)
    image_id = await add_image(rig, device_id, "image_1.jpg")
    alert_id = await add_alert(rig, device_id, "failed")
    await rig.rows("INSERT INTO duplicate_images_log (device_id, image_id, image_name) VALUES ($1, $2, 'image_1.jpg')",
                   device_id, image_id)  # fmt: skip
    await rig.rows("INSERT INTO quarantined_messages (topic, payload, reason, device_mac) "
                   "VALUES ($1, 'x', 'not_json', $2)", f"secret/{number}", f"B8F862{number:06X}")  # fmt: skip
    project = (await made(client, "/api/v1/projects", json={"name": f"project {number}"}))["id"]
    file = {"file": ("shared.jpg", picture(200), "image/jpeg")}
    image = await made(client, f"/api/v1/projects/{project}/images", files=file)
    mall = (await made(client, "/api/v1/malls", json={"name": f"mall {number}"}))["id"]
    pin = (await made(client, f"/api/v1/malls/{mall}/pins", json={"name": "pin"}))["id"]
    wanted = {"pin_id": pin, "filename": "v.mp4", "size_bytes": 10}
    video = (await made(client, "/api/v1/videos/uploads", json=wanted))["video_id"]
    query = "INSERT INTO processing_jobs (video_id, job_type) VALUES ($1, 'proxy_generation') RETURNING id"
    job = (await rig.rows(query, UUID(video)))[0]["id"]
    await rig.rows("INSERT INTO processing_leases (job_id) VALUES ($1)", job)
    return {
        "device": str(device_id), "device_image": str(image_id), "alert": str(alert_id), "project": project,
        "image": image["id"], "original": image["original_image_id"], "hash": image["content_hash"], "mall": mall,
        "pin": pin, "video": video, "job": str(job),
    }  # fmt: skip


NOTHING_STORED_YET = ("/api/v1/device-images/{device_image}/content", "/api/v1/device-images/{device_image}/thumbnail",
                      "/api/v1/videos/{video}/content", "/api/v1/videos/{video}/proxy")  # fmt: skip
NOT_OF_ONE_COMPANY = ("/static/", "/runs/", "/api/v1/runs/")


def addresses() -> list[tuple[str, str]]:
    """Every route that names something, with the words of `holdings` in its address."""
    named = [(method, path) for method, path in RIGHTS if "{" in path and not path.startswith(NOT_OF_ONE_COMPANY)]
    found = []
    for method, path in named:
        image = "device_image" if "/device" in path else "image"
        path = path.replace("{image_id}", f"{{{image}}}").replace("{content_hash}", "{hash}")
        path = path.replace("{part_number}", "1").replace("_id}", "}")
        found += [
            (method, path.replace("{journal}", journal)) for journal in (OF_DEVICE if "{journal}" in path else [""])
        ]
    return found


def test_neither_company_reaches_or_lists_what_the_other_has(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        acorn, birch = await add_company(rig, "Acorn"), await add_company(rig, "Birch")
        ada, bo = await api(rig, "ada", "Acorn"), await api(rig, "bo", "Birch")
        theirs = await holdings(rig, bo, birch, 2)
        before = await rig.rows("SELECT * FROM device_images")
        for method, template in addresses():
            json: Any = {"is_wanted": True} if "override" in template else {"name": "x"}
            answer = await ada.request(method, template.format(**theirs), json=json)
            assert answer.status_code == 404, (method, template, answer.status_code, answer.text)
        initiated = {"pin_id": theirs["pin"], "filename": "v.mp4", "size_bytes": 10}
        assert (await ada.post("/api/v1/videos/uploads", json=initiated)).status_code == 404
        for name in ("devices", "alerts", "projects", "malls", "videos", "duplicates", "quarantine"):
            assert (await ada.get(f"/api/v1/{name}")).json()["items"] == [], name
            assert len((await bo.get(f"/api/v1/{name}")).json()["items"]) == 1, name
        for name in ("duplicates", "quarantine", "projects", "videos", "alerts", "devices", "fleet"):
            page = (await ada.get(f"/{name}", headers={"accept": "text/html"})).text
            assert "Camera 2" not in page and "secret/2" not in page and "project 2" not in page, name
        assert (await ada.get("/runs")).status_code == (await ada.get("/api/v1/originals/stats")).status_code == 403
        assert await rig.rows("SELECT * FROM device_images") == before
        mine = await holdings(rig, ada, acorn, 1)
        for template in [path for method, path in addresses() if method == "GET"]:
            if template not in NOTHING_STORED_YET:
                assert (await ada.get(template.format(**mine))).status_code == 200, template
        assert len((await ada.get("/api/v1/quarantine")).json()["items"]) == 1
        await ada.aclose()
        await bo.aclose()

    run(migrated_database.dsn("ws_server"), body)


def test_a_key_for_a_write_is_its_users_own(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        ada, al = await api(rig, "ada", None), await api(rig, "al", None)
        key = {"idempotency-key": "one"}
        first = await made(ada, "/api/v1/projects", json={"name": "a"}, headers=key)
        other = await made(al, "/api/v1/projects", json={"name": "a"}, headers=key)
        assert (
            (await made(ada, "/api/v1/projects", json={"name": "a"}, headers=key))["id"] == first["id"] != other["id"]
        )
        await ada.aclose()
        await al.aclose()

    run(migrated_database.dsn("ws_server"), body)


def test_an_original_that_two_companies_share_shows_neither_the_other(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        acorn, birch = await add_company(rig, "Acorn"), await add_company(rig, "Birch")
        ada, bo, all_of_them = await api(rig, "ada", "Acorn"), await api(rig, "bo", "Birch"), await api(rig, "al", None)
        theirs = await holdings(rig, bo, birch, 2)
        assert (await ada.get(f"/api/v1/originals/{theirs['original']}")).status_code == 404
        assert (await ada.get(f"/api/v1/originals/by-hash/{theirs['hash']}")).status_code == 404
        rig.clock.advance(hours=1)
        mine = await holdings(rig, ada, acorn, 1)
        assert mine["original"] == theirs["original"]
        for address in (f"/api/v1/originals/{mine['original']}", f"/api/v1/originals/by-hash/{mine['hash']}"):
            seen, all_seen = (await ada.get(address)).json(), (await all_of_them.get(address)).json()
            assert (seen["reference_count"], all_seen["reference_count"]) == (1, 2)
            assert seen["created_at"] > all_seen["created_at"]
            assert (await bo.get(address)).json()["reference_count"] == 1
        assert (await ada.delete(f"/api/v1/images/{mine['image']}")).status_code == 204
        assert (await ada.get(f"/api/v1/originals/{mine['original']}")).status_code == 404
        assert (await bo.get(f"/api/v1/images/{theirs['image']}/original")).content == picture(200)
        for client in (ada, bo, all_of_them):
            await client.aclose()

    run(migrated_database.dsn("ws_server"), body)


def test_the_database_holds_back_what_a_query_forgets_to_ask(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        acorn, birch = await add_company(rig, "Acorn"), await add_company(rig, "Birch")
        mine = await add_device(rig, 1, company_id=acorn)
        await add_image(rig, mine, "image_1.jpg", "complete")
        other = await add_device(rig, 2, company_id=birch)
        await add_image(rig, other, "image_1.jpg")
        token = WHOSE.set(Whose(acorn))
        rows, _ = await rig.app.devices.listed(DeviceQuery(), None, 50)
        assert [row.device_id for row in rows] == [mine]
        images, _ = await rig.app.journals.listed(Journal.IMAGES, None, 50)
        assert len(images) == 1
        days = await rig.app.journals.days(None, START.replace(day=1))
        assert [(day.complete, day.failed) for day in days] == [(1, 0)]
        WHOSE.reset(token)
        assert len((await rig.app.devices.listed(DeviceQuery(), None, 50))[0]) == 2

    run(migrated_database.dsn("ws_server"), body)
