"""What a flashed camera is: its firmware by the app's description, its settings by NVS. Pure.

The namespace and keys are the ones that `docs/boards.md` lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from simulator.board.image import AppDescription
from simulator.board.nvs import Value
from simulator.profile import Profile, UnknownProfile, profile_named

NAMESPACE: Final = "cam"
SECRETS: Final = frozenset({"broker_pass", "wifi_pass"})
_TEXTS: Final = (
    "device_id",
    "name",
    "location",
    "broker_host",
    "broker_user",
    "broker_pass",
    "wifi_ssid",
    "picture",
    "quirks",
    "traits",
)
_SIZES: Final = {"image_bytes": "image_size_bytes", "chunk_bytes": "chunk_size_bytes", "wake_ms": "wake_interval_ms"}


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
    picture: Literal["fast", "photo"] = "fast"


def profile_of_app(description: AppDescription | None) -> Profile | None:
    """The camera firmware of that name and version; None for any other app."""
    if description is None:
        return None
    try:
        return profile_named(f"{description.project}@{description.version}")
    except UnknownProfile:
        return None


def camera_config(profile: Profile, mac: bytes, settings: Mapping[str, Value]) -> CameraConfig:
    """Settings of the namespace `cam` over the firmware's own; raises BadSettings."""
    texts = {key: _text(settings, key) for key in _TEXTS}
    device_id = texts["device_id"] or mac.hex().upper()
    picture = texts["picture"] or "fast"
    if picture not in ("fast", "photo"):
        raise BadSettings(f"picture is {picture!r}, expected fast or photo")
    return CameraConfig(
        profile=_configured(profile, texts, settings),
        device_id=device_id,
        name=texts["name"] or device_id,
        location=texts["location"],
        broker_host=texts["broker_host"],
        broker_port=_number(settings, "broker_port", 1883),
        broker_user=texts["broker_user"] or None,
        broker_password=texts["broker_pass"] or None,
        wifi_ssid=texts["wifi_ssid"],
        seed=_number(settings, "seed", 0),
        picture="fast" if picture == "fast" else "photo",
    )


def _configured(profile: Profile, texts: Mapping[str, str], settings: Mapping[str, Value]) -> Profile:
    try:
        if texts["quirks"]:
            profile = profile_named(f"{profile.name}+{texts['quirks']}")
        traits: Any = json.loads(texts["traits"] or "{}")
        if not isinstance(traits, dict):
            raise BadSettings(f"traits is {texts['traits']!r}, expected a JSON object")
        sizes = {trait: _number(settings, key, 0) for key, trait in _SIZES.items() if key in settings}
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
