"""What must never be read anywhere: passwords, tokens and cookies, looked for in all that a real server leaves."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path

import asyncpg
import httpx
import pytest

from harness.bench.brokers import BrokerProcess
from harness.cli import exit_code_of
from tests.conftest import Database
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

DATABASE, BROKER, MONITOR, PERSON = (f"never-to-be-read-{word}" for word in ("database", "broker", "monitor", "person"))
OWN_FILES_OF_BROKER = {".json", ".toml"}
"""What a broker is told its login by; what it says stands beside them."""

FORM = re.compile(r'name="csrf_token" value="([^"]+)"')


def test_no_secret_stands_in_anything_that_a_server_writes(
    migrated_database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log and its broker's, with lost connections to both in them, its metrics and pages, its objects, all rows."""
    url = migrated_database.dsn("ws_server")
    assert exit_code_of(["logins", "add", "wakestorm-server", "--role", "server", "--database-url", url]) == 0
    login = capsys.readouterr().out.strip().partition(",")[2]
    with_password = re.sub(r"//([^@/:]*)(:[^@/]*)?@", rf"//\1:{DATABASE}@", url, count=1)
    assert DATABASE in with_password
    said: list[str] = []
    with BrokerProcess("iotcore", tmp_path / "broker", login=("wakestorm-server", BROKER)) as broker:
        options = [
            *("--database-url", with_password, "--monitor-token", MONITOR, "--objects", str(tmp_path / "objects")),
            *("--mqtt-url", f"mqtt://wakestorm-server:{BROKER}@127.0.0.1:{broker.port}"),
        ]
        with ServerProcess(tmp_path, *options, insecure_local=False) as server:
            assert server.ready_line, (tmp_path / "server.log").read_text()
            token, cookie = asyncio.run(_visited(server.url, url, said))
            asyncio.run(_database_lost(migrated_database.superuser_dsn, server.url, token))
            broker.kill()
            assert server.end(signal.SIGTERM) == 0
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in OWN_FILES_OF_BROKER]
    assert any(path.parent.name == "broker" for path in left), "the broker's log is there"
    text = b"\n".join(path.read_bytes() for path in left).decode("utf-8", "replace") + "\n".join(said)
    for line in ("[Web] Signed in: ada", "Database failed", "lost: "):
        assert line in text, f"the log is there: {line}"
    rows = asyncio.run(_rows(url))
    assert "wakestorm-server" in rows, "the rows are there"
    for name, secret in {
        "database": DATABASE, "broker": BROKER, "monitor": MONITOR, "person": PERSON, "login": login,
        "token": token, "cookie": cookie,
    }.items():  # fmt: skip
        assert secret and secret not in text, f"{name}: in a log, a page or an object"
        assert secret not in rows, f"{name}: in the database"


async def _database_lost(superuser: str, address: str, token: str) -> None:
    """A message meets a table that is gone, then every connection of the server is cut."""
    connection = await asyncpg.connect(superuser)
    headers = {"authorization": f"Bearer {token}"}
    message = {"topic": "ESP32CAM/B8F862F9C1C4/status", "payload": {"status": "Alive", "pendingImg": 0}}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60) as client:
        asked = "/functions/v1/mqtt_device_handler"
        await connection.execute("ALTER TABLE devices RENAME TO gone")
        assert (await client.post(asked, json=message)).status_code == 503
        await connection.execute("ALTER TABLE gone RENAME TO devices")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ws_server'")
        await client.get("/health")
    await connection.close()


async def _visited(address: str, url: str, said: list[str]) -> tuple[str, str]:
    """Signs in, rightly and wrongly, asks for pages, and sends what is refused; the token and the cookie."""
    from server.accounts import NewUser
    from server.accounts_database import added, token_issued
    from server.wire.states import Role

    await asyncio.to_thread(added, url, NewUser("ada", PERSON, Role.ADMIN))
    token = await asyncio.to_thread(token_issued, url, "ada", Role.ADMIN, 1, [])
    async with httpx.AsyncClient(base_url=address, headers={"accept": "text/html"}) as browser:
        for name, password in (("ada", PERSON + "?"), (PERSON, PERSON), ("ada", PERSON)):  # one in the wrong field
            found = FORM.search((await browser.get("/sign-in")).text)
            assert found is not None
            form = {"csrf_token": found[1], "name": name, "password": password}
            answer = await browser.post("/sign-in", data=form)
        assert answer.status_code == 303
        cookie = browser.cookies["wakestorm_session"]
        said += [(await browser.get(page)).text for page in ("/devices", "/alerts", "/quarantine", "/health")]
        for bearer in (token, token[:-1], MONITOR):
            headers = {"authorization": f"Bearer {bearer}"}
            said.append((await browser.get("/metrics", headers=headers)).text)
            said.append((await browser.post("/functions/v1/monitor_image_timeouts", headers=headers)).text)
            message = {"topic": "ESP32CAM/B8F862F9C1C4/data", "payload": "not json"}
            said.append((await browser.post("/functions/v1/mqtt_device_handler", headers=headers, json=message)).text)
    return token, cookie


async def _rows(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = [await connection.fetch(f'SELECT t::text FROM "{row["tablename"]}" t') for row in tables]
        return "\n".join(str(list(rows)) for rows in found)
    finally:
        await connection.close()
