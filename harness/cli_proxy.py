"""`wakestorm proxy`: the fault proxy by hand, before any broker, for any device."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.proxy_spec import LineFault
    from simulator.proxy import FaultProxy


def proxy(
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The broker that it passes on to.")],
    listen: Annotated[
        str, typer.Option(metavar="ADDR:PORT", help="Where devices connect; port 0 is any free one.")
    ] = "127.0.0.1:0",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="SPEC",
            help="NAME[=VALUE][,SETTING=VALUE]... with from, for and every as times. May be repeated.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Where jitter and damaged bits come from.")] = 1,
) -> None:
    """Stand between devices and their broker, and do to the bytes what the faults say. Ctrl-C ends it.

    Settings are those of a scenario (wakestorm faults --layer link). Prints the address; connections and faults are
    told on standard error. It listens beyond this machine only where --listen names such an address.

    \b
    Examples:
      wakestorm proxy --to broker.local:1883 --fault latency=200ms,jitter=50ms
      wakestorm proxy --to 127.0.0.1:1883 --listen 0.0.0.0:1884 --fault blackhole,from=10s,for=30s,every=5m
      wakestorm proxy --to 127.0.0.1:1883 --fault cut_after=4kB --fault bandwidth=2kB,way=up
    """
    import asyncio  # not at the top: --help is quick

    from harness.proxy_spec import parse_line_fault

    faults = [parse_line_fault(text) for text in fault or ()]
    raise typer.Exit(asyncio.run(_serve(_address("--listen", listen), _address("--to", to), faults, seed)))


def _address(option: str, text: str) -> tuple[str, int]:
    from harness.errors import UsageError

    host, mark, port = text.rpartition(":")
    if not mark or not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{option} {text}: not HOST:PORT", hint=f"for example {option} 127.0.0.1:1883")
    return host.strip("[]"), int(port)


async def _serve(listen: tuple[str, int], to: tuple[str, int], faults: list[LineFault], seed: int) -> int:
    """Until SIGTERM or SIGINT. Raises BenchUnavailable where it can't listen."""
    import asyncio

    from harness.errors import BenchUnavailable
    from simulator.proxy import FaultProxy
    from simulator.rng import Rng

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    made = FaultProxy(to, Rng(f"{seed}/proxy"), _tell)
    try:
        await made.start(*listen)
    except OSError as error:
        raise BenchUnavailable(f"can not listen on {listen[0]}:{listen[1]}: {error.strerror or error}") from None
    print(f"{made.address[0]}:{made.address[1]} passes on to {to[0]}:{to[1]}", flush=True)
    for fault in faults:
        _tell(f"planned: {fault}")
        _call_later(fault.from_ms, _begin, made, fault)
    await ended.wait()
    await made.stop()
    _tell(f"{made.connections} connections, {made.taken_bytes} bytes taken")
    return 0


def _begin(made: FaultProxy, fault: LineFault) -> None:
    number = made.begin(fault.fault, once=fault.once)
    _tell(f"{fault.name} begins")
    if fault.for_ms is not None:
        _call_later(fault.for_ms, _end, made, fault, number)
    if fault.every_ms is not None:
        _call_later(fault.every_ms, _begin, made, fault)


def _end(made: FaultProxy, fault: LineFault, number: int) -> None:
    made.end(number)
    _tell(f"{fault.name} ends")


def _call_later(delay_ms: int, call: Callable[..., None], *arguments: object) -> None:
    import asyncio

    asyncio.get_running_loop().call_later(delay_ms / 1_000, call, *arguments)


def _tell(text: str) -> None:
    typer.echo(text, err=True)
