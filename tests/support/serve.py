"""A server process for tests until `wakestorm serve` is there; takes the same options."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from datetime import datetime

import uvicorn

from server.app import App, Parts, Settings, open_pool
from server.clock import SteppedClock
from server.ids import random_ids
from server.log import stream_log
from server.offload import PoolOffload


async def serve(options: argparse.Namespace) -> int:
    """Until SIGTERM; 70 after a bug."""
    settings = Settings(
        database_url=options.database_url,
        mqtt_url=options.mqtt_url,
        objects_url=options.objects,
        client_id=options.client_id,
        shared_group=options.shared_group,
    )
    pool = await open_pool(settings.database_url, size=4)
    start = datetime.fromisoformat(options.test_clock_start) if options.test_clock_start else None
    parts = Parts(
        clock=SteppedClock(start), ids=random_ids(), pool=pool, offload=PoolOffload(), log=stream_log(as_json=True)
    )
    app = App(settings, parts)
    host, _, port = options.http.rpartition(":")
    web = uvicorn.Server(uvicorn.Config(app.asgi(), host=host, port=int(port), log_level="error", lifespan="off"))
    web.capture_signals = contextlib.nullcontext
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await app.start()
    serving = asyncio.create_task(web.serve())
    while not web.started:
        await asyncio.sleep(0.01)
    print(f"ready http://{host}:{web.servers[0].sockets[0].getsockname()[1]}", flush=True)
    failed = asyncio.create_task(app.failed.wait())
    stopped = asyncio.create_task(over.wait())
    await asyncio.wait((failed, stopped), return_when=asyncio.FIRST_COMPLETED)
    await app.stop()
    web.should_exit = True
    await serving
    await pool.close()
    return 70 if app.failure is not None else 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    for name in ("database-url", "mqtt-url", "objects", "http", "client-id", "shared-group", "log", "test-clock-start"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--test-clock", action="store_true")
    raise SystemExit(asyncio.run(serve(parser.parse_args())))


if __name__ == "__main__":
    main()
