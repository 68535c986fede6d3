"""`wakestorm fleet`: the command line only; see `harness.fleet.command`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli_choices import LinkChoice, RunBenchChoice, TargetFile


def fleet(
    devices: Annotated[int, typer.Option(min=1, max=10_000_000, metavar="N", help="Cameras.")] = 100,
    wake_every: Annotated[str, typer.Option(metavar="DURATION", help="Each wakes this often.")] = "5m",
    length: Annotated[
        str, typer.Option("--for", metavar="DURATION", help="No wake begins after that; those begun may finish.")
    ] = "10m",
    grace: Annotated[
        str,
        typer.Option(metavar="DURATION", help="After --for: to bring in what is held; then all are cut off."),
    ] = "10m",
    spread: Annotated[
        str, typer.Option(metavar="DURATION", help="First wakes are spread over this. 0s: all at once. [--wake-every]")
    ] = "",
    image: Annotated[str, typer.Option(metavar="SIZE", help="Size of each photo.")] = "10kB",
    chunk: Annotated[str, typer.Option(metavar="SIZE", help="Size of its chunks.")] = "1KiB",
    pause: Annotated[str, typer.Option(metavar="DURATION", help="Between chunks, as the firmware does.")] = "200ms",
    burst: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Chunks sent before a PUBACK.")] = 1,
    profile: Annotated[str, typer.Option(metavar="NAME", help="Device model.")] = "esp32s3-cam@3.5.0",
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Same seed, same photos and wake times.")] = 1,
    link: Annotated[LinkChoice, typer.Option(help="paho: as real devices; raw: own codec, faster.")] = LinkChoice.paho,
    bench: Annotated[
        RunBenchChoice | None,
        typer.Option(
            help="processes: parts of its own; external: your own server, named by --target.", show_default=False
        ),
    ] = None,
    target: TargetFile = None,
    broker: Annotated[
        str,
        typer.Option(
            metavar="KIND|URL",
            help="iotcore or mosquitto is started; mqtt://... runs already.",
            show_default="iotcore",
        ),
    ] = "",
    database_url: Annotated[
        str, typer.Option(metavar="URL", help="With --broker mqtt://...: where that server keeps its rows.")
    ] = "",
    at_once: Annotated[
        int, typer.Option(min=0, metavar="N", help="Most cameras awake at once. 0: all, up to 10,000.")
    ] = 0,
    connects: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Most of them that connect at the same time.")
    ] = 200,
    shards: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Processes that share the cameras.")] = 1,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Only the I-th of N parts of the fleet; see `wakestorm merge`.")
    ] = "1/1",
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Shards as actors of a Ray cluster; `local` starts one here.")
    ] = "",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=PERCENT]",
            help="power_loss, cut or lost_ack in so many wakes (5%), drawn by the seed; may be repeated.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where runs are kept.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="The summary as JSON on standard output.")] = False,
) -> None:
    """Let thousands of cameras wake, photograph, upload and sleep, in real time, and judge every photo.

    Starts a broker, a server and PostgreSQL of its own (or uses DATABASE_URL), unless --broker and --database-url name
    wakestorm's own server that runs already, or --target a server of yours. The first Ctrl-C lets cameras that are
    awake finish; the second stops at once.

    \b
    Examples:
      wakestorm fleet --devices 2000 --wake-every 5m --for 10m
      wakestorm fleet --devices 500 --spread 0s --wake-every 1m --for 1m --broker mosquitto
      wakestorm fleet --devices 200 --for 5m --fault power_loss --fault lost_ack=10%
      wakestorm fleet --devices 10000 --shard 2/4 --out runs/second
      wakestorm fleet --broker mqtt://127.0.0.1:1883 --database-url postgresql://owner@127.0.0.1/cameras
      wakestorm fleet --bench external --target target.toml --devices 200 --for 5m
    """
    from harness.fleet.command import run_command
    from harness.fleet.words import FleetWords, command_of

    words = FleetWords(
        devices=devices,
        wake_every=wake_every,
        length=length,
        grace=grace,
        spread=spread or wake_every,
        image=image,
        chunk=chunk,
        pause=pause,
        burst=burst,
        profile=profile,
        seed=seed,
        link=link.value,
        broker=broker,
        bench="" if bench is None else bench.value,
        target=target,
        database_url=database_url,
        at_once=at_once,
        connects=connects,
        shards=shards,
        shard=shard,
        ray=ray,
        faults=fault or (),
        out=out,
        as_json=as_json,
    )
    raise typer.Exit(run_command(command_of(words)))
