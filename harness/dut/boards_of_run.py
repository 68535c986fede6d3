"""From `--dut` to what a run has to know of each device: of a board its port, its MAC, what can take its power."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.dut.finding import port_of, system_ports
from harness.dut.inventory import BoardEntry, load_inventory, plain_mac
from harness.dut.kinds import BoardOrder, DutOrder, kind_and_ids
from harness.errors import UsageError

LOOPBACK: Final = "127.0.0.1"


def duts_of(word: str, inventory: Path, broker_listen: str) -> DutOrder:
    """What `--dut` names, with what the inventory says of each board. Raises UsageError, ScenarioError."""
    kind, ids = kind_and_ids(word)
    if broker_listen in ("0.0.0.0", "::", ""):
        raise UsageError(
            f"--broker-listen {broker_listen}: a board can not connect to every address",
            hint="name the one address of this machine that the boards reach",
        )
    if kind != "board" and broker_listen != LOOPBACK:
        raise UsageError(f"--broker-listen with --dut {word}: nobody comes from outside", hint="--dut board:ID")
    boards: tuple[BoardOrder, ...] = ()
    if kind == "board":
        boards = board_orders(inventory, ids)
    return DutOrder(kind=kind, boards=boards, broker_listen=broker_listen)


def board_orders(path: Path, ids: Sequence[str]) -> tuple[BoardOrder, ...]:
    """One for each id. Raises UsageError or ScenarioError where the inventory does not say enough."""
    inventory = load_inventory(path)
    return tuple(_order(path, board_id, inventory.board(board_id)) for board_id in ids)


def _order(path: Path, board_id: str, entry: BoardEntry) -> BoardOrder:
    match = entry.match
    port = entry.console.port or port_of(board_id, entry, system_ports())
    if match is None or match.mac is None:
        raise UsageError(
            f"{path}: board {board_id} has no MAC, by which the server knows it", hint="wakestorm boards scan --merge"
        )
    if not entry.enabled:
        raise UsageError(f"{path}: board {board_id} is not enabled", hint=f"set boards.{board_id}.enabled to true")
    return BoardOrder(id=board_id, port=port, mac=plain_mac(match.mac), baud=entry.console.baud, power=entry.power.type)
