"""S9, S10 and S12 over HTTP: strangers, the wrong role, forged forms, paths that climb, slow talkers, stop-watches."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from harness.fleet.guarded import FORM, PASSWORD, as_header
from harness.hostile.figure import Figure
from harness.hostile.stand import AttackedServer
from harness.machine import monotonic_s

OPEN: Final = ("/health", "/openapi.json", "/sign-in", "/static/")
PAGES: Final = ("/", "/devices", "/devices/events", "/alerts", "/fleet", "/projects", "/videos", "/duplicates",
                "/quarantine", "/runs", "/devices/{id}", "/devices/{id}/images", "/metrics")  # fmt: skip
FORMS: Final = ("/devices/{id}/retry-failed", "/devices/{id}/images/{id}/retry", "/devices/{id}/override",
                "/alerts/{id}/resolve", "/sign-out")  # fmt: skip
NOBODY: Final = "00000000-0000-0000-0000-000000000001"
CLIMBING: Final = (
    "/static/../config.py", "/static/..%2f..%2fconfig.py", "/static/%2e%2e/%2e%2e/rights.py",
    "/static/style.css%00.html",
    "/runs/..%2f..%2f..%2fetc/passwd", "/runs/../../etc/passwd", "/runs/x/..%2f..%2fetc%2fpasswd", "//etc/passwd",
    "/api/v1/runs/..%2f../report.html", "/static//etc/passwd", "/devices/..%2f..%2fmetrics",
    "/%2e%2e/%2e%2e/etc/passwd",
)  # fmt: skip
SLOW_TALKERS: Final = 200
HEALTH_WITHIN_S: Final = 5.0
TIMING_TRIES: Final = 4
TIMING_SHARE: Final = 0.5


async def http(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """S9, S10, S12: strangers at the pages and the HTTP API."""
    viewer = await server.token("viewer")
    routes = list(_routes(json.loads((await server.exchange("GET", "/openapi.json")).body)))
    return [
        await _closed(server, routes),
        await _roles(server, routes, viewer),
        await _forged(server),
        await _climbing(server, viewer),
        await _guessing(server),
        await _slow_talkers(server),
    ]


def _routes(described: dict[str, dict[str, dict[str, object]]]) -> Iterator[tuple[str, str]]:
    for template, methods in described["paths"].items():
        for method in methods:
            yield method.upper(), re.sub(r"\{\w+\}", NOBODY, template)
    yield from (("GET", page.replace("{id}", NOBODY)) for page in PAGES)
    yield from (("POST", form.replace("{id}", NOBODY)) for form in FORMS)


async def _closed(server: AttackedServer, routes: list[tuple[str, str]]) -> Figure:
    """Every route without a session."""
    wrong = []
    for method, path in routes:
        answer = await server.exchange(method, path, None, b"{}" if method != "GET" else None)
        is_open = path.startswith(OPEN)
        guarded = answer.headers.get("x-content-type-options") == "nosniff" and (
            "default-src 'none'" in answer.headers.get("content-security-policy", "")
        )
        if (answer.status not in (401, 303)) != is_open or not guarded:
            wrong.append(f"{method} {path}: {answer.status}")
    return Figure(
        id="S9 strangers",
        title="Every route without a session",
        found=f"{len(routes)} routes, {len(wrong)} that answer, or without CSP and nosniff",
        limit="0 but health, openapi.json, sign-in",
        holds=not wrong and len(routes) > 60,
        details=tuple(wrong),
    )


async def _roles(server: AttackedServer, routes: list[tuple[str, str]], viewer: str) -> Figure:
    """Every write as a viewer."""
    writes = [(method, path) for method, path in routes if method != "GET"]
    writes = [each for each in writes if each[1] not in ("/sign-out", "/functions/v1/monitor_image_timeouts")]
    wrong = []
    for method, path in writes:
        answer = await server.exchange(method, path, {"authorization": f"Bearer {viewer}"}, b"{}")
        if answer.status != 403:
            wrong.append(f"{method} {path}: {answer.status}")
    return Figure(
        id="S9 roles",
        title="Every route that changes something, as a viewer",
        found=f"{len(writes)} routes, {len(wrong)} not refused",
        limit="0",
        holds=not wrong and len(writes) > 20,
        details=tuple(wrong),
    )


async def _forged(server: AttackedServer) -> Figure:
    """Forms that other pages made a signed-in operator's browser send; and a session that a stranger chose."""
    await server.command("user", "add", "olga", "--role", "operator", "--password-stdin", given=PASSWORD)
    chosen = "x" * 43
    cookies = await server.signed_in("olga", {"wakestorm_session": chosen})
    wrong = ["the session that a stranger chose is taken"] if cookies["wakestorm_session"] == chosen else []
    cookie = as_header(cookies)
    count = 0
    for form in FORMS:
        for fields, headers in (
            ({}, {}),
            ({"csrf_token": "A" * 43}, {}),
            ({"csrf_token": ""}, {"origin": "http://evil.example"}),
            ({}, {"origin": "null"}),
            ({}, {"sec-fetch-site": "cross-site"}),
        ):
            said = {"cookie": cookie, "content-type": FORM, **headers}
            answer = await server.exchange("POST", form.replace("{id}", NOBODY), said, urlencode(fields).encode())
            count += 1
            if answer.status != 403:
                wrong.append(f"{form} with {headers or fields}: {answer.status}")
    return Figure(
        id="S9 forgeries",
        title="Forms that did not come from a page of the server, with an operator's cookie",
        found=f"{count} forms, {len(wrong)} taken",
        limit="0",
        holds=not wrong,
        details=tuple(wrong),
    )


