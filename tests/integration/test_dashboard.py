"""The pages and the HTTP API of devices and alerts: what they show, and that a retry is one, whoever asks for it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from server.devices import DeviceQuery, Only, Sort, page_sql
from server.web.live import Streams
from server.wire.states import Role
from tests.conftest import Database
from tests.support.originals_world import START, Rig
from tests.support.web_world import PAGE, Browser, add_alert, add_company, add_device, add_image, add_user, run

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


async def signed_in(rig: Rig, role: Role = Role.OPERATOR) -> Browser:
    await add_user(rig, "ada", role)
    browser = Browser(rig)
    assert (await browser.sign_in("ada")).status_code == 303
    return browser


async def walk(rig: Rig, limit: int, **asked: Any) -> list[UUID]:
    """Every device of a list, page by page."""
    found: list[UUID] = []
    after = None
    while True:
        rows, after = await rig.app.devices.listed(DeviceQuery(after=after, **asked), None, limit)
        found += [row.device_id for row in rows]
        if after is None:
            return found


def test_every_order_pages_through_every_device_once(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        made = [await add_device(rig, n, name=None if n % 4 == 0 else f"cam {n % 3}") for n in range(11)]
        await rig.rows("UPDATE devices SET last_seen_at = NULL, next_wake_at = NULL, battery_voltage = NULL "
                       "WHERE device_id = ANY($1::uuid[])", made[:3])  # fmt: skip
        for sort in Sort:
            up = await walk(rig, 2, sort=sort)
            assert sorted(up) == sorted(made), sort
            assert await walk(rig, 3, sort=sort, is_descending=True) == up[::-1], sort
        never_seen = (await walk(rig, 4, sort=Sort.LAST_SEEN))[:3]
        assert sorted(never_seen) == sorted(made[:3])

    run(migrated_database.dsn("ws_server"), body)


def test_search_takes_names_and_macs_as_people_write_them(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        yard = await add_device(rig, 0xABCDEF, name="North_Yard 50%")
        gate = await add_device(rig, 2, name="Gate")
        for words in ("north_yard", "50%", "B8:F8:62:AB:CD:EF", "b8f862-abcd", " yard "):
            assert await walk(rig, 10, search=words) == [yard], words
        assert await walk(rig, 10, search="northxyard") == []
        assert await walk(rig, 10, search="\\") == []
        await add_image(rig, gate, "image_1.jpg", "receiving", 0)
        await add_image(rig, yard, "image_1.jpg", "failed")
        assert await walk(rig, 10, only=Only.PENDING) == [gate]
        assert await walk(rig, 10, only=Only.FAILED) == [yard]

    run(migrated_database.dsn("ws_server"), body)


def test_a_search_goes_by_what_a_device_is_called_now(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        acorn = await add_company(rig, "Acorn")
        found = [await add_device(rig, n, name=f"Yard {n % 2}", company_id=acorn) for n in range(5)]
        other = await add_device(rig, 9, name="Gate")
        for sort in Sort:
            assert sorted(await walk(rig, 2, search="yard", sort=sort)) == sorted(found), sort
        await rig.rows("UPDATE devices SET device_name = 'Yard, once a gate' WHERE device_id = $1", other)
        assert other in await walk(rig, 2, search="yard")
        await rig.rows("UPDATE devices SET device_name = NULL WHERE device_id = $1", other)
        assert await walk(rig, 2, search="gate") == []
        assert await walk(rig, 2, search="B8F862000009") == [other]
        rows, _ = await rig.app.devices.listed(DeviceQuery(search="b8f862"), acorn, 10)
        assert sorted(row.device_id for row in rows) == sorted(found)
        await rig.rows("UPDATE devices SET company_id = NULL WHERE device_id = $1", found[0])
        assert len((await rig.app.devices.listed(DeviceQuery(search="yard"), acorn, 10))[0]) == 4

    run(migrated_database.dsn("ws_server"), body)


def test_a_deep_page_reads_its_rows_by_the_index(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await rig.rows("INSERT INTO devices (device_mac, device_name) "
                       "SELECT 'X' || lpad(n::text, 8, '0'), 'cam ' || n FROM generate_series(1, 5000) n")  # fmt: skip
        await rig.rows("ANALYZE devices")
        for sort in Sort:
            rows, place = await rig.app.devices.listed(DeviceQuery(sort=sort), None, 50)
            assert place is not None and len(rows) == 50
            sql, arguments = page_sql(DeviceQuery(sort=sort, after=place), None, 51)
            picked = sql.partition("FROM (")[2].partition(") page")[0]
            plan = await rig.rows(f"EXPLAIN (FORMAT JSON) {picked}", *arguments)
            text = json.dumps(plan)
            is_by_index = "Seq Scan" not in text and "Index Cond" in text
            assert is_by_index is (sort in (Sort.NAME, Sort.MAC)), (sort, text)  # the others change at each HELLO

    run(migrated_database.dsn("ws_server"), body)


def test_the_list_shows_badges_escapes_names_and_goes_on(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig, Role.VIEWER)
        assert "No device has been heard of yet" in (await browser.get("/devices")).text
        first = await add_device(rig, 1, name="<script>alert(1)</script>")
        for number in range(2):
            await add_image(rig, first, f"image_{number}.jpg")
        await add_image(rig, first, "image_9.jpg", "receiving", 0)
        text = (await browser.get("/devices")).text
        assert '<span class="badge pending">[1 pending]</span>' in text
        assert '<span class="badge failed">[2 failed]</span>' in text
        assert "&lt;script&gt;alert(1)" in text and "<script>alert" not in text
        for number in range(2, 60):
            await add_device(rig, number, name=f"cam {number:02}")
        text = (await browser.get("/devices")).text
        following = text.partition('<a href="/devices?sort=name&amp;after=')[2].partition('"')[0]
        last = (await browser.get(f"/devices?sort=name&after={following}")).text
        assert "cam 59" in last and "cam 02" not in last and "First page" in last
        for bad in ("after=x", "after=WyJ4Il0=", "sort=password", "after=WzEsIDJd"):
            assert (await browser.get(f"/devices?{bad}")).status_code == 422, bad

    run(migrated_database.dsn("ws_server"), body)


def test_all_failed_images_are_retried_from_the_page(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig)
        device_id = await add_device(rig, 1, name="Yard")
        images = {await add_image(rig, device_id, f"image_{number}.jpg") for number in range(2)}
        await add_image(rig, device_id, "image_7.jpg", "complete", 0)
        page = f"/devices/{device_id}"
        text = (await browser.get(page)).text
        assert "Retry All Failed Images" in text and "<dialog" in text
        assert "Not completed before wake window" in text and "3 of 3" in text
        answer = await browser.form(page, f"{page}/retry-failed")
        assert answer.headers["location"] == f"{page}?queued=2"
        assert "2 retries queued" in (await browser.get(answer.headers["location"])).text
        commands = await rig.rows("SELECT * FROM device_commands")
        assert {row["device_image_id"] for row in commands} == images
        assert {(row["command_type"], row["priority"], row["issued_by"]) for row in commands} == {
            ("retry_image", 8, "ada")
        }
        assert {row["retry_count"] for row in await rig.rows("SELECT retry_count FROM device_images")} == {0}

    run(migrated_database.dsn("ws_server"), body)


def test_page_and_http_api_leave_the_same_rows(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig)
        token = await rig.app.accounts.issue_token("ada", Role.OPERATOR, 1)
        by_page, by_api = await add_device(rig, 1), await add_device(rig, 2)
        image, other = await add_image(rig, by_page, "image_1.jpg"), await add_image(rig, by_api, "image_1.jpg")
        page = f"/devices/{by_page}"
        assert (await browser.form(page, f"{page}/images/{image}/retry")).status_code == 303
        headers = {"authorization": f"Bearer {token}", "Idempotency-Key": "once"}
        for _ in range(2):
            answer = await rig.http.post(f"/api/v1/device-images/{other}/retry", headers=headers)
            assert answer.status_code == 202 and len(answer.json()["command_ids"]) == 1
        assert answer.headers["Idempotency-Replayed"] == "true"
        kept = "device_id, command_type, priority, retry_count, status, issued_by"
        rows = await rig.rows(f"SELECT {kept} FROM device_commands")
        (first, second) = (
            [{**row, "device_id": None} for row in rows if row["device_id"] == device] for device in (by_page, by_api)
        )
        assert first == second and len(first) == 1
        assert (await browser.form(page, f"{page}/images/{image}/retry")).status_code == 303, "again, by hand"
        done = await add_image(rig, by_page, "image_2.jpg", "complete", 0)
        refused = await browser.form(page, f"{page}/images/{done}/retry")
        assert refused.status_code == 409 and "only a failed one is retried" in refused.text

    run(migrated_database.dsn("ws_server"), body)


def test_a_viewer_sees_no_button_and_an_alert_is_resolved_once(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        viewer = await signed_in(rig, Role.VIEWER)
        device_id = await add_device(rig, 1, name="Yard")
        await add_image(rig, device_id, "image_1.jpg")
        alert_id = await add_alert(rig, device_id, "Image image_1.jpg failed 3 of 3 times")
        text = (await viewer.get(f"/devices/{device_id}")).text
        assert "Not completed before wake window" in text and "Retry All" not in text and ">Resolve<" not in text
        await add_user(rig, "lin", Role.OPERATOR)
        operator = Browser(rig)
        await operator.sign_in("lin")
        assert "failed 3 of 3 times" in (await operator.get("/alerts")).text
        page = f"/devices/{device_id}"
        answer = await operator.form(page, f"/alerts/{alert_id}/resolve", notes=" seen to ")
        assert answer.headers["location"] == "/alerts?resolved=1"
        (row,) = await rig.rows("SELECT resolved_by, resolution_notes, resolved_at FROM device_alerts")
        assert row == {"resolved_by": "lin", "resolution_notes": "seen to", "resolved_at": START}
        again = await operator.form(page, f"/alerts/{alert_id}/resolve")
        assert again.status_code == 409 and "was resolved by lin already" in again.text
        assert "No open alert" in (await operator.get("/alerts")).text
        resolved = (await operator.get("/alerts?show=resolved")).text
        assert "failed 3 of 3 times" in resolved and "Resolved by lin" in resolved and "seen to" in resolved
        assert f"/alerts/{alert_id}/resolve" not in resolved

    run(migrated_database.dsn("ws_server"), body)


def test_alerts_page_by_page(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        device_id = await add_device(rig, 1)
        made = {str(await add_alert(rig, device_id, f"number {number}")) for number in range(5)}
        found: list[str] = []
        after = ""
        while True:
            page = (await rig.http.get(f"/api/v1/alerts?limit=2{after}")).json()
            found += [row["alert_id"] for row in page["items"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert len(found) == 5 and set(found) == made

    run(migrated_database.dsn("ws_server"), body, insecure_local=True)


def test_a_changed_row_is_sent_and_an_unchanged_one_is_not(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        from server.accounts import Visitor
        from server.web import live

        changed, same = await add_device(rig, 1, name="Yard"), await add_device(rig, 2)
        versions = {row.device_id: row.version for row in await rig.app.devices.some([changed, same], None)}
        await add_image(rig, changed, "image_1.jpg", "receiving", 0)

        class Asked:
            class state:
                visitor = Visitor("local", Role.ADMIN, None, "")

        request: Any = Asked()
        events = live._changes(rig.app, request, versions)
        event = json.loads(str((await anext(events)).data))
        assert (event["id"], event["pending"], event["failed"]) == (str(changed), 1, 0)
        assert "[1 pending]" in event["row"] and event["row"].startswith("<tr")
        await rig.rows("UPDATE device_images SET status = 'failed'")
        event = json.loads(str((await anext(events)).data))
        assert (event["id"], event["failed"]) == (str(changed), 1), "the other row has not changed"
        await events.aclose()  # type: ignore[attr-defined]
        assert Streams().count == 0

    run(migrated_database.dsn("ws_server"), body, insecure_local=True)


def test_refusals_are_pages_for_people_and_problems_for_programs(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        address = f"/devices/{UUID(int=7)}"
        page = await rig.http.get(address, headers=PAGE)
        assert page.status_code == 404 and "<h1>404 Not Found</h1>" in page.text
        problem = await rig.http.get(address)
        assert problem.json()["detail"] == f"no device {UUID(int=7)}"
        assert (await rig.http.get("/devices/x", headers=PAGE)).status_code == 422

    run(migrated_database.dsn("ws_server"), body, insecure_local=True)
