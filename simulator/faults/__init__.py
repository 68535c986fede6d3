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
    "packet_loss": "simulator.faults.packet_loss:PacketLoss",
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
    "clock_drift": "simulator.faults.clock_drift:ClockDrift",
    "counter_reset": "simulator.faults.counter_reset:CounterReset",
    "wifi_down": "simulator.faults.wifi_down",
    "old_firmware": "simulator.faults.old_firmware",
    "unset_clock": "simulator.faults.unset_clock",
    # fleet
    "herd": "simulator.faults.herd",
    # server: steps
    "server_crash": "simulator.faults.server_crash",
    "server_stop": "simulator.faults.server_stop",
    "server_pause": "simulator.faults.server_pause",
    "server_slow": "simulator.faults.server_slow",
    "two_servers": "simulator.faults.two_servers",
    # broker: steps
    "broker_crash": "simulator.faults.broker_crash",
    "broker_stop": "simulator.faults.broker_stop",
    "broker_pause": "simulator.faults.broker_pause",
    "broker_lose_sessions": "simulator.faults.broker_lose_sessions",
    "broker_full_queue": "simulator.faults.broker_full_queue",
    "broker_redeliver": "simulator.faults.broker_redeliver",
    "broker_retained_junk": "simulator.faults.broker_retained_junk",
    "broker_takeover": "simulator.faults.broker_takeover",
    "broker_disconnect_storm": "simulator.faults.broker_disconnect_storm",
    # database: steps
    "database_crash": "simulator.faults.database_crash",
    "database_stop": "simulator.faults.database_stop",
    "database_pause": "simulator.faults.database_pause",
    "database_kill_backends": "simulator.faults.database_kill_backends",
    "database_lose_answer": "simulator.faults.database_lose_answer",
    "database_deadlock": "simulator.faults.database_deadlock",
    "database_serialization_failure": "simulator.faults.database_serialization_failure",
    "database_lock_timeout": "simulator.faults.database_lock_timeout",
    "database_disk_full": "simulator.faults.database_disk_full",
    "database_too_many_connections": "simulator.faults.database_too_many_connections",
    "database_read_only": "simulator.faults.database_read_only",
    # object store: steps
    "store_full": "simulator.faults.store_full",
    "store_unreachable": "simulator.faults.store_unreachable",
    "store_keeps": "simulator.faults.store_keeps",
    "store_slow": "simulator.faults.store_slow",
}
"""Name -> where it is: `module:Class`, or `module` where there is only a row."""
