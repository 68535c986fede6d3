"""A broker with a login, a database with two roles, and the second server: a target for tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from harness.bench.brokers import BrokerProcess
from harness.bench.postgres import Cluster, run_blocking

MQTT_PASSWORD = "wire-secret-51f7"
READER_PASSWORD = "reader-secret-77a1"
WRITER_PASSWORD = "writer-secret-09c3"
SECRETS = (MQTT_PASSWORD, READER_PASSWORD, WRITER_PASSWORD)
PATIENCE_S = 60.0
SERVER = Path(__file__).with_name("second_server.py")

TARGET = """\
name = "lab"

[broker]
url = "mqtt://127.0.0.1:{port}"
login = {{user_variable = "LAB_MQTT_USER", password_variable = "LAB_MQTT_PASSWORD"}}

[topics]
status = "lab/cams/{{mac}}/up/hello"
data = "lab/cams/{{mac}}/up/photo"
cmd = "lab/cams/{{mac}}/down/order"
ack = "lab/cams/{{mac}}/down/answer"

[database]
url = "{url}"
reader = {{user_variable = "LAB_READER", password_variable = "LAB_READER_PASSWORD"}}
{writer}

[devices]
mac_form = "colons-lower"
dialects = ["v3.5.0"]

[time]
settle = "300ms"
wait_max = "5s"
wake_max = "1m"

[tables.devices]
table = "cams"
columns = {{device_id = "cam_no", device_mac = "hw_addr"}}

[tables.device_images]
table = "snaps"
columns = {{image_id = "snap_no", device_id = "cam_no", image_name = "filename", captured_at = "taken", \
status = "condition", image_size = "size_total", total_chunks = "parts_total", received_chunks = "parts_here", \
object_bytes = "jpeg"}}
values = {{status = {{receiving = "arriving", complete = "whole"}}}}

[tables.device_image_chunks]
table = "snap_parts"
columns = {{image_id = "snap_no", chunk_index = "part_no", data = "body"}}
"""
WRITER = 'writer = {user_variable = "LAB_WRITER", password_variable = "LAB_WRITER_PASSWORD"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetWorld:
    """What a test needs of a target that runs."""

    port: int
    database: Any
    url: str
    environment: dict[str, str]

    def file(self, folder: Path, *, writer: bool = True, text: str = "") -> Path:
        """A target file; `text` is what comes after."""
        path = folder / "target.toml"
        path.write_text(TARGET.format(port=self.port, url=self.url, writer=WRITER if writer else "") + text)
        return path

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows, asked as the superuser."""

        async def asked() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.database.superuser_dsn)
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return run_blocking(asked())

    def execute(self, text: str) -> None:
        """Statements, as the superuser."""
        run_blocking(executed(self.database.superuser_dsn, text))


def roles_of(database: Any, name: str) -> dict[str, str]:
    """Makes a role that reads and one that may delete; returns the environment with their logins."""
    grants = f"""
        DO $$ BEGIN
        IF to_regrole('{name}_reader') IS NULL THEN
            CREATE ROLE {name}_reader LOGIN PASSWORD '{READER_PASSWORD}';
            CREATE ROLE {name}_writer LOGIN PASSWORD '{WRITER_PASSWORD}';
        END IF; END $$;
        GRANT SELECT ON cams, snaps, snap_parts TO {name}_reader;
        GRANT SELECT, INSERT, DELETE ON cams, snaps, snap_parts TO {name}_writer;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}_writer;
        GRANT CONNECT ON DATABASE {database.name} TO {name}_reader, {name}_writer;
        GRANT USAGE ON SCHEMA public TO {name}_reader, {name}_writer;
    """
    run_blocking(executed(database.superuser_dsn, grants))
    return {
        "LAB_MQTT_USER": "lab",
        "LAB_MQTT_PASSWORD": MQTT_PASSWORD,
        "LAB_READER": f"{name}_reader",
        "LAB_READER_PASSWORD": READER_PASSWORD,
        "LAB_WRITER": f"{name}_writer",
        "LAB_WRITER_PASSWORD": WRITER_PASSWORD,
    }


async def executed(dsn: str, text: str) -> None:
    """Runs statements."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(text)
    finally:
        await connection.close()


def url_of(cluster: Cluster, name: str) -> str:
    """The database without a login in its URL."""
    if cluster.is_unix:
        return f"postgresql:///{name}?host={cluster.host}&port={cluster.port}"
    return f"postgresql://{cluster.host}:{cluster.port}/{name}"


@contextmanager
def target_world(folder: Path, database: Any, role: str, defect: str = "") -> Iterator[TargetWorld]:
    """A broker and the second server on that empty database, until the end."""
    with (
        BrokerProcess("iotcore", folder / "broker", login=("lab", MQTT_PASSWORD)) as broker,
        (folder / "second.log").open("wb") as log,
    ):
        server = subprocess.Popen(
            [sys.executable, "-P", str(SERVER), str(broker.port), database.superuser_dsn, defect],
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"MQTT_USER": "lab", "MQTT_PASSWORD": MQTT_PASSWORD},
        )
        alarm = threading.Timer(PATIENCE_S, server.kill)
        alarm.start()
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n", (folder / "second.log").read_text()
            alarm.cancel()
            environment = roles_of(database, role)
            url = url_of(database.cluster, database.name)
            yield TargetWorld(port=broker.port, database=database, url=url, environment=environment)
        finally:
            alarm.cancel()
            server.kill()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()
