"""Schemathesis against the whole HTTP API, by its own OpenAPI: no crash, no answer that the description lacks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.conftest import Database
from tests.support.originals_world import new_rig

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

EXAMPLES = 6
"""Cases of each operation: a short form."""

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@contextmanager
def served(database: Database, folder: Path) -> Iterator[str]:
    """The address of a server on a port of its own, in a thread of its own."""
    ready = threading.Event()
    address: list[str] = []
    stop: list[uvicorn.Server] = []

    async def main() -> None:
        rig = await new_rig(database.dsn("ws_server"), str(folder))
        intake = asyncio.create_task(rig.app.intake.run())
        config = uvicorn.Config(rig.app.asgi(), port=0, log_config=None, lifespan="off")
        http = uvicorn.Server(config)
        stop.append(http)
        serving = asyncio.create_task(http.serve())
        while not http.started:
            await asyncio.sleep(0)
        address.append(f"http://127.0.0.1:{http.servers[0].sockets[0].getsockname()[1]}")
        ready.set()
        await serving
        intake.cancel()
        await rig.http.aclose()
        rig.pool.terminate()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(60)
    try:
        yield address[0]
    finally:
        stop[0].should_exit = True
        thread.join()


@pytest.mark.filterwarnings("default")
def test_every_answer_is_one_that_the_description_names(migrated_database: Database, tmp_path: Path) -> None:
    with served(migrated_database, tmp_path) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        labels: list[str] = []
        for found in schema.get_all_operations():
            operation = found.ok()
            labels.append(operation.label)

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            )
            @given(case=operation.as_strategy())
            def answers_as_described(case: schemathesis.Case) -> None:
                is_health = case.path == "/health"  # there is no broker here, and 503 is what it says then
                case.call_and_validate(checks=CHECKS if is_health else [not_a_server_error, *CHECKS])

            answers_as_described()
        assert len(labels) == len(set(labels)) >= 15, labels
