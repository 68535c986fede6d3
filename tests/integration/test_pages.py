"""What a device's page tells, pictures, charts, the harness's runs; lists that are walked to their end."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from server.journals import Journal
from server.web.charts import lines, stacked_bars
from server.wire.states import Role
from tests.conftest import Database
from tests.support.originals_world import START, Rig
from tests.support.web_world import Browser, add_device, add_image, add_user, run

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


async def signed_in(rig: Rig, role: Role = Role.OPERATOR) -> Browser:
    await add_user(rig, "ada", role)
    browser = Browser(rig)
    assert (await browser.sign_in("ada")).status_code == 303
    return browser


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (800, 600), (200, 120, 0)).save(out, "JPEG")
    return out.getvalue()


async def add_story(rig: Rig, device_id: UUID) -> UUID:
    """A whole image with its bytes, and one row of everything that is written down of a wake."""
    _, key = await rig.app.objects.put(picture())
    image_id = await add_image(rig, device_id, "image_1.jpg", "complete", 0)
    await rig.rows("UPDATE device_images SET object_key = $2, completed_at = captured_at + interval '40 s' "
                   "WHERE image_id = $1", image_id, key)  # fmt: skip
    await rig.rows("INSERT INTO device_wake_sessions (device_id, wake_timestamp, ended_at, status, answer, image_id, "
                   "chunks_sent, chunks_total, missing_rounds) "
                   "VALUES ($1, $2, $4, 'completed', 'resume', $3, 4, 4, 2)",
                   device_id, START, image_id, START + timedelta(seconds=14))  # fmt: skip
    await rig.rows("WITH p AS (INSERT INTO device_wake_payloads (device_id, captured_at, chunk_count, chunks_received) "
                   "VALUES ($1, $2, 65535, 5) RETURNING payload_id) INSERT INTO device_wake_sessions (device_id, "
                   "payload_id, wake_timestamp, ended_at, status, answer, chunks_sent, chunks_total, chunks_missing) "
                   "SELECT $1, payload_id, $2, $2, 'completed', 'snap', 5, 65535, '{5,6,7}' FROM p",
                   device_id, START - timedelta(hours=3))  # fmt: skip
    await rig.rows("SELECT fn_log_device_ack($1, 'B8F862000001', 'image_1.jpg', 'MISSING_CHUNKS', 'some/topic', '{}')",
                   device_id)  # fmt: skip
    await rig.rows("INSERT INTO device_history (device_id, event_category, event_type, description) "
                   "VALUES ($1, 'image', 'image_resumed', '<b>resumed</b>')", device_id)  # fmt: skip
    await rig.rows("INSERT INTO device_commands (device_id, command_type, issued_by) "
                   "VALUES ($1, 'capture_image', 'lin')", device_id)  # fmt: skip
    return image_id


def test_a_devices_page_tells_its_story_and_shows_its_pictures(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig)
        device_id = await add_device(rig, 1, name="Yard")
        assert (await browser.get(f"/devices/{device_id}")).text.count("Nothing yet.") == 5
        image_id = await add_story(rig, device_id)
        text = (await browser.get(f"/devices/{device_id}")).text
        for said in ("14.0 s awake", "→ resume", "asked for 2 times", "65530 missing", "capture image", "lin",
                     "some/topic", "image resumed", "&lt;b&gt;resumed",
                     f"/api/v1/device-images/{image_id}/thumbnail"):  # fmt: skip
            assert said in text, said
        for name in ("images", "wakes", "commands", "acks", "history"):
            answer = await browser.get(f"/devices/{device_id}/{name}")
            assert answer.status_code == 200 and "Nothing yet" not in answer.text, name
        assert (await browser.get(f"/devices/{device_id}/secrets")).status_code == 404
        whole = await browser.get(f"/api/v1/device-images/{image_id}/content")
        assert whole.content == picture() and whole.headers["content-type"] == "image/jpeg"
        assert whole.headers["x-content-type-options"] == "nosniff"
        small = await browser.get(f"/api/v1/device-images/{image_id}/thumbnail")
        assert max(Image.open(io.BytesIO(small.content)).size) == 256
        failed = await add_image(rig, device_id, "image_2.jpg")
        for kind in ("content", "thumbnail"):
            assert (await browser.get(f"/api/v1/device-images/{failed}/{kind}")).status_code == 404

    run(migrated_database.dsn("ws_server"), body)


def test_a_manual_wake_is_asked_for_and_withdrawn_by_page_and_by_api(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig)
        device_id = await add_device(rig, 1)
        page = f"/devices/{device_id}"
        answer = await browser.form(page, f"{page}/override", wanted="true")
        assert "takes a photo at its next wake" in (await browser.get(answer.headers["location"])).text
        rows = await rig.rows("SELECT manual_wake_override, manual_wake_requested_by FROM devices")
        assert rows == [{"manual_wake_override": True, "manual_wake_requested_by": "ada"}]
        token = await rig.app.accounts.issue_token("ada", Role.OPERATOR, 1)
        rig.http.headers["authorization"] = f"Bearer {token}"
        headers = {"idempotency-key": "once"}
        for _ in range(2):
            put = await rig.http.put(f"/api/v1{page}/override", json={"is_wanted": False}, headers=headers)
            assert put.status_code == 200
        rows = await rig.rows("SELECT manual_wake_override, manual_wake_requested_by FROM devices")
        assert rows == [{"manual_wake_override": False, "manual_wake_requested_by": None}]
        events = await rig.rows("SELECT event_data FROM device_history WHERE event_type = 'manual_wake_requested' "
                                "ORDER BY history_id")  # fmt: skip
        assert [event["event_data"]["wanted"] for event in events] == [True, False]

    run(migrated_database.dsn("ws_server"), body)


def test_every_list_is_walked_to_its_end_without_a_row_twice(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        device_id = await add_device(rig, 1)
        for number in range(7):  # all at one moment: the key alone tells them apart
            image_id = await add_image(rig, device_id, f"image_{number}.jpg", "complete", 0)
            await rig.rows("INSERT INTO duplicate_images_log (device_id, image_id, image_name, duplicate_received_at) "
                           "VALUES ($1, $2, 'x', $3)", device_id, image_id, START)  # fmt: skip
            await rig.rows("INSERT INTO quarantined_messages (topic, payload, reason, received_at) "
                           "VALUES ('t', '\\x00ff41', 'not_json', $1)", START)  # fmt: skip
        for journal in (Journal.IMAGES, Journal.DUPLICATES, Journal.QUARANTINE):
            seen: list[Any] = []
            after = None
            while True:
                rows, after = await rig.app.journals.listed(journal, None, 3, after=after)
                seen += rows
                if after is None:
                    break
            assert len(seen) == len(set(map(repr, seen))) == 7, journal
        assert seen[0].beginning == "\\000\\377A"
        await add_user(rig, "ada", Role.VIEWER)
        token = await rig.app.accounts.issue_token("ada", Role.VIEWER, 1)
        rig.http.headers["authorization"] = f"Bearer {token}"
        for bad in ("x", "W10=", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwKzAwOjAwIiwgIngiXQ=="):
            assert (await rig.http.get(f"/api/v1/duplicates?after={bad}")).status_code == 422, bad

    run(migrated_database.dsn("ws_server"), body)


def test_charts_count_images_by_day_and_outcome(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = await signed_in(rig, Role.VIEWER)
        device_id = await add_device(rig, 1)
        await add_story(rig, device_id)
        await add_image(rig, device_id, "image_2.jpg", "failed", 3)
        token = await rig.app.accounts.issue_token("ada", Role.VIEWER, 1)
        answer = await rig.http.get("/api/v1/fleet", headers={"authorization": f"Bearer {token}"})
        days = answer.json()["days"]
        assert len(days) == 14
        assert days[-1] == {"day": "2026-01-05", "complete": 1, "under_way": 0, "failed": 1, "retries": 3,
                            "median_s": 40.0, "p95_s": 40.0}  # fmt: skip
        text = (await browser.get("/fleet")).text
        assert text.count("<svg") == 4 and "05 Jan, complete: 1" in text and "05 Jan, 95 %: 40 s" in text

    run(migrated_database.dsn("ws_server"), body)


def test_what_a_chart_says_is_escaped_and_fits() -> None:
    chart = stacked_bars("<t>", ["<l>"], {"<n>": [7.0], "other": [3.0]})
    assert "<t>" not in chart and "<l>" not in chart and "<n>" not in chart and ">10<" in chart
    broken = lines("t", ["a", "b", "c"], {"s": [1.0, None, 3.0]})
    assert broken.count("<circle") == 2 and "L" not in broken.partition(' d="')[2].partition('"')[0]
    assert "<rect" not in stacked_bars("t", ["a"], {"s": [0.0]})


def run_folder(runs: Path, name: str, verdict: str = "FAIL") -> Path:
    folder = runs / name
    folder.mkdir(parents=True)
    failure = {"title": "expect rows", "expected": "1 row", "found": "<script>0</script>"}
    cases = [{"id": "a.yaml", "verdict": "PASS"}, {"id": "b.yaml", "verdict": verdict, "failures": [failure]}]
    counts = {"passed": 1, "failed": 1}
    document = {
        "version": 1,
        "verdict": verdict,
        "bench": "embedded",
        "wall_s": 1.5,
        "counts": counts,
        "scenarios": cases,
    }
    (folder / "verdict.json").write_text(json.dumps(document))
    (folder / "report.html").write_text("<h1>report</h1>")
    (folder / "secret.txt").write_text("secret")
    return folder


def test_runs_of_the_harness_are_shown_and_nothing_beside_them(migrated_database: Database, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run_folder(runs, "2026-01-05T10-00-00Z")
    run_folder(runs, "2026-01-06T10-00-00Z")
    outside = run_folder(tmp_path, "outside")
    (runs / "latest").symlink_to("2026-01-06T10-00-00Z")
    (runs / "2026-link").symlink_to(outside)
    (runs / "2026-01-05T10-00-00Z" / "ledger.csv").symlink_to(outside / "secret.txt")
    (runs / "broken").mkdir()
    (runs / "broken" / "verdict.json").write_text("{")

    async def body(rig: Rig) -> None:
        browser = await signed_in(rig, Role.VIEWER)
        text = (await browser.get("/runs")).text
        assert (
            text.index("2026-01-06T10") < text.index("2026-01-05T10") and "latest" not in text and "-link" not in text
        )
        assert "UNREADABLE" in text
        page = (await browser.get("/runs/2026-01-05T10-00-00Z")).text
        assert page.index("b.yaml") < page.index("a.yaml") and "&lt;script&gt;0" in page
        report = await browser.get("/runs/2026-01-05T10-00-00Z/report.html")
        assert report.text == "<h1>report</h1>"
        assert report.headers["content-security-policy"].startswith("sandbox ")
        own = "2026-01-05T10-00-00Z"
        hidden = (f"{own}/secret.txt", f"{own}/ledger.csv", f"{own}/..%2f..%2foutside%2fsecret.txt")
        for bad in ("2026-link", "latest", "..", "%2e%2e", "outside", *hidden):
            assert (await browser.get(f"/runs/{bad}")).status_code in (303, 404), bad
        answer = (await browser.get("/api/v1/runs?limit=1")).json()
        assert answer["next"] == answer["items"][0]["name"]

    run(migrated_database.dsn("ws_server"), body, runs=str(runs))
