"""Up, down and up again; from nothing to the documented schema; plain alembic and its --sql."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import pytest

from harness.tables import REVISIONS as REVISIONS_OF_SCENARIOS
from server import database
from server.migrations import apply, describe
from server.migrations.script import split_statements
from server.serving import ServeError
from tests.migration.support import Database, run_alembic

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
REVISIONS = [
    "legacy_base",
    "APPLY_IMAGE_RESUME_MIGRATION",
    "APPLY_PENDING_IMAGE_PROTOCOL_STATE",
    "20251108200001_session_and_timeout_fix",
    "20251108210000_remove_duplicate_device_sessions",
    "wakestorm_tables",
    "wakestorm_web_users",
    "wakestorm_broker_logins",
    "wakestorm_names_and_scopes",
]
SEED_000_LINES = [
    "✓ Added UNIQUE constraint on device_images(device_id, image_name)",
    "✓ Created index idx_device_images_resume",
    "✓ Created table duplicate_images_log",
    "✓ Created function fn_check_image_resumable",
    "✓ Created function fn_log_duplicate_image",
    "✓ Dropped old fn_wake_ingestion_handler",
    "✓ Created new fn_wake_ingestion_handler with resume support",
    "=== Image Resume Migration Complete ===",
    "Incomplete images in database: 0",
    "Duplicate logs recorded: 0",
    "Resume system is now active!",
]


def _alembic(database: Database, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    ran = run_alembic(database.dsn(), *arguments)
    if check:
        ran.check_returncode()
    return ran


async def test_every_step_down_undoes_its_step_up(empty: Database) -> None:
    pages: list[str] = []
    for revision in REVISIONS:
        await apply.upgrade(empty.dsn(), revision)
        assert await apply.current(empty.dsn()) == revision
        pages.append(describe.to_markdown(await describe.read(empty.dsn())))
    for revision, page in reversed(list(zip(REVISIONS[:-1], pages[:-1], strict=True))):
        await apply.downgrade(empty.dsn(), revision)
        assert describe.to_markdown(await describe.read(empty.dsn())) == page, f"down to {revision}"
    await apply.downgrade(empty.dsn())
    assert await apply.current(empty.dsn()) is None
    assert not [item for item in await describe.read(empty.dsn()) if item.kind in ("table", "function")]
    await apply.upgrade(empty.dsn())
    assert describe.to_markdown(await describe.read(empty.dsn())) == pages[-1]


async def test_the_documented_schema_is_the_migrated_one(migrated: Database) -> None:
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    assert describe.to_markdown(await describe.read(migrated.dsn())) == page, "run make generate"


async def test_the_migration_says_the_lines_of_the_seed(empty: Database) -> None:
    lines: list[str] = []
    await apply.upgrade(empty.dsn(), "APPLY_IMAGE_RESUME_MIGRATION", lines.append)
    assert lines == SEED_000_LINES


async def test_upgrading_twice_at_once_upgrades_once(empty: Database) -> None:
    await asyncio.gather(apply.upgrade(empty.dsn()), apply.upgrade(empty.dsn()))
    assert await apply.current(empty.dsn()) == REVISIONS[-1]


async def test_offline_sql_makes_the_same_schema(empty: Database, migrated: Database) -> None:
    script = "".join(apply.offline_sql(history=history) for history in apply.HISTORIES)
    async with empty.connect() as owner:
        for statement in split_statements(script):  # one by one, as psql does
            await owner.execute(statement)
    assert await describe.read(empty.dsn()) == await describe.read(migrated.dsn())
    assert await apply.current(empty.dsn()) == REVISIONS[-1]


def test_plain_alembic_tells_a_refusal_without_a_traceback(empty: Database) -> None:
    refused = _alembic(empty, "-n", "videos", "upgrade", "head", check=False)
    assert refused.returncode != 0 and "Traceback" not in refused.stderr
    said = refused.stderr + refused.stdout
    assert "refused, P0001: the videos need the newest schema of the cameras" in said
    assert "HINT:  run alembic upgrade head first" in said and len(said.splitlines()) < 12


def test_plain_alembic_from_the_root(empty: Database) -> None:
    upgraded = _alembic(empty, "upgrade", "head")
    assert SEED_000_LINES[0] in upgraded.stdout
    assert _alembic(empty, "current").stdout.split()[0] == REVISIONS[-1]
    assert _alembic(empty, "-n", "cameras", "current").stdout.split()[0] == REVISIONS[-1]
    assert "CREATE TABLE device_images" in _alembic(empty, "upgrade", "head", "--sql").stdout
    _alembic(empty, "downgrade", "base")
    assert asyncio.run(apply.current(empty.dsn())) is None


async def test_a_missing_session_table_stops_the_migration_with_its_name(empty: Database) -> None:
    await apply.upgrade(empty.dsn(), "20251108200001_session_and_timeout_fix")
    async with empty.connect() as owner:
        await owner.execute("DROP TABLE device_wake_sessions CASCADE")
    with pytest.raises(Exception, match="table device_wake_sessions is missing"):
        await apply.upgrade(empty.dsn())
    assert await apply.current(empty.dsn()) == "20251108200001_session_and_timeout_fix"
    async with empty.connect() as owner:
        assert await owner.fetchval("SELECT to_regclass('device_sessions')") is not None


def test_a_migration_that_stops_says_why_and_what_to_do_without_its_sql(empty: Database) -> None:
    async def without_sessions() -> None:
        await apply.upgrade(empty.dsn(), "legacy_base")
        async with empty.connect() as owner:
            await owner.execute("DROP TABLE device_wake_sessions CASCADE")

    asyncio.run(without_sessions())
    with pytest.raises(ServeError, match="table device_wake_sessions is missing") as stopped:
        database.migrated(empty.dsn(), "head")
    assert "restore it" in str(stopped.value)
    assert "DO $$" not in str(stopped.value) and "sqlalchemy" not in str(stopped.value)


async def test_migrations_need_no_roles_and_no_superuser(migrated: Database) -> None:
    async with migrated.connect() as owner:
        assert not await owner.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert await owner.fetchval("SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql'") == 0


async def test_the_version_column_holds_long_names(migrated: Database) -> None:
    async with migrated.connect() as owner:
        await owner.execute("UPDATE alembic_version SET version_num = repeat('x', 128)")
        with pytest.raises(asyncpg.StringDataRightTruncationError):
            await owner.execute("UPDATE alembic_version SET version_num = repeat('x', 129)")


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT ';';\nSELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("-- one; two\nSELECT 1;", ["-- one; two\nSELECT 1"]),
        ("DO $$ BEGIN a; b; END $$;", ["DO $$ BEGIN a; b; END $$"]),
        ("DO $x$ SELECT $$;$$; $x$; SELECT 'it''s;';", ["DO $x$ SELECT $$;$$; $x$", "SELECT 'it''s;'"]),
        ('/* ; */ SELECT "a;b";\n-- the end\n', ['/* ; */ SELECT "a;b"']),
    ],
)
def test_scripts_are_split_at_their_own_semicolons(script: str, statements: list[str]) -> None:
    assert split_statements(script) == statements


def test_a_script_without_its_last_semicolon_is_refused() -> None:
    with pytest.raises(ValueError, match="does not end with a semicolon"):
        split_statements("SELECT 1; SELECT 2")


def test_scenarios_know_the_revisions() -> None:
    assert list(REVISIONS_OF_SCENARIOS) == apply.revisions() == REVISIONS


@pytest.mark.parametrize("revision", ["base", "legacy_base", "20251108200001_session_and_timeout_fix", "head"])
async def test_up_or_down_to_a_revision_from_wherever_it_stands(empty: Database, revision: str) -> None:
    for target in ("APPLY_PENDING_IMAGE_PROTOCOL_STATE", revision):
        await apply.move_all(empty.dsn(), target)
    at = {"base": None, "head": REVISIONS[-1]}.get(revision, revision)
    assert await apply.current(empty.dsn()) == at
    for history in apply.HISTORIES[1:]:
        assert await apply.current(empty.dsn(), history=history) == (
            apply.head_of(history) if revision == "head" else None
        )


async def test_an_unknown_revision_is_refused_with_those_that_there_are(empty: Database) -> None:
    with pytest.raises(
        ValueError, match=r"no revision 'legacy_bas'; there are base, legacy_base, .*, head; of the other histories"
    ):
        await apply.move_all(empty.dsn(), "legacy_bas")
