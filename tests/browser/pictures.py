"""Pictures of the pages in Chromium: `python -m tests.browser.pictures docs/pictures`, or `... --all DIR` to judge all.

The first form takes those that the documents show. The second takes every page empty, with a little and with much in
it, in light and dark, on a desk and on a phone.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from harness.bench.postgres import ClusterProcess, run_blocking
from harness.bench.template import ensure_template
from server.web.charts import Fleet
from server.wire.states import Role
from simulator.camera import render
from tests.browser.test_pages import CHROMIUM, PAGES, Do, served, sign_in, upload_picture, upload_video
from tests.conftest import Database
from tests.support.originals_world import Rig
from tests.support.video_files import video
from tests.support.videos_world import run_jobs
from tests.support.web_world import add_user

DESK, PHONE = {"width": 1200, "height": 760}, {"width": 390, "height": 780}
NAMES: Final = ("Yard", "Gate", "Orchard north", "Orchard south", "Meadow", "Hive 7", "Roof", "Pond")
LARGE: Final = 3_000
_DEVICE: Final = """
    INSERT INTO devices (device_mac, device_name, provisioning_status, wake_schedule_cron, last_seen_at, next_wake_at,
        battery_voltage, wifi_rssi, firmware_version)
    VALUES ($1, $2, 'mapped', '0 */3 * * *', $3, $4, $5, -60, '3.5.0') RETURNING device_id
"""
_IMAGE: Final = """
    INSERT INTO device_images (device_id, image_name, status, captured_at, total_chunks, received_chunks, retry_count,
        failed_at, timeout_reason, object_key, completed_at, image_size)
    VALUES ($1, $2, $3, $4, 12, $5, $6, $7, $8, $9, $10, 14000)
"""
_SESSION: Final = """
    INSERT INTO device_wake_sessions (device_id, wake_timestamp, ended_at, status, answer, chunks_sent, chunks_total,
        missing_rounds)
    VALUES ($1, $2, $3, 'completed', $4, 12, 12, $5)
