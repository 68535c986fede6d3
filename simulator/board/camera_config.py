"""What a flashed camera is: its firmware by the app's description, its settings by NVS. Pure.

Namespace and keys are those of `simulator.provisioning`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from simulator.board.image import AppDescription
from simulator.board.nvs import Value
from simulator.profile import Profile, UnknownProfile, profile_named
from simulator.provisioning import KEYS

SECRETS: Final = frozenset({"broker_password", "wifi_password"})
_Picture = Literal["fast", "photo", "still"]
_PICTURES: Final[dict[str, _Picture]] = {"fast": "fast", "photo": "photo", "still": "still"}
_TEXTS: Final = tuple(key.name for key in KEYS.values() if key.encoding == "string")
_SIZES: Final = {
    "image_bytes": ("image_size_bytes", 1),
    "chunk_bytes": ("chunk_size_bytes", 1),
    "wake_every_s": ("wake_interval_ms", 1_000),
}
"""Key: (the profile's trait, how many of its units one of the key's is)."""


class BadSettings(Exception):
    """NVS holds something that this firmware can't use; the text names the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """One camera. Without `broker_host` it works offline."""

    profile: Profile
    device_id: str
    name: str
    location: str = ""
    broker_host: str = ""
    broker_port: int = 1883
    broker_user: str | None = None
    broker_password: str | None = None
    wifi_ssid: str = ""
    seed: int = 0
    picture: _Picture = "fast"


def profile_of_app(description: AppDescription | None) -> Profile | None:
    """The camera firmware of that name and version; None for any other app."""
    if description is None:
        return None
    try:
        return profile_named(f"{description.project}@{description.version}")
    except UnknownProfile:
        return None


def camera_config(profile: Profile, mac: bytes, settings: Mapping[str, Value]) -> CameraConfig:
    """Settings over the firmware's own; raises BadSettings."""
    texts = {key: _text(settings, key) for key in _TEXTS}
    device_id = texts["device_id"] or mac.hex().upper()
    picture = texts["picture"] or "fast"
    if picture not in _PICTURES:
        raise BadSettings(f"picture is {picture!r}, expected {' or '.join(_PICTURES)}")
    return CameraConfig(
        profile=_configured(profile, texts, settings),
        device_id=device_id,
        name=texts["name"] or device_id,
        location=texts["location"],
        broker_host=texts["broker_host"],
        broker_port=_number(settings, "broker_port", 1883),
        broker_user=texts["broker_user"] or None,
        broker_password=texts["broker_password"] or None,
        wifi_ssid=texts["wifi_ssid"],
        seed=_number(settings, "seed", 0),
        picture=_PICTURES[picture],
    )


def _configured(profile: Profile, texts: Mapping[str, str], settings: Mapping[str, Value]) -> Profile:
    try:
        if texts["habits"]:
            profile = profile_named(f"{profile.name}+{texts['habits']}")
        if texts["dialect"]:
            profile = profile.with_traits(dialect=texts["dialect"])
        traits: Any = json.loads(texts["traits"] or "{}")
        if not isinstance(traits, dict):
            raise BadSettings(f"traits is {texts['traits']!r}, expected a JSON object")
        sizes = {
            trait: _number(settings, key, 0) * factor for key, (trait, factor) in _SIZES.items() if key in settings
        }
        return profile.with_traits(**sizes, **{key: _frozen(value) for key, value in traits.items()})
    except (UnknownProfile, ValueError, TypeError) as error:
        raise BadSettings(f"traits: {error}") from error


def _frozen(value: Any) -> Any:
    """JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _text(settings: Mapping[str, Value], key: str) -> str:
    value = settings.get(key, "")
    if not isinstance(value, str):
        raise BadSettings(f"{key} is {type(value).__name__}, expected a string")
    return value


def _number(settings: Mapping[str, Value], key: str, default: int) -> int:
    value = settings.get(key, default)
    if not isinstance(value, int):
        raise BadSettings(f"{key} is {type(value).__name__}, expected a number")
    return value
