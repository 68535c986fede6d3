"""`wakestorm db migrate`, `demo --duplicates` and `verify` as a person types them; the backup by pg_dump."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import pytest

import harness.cli_db
from harness.bench.postgres_binaries import resolve_binaries
from harness.cli import exit_code_of
from tests.migration.support import Database

pytestmark = pytest.mark.postgres


def _db(database: Database, *words: str) -> int:
    return exit_code_of(["db", words[0], "--database-url", database.dsn(), *words[1:]])


async def _counts(database: Database) -> tuple[int, ...]:
    async with database.connect() as owner:
        return tuple([await owner.fetchval(f"SELECT count(*) FROM {table}") for table in ("device_images", "devices")])


def test_demo_migrate_verify_and_back(empty: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert _db(empty, "demo", "--duplicates") == 0
    assert _db(empty, "demo", "--duplicates") == 64
    assert "need an empty database" in capsys.readouterr().err
    assert _db(empty, "verify") == 1
    assert "device_images_duplicates_backup" in capsys.readouterr().out
    assert _db(empty, "migrate") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "65 inferior duplicates moved to device_images_duplicates_backup"
    assert "Resume system is now active!" in said.out and "clean-up: 65 of 65 duplicates moved" in said.err
    assert _db(empty, "verify") == 0
    assert "ok    rows in device_images_duplicates_backup: 65" in capsys.readouterr().out
    assert _db(empty, "migrate", "--revision", "legacy_base") == 64
    assert "--down takes it back" in capsys.readouterr().err
    assert _db(empty, "migrate", "--down", "--revision", "legacy_base") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "revision legacy_base"


def test_an_unknown_revision_names_those_that_there_are(empty: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert _db(empty, "migrate", "--revision", "legacy") == 64
    said = " ".join(capsys.readouterr().err.split())
    assert "there is no revision 'legacy'; there are base, legacy_base," in said
    assert "of the other histories 0013_create_projects_and_images, " in said and "DATABASE_URL" not in said


@pytest.mark.parametrize("name", ["before.sql", "before.dump"])
async def test_the_backup_is_made_first_and_brings_everything_back(
    empty: Database, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await _ran(empty, "demo", "--duplicates") == 0
    file = tmp_path / name
    assert await _ran(empty, "migrate", "--backup", str(file)) == 0
    assert f"backup: {file}" in capsys.readouterr().err
    assert await _counts(empty) == (15, 4)
    assert await _ran(empty, "migrate", "--backup", str(file)) == 64, "a backup is never written over"
    restored = f"{empty.name}_restored"
    await empty.cluster.create_database(restored)
    try:
        program = "psql" if name.endswith(".sql") else "pg_restore"
        words = ["-q", "-X", "-v", "ON_ERROR_STOP=1", "-f"] if program == "psql" else ["--exit-on-error"]
        dsn = empty.cluster.dsn(restored, empty.cluster.superuser)
        place = resolve_binaries({}).bin_dir / program
        command = [place, *words, str(file), *([] if program == "psql" else ["-d"]), dsn]
        await asyncio.to_thread(subprocess.run, command, check=True)
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT count(*) FROM device_images") == 80
        assert await connection.fetchval("SELECT version_num FROM alembic_version") == "legacy_base"
        await connection.close()
    finally:
        await empty.cluster.drop_database(restored)


async def _ran(database: Database, *words: str) -> int:
    return await asyncio.to_thread(_db, database, *words)


@pytest.mark.parametrize("why", ["missing", "failing"])
def test_without_a_backup_nothing_is_migrated(
    empty: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _db(empty, "demo", "--duplicates") == 0
    monkeypatch.setattr(harness.cli_db, "_client_program", lambda name: None if why == "missing" else "/bin/false")
    file = tmp_path / "before.dump"
    assert _db(empty, "migrate", "--backup", str(file)) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert ("pg_dump is not installed" if why == "missing" else "the backup failed") in said
    assert "nothing was migrated" in said and not file.exists()
    assert _db(empty, "verify") == 1
