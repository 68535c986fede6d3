"""What strangers send: through the intake into the database, where nothing of it stays but what it should."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from harness.bench.postgres_cluster import OWNER, READER, Cluster
from harness.bench.template import ensure_template
from harness.hostile import figures
from harness.hostile.figure import Figure
from harness.hostile.left_behind import left_behind
from harness.hostile.payloads import TAKEN, Case, corpus, fuzz, outcome_of
from harness.hostile.scenario_text import offered, past_the_guard
from server.quotas import NEWCOMERS_A_MINUTE_MAX, REFUSALS_A_MINUTE_MAX
from tests.integration.test_intake import MAC, STATUS, Rig, camera, run

pytestmark = pytest.mark.postgres
SHARE_OF_CORPUS = 9
"""Every ninth message goes through the database; all of them through the decoder."""


def test_every_payload_of_the_corpus_has_an_outcome_that_is_right() -> None:
    cases = corpus()
    wrong = [(case, outcome) for case in cases if (outcome := outcome_of(case)) not in case.may_be]
    assert not wrong
    assert len(cases) >= 5_000
    assert corpus() == cases


def test_messages_changed_by_chance_are_taken_or_refused_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure of `bench hostile` S4: each kind of change is among them, and an error of the decoder is seen."""
    cases = list(fuzz(600))
    assert cases == list(fuzz(600))
    outcomes = Counter(map(outcome_of, cases))
    assert outcomes[TAKEN] >= 50 and len(outcomes) >= 8
    figure = asyncio.run(figures.fuzzed(200))
    assert figure.holds and ", 0 otherwise" in figure.found

    def breaks(case: Case) -> str:
        if b"Alive" in case.payload:
            raise KeyError("status")
        return outcome_of(case)

    monkeypatch.setattr(figures, "outcome_of", breaks)
    figure = asyncio.run(figures.fuzzed(200))
    assert figure.holds is False and "KeyError" in figure.details[0]


