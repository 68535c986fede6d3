"""A device's own clock: NTP while online, else an estimate (facts: wire 4). Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from server.wire.limits import WAKE_HORIZON_MS


class OwnClock:
    """Offline it reads the last NTP time plus the wake interval for each offline wake.

    The board's clock was set when it was provisioned, so a first wake that is offline reads the true time, except
    with `unset_until_ntp`: then it counts from 1970.
    """

    def __init__(self, skew_ms: int, interval_ms: int, unset_until_ntp: bool) -> None:
        self._skew_ms = skew_ms
        self._interval_ms = interval_ms
        self._last_ntp_ms: int | None = 0 if unset_until_ntp else None
        self._wakes_since_ntp = 0
        self._is_synced = False

    def woke(self, now_ms: int) -> None:
        """A wake begins; nothing is known of the network yet."""
        self._is_synced = False
        if self._last_ntp_ms is None:
            self._last_ntp_ms = now_ms + self._skew_ms
        else:
            self._wakes_since_ntp += 1

    def synced(self, now_ms: int) -> None:
        """NTP answered."""
        self._is_synced = True
        self._last_ntp_ms = now_ms + self._skew_ms
        self._wakes_since_ntp = 0

    def skew(self, by_ms: int) -> None:
        """It is wrong by so much more, from now on and after NTP too."""
        self._skew_ms += by_ms
        if self._last_ntp_ms is not None:
            self._last_ntp_ms += by_ms

    def reading_ms(self, now_ms: int) -> int:
        """What the device takes for now (Unix ms)."""
        if self._is_synced or self._last_ntp_ms is None:
            return now_ms + self._skew_ms
        return self._last_ntp_ms + self._wakes_since_ntp * self._interval_ms

    def reading(self, now_ms: int) -> datetime:
        """The same to the second, as it stands in messages."""
        return datetime.fromtimestamp(self.reading_ms(now_ms) // 1000, UTC)

    def until_ms(self, moment: datetime, now_ms: int) -> int:
        """Milliseconds until `moment`, of which the wire carries the time of day only: its next occurrence."""
        ahead_ms = round(moment.timestamp() * 1000) - self.reading_ms(now_ms)
        return ahead_ms % WAKE_HORIZON_MS or WAKE_HORIZON_MS
