"""The command line: `wakestorm init | run | doctor | explain | ...`; `cli_groups` has the order of `--help`.

Start here; each command's work is in its own `cli_*` file, imported when the command runs, so that `--help` is quick.
Standard output carries results only; progress and errors go to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from harness import cli_benchmarks, cli_console, cli_hostile, cli_report, cli_soak
from harness.cli_boards import boards
from harness.cli_choices import BoardsFile, BrokerChoice, RunBench, RunBenchChoice, TargetFile
from harness.cli_database import DatabaseUrl, database
from harness.cli_doctor import EXIT_CODES_HELP as DOCTOR_EXIT_CODES
from harness.cli_doctor import doctor
from harness.cli_doors import broker_config, certs, logins
from harness.cli_errors import DEBUG_VARIABLE, interrupted, reported
from harness.cli_explain import explain
from harness.cli_faults import faults
from harness.cli_firmware import firmware as firmware_command
from harness.cli_flash import EXIT_CODES_HELP as FLASH_CODES_HELP
from harness.cli_flash import flash
from harness.cli_fleet import fleet
from harness.cli_groups import GroupedCommands
from harness.cli_init import init
from harness.cli_merge import merge
from harness.cli_originals import originals
from harness.cli_profiles import profiles
from harness.cli_proxy import proxy
from harness.cli_users import user
from harness.cli_videos import videos

EXIT_CODES_HELP: Final = """
Exit codes: 0 everything passed; 1 a scenario failed; 2 inconclusive, nothing was proved; 3 the database, the broker
or the server can not be reached; 64 a scenario file or the command line is wrong; 70 wakestorm itself broke;
130 interrupted.
"""
BOARDS: Final = Path("boards.yaml")

app = typer.Typer(
    name="wakestorm",
    cls=GroupedCommands,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Runs YAML scenarios with simulated cameras against a server on a real PostgreSQL, and judges the rows.",
    epilog=EXIT_CODES_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Run YAML scenarios with simulated cameras against a server on a real PostgreSQL, and judge the rows."""


