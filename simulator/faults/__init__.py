"""The faults, one a file, none of which knows another. Start with `noop`; `simulator.fault` holds their contract.

Each file has a `ROW` for the catalogue (`simulator.catalogue`). A fault that strikes messages has a class too; one that
is written as a step, a profile or a trait is its row alone.
"""

from typing import Final

TEMPLATE: Final = "noop"
"""The file to copy for a new fault: no fault itself."""

CATALOGUE: Final[dict[str, str]] = {
    "noop": "simulator.faults.noop:Noop",
    # link
    "lose": "simulator.faults.lose:Lose",
    "duplicate": "simulator.faults.duplicate:Duplicate",
    "reorder": "simulator.faults.reorder:Reorder",
    "delay": "simulator.faults.delay:Delay",
    "corrupt": "simulator.faults.corrupt:Corrupt",
    "cut": "simulator.faults.cut:CutLink",
    "latency": "simulator.faults.latency:Latency",
    "bandwidth": "simulator.faults.bandwidth:Bandwidth",
    "slicer": "simulator.faults.slicer:Slicer",
    "cut_after": "simulator.faults.cut_after:CutAfter",
    "truncate": "simulator.faults.truncate:Truncate",
    "half_open": "simulator.faults.half_open:HalfOpen",
    "rst": "simulator.faults.rst:ResetLine",
    "slow_close": "simulator.faults.slow_close:SlowClose",
    "blackhole": "simulator.faults.blackhole:Blackhole",
    "one_way_loss": "simulator.faults.one_way_loss:OneWayLoss",
    "corrupt_bytes": "simulator.faults.corrupt_bytes:CorruptBytes",
    # device
    "power_loss": "simulator.faults.power_loss:PowerLoss",
    "crash": "simulator.faults.crash:Crash",
    "brownout": "simulator.faults.brownout:Brownout",
    "reset": "simulator.faults.reset:Reset",
    "card_loss": "simulator.faults.card_loss:CardLoss",
    "card_full": "simulator.faults.card_full:CardFullFault",
    "battery_death": "simulator.faults.battery_death:BatteryDeath",
    "wake_early": "simulator.faults.wake_early:WakeEarly",
    "wake_late": "simulator.faults.wake_late:WakeLate",
    "wake_skip": "simulator.faults.wake_skip:WakeSkip",
    "twin": "simulator.faults.twin:Twin",
    "clock_skew": "simulator.faults.clock_skew:ClockSkew",
    "counter_reset": "simulator.faults.counter_reset:CounterReset",
    "wifi_down": "simulator.faults.wifi_down",
    "old_firmware": "simulator.faults.old_firmware",
    "unset_clock": "simulator.faults.unset_clock",
    # fleet
    "herd": "simulator.faults.herd",
    # broker, server, database: rows of `broker`, `server` and `database` steps
}
"""Name -> where it is: `module:Class`, or `module` where there is only a row."""
