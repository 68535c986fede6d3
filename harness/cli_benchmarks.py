"""`wakestorm bench ingest | device | virtual | start | fleet | pages`: the command lines; see `harness.benchmarks`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from harness.cli_bench import app
from harness.cli_choices import BrokerChoice, LinkChoice

__all__ = ["app"]

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from harness.benchmarks.report import BenchReport

AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
Save = Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the report as JSON, for --compare.")]
Compare = Annotated[Path | None, typer.Option(metavar="FILE", help="Show ratios to a report that --save kept.")]
Runs = Annotated[int, typer.Option(min=1, max=99, metavar="N", help="Runs; the median counts.")]
Seconds = Annotated[int, typer.Option("--seconds", min=4, max=3600, metavar="N", help="Length of each run.")]
Chunks = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Chunks of 4 KiB in a photo.")]
Window = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Chunks sent before a PUBACK is waited for.")]
CHUNK_BYTES: Final = 4_096


@app.command()
def ingest(
    link: Annotated[LinkChoice, typer.Option(help="How cameras speak MQTT.")] = LinkChoice.paho,
    broker: Annotated[BrokerChoice, typer.Option(help="The broker between.")] = BrokerChoice.iotcore,
    devices: Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="Cameras, all awake.")] = 100,
    shards: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Processes that share the cameras.")] = 1,
    seconds: Seconds = 15,
    runs: Runs = 3,
    chunks: Chunks = 20,
    window: Window = 4,
    as_json: AsJson = False,
    save: Save = None,
    compare: Compare = None,
) -> None:
    """Wake cycles and chunks a second through simulator, broker, server and PostgreSQL; every photo is verified.

    Shows CPU per chunk of each process side by side, and which one keeps the others waiting. Exit code 1: a photo is
    missing, and the figures prove nothing.

    \b
    Examples:
      wakestorm bench ingest
      wakestorm bench ingest --link raw --broker mosquitto --runs 5 --save before.json
      wakestorm bench ingest --link raw --broker mosquitto --compare before.json
    """
    from harness.benchmarks.ingest import IngestSettings
    from harness.benchmarks.ingest import ingest as measure

    saved = _saved(compare, "ingest")
    settings = IngestSettings(
        link=link.value,
        broker=broker.value,
        devices=devices,
        shards=shards,
        run_s=seconds,
        runs=runs,
        chunks=chunks,
        chunk_bytes=CHUNK_BYTES,
        window=window,
    )
    raise typer.Exit(_told(_waited_for(measure(settings, _tell)), as_json, save, saved))


@app.command()
def device(
    devices: Annotated[int, typer.Option(min=1, max=5_000, metavar="N", help="Cameras, all awake.")] = 100,
    seconds: Seconds = 8,
    runs: Runs = 3,
    chunks: Chunks = 20,
    window: Window = 20,
    as_json: AsJson = False,
    save: Save = None,
    compare: Compare = None,
) -> None:
    """Wake cycles per CPU second of the simulator, with paho and with the raw link, against a sink.

    \b
    Examples:
      wakestorm bench device --runs 5
      wakestorm bench device --window 1
    """
    from harness.benchmarks.device import DeviceSettings
    from harness.benchmarks.device import device as measure

    saved = _saved(compare, "device")
    settings = DeviceSettings(
        devices=devices, run_s=seconds, runs=runs, chunks=chunks, chunk_bytes=CHUNK_BYTES, window=window
    )
    raise typer.Exit(_told(_waited_for(measure(settings, _tell)), as_json, save, saved))


@app.command()
def virtual(
    cameras: Annotated[int, typer.Option(min=1, max=1_000, metavar="N", help="Cameras of each worker.")] = 20,
    workers: Annotated[int, typer.Option(min=0, max=64, metavar="N", help="0: one for each core.")] = 0,
    runs: Runs = 3,
    as_json: AsJson = False,
    save: Save = None,
    compare: Compare = None,
) -> None:
    """Camera days a minute in the embedded bench, on its virtual clock.

    \b
    Examples:
      wakestorm bench virtual --cameras 20 --runs 5
    """
    from harness.benchmarks.virtual import VirtualSettings
    from harness.benchmarks.virtual import virtual as measure

    saved = _saved(compare, "virtual")
    settings = VirtualSettings(cameras=cameras, workers=workers or len(os.sched_getaffinity(0)), runs=runs)
    raise typer.Exit(_told(measure(settings, _tell), as_json, save, saved))


@app.command()
def start(runs: Runs = 5, as_json: AsJson = False, save: Save = None, compare: Compare = None) -> None:
    """How long the command line, PostgreSQL, the brokers and a whole bench take to start.

    \b
    Examples:
      wakestorm bench start
    """
    from harness.benchmarks.start import StartSettings
    from harness.benchmarks.start import start as measure

    saved = _saved(compare, "start")
    raise typer.Exit(_told(measure(StartSettings(runs=runs), _tell), as_json, save, saved))


@app.command()
def fleet(
    devices: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="Cameras that are registered.")
    ] = 1_000_000,
    runs: Runs = 1,
    as_json: AsJson = False,
    save: Save = None,
    compare: Compare = None,
) -> None:
    """Memory of a fleet that sleeps: bytes for each registered camera, and the time to register all.

    \b
    Examples:
      wakestorm bench fleet --devices 1000000
    """
    from harness.benchmarks.memory import MemorySettings
    from harness.benchmarks.memory import memory as measure

    saved = _saved(compare, "fleet")
    raise typer.Exit(_told(measure(MemorySettings(devices=devices, runs=runs), _tell), as_json, save, saved))


@app.command()
def pages(
    devices: Annotated[int, typer.Option(min=20, max=1_000_000, metavar="N", help="Devices in the database.")] = 1_000,
    images: Annotated[int, typer.Option(min=40, max=20_000_000, metavar="N", help="Photos in the database.")] = 10_000,
    runs: Runs = 9,
    as_json: AsJson = False,
    save: Save = None,
    compare: Compare = None,
) -> None:
    """How long the pages of devices take at a real server, when very many devices and photos are in the database.

    Fills a database of its own (100,000 devices and a million photos take some minutes), starts a server, and asks for
    each page over HTTP, as somebody who sees all and as a user of one company of ten. Exit code 1: a page does not show
    what it was asked for, and the figures prove nothing.

    \b
    Examples:
      wakestorm bench pages
      wakestorm bench pages --devices 100000 --images 1000000
    """
    from harness.benchmarks.pages import PagesSettings
    from harness.benchmarks.pages import pages as measure

    saved = _saved(compare, "pages")
    settings = PagesSettings(devices=devices, images=images, runs=runs)
    raise typer.Exit(_told(_waited_for(measure(settings, _tell)), as_json, save, saved))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _saved(compare: Path | None, bench: str) -> BenchReport | None:
    """The report to compare with, read before anything is measured."""
    from harness.benchmarks.report import saved_report
    from harness.errors import UsageError

    if compare is None:
        return None
    saved = saved_report(compare)
    if saved.bench != bench:
        raise UsageError(f"--compare {compare}: a report of `bench {saved.bench}`, not of `bench {bench}`")
    return saved


def _waited_for(work: Coroutine[Any, Any, BenchReport]) -> BenchReport:
    import asyncio  # late: --help needs none of it

    return asyncio.run(work)


def _told(report: BenchReport, as_json: bool, save: Path | None, saved: BenchReport | None) -> int:
    from harness.benchmarks import report as reports
    from harness.errors import UsageError

    if save is not None:
        try:
            save.write_text(reports.as_json(report) + "\n", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--save {save}: {error.strerror or error}") from error
    print(reports.as_json(report) if as_json else "\n".join(reports.shown(report, saved)))
    return 1 if report.mistakes else 0