"""


async def a_little(rig: Rig) -> None:
    """Eight cameras; the first has failed photos, an alert, a wake every three hours and photos to look at."""
    now = rig.app.parts.clock.now()
    for number, name in enumerate(NAMES):
        seen = now - timedelta(minutes=7 + 11 * number)
        battery_v = 4.1 - number * 0.09
        row = (f"B8F862F9C1{number:02X}", name, seen, seen + timedelta(hours=3), battery_v)
        device_id = (await rig.rows(_DEVICE, *row))[0]["device_id"]
        for wake in range(4 + number % 3):
            at = seen - timedelta(hours=3 * wake)
            _, key = await rig.app.objects.put(render(row[0], wake + 1, 1, 14_000))
            taken = (device_id, f"image_{40 - wake}.jpg", at)
            await rig.rows(_IMAGE, taken[0], taken[1], "complete", taken[2], 12, 0, None, None, key, at)
            await rig.rows(_SESSION, device_id, at, at + timedelta(seconds=14), "snap", wake % 2)
        for failed in range({0: 2, 5: 1}.get(number, 0)):
            at = now - timedelta(hours=15 + 3 * failed)
            why, gone = "Not completed before wake window", at + timedelta(hours=3)
            await rig.rows(_IMAGE, device_id, f"image_{30 + failed}.jpg", "failed", at, 7, 3, gone, why, None, None)
        if number in (1, 5):
            await rig.rows(_IMAGE, device_id, "image_41.jpg", "receiving", seen, 5, 0, None, None, None, None)
    await rig.rows(
        "INSERT INTO device_alerts (device_id, alert_type, severity, message, triggered_at) SELECT device_id, "
        "'image_transmission_failed', 'critical', 'Image image_30.jpg failed 3 of 3 times', $1 FROM devices "
        "WHERE device_name = 'Yard'",
        now - timedelta(hours=11),
    )
    await rig.rows(
        "INSERT INTO quarantined_messages (received_at, topic, payload, reason, detail) VALUES ($1, "
        "'ESP32CAM/B8F862F9C103/data', 'not json', 'not_json', 'unexpected character at byte 1')",
        now - timedelta(hours=2),
    )


async def much(rig: Rig) -> None:
    """Thousands more, with long names, and one camera with hundreds of photos."""
    await rig.rows(
        "INSERT INTO devices (device_mac, device_name, provisioning_status, last_seen_at, next_wake_at, "
        "battery_voltage) SELECT 'A0B1C2' || lpad(to_hex(n), 6, '0'), CASE WHEN n % 3 = 0 THEN NULL ELSE "
        "'Camera at the far end of the long field, post number ' || n END, 'mapped', $1::timestamptz - n * interval "
        "'1 min', $1::timestamptz + n * interval '1 min', 3.2 + n % 10 / 10.0 FROM generate_series(1, $2::int) n",
        rig.app.parts.clock.now(),
        LARGE,
    )
    await rig.rows(
        "INSERT INTO device_images (device_id, image_name, status, captured_at, total_chunks, retry_count, failed_at, "
        "timeout_reason) SELECT device_id, 'image_with_a_rather_long_name_' || n || '.jpg', CASE WHEN n % 4 = 0 THEN "
        "'failed' ELSE 'receiving' END, $1::timestamptz - n * interval '3 h', 65535, 3, $1::timestamptz, "
        "'Not completed before wake window' FROM devices, generate_series(100, 400) n WHERE device_name = 'Yard'",
        rig.app.parts.clock.now(),
    )


@contextmanager
def _database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="wakestorm-pictures-"):
        process = ClusterProcess({})
        cluster = process.start()
        try:
            run_blocking(_made(cluster))
            yield Database(cluster, "wakestorm_pictures")
        finally:
            process.stop()


async def _made(cluster: Any) -> None:
    await cluster.create_database("wakestorm_pictures", await ensure_template(cluster))


def _page(browser: Browser, address: str, scheme: Any, size: Any) -> Page:
    context = browser.new_context(base_url=address, color_scheme=scheme, viewport=size)
    page = context.new_page()
    sign_in(page, "ada")
    return page


def shown_in_documents(browser: Browser, address: str, folder: Path) -> None:
    """The list, a device, the question before a retry, both schemes, and a phone."""
    page = _page(browser, address, "light", DESK)
    page.screenshot(path=folder / "devices.png")
    page.get_by_role("link", name="Yard").click()
    page.screenshot(path=folder / "device.png")
    page.get_by_role("button", name="Retry All Failed Images").click()
    page.screenshot(path=folder / "retry.png")
    _page(browser, address, "dark", DESK).screenshot(path=folder / "devices-dark.png")
    phone = _page(browser, address, "light", PHONE)
    phone.get_by_role("link", name="Yard").click()
    phone.screenshot(path=folder / "device-phone.png")


def every_page(browser: Browser, address: str, folder: Path, state: str) -> None:
    """All pages in both schemes and sizes, whole."""
    for scheme in ("light", "dark"):
        for name, size in (("desk", DESK), ("phone", PHONE)):
            page = _page(browser, address, scheme, size)
            wanted = {path.strip("/"): path for path in PAGES} | {"resolved": "/alerts?show=resolved"}
            if state != "empty":
                for title, thing in (("projects", "Yard, May"), ("videos", "gate.mp4")):
                    page.goto(f"/{title}")
                    wanted[title[:-1]] = page.get_by_role("link", name=thing).get_attribute("href") or ""
                page.goto("/devices?search=Yard")
                wanted["device"] = page.get_by_role("link", name="Yard", exact=True).get_attribute("href") or ""
                wanted["device-history"] = f"{wanted['device']}/wakes"
            for title, path in wanted.items():
                page.goto(path)
                page.screenshot(path=folder / f"{state}-{scheme}-{name}-{title}.png", full_page=state != "large")
            page.goto("/devices?search=nobody")
            page.screenshot(path=folder / f"{state}-{scheme}-{name}-nothing-found.png")
            if state != "empty":
                page.goto(wanted["device"])
                page.get_by_role("button", name="Retry All Failed Images").click()
                page.screenshot(path=folder / f"{state}-{scheme}-{name}-question.png")
            page.context.clear_cookies()
            sign_in(page, f"nobody-{state}-{scheme}-{name}")
            page.screenshot(path=folder / f"{state}-{scheme}-{name}-sign-in.png")


def main() -> None:
    """`DIR`, or `--all DIR`."""
    folder = Path(sys.argv[-1])
    folder.mkdir(parents=True, exist_ok=True)
    with _database() as database, served(database) as (address, do), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        do(lambda rig: add_user(rig, "ada", Role.ADMIN))
        _take(browser, address, folder, do, is_all="--all" in sys.argv)
        browser.close()


def _take(browser: Browser, address: str, folder: Path, do: Do, *, is_all: bool) -> None:
    if is_all:
        every_page(browser, address, folder, "empty")
    do(a_little)
    if not is_all:
        shown_in_documents(browser, address, folder)
        return
    page = _page(browser, address, "light", DESK)
    upload_picture(page, render("B8F862F9C100", 1, 1, 14_000))
    upload_video(page, video(frames=20, width=640, height=480))
    do(run_jobs)
    do(_forget_figures)
    every_page(browser, address, folder, "little")
    do(much)
    do(_forget_figures)
    every_page(browser, address, folder, "large")


async def _forget_figures(rig: Rig) -> None:
    """Charts are counted anew at once."""
    rig.app.asgi().site.fleet = Fleet(rig.app)


if __name__ == "__main__":
    main()
