"""Every route from outside: without a session, with the wrong role, with another company's ids, with forged forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from server.accounts import ATTEMPTS_OF_BOTH, SCOPES, AccountRefused, NewUser
from server.clock import SteppedClock
from server.web.rights import RIGHTS, Right, entry_of
from server.wire.states import Role
from tests.conftest import Database
from tests.support.originals_world import START, Rig
from tests.support.web_world import (
    PASSWORD,
    Browser,
    add_alert,
    add_company,
    add_device,
    add_image,
    add_user,
    run,
)

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

STRANGERS_ARE_ANSWERED = {Right.EVERYBODY, Right.OWN_TOKEN, Right.BENCH}


def routes_of(router: Any) -> Iterator[tuple[str, str]]:
    """(method, path) of all that a router answers, through the routers that it includes."""
    for route in router.routes:
        if hasattr(route, "effective_candidates"):
            for found in route.effective_candidates():
                yield from _routes_within(found)
        else:
            yield from ((method, route.path) for method in route.methods)


def _routes_within(found: Any) -> Iterator[tuple[str, str]]:
    if hasattr(found, "effective_candidates"):
        for deeper in found.effective_candidates():
            yield from _routes_within(deeper)
    else:
        yield from ((method, found.path) for method in found.methods)


def address_of(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: "style.css" if found[1] == "name" else str(UUID(int=1)), template)


def test_every_route_has_its_right_and_every_right_its_route(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        found = {(method, path) for method, path in routes_of(rig.app.asgi().api) if method != "HEAD"}
        assert found == set(RIGHTS)
        for method, template in RIGHTS:
            entry = entry_of(method, address_of(template))
            assert entry is not None and entry.template == template

    run(migrated_database.dsn("ws_server"), body, clock=SteppedClock(START))


def test_strangers_see_and_do_nothing(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        browser = Browser(rig)
        asked = [(method, template, right) for (method, template), right in RIGHTS.items()]
        for method, template, right in asked:
            if right in STRANGERS_ARE_ANSWERED:
                continue
            answer = await rig.http.request(method, address_of(template), json={})
            assert answer.status_code == 401, (method, template)
            assert answer.headers["content-type"] == "application/problem+json"
            page = await browser.http.request(method, address_of(template))
            is_led = method == "GET" and not template.startswith("/api/")
            assert page.status_code == (303 if is_led else 401), (method, template)
        assert (await rig.http.get("/nothing")).status_code == 404
        assert (await rig.http.get("/static/../config.py")).status_code == 404
        assert (await rig.http.get("/static/base.html")).status_code == 404
        assert (await rig.http.delete("/devices")).headers["allow"] == "GET"

    run(migrated_database.dsn("ws_server"), body)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_do_what_the_table_says(migrated_database: Database, role: Role) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "somebody", role)
        token = await rig.app.accounts.issue_token("somebody", Role.ADMIN, 1)
        for (method, template), right in RIGHTS.items():
            if right.role is None or template in ("/devices/events", "/alerts/events", "/sign-out"):
                continue
            headers = {"authorization": f"Bearer {token}"}
            answer = await rig.http.request(method, address_of(template), headers=headers, json={})
            is_refused = list(Role).index(right.role) > list(Role).index(role)
            assert (answer.status_code == 403) == is_refused, (method, template, answer.text)
            assert answer.status_code != 401

    run(migrated_database.dsn("ws_server"), body)


def test_a_token_does_no_more_than_its_scope_and_ends(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        token = await rig.app.accounts.issue_token("ada", Role.VIEWER, 1)
        rig.http.headers["authorization"] = f"Bearer {token}"
        assert (await rig.http.get("/api/v1/devices")).status_code == 200
        assert (await rig.http.post(f"/api/v1/device-images/{uuid4()}/retry")).status_code == 403
        rig.http.headers["authorization"] = f"Bearer {token[:-1]}"
        assert (await rig.http.get("/api/v1/devices")).status_code == 401
        rig.http.headers["authorization"] = f"Bearer {token}"
        rig.clock.advance(days=1)
        assert (await rig.http.get("/api/v1/devices")).status_code == 401

    run(migrated_database.dsn("ws_server"), body)


@pytest.mark.parametrize("scopes", [["devices:read"], ["videos:write", "alerts:read"], ["messages:write"]])
def test_a_token_with_scopes_is_for_their_routes_only(migrated_database: Database, scopes: list[str]) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        token = await rig.app.accounts.issue_token("ada", Role.OPERATOR, 1, scopes)
        granted = set(scopes) | {scope.replace("write", "read") for scope in scopes}
        reached = set()
        for (method, template), right in RIGHTS.items():
            entry = entry_of(method, address_of(template))
            assert entry is not None and (entry.scope is None) == (right.role is None or template == "/sign-out")
            if entry.scope is None or template.endswith("/events"):
                continue
            headers = {"authorization": f"Bearer {token}"}
            answer = await rig.http.request(method, address_of(template), headers=headers, json={})
            assert (answer.status_code == 403) == (entry.scope not in granted), (method, template, answer.text)
            if answer.status_code == 403:
                assert f'scope="{entry.scope}"' in answer.headers["www-authenticate"]
            else:
                reached.add(entry.scope)
        assert reached >= set(scopes), "a scope that no route asks for is for nothing"

    run(migrated_database.dsn("ws_server"), body)


def test_every_scope_is_for_something_and_a_wrong_one_is_named(migrated_database: Database) -> None:
    found = (entry_of(method, address_of(template)) for method, template in RIGHTS)
    assert {entry.scope for entry in found if entry is not None} - {None} == set(SCOPES)

    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        with pytest.raises(AccountRefused, match=r"no scope 'device:read' \(did you mean devices:read\?\)"):
            await rig.app.accounts.issue_token("ada", Role.VIEWER, 1, ["device:read"])
        with pytest.raises(AccountRefused, match="--role operator"):
            await rig.app.accounts.issue_token("ada", Role.VIEWER, 1, ["devices:write"])

    run(migrated_database.dsn("ws_server"), body)


def test_the_description_says_of_each_route_what_its_door_asks_for(migrated_database: Database) -> None:
    """Complete against the table, and true: a token with the scope that is said gets in, one without it does not."""

    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        described = (await rig.http.get("/openapi.json")).json()
        routes = {
            (method.upper(), path): operation
            for path, operations in described["paths"].items()
            for method, operation in operations.items()
        }
        assert set(routes) >= {route for route in RIGHTS if route[1].startswith(("/api/v1", "/functions"))}
        assert set(described["components"]["securitySchemes"]["bearer"]["x-scopes"]) == set(SCOPES)
        for (method, path), operation in routes.items():
            right, security = RIGHTS[method, path], operation["security"]
            assert operation.get("x-role") == right.role and bool(security) == (right is not Right.EVERYBODY), path
            if right.role is None:
                continue
            (scope,) = security[0]["bearer"]
            assert {"401", "403"} <= set(operation["responses"]), path
            elsewhere = sorted(set(SCOPES) - {scope, scope.replace("read", "write")})
            for scopes, is_let_in in (([scope], True), (elsewhere, False)):
                token = await rig.app.accounts.issue_token("ada", Role.OPERATOR, 1, scopes)
                asked = await rig.http.request(method, address_of(path), headers={"authorization": f"Bearer {token}"})
                assert (asked.status_code not in (401, 403)) is is_let_in, (method, path, scopes, asked.text)

    run(migrated_database.dsn("ws_server"), body)


def test_signing_in_and_out(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "Ada", Role.ADMIN)
        browser = Browser(rig)
        led = await browser.get("/alerts?after=x")
        assert led.headers["location"] == "/sign-in?next=%2Falerts%3Fafter%3Dx"
        answer = await browser.sign_in("ada", "wrong " + PASSWORD)
        assert answer.status_code == 401 and "No user has this name and password" in answer.text
        answer = await browser.sign_in(" ADA ", next="/alerts")
        assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
        (cookie,) = (line for line in answer.headers.get_list("set-cookie") if "wakestorm_session" in line)
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
        page = await browser.get("/devices")
        assert page.status_code == 200 and "ada" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff"
        stolen = browser.http.cookies["wakestorm_session"]
        assert stolen not in str(await rig.rows("SELECT * FROM web_sessions"))
        assert (await browser.form("/devices", "/sign-out")).headers["location"] == "/sign-in"
        browser.http.cookies.set("wakestorm_session", stolen)
        assert (await browser.get("/devices")).status_code == 303
        assert PASSWORD not in "".join(rig.lines)

    run(migrated_database.dsn("ws_server"), body)


def test_the_sign_in_leads_nowhere_else(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.VIEWER)
        for elsewhere in ("//evil.example", "https://evil.example/", "/\\evil.example", "/sign-out", "x"):
            answer = await Browser(rig).sign_in("ada", next=elsewhere)
            assert answer.headers["location"] == "/devices", elsewhere

    run(migrated_database.dsn("ws_server"), body)


def test_a_session_ends_by_itself_and_with_its_password(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.VIEWER)
        browser = Browser(rig)
        await browser.sign_in("ada")
        for _ in range(13):  # 143 hours
            rig.clock.advance(hours=11)
            assert (await browser.get("/devices")).status_code == 200
        rig.clock.advance(hours=11)
        await browser.get("/devices")
        rig.clock.advance(hours=11)
        await browser.get("/devices")
        rig.clock.advance(hours=11)
        assert (await browser.get("/devices")).status_code == 303, "seven days"
        await browser.sign_in("ada")
        rig.clock.advance(hours=12, seconds=1)
        assert (await browser.get("/devices")).status_code == 303, "twelve idle hours"
        await browser.sign_in("ada")
        await rig.app.accounts.set_password("ada", PASSWORD + "!")
        assert (await browser.get("/devices")).status_code == 303, "another password"

    run(migrated_database.dsn("ws_server"), body)


def test_guessing_is_closed_after_a_few_tries_and_opens_again(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        browser = Browser(rig)
        for number in range(ATTEMPTS_OF_BOTH):
            assert (await browser.sign_in("ada", f"wrong password {number}")).status_code == 401
        closed = await browser.sign_in("ada")
        assert closed.status_code == 429, "the right password too"
        assert int(closed.headers["retry-after"]) == 15 * 60
        assert "try again in 15 minutes" in closed.text
        rig.clock.advance(minutes=15, seconds=1)
        assert (await browser.sign_in("ada")).status_code == 303
        assert await rig.rows("SELECT * FROM web_sign_in_attempts WHERE attempted_at > $1", START) == []

    run(migrated_database.dsn("ws_server"), body)


FORGERIES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("no token", {}, {}),
    ("a made-up token", {"csrf_token": "x" * 43}, {}),
    ("another origin", {"csrf_token": "right"}, {"origin": "http://evil.example"}),
    ("a sandboxed page", {"csrf_token": "right"}, {"origin": "null"}),
    ("another site", {"csrf_token": "right"}, {"sec-fetch-site": "cross-site"}),
]


def test_a_forged_form_changes_nothing(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        await add_user(rig, "ada", Role.ADMIN)
        device_id = await add_device(rig, 1)
        image_id = await add_image(rig, device_id, "image_1.jpg")
        alert_id = await add_alert(rig, device_id, "failed")
        browser = Browser(rig)
        await browser.sign_in("ada")
        right = (await rig.rows("SELECT csrf_token FROM web_sessions"))[0]["csrf_token"]
        addresses = (
            f"/devices/{device_id}/retry-failed",
            f"/devices/{device_id}/images/{image_id}/retry",
            f"/alerts/{alert_id}/resolve",
            f"/api/v1/devices/{device_id}/retry-failed",
            f"/api/v1/alerts/{alert_id}/resolve",
            "/sign-out",
        )
        for why, fields, headers in FORGERIES:
            sent = {name: right if value == "right" else value for name, value in fields.items()}
            for address in addresses:
                answer = await browser.http.post(address, data=sent, headers=headers)
                assert answer.status_code == 403, (why, address)
        assert await rig.rows("SELECT * FROM device_commands") == []
        assert len(await rig.rows("SELECT * FROM device_alerts WHERE resolved_at IS NULL")) == 1
        answer = await browser.http.post("/sign-out", data={"csrf_token": right})
        assert answer.status_code == 303

    run(migrated_database.dsn("ws_server"), body)


OPEN = {
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/static/{name}"),
}
"""All that a stranger may ask for."""


def test_what_is_open_is_written_down_twice_and_what_changes_rows_takes_an_operator() -> None:
    assert {route for route, right in RIGHTS.items() if right is Right.EVERYBODY} == OPEN
    for (method, template), right in RIGHTS.items():
        if method == "GET" and right not in STRANGERS_ARE_ANSWERED:
            assert right is Right.VIEWER, template
        if method != "GET" and template not in ("/sign-in", "/sign-out"):
            assert right in (Right.OPERATOR, Right.ADMIN, Right.OWN_TOKEN, Right.BENCH), template


def test_another_companys_rows_are_not_there(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        mine, theirs = await add_company(rig, "Acorn"), await add_company(rig, "Birch")
        await add_user(rig, "ada", Role.ADMIN, "Acorn")
        await add_device(rig, 1, name="Mine", company_id=mine)
        device_id = await add_device(rig, 2, name="Theirs", company_id=theirs)
        image_id = await add_image(rig, device_id, "image_1.jpg")
        alert_id = await add_alert(rig, device_id, "their trouble")
        token = await rig.app.accounts.issue_token("ada", Role.ADMIN, 1)
        rig.http.headers["authorization"] = f"Bearer {token}"
        listed = (await rig.http.get("/api/v1/devices")).json()["items"]
        assert [row["device_name"] for row in listed] == ["Mine"]
        assert (await rig.http.get("/api/v1/alerts")).json()["items"] == []
        for method, address in (
            ("GET", f"/api/v1/devices/{device_id}"),
            ("GET", f"/api/v1/devices/{device_id}/failed-images"),
            ("POST", f"/api/v1/devices/{device_id}/retry-failed"),
            ("POST", f"/api/v1/device-images/{image_id}/retry"),
            ("POST", f"/api/v1/alerts/{alert_id}/resolve"),
            ("GET", f"/devices/{device_id}"),
        ):
            theirs_said = await rig.http.request(method, address, json={})
            assert theirs_said.status_code == 404, (method, address)
        assert (await rig.http.get("/metrics")).status_code == 403
        assert await rig.rows("SELECT * FROM device_commands") == []

    run(migrated_database.dsn("ws_server"), body)


def test_names_and_passwords_that_are_not_taken(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        accounts = rig.app.accounts
        for name, password, words in (
            ("a b", PASSWORD, "user name 'a b'"),
            ("", PASSWORD, "user name ''"),
            ("ada", "short", "12 to 256 characters"),
        ):
            with pytest.raises(ValueError, match=words):
                await accounts.add_user(NewUser(name, password, Role.ADMIN))
        await add_user(rig, "lin", Role.ADMIN)
        with pytest.raises(AccountRefused, match="there is a user lin already"):
            await add_user(rig, "LIN", Role.VIEWER)
        with pytest.raises(AccountRefused, match="company 'Oak': none"):
            await add_user(rig, "oak", Role.VIEWER, "Oak")

    run(migrated_database.dsn("ws_server"), body)


def test_insecure_local_asks_nobody_but_answers_to_this_machine_only(migrated_database: Database) -> None:
    async def body(rig: Rig) -> None:
        device_id = await add_device(rig, 1)
        assert (await rig.http.get("/devices")).status_code == 200
        path = f"/api/v1/devices/{device_id}/retry-failed"
        assert (await rig.http.post(path)).status_code == 202
        assert (await rig.http.post(path, headers={"origin": "http://evil.example"})).status_code == 403
        assert (await rig.http.get("/devices", headers={"host": "evil.example"})).status_code == 421
        assert (await rig.http.post(f"/devices/{device_id}/retry-failed", data={})).status_code == 403
        transport = httpx.ASGITransport(app=rig.app.asgi())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as local:
            page = await local.get("/devices/" + str(device_id))
            assert page.status_code == 200 and "insecure, local only" in page.text
            token = local.cookies["wakestorm_form"]
            sent = await local.post(f"/devices/{device_id}/retry-failed", data={"csrf_token": token})
            assert sent.status_code == 303

    run(migrated_database.dsn("ws_server"), body, insecure_local=True)
