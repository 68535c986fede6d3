"""`wakestorm board`, also `python -m simulator.board`: one virtual board, by hand or as a child of the harness."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from simulator.board.board import Board
from simulator.board.board_fault import MEANINGS, OF_ADDRESSES, OF_COMMANDS, BoardFault, FaultKind, parse
from simulator.board.camera_app import CameraApp
from simulator.board.control import COMMANDS, Control
from simulator.board.control import send as send_order
from simulator.board.control import serve as serve_orders
from simulator.board.efuse import ChipIdentity
from simulator.board.flash import NorFlash
from simulator.board.host import BoardHost
from simulator.board.machine import unix_ms
from simulator.board.ports import Port
from simulator.link.paho import PahoLink

PROGRAM: Final = "wakestorm board"
DEFAULT_MAC: Final = "7CDFA1E0B0C5"
EXIT_CODES_HELP: Final = """
Exit codes: 0 stopped by SIGTERM or Ctrl-C; 3 the port can not be had; 64 wrong command line.
"""
_SIZES_MB: Final = (2, 4, 8, 16, 32)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class BoardError(Exception):
    """The board can't be started; one screen."""

    def __init__(self, text: str, exit_code: int = 64) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardOptions:
    """What one board is and where it listens."""

    chip: ChipIdentity
    flash_mb: int
    flash_file: Path | None
    log_file: Path | None
    faults: tuple[BoardFault, ...]
    control: Path | None = None
    pty: Path | None = None
    tcp: int | None = None
    rfc2217: int | None = None


def _after_help() -> str:
    lines = ["Faults, for --faults, separated by commas:"]
    for kind in FaultKind:
        form = f"{kind}:COMMAND:NTH" if kind in OF_COMMANDS else f"{kind}:ADDRESS" if kind in OF_ADDRESSES else kind
        lines.append(f"  {form:<28} {MEANINGS[kind]}")
    lines += ["", "\b", "Commands, for --control and --send:"]
    lines += [f"  {command:<28} {meaning}" for command, meaning in COMMANDS.items()]
    return "\b\n" + "\n".join(lines)


@app.command(epilog=_after_help() + "\n\n" + EXIT_CODES_HELP, context_settings={"help_option_names": ["-h", "--help"]})
def board(
    pty: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Symbolic link to the pseudo-terminal (the default port).")
    ] = None,
    tcp: Annotated[
        int | None, typer.Option(min=0, max=65535, metavar="PORT", help="A bare TCP port instead; 0: a free one.")
    ] = None,
    rfc2217: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="PORT", help="RFC 2217 instead: TCP with DTR and RTS; 0: a free one."),
    ] = None,
    flash: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the flash in this file; made where there is none.")
    ] = None,
    flash_size: Annotated[int, typer.Option(metavar="MB", help="Size of the flash: 2, 4, 8, 16 or 32.")] = 8,
    mac: Annotated[str, typer.Option(help="MAC in the eFuses.")] = DEFAULT_MAC,
    psram: Annotated[int, typer.Option(metavar="MB", help="PSRAM in the package: 0, 2, 4, 8 or 16.")] = 8,
    revision: Annotated[str, typer.Option(metavar="X.Y", help="Revision of the chip.")] = "0.2",
    faults: Annotated[str, typer.Option(metavar="FAULT,...", help="What is wrong with it; see below.")] = "",
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append all serial output, also what nobody reads.")
    ] = None,
    control: Annotated[
        Path | None, typer.Option(metavar="SOCKET", help="Take commands on this Unix socket; see below.")
    ] = None,
    send: Annotated[
        str, typer.Option(metavar="COMMAND", help="Send one command to the board at --control, print its answer.")
    ] = "",
) -> None:
    """Start a virtual ESP32-S3 and print its port; esptool and serial monitors take it for a board.

    It boots what is flashed. Without a port option it is a pseudo-terminal. Ctrl-C ends it.

    \b
    Examples:
      wakestorm board --pty /tmp/cam
      esptool --chip esp32s3 --port /tmp/cam flash-id
      wakestorm board --tcp 0 --flash cam.bin --flash-size 16
      wakestorm board --faults lost-reply:flash_defl_data:3
      wakestorm board --pty /tmp/cam --control /tmp/cam.ctl
      wakestorm board --control /tmp/cam.ctl --send "power off at chunk[5].sent back 2000"
    """
    if send:
        raise typer.Exit(_ask(control, send))
    if sum(option is not None for option in (pty, tcp, rfc2217)) > 1:
        raise BoardError("--pty, --tcp and --rfc2217 exclude each other: a board has one port")
    options = BoardOptions(
        chip=ChipIdentity(mac=_mac(mac), revision=_revision(revision), psram_mb=psram),
        flash_mb=_flash_mb(flash_size),
        flash_file=flash,
        log_file=log,
        control=control,
        faults=tuple(parse(text) for text in faults.split(",") if text.strip()),
        pty=pty,
        tcp=tcp,
        rfc2217=rfc2217,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options))


