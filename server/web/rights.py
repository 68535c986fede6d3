"""Who may call which route: the one table. A route that does not stand here is not there for anybody.

`server/web/doors.py` asks it before anything of a request is read; a test walks the router and finds it complete.
A route's scope, for bearer tokens that may do less than their role, follows from its address and its right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from server.wire.states import Area, Role

_ROLES: Final = {role.value: role for role in Role}


class Right(StrEnum):
    """What a route asks of who calls it; the roles are those of users."""

    EVERYBODY = "everybody"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    OWN_TOKEN = "own_token"
    BENCH = "bench"

    @property
    def role(self) -> Role | None:
        """The least role that has it; None where no user is asked for."""
        return _ROLES.get(self.value)


_E, _V, _O = Right.EVERYBODY, Right.VIEWER, Right.OPERATOR

RIGHTS: Final[dict[tuple[str, str], Right]] = {
    # health, figures, functions of the seeds
    ("GET", "/health"): _E,
    ("GET", "/metrics"): _V,
    ("GET", "/openapi.json"): _E,
    ("POST", "/functions/v1/mqtt_device_handler"): _O,
    ("POST", "/functions/v1/monitor_image_timeouts"): Right.OWN_TOKEN,
    ("GET", "/test-clock"): Right.BENCH,
    ("POST", "/test-clock"): Right.BENCH,
    # sign-in and what its page needs
    ("GET", "/sign-in"): _E,
    ("POST", "/sign-in"): _E,
    ("POST", "/sign-out"): _V,
    ("GET", "/static/{name}"): _E,
    # pages
    ("GET", "/"): _V,
    ("GET", "/devices"): _V,
    ("GET", "/devices/events"): _V,
    ("GET", "/devices/{device_id}"): _V,
    ("POST", "/devices/{device_id}/retry-failed"): _O,
    ("POST", "/devices/{device_id}/images/{image_id}/retry"): _O,
    ("POST", "/devices/{device_id}/override"): _O,
    ("GET", "/devices/{device_id}/{journal}"): _V,
    ("GET", "/duplicates"): _V,
    ("GET", "/quarantine"): _V,
    ("GET", "/fleet"): _V,
    ("GET", "/runs"): _V,
    ("GET", "/runs/{run_name}"): _V,
    ("GET", "/runs/{run_name}/{file_name}"): _V,
    ("GET", "/projects"): _V,
    ("GET", "/projects/{project_id}"): _V,
    ("GET", "/videos"): _V,
    ("GET", "/videos/{video_id}"): _V,
    ("GET", "/alerts"): _V,
    ("GET", "/alerts/events"): _V,
    ("POST", "/alerts/{alert_id}/resolve"): _O,
    # the same over the HTTP API
    ("GET", "/api/v1/devices"): _V,
    ("GET", "/api/v1/devices/{device_id}"): _V,
    ("GET", "/api/v1/devices/{device_id}/failed-images"): _V,
    ("POST", "/api/v1/devices/{device_id}/retry-failed"): _O,
    ("POST", "/api/v1/device-images/{image_id}/retry"): _O,
    ("GET", "/api/v1/devices/{device_id}/images"): _V,
    ("GET", "/api/v1/devices/{device_id}/wake-sessions"): _V,
    ("GET", "/api/v1/devices/{device_id}/commands"): _V,
    ("GET", "/api/v1/devices/{device_id}/acks"): _V,
    ("GET", "/api/v1/devices/{device_id}/history"): _V,
    ("PUT", "/api/v1/devices/{device_id}/override"): _O,
    ("GET", "/api/v1/device-images/{image_id}/content"): _V,
    ("GET", "/api/v1/device-images/{image_id}/thumbnail"): _V,
    ("GET", "/api/v1/duplicates"): _V,
    ("GET", "/api/v1/quarantine"): _V,
    ("GET", "/api/v1/fleet"): _V,
    ("GET", "/api/v1/runs"): _V,
    ("GET", "/api/v1/runs/{run_name}"): _V,
    ("GET", "/api/v1/runs/{run_name}/{file_name}"): _V,
    ("GET", "/api/v1/alerts"): _V,
    ("POST", "/api/v1/alerts/{alert_id}/resolve"): _O,
    # projects and originals, malls and videos
    ("POST", "/api/v1/projects"): _O,
    ("GET", "/api/v1/projects"): _V,
    ("GET", "/api/v1/projects/{project_id}"): _V,
    ("DELETE", "/api/v1/projects/{project_id}"): _O,
    ("POST", "/api/v1/projects/{project_id}/images"): _O,
    ("GET", "/api/v1/projects/{project_id}/images"): _V,
    ("GET", "/api/v1/images/{image_id}"): _V,
    ("DELETE", "/api/v1/images/{image_id}"): _O,
    ("GET", "/api/v1/images/{image_id}/content"): _V,
    ("GET", "/api/v1/images/{image_id}/original"): _V,
    ("GET", "/api/v1/originals/stats"): _V,
    ("GET", "/api/v1/originals/by-hash/{content_hash}"): _V,
    ("GET", "/api/v1/originals/{original_id}"): _V,
    ("POST", "/api/v1/malls"): _O,
    ("GET", "/api/v1/malls"): _V,
    ("DELETE", "/api/v1/malls/{mall_id}"): _O,
    ("POST", "/api/v1/malls/{mall_id}/pins"): _O,
    ("GET", "/api/v1/malls/{mall_id}/pins"): _V,
    ("DELETE", "/api/v1/pins/{pin_id}"): _O,
    ("GET", "/api/v1/videos"): _V,
    ("GET", "/api/v1/videos/{video_id}"): _V,
    ("DELETE", "/api/v1/videos/{video_id}"): _O,
    ("GET", "/api/v1/videos/{video_id}/content"): _V,
    ("GET", "/api/v1/videos/{video_id}/proxy"): _V,
    ("GET", "/api/v1/videos/{video_id}/jobs"): _V,
    ("POST", "/api/v1/videos/{video_id}/jobs"): _O,
    ("GET", "/api/v1/jobs/{job_id}"): _V,
    ("POST", "/api/v1/jobs/{job_id}/cancel"): _O,
    ("POST", "/api/v1/videos/uploads"): _O,
    ("GET", "/api/v1/videos/{video_id}/upload"): _V,
    ("DELETE", "/api/v1/videos/{video_id}/upload"): _O,
    ("PUT", "/api/v1/videos/{video_id}/upload/parts/{part_number}"): _O,
    ("POST", "/api/v1/videos/{video_id}/upload/complete"): _O,
}

OF_ALL_COMPANIES: Final = ("/metrics", "/functions/", "/runs", "/api/v1/runs", "/api/v1/originals/stats")
"""What tells of every company. Everywhere else a user of one company sees its rows only."""


AREAS: Final[dict[str, Area]] = {
    "devices": Area.DEVICES,
    "device-images": Area.DEVICES,
    "duplicates": Area.DEVICES,
    "quarantine": Area.DEVICES,
    "fleet": Area.DEVICES,
    "": Area.DEVICES,
    "alerts": Area.ALERTS,
    "projects": Area.ORIGINALS,
    "images": Area.ORIGINALS,
    "originals": Area.ORIGINALS,
    "malls": Area.VIDEOS,
    "pins": Area.VIDEOS,
    "videos": Area.VIDEOS,
    "jobs": Area.VIDEOS,
    "runs": Area.RUNS,
    "metrics": Area.METRICS,
    "functions": Area.MESSAGES,
}
"""By the first word of a route's address, after `/api/v1`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table, ready to be compared with paths."""

    method: str
    template: str
    right: Right
    pattern: re.Pattern[str]

    @property
    def is_by_company(self) -> bool:
        """Whether users of one company may come here."""
        return not self.template.startswith(OF_ALL_COMPANIES)

    @property
    def scope(self) -> str | None:
        """What a bearer token with scopes needs here, such as `devices:read`; None where no user is asked for."""
        if self.right.role is None or self.template == "/sign-out":
            return None
        area = AREAS[self.template.removeprefix("/api/v1").split("/")[1]]
        return f"{area}:{'read' if self.right is Right.VIEWER else 'write'}"


def _entry(method: str, template: str, right: Right) -> Entry:
    parts = re.split(r"\{(\w+)\}", template)
    words = [f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)]
    return Entry(method, template, right, re.compile("".join(words)))


_ENTRIES: Final = sorted(
    (_entry(method, template, right) for (method, template), right in RIGHTS.items()),
    key=lambda entry: (entry.template.count("{"), entry.template),
)


_ROWS: Final = {(entry.method, entry.template): entry for entry in _ENTRIES}


def row_of(method: str, template: str) -> Entry:
    """The row of a route that stands in the table; raises KeyError for another."""
    return _ROWS[method, template]


def entry_of(method: str, path: str) -> Entry | None:
    """The row for a request, HEAD like GET; None where there is none, and then there is no such route."""
    method = "GET" if method == "HEAD" else method
    for entry in _ENTRIES:
        if entry.method == method and entry.pattern.fullmatch(path):
            return entry
    return None


def methods_of(path: str) -> list[str]:
    """The methods that a path has in the table."""
    return sorted({entry.method for entry in _ENTRIES if entry.pattern.fullmatch(path)})
