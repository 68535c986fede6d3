"""What a machine must allow before a fleet starts: open files, ports, connections of the broker. Refuses in words."""

from __future__ import annotations

import ipaddress
import resource
from typing import Final

from harness.errors import UsageError
from harness.fleet.worker import FILES_BESIDE, files_allowed
from simulator.fleet import PORTS_AN_ADDRESS

AT_ONCE_DEFAULT: Final = 10_000
IOTCORE_CONNECTIONS_MAX: Final = 10_000
PORT_RESTS_S: Final = 60
"""How long Linux keeps a port after a connection that this side closed (TIME_WAIT)."""

ADDRESSES_MAX: Final = 250
FILES_OF_PARENT: Final = 200


def check_files(at_once: int, *, asked: bool) -> None:
    """Raises UsageError, with the fix, where so many sockets can't be open. `asked`: --at-once was given."""
    needed = at_once + FILES_BESIDE + FILES_OF_PARENT
    allowed = files_allowed()
    if allowed >= needed:
        return
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    possible = allowed - FILES_BESIDE - FILES_OF_PARENT
    fewer = f", or let fewer be awake at once: --at-once {possible}" if possible > 0 else ""
    why = "--at-once" if asked else "as many as there are cameras"
    raise UsageError(
        f"{at_once:,} cameras awake at once ({why}) need {needed:,} open files, and {allowed:,} are allowed",
        hint=f"raise the limit: `ulimit -n {needed}` (the hard limit is {hard:,}: root or limits.conf moves it){fewer}",
    )


def check_broker(kind: str, at_once: int) -> None:
    """Raises UsageError where the broker takes fewer connections."""
    if kind == "iotcore" and at_once > IOTCORE_CONNECTIONS_MAX:
        raise UsageError(
            f"iotcore takes {IOTCORE_CONNECTIONS_MAX:,} connections, {at_once:,} cameras may be awake at once",
            hint=f"--broker mosquitto, or --at-once {IOTCORE_CONNECTIONS_MAX}",
        )


def source_hosts(broker_host: str, at_once: int, wakes_per_s: float) -> tuple[str, ...]:
    """Loopback addresses to connect from: none where one has ports enough, or the broker is on another machine."""
    try:
        is_loopback = ipaddress.ip_address(broker_host).is_loopback
    except ValueError:
        is_loopback = broker_host == "localhost"
    ports = at_once + round(wakes_per_s * PORT_RESTS_S)
    count = min(-(-ports // PORTS_AN_ADDRESS), ADDRESSES_MAX)
    if not is_loopback or count <= 1:
        return ()
    return tuple(f"127.0.0.{number}" for number in range(2, count + 2))