def _mac(text: str) -> bytes:
    digits = re.sub("[:-]", "", text)
    if not re.fullmatch("[0-9A-Fa-f]{12}", digits):
        raise BoardError(f"--mac is {text!r}, expected 12 hex digits as in {DEFAULT_MAC}")
    return bytes.fromhex(digits)


def _revision(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-3])\.([0-9]|1[0-5])", text)
    if found is None:
        raise BoardError(f"--revision is {text!r}, expected 0.0 to 3.15, as in 0.2")
    return int(found[1]), int(found[2])


def _flash_mb(size: int) -> int:
    if size not in _SIZES_MB:
        raise BoardError(f"--flash-size is {size}, expected one of {', '.join(map(str, _SIZES_MB))}")
    return size


@contextlib.contextmanager
def opened_flash(path: Path | None, size_bytes: int) -> Iterator[NorFlash]:
    """A blank flash, or one that is mapped to a file and survives any end of the process."""
    if path is None:
        yield NorFlash.blank(size_bytes)
        return
    if not path.exists() or path.stat().st_size == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\xff" * size_bytes)
    elif path.stat().st_size != size_bytes:
        raise BoardError(f"{path} has {path.stat().st_size} bytes, expected {size_bytes} (--flash-size)")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size_bytes) as cells:
        yield NorFlash(cells)


def port_of(options: BoardOptions) -> Port:
    """The port that the options ask for."""
    if options.tcp is not None:
        from simulator.board.ports.tcp import TcpPort

        return TcpPort(options.tcp)
    if options.rfc2217 is not None:
        from simulator.board.ports.rfc2217 import Rfc2217Port

        return Rfc2217Port(options.rfc2217)
    from simulator.board.ports.pty import PtyPort

    return PtyPort(options.pty)


def _ask(control: Path | None, order: str) -> int:
    """0 where the board did it, 64 where it knows no such command."""
    if control is None:
        raise BoardError("--send needs --control: the socket of the board that is meant")
    try:
        answer = asyncio.run(send_order(control, order))
    except (OSError, ValueError) as error:
        raise BoardError(f"no board answers at {control}: {error}", 3) from error
    print(json.dumps(answer, sort_keys=True))
    return 0 if answer["ok"] else 64


async def _serve(options: BoardOptions) -> None:
    async with AsyncExitStack() as stack:
        flash = stack.enter_context(opened_flash(options.flash_file, options.flash_mb << 20))
        log = stack.enter_context(options.log_file.open("ab")) if options.log_file is not None else None
        port = port_of(options)
        core = Board(options.chip, flash, has_lines=port.has_lines, faults=options.faults)
        host = BoardHost(core, port, log=log)
        app = CameraApp(host, PahoLink, unix_ms)
        host.run(app)
        stack.push_async_callback(app.close)
        stack.callback(host.unplug)
        try:
            await host.plug()
            if options.control is not None:
                server = await serve_orders(options.control, Control(host, app).perform)
                stack.callback(options.control.unlink, missing_ok=True)
                stack.callback(server.close)
        except OSError as error:
            raise BoardError(f"the port can not be had: {error}", 3) from error
        print(port.name, flush=True)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        await stopped.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line to its exit code; errors are one line on standard error."""
    try:
        code = app(
            args=list(sys.argv[1:] if arguments is None else arguments), prog_name=PROGRAM, standalone_mode=False
        )
        return int(code) if isinstance(code, int) else 0
    except (BoardError, ValueError) as error:
        print(f"wakestorm board: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 64)
    except Exception as error:
        shown: object = getattr(error, "show", None)
        if not callable(shown):
            raise
        shown(sys.stderr)
        return 64
