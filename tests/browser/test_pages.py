"""Sign-in, badges, a retry from dialog to row, a row that changes by itself, two users with different rights."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from playwright.sync_api import FilePayload, Page, expect, sync_playwright

from server.clock import SystemClock
from server.wire.states import Role
from tests.conftest import Database
from tests.support.originals_world import Rig, jpeg, new_rig
from tests.support.video_files import video
from tests.support.videos_world import run_jobs
from tests.support.web_world import PASSWORD, add_alert, add_device, add_image, add_user

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH: apt-get install chromium"),
]

GATE_MAC = "B8F862000002"
Do = Callable[[Callable[[Rig], Coroutine[Any, Any, Any]]], Any]


@contextmanager
def served(database: Database) -> Iterator[tuple[str, Do]]:
    """A server's address, and what runs a coroutine beside it, in its loop."""
    ready = threading.Event()
    held: dict[str, Any] = {}

    async def main() -> None:
        clock: Any = SystemClock()
        rig = await new_rig(database.dsn("ws_server"), ":memory:", clock, insecure_local=False)
        config = uvicorn.Config(rig.app.asgi(), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        http = uvicorn.Server(config)
        serving = asyncio.create_task(http.serve())
        while not http.started:
            await asyncio.sleep(0)
        port = http.servers[0].sockets[0].getsockname()[1]
        held.update(rig=rig, http=http, loop=asyncio.get_running_loop(), address=f"http://127.0.0.1:{port}")
        ready.set()
        await serving
        await rig.http.aclose()
        rig.pool.terminate()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(60)

    def do(work: Callable[[Rig], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(held["rig"]), held["loop"]).result(60)

    try:
        yield held["address"], do
    finally:
        held["http"].should_exit = True
        thread.join()


@contextmanager
def browsing(address: str, *, bypass_csp: bool = False) -> Iterator[Callable[[], Page]]:
    """Makes pages without cookies; anything that a page says to its console or throws fails the test."""
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def new_page() -> Page:
            page = browser.new_context(base_url=address, bypass_csp=bypass_csp).new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            return page

        yield new_page
        browser.close()
    assert said == []


def sign_in(page: Page, name: str, address: str = "/devices") -> None:
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_a_person_finds_a_failed_image_and_retries_it(migrated_database: Database) -> None:
    async def prepared(rig: Rig) -> tuple[UUID, UUID]:
        await add_user(rig, "ada", Role.OPERATOR)
        await add_user(rig, "lin", Role.VIEWER)
        yard, gate = await add_device(rig, 1, name="Yard"), await add_device(rig, 2, name="Gate")
        for number in range(2):
            await add_image(rig, yard, f"image_{number}.jpg")
        await add_alert(rig, yard, "Image image_0.jpg failed 3 of 3 times")
        return yard, gate

    async def stuck(rig: Rig) -> None:
        """What the server hears of a camera whose power goes in the middle of a photo."""
        taken = {"image_name": "image_5.jpg", "image_size": 3_000, "total_chunk_count": 3, "max_chunks_size": 1_000}
        chunk = {"image_name": "image_5.jpg", "chunk_id": 0, "payload": base64.b64encode(bytes(1_000)).decode()}
        intake = asyncio.create_task(rig.app.intake.run())
        for channel, said in (("status", {"status": "Alive", "pendingImg": 0}), ("data", taken), ("data", chunk)):
            await rig.app.intake.handle(f"ESP32CAM/{GATE_MAC}/{channel}", json.dumps(said).encode())
        intake.cancel()

    with served(migrated_database) as (address, do), browsing(address) as new_page:
        yard, gate = do(prepared)
        page = new_page()
        sign_in(page, "ada")
        row = page.locator(f"#device-{yard}")
        expect(row.get_by_text("[2 failed]")).to_be_visible()
        other = page.locator(f"#device-{gate}")
        expect(other.get_by_text("pending")).to_have_count(0)
        do(stuck)
        expect(other.get_by_text("[1 pending]")).to_be_visible(timeout=20_000)
        (image,) = do(
            lambda rig: rig.rows("SELECT status, received_chunks FROM device_images WHERE device_id = $1", gate)
        )
        assert (image["status"], image["received_chunks"]) == ("receiving", 1)
        row.get_by_role("link", name="Yard").click()
        page.get_by_role("button", name="Retry All Failed Images").click()
        dialog = page.get_by_role("dialog", name="Retry 2 failed images?")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
        expect(dialog).to_be_hidden()
        page.get_by_role("button", name="Retry All Failed Images").click()
        dialog.get_by_role("button", name="Retry all").click()
        expect(page.get_by_role("status").first).to_contain_text("2 retries queued")
        failed = page.get_by_role("region", name="Failed images")
        expect(failed.get_by_role("row", name="image_0.jpg")).to_contain_text("0 of 3")
        commands = do(lambda rig: rig.rows("SELECT issued_by FROM device_commands WHERE command_type = 'retry_image'"))
        assert [row["issued_by"] for row in commands] == ["ada", "ada"]

        viewer = new_page()
        sign_in(viewer, "lin", f"/devices/{yard}")
        expect(viewer.get_by_role("heading", name="Failed images")).to_be_visible()
        expect(viewer.get_by_role("button")).to_have_count(1)  # Sign out
        do(lambda rig: add_image(rig, yard, "image_9.jpg"))
        expect(viewer.get_by_role("row", name="image_9.jpg")).to_be_visible(timeout=20_000)  # without loading again
        viewer.get_by_role("button", name="Sign out").click()
        expect(viewer.get_by_role("heading", name="Sign in")).to_be_visible()


def test_new_alerts_are_told_and_resolved_ones_found(migrated_database: Database) -> None:
    async def prepared(rig: Rig) -> UUID:
        await add_user(rig, "ada", Role.OPERATOR)
        return await add_device(rig, 1, name="Yard")

    async def trouble(rig: Rig) -> None:
        await add_alert(rig, device_id, "Image image_0.jpg failed 3 of 3 times")

    async def more_trouble(rig: Rig) -> None:
        alert_id = await add_alert(rig, device_id, "Image image_1.jpg failed 3 of 3 times")
        await rig.rows("UPDATE device_alerts SET triggered_at = now() WHERE alert_id = $1", alert_id)

    with served(migrated_database) as (address, do), browsing(address) as new_page:
        device_id = do(prepared)
        page = new_page()
        sign_in(page, "ada", "/alerts")
        expect(page.get_by_text("No open alert")).to_be_visible()
        expect(page.get_by_text("There are new alerts")).to_be_hidden()
        do(trouble)
        page.get_by_label("Notes").fill("lens wiped", timeout=20_000)  # it has come by itself
        do(more_trouble)
        expect(page.get_by_text("There are new alerts")).to_be_visible(timeout=20_000)
        expect(page.get_by_label("Notes")).to_have_value("lens wiped")
        page.get_by_role("button", name="Resolve").click()
        page.get_by_role("link", name="Resolved alerts").click()
        expect(page.get_by_text("Resolved by ada just now: lens wiped")).to_be_visible()
        expect(page.get_by_role("button", name="Resolve")).to_have_count(0)


def upload_picture(page: Page, data: bytes) -> None:
    """A project is made on its page, and a picture uploaded to it."""
    page.goto("/projects")
    page.get_by_label("New project").fill("Yard, May")
    page.get_by_role("button", name="Make").click()
    page.get_by_role("link", name="Yard, May").click()
    picture: FilePayload = {"name": "hive.jpg", "mimeType": "image/jpeg", "buffer": data}
    page.get_by_label("Picture").set_input_files(files=[picture])
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("img", name="hive.jpg, original")).to_be_visible()


def upload_video(page: Page, data: bytes) -> None:
    """A mall and a camera are made on the page of videos, and a video of it uploaded."""
    page.goto("/videos")
    page.get_by_label("New mall").fill("North")
    page.get_by_role("button", name="Make").click()
    page.get_by_label("New camera in North").fill("Gate")
    page.get_by_role("button", name="Make").last.click()
    expect(page.get_by_role("combobox", name="Camera")).to_be_visible()
    film: FilePayload = {"name": "gate.mp4", "mimeType": "video/mp4", "buffer": data}
    page.get_by_label("File").set_input_files(files=[film])
    page.get_by_label("Recorded at").fill("2026-01-04T03:02:01")
    page.get_by_label("Notes").fill("rain on the lens")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="gate.mp4")).to_be_visible()


