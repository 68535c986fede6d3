"""What people do to the fleet of a soak: photos on demand, commands, devices that are unmapped or idle for a day.

Drawn from the seed, a day at a time, as the nemesis is; done at the day's begin in one transaction. The next day every
device is mapped and has its schedule again, so whatever was photographed meanwhile must still arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness.bench import Bench
from harness.plan_steps import Place, PlannedDevice, RunSql
from harness.rows import give
from simulator.rng import Rng

DEVICES_PER_DRAW: Final = 25
"""A fleet of this size meets one draw of each act a day; smaller ones too."""

_COMMAND: Final = "INSERT INTO device_commands (device_id, command_type, priority, command_payload, issued_by)"

ACTS: Final[dict[str, tuple[float, str]]] = {
    "manual wake override": (
        0.35,
        "UPDATE devices SET manual_wake_override = true, manual_wake_requested_by = 'soak',"
        " manual_wake_requested_at = NOW() WHERE device_id = '{device}'",
    ),
    "command capture_image": (0.35, f"{_COMMAND} VALUES ('{{device}}', 'capture_image', 9, '{{{{}}}}', 'soak')"),
    "command send_image": (
        0.3,
        f"{_COMMAND} SELECT device_id, 'send_image', 10, jsonb_build_object('image_id', image_id), 'soak'"
        " FROM device_images WHERE device_id = '{device}' AND status <> 'complete'"
        " ORDER BY captured_at DESC, image_id LIMIT 1",
    ),
    "command set_wake_schedule": (
        0.1,
        f"{_COMMAND} SELECT device_id, 'set_wake_schedule', 5,"
        " jsonb_build_object('wake_schedule_cron', wake_schedule_cron), 'soak'"
        " FROM devices WHERE device_id = '{device}' AND wake_schedule_cron IS NOT NULL",
    ),
    "command reboot": (0.1, f"{_COMMAND} VALUES ('{{device}}', 'reboot', 5, '{{{{}}}}', 'soak')"),
    "retry by hand": (
        0.3,
        "SELECT fn_retry_image_by_hand(image_id, 'soak') FROM device_images"
        " WHERE device_id = '{device}' AND status = 'failed' ORDER BY captured_at, image_id",
    ),
    "unmapped for a day": (
        0.1,
        "UPDATE devices SET provisioning_status = 'pending_mapping' WHERE device_id = '{device}'",
    ),
    "inactive for a day": (0.05, "UPDATE devices SET is_active = false WHERE device_id = '{device}'"),
    "no schedule for a day": (0.1, "UPDATE devices SET wake_schedule_cron = NULL WHERE device_id = '{device}'"),
}
"""Name -> chance a draw, and the statement."""

_MAPPED_AGAIN: Final = (
    "UPDATE devices SET provisioning_status = 'mapped', is_active = true"
    " WHERE provisioning_status <> 'mapped' OR NOT is_active"
)
_SCHEDULED_AGAIN: Final = (
    "UPDATE devices SET wake_schedule_cron = '{cron}' WHERE wake_schedule_cron IS NULL AND device_id IN ({devices})"
)


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody does that to that device."""

    name: str
    device: int


def acts_of_day(seed: int, day: int, devices: int) -> tuple[Act, ...]:
    """What people do on that day; a pure function."""
    rng = Rng(f"{seed}/people/{day}")
    draws = -(-devices // DEVICES_PER_DRAW)
    return tuple(
        Act(name, rng.below(devices)) for _ in range(draws) for name, (chance, _) in ACTS.items() if rng.chance(chance)
    )


async def let_people_act(bench: Bench, acts: tuple[Act, ...]) -> None:
    """First all is set right again, then they act."""
    devices = bench.plan.devices
    statements = [*_set_right(devices)]
    statements += [ACTS[act.name][1].format(device=devices[act.device].device_id) for act in acts]
    await give(bench, RunSql(place=Place(line=0, path="people"), note=None, sql=";\n".join(statements)))


def _set_right(devices: tuple[PlannedDevice, ...]) -> Iterator[str]:
    yield _MAPPED_AGAIN
    by_cron: dict[str, list[str]] = {}
    for device in devices:
        if device.cron is not None:
            by_cron.setdefault(device.cron, []).append(f"'{device.device_id}'")
    for cron, ids in sorted(by_cron.items()):
        yield _SCHEDULED_AGAIN.format(cron=cron, devices=", ".join(ids))
