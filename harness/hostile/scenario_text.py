"""S7 and S8: scenario files that explode, and SQL in them that does more than ask."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from harness.bench.postgres_cluster import READER
from harness.bench.template import SEARCH_PATH
from harness.fleet.guarded import ROOT
from harness.hostile.figure import Figure
from harness.hostile.sql_attacks import ATTACKS
from harness.hostile.stand import AttackedServer
from harness.machine import monotonic_s
from harness.sql_guard import problems

BOMBS_MIN: Final = 30
CPU_S_MAX: Final = 1.0
ATTACKS_MIN: Final = 100
ANSWER_WITHIN_S: Final = 3.0
_UNLOCK: Final = "SET default_transaction_read_only = off; COMMIT; BEGIN READ WRITE; "
_TABLES: Final = """
    SELECT quote_ident(relname) AS name FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind::text = ANY($1::text[]) ORDER BY relname
"""
_CALLS: Final = """
    SELECT format(CASE prokind WHEN 'p' THEN 'CALL %s(%s)' ELSE 'SELECT %s(%s)' END, oid::regproc, (
        SELECT string_agg('NULL::' || format_type(type, NULL), ', ' ORDER BY place)
        FROM unnest(proargtypes) WITH ORDINALITY AS t (type, place)
    )) AS call
    FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND prokind IN ('f', 'p') AND prorettype <> 'trigger'::regtype
    ORDER BY oid::regprocedure::text
"""
_CATALOGUES: Final = {
    "pg_class": "SELECT oid, relname, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity FROM pg_class",
    "pg_proc": "SELECT oid, proname, proowner, proacl, prosrc FROM pg_proc",
    "pg_roles": "SELECT rolname, rolsuper, rolcanlogin, rolcreaterole, rolconfig FROM pg_roles",
    "pg_auth_members": "SELECT roleid, member FROM pg_auth_members",
    "pg_db_role_setting": "SELECT * FROM pg_db_role_setting",
    "pg_namespace": "SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'",
    "pg_extension": "SELECT oid, extname FROM pg_extension",
    "pg_trigger": "SELECT oid, tgrelid, tgname, tgenabled FROM pg_trigger",
    "pg_policy": "SELECT oid, polname, polrelid FROM pg_policy",
    "pg_largeobject_metadata": "SELECT oid, lomowner, lomacl FROM pg_largeobject_metadata",
}


async def yaml_bombs() -> Figure:
    """S7: scenario files that explode in a reader of YAML, with 64 MB for the reader."""
    program = [sys.executable, "-P", "-m", "harness.hostile.yaml_bombs"]
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*program, cwd=ROOT, stdout=pipe, stderr=pipe)
    out, err = await child.communicate()
    outcomes: dict[str, Any] = json.loads(out) if child.returncode == 0 else {}
    taken = [name for name, outcome in outcomes.items() if not outcome["mistakes"]]
    slow = [f"{name}: {each['cpu_s']} s" for name, each in outcomes.items() if each["cpu_s"] >= CPU_S_MAX]
    slowest_s = max((outcome["cpu_s"] for outcome in outcomes.values()), default=0.0)
    said = err.decode(errors="replace").splitlines()[-1:] if child.returncode else []
    return Figure(
        id="S7 YAML",
        title="Scenario files that explode: aliases, merge keys, depth, size, numbers",
        found=f"{len(outcomes)} files, {len(outcomes) - len(taken)} refused, the slowest in {slowest_s:.2f} s of CPU",
        limit=f"{BOMBS_MIN} or more, all refused, each below {CPU_S_MAX:g} s and with 64 MB",
        holds=len(outcomes) >= BOMBS_MIN and not taken and not slow,
        details=(*taken, *slow, *said),
    )


async def sql_guarded() -> Figure:
    """S8, the first fence: what the guard lets through."""
    passed = [name for name, sql in ATTACKS.items() if not problems(sql)]
    named = [name for name in passed if problems(ATTACKS[name], tables=["devices"])]
    return Figure(
        id="S8 guard",
        title="SQL of scenarios that does more than ask, before the list of what is allowed",
        found=f"{len(ATTACKS)} queries, {len(ATTACKS) - len(passed) + len(named)} refused",
        limit=f"{ATTACKS_MIN} or more, all refused",
        holds=len(ATTACKS) >= ATTACKS_MIN and passed == named,
        details=tuple(set(passed) - set(named)),
    )


async def sql_role(server: AttackedServer, *, is_quick: bool) -> list[Figure]:
    """S8, the second fence alone: these and what the schema offers, as the role that asks, past the guard."""
    async with server.second_database() as (owner, dsn):
        attacks = ATTACKS | {sql: sql for sql in await offered(owner)}
        return [await past_the_guard(owner, dsn(READER), dict(list(attacks.items())[:: 4 if is_quick else 1]))]


async def past_the_guard(owner: asyncpg.Connection, dsn: str, attacks: Mapping[str, str]) -> Figure:
    """Each of them by itself, and what it changed, in a database in which nobody else works."""
    effects, slow, ran = [], [], 0
    before = await _state(owner)
    for name, sql in attacks.items():
        took_s, was_answered = await _asked(dsn, sql)
        ran += was_answered
        if took_s > ANSWER_WITHIN_S:
            slow.append(f"{name}: {took_s:.1f} s")
        after = await _state(owner)
        effects += [f"{name}: {place}" for place in after if after[place] != before.get(place)]
        before = after
    return Figure(
        id="S8 role",
        title="SQL of scenarios that the guard never saw, as the role that asks",
        found=(
            f"{len(attacks)} queries, {ran} answered, {len(effects)} with an effect in {len(before)} tables and "
            f"catalogues, {len(slow)} slower than allowed"
        ),
        limit=f"0 effects, each within {ANSWER_WITHIN_S:g} s",
        holds=not effects and not slow,
        details=(*effects, *slow),
    )


async def _asked(dsn: str, sql: str) -> tuple[float, bool]:
    """How long the answer took, in seconds, and whether there was one; several statements may stand in the text."""
    connection = await asyncpg.connect(dsn, statement_cache_size=0, server_settings={"search_path": SEARCH_PATH})
    began_s, was_answered = monotonic_s(), False
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S * 2):
            await (connection.execute(sql) if sql.startswith(_UNLOCK) else connection.fetch(sql))
        was_answered = True
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError):
        pass
    took_s = monotonic_s() - began_s
    connection.terminate()
    return took_s, was_answered


async def offered(owner: asyncpg.Connection) -> list[str]:
    """What the schema has to offer to a writer: each table, and each function, called with nothing."""
    tables = [row["name"] for row in await owner.fetch(_TABLES, ["r", "p"])]
    calls = [row["call"] for row in await owner.fetch(_CALLS)]
    writes = [
        f"{_UNLOCK}{verb}; COMMIT"
        for table in tables
        for verb in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"INSERT INTO {table} DEFAULT VALUES")
    ]
    return [*writes, *calls]


async def _state(owner: asyncpg.Connection) -> dict[str, str]:
    """A digest of every table of the schema, and of the catalogues in which objects, rights and settings stand."""
    places = [row["name"] for row in await owner.fetch(_TABLES, ["r", "p", "S"])] + list(_CATALOGUES)
    asked = " UNION ALL ".join(
        f"SELECT '{place}', md5(coalesce(string_agg(r::text, E'\\n' ORDER BY r::text), ''))"
        f" FROM ({_CATALOGUES.get(place, f'SELECT * FROM {place}')}) r"
        for place in places
    )
    return {row[0]: row[1] for row in await owner.fetch(asked)}
