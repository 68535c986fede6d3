"""What one attack achieved, beside what it may achieve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One attack. `found` says what happened, `limit` what may, `holds` whether it stayed within; `details` name more.

    `holds` None: it could not be measured here, and `found` says why.
    """

    id: str
    title: str
    found: str
    limit: str
    holds: bool | None
    details: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """As it is printed."""
        return {True: "PASS", False: "FAIL", None: "not measured"}[self.holds]
