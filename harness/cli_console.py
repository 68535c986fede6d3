"""`wakestorm console` and `wakestorm symbols`: watch a board's serial port, and name the lines of its panics."""

from __future__ import annotations

import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli_choices import BoardsFile

if TYPE_CHECKING:
    from harness.dut.console import Console
    from harness.dut.log_lines import LogFilter
    from harness.dut.symbols import SymbolStore

SymbolsFolder = Annotated[
    Path | None,
    typer.Option(
        "--symbols",
        metavar="DIR",
        envvar="WAKESTORM_SYMBOLS",
        show_envvar=True,
        help="The symbol store; without it the user's own.",
    ),
]


DutKind = Annotated[
    str, typer.Option("--dut", metavar="KIND", help="simulated, virtual (flashed boards), board:ID[,board:ID...].")
]
Retries = Annotated[
    int, typer.Option("--retries", min=0, max=9, metavar="N", help="Attempts more for what does not pass; counted.")
]
Flakes = Annotated[
    Path | None,
    typer.Option("--flakes", metavar="FILE", help="Keep every attempt in this ledger, and obey its quarantine."),
]
RunFirmware = Annotated[
    str,
    typer.Option(
        "--firmware",
        metavar="FOLDER",
        help="Flash boards first: a build folder of ESP-IDF, a version that wakestorm builds, or `profile`: the "
        "version that each device's profile names. Without: what is on them.",
    ),
]
BrokerListen = Annotated[
    str, typer.Option("--broker-listen", metavar="ADDR", help="This machine's address where boards reach the broker.")
]


def console(
    port: Annotated[
        str, typer.Argument(metavar="PORT|BOARD", help="A device file, socket://, rfc2217://, or a board's id.")
    ],
    baud: Annotated[int, typer.Option(min=300, metavar="N", help="Baud rate of the console.")] = 115_200,
    boards: BoardsFile = Path("boards.yaml"),
    show: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            "-f",
            metavar="TAG:LEVEL",
            help='As idf.py monitor: "cam:D wifi:N *:W"; without *, no other tags.',
        ),
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Seconds since the start before each line.")] = False,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep every line, filtered or not.")] = None,
    send: Annotated[
        list[str] | None, typer.Option("--send", metavar="TEXT", help="Write this line first; may be repeated.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="REGEX", help="End once this came: 0, or 1 after --for.")
    ] = None,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="End after this long, such as 30s.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Reset the board by RTS once the port is open.")] = False,
    symbols: SymbolsFolder = None,
) -> None:
    """Show what a board prints, colour by level; panics are decoded when its ELF file is in the symbol store.

    What is typed goes to the board, line by line. A port that goes away is waited for. Ctrl-C ends.

    \b
    Examples:
      wakestorm console /dev/ttyACM0
      wakestorm console /dev/ttyUSB0 --timestamps -f "*:W cam:D" --log board.log
      wakestorm console yard-1 --send status --until "cam: status" --for 10s
    """
    from harness.dut.board_lock import held
    from harness.dut.console import Console
    from harness.dut.log_lines import LogFilter
    from harness.dut.symbols import SymbolStore, symbol_store

    store = SymbolStore(symbols) if symbols else symbol_store(os.environ)
    url = _port_of(port, boards)
    printer = _Printer(LogFilter.parse(show or ()), store, timestamps=timestamps)
    watched = Console(url, name=port, baud=baud, log=log, on_line=printer.line, on_note=_say)
    with held(port, url, "wakestorm console"), watched:
        if reset and not watched.reset():
            print(f"wakestorm: {url} has no reset line", file=sys.stderr)
        for line in send or ():
            watched.write_line(line)
        raise typer.Exit(_watched(watched, until, for_))


def _watched(watched: Console, until: str | None, for_: str | None) -> int:
    from harness.dut.expect import pattern_of
    from harness.errors import UsageError
    from harness.units import LanguageError, parse_duration_ms

    try:
        limit_s = None if for_ is None else parse_duration_ms(for_) / 1000
        pattern = None if until is None else pattern_of(until)
    except LanguageError as error:
        raise UsageError(f"--for {for_}: {error.reason}", hint=error.hint) from error
    except re.error as error:
        raise UsageError(f"--until {until}: not a regular expression: {error}") from error
    _forward_typing(watched)
    try:
        if pattern is None:
            threading.Event().wait(limit_s)
        else:
            watched.transcript.allowed = _all_names()  # a monitor shows failures, it does not judge them
            watched.expect(pattern, limit_s or 86_400.0)
    except KeyboardInterrupt:
        return 0
    return 0


