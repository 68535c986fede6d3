"""`wakestorm soak`: the options of a night, and where it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from harness.cli_choices import BrokerChoice, NoTarget, RunBenchChoice

REFUSED: Final = "a soak needs a bench that it may break: it crashes server, broker and database and moves their clock"
INSTEAD: Final = (
    "before your own server: `wakestorm fleet --bench external --target FILE --fault power_loss --fault lost_ack` for "
    "a load with faults of cameras, `wakestorm run --bench external --target FILE` again and again with another --seed"
)


def soak(
    devices: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Cameras of the fleet.")] = 3,
    duration: Annotated[str, typer.Option("--for", metavar="DAYS", help="Whole scenario days, such as 30d.")] = "30d",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Where all chance comes from.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept; the newest is DIR/latest.")] = Path(
        "runs"
    ),
    wake_every: Annotated[str, typer.Option(metavar="TIME", help="How often each camera wakes, such as 3h.")] = "3h",
    image: Annotated[
        str, typer.Option(metavar="SIZE/CHUNK", help="Size of each photo and of its chunks.")
    ] = "10kB/1kB",
    bench: Annotated[
        RunBenchChoice,
        typer.Option(
            metavar="embedded|processes", help="embedded: virtual time; processes: real server, broker and sockets."
        ),
    ] = RunBenchChoice.embedded,
    broker: Annotated[BrokerChoice, typer.Option(help="Broker of the processes bench.")] = BrokerChoice.iotcore,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with the run in DIR, which was killed or stopped.")
    ] = None,
    target: NoTarget = None,
) -> None:
    """Let a fleet live for days of scenario time under a nemesis, judged all the time; then heal, drain and check.

    Leaves verdict.json, ledger.csv, history.jsonl, soak.json and soak.html. Ctrl-C ends the days and judges what there
    is; a second one stops at once. A run that was killed or stopped goes on from its last checkpoint with --resume;
    all other options are then those of that run. With --bench processes a wake takes the real time that it takes, and
    the hours between two wakes are jumped over; there are no checkpoints.

    \b
    Examples:
      wakestorm soak --devices 3 --for 30d --seed 7
      wakestorm soak --devices 200 --for 1d --out nights
      wakestorm soak --resume runs/2026-01-05T22-00-00Z
      wakestorm soak --bench processes --devices 20 --for 1d
    """
    if target is not None or bench is RunBenchChoice.external:
        from harness.errors import UsageError

        raise UsageError(
            f"--target {target}: {REFUSED}" if target is not None else f"--bench external: {REFUSED}", hint=INSTEAD
        )
    from harness.soak.command import resume_command, soak_command
    from harness.soak.order import order_of

    if resume is not None:
        raise typer.Exit(resume_command(resume))
    order = order_of(
        devices=devices,
        duration=duration,
        seed=seed,
        wake_every=wake_every,
        image=image,
        bench="embedded" if bench is RunBenchChoice.embedded else "processes",
        broker=broker.value,
    )
    raise typer.Exit(soak_command(order, out))
