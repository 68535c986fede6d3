"""S7 and S8: scenario files that explode, and SQL in them that does more than ask."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import asyncpg

from harness.bench.postgres_cluster import READER
from harness.bench.template import SEARCH_PATH
from harness.hostile.figure import Figure
from harness.hostile.sql_attacks import ATTACKS
from harness.hostile.stand import ROOT, AttackedServer
from harness.machine import monotonic_s
from harness.sql_guard import problems

BOMBS_MIN: Final = 30
CPU_S_MAX: Final = 1.0
ATTACKS_MIN: Final = 100
ANSWER_WITHIN_S: Final = 3.0
_BEFORE: Final = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
_STATE: Final = "SELECT md5(string_agg(d::text, '' ORDER BY device_id)) FROM devices d"


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
    """S8, the second fence alone: the same queries as the role that asks, past the guard."""
    effects, slow, ran = [], [], 0
    before = await server.owner.fetchval(_STATE)
    for name, sql in list(ATTACKS.items())[:: 4 if is_quick else 1]:
        connection = await asyncpg.connect(
            server.dsn(READER), statement_cache_size=0, server_settings={"search_path": SEARCH_PATH}
        )
        began_s = monotonic_s()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S * 2):
                await connection.fetch(sql)
            ran += 1
        except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError):
            pass
        finally:
            if (took_s := monotonic_s() - began_s) > ANSWER_WITHIN_S:
                slow.append(f"{name}: {took_s:.1f} s")
            connection.terminate()
        if await server.owner.fetchval(_STATE) != before:
            effects.append(name)
            before = await server.owner.fetchval(_STATE)
    count = len(list(ATTACKS)[:: 4 if is_quick else 1])
    return [
        Figure(
            id="S8 role",
            title="SQL of scenarios that the guard never saw, as the role that asks",
            found=f"{count} queries, {ran} answered, {len(effects)} with an effect, {len(slow)} slower than allowed",
            limit=f"0 effects, each within {ANSWER_WITHIN_S:g} s",
            holds=not effects and not slow,
            details=(*effects, *slow),
        )
    ]
