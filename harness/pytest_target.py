"""Scenario items before a target: MACs that no other process gives out, and the end of the rows after each item.

Imported with the first scenario of `--wakestorm-bench external`; each process of xdist looks at the target itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

import pytest

from harness.aiming import DELETED, aimed_plan, cleaned, judged, seen_target
from harness.bench.external_database import OWN_NUMBERS, each_once, free_macs
from harness.errors import BenchUnavailable, ScenarioError, UsageError
from harness.events import ScenarioEnded
from harness.machine import token
from harness.plan import Plan
from harness.playing import Player
from harness.target import read_target
from harness.target_fit import checks_left_out
from harness.target_view import TargetSeen

BLOCKS: Final = 256
"""Parts of the range of MACs; a process of xdist has one to itself."""

BLOCK_MACS: Final = OWN_NUMBERS // BLOCKS

WithMacs = Callable[[Sequence[str]], Plan]
"""A plan once more, its cameras with these MACs."""

_own: Final = pytest.StashKey["TargetPlayer"]()


class NotAllowed(Exception):
    """The target does not allow what the scenario needs; the text says what, with its line."""


def block_of(run: str, worker: str) -> range:
    """The numbers that one process of a run gives out; `worker` is gw0 and so on, or nothing where it is alone.

    Raises UsageError where there are more processes than blocks.
    """
    number = int(worker.removeprefix("gw") or 0)
    if number >= BLOCKS:
        raise UsageError(f"pytest process {worker}: at most {BLOCKS} at a target", hint="a smaller -n")
    block = (int.from_bytes(sha256(run.encode()).digest()[:4], "big") + number) % BLOCKS
    return range(block * BLOCK_MACS, (block + 1) * BLOCK_MACS)


class TargetPlayer:
    """Plays plans before one target, one after another."""

    def __init__(self, file: Path, block: range) -> None:
        self._file = file
        self._numbers = each_once(block, int(token(), 16))
        self._seen: TargetSeen | None = None
        self._trouble: Exception | None = None
        self._player: Player | None = None

    def play(self, plan: Plan, with_macs: WithMacs, say: Callable[[str], None]) -> ScenarioEnded:
        """Plays it with MACs of its own, deletes their rows, and says what it did with them.

        Raises NotAllowed, TargetError, BenchUnavailable, and UsageError where the target must not be used.
        """
        seen = self._looked()
        against, taken = judged(seen, [plan])
        if mistakes := list(dict.fromkeys(against(plan))):
            raise NotAllowed(f"{mistakes[0]}{f'; and {len(mistakes) - 1} more' if mistakes[1:] else ''}")
        macs = self._free(len(plan.devices), seen.target.devices.mac_prefix, taken)
        if self._player is None:
            self._player = Player(seen, "external")
        try:
            return self._player.play(aimed_plan(seen, with_macs(macs)))
        finally:
            if words := cleaned(seen, macs):
                say("\n".join(words))

    def left_out(self) -> list[str]:
        """The checks that are not made there, each with its reason; nothing before the first scenario."""
        left = {} if self._seen is None else checks_left_out(self._seen.tables)
        return [f"check left out: {check} ({why})" for check, why in left.items()]

    def errors(self) -> str:
        """See `Player.errors`."""
        return "" if self._player is None else self._player.errors()

    def close(self) -> None:
        """Ends the worker process."""
        if self._player is not None:
            self._player.close()

    def _looked(self) -> TargetSeen:
        """What the target has; asked once, also where the answer is that it can't be used."""
        if self._trouble is not None:
            raise self._trouble
        if self._seen is None:
            try:
                self._seen = seen_target(read_target(self._file), self._file)
            except (ScenarioError, BenchUnavailable, UsageError) as error:
                self._trouble = error
                raise
        return self._seen

    def _free(self, count: int, prefix: str, taken: set[str]) -> list[str]:
        found = list(islice(free_macs(prefix, self._numbers, taken), count))
        if len(found) < count:
            hint = "rows of earlier runs may stand there; or another devices.mac_prefix"
            raise UsageError(f"no more free MACs for this process below {prefix}", hint=hint)
        return found


def target_player(config: pytest.Config) -> TargetPlayer:
    """The one of this process."""
    if _own not in config.stash:
        given = getattr(config, "workerinput", {})
        block = block_of(given.get("testrunuid", token()), given.get("workerid", ""))
        config.stash[_own] = player = TargetPlayer(Path(config.getoption("--wakestorm-target")), block)
        config.add_cleanup(player.close)
    return config.stash[_own]


def summary_of(said: Iterable[str]) -> list[str]:
    """What a user should know after the run: what was left, and how often rows were deleted."""
    texts = list(said)
    deleted = sum(text.startswith(DELETED) for text in texts)
    kept = dict.fromkeys(text for text in texts if not text.startswith(DELETED))
    return [*kept, *([f"rows of its own cameras deleted after {deleted} scenarios"] if deleted else [])]
