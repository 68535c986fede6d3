"""`boards.yaml`: the boards of a desk or a lab, as strict models, and text to models with the line of every mistake.

An entry says what a board is and how to find it again; what is plugged in right now is `finding`'s business.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from harness.errors import Mistake, ScenarioError, UsageError, did_you_mean
from harness.loader import line_of
from harness.scenario_mistakes import mistakes_of
from harness.scenario_types import Duration, StrictModel
from harness.units import LanguageError
from harness.yaml_reader import TEXT_SIZE_BYTES_MAX, read_yaml
from simulator.provisioning import KEYS, NAMESPACE, NUMBER_MAX, TEXT_BYTES_MAX

FILE_NAME: Final = "boards.yaml"
ID_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$"
MAC_PATTERN: Final = r"^([0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2}$"
NVS_NAME_PATTERN: Final = r"^[ -~]{1,15}$"
CHIPS: Final = ("esp32s3",)

Chip = Literal["esp32s3"]
FlashSize = Literal["2MB", "4MB", "8MB", "16MB", "32MB"]
PortName = Annotated[str, Field(min_length=1, max_length=256, examples=["/dev/ttyUSB0", "rfc2217://10.0.0.7:4000"])]
NvsValue = str | int | bool
_Model = TypeVar("_Model", bound=StrictModel)


def plain_mac(text: str) -> str:
    """A MAC as 12 upper-case hexadecimal digits."""
    return re.sub("[:-]", "", text).upper()


class Match(StrictModel):
    """What a board is recognised by; all that is said must hold."""

    mac: str | None = Field(
        None,
        pattern=MAC_PATTERN,
        description="The chip's MAC: seen from outside on native USB, read by esptool otherwise.",
        examples=["7C:DF:A1:E0:B0:C5"],
    )
    serial_number: str | None = Field(None, min_length=1, description="The USB serial number.")
    vid_pid: str | None = Field(
        None, pattern=r"^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$", description="USB vendor and product.", examples=["303A:1001"]
    )
    usb_path: str | None = Field(
        None, min_length=1, description="The USB socket: bus, hub, port.", examples=["1-1.2", "1-1.2:1.0"]
    )
    port: PortName | None = Field(None, description="A device file, or a URL of pyserial.")

    @model_validator(mode="after")
    def _something(self) -> Match:
        if not self.model_fields_set:
            raise LanguageError("names nothing", "give mac, serial_number, vid_pid, usb_path or port")
        return self


class ConsoleEntry(StrictModel):
    """The serial console."""

    port: PortName | None = Field(None, description="Where it is not the port that flashes.")
    baud: int = Field(115_200, ge=300, le=4_000_000, description="Its speed.")


class FlashEntry(StrictModel):
    """How esptool talks to the board."""

    baud: int = Field(460_800, ge=9_600, le=4_000_000, description="Speed while writing.")
    connect_attempts: int = Field(2, ge=1, le=50, description="How often esptool tries to reach the loader.")
    attempts: int = Field(3, ge=1, le=10, description="How often esptool is started before flashing has failed.")
    stub: bool = Field(True, description="Whether esptool may run its stub; without it writing is slower.")


_POWER_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "none": (),
    "lines": (),
    "command": ("on", "off"),
    "uhubctl": ("hub", "socket"),
    "tasmota": ("url",),
}


class PowerEntry(StrictModel):
    """What can take a board's power."""

    type: Literal["none", "lines", "command", "uhubctl", "tasmota"] = Field(
        description="none; lines: EN is held low by RTS, which stops the chip but leaves it powered; command: any "
        "program; uhubctl: a USB hub that switches its sockets; tasmota: a plug with HTTP."
    )
    on: str | None = Field(None, min_length=1, description="type command: what gives power; no shell.")
    off: str | None = Field(None, min_length=1, description="type command: what takes it.")
    hub: str | None = Field(None, min_length=1, description="type uhubctl: the hub's location.", examples=["1-1"])
    socket: int | None = Field(None, ge=1, le=127, description="type uhubctl: the hub's socket.")
    url: str | None = Field(
        None, pattern=r"^https?://[^\s/]+$", description="type tasmota: the plug.", examples=["http://10.0.0.9"]
    )
    outlet: int = Field(1, ge=1, le=16, description="type tasmota: which outlet.")
    off_for: Duration = Field(500, ge=0, le=60_000, description="How long power stays off at least.")

    @model_validator(mode="after")
    def _whole(self) -> PowerEntry:
        needed = _POWER_NEEDS[self.type]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise LanguageError(f"type {self.type} needs {' and '.join(missing)}")
        foreign = [name for names in _POWER_NEEDS.values() for name in names if name not in needed]
        given = [name for name in dict.fromkeys(foreign) if getattr(self, name) is not None]
        if given:
            raise LanguageError(f"type {self.type} has no {given[0]}")
        return self


def _known_values(values: dict[str, NvsValue]) -> dict[str, NvsValue]:
    for name, value in values.items():
        key = KEYS.get(name)
        if key is None:
            raise LanguageError(f"no key is called {name!r}", did_you_mean(name, tuple(KEYS)))
        if key.encoding == "string":
            if not isinstance(value, str) or len(value.encode()) > TEXT_BYTES_MAX:
                raise LanguageError(f"{name} is text of at most {TEXT_BYTES_MAX} bytes", "put it in quotes")
        elif isinstance(value, str | bool) or not 0 <= value <= NUMBER_MAX[key.encoding]:
            raise LanguageError(f"{name} is a number from 0 to {NUMBER_MAX[key.encoding]}")
    return values


