"""A storm over originals: uploads, deletions and clean-ups of several servers, interleaved by a seed, with kills.

After each round references have to equal referencing rows and every byte that a row names has to be there; a day of
clean-up later nothing else may be there. A killed server may leave too much until then, never too little.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg

from harness.bench.postgres_cluster import OWNER, SERVER, Cluster
from harness.bench.template import ensure_template
from harness.bench.turnstile import Killed, SteppedOffload, SteppedPool, Turnstile
from harness.bench.virtual.asgi import exchange_with
from harness.machine import token
from harness.plan_steps import HttpExchange
from server.app import App, Parts, Settings, new_seeded_ids, open_pool
from simulator.rng import Rng

POOL_SIZE: Final = 6
START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
WORKERS: Final = ("one", "two")
BOUNDARY: Final = "wakestorm-boundary"
OBJECT_FOLDERS: Final = ("originals", "processed", "uploads")

_STATE: Final = """
SELECT o.content_hash, o.s3_key, o.reference_count, fn_count_original_references(o.id) AS rows_there
FROM original_images o ORDER BY 1
"""
_EMPTY: Final = "DELETE FROM projects; DELETE FROM devices; DELETE FROM original_images; DELETE FROM stray_objects"


def settings_in_place(objects_url: str) -> Settings:
    """Of a server that is called in place, on a given pool: it has no broker, and nobody signs in."""
    return Settings(
        database_url="postgresql://in-place",
        mqtt_url="mqtt://127.0.0.1:1",
        objects_url=objects_url,
        insecure_local=True,
    )


class StandingClock:
    """A clock that stands until somebody moves it."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        """The present."""
        return self.moment

    async def sleep_until(self, moment: datetime) -> None:
        """Time passes at once."""
        self.moment = max(self.moment, moment)


@asynccontextmanager
async def fresh_database(cluster: Cluster) -> AsyncIterator[str]:
    """The name of a migrated database that is gone afterwards."""
    name = f"wakestorm_originals_{token()}"
    await cluster.create_database(name, await ensure_template(cluster))
    try:
        yield name
    finally:
        await cluster.drop_database(name)


def kill_point(seed: int, number: int) -> int:
    """Before which step of that round a server dies, where it has so many."""
    return Rng(f"{seed}/{number}/kill").between(0, 30)


@dataclass(frozen=True, slots=True)
class Round:
    """What one interleaving did; `wrong` is empty where everything holds."""

    number: int
    steps: int
    actors: tuple[str, ...]
    killed_before: int | None
    wrong: tuple[str, ...]


@dataclass(slots=True)
class _Ground:
    """What stands before the actors begin."""

    project_id: str
    image_ids: list[str] = field(default_factory=list)
    device_id: UUID | None = None
    device_image_id: UUID | None = None


class OriginalsStorm:
    """Servers on one database and one folder of objects. `on` makes one."""

    def __init__(self, cluster: Cluster, database: str, folder: Path, seed: str) -> None:
        self._cluster = cluster
        self._database = database
        self._folder = folder
        self._seed = seed
        self.clock = StandingClock()
        self._pools: dict[str, asyncpg.Pool[Any]] = {}
        self._apps: dict[str, App] = {}
        self._started = 0
        self._turnstile: Turnstile
        self._control: asyncpg.Connection[Any]

    @classmethod
    @asynccontextmanager
    async def on(cls, cluster: Cluster, folder: Path, seed: str) -> AsyncIterator[OriginalsStorm]:
        """A storm on a database of its own, gone afterwards."""
        async with fresh_database(cluster) as database:
            storm = cls(cluster, database, folder, seed)
            await storm.open()
            try:
                yield storm
            finally:
                await storm.close()

    async def open(self) -> None:
        """Connects its own eyes."""
        self._control = await asyncpg.connect(self._cluster.dsn(self._database, OWNER))
        self._turnstile = Turnstile(self._control)

    async def close(self) -> None:
        """Lets go."""
        for pool in self._pools.values():
            pool.terminate()
        await self._control.close()

    async def round(self, number: int, kill_before: int | None = None, actors: tuple[str, ...] = ()) -> Round:
        """One interleaving; the first server dies before step `kill_before`. Actors are drawn by the seed if none."""
        rng = Rng(f"{self._seed}/{number}")
        turnstile = self._turnstile
        turnstile.begin(f"{self._seed}/{number}/order")
        apps = {name: await self._app(name) for name in WORKERS}
        ground = await self._prepare(apps["two"], rng)
        drawn = actors or tuple(rng.choice(ACTORS) for _ in range(rng.between(3, 6)))
        work = [self._actor(kind, apps[WORKERS[at % 2]], ground, rng) for at, kind in enumerate(drawn)]
        is_killed = False

        def kill(step: int) -> None:
            nonlocal is_killed
            if step == kill_before:
                is_killed = True
                turnstile.kill("one")
                self._pools.pop("one").terminate()
                del self._apps["one"]

        turnstile.before_step = kill
        results = await turnstile.drive(work)
        if is_killed:
            await turnstile.wait_gone("one")
            results[::2] = [None] * len(results[::2])  # nobody hears what a dead server says
        wrong = [f"{drawn[at]}: {result}" for at, result in enumerate(results) if _is_failure(result)]
        wrong += await self._unsound(has_leftovers=is_killed)
        await self._clean_up(apps["two"])
        wrong += await self._unsound(has_leftovers=False, is_clean=True)
        await self._control.execute(_EMPTY)
        for name in OBJECT_FOLDERS:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return Round(number, turnstile.steps, drawn, kill_before if is_killed else None, tuple(wrong))

    async def _app(self, name: str) -> App:
        """The server of that name; a killed one starts anew."""
        if name in self._apps:
            return self._apps[name]
        pool = self._pools[name] = await open_pool(self._cluster.dsn(self._database, SERVER), size=POOL_SIZE)
        opened = [await pool.acquire() for _ in range(POOL_SIZE)]  # one that opens late would change the order of steps
        for connection in opened:
            await pool.release(connection)
        self._started += 1
        parts = Parts(
            clock=self.clock,
            ids=new_seeded_ids(f"{self._seed}/{name}/{self._started}"),
            pool=SteppedPool(pool, self._turnstile, name),
            offload=SteppedOffload(self._turnstile, name),
            log=lambda level, line, *, device: None,
        )
        self._apps[name] = App(settings_in_place(str(self._folder)), parts)
        return self._apps[name]

    # -- actors ------------------------------------------------------------------------------------------

    async def _prepare(self, app: App, rng: Rng) -> _Ground:
        answer = await _request(app, "POST", "/api/v1/projects", {"name": "storm"})
        ground = _Ground(project_id=answer[1]["id"])
        for _ in range(rng.between(0, 2)):
            status, images = await _upload(app, ground.project_id, photo(0), ("original",))
            assert status == 201, images
            ground.image_ids.append(images[0]["id"])
        ground.device_id = await self._control.fetchval(
            "INSERT INTO devices (device_mac, provisioning_status) VALUES ($1, 'mapped') RETURNING device_id",
            f"{rng.between(0, 1 << 47):012X}",
        )
        data = photo(0)
        ground.device_image_id = await self._control.fetchval(
            "INSERT INTO device_images (device_id, image_name, captured_at, image_size, total_chunks, received_chunks,"
            " status) VALUES ($1, 'image_1.jpg', $2, $3, 1, 1, 'receiving') RETURNING image_id",
            ground.device_id,
            START,
            len(data),
        )
        await self._control.execute(
            "INSERT INTO device_image_chunks (image_id, chunk_index, data) VALUES ($1, 0, $2)",
            ground.device_image_id,
            data,
        )
        return ground

    def _actor(self, kind: str, app: App, ground: _Ground, rng: Rng) -> Coroutine[Any, Any, Any]:
        """One actor of the round; gives an HTTP status, or None."""
        if kind == "upload":
            return _status(_upload(app, ground.project_id, photo(rng.between(0, 1)), ("original",)))
        if kind == "delete_image":
            image_id = ground.image_ids[0] if ground.image_ids else str(UUID(int=0))
            return _status(_request(app, "DELETE", f"/api/v1/images/{image_id}"))
        if kind == "delete_project":
            return _status(_request(app, "DELETE", f"/api/v1/projects/{ground.project_id}"))
        if kind == "complete":
            return _discarded(app.intake.complete([_there(ground.device_image_id)]))
        if kind == "delete_device":
            return _delete_device(app, self.clock, ground.device_id)
        if kind == "clean_up":
            return _discarded(app.originals.clean_up_orphaned_originals(timedelta()))
        if kind == "sweep":
            return _discarded(app.originals.sweep(timedelta()))
        return _discarded(app.originals.mend_counts())

    # -- judgement -----------------------------------------------------------------------------------------

    async def _clean_up(self, app: App) -> None:
        """What the monitor does within a day and an hour."""
        await app.originals.mend_counts()
        await app.originals.sweep()
        self.clock.moment += timedelta(hours=25)
        await app.originals.clean_up_orphaned_originals()
        await app.originals.sweep()

    async def _unsound(self, *, has_leftovers: bool, is_clean: bool = False) -> list[str]:
        """What is wrong, in words. Leftovers of a kill may be too much; after a clean-up nothing may."""
        rows = await self._control.fetch(_STATE)
        wrong: list[str] = []
        for row in rows:
            count, there = row["reference_count"], row["rows_there"]
            if count < there or (count != there and not has_leftovers):
                wrong.append(f"{row['content_hash'][:12]}: reference_count {count}, referencing rows {there}")
            if is_clean and there == 0:
                wrong.append(f"{row['content_hash'][:12]}: an orphan outlived the clean-up")
        keys = {
            path.relative_to(self._folder).as_posix()
            for folder in OBJECT_FOLDERS
            for path in (self._folder / folder).rglob("*")
            if path.is_file()
        }
        needed = {row["s3_key"] for row in rows}
        wrong += [f"{key}: a row without its bytes" for key in sorted(needed - keys)]
        if is_clean:
            wrong += [f"{key}: bytes without a row" for key in sorted(keys - needed)]
        return wrong


ACTORS: Final = (
    "upload", "upload", "upload", "delete_image", "delete_image", "delete_project", "complete", "complete",
    "delete_device", "clean_up", "sweep", "mend",
)  # fmt: skip


def photo(number: int) -> bytes:
    """A small JPEG; another number, other bytes."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 160, 70)).save(out, "JPEG", comment=f"storm {number}")
    return out.getvalue()


