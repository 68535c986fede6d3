"""A real MQTT broker as a child process on a free loopback port: iotcore from its wheel, or mosquitto.

Sized so that nothing is lost by a full queue: mosquitto without a queue limit, iotcore with big segments. What a broker
does wrong by nature is not hidden here; tests/conformance says it. Blocking calls: `start` takes 0.1 to 0.5 s.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from harness.errors import BenchUnavailable
from server.wire.mosquitto import hashed, password_file
from server.wire.mqtt_codec import Connack, Connect, Decoder, Disconnect, MalformedPacket, encode

BrokerKind = Literal["iotcore", "mosquitto"]

MOSQUITTO_VARIABLE: Final = "WAKESTORM_MOSQUITTO"
"""Environment variable that names the mosquitto binary."""

HOST: Final = "127.0.0.1"
START_TRIES_MAX: Final = 500
TRY_INTERVAL_S: Final = 0.02
"""500 tries every 20 ms: 10 s for a broker that needs 0.5 s on an idle machine."""

STOP_WITHIN_S: Final = 5.0
PORT_TRIES_MAX: Final = 5
"""A free port may be taken by another process before the broker binds it; then another one is tried."""

LOG_TAIL_CHARS: Final = 1500
_SALT: Final = b"not a secret"
"""Mosquitto takes salts of 12 bytes only (SALT_BYTES). A login of a bench lasts as long as the bench."""

_LAUNCHER: Final = Path(__file__).with_name("die_with_parent.py")


def find_mosquitto(environment: Mapping[str, str]) -> str | None:
    """The mosquitto binary: named by WAKESTORM_MOSQUITTO, on PATH, or where Debian keeps it. None if missing."""
    named = environment.get(MOSQUITTO_VARIABLE)
    if named:
        return named if os.access(named, os.X_OK) else None
    search = os.pathsep.join([environment.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    return shutil.which("mosquitto", path=search)


def missing_reason(kind: BrokerKind, environment: Mapping[str, str]) -> str | None:
    """Why a kind of broker cannot be started here, in one sentence; None when it can."""
    if kind == "iotcore":
        found = importlib.util.find_spec("iotcore") is not None
        return None if found else "the package iotcore is not installed: pip install iotcore"
    if find_mosquitto(environment) is not None:
        return None
    named = environment.get(MOSQUITTO_VARIABLE)
    if named:
        return f"{MOSQUITTO_VARIABLE} names {named}, which is no program"
    return f"mosquitto is not installed: apt install mosquitto, or name it in {MOSQUITTO_VARIABLE}"


@dataclass(frozen=True, slots=True)
class OwnConfiguration:
    """mosquitto.conf as somebody else wants it, for a folder and a port; `tls` is what its first client needs."""

    text: Callable[[Path, int], str]
    tls: ssl.SSLContext | None = None


class BrokerProcess:
    """One broker and its folder. Start it from a thread that outlives it: Linux ends it with that thread.

    `kill` and `start` again give mosquitto what it had saved at its last clean `stop`; iotcore keeps all in memory.
    With `login` (user, password) nobody else is let in.
    """

    def __init__(
        self,
        kind: BrokerKind,
        folder: Path,
        *,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        login: tuple[str, str] | None = None,
        configuration: OwnConfiguration | None = None,
    ) -> None:
        self.kind: BrokerKind = kind
        self.login = login
        self._configuration = configuration
        self.folder = folder
        self.host = HOST
        self._wanted_port = port
        self._environment = dict(os.environ) if environment is None else dict(environment)
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port it listens on; after the first `start` it stays the same."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self.is_running and self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether the child is there (paused counts)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and return once it answers a CONNECT. Raises BenchUnavailable with the end of its log."""
        if self.is_running:
            return self
        reason = missing_reason(self.kind, self._environment)
        if reason is not None:
            raise BenchUnavailable(f"no {self.kind} broker", hint=reason)
        self.folder.mkdir(parents=True, exist_ok=True)
        port = self._port or self._wanted_port
        for tries_left in reversed(range(1 if port else PORT_TRIES_MAX)):
            self._port = port or free_port()
            if port and _is_taken(port):
                raise BenchUnavailable(f"port {port} of {HOST} is in use", hint="name another port, or none")
            if self._launch():
                return self
            log = self.log_tail()
            self._port = self._port if port else 0
            if tries_left == 0 or "in use" not in log.lower():
                raise BenchUnavailable(f"{self.kind} did not start", hint=log or "its log is empty")
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End it cleanly (mosquitto saves its sessions), by force after 5 s. Safe to call twice."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self.resume()
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._reap()

    def kill(self) -> None:
        """End it with SIGKILL: a crash."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def pause(self) -> None:
        """Let it stand still with SIGSTOP: connections stay, nothing is answered. Returns when all threads stand."""
        self._signal(signal.SIGSTOP)
        if self._process is not None and self._process.returncode is None:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        """The end of what the broker wrote."""
        with contextlib.suppress(OSError):
            return (self.folder / "broker.log").read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()
        return ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- the child -------------------------------------------------------------------------------

    def _launch(self) -> bool:
        command = self._mosquitto() if self.kind == "mosquitto" else self._iotcore()
        with (self.folder / "broker.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-I", "-S", str(_LAUNCHER), str(os.getpid()), *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment,
            )
        for _ in range(START_TRIES_MAX):
            if _answers(self._port, self.login, None if self._configuration is None else self._configuration.tls):
                return True
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TRY_INTERVAL_S)
                break
        self.kill()
        return False

    def _mosquitto(self) -> list[str]:
        binary = find_mosquitto(self._environment)
        assert binary is not None
        path = self.folder / "mosquitto.conf"
        if self._configuration is not None:
            path.write_text(f"user root\nlog_dest stderr\n{self._configuration.text(self.folder, self._port)}")
            return [binary, "-c", str(path.resolve())]
        settings = {
            "listener": f"{self._port} {HOST}",
            "user": "root",  # else started as root it becomes another user, who cannot write the folder
            "allow_anonymous": "true" if self.login is None else "false",
            "persistence": "true",
            "persistence_location": f"{self.folder.resolve()}/",
            "max_inflight_messages": "1000",
            "max_queued_messages": "0",
            "max_queued_bytes": "0",
            "message_size_limit": "0",
            "sys_interval": "0",
            "log_dest": "stderr",
        }
        if self.login is not None:
            passwords = self.folder / "passwords"
            passwords.touch(mode=0o600)
            passwords.write_text(password_file([(self.login[0], hashed(self.login[1], _SALT))]))
            settings["password_file"] = str(passwords.resolve())
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        return [binary, "-c", str(path.resolve())]

    def _iotcore(self) -> list[str]:
        path = self.folder / "iotcore.toml"
        logins = "" if self.login is None else _IOTCORE_LOGIN.format(*map(json.dumps, self.login))
        path.touch(mode=0o600)
        path.write_text(_IOTCORE_TOML.format(host=HOST, port=self._port) + logins)
        options = json.dumps({"config_path": str(path.resolve())})
        return [sys.executable, "-P", "-m", "iotcore._serve", options]

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running and self._process is not None:
            self._process.send_signal(number)

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


_IOTCORE_TOML: Final = """\
id = 0

[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10

[v4.1]
name = "v4-1"
listen = "{host}:{port}"
next_connection_delay_ms = 0

[v4.1.connections]
connection_timeout_ms = 60000
max_payload_size = 16777216
max_inflight_count = 1000
dynamic_filters = true
"""


_IOTCORE_LOGIN: Final = """
[v4.1.connections.auth]
{} = {}
"""


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def _answers(port: int, login: tuple[str, str] | None, tls: ssl.SSLContext | None) -> bool:
    """Whether a broker takes a CONNECT there: a listening socket alone proves nothing."""
    try:
        with contextlib.ExitStack() as ends:
            wire: socket.socket = ends.enter_context(socket.create_connection((HOST, port), timeout=1.0))
            if tls is not None:
                wire = ends.enter_context(tls.wrap_socket(wire, server_hostname=HOST))
            user, password = login or (None, "")
            hello = Connect(
                client_id="wakestorm-probe",
                keep_alive_s=30,
                username=user,
                password=None if user is None else password.encode(),
            )
            wire.sendall(encode(hello))
            packets = Decoder().feed(wire.recv(64))
            wire.sendall(encode(Disconnect()))
    except (OSError, MalformedPacket):
        return False
    return packets == [Connack()]
