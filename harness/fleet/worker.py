"""One shard of a fleet as a process: the order on standard input, what it says as JSON lines on standard output.

A second line on standard input, or its end, asks it to stop: nobody wakes any more, and who is awake may finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.fleet.order import Capture, Failed, Finished, FleetOrder, LinkKind, ShardSays, progress_of
from harness.machine import monotonic_s, unix_ms
from server.wire.codec import dialect_called
from simulator.effects import Captured
from simulator.fleet import Fleet
from simulator.link import FleetLinkFactory

SAYS_EVERY_S: Final = 0.5
GC_THRESHOLDS: Final = (20_000, 20, 50)
"""An awake camera is a few hundred objects that are counted out: looking for cycles every 700 costs a twentieth."""

STOPS_WITHIN_S: Final = 10.0
FILES_BESIDE: Final = 64
"""Descriptors of a shard that are no camera's."""


def link_factory(kind: LinkKind) -> FleetLinkFactory:
    """The make of link; paho is imported only where it is used."""
    if kind == "raw":
        from simulator.link.raw import RawLink

        return RawLink
    from simulator.link.paho import PahoLink

    return PahoLink


def links_of(order: FleetOrder) -> FleetLinkFactory:
    """The make of link, around which a target's topics and TLS stand where the fleet is before one."""
    if order.theirs is None:
        return link_factory(order.link)
    from harness.fleet.target_links import links_to

    family = dialect_called(order.device_profile().dialect).family
    return links_to(order.theirs, family, link_factory(order.link))


def files_allowed() -> int:
    """How many descriptors this process may have, after raising the soft limit as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def rss_bytes() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def run_shard(order: FleetOrder, say: Callable[[ShardSays], None], stop: asyncio.Event) -> None:
    """The shard from its first wake to its last; says where it is twice a second.

    It ends by `order.ends_within_s` whatever happens. Raises what was raised in any callback or task of a camera: that
    camera would wait for ever.
    """
    captures: list[Capture] = []

    def captured(index: int, photo: Captured) -> None:
        moment_s = round(photo.captured_at.timestamp())
        captures.append(Capture(index, photo.wake_number, photo.image_name, moment_s, photo.sha256, photo.size_bytes))

    fleet = Fleet(order.plan(unix_ms()), links_of(order), captured)
    began_s, began_cpu_s = monotonic_s(), _cpu_s()

    def tell() -> None:
        nonlocal captures
        said, captures = captures, []
        say(
            progress_of(
                order.part,
                fleet.counts(),
                said,
                elapsed_s=round(monotonic_s() - began_s, 3),
                cpu_s=round(_cpu_s() - began_cpu_s, 4),
                rss_bytes=rss_bytes(),
            )
        )

    tell()
    gc.freeze()  # the roster stays: no need to look through it again and again
    gc.set_threshold(*GC_THRESHOLDS)
    crashed = _first_crash()
    running = asyncio.create_task(fleet.run())
    stopping = asyncio.create_task(_stop(fleet, stop))
    last_call = asyncio.get_running_loop().call_later(order.ends_within_s, fleet.abandon)
    while not running.done() and not crashed.done():
        await asyncio.wait((running, crashed), timeout=SAYS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        tell()
    stopping.cancel()
    last_call.cancel()
    (crashed if crashed.done() else running).result()
    tell()
    say(Finished(part=order.part, held_sha256=sorted(fleet.held_sha256()), unfinished=fleet.unfinished))


def _first_crash() -> asyncio.Future[None]:
    """Fails with the first exception that the loop would only log; what becomes of sockets is no crash."""
    loop = asyncio.get_running_loop()
    crashed: asyncio.Future[None] = loop.create_future()

    def crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and not isinstance(error, OSError) and not crashed.done():
            crashed.set_exception(error)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(crash)
    return crashed


async def _stop(fleet: Fleet, stop: asyncio.Event) -> None:
    await stop.wait()
    fleet.stop()
    await asyncio.sleep(STOPS_WITHIN_S)
    fleet.abandon()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _main(order: FleetOrder) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)

    def say(said: ShardSays) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    stopped = asyncio.create_task(_until(stop, loop))
    try:
        await run_shard(order, say, stop)
    except Exception as error:  # the parent has to hear of it, whatever it was
        say(Failed(part=order.part, reason=f"{type(error).__name__}: {error}"))
        raise
    finally:
        stopped.cancel()


async def _until(stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    await stop.wait()
    loop.remove_reader(sys.stdin.fileno())


def _first_line(descriptor: int) -> bytes:
    """Byte by byte, unbuffered: what follows is watched by the loop."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def main() -> int:
    """Runs the order on standard input, on uvloop where there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    line = _first_line(sys.stdin.fileno())
    order = msgspec.json.decode(line, type=FleetOrder)
    files_allowed()
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main(order))
        return 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(order))
    return 0


if __name__ == "__main__":
    sys.exit(main())
