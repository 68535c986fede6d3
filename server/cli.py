"""The server's own commands: `wakestorm serve` (also `python -m server.cli`) and those on its database."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from server.command_line import run_app

EXIT_CODES_HELP: Final = """
Exit codes: 0 stopped by SIGTERM or Ctrl-C; 3 database, broker or port not to be had, or the schema is of another
revision; 64 wrong command line; 70 a bug ended the server.
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class LogFormat(StrEnum):
    """How log lines are written."""

    json = "json"
    text = "text"


@app.command(epilog=EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
def serve(
    database_url: Annotated[
        str,
        typer.Option(envvar=["WAKESTORM_DATABASE_URL", "DATABASE_URL"], metavar="URL", help="PostgreSQL 15 or later."),
    ] = "",
    mqtt_url: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_MQTT_URL", metavar="URL", help="mqtt://[user:password@]host[:port], mqtts://"),
    ] = "mqtt://127.0.0.1:1883",
    objects: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_OBJECTS", metavar="DIR|URL", help="Where images are kept: a folder, s3://..."),
    ] = "objects",
    http: Annotated[
        str, typer.Option(envvar="WAKESTORM_HTTP", metavar="HOST:PORT", help="Port 0 takes a free one.")
    ] = "127.0.0.1:8080",
    client_id: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_CLIENT_ID", help="MQTT client id; each server needs its own, always the same."),
    ] = "wakestorm-server",
    shared_group: Annotated[
        str, typer.Option(envvar="WAKESTORM_SHARED_GROUP", help="Share the load with the other servers of this group.")
    ] = "",
    ca_file: Annotated[str, typer.Option(envvar="WAKESTORM_CA_FILE", help="Certificates to trust with mqtts://.")] = "",
    certificate: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_CERTIFICATE", metavar="FILE", help="Own one for mqtts://; key in FILE or .key."),
    ] = "",
    insecure_local: Annotated[
        bool,
        typer.Option("--insecure-local", envvar="WAKESTORM_INSECURE_LOCAL", help="All are admin, on loopback only."),
    ] = False,
    pool_size: Annotated[
        int, typer.Option(envvar="WAKESTORM_POOL_SIZE", min=2, max=100, help="Connections to the database.")
    ] = 4,
    lanes: Annotated[
        int, typer.Option(envvar="WAKESTORM_LANES", min=1, max=64, help="Batches at once, of different devices.")
    ] = 1,
    monitor_every: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_MONITOR_EVERY", metavar="DURATION", help="Timeouts are looked for this often."),
    ] = "5m",
    monitor_token: Annotated[
        str,
        typer.Option(envvar="WAKESTORM_MONITOR_TOKEN", help="Bearer token that lets the monitor be called over HTTP."),
    ] = "",
    dedup: Annotated[
        bool, typer.Option(envvar="WAKESTORM_DEDUP", help="Store equal bytes once, as one counted original.")
    ] = True,
    jobs: Annotated[
        str,
        typer.Option(
            envvar="WAKESTORM_JOBS",
            metavar="URL",
            help="Celery's broker for `wakestorm worker`: filesystem:///folder, redis://, amqp://. Without: a worker "
            "process of the server's own, started for its first job.",
        ),
    ] = "",
    runs: Annotated[
        str, typer.Option(envvar="WAKESTORM_RUNS", metavar="DIR", help="Runs of the harness that the pages show.")
    ] = "runs",
    log: Annotated[
        LogFormat, typer.Option(envvar="WAKESTORM_LOG", help="Log lines on standard error.")
    ] = LogFormat.json,
    migrate: Annotated[bool, typer.Option("--migrate", help="Bring the database to the newest schema first.")] = False,
    wait_for_broker: Annotated[
        str, typer.Option(metavar="DURATION", help="End with code 3 when there is no broker by then; else keep trying.")
    ] = "",
    test_clock: Annotated[
        bool, typer.Option("--test-clock", help="For test benches: POST /test-clock moves the server's clock on.")
    ] = False,
    test_clock_start: Annotated[
        str, typer.Option(metavar="TIME", help="The test clock's first moment, such as 2026-01-05T00:00:00Z.")
    ] = "",
) -> None:
    """Run the reference server until it is stopped.

    Prints one line when it takes messages; the pages stand at the same address. Who signs in is made by `wakestorm
    user add`. SIGTERM finishes the work at hand.

    \b
    Examples:
      wakestorm serve --database-url postgresql://ws_server@db/cameras --mqtt-url mqtt://broker
      wakestorm serve --migrate --http 127.0.0.1:0 --log text --insecure-local
    """
    from server.app import Settings
    from server.serving import EXIT_USAGE, ServeError, ServeOptions
    from server.serving import serve as served

    if not database_url:
        raise ServeError("no database is named: give --database-url, or set DATABASE_URL", EXIT_USAGE)
    host, port = _http_address(http)
    settings = Settings(
        database_url=database_url,
        mqtt_url=mqtt_url,
        objects_url=objects,
        client_id=client_id,
        shared_group=shared_group or None,
        http_host=host,
        http_port=port,
        pool_size=pool_size,
        lanes=lanes,
        monitor_every_s=max(1, round(_seconds(monitor_every, "--monitor-every"))),
        monitor_token=monitor_token or None,
        ca_file=ca_file or None,
        certificate_file=certificate or None,
        dedup=dedup,
        jobs_url=jobs or None,
        runs=runs or None,
        insecure_local=insecure_local,
    )
    options = ServeOptions(
        settings=settings,
        log_as_json=log is LogFormat.json,
        has_test_clock=test_clock or bool(test_clock_start),
        test_clock_start=_moment(test_clock_start) if test_clock_start else None,
        migrate=migrate,
        wait_for_broker_s=_seconds(wait_for_broker, "--wait-for-broker") if wait_for_broker else None,
    )
    raise typer.Exit(_run(served(options)))


