"""A camera server that owes nothing to this project: paho and asyncpg, own tables, own topics, own words.

`python -P second_server.py PORT DSN [DEFECT]`; login from MQTT_USER and MQTT_PASSWORD. Prints `ready`. A defect of
`doubles`, `flips` or `forgets` breaks what a judge must see.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import paho.mqtt.client as mqtt

SCHEMA = """
CREATE TABLE cams (cam_no bigserial PRIMARY KEY, hw_addr text UNIQUE NOT NULL, first_heard timestamptz DEFAULT now());
CREATE TABLE snaps (
    snap_no bigserial PRIMARY KEY, cam_no bigint NOT NULL REFERENCES cams, filename text NOT NULL,
    taken timestamptz NOT NULL, condition text NOT NULL DEFAULT 'arriving', size_total int NOT NULL,
    parts_total int NOT NULL, parts_here int NOT NULL DEFAULT 0, jpeg bytea
);
CREATE TABLE snap_parts (
    snap_no bigint NOT NULL REFERENCES snaps, part_no int NOT NULL, body bytea NOT NULL, PRIMARY KEY (snap_no, part_no)
);
"""


class Server:
    """One message at a time, acknowledged to the broker after its COMMIT."""

    def __init__(self, database: asyncpg.Connection, client: mqtt.Client, defect: str) -> None:
        self.database = database
        self.client = client
        self.defect = defect

    async def take(self, topic: str, payload: bytes) -> None:
        """`lab/cams/<mac>/up/hello` or `.../up/photo`."""
        _, _, mac, _, what = topic.split("/")
        said = json.loads(payload)
        replies: list[tuple[str, dict[str, Any]]] = []
        async with self.database.transaction():
            cam = await self.database.fetchval(
                "INSERT INTO cams (hw_addr) VALUES ($1) ON CONFLICT (hw_addr) DO UPDATE SET hw_addr = $1"
                " RETURNING cam_no",
                ":".join(mac.lower()[at : at + 2] for at in range(0, 12, 2)),
            )
            if what == "hello":
                replies = await self.hello(cam, said)
            elif "chunk_id" in said:
                replies = await self.part(cam, said)
            elif "total_chunk_count" in said:
                replies = await self.announced(cam, said)
        for channel, reply in replies:
            self.client.publish(f"lab/cams/{mac}/down/{channel}", json.dumps({"device_id": mac, **reply}), qos=1)

    async def hello(self, cam: int, said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        open_snap = await self.database.fetchrow(
            "SELECT * FROM snaps WHERE cam_no = $1 AND condition = 'arriving' ORDER BY taken LIMIT 1", cam
        )
        if said.get("pendingImg") and open_snap is not None:
            return [("answer", {"image_name": open_snap["filename"], "ACK_OK": {}})]
        if said.get("pendingImg") and said.get("pending_list"):
            return [("order", {"send_image": said["pending_list"][0]})]
        return [("order", {"capture_image": True})]

    async def announced(self, cam: int, said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        name, taken = said["image_name"], datetime.fromisoformat(said["timestamp"])
        known = await self.database.fetchrow(
            "SELECT * FROM snaps WHERE cam_no = $1 AND filename = $2 AND taken = $3", cam, name, taken
        )
        if known is not None and self.defect != "doubles":
            return [self.thanks(name)] if known["condition"] == "whole" else []
        await self.database.execute(
            "INSERT INTO snaps (cam_no, filename, taken, size_total, parts_total) VALUES ($1, $2, $3, $4, $5)",
            cam,
            name,
            taken,
            said["image_size"],
            said["total_chunk_count"],
        )
        return []

    async def part(self, cam: int, said: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        name = said["image_name"]
        snap = await self.database.fetchrow(
            "SELECT * FROM snaps WHERE cam_no = $1 AND filename = $2 ORDER BY snap_no DESC LIMIT 1", cam, name
        )
        if snap is None:
            return []
        if snap["condition"] == "whole":
            return [self.thanks(name)]
        number, body = snap["snap_no"], base64.b64decode(said["payload"])
        await self.database.execute(
            "INSERT INTO snap_parts VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", number, said["chunk_id"], body
        )
        rows = await self.database.fetch("SELECT * FROM snap_parts WHERE snap_no = $1 ORDER BY part_no", number)
        await self.database.execute("UPDATE snaps SET parts_here = $2 WHERE snap_no = $1", number, len(rows))
        total = snap["parts_total"]
        if len(rows) < total:
            missing = sorted(set(range(total)) - {row["part_no"] for row in rows})
            return (
                [("answer", {"image_name": name, "missing_chunks": missing})] if said["chunk_id"] == total - 1 else []
            )
        if self.defect == "forgets":
            await self.database.execute("DELETE FROM snap_parts WHERE snap_no = $1", number)
            await self.database.execute("DELETE FROM snaps WHERE snap_no = $1", number)
            return [self.thanks(name)]
        jpeg = bytearray(b"".join(row["body"] for row in rows))
        if self.defect == "flips":
            jpeg[len(jpeg) // 2] ^= 1
        await self.database.execute(
            "UPDATE snaps SET condition = 'whole', jpeg = $2 WHERE snap_no = $1", number, bytes(jpeg)
        )
        await self.database.execute("DELETE FROM snap_parts WHERE snap_no = $1", number)
        return [self.thanks(name)]

    def thanks(self, name: str) -> tuple[str, dict[str, Any]]:
        wake = datetime.now(UTC) + timedelta(hours=2)
        return "answer", {"image_name": name, "ACK_OK": {"next_wake_time": wake.strftime("%I:%M%p").lstrip("0")}}


async def main(port: int, dsn: str, defect: str) -> None:
    """Serves until it is killed."""
    database = await asyncpg.connect(dsn)
    await database.execute(SCHEMA)
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[mqtt.MQTTMessage] = asyncio.Queue()
    subscribed = asyncio.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="second-server", manual_ack=True)
    if "MQTT_USER" in os.environ:
        client.username_pw_set(os.environ["MQTT_USER"], os.environ["MQTT_PASSWORD"])
    if "MQTT_CA" in os.environ:
        client.tls_set(os.environ["MQTT_CA"])
    client.on_connect = lambda client, *_: client.subscribe("lab/cams/+/up/+", qos=1)
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(subscribed.set)
    client.on_message = lambda _client, _data, message: loop.call_soon_threadsafe(inbox.put_nowait, message)
    client.connect("127.0.0.1", port)
    client.loop_start()
    await subscribed.wait()
    print("ready", flush=True)
    server = Server(database, client, defect)
    while True:
        message = await inbox.get()
        try:
            await server.take(message.topic, message.payload)
        except (ValueError, KeyError) as error:
            print(f"not understood: {type(error).__name__}: {error}", file=sys.stderr)
        client.ack(message.mid, message.qos)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
