"""`wakestorm db`: the commands on the server's database. Their work is in cli_db, imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

EXIT_CODES_HELP: Final = """
Exit codes: 0 done; 1 an answer of verify is wrong; 3 the database can not be reached, refused, or a program is missing;
64 wrong command line; 70 wakestorm itself broke; 130 interrupted.
"""

DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="DATABASE_URL",
        show_envvar=True,
        metavar="URL",
        help="postgresql://user:password@host:5432/database",
    ),
]

database = typer.Typer(
    name="db",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The server's database: migrate it, verify it, look into it.",
    epilog=EXIT_CODES_HELP,
)


@database.command(epilog=EXIT_CODES_HELP)
def migrate(
    database_url: DatabaseUrl = None,
    revision: Annotated[
        str, typer.Option(metavar="NAME", help="To this revision of the cameras, or of the videos.")
    ] = "head",
    down: Annotated[
        bool, typer.Option("--down", help="Back to an older revision: what newer ones added is deleted.")
    ] = False,
    backup: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Dump the database with pg_dump first; plain SQL where FILE ends with .sql."),
    ] = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL of an empty database instead of running it.")
    ] = False,
) -> None:
    """Bring a database to the newest schema. Its rows stay; running it again changes nothing.

    Others may go on reading and writing meanwhile. Killed in the middle, it goes on when it is started again.

    \b
    Examples:
      wakestorm db migrate --database-url postgresql://postgres@localhost/cameras
      wakestorm db migrate --backup before.dump
      wakestorm db migrate --down --revision legacy_base
      wakestorm db migrate --down --revision 839d4ee251e4
      wakestorm db migrate --sql > schema.sql
    """
    from harness.cli_db import migrate_command

    raise typer.Exit(migrate_command(database_url, revision, as_sql=sql, may_go_down=down, backup=backup))


@database.command(epilog=EXIT_CODES_HELP)
def verify(database_url: DatabaseUrl = None) -> None:
    """Ask the verification queries of the resume migration, and whether the tables of videos are as documented.

    Without a database: an embedded one, freshly migrated.
    """
    from harness.cli_db import verify_command

    raise typer.Exit(verify_command(database_url))


@database.command(epilog=EXIT_CODES_HELP)
def demo(
    database_url: DatabaseUrl = None,
    duplicates: Annotated[
        bool,
        typer.Option(
            "--duplicates", help="Into an empty database: one of before the resume migration, with 78 duplicate rows."
        ),
    ] = False,
) -> None:
    """Load the timeout system's test data: a device whose image waits for the last of its 4 chunks.

    The database is brought to the newest schema first; loading again starts the demo over, other rows stay.

    \b
    Examples:
      wakestorm db demo --database-url postgresql://postgres@localhost/cameras
      wakestorm db demo --duplicates && wakestorm db migrate && wakestorm db verify
    """
    from harness.cli_db import demo_command

    raise typer.Exit(demo_command(database_url, duplicates=duplicates))


@database.command(epilog=EXIT_CODES_HELP)
def stamp(
    revision: Annotated[str, typer.Argument(metavar="NAME", help="A revision of the cameras or of the videos.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Write down that the database stands at a revision, without running anything.

    For a migration that fails with "column already exists" because its changes were made by hand.

    \b
    Examples:
      wakestorm db stamp 002_phase_2_video_mgmt && wakestorm db verify
    """
    from harness.cli_db import stamp_command

    raise typer.Exit(stamp_command(database_url, revision))


@database.command(epilog=EXIT_CODES_HELP)
def orphans(
    database_url: DatabaseUrl = None,
    pin: Annotated[str, typer.Option(metavar="UUID", help="Give them this camera pin.")] = "",
    delete: Annotated[bool, typer.Option("--delete", help="Delete them.")] = False,
) -> None:
    """List videos whose camera pin does not exist; the videos' migration refuses to run while there are any.

    Exit code 1 while there are any.

    \b
    Examples:
      wakestorm db orphans
      wakestorm db orphans --pin 5f0c3d2e-8d1b-4c55-9a52-0d5f3c1f9b11
      wakestorm db orphans --delete
    """
    from harness.cli_db import orphans_command

    raise typer.Exit(orphans_command(database_url, pin, delete=delete))


@database.command(epilog=EXIT_CODES_HELP)
def shell(
    database_url: DatabaseUrl = None,
    demo: Annotated[bool, typer.Option("--demo", help="Load the data of `db demo` first.")] = False,
) -> None:
    """Open psql on the database; without one, on an embedded, freshly migrated one that is gone afterwards.

    \b
    Examples:
      wakestorm db shell --demo
      echo "SELECT * FROM timeout_stale_images()" | wakestorm db shell --demo
    """
    from harness.cli_db import shell_command

    raise typer.Exit(shell_command(database_url, demo=demo))
