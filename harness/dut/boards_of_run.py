"""From `--dut` to what a run has to know of each device: of a board its port, its MAC, what can take its power."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness.dut.board_lock import held
from harness.dut.finding import port_of, system_ports
from harness.dut.inventory import BoardEntry, PowerEntry, load_inventory, plain_mac
from harness.dut.kinds import BoardOrder, DutOrder, kind_and_ids
from harness.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
_PSEUDO_TERMINALS: Final = "/dev/pts/"


def duts_of(word: str, inventory: Path, broker_listen: str, firmware: str = "") -> DutOrder:
    """What `--dut` names, with what the inventory says of each board. Raises UsageError, ScenarioError."""
    kind, ids = kind_and_ids(word)
    if broker_listen in ("0.0.0.0", "::", ""):
        raise UsageError(
            f"--broker-listen {broker_listen}: a board can not connect to every address",
            hint="name the one address of this machine that the boards reach",
        )
    if kind != "board" and broker_listen != LOOPBACK:
        raise UsageError(f"--broker-listen with --dut {word}: nobody comes from outside", hint="--dut board:ID")
    if kind != "board" and firmware:
        raise UsageError(
            f"--firmware with --dut {word}: a scenario's profile says what it runs",
            hint="--dut board:ID, or a step `flash`",
        )
    boards: tuple[BoardOrder, ...] = ()
    if kind == "board":
        boards = tuple(replace(board, firmware=firmware) for board in board_orders(inventory, ids))
    return DutOrder(kind=kind, boards=boards, broker_listen=broker_listen)


def board_orders(path: Path, ids: Sequence[str]) -> tuple[BoardOrder, ...]:
    """One for each id. Raises UsageError or ScenarioError where the inventory does not say enough."""
    inventory = load_inventory(path)
    return tuple(_order(path, board_id, inventory.board(board_id)) for board_id in ids)


@contextmanager
def locked(order: DutOrder, run: str) -> Iterator[None]:
    """All boards of the order are ours inside. Raises BoardHeld where one is somebody else's."""
    with ExitStack() as stack:
        for board in order.boards:
            stack.enter_context(held(board.id, board.port, run))
        yield


def _order(path: Path, board_id: str, entry: BoardEntry) -> BoardOrder:
    if not entry.enabled:
        raise UsageError(f"{path}: board {board_id} is not enabled", hint=f"set boards.{board_id}.enabled to true")
    if entry.kind == "simulated":
        raise UsageError(f"{path}: {board_id} is simulated: there is no board", hint="--dut simulated")
    match = entry.match
    if match is None or match.mac is None:
        raise UsageError(
            f"{path}: board {board_id} has no MAC, by which the server knows it",
            hint=f"`wakestorm boards doctor {board_id}` reads it; write it as boards.{board_id}.match.mac",
        )
    port = port_of(board_id, entry, system_ports())
    return BoardOrder(
        id=board_id,
        port=port,
        mac=plain_mac(match.mac),
        entry=entry,
        console_port=entry.console.port or port,
        no_power=_no_power(entry.power, entry.console.port or port),
        no_reset=_no_reset(entry.power, entry.console.port or port),
    )


def _no_power(power: PowerEntry, port: str) -> str:
    """Why it can not be switched, as far as that is seen without switching it."""
    match power.type:
        case "none":
            return "power is `none`"
        case "lines":
            return _no_lines(port)
        case "command":
            programs = [(shlex.split(command or "") or [""])[0] for command in (power.on, power.off)]
            missing = [program for program in programs if shutil.which(program) is None]
            return f"there is no program {missing[0]}" if missing else ""
        case "uhubctl":
            return "" if shutil.which("uhubctl") else "uhubctl is not installed, or not in PATH"
        case _:
            return ""


def _no_reset(power: PowerEntry, port: str) -> str:
    without_lines = _no_lines(port)
    return "" if not without_lines or not _no_power(power, port) else without_lines


def _no_lines(port: str) -> str:
    """Why a port has no RTS; opening it to ask could reset the board."""
    if port.startswith("socket://"):
        return "a bare socket has no RTS line"
    is_pseudo = "://" not in port and str(Path(port).resolve()).startswith(_PSEUDO_TERMINALS)
    return "a pseudo-terminal has no RTS line" if is_pseudo else ""