def _run(work: Any) -> int:
    """On uvloop where there is one."""
    import asyncio

    try:
        import uvloop
    except ImportError:
        return int(asyncio.run(work))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return int(runner.run(work))


def _http_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8080", param_hint="--http")
    return host.strip("[]"), int(port)


_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(text: str, option: str) -> float:
    number = text.rstrip("hms")
    unit = text[len(number) :]
    try:
        return float(number) * _UNITS_S[unit]
    except (ValueError, KeyError):
        raise typer.BadParameter(f"{text!r} is not a duration, such as 30s or 5m", param_hint=option) from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--test-clock-start") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def migrate_database(url: str, revision: str, *, may_go_down: bool = False) -> int:
    """`wakestorm db migrate`: what it says goes to standard output, how far it is to standard error."""
    from server.database import migrated

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    print(f"revision {migrated(url, revision, may_go_down=may_go_down, say=print, tell=tell)}")
    return 0


def print_schema_sql(revision: str) -> int:
    """`wakestorm db migrate --sql`."""
    from server.database import schema_sql

    print(schema_sql(revision))
    return 0


def verify_database(url: str) -> int:
    """`wakestorm db verify`: a line for each question; 1 when an answer is wrong. Raises ServeError."""
    from server.database import verified

    answers = verified(url)
    for title, value, holds in answers:
        print(f"{'ok' if holds else 'WRONG':<6}{title}: {value}")
    return 0 if all(holds for _, _, holds in answers) else 1


def stamp_database(url: str, revision: str) -> int:
    """`wakestorm db stamp`. Raises ServeError."""
    from server.videos_database import stamped

    print(f"{stamped(url, revision)} stamped {revision}; nothing was run: wakestorm db verify tells whether it is true")
    return 0


def mend_orphans(url: str, pin: str, *, delete: bool) -> int:
    """`wakestorm db orphans`: 1 while there are any. Raises ServeError."""
    from uuid import UUID

    from server.videos_database import mended, orphans

    if pin or delete:
        count = mended(url, UUID(pin) if pin else None)
        print(f"{count} orphaned videos {'now belong to pin ' + pin if pin else 'deleted'}")
        return 0
    found = orphans(url)
    for video_id, pin_id in found:
        print(f"video {video_id}: there is no pin {pin_id}")
    print(f"{len(found)} orphaned videos")
    return 1 if found else 0


