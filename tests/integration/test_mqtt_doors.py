"""Logins in the database, files for mosquitto, certificates: the doors from the command line to a camera's picture."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from harness.bench.brokers import BrokerProcess, OwnConfiguration, free_port, missing_reason
from harness.cli import exit_code_of
from harness.errors import BenchUnavailable
from harness.hostile import brokers
from harness.hostile.certified import ways_tried
from harness.hostile.figure import Figure
from harness.hostile.isolation import SPY, Place
from harness.hostile.prober import Prober
from server import broker_logins, certificates
from server.serving import ServeError
from server.wire.access import Role
from server.wire.mosquitto import Listeners, Tls, is_password_of
from simulator.link import Link, LinkSettings
from simulator.link.paho import PahoLink
from simulator.link.raw import RawLink
from tests.conftest import Database
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
A, B, NEW = "A4CF12000001", "B8F862F9C1C4", "C0FFEE000001"
SERVER, ENROLMENT = "wakestorm-server", "newcomer"


@pytest.fixture
def url(migrated_database: Database) -> str:
    """A database with two devices."""

    async def fill() -> None:
        connection = await asyncpg.connect(migrated_database.dsn("ws_owner"))
        await connection.execute(
            "INSERT INTO devices (device_mac, provisioning_status, wake_schedule_cron) "
            "SELECT mac, 'mapped', '0 */3 * * *' FROM unnest($1::text[]) mac",
            [A, B],
        )
        await connection.close()

    asyncio.run(fill())
    return migrated_database.dsn("ws_server")


def test_logins_are_made_once_shown_once_and_kept_as_hashes(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = ["--database-url", url]
    assert exit_code_of(["logins", "add", SERVER, "--role", "server", *environment]) == 0
    assert exit_code_of(["logins", "add", "b8:f8:62:f9:c1:c4", *environment]) == 0
    shown = dict(line.split(",") for line in capsys.readouterr().out.splitlines())
    assert set(shown) == {SERVER, B} and all(len(password) == 32 for password in shown.values())
    kept = {login.user_name: login for login in broker_logins.logins(url)}
    assert all(is_password_of(shown[name], kept[name].password_hash) for name in shown)
    assert exit_code_of(["logins", "add-missing", *environment]) == 0
    assert capsys.readouterr().out.startswith(f"{A},")
    assert exit_code_of(["logins", "add", B, *environment]) == 0
    assert dict(line.split(",") for line in capsys.readouterr().out.splitlines())[B] != shown[B]
    assert exit_code_of(["logins", "revoke", B, *environment]) == 0
    assert exit_code_of(["logins", "list", *environment]) == 0
    out = capsys.readouterr().out
    assert A in out and SERVER in out and not any(password in out for password in shown.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "C0FFEE000001"], "has no device C0FFEE000001"),
        (["add", "a/b", "--role", "server"], "is no user name"),
        (["add", "#", "--role", "enrolment"], "is no user name"),
        (["revoke", "nobody"], "has no login 'nobody'"),
    ],
)
def test_bad_logins_are_refused_in_a_line(
    url: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(["logins", *arguments, "--database-url", url]) == 64
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a/b"], "only letters, digits"),
        (["--revoke", "NOBODY"], "NOBODY.crt: no such certificate"),
        ([A, "--expired", A], "can't be valid and expired"),
        (["--expired", "ca"], "it is taken"),
    ],
)
def test_certificates_that_can_not_be_are_refused_in_a_line_and_nothing_is_written(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(["certs", *arguments, "--out", str(tmp_path / "certs")]) == 64
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert not (tmp_path / "certs").exists()


def test_the_files_are_private_and_refused_where_they_would_be_open(url: str, tmp_path: Path) -> None:
    with pytest.raises(ServeError, match="no server could connect"):
        broker_logins.write_mosquitto(url, tmp_path / "m", Listeners(host="127.0.0.1", port=1))
    broker_logins.issued(url, [SERVER], Role.SERVER)
    with pytest.raises(ServeError, match="in the clear"):
        broker_logins.write_mosquitto(url, tmp_path / "m", Listeners(host="0.0.0.0", port=1))
    password = broker_logins.issued(url, [A], Role.DEVICE)[0].password
    assert broker_logins.write_mosquitto(url, tmp_path / "m", Listeners(host="127.0.0.1", port=1)) == 2
    files = list((tmp_path / "m").iterdir())
    assert {file.name for file in files} == {"mosquitto.conf", "passwords", "acl"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert not any(password in file.read_text() for file in files)


def skip_without_mosquitto() -> None:
    reason = missing_reason("mosquitto", os.environ)
    if reason is not None:
        pytest.skip(reason)


def context(certs: Path, name: str | None = None) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=str(certs / "ca.crt"))
    if name is not None:
        tls.load_cert_chain(certs / f"{name}.crt", certs / f"{name}.key")
    return tls


@contextlib.contextmanager
def mosquitto(url: str, folder: Path, certs: Path, enrolment_port: int) -> Iterator[BrokerProcess]:
    """The broker with the files of this database, on TLS; a client certificate is the login."""

    def text(where: Path, port: int) -> str:
        tls = Tls(
            ca_file=str(certs / "ca.crt"),
            certificate_file=str(certs / "broker.crt"),
            key_file=str(certs / "broker.key"),
            by_certificate=True,
            revoked_file=str(certs / "ca.crl"),
        )
        listeners = Listeners(host="127.0.0.1", port=port, enrolment_port=enrolment_port, tls=tls)
        broker_logins.write_mosquitto(url, where, listeners)
        return (where / "mosquitto.conf").read_text()

    with BrokerProcess("mosquitto", folder, configuration=OwnConfiguration(text, context(certs, SERVER))) as broker:
        yield broker


def test_a_camera_over_tls_with_its_certificate_and_a_newcomer(url: str, tmp_path: Path) -> None:
    """The server's own client, the raw link and paho by certificate; the newcomer by the password that all share."""
    skip_without_mosquitto()
    certs, enrolment_port = tmp_path / "certs", free_port()
    certificates.make(certs, certificates.Names(hosts=["127.0.0.1"], clients=[SERVER, A, B], days=1))
    broker_logins.issued(url, [SERVER], Role.SERVER)
    (newcomer,) = broker_logins.issued(url, [ENROLMENT], Role.ENROLMENT)
    with mosquitto(url, tmp_path / "broker", certs, enrolment_port) as broker:
        options = {
            "--database-url": url,
            "--mqtt-url": f"mqtts://{SERVER}@127.0.0.1:{broker.port}",
            "--ca-file": str(certs / "ca.crt"),
            "--certificate": str(certs / f"{SERVER}.crt"),
            "--objects": str(tmp_path / "objects"),
        }
        with ServerProcess(tmp_path, *(word for pair in options.items() for word in pair)) as server:
            assert server.ready_line, (tmp_path / "server.log").read_text()
            asyncio.run(_cameras(broker, certs, enrolment_port, newcomer, url))
    assert newcomer.password not in (tmp_path / "server.log").read_text()


