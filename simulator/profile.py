"""Device models: dialect, sizes, waiting times and habits of one firmware, as frozen data. Pure.

A name is `<model>@<firmware>`, followed by any number of `+<misbehaviour>`: `esp32s3-cam@3.5.0+ignores-next-wake`.
Waiting times are not published for the real devices (facts: wire 4); those here are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final, Literal

from server.wire.dialects import DIALECTS
from simulator.power import BatteryModel


class UnknownProfile(Exception):
    """No profile or trait has that name; the text names the nearest ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One firmware on one board. Times are milliseconds, sizes bytes."""

    name: str
    summary: str
    dialect: str
    firmware_version: str

    image_size_bytes: int = 10_000
    chunk_size_bytes: int = 1_024
    card_capacity_bytes: int = 8_000_000_000

    wifi_tries: int = 3
    wifi_try_ms: int = 8_000
    mqtt_tries: int = 3
    mqtt_try_ms: int = 10_000
    reconnects_per_wake: int = 0
    answer_wait_ms: int = 15_000
    ack_wait_ms: int = 30_000
    ack_linger_ms: int = 1_000
    publish_wait_ms: int = 60_000
    chunk_spacing_ms: int = 200
    burst_chunks: int | None = None
    wake_interval_ms: int = 3 * 3_600_000

    resume_from: Literal["last_chunk", "start"] = "last_chunk"
    resend_max_per_chunk: int = 3
    empty_ack_ok_means: Literal["go_on", "done"] = "go_on"

    battery: BatteryModel = field(default_factory=BatteryModel)
    battery_voltage_v: float | None = None
    wifi_rssi_dbm: int | None = None
    clock_skew_ms: int = 0
    clock_unset_until_ntp: bool = False

    ignores_next_wake: bool = False
    jpeg_without: Literal["soi", "eoi"] | None = None
    metadata_storm: tuple[int, int] | None = None
    storm_spacing_ms: int = 20
    hangs_after_error: bool = False
    watchdog_ms: int = 600_000
    counter_restarts_after_wakes: int | None = None
    encoding_quirks: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.dialect not in DIALECTS:
            raise UnknownProfile(f"no dialect {self.dialect!r}{_nearest(self.dialect, tuple(DIALECTS))}")
        for name in ("image_size_bytes", "chunk_size_bytes", "wifi_tries", "mqtt_tries", "wake_interval_ms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")

    def with_traits(self, **overrides: Any) -> Profile:
        """The same profile with other traits; raises UnknownProfile for a trait that there is not."""
        known = tuple(item.name for item in fields(self))
        for name in overrides:
            if name not in known:
                raise UnknownProfile(f"no trait {name!r}{_nearest(name, known)}")
        return replace(self, **overrides)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _of_dialect(name: str, summary: str, dialect: str, firmware_version: str, **traits: Any) -> Profile:
    traits.setdefault("empty_ack_ok_means", DIALECTS[dialect].empty_ack_ok_means)
    return Profile(name=name, summary=summary, dialect=dialect, firmware_version=firmware_version, **traits)


BASES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        _of_dialect("esp32s3-cam@3.5.0", "newest firmware: pending_list, sensors nested", "v3.5.0", "3.5.0"),
        _of_dialect("esp32s3-cam@2025.10", "October 2025: flat sensors, no pending_list", "oct-2025", "2025.10"),
        _of_dialect(
            "esp32s3-cam@paper-v4",
            "paper spec V4: device/ topics, byte lists, an empty ACK_OK means done",
            "paper-v4",
            "paper-v4",
        ),
        _of_dialect("esp32s3-cam@sha256", "3.5.0 that also says the image's sha256", "sha256", "3.6.0"),
        _of_dialect(
            "esp32s3-cam@3.0.0-no-resume",
            "firmware without resume: told to go on, it starts the image over",
            "v3.5.0",
            "3.0.0",
            resume_from="start",
        ),
    )
}
"""Well-behaved firmware by name."""

MISBEHAVIOURS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ignores-next-wake": ("keeps its own timer whatever the server says", {"ignores_next_wake": True}),
    "jpeg-without-soi": ("its JPEGs lack the start marker", {"jpeg_without": "soi"}),
    "jpeg-without-eoi": ("its JPEGs lack the end marker", {"jpeg_without": "eoi"}),
    "metadata-storm": (
        "30 to 50 nearly empty messages between the chunks of a photo",
        {"metadata_storm": (30, 50)},
    ),
    "hangs-after-error": (
        "an error leaves it awake and deaf until its watchdog resets it",
        {"hangs_after_error": True},
    ),
    "unpadded-timestamps": (
        "writes 2025-10-6T1:04:27Z",
        {"encoding_quirks": frozenset({"unpadded_timestamps"})},
    ),
    "counter-restarts": (
        "its image counter starts at 1 again at each power-on and after every 3 wakes",
        {"counter_restarts_after_wakes": 3},
    ),
    "curly-quotes": ("writes JSON with curly quotes", {"encoding_quirks": frozenset({"curly_quotes"})}),
    "space-timestamps": (
        "writes 2025-10-06 01:04:27Z",
        {"encoding_quirks": frozenset({"space_timestamps"})},
    ),
    "unset-clock": ("has no time until NTP answers: offline photos are of 1970", {"clock_unset_until_ntp": True}),
}
"""What is known to go wrong in the field: (one line, the traits)."""


def _misbehaving(profile: Profile, word: str) -> Profile:
    summary, traits = MISBEHAVIOURS[word]
    if "encoding_quirks" in traits:
        traits = {"encoding_quirks": profile.encoding_quirks | traits["encoding_quirks"]}
    return profile.with_traits(name=f"{profile.name}+{word}", summary=f"{profile.summary}; {summary}", **traits)


PROFILES: Final[dict[str, Profile]] = BASES | {
    profile.name: profile for profile in (_misbehaving(BASES["esp32s3-cam@3.5.0"], word) for word in MISBEHAVIOURS)
}
"""Every base, and the newest firmware with each misbehaviour. Other combinations: `profile_named`."""


def profile_named(name: str) -> Profile:
    """The profile of that name; raises UnknownProfile that says what was probably meant."""
    base, *words = name.split("+")
    if base not in BASES:
        raise UnknownProfile(f"no profile {base!r}{_nearest(base, tuple(BASES))}")
    profile = BASES[base]
    for word in words:
        if word not in MISBEHAVIOURS:
            raise UnknownProfile(f"no misbehaviour {word!r} in {name!r}{_nearest(word, tuple(MISBEHAVIOURS))}")
        profile = _misbehaving(profile, word)
    return profile