def print_originals_stats(url: str) -> int:
    """`wakestorm originals stats`. Raises ServeError."""
    import json

    from server.originals_database import originals_stats

    print(json.dumps(originals_stats(url), indent=2))
    return 0


def clean_up_originals(url: str, objects: str, older_than: str, limit: int) -> int:
    """`wakestorm originals clean-up`. Raises ServeError."""
    import json

    from server.originals_database import cleaned_up

    print(json.dumps(cleaned_up(url, objects, _seconds(older_than, "--older-than"), limit), indent=2))
    return 0


def back_fill_originals(url: str, objects: str) -> int:
    """`wakestorm originals back-fill`; 1 when bytes could not be read. Raises ServeError."""
    from server.originals_database import back_filled

    served, unreadable = back_filled(url, objects)
    print(f"{served} images have their original now, the bytes of {unreadable} could not be read")
    return 1 if unreadable else 0


def add_user(url: str, name: str, password: str, role: str, company: str | None) -> int:
    """`wakestorm user add`. Raises ServeError."""
    from server.accounts import NewUser
    from server.accounts_database import added
    from server.wire.states import Role

    added(url, NewUser(name, password, Role(role), company))
    print(f"user {name.strip().lower()} may sign in as {role}" + (f" of {company}" if company else ""))
    return 0


def print_users(url: str) -> int:
    """`wakestorm user list`. Raises ServeError."""
    from server.accounts_database import users

    row = "{:<24}{:<10}{:<22}{}"
    print(row.format("NAME", "ROLE", "COMPANY", "LAST HERE"))
    for user in users(url):
        last = user["last_used_at"]
        seen = "never, or signed out" if last is None else f"{last:%Y-%m-%d %H:%M} UTC"
        print(row.format(user["user_name"], user["role"], user["company_name"] or "every", seen))
    return 0


def set_password(url: str, name: str, password: str) -> int:
    """`wakestorm user password`. Raises ServeError."""
    from server.accounts_database import password_set

    password_set(url, name, password)
    print(f"user {name.strip().lower()} has a new password; sessions and tokens of the old one ended")
    return 0


def remove_user(url: str, name: str) -> int:
    """`wakestorm user remove`. Raises ServeError."""
    from server.accounts_database import removed

    removed(url, name)
    print(f"user {name.strip().lower()} is gone")
    return 0


def print_token(url: str, name: str, role: str, days: int, scopes: Sequence[str]) -> int:
    """`wakestorm user token`. Raises ServeError."""
    from server.accounts_database import token_issued
    from server.wire.states import Role

    print(token_issued(url, name, Role(role), days, scopes))
    return 0


def load_demo(url: str) -> int:
    """`wakestorm db demo`. Raises ServeError."""
    from server.demo import load

    demo = load(url)
    print(
        f"{demo.device_name} ({demo.device_mac}): {demo.image_name} receiving, "
        f"{demo.received_chunks}/{demo.total_chunks} chunks\n"
        f"now, in psql: UPDATE devices SET next_wake_at = NOW() - INTERVAL '5 minutes' WHERE device_mac = "
        f"'{demo.device_mac}'; SELECT * FROM timeout_stale_images();"
    )
    return 0


def load_duplicates(url: str) -> int:
    """`wakestorm db demo --duplicates`. Raises ServeError."""
    from server.demo import load_duplicates as load

    load(url)
    print(
        "revision legacy_base with 78 duplicate rows of 13 images; now: wakestorm db migrate, then wakestorm db verify"
    )
    return 0


def monitor_once(url: str) -> int:
    """`wakestorm monitor --once`: prints what the round did; 1 when a retry could not be queued. Raises ServeError."""
    import json

    from server.database import monitored_once

    report = monitored_once(url)
    print(json.dumps(report, indent=2))
    return 1 if report["summary"]["failed_to_queue"] else 0


def worker_app() -> typer.Typer:
    """`wakestorm worker`, for the reference of commands."""
    from server.worker import app as worker

    return worker


def worker_main(arguments: Sequence[str]) -> int:
    """Runs `wakestorm worker`; returns the exit code."""
    from server.worker import main as work

    return work(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the exit code. Errors are one line on standard error."""
    return run_app(app, "wakestorm serve", arguments)


if __name__ == "__main__":
    sys.exit(main())
