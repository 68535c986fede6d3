"""`wakestorm parity`: one scenario on several kinds of devices, and what they do differently."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli_choices import BoardsFile

if TYPE_CHECKING:
    from harness.dut.kinds import DutOrder
    from harness.events import Event, ScenarioEnded
    from harness.plan import Plan

BUSY_MS: Final = 1_000
"""A server that has the machine to itself answers a HELLO within a few hundredths of a second."""


def parity(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A file, or FILE::CASE.")],
    duts: Annotated[
        str, typer.Option(metavar="KINDS", help="The first is what the others are compared with.")
    ] = "simulated,virtual",
    tolerance: Annotated[
        str, typer.Option(metavar="DURATION", help="A message may come so much earlier or later in its wake.")
    ] = "2s",
    boards: BoardsFile = Path("boards.yaml"),
    broker_listen: Annotated[
        str, typer.Option(metavar="ADDR", help="This machine's address where boards reach the broker.")
    ] = "127.0.0.1",
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Instead of the scenario's own.")] = None,
) -> None:
    """Run a scenario on several kinds of devices in the processes bench, and compare what each device says and hears.

    Order of messages, fields and times must agree; what is declared to differ is shown apart. Exit code 1 where they
    differ, or where a run does not pass.

    \b
    Examples:
      wakestorm parity "scenarios/smoke/photo-is-stored.yaml::profile=esp32s3-cam@3.5.0"
      wakestorm parity scenarios/resume/last-ack-lost.yaml --duts simulated,virtual,board:cam-7
    """
    from harness.errors import UsageError
    from harness.units import LanguageError, parse_duration_ms

    try:
        tolerance_ms = parse_duration_ms(tolerance)
    except LanguageError as error:
        raise UsageError(f"--tolerance {tolerance}: {error.reason}", hint=error.hint) from error
    kinds = [word.strip() for word in duts.split(",")]
    if len(kinds) < 2 or len(set(kinds)) != len(kinds):
        raise UsageError(f"--duts {duts}: nothing to compare", hint="two or more, such as simulated,virtual")
    raise typer.Exit(_run(scenario, kinds, tolerance_ms, (boards, broker_listen), seed))


def _run(scenario: str, kinds: list[str], tolerance_ms: int, where: tuple[Path, str], seed: int | None) -> int:
    from harness.dut.boards_of_run import LOOPBACK, duts_of
    from harness.dut.kinds import refuse_for_devices
    from harness.selection import Selection, plans_for
    from harness.verdict import Verdict

    boards, broker_listen = where
    orders = [duts_of(kind, boards, broker_listen if kind.startswith("board:") else LOOPBACK) for kind in kinds]
    macs = next(([board.mac for board in order.boards] for order in orders if order.boards), [])
    planned: list[list[Plan]] = []
    for order in orders:
        plans = plans_for(Selection(paths=[scenario], seed=seed), macs=macs)
        refuse_for_devices(plans, order, "processes")
        planned.append(plans)
    ended = [_played(plans, order) for plans, order in zip(planned, orders, strict=True)]
    code = 0
    for index, plan in enumerate(planned[0]):
        first = ended[0][index]
        for kind, others in zip(kinds[1:], ended[1:], strict=True):
            is_equal = _told(plan, (kinds[0], first), (kind, others[index]), tolerance_ms)
            passed = first.result.verdict is Verdict.PASS and others[index].result.verdict is Verdict.PASS
            code = code if is_equal and passed else 1
    return code


def _played(plans: list[Plan], order: DutOrder) -> list[ScenarioEnded]:
    """The ends of all plans, in their order."""
    from harness.dut.boards_of_run import locked
    from harness.events import ScenarioEnded
    from harness.report.words import failure_lines
    from harness.selection import scenario_id
    from harness.suite import Suite, SuiteOptions

    ended: dict[str, ScenarioEnded] = {}

    def tell(event: Event) -> None:
        if isinstance(event, ScenarioEnded):
            ended[event.result.id] = event
            print(f"{event.result.verdict.value:<13}{event.result.id}  {order.word}", file=sys.stderr)
            for failure in event.result.failures:
                print("\n".join(f"  {line}" for line in failure_lines(event.result, failure)), file=sys.stderr)

    with TemporaryDirectory(prefix="wakestorm-parity-") as folder:
        options = SuiteOptions(bench="processes", duts=order, errors_log=Path(folder, "errors.log"))
        with locked(order, "wakestorm parity"):
            Suite(plans, options, tell).run()
    return [ended[scenario_id(plan)] for plan in plans]


def _told(plan: Plan, before: tuple[str, ScenarioEnded], after: tuple[str, ScenarioEnded], tolerance_ms: int) -> bool:
    """Prints the comparison of all devices; whether nothing differs but what is declared."""
    from harness.history import records_in
    from harness.parity import DECLARED, compared, slowest_answer_ms, trace_of

    records = [records_in(end.history_jsonl) for _, end in (before, after)]
    print(f"{before[1].result.id}: {before[0]} -> {after[0]}")
    is_equal = True
    slowest_ms = [0, 0]
    for device in plan.devices:
        traces = [trace_of(lines, device.name) for lines in records]
        slowest_ms = [max(pair) for pair in zip(slowest_ms, map(slowest_answer_ms, traces), strict=True)]
        found = compared(*traces, tolerance_ms=tolerance_ms)
        is_equal = is_equal and found.is_equal
        said = "no difference" if found.is_equal else f"{len(found.differences)} differences"
        print(f"  {device.name}: {found.compared} messages compared, {said}")
        for line in found.differences:
            print(f"    {line}")
        for name, count in sorted(found.declared.items()):
            print(f"    declared: {name}, {count} times: {DECLARED[name]}")
    if not is_equal and max(slowest_ms) > BUSY_MS:
        waited = ", ".join(f"{ms} ms ({name})" for ms, (name, _) in zip(slowest_ms, (before, after), strict=True))
        print(f"  a first answer took up to {waited}")
        print("  on a machine as busy as this devices lose patience at other moments, and")
        print("  differences say little; run it again when the machine has less to do")
    return is_equal