async def _climbing(server: AttackedServer, viewer: str) -> Figure:
    """Paths that climb out of their folder."""
    wrong = []
    for path in CLIMBING:
        answer = await server.exchange("GET", path, {"authorization": f"Bearer {viewer}"})
        if answer.status < 400 or b"root:" in answer.body or b"RIGHTS" in answer.body:
            wrong.append(f"{path}: {answer.status}")
    return Figure(
        id="S9 paths",
        title="Paths that climb out of their folder, as a viewer",
        found=f"{len(CLIMBING)} paths, {len(wrong)} served",
        limit="0",
        holds=not wrong,
        details=tuple(wrong),
    )


async def _guessing(server: AttackedServer) -> Figure:
    """S12: whether the time of a refused sign-in says that a name is known; and when guessing is closed."""
    took_s: dict[str, list[float]] = {"viewer": [], "nobody at all": []}
    for _ in range(TIMING_TRIES):
        for name, times in took_s.items():
            began_s = monotonic_s()
            with suppress(RuntimeError):
                await _wrong(server, name)
            times.append(monotonic_s() - began_s)
    known, unknown = (statistics.median(times) for times in took_s.values())
    statuses = [await _wrong(server, "viewer") for _ in range(3)]
    apart = abs(known - unknown) / max(known, unknown)
    return Figure(
        id="S12 timing",
        title="Guessing names and passwords",
        found=(
            f"refused in {known * 1_000:.0f} ms for a known name, in {unknown * 1_000:.0f} ms for an unknown one; "
            f"after {TIMING_TRIES} more tries: {', '.join(map(str, statuses))}"
        ),
        limit=f"times within {TIMING_SHARE:.0%} of each other, 429 at the sixth try",
        holds=apart <= TIMING_SHARE and statuses[-1] == 429,
    )


async def _wrong(server: AttackedServer, name: str) -> int:
    page = await server.exchange("GET", "/sign-in", {"accept": "text/html"})
    found = re.search(rb'name="csrf_token" value="([^"]+)"', page.body)
    token = found[1].decode() if found else ""
    form = urlencode({"csrf_token": token, "name": name, "password": "not the password"}).encode()
    said = {"cookie": f"wakestorm_form={token}", "content-type": FORM}
    return (await server.exchange("POST", "/sign-in", said, form)).status


async def _slow_talkers(server: AttackedServer) -> Figure:
    """S10: requests that never end, while somebody asks how the server is."""
    writers = []
    for _ in range(SLOW_TALKERS):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nX: ")
        writers.append(writer)
    began_s = monotonic_s()
    answer = await server.exchange("GET", "/health")
    took_s = monotonic_s() - began_s
    for writer in writers:
        writer.transport.abort()
    return Figure(
        id="S10 slow talkers",
        title="Requests over HTTP that never end",
        found=f"{SLOW_TALKERS} open, /health answers {answer.status} in {took_s:.2f} s",
        limit=f"200 within {HEALTH_WITHIN_S:g} s",
        holds=answer.status == 200 and took_s <= HEALTH_WITHIN_S,
    )
