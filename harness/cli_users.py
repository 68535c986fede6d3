"""`wakestorm user`: who signs in to the pages and the HTTP API of a server."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from harness.cli_originals import DatabaseUrl, named_database

user = typer.Typer(
    name="user",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Users of the reference server's pages and HTTP API: who signs in, and what each may do.",
)

EXIT_CODES_HELP = "Exit codes: 0 done; 3 database not to be had; 64 wrong usage, or a name or password not taken."


class RoleChoice(StrEnum):
    """What a user may do: `server.wire.states.Role`, which `--help` need not import; a test holds them equal."""

    viewer = "viewer"
    operator = "operator"
    admin = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", help="As it is typed at the sign-in; upper case does not count.")]
RoleOption = Annotated[
    RoleChoice,
    typer.Option(help="viewer sees; operator also retries, resolves, uploads and deletes; admin may do everything."),
]
FromInput = Annotated[
    bool, typer.Option("--password-stdin", help="Take the password from standard input instead of asking for it.")
]


@user.command(epilog=EXIT_CODES_HELP)
def add(
    name: Name,
    role: RoleOption = RoleChoice.viewer,
    company: Annotated[
        str, typer.Option(metavar="COMPANY", help="Sees this company's devices only. Without: every company's.")
    ] = "",
    password_stdin: FromInput = False,
    database_url: DatabaseUrl = "",
) -> None:
    """Make a user; asks for the password, 12 to 256 characters.

    \b
    Examples:
      wakestorm user add ada --role admin
      wakestorm user add lin --role operator --company "Acorn Ltd" --password-stdin < password.txt
    """
    from server.cli import add_user

    url = named_database(database_url)
    raise typer.Exit(add_user(url, name, _password(password_stdin), role.value, company or None))


@user.command(name="list", epilog=EXIT_CODES_HELP)
def list_users(database_url: DatabaseUrl = "") -> None:
    """List users: name, role, company, when they were last here.

    \b
    Examples:
      wakestorm user list
    """
    from server.cli import print_users

    raise typer.Exit(print_users(named_database(database_url)))


@user.command(epilog=EXIT_CODES_HELP)
def password(name: Name, password_stdin: FromInput = False, database_url: DatabaseUrl = "") -> None:
    """Set a new password; whoever is signed in with the old one is signed out, tokens end.

    \b
    Examples:
      wakestorm user password ada
    """
    from server.cli import set_password

    raise typer.Exit(set_password(named_database(database_url), name, _password(password_stdin)))


@user.command(epilog=EXIT_CODES_HELP)
def remove(name: Name, database_url: DatabaseUrl = "") -> None:
    """Take a user away, at once and with every session and token.

    \b
    Examples:
      wakestorm user remove lin
    """
    from server.cli import remove_user

    raise typer.Exit(remove_user(named_database(database_url), name))


@user.command(epilog=EXIT_CODES_HELP)
def token(
    name: Name,
    role: RoleOption = RoleChoice.viewer,
    days: Annotated[int, typer.Option(min=1, max=366, metavar="N", help="It ends after so many days.")] = 90,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE",
            help="Only this of what its role may, such as devices:read or videos:write (which reads too); several "
            "are allowed. Areas: devices, alerts, originals, videos, runs, metrics, messages. Without: all of it.",
        ),
    ] = None,
    database_url: DatabaseUrl = "",
) -> None:
    """Print a bearer token for programs. It is shown this once; it may never do more than its user.

    \b
    Examples:
      wakestorm user token ada --role viewer --days 30
      wakestorm user token ada --role operator --scope videos:write --scope alerts:read
      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/api/v1/devices
    """
    from server.cli import print_token

    raise typer.Exit(print_token(named_database(database_url), name, role.value, days, scope or []))


def _password(from_input: bool) -> str:
    from harness.errors import UsageError

    if from_input:
        given: str = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        given = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise UsageError("there is no terminal to ask for a password", hint="give it with --password-stdin")
    return given
