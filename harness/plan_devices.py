"""The devices of a plan, and how names become devices. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.addresses import DEVICE_PLACE, Who, parse_who
from harness.cron import cron_of_interval, shortest_gap_ms
from harness.plan_steps import PlannedDevice, TraitValue
from harness.scenario import Scenario
from harness.scenario_devices import DeviceGroup, Traits, WakeSchedule

MAC_PREFIX: Final = "B8F862"
"""Espressif's; the other six digits are the group's place in the file and the device's place in the group."""

INTERVAL_DEFAULT_MS: Final = 3 * 3_600_000

_DEVICE_IDS: Final = uuid.UUID("6f0f1f6e-3a55-5c11-9d0c-2b1a4c8e7d10")


@dataclass(frozen=True, slots=True)
class Fleet:
    """All devices of a plan, by number and by name."""

    devices: tuple[PlannedDevice, ...]

    def numbers(self, who: Who) -> tuple[int, ...]:
        """The devices that `who` names, each once, ascending."""
        found = {
            device.number
            for term in who
            for device in self.devices
            if term.group is None
            or (
                device.group == term.group
                and (term.first is None or term.last is None or term.first <= device.index <= term.last)
            )
        }
        return tuple(sorted(found))

    def numbers_or_none(self, who: Who | None) -> tuple[int, ...] | None:
        """As `numbers`; None stays None."""
        return None if who is None else self.numbers(who)

    def numbers_or_all(self, who: Who | None) -> tuple[int, ...]:
        """As `numbers`; None is everybody."""
        return tuple(range(len(self.devices))) if who is None else self.numbers(who)

    def filled(self, value: Any) -> Any:
        """A copy with `${yard[0].mac}` and `${yard[0].id}` put in."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, str) and "${" in value:
            return DEVICE_PLACE.sub(lambda place: self._property(place[1], place[2]), value)
        return value

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with `device: who` as `device_id`: one id, or a list where it names several devices."""
        found: dict[str, Any] = {}
        for column, value in row.items():
            if column == "device":
                ids = [self.devices[number].device_id for number in self.numbers(parse_who(value))]
                found["device_id"] = ids[0] if len(ids) == 1 else ids
            else:
                found[column] = self.filled(value)
        return found

    def _property(self, name: str, what: str) -> str:
        device = self.devices[self.numbers(parse_who(name))[0]]
        return device.mac if what == "mac" else device.device_id


def fleet_of(scenario: Scenario, macs: Sequence[str] = ()) -> Fleet:
    """Every device of the scenario, numbered in the order of the file; the first ones have these MACs."""
    devices: list[PlannedDevice] = []
    for place, (name, group) in enumerate(scenario.devices.items()):
        for index in range(group.count):
            number = len(devices)
            devices.append(_device(number, place, name, index, group, macs[number] if number < len(macs) else None))
    return Fleet(tuple(devices))


def _device(number: int, place: int, name: str, index: int, group: DeviceGroup, board_mac: str | None) -> PlannedDevice:
    own = group.mac[index] if group.mac else f"{MAC_PREFIX}{place:02X}{index:04X}"
    mac = board_mac or own
    return PlannedDevice(
        number=number,
        name=f"{name}[{index}]",
        group=name,
        index=index,
        mac=mac,
        device_id=str(uuid.uuid5(_DEVICE_IDS, mac)),
        profile=group.profile,
        provisioning=group.provisioning,
        timezone=group.timezone,
        cron=_cron(group.wake),
        interval_ms=_interval_ms(group.wake),
        jitter_ms=group.wake.jitter_ms,
        image_size_bytes=group.image.size_bytes,
        chunk_size_bytes=group.image.chunk_bytes,
        total_chunks=group.image.total_chunks,
        picture=group.image.picture,
        traits=_traits(group.traits),
    )


def _cron(wake: WakeSchedule) -> str | None:
    if wake.none:
        return None
    if wake.schedule is not None:
        return wake.schedule
    return cron_of_interval(wake.every_ms or INTERVAL_DEFAULT_MS)


def _interval_ms(wake: WakeSchedule) -> int:
    if wake.every_ms is not None:
        return wake.every_ms
    return shortest_gap_ms(wake.schedule) if wake.schedule is not None else INTERVAL_DEFAULT_MS


def _traits(traits: Traits) -> dict[str, TraitValue]:
    return {name: getattr(traits, name) for name in type(traits).model_fields if getattr(traits, name) is not None}
