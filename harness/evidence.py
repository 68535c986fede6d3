"""What the checks look at: the history, the rows as the observer read them, and the ledger. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.history import History
from harness.ledger import LedgerEntry
from harness.plan import Plan

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything about one run, after heal and drain.

    `images` has a row for each of device_images with `device` (its name in the plan) and `chunks_there`; `sessions`
    and `payloads` likewise. `blind` names tables of which the reader counts fewer rows than the owner. `early` are
    acknowledgements that left the server before the COMMIT they stand for.
    """

    plan: Plan
    history: History
    ledger: Sequence[LedgerEntry]
    images: Sequence[Row]
    sessions: Sequence[Row]
    payloads: Sequence[Row]
    blind: Sequence[str] = ()
    early: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that breaks the property; `device` is its name in the plan, or nothing."""

    text: str
    device: str = ""
    rows: tuple[Row, ...] = ()
