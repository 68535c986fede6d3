"""Many boards at a time: each in a thread that waits for its esptool, each under its own lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from harness.blame import Blame
from harness.dut import esptool
from harness.dut.board_lock import held
from harness.dut.finding import BoardNotFound, SystemPort, port_of, system_ports
from harness.dut.flash_trouble import Trouble
from harness.dut.flashing import FlashOrder, FlashResult, flash
from harness.dut.inventory import BoardEntry, load_inventory
from harness.errors import BenchUnavailable, UsageError, WakestormError

BOARDS_AT_A_TIME_MAX: Final = 32

OnResult = Callable[[FlashOrder, FlashResult], None]
Chosen = tuple[str, BoardEntry, str]


def chosen_boards(words: Sequence[str], file: Path, *, everyone: bool) -> list[Chosen]:
    """Id, entry and port of each board that was named. Raises UsageError, BoardNotFound."""
    if everyone and words:
        raise UsageError("--all and names of boards exclude each other")
    ports = system_ports()
    if everyone:
        inventory = load_inventory(file)
        found = [
            (name, entry, port_of(name, entry, ports))
            for name, entry in inventory.boards.items()
            if entry.enabled and entry.kind != "simulated"
        ]
        if not found:
            raise UsageError(f"{file} has no enabled board", hint="set enabled: true, or name a board")
        return found
    if not words:
        raise UsageError("no board is named", hint="give ids, ports, or --all")
    return [_one(word, file, ports) for word in dict.fromkeys(words)]


def _one(word: str, file: Path, ports: Sequence[SystemPort]) -> Chosen:
    if "/" in word:
        if "://" not in word and not Path(word).exists():
            there = ", ".join(port.device for port in ports[:6]) or "no serial port at all"
            raise BoardNotFound(f"{word}: no such port", hint=f"there is {there}; plug the board in, or name another")
        entry = BoardEntry.model_validate({"kind": "board", "match": {"port": word}})
        return word, entry, word
    entry = load_inventory(file).board(word)
    if entry.kind == "simulated":
        raise UsageError(f"{word} is simulated: there is nothing to flash")
    return word, entry, port_of(word, entry, ports)


def flash_all(orders: Sequence[FlashOrder], on_result: OnResult) -> int:
    """Flashes them all; tells each result as it comes; gives the exit code. Ctrl-C ends every esptool first."""
    codes = []
    executor = ThreadPoolExecutor(min(len(orders), BOARDS_AT_A_TIME_MAX))
    try:
        running: dict[Future[tuple[FlashResult, int]], FlashOrder] = {
            executor.submit(_locked, order): order for order in orders
        }
        for future in as_completed(running):
            result, code = future.result()
            codes.append(code)
            on_result(running[future], result)
    except KeyboardInterrupt:
        esptool.stop_all()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()
    return max(codes, key=lambda code: (code == 1, code))


def _locked(order: FlashOrder) -> tuple[FlashResult, int]:
    try:
        with held(order.board_id, order.port, "wakestorm flash"):
            result = flash(order)
            return result, 1 if result.trouble else 0
    except WakestormError as error:
        trouble = Trouble("not-begun", Blame.HARNESS, error.message, error.hint or "", False)
        code = BenchUnavailable.exit_code if isinstance(error, BenchUnavailable) else error.exit_code
        return FlashResult(order.board_id, order.port, trouble=trouble), code