app.add_typer(database)
cli_hostile.register(cli_benchmarks.app)
app.add_typer(cli_benchmarks.app)
cli_console.register(app, EXIT_CODES_HELP)
cli_report.register(app, EXIT_CODES_HELP)


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="Files or folders; FILE::CASE is one case of a matrix. Without: ./scenarios, else the shipped ones.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", "-t", metavar="TAG", help="Only scenarios with this tag; `!tag` leaves them out. May be repeated."
    ),
]
Substring = Annotated[str, typer.Option("-k", metavar="TEXT", help="Only those with TEXT in their id or name.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]


@app.command(epilog=EXIT_CODES_HELP)
def run(
    paths: Paths = None,
    tag: Tags = None,
    substring: Substring = "",
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Use this seed instead of the scenarios' own.")
    ] = None,
    bench: RunBench = None,
    target: TargetFile = None,
    broker: Annotated[BrokerChoice, typer.Option(help="Broker of the processes bench.")] = BrokerChoice.iotcore,
    dut: cli_console.DutKind = "simulated",
    boards: BoardsFile = BOARDS,
    firmware: cli_console.RunFirmware = "",
    broker_listen: cli_console.BrokerListen = "127.0.0.1",
    retries: cli_console.Retries = 0,
    flakes: cli_console.Flakes = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept; the newest is DIR/latest.")] = Path(
        "runs"
    ),
    shard: Annotated[str, typer.Option(metavar="I/N", help="The I-th of N parts of the scenarios.")] = "1/1",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, metavar="N", help="Scenarios at a time. Default: one for each core; with processes four."
        ),
    ] = None,
    max_failures: Annotated[
        int, typer.Option(min=0, metavar="N", help="Stop after N scenarios that did not pass; 0: never.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run scenarios and judge them.

    Uses the PostgreSQL that DATABASE_URL names (its role must be allowed to make databases and roles), else starts one
    of its own. Ctrl-C stops and keeps what there is; a second one stops at once.

    \b
    Examples:
      wakestorm run
      wakestorm run scenarios/resume --tag smoke --workers 4
      wakestorm run "scenarios/resume/cut.yaml::k=3,how=cut" --seed 7
      wakestorm run --dut virtual scenarios/resume
      wakestorm run --dut board:cam-7 --firmware build my/scenario.yaml
      wakestorm run --bench external --target target.toml scenarios/resume
      wakestorm run --shard 1/4 --json
    """
    from harness.cli_run import RunOrder, run_command
    from harness.selection import Selection, shard_of

    selection = Selection(paths=paths or (), tags=tag or (), substring=substring, seed=seed, shard=shard_of(shard))
    order = RunOrder(
        selection=selection,
        bench=bench.value if bench else "external" if target else "embedded" if dut == "simulated" else "processes",
        broker=broker.value,
        runs_folder=out,
        workers=workers,
        max_failures=max_failures,
        as_json=as_json,
        dut=dut,
        boards=boards,
        firmware=firmware,
        broker_listen=broker_listen,
        retries=retries,
        flakes=flakes,
        target=target,
    )
    raise typer.Exit(run_command(order))


app.command(epilog=EXIT_CODES_HELP)(cli_soak.soak)
app.command(epilog=EXIT_CODES_HELP)(fleet)
app.command(epilog=EXIT_CODES_HELP)(merge)


@app.command(epilog=EXIT_CODES_HELP)
def lint(
    paths: Paths = None,
    bench: Annotated[RunBenchChoice | None, typer.Option(help="Also refuse what this bench can't do.")] = None,
    dut: cli_console.DutKind = "",
    boards: BoardsFile = BOARDS,
    target: TargetFile = None,
) -> None:
    """Read scenario files and show every mistake in them, with line and path; with --dut what such devices can't do.

    With --target also what needs more than your own server allows; its database is not asked.

    \b
    Examples:
      wakestorm lint my/scenario.yaml --dut virtual
      wakestorm lint scenarios/resume --target target.toml
    """
    from harness.cli_list import lint_command

    raise typer.Exit(lint_command(paths or (), bench.value if bench else None, dut, boards, target))


@app.command(name="ls", epilog=EXIT_CODES_HELP)
def list_scenarios(
    paths: Paths = None,
    tag: Tags = None,
    substring: Substring = "",
    dut: cli_console.DutKind = "",
    boards: BoardsFile = BOARDS,
    as_json: AsJson = False,
) -> None:
    """List scenarios: id, name, tags, and what they cover; with --dut those that such devices can play.

    \b
    Examples:
      wakestorm ls
      wakestorm ls --tag smoke --json
      wakestorm ls --dut virtual scenarios/resume
    """
    from harness.cli_list import list_command
    from harness.selection import Selection

    chosen = Selection(paths=paths or (), tags=tag or (), substring=substring)
    raise typer.Exit(list_command(chosen, as_json=as_json, dut=dut, boards=boards))


@app.command()
def version() -> None:
    """Print the version."""
    from harness.machine import version as installed_version

    typer.echo(installed_version())


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def serve(context: typer.Context) -> None:
    """Run the reference server; `wakestorm serve --help` shows its options."""
    from server.cli import main as serve_main

    raise typer.Exit(serve_main(context.args))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def worker(context: typer.Context) -> None:
    """Do background jobs of videos; `wakestorm worker --help` shows its options."""
    from server.cli import worker_main

    raise typer.Exit(worker_main(context.args))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def board(context: typer.Context) -> None:
    """Start a virtual ESP32-S3 that esptool flashes; `wakestorm board --help` shows its options."""
    from simulator.board.cli import main as board_main

    raise typer.Exit(board_main(context.args))


@app.command(
    epilog="Exit codes: 0 done, or nothing to do; 1 a retry could not be queued; 3 no such database; 64 wrong usage."
)
def monitor(
    database_url: DatabaseUrl = None,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
) -> None:
    """Fail images past their wake window, queue their retries, expire commands; prints what it did as JSON.

    Inside `wakestorm serve` this happens every 5 minutes. While a server is at it, this leaves the work to that server.

    \b
    Examples:
      wakestorm monitor --once --database-url postgresql://ws_server@localhost/cameras
    """
    from harness.cli_db import monitor_command

    raise typer.Exit(monitor_command(database_url, once=once))


app.command(epilog=EXIT_CODES_HELP)(firmware_command)
app.command(epilog=EXIT_CODES_HELP)(init)
app.command(epilog=DOCTOR_EXIT_CODES)(doctor)
app.command(epilog=EXIT_CODES_HELP)(explain)
app.command(epilog=EXIT_CODES_HELP)(profiles)
app.command(epilog=EXIT_CODES_HELP)(faults)
app.command(epilog=EXIT_CODES_HELP)(proxy)
app.command(epilog=FLASH_CODES_HELP)(flash)
app.add_typer(boards)
app.add_typer(originals)
app.add_typer(user)
app.add_typer(logins)
app.add_typer(broker_config)
app.command(epilog=EXIT_CODES_HELP)(certs)
app.add_typer(videos)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: runs a command, turns every error into one screen and an exit code."""
    sys.exit(exit_code_of(sys.argv[1:] if arguments is None else arguments))


def exit_code_of(arguments: Sequence[str]) -> int:
    """Runs one command line to its exit code; never raises, unless WAKESTORM_DEBUG=1 asks for the traceback."""
    try:
        code = app(args=list(arguments), prog_name="wakestorm", standalone_mode=False)
        return int(code) if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return interrupted()
    except BrokenPipeError:  # the reader of our output has gone, as in `wakestorm ls | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE) == "1":
            raise
        return reported(error, sys.stderr)


if __name__ == "__main__":
    main()
