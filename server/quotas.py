"""What one sender, and all newcomers together, may make this server write down in a minute. In memory, by its clock.

Refused messages are always counted in the metrics; a flood of them must not become a flood of rows and log lines.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

NEWCOMERS_A_MINUTE_MAX: Final = 50
"""Unknown devices that get a row; the others are heard again at their next wake."""

REFUSALS_A_MINUTE_MAX: Final = 60
"""Refused messages of one sender that are kept in quarantine and logged."""

REFUSALS_OF_ALL_A_MINUTE_MAX: Final = 1_000


class Quotas:
    """Counts of the present minute; asked again for the same newcomer, the answer is the same."""

    def __init__(
        self,
        *,
        newcomers_max: int = NEWCOMERS_A_MINUTE_MAX,
        refusals_max: int = REFUSALS_A_MINUTE_MAX,
        refusals_of_all_max: int = REFUSALS_OF_ALL_A_MINUTE_MAX,
    ) -> None:
        self._newcomers_max = newcomers_max
        self._refusals_max = refusals_max
        self._refusals_of_all_max = refusals_of_all_max
        self._minute: datetime | None = None
        self._newcomers: set[str] = set()
        self._refusals: dict[str, int] = {}
        self._kept = 0
        self._passed_over = 0

    def admits(self, mac: str, now: datetime) -> bool:
        """Whether this unknown device may be registered now."""
        self._turn(now)
        if mac not in self._newcomers and len(self._newcomers) < self._newcomers_max:
            self._newcomers.add(mac)
        return mac in self._newcomers

    def keeps(self, mac: str, now: datetime) -> bool:
        """Whether a refused message of this sender is written down."""
        self._turn(now)
        of_sender = self._refusals.get(mac, 0)
        if of_sender >= self._refusals_max or self._kept >= self._refusals_of_all_max:
            self._passed_over += 1
            return False
        self._refusals[mac] = of_sender + 1
        self._kept += 1
        return True

    def passed_over(self) -> int:
        """Refused messages that were only counted since this was asked last."""
        count, self._passed_over = self._passed_over, 0
        return count

    def _turn(self, now: datetime) -> None:
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._newcomers.clear()
            self._refusals.clear()
            self._kept = 0
