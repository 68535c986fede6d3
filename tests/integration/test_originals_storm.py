"""Interleavings by a seed, kills between every two steps, and defects of such systems that a storm has to find."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import server.completion
import server.originals
import server.projects
import server.store
from harness.bench.originals_storm import OriginalsStorm, Round
from harness.bench.postgres import Cluster

pytestmark = pytest.mark.postgres

SHORT_ROUNDS = 10
SABOTAGED_ROUNDS = 60


async def _rounds(cluster: Cluster, folder: Path, numbers: range) -> list[Round]:
    async with OriginalsStorm.on(cluster, folder, "ci") as storm:
        return [await storm.round(number) for number in numbers]


def test_references_equal_rows_whatever_the_order(cluster: Cluster, tmp_path: Path) -> None:
    rounds = asyncio.run(_rounds(cluster, tmp_path, range(SHORT_ROUNDS)))
    assert [done for done in rounds if done.wrong] == []
    assert sum(done.steps for done in rounds) > 150


def test_the_same_seed_gives_the_same_steps(cluster: Cluster, tmp_path: Path) -> None:
    first = asyncio.run(_rounds(cluster, tmp_path / "a", range(2)))
    assert first == asyncio.run(_rounds(cluster, tmp_path / "b", range(2)))


@pytest.mark.parametrize("actor", ["upload", "delete_image", "delete_project", "complete", "clean_up", "sweep"])
def test_a_death_between_any_two_steps_leaves_nothing_that_is_not_mended(
    cluster: Cluster, tmp_path: Path, actor: str
) -> None:
    async def body() -> None:
        async with OriginalsStorm.on(cluster, tmp_path, "kill") as storm:
            for step in range(40):
                done = await storm.round(1, kill_before=step, actors=(actor,))
                assert done.wrong == ()
                if done.killed_before is None:
                    assert done.steps == step > 2, "every step was a last one once"
                    return
            raise AssertionError(f"{actor} has more than 40 steps")

    asyncio.run(body())


def _statement(module: Any, name: str, old: str, new: str) -> Callable[[], Any]:
    def sabotage() -> Any:
        statements = getattr(module, "ORIGINALS", None) or getattr(module, "IMAGES", None) or module.WRITE
        assert old in statements[name], f"{name} has changed"
        return patch.dict(statements, {name: statements[name].replace(old, new)})

    return sabotage


async def _stale_count(self: Any, connection: Any, original_ids: Any) -> list[Any]:
    """Read, then write: the count of a moment ago comes back."""
    wanted = [original_id for original_id in original_ids if original_id is not None]
    counts = {
        original_id: await connection.fetchval("SELECT reference_count FROM original_images WHERE id = $1", original_id)
        for original_id in wanted
    }
    for original_id, count in counts.items():
        await connection.execute(
            "UPDATE original_images SET reference_count = $2 WHERE id = $1", original_id, max((count or 0) - 1, 0)
        )
    return []


async def _store_first(self: Any, original: Any) -> bool:
    await self.objects.delete(original.s3_key)
    async with self.store.transaction(self.clock.now()) as connection:
        return bool(await connection.fetchval(server.originals.ORIGINALS["delete_original_image"], original.id))


SABOTEURS: dict[str, Callable[[], Any]] = {
    "a deletion takes two references off": _statement(
        server.originals, "decrement_reference_count", "count(*)::integer AS times", "2 * count(*)::integer AS times"
    ),
    "a soft delete keeps its foreign key": _statement(
        server.projects, "delete_image", ", original_image_id = NULL", ""
    ),
    "a count from a stale read": lambda: patch.object(server.originals.Originals, "release", _stale_count),
    "no lock of the hash": lambda: patch.object(server.store.HashLock, "statement", ""),
    "the store goes first": lambda: patch.object(server.originals.Originals, "delete", _store_first),
    "the removal does not look again": lambda: patch.dict(
        server.originals.ORIGINALS, {"is_object_named": "SELECT $1::text = $2::text AND false"}
    ),
    "a completed image takes no reference": _statement(
        server.completion, "complete_image", "reference_count + 1", "reference_count"
    ),
}


@pytest.mark.parametrize("defect", SABOTEURS)
def test_a_storm_finds_the_defect(cluster: Cluster, tmp_path: Path, defect: str) -> None:
    async def body() -> bool:
        async with OriginalsStorm.on(cluster, tmp_path, "saboteur") as storm:
            for number in range(SABOTAGED_ROUNDS):
                if (await storm.round(number)).wrong:
                    return True
        return False

    with SABOTEURS[defect]():
        assert asyncio.run(body()), f"{SABOTAGED_ROUNDS} rounds found nothing"