def _say(text: str) -> None:
    print(f"wakestorm: {text}", file=sys.stderr, flush=True)


def _all_names() -> tuple[str, ...]:
    from harness.dut.fail_list import NAMES

    return NAMES


def _forward_typing(watched: Console) -> None:
    """Standard input goes to the board, if a person or a pipe is there."""

    def forward() -> None:
        for line in sys.stdin:
            watched.write_line(line.rstrip("\n"))

    if not sys.stdin.closed:
        threading.Thread(target=forward, name="typing", daemon=True).start()


class _Printer:
    """Lines to standard output, panics explained below them."""

    def __init__(self, shown: LogFilter, store: SymbolStore, *, timestamps: bool) -> None:
        from harness.dut.panic import PanicReader
        from harness.machine import monotonic_s

        self._filter = shown
        self._store = store
        self._panics = PanicReader()
        self._is_coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._timestamps = timestamps
        self._now_s = monotonic_s
        self._begun_s = monotonic_s()

    def line(self, line: str) -> None:
        from harness.dut.log_lines import coloured

        panic = self._panics.feed(line)
        if self._filter.shows(line):
            self._print(coloured(line) if self._is_coloured else line)
        if panic is not None:
            for frame in self._store.explain(panic):
                self._print(f"--- {frame}")

    def _print(self, text: str) -> None:
        stamp = f"{self._now_s() - self._begun_s:9.3f} " if self._timestamps else ""
        print(stamp + text, flush=True)


def _port_of(word: str, boards: Path) -> str:
    """The port itself, or the console's port of the board of that id. Raises UsageError, BoardNotFound."""
    if "://" in word or "/" in word or word.upper().startswith("COM"):
        return word
    from harness.dut.finding import port_of, system_ports
    from harness.dut.inventory import load_inventory

    entry = load_inventory(boards).board(word)
    return entry.console.port or port_of(word, entry, system_ports())


symbols_app = typer.Typer(
    name="symbols",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Programs with their symbols, by their SHA-256: what a panic is decoded with.",
)


@symbols_app.command("add")
def symbols_add(
    files: Annotated[list[Path], typer.Argument(metavar="ELF", help="build/<project>.elf of an ESP-IDF build.")],
    symbols: SymbolsFolder = None,
) -> None:
    """Keep copies of ELF files; prints their SHA-256.

    \b
    Examples:
      wakestorm symbols add build/camera.elf
    """
    from harness.dut.symbols import SymbolStore, symbol_store

    store = SymbolStore(symbols) if symbols else symbol_store(os.environ)
    for file in files:
        print(f"{store.add(file)}  {file}")


@symbols_app.command("ls")
def symbols_ls(symbols: SymbolsFolder = None) -> None:
    """List the hashes of all files in the store; `wakestorm flash` adds the program that it has proved.

    \b
    Examples:
      wakestorm symbols ls
    """
    from harness.dut.symbols import SymbolStore, symbol_store

    store = SymbolStore(symbols) if symbols else symbol_store(os.environ)
    names = store.names()
    for name in names:
        print(name)
    if not names:
        typer.echo(f"{store.folder}: no ELF file yet; `wakestorm symbols add build/<project>.elf`", err=True)


@symbols_app.command("decode")
def symbols_decode(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG", help="Files with what a console printed; - is stdin.")],
    symbols: SymbolsFolder = None,
) -> None:
    """Explain every panic in logs.

    \b
    Examples:
      wakestorm symbols decode board.log
      wakestorm symbols decode - < board.log
    """
    from harness.dut.panic import panics_in
    from harness.dut.symbols import SymbolStore, symbol_store
    from harness.errors import UsageError

    store = SymbolStore(symbols) if symbols else symbol_store(os.environ)
    for log in logs:
        try:
            text = sys.stdin.read() if str(log) == "-" else log.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise UsageError(f"{log} can not be read: {error.strerror}") from error
        for panic in panics_in(text.splitlines()):
            print(panic.cause or "panic")
            for frame in store.explain(panic):
                print(f"  {frame}")


def register(app: typer.Typer, epilog: str) -> None:
    """Adds these commands to the command line."""
    from harness.cli_flakes import flakes
    from harness.cli_parity import parity
    from harness.cli_timeline import timeline

    app.command(epilog="Exit codes: 0 ended, or --until came; 1 it did not come; 3 no such port; 64 wrong usage.")(
        console
    )
    app.command(epilog=epilog)(parity)
    app.command(epilog="Exit codes: 0 shown; 64 no such run, scenario or kind.")(timeline)
    app.add_typer(symbols_app)
    app.add_typer(flakes)