def multipart(data: bytes, styles: tuple[str, ...]) -> bytes:
    """The form of an upload."""
    lines = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="style"\r\n\r\n{style}\r\n' for style in styles]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
    return "".join(lines).encode() + head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


async def _upload(app: App, project_id: str, data: bytes, styles: tuple[str, ...]) -> tuple[int, Any]:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await _exchange(app, "POST", f"/api/v1/projects/{project_id}/images", multipart(data, styles), headers)


async def _request(app: App, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return await _exchange(app, method, path, None if body is None else json.dumps(body).encode(), {})


async def _exchange(app: App, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, Any]:
    exchange = HttpExchange(
        method=method, path=path, headers=headers, body=body, which=0, status=None, contains=None, text=None
    )
    answer = await exchange_with(app.asgi(), exchange)
    return answer.status, json.loads(answer.body) if answer.body else None


async def _status(exchange: Coroutine[Any, Any, tuple[int, Any]]) -> int:
    return (await exchange)[0]


async def _discarded(work: Coroutine[Any, Any, Any]) -> None:
    await work


async def _delete_device(app: App, clock: StandingClock, device_id: UUID | None) -> None:
    async with app.store.transaction(clock.now()) as connection:
        await connection.execute("DELETE FROM devices WHERE device_id = $1", device_id)


def _there(image_id: UUID | None) -> UUID:
    assert image_id is not None, "the ground is prepared"
    return image_id


def _is_failure(result: Any) -> bool:
    if isinstance(result, BaseException):
        return not isinstance(result, Killed)
    return result not in (None, 201, 204, 404)
