"""`wakestorm fleet`: bench, shards, table, judgement, files, exit code."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness.bench.brokers import BrokerKind
from harness.fleet.bench import BrokerAddress, FleetBench, OwnBench, StandingBench
from harness.fleet.files import FleetFiles
from harness.fleet.judging import judged, unfinished_words, verdict_of, without_untold
from harness.fleet.limits import check_broker, check_files, source_hosts
from harness.fleet.order import FleetOrder, FleetState
from harness.fleet.shards import LocalShards, Shards
from harness.fleet.table import FleetTable, latency_words
from harness.fleet.target_bench import TargetBench, target_bench
from harness.ledger import LedgerEntry, LedgerTotals, totals
from harness.machine import monotonic_s
from harness.verdict import EXIT_INTERRUPTED, Verdict, exit_code
from simulator.fleet import camera_name
from simulator.roster import shard_of_camera

TABLE_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCommand:
    """The command line of `wakestorm fleet`. `broker` is a kind to start, or the URL of one that runs."""

    order: FleetOrder
    broker: str
    database_url: str | None
    shards: int
    runs_folder: Path
    as_json: bool
    at_once_asked: bool
    target: Path | None = None
    ray_address: str | None = None

    @property
    def is_standing(self) -> bool:
        """Nothing is started: broker, server and database run already."""
        return self.database_url is not None or self.target is not None


@dataclass(slots=True)
class FleetResult:
    """What came out."""

    state: FleetState
    ledger: list[LedgerEntry]
    totals: LedgerTotals
    verdict: Verdict
    reasons: list[str] = field(default_factory=list)
    wall_s: float = 0.0
    interrupted: bool = False


def run_command(command: FleetCommand) -> int:
    """Runs the fleet; returns the exit code. Raises UsageError, BenchUnavailable."""
    check_files(command.order.at_once, asked=command.at_once_asked)
    if not command.is_standing:
        check_broker(command.broker, command.order.at_once)
    target = None if command.target is None else target_bench(command.target, command.order)
    files = FleetFiles(command.runs_folder)
    try:
        result = asyncio.run(_run(command, target))
    except BaseException:
        files.drop_empty()
        raise
    finally:
        if target is not None:
            target.clean(lambda line: print(line, file=sys.stderr))
    files.write(command.order, result)
    _tell(command, result, files.folder)
    return EXIT_INTERRUPTED if result.interrupted else exit_code(result.verdict)


async def _run(command: FleetCommand, target: TargetBench | None) -> FleetResult:
    with tempfile.TemporaryDirectory(prefix="wakestorm-fleet-") as folder:
        bench = target or _bench_of(command, Path(folder))
        try:
            await bench.start()
            await bench.register(command.order.cameras(), command.order.seed)
            return await fleet_on(command, bench)
        finally:
            await bench.stop()


def _bench_of(command: FleetCommand, folder: Path) -> OwnBench | StandingBench:
    if command.database_url is not None:
        return StandingBench(command.broker, command.database_url)
    kind: BrokerKind = "mosquitto" if command.broker == "mosquitto" else "iotcore"
    return OwnBench(folder, kind, log=lambda line: print(line, file=sys.stderr))


def orders_of(order: FleetOrder, shards: int, broker: BrokerAddress) -> list[FleetOrder]:
    """One order for each local shard; a part of several machines is split further, by the same hash."""
    wakes_per_s = order.devices / order.parts * 1000 / order.wake_every_ms if order.wake_every_ms else 500.0
    hosts = source_hosts(broker.host, order.at_once, wakes_per_s)
    parts = order.parts * shards
    base = _at(order, broker, hosts)
    return [base.shard(order.part + order.parts * number, parts) for number in range(shards)]


def _at(order: FleetOrder, broker: BrokerAddress, hosts: tuple[str, ...]) -> FleetOrder:
    return replace(
        order,
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password=broker.password,
        theirs=broker.theirs,
        mac_first=broker.mac_first,
        source_hosts=hosts,
    )


async def fleet_on(command: FleetCommand, bench: FleetBench) -> FleetResult:
    """The fleet on a bench that stands and knows its cameras, from the first wake to the verdict."""
    began_s = monotonic_s()
    shards = _shards_of(command, orders_of(command.order, command.shards, bench.broker))
    doubts: list[str] = []
    with _stopped_by_signals(shards) as received:
        await _watched(command, shards, bench, doubts)
    state = shards.state
    doubts += [f"shard {part} was lost: {reason}" for part, reason in sorted(state.lost.items())]
    not_begun = int(state.sums()["not_begun"])
    if not_begun:
        doubts.append(f"{not_begun} cameras did not wake any more, because the fleet was stopped")
    doubts += unfinished_words(state.unfinished)
    held = frozenset(state.held_sha256) | _unknown(command, state)
    ledger, untold = without_untold(await judged(bench, state.captures, held), _lost_cameras(command, state))
    if untold:
        doubts.append(f"photos that cameras of a lost shard stored, and nobody can tell of any more: {untold}")
    blind = await bench.blind_spots()
    if blind is not None:
        doubts.append(blind)
    sums = totals(ledger)
    is_drained = not (state.lost or state.unfinished or not_begun)
    verdict, reasons = verdict_of(sums, doubts, is_drained=is_drained)
    return FleetResult(state, ledger, sums, verdict, reasons, monotonic_s() - began_s, bool(received))


def _unknown(command: FleetCommand, state: FleetState) -> frozenset[str]:
    """Photos of lost shards: nobody knows whether their cameras still hold them, so none of them counts as lost."""
    parts = command.order.parts * command.shards
    return frozenset(
        capture.sha256 for capture in state.captures if shard_of_camera(capture.index, parts) in state.lost
    )


def _lost_cameras(command: FleetCommand, state: FleetState) -> frozenset[str]:
    """Names of the cameras whose shard is lost."""
    if not state.lost:
        return frozenset()
    parts = command.order.parts * command.shards
    cameras = range(command.order.devices)
    return frozenset(camera_name(index) for index in cameras if shard_of_camera(index, parts) in state.lost)


def _shards_of(command: FleetCommand, orders: list[FleetOrder]) -> Shards:
    if command.ray_address is None:
        return LocalShards(orders)
    from harness.fleet.ray_shards import RayShards

    return RayShards(orders, command.ray_address)


async def _watched(command: FleetCommand, shards: Shards, bench: FleetBench, doubts: list[str]) -> None:
    """Runs the shards under the table; a server that ends by itself stops them."""
    order = command.order
    title = f"{order.devices:,} cameras, {order.link}, shards: {command.shards}"
    running = asyncio.create_task(shards.run())
    try:
        with FleetTable(sys.stderr, shards.state, title=title, clock_s=monotonic_s) as table:
            while not running.done():
                await asyncio.wait((running,), timeout=TABLE_EVERY_S)
                table.update()
                failure = await bench.failure()
                if failure is not None:
                    doubts.append(failure)
                    shards.stop()
        running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextmanager
def _stopped_by_signals(shards: Shards) -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM lets who is awake finish, the second ends all at once."""
    received: list[int] = []
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def interrupt(number: int) -> None:
        received.append(number)
        if len(received) > 1 and main is not None:
            main.cancel()
            return
        print("stopping: who is awake may finish; once more to stop at once", file=sys.stderr)
        shards.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield received
    except asyncio.CancelledError:
        if len(received) > 1:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _tell(command: FleetCommand, result: FleetResult, folder: Path) -> None:
    if command.as_json:
        print((folder / "fleet.json").read_text().strip())
        return
    sums, found = result.state.sums(), result.totals
    elapsed_s = max(result.state.elapsed_s, 0.001)
    print(
        f"{sums['wakes']} wakes of {sums['registered']} cameras in {elapsed_s:.1f} s: {sums['done']} done, "
        f"{sums['failed']} failed; {sums['done'] / elapsed_s:.1f} cycles/s; latest start {result.state.late_ms} ms late"
    )
    print(f"wake to final ACK: {latency_words(result.state)}")
    print(
        f"{found.captured} photos: {found.stored} stored ({found.recovered} recovered), {found.lost} lost, "
        f"{found.doubled} doubled, {found.damaged} damaged, {found.pending} pending, {found.unexpected} unexpected"
    )
    for text, count in list(result.state.troubles().items())[:5]:
        print(f"  {count} x {text}")
    for reason in result.reasons:
        print(f"  {reason}")
    print(f"{result.verdict.value}  {folder / 'ledger.csv'}")
