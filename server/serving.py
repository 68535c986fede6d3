"""One server as a process: doors of production, HTTP, signals, and what is said when something is not there.

Standard output gets one line, when everything is ready; logs go to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import uvicorn

from server.app import App, Parts, Settings
from server.carrier import CeleryCarrier, LocalCarrier
from server.clock import Clock, SteppedClock, SystemClock
from server.config import ConfigError, is_loopback, mqtt_settings, weakness_of_broker
from server.ids import random_ids
from server.job_watch import Carrier
from server.log import Log, stream_log
from server.offload import PoolOffload
from server.store import open_pool

EXIT_UNAVAILABLE: Final = 3
EXIT_USAGE: Final = 64
EXIT_INTERNAL: Final = 70

BROKER_PATIENCE_S: Final = 2.0
"""A broker that is not there by then gets a line on standard error; the server goes on trying."""

ANSWER_WITHIN_S: Final = 60.0
"""A database that does not answer a request for so long is given up: its host may have vanished without a word."""

STOP_WITHIN_S: Final = 10.0
"""Longest that a graceful stop takes: what is not finished was not acknowledged, and comes again."""

HTTP_GRACE_S: Final = 2


class ServeError(Exception):
    """The server can not start; the message says what to do about it."""

    def __init__(self, message: str, exit_code: int = EXIT_UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The command line of `wakestorm serve`. `wait_for_broker_s` None: keep trying for ever."""

    settings: Settings
    log_as_json: bool = True
    has_test_clock: bool = False
    test_clock_start: datetime | None = None
    migrate: bool = False
    wait_for_broker_s: float | None = None


async def serve(options: ServeOptions) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. Raises ServeError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = options.settings
    _check_urls(settings)
    with _listening(settings.http_host, settings.http_port) as listener:
        if options.migrate:
            await _migrated(settings.database_url)
        async with _pool(settings) as pool:
            await _check_revision(pool)
            app = _new_app(options, pool)
            loop.set_exception_handler(lambda _, context: _report(app.parts.log, context))
            await _say_who_may_come(app)
            async with _http(app, listener) as address:
                await app.start()
                gc.collect()
                gc.freeze()  # what was imported stays: looking through it again and again held up batches by 0.2 s
                try:
                    await _wait_for_broker(app, stop, options.wait_for_broker_s, address)
                    return await _until_stopped(app, stop)
                finally:
                    await _stopped(app)


def _new_app(options: ServeOptions, pool: asyncpg.Pool) -> App:
    clock: Clock = SteppedClock(options.test_clock_start) if options.has_test_clock else SystemClock()
    offload = PoolOffload()
    parts = Parts(
        clock=clock,
        ids=random_ids(),
        pool=pool,
        offload=offload,
        log=stream_log(as_json=options.log_as_json),
        carrier=_carrier(options, offload),
    )
    try:
        return App(options.settings, parts)
    except Exception as error:  # whatever the object store thinks of its URL
        offload.close()
        raise ServeError(f"objects {options.settings.objects_url}: {words_of(error)}", EXIT_USAGE) from error


def _carrier(options: ServeOptions, offload: PoolOffload) -> Carrier | None:
    """None with a test clock: no other process shares it, so the server does its jobs itself."""
    settings = options.settings
    if options.has_test_clock:
        return None
    if settings.jobs_url is None:
        place = {"WAKESTORM_DATABASE_URL": settings.database_url, "WAKESTORM_OBJECTS": settings.objects_url}
        return LocalCarrier(place, offload)
    try:
        return CeleryCarrier(settings.jobs_url, offload)
    except ValueError as error:
        offload.close()
        raise ServeError(f"--jobs {error}", EXIT_USAGE) from error


