"""The schedule of a soak's faults is data: the same for the same seed, inside the day, and able to hold every kind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dut.armed import fault_of
from harness.nemesis import KINDS_OF_OUTAGE, DeviceFault, Outage, WifiDown, all_kinds, planned_day
from harness.soak.striking import fault_to_arm
from simulator.catalogue import rows
from simulator.fault import FaultAddress, fault_named
from simulator.mishap import DeviceFault as StrikesDevice
from simulator.stream import StreamFault

seeds = st.integers(0, 2**63 - 1)


@given(seed=seeds, day=st.integers(0, 400), devices=st.integers(1, 60), wakes=st.integers(1, 24))
@settings(max_examples=60, deadline=None)
def test_a_day_is_the_same_for_the_same_seed_and_stays_inside_it(seed: int, day: int, devices: int, wakes: int) -> None:
    planned = planned_day(seed, day, devices, wakes, 10)
    assert planned == planned_day(seed, day, devices, wakes, 10)
    for item in planned:
        assert 0 <= item.device < devices
        assert 1 <= item.wake <= wakes + 1, "what follows a fault may be the wake after it"
        if isinstance(item, DeviceFault) and isinstance(item.which, int):
            assert 0 <= item.which < 10


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_days_and_seeds_differ(seed: int) -> None:
    days = {planned_day(seed, day, 20, 8, 10) for day in range(5)}
    assert len(days) == 5
    assert planned_day(seed, 0, 20, 8, 10) != planned_day(seed + 1, 0, 20, 8, 10)


def test_every_fault_is_in_the_catalogue_and_its_address_in_the_protocol() -> None:
    signs = {row.sign for row in rows()}
    for item in planned_day(3, 0, 200, 8, 10):
        assert item.sign in signs
        if not isinstance(item, DeviceFault):
            continue
        if item.direction == "lasting":
            made = fault_named(item.action, **dict(item.parameters))
            assert isinstance(made, StreamFault if item.event == "link" else StrikesDevice)
            continue
        index = f"[{item.which}]" if isinstance(item.which, int) else "[*]" if item.event == "chunk" else ""
        FaultAddress.parse(f"{item.event}{index}.{item.direction}")
        assert fault_of(fault_to_arm(item)) is not None


def test_the_kinds_listed_are_the_kinds_drawn() -> None:
    drawn = {item.kind for day in range(40) for item in planned_day(11, day, 200, 8, 10)}
    assert drawn == set(all_kinds())


def test_an_outage_ends_and_a_wake_without_wifi_is_struck_again_after_its_tries_only() -> None:
    planned = [item for day in range(10) for item in planned_day(4, day, 30, 8, 10)]
    outages = [item for item in planned if isinstance(item, Outage)]
    assert all(item.undo or item.for_ms == 0 for item in outages)
    assert all(item.for_ms <= 1_800_000 for item in outages)
    assert any(item.for_ms > 60_000 for item in outages if item.do == "crash"), "one outlasts its wakes"
    offline = {(item.device, item.wake) for item in planned if isinstance(item, WifiDown)}
    assert offline
    of_device = [item for item in planned if isinstance(item, DeviceFault) and item.direction == "lasting"]
    assert {item.action for item in of_device if item.from_ms > 25_000} == {"reset", "battery_death"}


@given(seed=seeds, first=st.integers(0, 300))
@settings(max_examples=20, deadline=None)
def test_every_outage_comes_in_two_of_its_periods(seed: int, first: int) -> None:
    """No luck needed: the rarest comes once in 20 days, on whatever day."""
    days = range(first // 20 * 20, first // 20 * 20 + 20)
    kinds = {item.kind for day in days for item in planned_day(seed, day, 3, 8, 10) if isinstance(item, Outage)}
    rare = {"server stop", "server pause"}  # their periods do not divide 20
    assert kinds >= set(KINDS_OF_OUTAGE) - rare
