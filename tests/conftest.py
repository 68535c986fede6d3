"""One PostgreSQL for a whole test run, and a fresh database for each test that asks for one.

Under xdist the controller starts the cluster and hands its address to the workers; without xdist it is started when
the first test needs it. DATABASE_URL names an existing server instead.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from harness.bench.postgres import OWNER, Cluster, ephemeral_cluster, run_blocking

INPUT_KEY = "wakestorm_cluster"
MIGRATIONS = Path(__file__).parent.parent / "server" / "migrations"

_controller = ExitStack()
_controller_key = pytest.StashKey[Cluster]()
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test."""

    cluster: Cluster
    name: str

    def dsn(self, role: str = OWNER) -> str:
        """A connection URL for one of the four roles."""
        return self.cluster.dsn(self.name, role)

    @property
    def superuser_dsn(self) -> str:
        """A connection URL for what only a superuser may do."""
        return self.cluster.dsn(self.name, self.cluster.superuser)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Runs in the xdist controller, once for each worker before it starts."""
    stash = node.config.stash
    if _controller_key not in stash:
        stash[_controller_key] = _controller.enter_context(ephemeral_cluster())
    node.workerinput[INPUT_KEY] = stash[_controller_key].to_text()


def pytest_unconfigure() -> None:
    """The controller's cluster ends with the run (after kill -9 its watchdog does it)."""
    _controller.close()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The PostgreSQL server of this run, with its roles."""
    handed_over = getattr(request.config, "workerinput", {}).get(INPUT_KEY)
    if handed_over is not None:
        yield Cluster.from_text(handed_over)
        return
    with ephemeral_cluster() as started:
        yield started


def _fresh(cluster: Cluster, template: str | None) -> Iterator[Database]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    run_blocking(cluster.create_database(name, template))
    try:
        yield Database(cluster, name)
    finally:
        run_blocking(cluster.drop_database(name))


@pytest.fixture
def database(cluster: Cluster) -> Iterator[Database]:
    """An empty database, dropped after the test."""
    yield from _fresh(cluster, None)


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> str:
    """The name of a template with all migrations applied, built once for the run."""
    from server.migrations.apply import upgrade_all

    digest = hashlib.sha256()
    for path in sorted(MIGRATIONS.rglob("*")):
        if path.suffix in (".py", ".sql", ".ini"):
            digest.update(path.relative_to(MIGRATIONS).as_posix().encode() + b"\0" + path.read_bytes())
    name = f"wakestorm_template_{digest.hexdigest()[:12]}"
    run_blocking(cluster.ensure_template(name, upgrade_all))
    return name


@pytest.fixture
def migrated_database(cluster: Cluster, migrated_template: str) -> Iterator[Database]:
    """A database with the schema of today, dropped after the test."""
    yield from _fresh(cluster, migrated_template)
