"""Whether a row is there for the company of who asks: the database's row-level security answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from server.store import WHOSE, Whose

if TYPE_CHECKING:
    from server.app import App

_TABLES: Final = {
    "device_id": ("devices", "device_id"),
    "alert_id": ("device_alerts", "alert_id"),
    "project_id": ("projects", "id"),
    "mall_id": ("malls", "id"),
    "pin_id": ("camera_pins", "id"),
    "video_id": ("videos", "id"),
    "job_id": ("processing_jobs", "id"),
    "user_id": ("users", "id"),
}


async def is_visible(app: App, template: str, name: str, key: UUID) -> bool:
    """Whether the row that a part of a path names is one of the company; True for everybody without a company.

    Raises KeyError for a name that no table is known for: a route that writes must not pass by unseen.
    """
    whose = WHOSE.get()
    if whose is None:
        return True
    if name == "image_id":
        table, column = ("device_images", "image_id") if "device" in template else ("images", "id")
    else:
        table, column = _TABLES[name]
    token = WHOSE.set(Whose(whose.company_id))
    try:
        async with app.store.transaction(app.parts.clock.now()) as connection:
            return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table} WHERE {column} = $1)", key))
    finally:
        WHOSE.reset(token)
