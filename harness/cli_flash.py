"""`wakestorm flash`: firmware onto boards, many at a time, with a plan that says why and a proof that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli_boards import INVENTORY, AsJson
from harness.cli_choices import BoardsFile

if TYPE_CHECKING:
    from harness.dut.flashing import FlashOrder, FlashResult

SAID_CHARS_MAX = 90
EXIT_CODES_HELP = """
Exit codes: 0 every board is flashed and runs it; 1 a board could not be flashed, its line says who is to blame; 3 a
board is not there, or somebody else has it; 64 wrong usage; 130 interrupted.
"""


def flash(
    boards: Annotated[
        list[str] | None, typer.Argument(metavar="BOARD", help="Ids of the inventory, or ports such as /dev/ttyUSB0.")
    ] = None,
    firmware: Annotated[
        str,
        typer.Option(
            "--firmware",
            metavar="FOLDER",
            help="A build folder of ESP-IDF (with flasher_args.json), or a version that wakestorm builds.",
        ),
    ] = "build",
    file: BoardsFile = INVENTORY,
    everyone: Annotated[bool, typer.Option("--all", help="Every enabled board that has a port.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write everything, also what is there already, also broken images.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, write nothing.")] = False,
    no_proof: Annotated[
        bool, typer.Option("--no-proof", help="Do not wait for the ELF's hash on the console.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Flash boards in parallel: ask each what it holds, write what differs, reset, and see the new program boot.

    \b
    Examples:
      wakestorm flash yard-1 --firmware build
      wakestorm flash --all --firmware build --json
      wakestorm flash /dev/ttyUSB0 --firmware build --dry-run
    """
    from harness.dut.firmware_sets import firmware_folder
    from harness.dut.flash_many import chosen_boards, flash_all
    from harness.dut.flashing import After, FlashOrder

    chosen = chosen_boards(boards or (), file, everyone=everyone)
    folder = firmware_folder(firmware)
    orders = [
        FlashOrder(
            board_id=board_id,
            entry=entry,
            port=port,
            folder=folder,
            force=force,
            dry_run=dry_run,
            after=After.RESET if no_proof else After.PROVE,
        )
        for board_id, entry, port in chosen
    ]
    raise typer.Exit(flash_all(orders, on_result=_shown_as_json if as_json else _shown))


def _shown(order: FlashOrder, result: FlashResult) -> None:
    from harness.dut.flash_plan import plan_lines, to_write

    where = [result.board_id, *([result.port] if result.port != result.board_id else [])]
    lines = ["  ".join([*where, result.chip or "no chip", result.mac or ""]).rstrip()]
    lines += [f"  {line}" for line in plan_lines(result.plan)]
    for failed in result.failed_attempts:
        why = f"{failed.trouble.blame}: {failed.trouble.cause} ({_short(failed.said)})"
        lines.append(f"  {failed.step}, attempt {failed.number}: {why}")
    trouble = result.trouble
    again = f", passed on attempt {result.attempt}" if result.attempt > 1 else ""
    if trouble is not None:
        lines.append(f"FAIL  {result.board_id}: {trouble.blame}: {trouble.cause}")
        lines.append(f"  {trouble.fix}")
        lines += [f"    {line}" for line in result.detail.splitlines()[-20:]]
    elif order.dry_run:
        lines.append(f"PLAN  {result.board_id}: {len(to_write(result.plan))} of {len(result.plan)} regions to write")
    else:
        runs = f"runs {result.title}, ELF {result.elf_sha256}" if result.proved else "not proved"
        lines.append(
            f"PASS  {result.board_id}: {result.written_bytes:,} B written, {runs}, {result.wall_s:.1f} s{again}"
        )
    print("\n".join(lines), flush=True)


def _short(said: str) -> str:
    """esptool's reason without its preamble."""
    words = said.removeprefix("A fatal error occurred: ").removeprefix("A serial exception error occurred: ")
    return words if len(words) <= SAID_CHARS_MAX else words[:SAID_CHARS_MAX] + "..."


def _shown_as_json(order: FlashOrder, result: FlashResult) -> None:
    from harness.jsonable import json_line

    print(json_line(result_fields(order, result)), flush=True)


def result_fields(order: FlashOrder, result: FlashResult) -> dict[str, Any]:
    """A result as plain data."""
    trouble = result.trouble
    return {
        "board": result.board_id,
        "port": result.port,
        "verdict": "FAIL" if trouble else "PLAN" if order.dry_run else "PASS",
        "blame": trouble.blame.value if trouble else None,
        "kind": trouble.kind if trouble else None,
        "cause": trouble.cause if trouble else None,
        "fix": trouble.fix if trouble else None,
        "detail": result.detail or None,
        "mac": result.mac,
        "chip": result.chip,
        "attempt": result.attempt,
        "attempts_failed": [
            {"step": failed.step, "number": failed.number, "kind": failed.trouble.kind, "said": failed.said}
            for failed in result.failed_attempts
        ],
        "regions": [
            {
                "name": planned.region.name,
                "offset": planned.region.offset,
                "size_bytes": len(planned.region.data),
                "md5": planned.region.md5,
                "action": planned.action.value,
                "why": planned.why,
                "written_from_here": planned.worn,
                "flaw": planned.region.flaw,
            }
            for planned in result.plan
        ],
        "written_bytes": result.written_bytes,
        "elf_sha256": result.elf_sha256,
        "proved": result.proved,
        "wall_s": round(result.wall_s, 3),
        "seconds": {step: round(seconds, 3) for step, seconds in result.seconds.items()},
    }
