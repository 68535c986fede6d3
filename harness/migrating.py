"""The step `migrate`: the schema goes up or down, or a statement typed by hand is run; its lines go into the log."""

from __future__ import annotations

from typing import Any

import asyncpg

from harness.bench import Bench
from harness.errors import WakestormError
from harness.expectations import Finding
from harness.plan_steps import Migrate
from harness.rows import run_sql_as_owner
from harness.scenario_migration import HEAD


async def migrate(bench: Bench, step: Migrate) -> Finding:
    """Does it; the finding holds where it worked, or was refused with the SQLSTATE that the step names."""
    what = step.sql if step.sql is not None else f"migrate: {step.to or step.stamp}"
    try:
        if step.sql is not None:
            await run_sql_as_owner(bench, step.sql)
        elif step.stamp is not None:
            async with bench.exclusive():
                await bench.schema.stamp(step.stamp)
        else:
            await _bring_to(bench, step.to or HEAD)
    except Exception as error:
        refusal = _refusal(error)
        if refusal is None:
            raise
        state, words = refusal
        if step.fails is None:
            return Finding(holds=False, expected=f"{what} to work", found=f"{state}: {words}")
        return Finding(
            holds=state == step.fails, expected=f"{what} refused with {step.fails}", found=f"{state}: {words}"
        )
    if step.fails is not None:
        return Finding(holds=False, expected=f"{what} refused with {step.fails}", found="it worked")
    return Finding(holds=True, expected="", found="")


async def heal(bench: Bench) -> None:
    """At a scenario's end all is well: the schema is the one that servers work with, then everything else.

    Raises WakestormError where the schema can not be mended.
    """
    if not bench.schema.is_newest:
        try:
            await _bring_to(bench, HEAD)
        except Exception as error:
            refusal = _refusal(error)
            if refusal is None:
                raise
            raise WakestormError(f"the schema can not be brought to {HEAD}: {refusal[0]}: {refusal[1]}") from error
    await bench.heal()


async def _bring_to(bench: Bench, revision: str) -> None:
    def say(line: str) -> None:
        bench.history.append(bench.clock.elapsed_ms(), "log", "server", level="info", text=line, source="migration")
        bench.changes.notify()

    async with bench.exclusive():
        await bench.schema.move(revision, bench.clock.now(), say, (bench.owner, bench.reader))


def _refusal(error: BaseException) -> tuple[str, str] | None:
    """SQLSTATE and words of what PostgreSQL refused, also where SQLAlchemy has wrapped it."""
    inner: Any = getattr(error, "orig", error)
    state = getattr(inner, "sqlstate", None)
    if state is None:
        return None
    cause = getattr(inner, "__cause__", None)
    return str(state), " ".join(str(cause if isinstance(cause, asyncpg.PostgresError) else inner).split())
