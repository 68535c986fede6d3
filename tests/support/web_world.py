"""A server that asks who comes: users of three roles, two companies, devices with images; a browser of httpx."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx

from server.accounts import NewUser
from server.wire.states import Role
from tests.support.originals_world import START, Rig, new_rig

PASSWORD = "correct horse battery"
PAGE = {"accept": "text/html,*/*;q=0.8"}
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Browser:
    """Keeps cookies, sends forms with the token of the page they stand on, follows nothing by itself."""

    def __init__(self, rig: Rig) -> None:
        transport = httpx.ASGITransport(app=rig.app.asgi(), client=("192.0.2.7", 1))
        self.http = httpx.AsyncClient(transport=transport, base_url="http://cameras.example", headers=PAGE)

    async def get(self, address: str) -> httpx.Response:
        return await self.http.get(address)

    async def form(self, page: str, address: str, **fields: str) -> httpx.Response:
        """Loads the page, takes its token, sends the form."""
        found = _TOKEN.search((await self.get(page)).text)
        assert found is not None, page
        return await self.http.post(address, data={"csrf_token": found[1], **fields})

    async def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        return await self.form("/sign-in", "/sign-in", name=name, password=password, **fields)


async def add_user(rig: Rig, name: str, role: Role, company: str | None = None) -> None:
    await rig.app.accounts.add_user(NewUser(name, PASSWORD, role, company))


async def add_company(rig: Rig, name: str) -> UUID:
    rows = await rig.rows("INSERT INTO companies (company_name) VALUES ($1) RETURNING company_id", name)
    return UUID(str(rows[0]["company_id"]))


async def add_device(rig: Rig, number: int, *, name: str | None = None, company_id: UUID | None = None) -> UUID:
    rows = await rig.rows(
        "INSERT INTO devices (device_mac, device_name, company_id, provisioning_status, wake_schedule_cron, "
        "last_seen_at, next_wake_at, battery_voltage) VALUES ($1, $2, $3, 'active', '0 */3 * * *', $4, $5, $6) "
        "RETURNING device_id",
        f"B8F862{number:06X}",
        name,
        company_id,
        START - timedelta(minutes=number),
        START + timedelta(hours=1, minutes=number),
        3.5 + number % 7 / 10,
    )
    return UUID(str(rows[0]["device_id"]))


async def add_image(rig: Rig, device_id: UUID, name: str, status: str = "failed", retry_count: int = 3) -> UUID:
    rows = await rig.rows(
        "INSERT INTO device_images (device_id, image_name, status, captured_at, total_chunks, retry_count, failed_at, "
        "timeout_reason) VALUES ($1, $2, $3, $4, 4, $5, $6, $7) RETURNING image_id",
        device_id,
        name,
        status,
        START - timedelta(hours=5),
        retry_count,
        START - timedelta(hours=2) if status == "failed" else None,
        "Not completed before wake window" if status == "failed" else None,
    )
    return UUID(str(rows[0]["image_id"]))


async def add_alert(rig: Rig, device_id: UUID, message: str) -> UUID:
    rows = await rig.rows(
        "INSERT INTO device_alerts (device_id, alert_type, severity, message, triggered_at) "
        "VALUES ($1, 'image_transmission_failed', 'critical', $2, $3) RETURNING alert_id",
        device_id,
        message,
        START,
    )
    return UUID(str(rows[0]["alert_id"]))


def run(dsn: str, body: Callable[[Rig], Awaitable[None]], **settings: Any) -> None:
    """The body with one server that asks who comes."""

    async def main() -> None:
        rig = await new_rig(dsn, ":memory:", **{"insecure_local": False, **settings})
        try:
            async with asyncio.timeout(240):
                await body(rig)
        finally:
            await rig.http.aclose()
            rig.pool.terminate()

    asyncio.run(main())