async def _cameras(
    broker: BrokerProcess, certs: Path, enrolment_port: int, newcomer: broker_logins.NewLogin, url: str
) -> None:
    hello = b'{"status": "Alive", "pendingImg": 0}'
    for make, mac in ((RawLink, A), (PahoLink, B)):
        answers: asyncio.Queue[str] = asyncio.Queue()
        settings = LinkSettings(
            host="127.0.0.1",
            port=broker.port,
            client_id="whatever",
            filters=((f"ESP32CAM/{mac}/cmd", 1),),
            tls=context(certs, mac),
        )
        link: Link = make(settings, lambda topic, _, told=answers: told.put_nowait(topic), lambda reason: None)
        await link.connect()
        await link.publish(f"ESP32CAM/{mac}/status", hello)
        async with asyncio.timeout(60):
            assert await answers.get() == f"ESP32CAM/{mac}/cmd"
        await link.disconnect()
    prober = await Prober.open("127.0.0.1", enrolment_port, context(certs))
    assert await prober.connect(b"x", newcomer.user_name.encode(), newcomer.password.encode()) == 0
    for mac in (A, NEW):  # the first one is known: whoever knows the newcomers' password speaks not for it
        await prober.publish(f"ESP32CAM/{mac}/status", hello)
    await prober.close()
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval("SELECT count(*) FROM devices WHERE device_mac = $1", NEW) == 0:
                await asyncio.sleep(0.02)
        of_a = "SELECT message_count FROM device_wake_sessions JOIN devices USING (device_id) WHERE device_mac = $1"
        assert [row["message_count"] for row in await connection.fetch(of_a, A)] == [1]
        status = "SELECT provisioning_status FROM devices WHERE device_mac = $1"
        assert await connection.fetchval(status, NEW) == "pending_approval"
    finally:
        await connection.close()


@pytest.mark.parametrize(("without", "opened"), [(None, []), ("crlfile", ["a revoked certificate"])])
def test_no_other_certificate_opens(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], without: str | None, opened: list[str]
) -> None:
    """The measure of `bench hostile` S11: nothing today, and what a line that is missing lets in."""
    skip_without_mosquitto()

    async def command(*words: object) -> str:
        database = [] if words[0] == "certs" else ["--database-url", url]
        if await asyncio.to_thread(exit_code_of, [*map(str, words), *database]):
            raise BenchUnavailable(capsys.readouterr().err)
        return capsys.readouterr().out

    async def body() -> tuple[Figure, bool]:
        async with brokers.certified(command, tmp_path, without) as broker:
            return await ways_tried(command, broker), await _is_one_elses_certificate_no_more_than_its_name(
                broker.place
            )

    figure, is_no_more = asyncio.run(body())
    assert list(figure.details) == opened and figure.holds is not bool(opened)
    assert is_no_more


async def _is_one_elses_certificate_no_more_than_its_name(place: Place) -> bool:
    """With A's certificate, as B by every other name."""
    spy = await place.connection(SPY)
    assert await spy.connect(b"s", None, None) == 0
    await spy.subscribe("ESP32CAM/+/status", 1)
    for client_id, user_name, mac, word in ((B.encode(), B.encode(), B, b"evil"), (B.encode(), None, A, b"own")):
        prober = await place.connection(A)
        assert await prober.connect(client_id, user_name, user_name and b"") == 0
        await prober.publish(f"ESP32CAM/{mac}/status", word)
        await prober.close()
    heard = await spy.until(b"own")
    await spy.close()
    return heard == []
