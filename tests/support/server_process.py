"""`wakestorm serve` as a child process, and a camera made of paho alone: topics and JSON, nothing of this project."""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0


class ServerProcess:
    """One server; `ready_line` is what it printed when it was ready."""

    def __init__(
        self, folder: Path, *options: str, environment: dict[str, str] | None = None, insecure_local: bool = True
    ) -> None:
        self._log = (folder / "server.log").open("ab")
        local = ["--insecure-local"] if insecure_local else []
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness.cli", "serve", "--http", "127.0.0.1:0", *local, *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        )
        self.ready_line = ""

    def wait_ready(self) -> Self:
        """Reads its one line; empty when it ended without."""
        assert self.process.stdout is not None
        alarm = threading.Timer(PATIENCE_S, self.process.kill)
        alarm.start()
        try:
            self.ready_line = self.process.stdout.readline().strip()
        finally:
            alarm.cancel()
        return self

    @property
    def url(self) -> str:
        """Where its HTTP side is."""
        return self.ready_line.rpartition(" ")[2]

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


class PahoCamera:
    """Publishes what it is told to and keeps what comes back, in paho's own thread."""

    def __init__(self, port: int, mac: str) -> None:
        self.mac = mac
        self.answers: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"camera-{mac}")
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(f"ESP32CAM/{mac}/cmd", 1), (f"ESP32CAM/{mac}/ack", 1)]
        )
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.answers.put(
            (message.topic.rpartition("/")[2], json.loads(message.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE_S)

    def publish(self, channel: str, **fields: Any) -> None:
        """One message, acknowledged by the broker when this returns."""
        body = json.dumps({"device_id": self.mac, **fields})
        self._client.publish(f"ESP32CAM/{self.mac}/{channel}", body, qos=1).wait_for_publish(PATIENCE_S)

    def hello(self, pending: int = 0) -> None:
        """I am awake."""
        self.publish("status", status="Alive", pendingImg=pending)

    def metadata(self, name: str, data: bytes, chunk_size_bytes: int) -> None:
        """A picture is coming."""
        self.publish(
            "data",
            image_name=name,
            timestamp="2026-01-05T06:00:00Z",
            image_size=len(data),
            max_chunks_size=chunk_size_bytes,
            total_chunk_count=-(-len(data) // chunk_size_bytes),
            location="Yard",
            error=0,
            sensor_data={"temperature": 20.5, "humidity": 40.0, "pressure": 1000.0, "gas_resistance": 10.0},
        )

    def chunk(self, name: str, data: bytes, chunk_size_bytes: int, index: int) -> None:
        """One piece of it."""
        piece = data[index * chunk_size_bytes : (index + 1) * chunk_size_bytes]
        self.publish(
            "data",
            image_name=name,
            chunk_id=index,
            max_chunk_size=chunk_size_bytes,
            payload=base64.b64encode(piece).decode(),
        )

    def answer(self, channel: str, key: str) -> dict[str, Any]:
        """The next answer on that channel that has this key; queue.Empty when none comes."""
        while True:
            at, body = self.answers.get(timeout=PATIENCE_S)
            if at == channel and key in body:
                return body

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()
