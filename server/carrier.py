"""The door to Celery: it brings a job's id to a worker. The rows are the truth, so it may forget or repeat."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from server.job_watch import CarrierFailed
from server.offload import Offload

if TYPE_CHECKING:
    from celery import Celery

TASK: Final = "wakestorm.run_job"
QUEUE: Final = "wakestorm-jobs"
POLL_EVERY_S: Final = 0.5
SCHEMES: Final = ("filesystem", "redis", "rediss", "amqp", "amqps")
SEND_WITHIN_S: Final = 5
STOP_WITHIN_S: Final = 3


def celery_app(url: str) -> Celery:
    """Celery on that broker. Raises ValueError for a URL of another kind."""
    from celery import Celery

    scheme, _, place = url.partition("://")
    if scheme not in SCHEMES or not place.strip("/"):
        raise ValueError(f"{url!r}: write filesystem:///folder, redis://host/0 or amqp://user:password@host//")
    app = Celery("wakestorm", broker="filesystem://" if scheme == "filesystem" else url, set_as_current=False)
    options: dict[str, Any] = {"socket_connect_timeout": SEND_WITHIN_S, "socket_timeout": SEND_WITHIN_S}
    if scheme == "filesystem":
        folder = str(Path(urlsplit(url).path))
        Path(folder).mkdir(parents=True, exist_ok=True)
        options = {
            "data_folder_in": folder,
            "data_folder_out": folder,
            "control_folder": f"{folder}/control",
            "polling_interval": POLL_EVERY_S,
        }
    elif scheme.startswith("amqp"):
        options = {"connect_timeout": SEND_WITHIN_S}
    app.conf.update(
        broker_transport_options=options,
        broker_connection_retry_on_startup=True,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_publish_retry=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
    )
    return app


class CeleryCarrier:
    """To whatever workers listen at that broker (`wakestorm worker --jobs URL`)."""

    def __init__(self, url: str, offload: Offload) -> None:
        self._app = celery_app(url)
        self._place = url.rpartition("@")[2]
        self._offload = offload

    async def send(self, job_id: UUID, task_id: str) -> None:
        """Returns when the broker has it; raises CarrierFailed."""

        def publish() -> None:
            self._app.send_task(TASK, args=[str(job_id)], task_id=task_id, retry=False)

        try:
            await self._offload.call(publish)
        except Exception as error:  # kombu passes on what each transport's library raises
            words = " ".join(str(error).split())[:200]
            raise CarrierFailed(f"{self._place}: {type(error).__name__}: {words}") from error

    async def close(self) -> None:
        """Lets the broker go."""
        await self._offload.call(self._app.close)


class LocalCarrier:
    """The embedded default: a worker process of this server's own, started for the first job, on a folder of its own.

    `environ` tells the worker where database and objects are. It needs no server, and is gone with this one.
    """

    def __init__(self, environ: dict[str, str], offload: Offload) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wakestorm-jobs-")
        url = f"filesystem://{self._folder.name}"
        self._carrier = CeleryCarrier(url, offload)
        self._environ = os.environ | environ | {"WAKESTORM_JOBS": url}
        self._worker: subprocess.Popen[bytes] | None = None

    async def send(self, job_id: UUID, task_id: str) -> None:
        """Raises CarrierFailed; a worker that died is started anew."""
        await self._carrier.send(job_id, task_id)
        if self._worker is None or self._worker.poll() is not None:
            self._worker = self._new_worker()

    def _new_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "server.worker", "--parent", str(os.getpid())]
        return subprocess.Popen(command, env=self._environ, stdin=subprocess.DEVNULL)

    async def close(self) -> None:
        """The worker ends; what it was at is found again by its lease."""
        if self._worker is not None:
            self._worker.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._worker.wait(STOP_WITHIN_S)
            self._worker.kill()
            self._worker.wait()
        await self._carrier.close()
        self._folder.cleanup()