def test_the_corpus_leaves_no_row_but_what_it_says(migrated_database: Any, tmp_path: Path) -> None:
    """No crash, no dropped connection, each message acknowledged, and nothing refused stands anywhere else."""
    cases = [case for case in corpus()[::SHARE_OF_CORPUS] if outcome_of(case) != TAKEN]

    async def body(rig: Rig) -> None:
        await camera(rig)
        for number, case in enumerate(cases):
            rig.deliver(case.topic, case.payload, str(number))
        await rig.intake.wait_idle()
        assert rig.order == [str(number) for number in range(len(cases))] and not rig.aborts
        kept = await rig.rows("SELECT reason, count(*) AS n FROM quarantined_messages GROUP BY reason")
        expected = Counter(outcome_of(case) for case in cases)
        assert kept and all(row["n"] <= expected[row["reason"]] for row in kept)
        assert len(cases) > sum(row["n"] for row in kept) >= REFUSALS_A_MINUTE_MAX
        for table in ("device_images", "device_wake_sessions", "device_commands", "device_ack_log", "device_history"):
            assert await rig.rows(f"SELECT FROM {table}") == [], table
        assert [row["device_mac"] for row in await rig.rows("SELECT device_mac FROM devices")] == [MAC]

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_newcomers_are_registered_fifty_a_minute_and_speak_for_nobody(migrated_database: Any, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await camera(rig)
        rig.deliver(f"enrol/{STATUS}", {"status": "Alive", "pendingImg": 3})
        for number in range(NEWCOMERS_A_MINUTE_MAX + 20):
            rig.deliver(f"enrol/ESP32CAM/{number:012X}/status", {"status": "Alive"})
        await rig.intake.wait_idle()
        assert (
            await rig.rows("SELECT FROM device_wake_sessions JOIN devices USING (device_id) WHERE device_mac = $1", MAC)
            == []
        )
        new = await rig.rows("SELECT FROM devices WHERE provisioning_status = 'pending_approval'")
        assert NEWCOMERS_A_MINUTE_MAX <= len(new) <= NEWCOMERS_A_MINUTE_MAX + 20
        refused = await rig.rows("SELECT reason FROM quarantined_messages")
        assert {row["reason"] for row in refused} <= {"too_many_newcomers"}
        assert len(new) + len(refused) == NEWCOMERS_A_MINUTE_MAX + 20

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_a_thousand_open_transfers_are_sixteen(migrated_database: Any, tmp_path: Path) -> None:
    async def body(rig: Rig) -> None:
        await camera(rig)
        for number in range(1_000):
            announced = {"image_name": f"image_{number}.jpg", "image_size": 3_000, "total_chunk_count": 3}
            rig.deliver(STATUS.replace("status", "data"), json.dumps(announced | {"max_chunks_size": 1_000}).encode())
        await rig.intake.wait_idle()
        assert len(await rig.rows("SELECT FROM device_images")) == 16

    run(migrated_database.dsn("ws_server"), tmp_path, body)


def test_what_sql_changes_past_the_guard_is_seen_in_whatever_table(migrated_database: Any) -> None:
    """The measure of `bench hostile` S8: nothing today, and a row gone or a right taken once somebody may."""

    async def looked() -> tuple[Figure, Figure]:
        owner = await asyncpg.connect(migrated_database.dsn())
        try:
            await owner.execute("INSERT INTO companies (company_name) VALUES ('Acorn Ltd')")
            attacks = {sql: sql for sql in await offered(owner) if " companies" in sql}
            refused = await past_the_guard(owner, migrated_database.dsn(READER), attacks)
            await owner.execute(f"GRANT DELETE ON companies TO {READER}")
            await owner.execute(f"CREATE POLICY planted ON companies FOR DELETE TO {READER} USING (true)")
            return refused, await past_the_guard(owner, migrated_database.dsn(READER), attacks)
        finally:
            await owner.close()

    refused, done = asyncio.run(looked())
    assert refused.holds and refused.details == ()
    assert done.holds is False and [line.rpartition(" ")[2] for line in done.details] == ["companies"]


def test_an_array_of_gigabytes_is_refused_to_the_role_that_asks(cluster: Cluster) -> None:
    """No statement_timeout ends it while it is made: whoever asks in a scenario's database may not call it at all."""

    async def asked() -> Figure:
        name = "wakestorm_giant"
        await cluster.create_database(name, await ensure_template(cluster))
        try:
            owner = await asyncpg.connect(cluster.dsn(name, OWNER))
            try:
                return await past_the_guard(owner, cluster.dsn(name, READER), {"one": "SELECT array_fill(1, ARRAY[1])"})
            finally:
                await owner.close()
        finally:
            await cluster.drop_database(name)

    figure = asyncio.run(asked())
    assert figure.holds and ", 0 answered," in figure.found


def test_a_secret_that_is_left_behind_is_found_wherever_it_stands(migrated_database: Any, tmp_path: Path) -> None:
    """The measure of `bench hostile` S11: a line of the log, a file, a row, and the bytes of a message."""

    async def looked(*, is_planted: bool) -> Figure:
        server: Any = SimpleNamespace(lines=["started"], folder=tmp_path, handed_out=["one", "two", "the-secret"])
        server.owner = await asyncpg.connect(migrated_database.dsn())
        try:
            if is_planted:
                server.lines.append("refused the-secret")
                (tmp_path / "objects").mkdir()
                (tmp_path / "objects" / "x").write_bytes(b"\xff the-secret")
                await server.owner.execute("INSERT INTO companies (company_name) VALUES ('the-secret')")
                await server.owner.execute(
                    "INSERT INTO quarantined_messages (received_at, topic, payload, reason, detail) "
                    "VALUES (fn_now(), 'x', 'the-secret'::bytea, 'not_json', '')"
                )
            (figure,) = await left_behind(server, is_quick=False)
            return figure
        finally:
            await server.owner.close()

    assert asyncio.run(looked(is_planted=False)).holds
    figure = asyncio.run(looked(is_planted=True))
    places = ["the server's log", str(tmp_path / "objects" / "x"), "table companies", "table quarantined_messages"]
    assert figure.holds is False and list(figure.details) == [f"secret 3 of 3 in {place}" for place in places]