async def _until_stopped(app: App, stop: asyncio.Event) -> int:
    waits = [asyncio.create_task(event.wait()) for event in (stop, app.failed)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if app.failure is not None:
        print(f"wakestorm serve: internal error, {words_of(app.failure)}", file=sys.stderr)
        return EXIT_INTERNAL
    return 0


async def _stopped(app: App) -> None:
    """Finishes the batch at hand and says goodbye, within limits."""
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await app.stop()
    except TimeoutError:
        app.parts.log("warning", f"[App] Not finished within {STOP_WITHIN_S:.0f} s; the rest comes again", device=None)
        await app.abandon()


async def _wait_for_broker(app: App, stop: asyncio.Event, limit_s: float | None, address: str) -> None:
    """Returns when messages are taken, says `ready` then, and earlier when it is asked to stop."""
    ready = asyncio.create_task(app.mqtt.wait_ready())
    ends = [ready, asyncio.create_task(stop.wait()), asyncio.create_task(app.failed.wait())]
    try:
        patience_s = BROKER_PATIENCE_S if limit_s is None else limit_s
        done, _ = await asyncio.wait(ends, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            place = place_of(app.settings.mqtt_url)
            if limit_s is not None:
                raise ServeError(f"no broker at {place} within {limit_s:g} s: check --mqtt-url")
            print(f"wakestorm serve: no broker at {place} yet, keeps trying; health at {address}", file=sys.stderr)
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            ready.result()
            print(f"wakestorm serve: ready, {address}", flush=True)
    finally:
        for end in ends:
            end.cancel()


async def _say_who_may_come(app: App) -> None:
    weakness = weakness_of_broker(app.settings)
    if weakness is not None:
        print(f"wakestorm serve: {weakness}", file=sys.stderr)
    if app.settings.insecure_local:
        print("wakestorm serve: --insecure-local: nobody signs in, this machine's users are all admin", file=sys.stderr)
    elif not await app.accounts.has_users():
        print(
            "wakestorm serve: nobody can sign in yet: wakestorm user add NAME --role admin makes the first user",
            file=sys.stderr,
        )


# -- HTTP ---------------------------------------------------------------------------------------------


class _Http(uvicorn.Server):
    """uvicorn without its signal handlers: the server has its own order of shutdown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals alone."""
        yield


@contextlib.asynccontextmanager
async def _http(app: App, listener: socket.socket) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app.asgi(), log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=HTTP_GRACE_S
    )
    http = _Http(config)
    task = asyncio.create_task(http.serve(sockets=[listener]))
    host, port = listener.getsockname()[:2]
    try:
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        http.should_exit = True
        await task


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A bound and listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ServeError(
                f"{host}:{port} can not be listened on: {reason}; name another with --http HOST:PORT (port 0: any)"
            ) from error
        listener.setblocking(False)
        yield listener


# -- the database -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[asyncpg.Pool]:
    place = place_of(settings.database_url)
    try:
        pool = await open_pool(
            settings.database_url, size=settings.pool_size, timeout=10, command_timeout=ANSWER_WITHIN_S
        )
    except (ValueError, asyncpg.InterfaceError) as error:
        raise ServeError(f"--database-url {place}: {words_of(error)}", EXIT_USAGE) from error
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise ServeError(f"the database at {place} can not be reached: {words_of(error)}") from error
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _migrated(url: str) -> None:
    from server.migrations.apply import upgrade_all

    try:
        await upgrade_all(url)
    except Exception as error:
        raise ServeError(f"--migrate, the database at {place_of(url)}: {words_of(error)}") from error


async def _check_revision(pool: asyncpg.Pool) -> None:
    """The schema is the one that this server was written for."""
    from server.migrations.apply import HISTORIES, head_of, version_table_of

    for history in HISTORIES:
        wanted = head_of(history)
        try:
            found = await pool.fetchval(f"SELECT version_num FROM {version_table_of(history)}")
        except asyncpg.UndefinedTableError:
            found = None
        except asyncpg.PostgresError as error:
            raise ServeError(f"the database's revision can not be read: {words_of(error)}") from error
        if found != wanted:
            raise ServeError(
                f"the database stands at revision {found or 'none'} of {history}, needed is {wanted}: run "
                "`wakestorm db migrate`, or start with --migrate"
            )


def newest_revision() -> str:
    """The head of the cameras history."""
    from server.migrations.apply import head_of

    return head_of("cameras")


# -- words --------------------------------------------------------------------------------------------


def _check_urls(settings: Settings) -> None:
    scheme = urlsplit(settings.database_url).scheme
    if scheme not in ("postgresql", "postgres"):
        raise ServeError(
            f"--database-url {place_of(settings.database_url)}: write postgresql://user:password@host:5432/database",
            EXIT_USAGE,
        )
    if settings.insecure_local and not is_loopback(settings.http_host):
        raise ServeError(
            f"--insecure-local with --http {settings.http_host}: it listens on loopback only, such as 127.0.0.1; leave "
            "it out, and whoever comes signs in",
            EXIT_USAGE,
        )
    try:
        mqtt_settings(settings)
    except (ConfigError, OSError) as error:
        raise ServeError(str(error), EXIT_USAGE) from error


def place_of(url: str) -> str:
    """A URL without user and password."""
    try:
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{place}{parts.path}"
    except ValueError:
        return "that is no URL"


def words_of(error: BaseException) -> str:
    """The kind of an error and what it says, on one line."""
    text = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _report(log: Log, context: dict[str, Any]) -> None:
    """What asyncio would print with a traceback, as one line of the log."""
    error = context.get("exception")
    text = f"[App] {context['message']}" + (f": {words_of(error)}" if error is not None else "")
    log("error", text, device=None)
    if os.environ.get("WAKESTORM_DEBUG") == "1":
        asyncio.get_running_loop().default_exception_handler(context)