class Provision(StrictModel):
    """What a board is told about itself when it is flashed."""

    nvs: Annotated[dict[str, NvsValue], AfterValidator(_known_values)] = Field(
        default_factory=dict, description=f"Values of the namespace `{NAMESPACE}`; docs/boards.md lists them."
    )
    also: dict[
        Annotated[str, Field(pattern=NVS_NAME_PATTERN)], dict[Annotated[str, Field(pattern=NVS_NAME_PATTERN)], NvsValue]
    ] = Field(default_factory=dict, description="Other namespaces, for firmware with keys of its own.")
    partition: str = Field("nvs", min_length=1, max_length=16, description="The partition's name.")

    @property
    def is_empty(self) -> bool:
        """Nothing to write."""
        return not self.nvs and not self.also


def _made(model: type[_Model], **values: str) -> _Model:
    """An entry that says nothing else; models are frozen, so that all boards may share it."""
    return model.model_validate(values)


class BoardEntry(StrictModel):
    """One board."""

    kind: Literal["simulated", "virtual", "board"] = Field(
        description="simulated: a state machine, no firmware; virtual: an emulated ESP32-S3 on a serial port; "
        "board: a real one."
    )
    chip: Chip = Field("esp32s3", description="What esptool must find.")
    flash_size: FlashSize = Field("8MB", description="What the flash must have room for.")
    match: Match | None = Field(None, description="How to find it; a kind board needs this.")
    console: ConsoleEntry = Field(
        default_factory=lambda: ConsoleEntry.model_validate({}), description="The serial console."
    )
    flash: FlashEntry = Field(default=_made(FlashEntry), description="How it is flashed.")
    power: PowerEntry = Field(
        default_factory=lambda: PowerEntry.model_validate({"type": "none"}), description="What can take its power."
    )
    provision: Provision = Field(
        default_factory=lambda: Provision.model_validate({}), description="Values for its NVS."
    )
    enabled: bool = Field(True, description="false: no run and no `--all` takes it.")
    notes: str = Field("", max_length=2_000, description="For people.")

    @model_validator(mode="after")
    def _findable(self) -> BoardEntry:
        if self.kind == "board" and self.match is None:
            raise LanguageError("a board is found by match", "such as match: {serial_number: 0001}")
        if self.kind == "simulated" and (self.match or not self.provision.is_empty):
            raise LanguageError("a simulated camera has neither port nor NVS", "leave match and provision out")
        return self


class Inventory(StrictModel):
    """The file."""

    version: Literal[1] = Field(description="The version of this format.")
    boards: dict[Annotated[str, Field(pattern=ID_PATTERN)], BoardEntry] = Field(description="Boards by id.")

    def board(self, board_id: str) -> BoardEntry:
        """Raises UsageError for an id that is not there."""
        if board_id not in self.boards:
            raise UsageError(f"no board is called {board_id!r}", hint=did_you_mean(board_id, tuple(self.boards)))
        return self.boards[board_id]


def load_inventory(path: Path) -> Inventory:
    """Reads the file. Raises ScenarioError with every mistake, UsageError when it can not be read."""
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_SIZE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file", hint="`wakestorm boards scan --merge` makes one") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    return inventory_of(data, str(path))


def inventory_of(data: bytes, file: str) -> Inventory:
    """The text of a file; `file` only names it. Raises ScenarioError."""
    tree = read_yaml(data, file)
    mistakes = list(tree.mistakes)
    if tree.whole and not isinstance(tree.value, dict):
        mistakes.append(Mistake(file, 1, "", "an inventory is a mapping", "start with version: 1"))
    elif tree.whole:
        model, found = _checked(tree.value)
        if model is not None and not mistakes:
            return model
        spoiled = {mistake.path for mistake in mistakes}
        mistakes += [
            Mistake(file, line_of(tree.lines, path), path, reason, hint)
            for path, reason, hint in found
            if path not in spoiled
        ]
    raise ScenarioError(mistakes)


def _checked(tree: Any) -> tuple[Inventory | None, list[tuple[str, str, str | None]]]:
    try:
        model = Inventory.model_validate(tree)
    except ValidationError as error:
        return None, [(wrong.path, wrong.reason, wrong.hint) for wrong in mistakes_of(error, Inventory)]
    shared = _shared_matches(model)
    return (None, shared) if shared else (model, [])


def _shared_matches(model: Inventory) -> list[tuple[str, str, str | None]]:
    """Two boards with the same match could never be told apart."""
    seen: dict[str, str] = {}
    found: list[tuple[str, str, str | None]] = []
    for board_id, entry in model.boards.items():
        if entry.match is None:
            continue
        words = entry.match.model_dump_json(exclude_none=True).upper()
        if words in seen:
            found.append((f"boards.{board_id}.match", f"is that of {seen[words]} too", "add what tells them apart"))
        seen.setdefault(words, board_id)
    return found
