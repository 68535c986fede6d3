"""`wakestorm logins | broker-config | certs`: who comes in at the MQTT broker, and the files that say so."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli_originals import DatabaseUrl, named_database

if TYPE_CHECKING:
    from server.wire.mosquitto import Tls

logins = typer.Typer(
    name="logins",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Logins at the MQTT broker: one for each device, each server, and one that newcomers share.",
)
broker_config = typer.Typer(
    name="broker-config",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Write the files of an MQTT broker that lets each device use its own topics only.",
)

EXIT_CODES_HELP = "Exit codes: 0 done; 3 database not to be had; 64 wrong usage, or a name not taken."


class LoginRole(StrEnum):
    """What a login is for: `server.wire.access.Role`, which `--help` need not import; a test holds them equal."""

    device = "device"
    enrolment = "enrolment"
    server = "server"


RoleOption = Annotated[
    LoginRole,
    typer.Option(help="device: its own topics; enrolment: HELLO of newcomers, shared; server: what a server needs."),
]


@logins.callback()
def _logins() -> None:
    """Each is a command."""


@logins.command(epilog=EXIT_CODES_HELP)
def add(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="A device's MAC, or a user name.")],
    role: RoleOption = LoginRole.device,
    database_url: DatabaseUrl = "",
) -> None:
    """Make logins, or give them new passwords; prints `name,password`, this once.

    They count when `wakestorm broker-config mosquitto` has written its files again and mosquitto has read them.

    \b
    Examples:
      wakestorm logins add wakestorm-server --role server
      wakestorm logins add newcomer --role enrolment
      wakestorm logins add B8F862F9C1C4 A4CF12000001 > new-passwords.csv
    """
    from server.broker_logins import issued
    from server.wire.access import Role

    for login in issued(named_database(database_url), names, Role(role.value)):
        print(f"{login.user_name},{login.password}")


@logins.command(name="add-missing", epilog=EXIT_CODES_HELP)
def add_missing(database_url: DatabaseUrl = "") -> None:
    """Make a login for every approved device that has none; prints `name,password` for each, this once.

    \b
    Examples:
      wakestorm logins add-missing > new-passwords.csv
    """
    from server.broker_logins import issued_to_all

    made = issued_to_all(named_database(database_url))
    for login in made:
        print(f"{login.user_name},{login.password}")
    print(f"{len(made)} devices have a login now", file=sys.stderr)


@logins.command(name="list", epilog=EXIT_CODES_HELP)
def list_logins(database_url: DatabaseUrl = "") -> None:
    """List logins: name, role, age of the password, and whether it may come in.

    \b
    Examples:
      wakestorm logins list
    """
    from server.broker_logins import logins as listed

    row = "{:<26}{:<12}{:<22}{}"
    print(row.format("NAME", "ROLE", "PASSWORD OF", "MAY COME IN"))
    for login in listed(named_database(database_url)):
        when = f"{login.updated_at:%Y-%m-%d %H:%M} UTC"
        print(row.format(login.user_name, login.role, when, "yes" if login.may_come else "no, inactive"))


@logins.command(epilog=EXIT_CODES_HELP)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A device's MAC, or a user name.")],
    database_url: DatabaseUrl = "",
) -> None:
    """Take a login away.

    \b
    Examples:
      wakestorm logins revoke B8F862F9C1C4
    """
    from server.broker_logins import revoked

    revoked(named_database(database_url), name)
    print(f"{name} has no login now; write the broker's files again")


@broker_config.callback()
def _broker_config() -> None:
    """Each broker is a command."""


@broker_config.command(epilog=EXIT_CODES_HELP)
def mosquitto(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files are written.")] = Path("mosquitto"),
    host: Annotated[str, typer.Option(metavar="HOST", help="Where mosquitto listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, metavar="N", help="Its port.")] = 8883,
    enrolment_port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="The port where newcomers say HELLO; 0: none.")
    ] = 8884,
    certs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="ca.crt, broker.crt and broker.key, as `wakestorm certs` makes them."),
    ] = None,
    client_certificates: Annotated[
        bool, typer.Option("--client-certificates", help="A certificate is the login; passwords are not asked for.")
    ] = False,
    database_url: DatabaseUrl = "",
) -> None:
    """Write mosquitto.conf, passwords and acl from the logins in the database; mosquitto 2.0 or later.

    Each device may use its own topics only and is known by its user name. Passwords are hashes. Without --certs there
    is no TLS, which is for loopback only.

    \b
    Examples:
      wakestorm logins add wakestorm-server --role server
      wakestorm certs --out certs --host broker.example
      wakestorm broker-config mosquitto --host 0.0.0.0 --certs certs --out /etc/mosquitto/wakestorm
      mosquitto -c /etc/mosquitto/wakestorm/mosquitto.conf
    """
    from server.broker_logins import write_mosquitto
    from server.wire.mosquitto import Listeners

    listeners = Listeners(
        host=host, port=port, enrolment_port=enrolment_port or None, tls=_tls(certs, client_certificates)
    )
    count = write_mosquitto(named_database(database_url), out, listeners)
    print(f"{out}: mosquitto.conf, passwords and acl for {count} logins")
    print(
        f"start: mosquitto -c {out / 'mosquitto.conf'}; once it runs, SIGHUP makes it read them again", file=sys.stderr
    )
    if os.geteuid() == 0:
        print(f"started by root, mosquitto becomes the user mosquitto: chown -R mosquitto {out} first", file=sys.stderr)


def _tls(certs: Path | None, by_certificate: bool) -> Tls | None:
    from harness.errors import UsageError
    from server.wire.mosquitto import Tls

    if certs is None:
        if by_certificate:
            raise UsageError("--client-certificates needs TLS", hint="name the folder of the certificates with --certs")
        return None
    files = {name: certs.absolute() / name for name in ("ca.crt", "broker.crt", "broker.key")}
    for name, file in files.items():
        if not file.is_file():
            raise UsageError(f"--certs {certs}: no {name} there", hint="`wakestorm certs` makes all of them")
    revoked = certs.absolute() / "ca.crl"
    return Tls(
        ca_file=str(files["ca.crt"]),
        certificate_file=str(files["broker.crt"]),
        key_file=str(files["broker.key"]),
        by_certificate=by_certificate,
        revoked_file=str(revoked) if revoked.is_file() else None,
    )


def certs(
    clients: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="User names that get a client certificate.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where they are written; a CA that is there stays.")] = Path(
        "certs"
    ),
    host: Annotated[
        list[str] | None, typer.Option("--host", metavar="HOST", help="Name or address of the broker; repeatable.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, metavar="N", help="They end after so many days.")] = 365,
    revoke: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Put this client's certificate on the list of revoked ones."),
    ] = None,
    expired: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Make this client a certificate that has ended: a broker must refuse it."),
    ] = None,
) -> None:
    """Make a CA for tests, the broker's certificate, client certificates, and the list of revoked ones.

    A client certificate's common name is its user name: a device's MAC, or the server's login. The CA's key lies
    unprotected in the folder: this is for tests.

    \b
    Examples:
      wakestorm certs
      wakestorm certs --host broker.example wakestorm-server B8F862F9C1C4
      wakestorm certs --revoke B8F862F9C1C4
      wakestorm certs --expired LATE-CAMERA
    """
    from server.certificates import Names, make

    hosts = host if host is not None else [] if revoke or expired else ["localhost", "127.0.0.1"]
    names = Names(hosts=hosts, clients=clients or (), days=days, revoked=revoke or (), expired=expired or ())
    for file in make(out, names):
        print(file)
