"""The serial console of the camera firmware: what its lines say, and the commands that it takes. Pure.

Lines for machines are `key=value` behind a fixed word; docs/boards.md lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from server.wire.messages import Chunk, DeviceMessage, Metadata
from simulator.board.camera_config import SECRETS, CameraConfig
from simulator.board.image import AppDescription
from simulator.board.nvs import Value
from simulator.board.panic import CRASHES
from simulator.device import Device
from simulator.effects import Captured

Verb = Literal["status", "sleep", "crash", "nvs", "time", "format", "wake", "help"]

HELP: Final[dict[str, str]] = {
    "wake": "wake from deep sleep; says so when it is awake already",
    "status": "state, wakes, photos, images that are still pending",
    "sleep": "go to deep sleep until the next wake",
    "crash": f"crash [{'|'.join(CRASHES)}]: die that way (panic)",
    "nvs": "what non-volatile storage holds; passwords are not shown",
    "time": "time UNIX_MS: set the clock",
    "format": "empty card, full battery, wakes and photos counted anew",
    "help": "this list",
}


class BadCommand(Exception):
    """A line that is no command; the text says what there is."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `argument` is the kind of a crash or a time."""

    verb: str
    argument: str = ""


def parse_command(line: str) -> Command:
    """Raises BadCommand."""
    verb, _, argument = line.strip().partition(" ")
    argument = argument.strip()
    if verb not in HELP:
        raise BadCommand(f"unknown command {verb[:40]!r}; there are {', '.join(HELP)}")
    if verb == "crash":
        argument = argument or "panic"
        if argument not in CRASHES:
            raise BadCommand(f"no crash {argument[:40]!r}; there are {', '.join(CRASHES)}")
    elif verb == "time":
        if not argument.isdecimal():
            raise BadCommand(f"time is {argument[:40]!r}, expected Unix milliseconds")
    elif argument:
        raise BadCommand(f"{verb} takes nothing more")
    return Command(verb, argument)


def ready(config: CameraConfig, description: AppDescription, reason: str) -> str:
    """The firmware introduces itself."""
    return (
        f"ready project={description.project} version={description.version} profile={config.profile.name} "
        f"dialect={config.profile.dialect} device={config.device_id} reset={reason.upper()}"
    )


def what_is(message: DeviceMessage, event: str, index: int | None, count: int | None) -> str:
    """A message of the device: `chunk image=image_1.jpg index=3 of=10`."""
    if isinstance(message, Chunk) and index is not None:
        return f"chunk image={message.image_name} index={index} of={count}"
    if isinstance(message, Metadata):
        return f"metadata image={message.image_name}"
    return event


def captured(photo: Captured) -> str:
    """A new photo."""
    return (
        f"captured image={photo.image_name} bytes={photo.size_bytes} chunks={photo.total_chunks} "
        f"at={photo.captured_at:%Y-%m-%dT%H:%M:%SZ} sha256={photo.sha256} "
        f"damaged={int(photo.damaged_at_source)} offline={int(photo.offline)}"
    )


def status(device: Device, photos: int) -> str:
    """How the camera is."""
    pending = ",".join(device.pending) or "-"
    return (
        f"status state={device.state.value} wakes={device.wake_number} photos={photos} "
        f"battery_v={device.battery.voltage_v} pending={pending}"
    )


def stored(settings: Mapping[str, Mapping[str, Value]]) -> list[str]:
    """What NVS holds, one value a line."""
    lines = []
    for namespace, values in settings.items():
        for key, value in values.items():
            shown = value.hex() if isinstance(value, bytes) else value
            lines.append(f"{namespace}.{key}={'***' if key in SECRETS else shown}")
    return lines or ["empty"]