def test_pictures_and_videos_are_uploaded_and_a_job_is_watched_to_its_end(migrated_database: Database) -> None:
    """The server's own worker makes the preview, which the browser then plays."""

    async def prepared(rig: Rig) -> None:
        await add_user(rig, "ada", Role.OPERATOR)

    with served(migrated_database) as (address, do), browsing(address) as new_page:
        do(prepared)
        page = new_page()
        sign_in(page, "ada", "/projects")
        expect(page.get_by_text("No project yet")).to_be_visible()
        upload_picture(page, jpeg(1))
        page.goto("/videos")
        expect(page.get_by_text("there is none yet")).to_be_visible()
        upload_video(page, video())
        expect(page.get_by_text("rain on the lens")).to_be_visible()
        (row,) = do(lambda rig: rig.rows("SELECT operator_notes, recorded_at FROM videos"))
        assert row["operator_notes"] == "rain on the lens" and row["recorded_at"] is not None
        jobs = page.get_by_role("region", name="Jobs")
        expect(jobs.locator(".state.pending")).to_have_count(1)
        expect(page.get_by_role("region", name="Preview")).to_have_count(0)
        do(run_jobs)
        expect(jobs.locator(".state.completed")).to_have_count(1, timeout=20_000)  # without loading by hand
        expect(page.get_by_role("button", name="Make the preview again")).to_be_visible()
        page.wait_for_function("document.querySelector('video').videoWidth > 0")


PAGES = ("/devices", "/alerts", "/fleet", "/projects", "/videos", "/duplicates", "/quarantine", "/runs")


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="pip install axe-playwright-python: no axe-core")
def test_no_page_has_a_serious_finding_of_axe(migrated_database: Database) -> None:
    from axe_playwright_python.sync_playwright import Axe

    async def prepared(rig: Rig) -> UUID:
        await add_user(rig, "ada", Role.OPERATOR)
        device_id = await add_device(rig, 1, name="Yard")
        for number, status in enumerate(("failed", "receiving")):
            await add_image(rig, device_id, f"image_{number}.jpg", status)
        await add_alert(rig, device_id, "Image image_0.jpg failed 3 of 3 times")
        return device_id

    with served(migrated_database) as (address, do), browsing(address, bypass_csp=True) as new_page:
        device_id = do(prepared)
        for scheme in ("light", "dark"):
            page = new_page()
            page.emulate_media(color_scheme=scheme)
            found = []
            page.goto("/sign-in")
            found += serious(Axe().run(page).response["violations"], "/sign-in")
            sign_in(page, "ada")
            for path in (*PAGES, f"/devices/{device_id}", f"/devices/{device_id}/history"):
                page.goto(path)
                found += serious(Axe().run(page).response["violations"], path)
            assert found == [], scheme


def serious(violations: list[dict[str, Any]], path: str) -> list[str]:
    return [
        f"{path}: {each['id']}: {each['help']}: {each['nodes'][0]['target']}"
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]
