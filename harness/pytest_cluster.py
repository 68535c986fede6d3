"""One PostgreSQL for all processes of a pytest run; nothing is started before somebody needs it.

Under xdist the controller opens a door, a Unix socket in a private folder. The first worker that knocks makes it start
the cluster; all get the address. Without xdist the process starts its own. Imported by the plugin: keep it light.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from harness.bench.postgres_cluster import Cluster

DOOR_KEY: Final = "wakestorm_door"
ANSWER_WITHIN_S: Final = 180.0
_FAILED: Final = b"!"
_door: Final = pytest.StashKey["ClusterDoor"]()
_own: Final = pytest.StashKey["Cluster"]()


class ClusterDoor:
    """Answers each connection with the address of the cluster, which starts with the first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="wakestorm-door-")))
        self.address = str(self._folder / "door")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.address)
        self._socket.listen(64)
        self._answer = b""
        self._thread = threading.Thread(target=self._serve, name="wakestorm-door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the cluster if it was started."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # ends the wait for the next connection
        self._thread.join()
        self._socket.close()
        self._stack.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._answer = self._answer or self._started()
            with connection, suppress(OSError):
                connection.sendall(self._answer)

    def _started(self) -> bytes:
        from harness.bench.postgres import ephemeral_cluster

        try:
            return self._stack.enter_context(ephemeral_cluster()).to_text().encode()
        except Exception as error:
            return _FAILED + str(error).encode()


def open_door(node: Any) -> None:
    """In the controller of xdist, once for each worker before it starts."""
    config = node.config
    if _door not in config.stash:
        config.stash[_door] = door = ClusterDoor()
        config.add_cleanup(door.close)
    node.workerinput[DOOR_KEY] = config.stash[_door].address


def cluster_of(config: pytest.Config) -> Cluster:
    """The cluster of this run. Raises BenchUnavailable."""
    if _own not in config.stash:
        address = getattr(config, "workerinput", {}).get(DOOR_KEY)
        config.stash[_own] = _asked(address) if address else _started_here(config)
    return config.stash[_own]


def _asked(address: str) -> Cluster:
    from harness.bench.postgres_cluster import Cluster
    from harness.errors import BenchUnavailable

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(address)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    if not answer or answer.startswith(_FAILED):
        raise BenchUnavailable(answer[1:].decode() or "the controller of pytest started no PostgreSQL")
    return Cluster.from_text(answer.decode())


def _started_here(config: pytest.Config) -> Cluster:
    from harness.bench.postgres import ephemeral_cluster

    stack = ExitStack()
    config.add_cleanup(stack.close)
    return stack.enter_context(ephemeral_cluster())
