"""The schedule of a soak's faults is data: the same for the same seed, inside the day, and able to hold every kind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.nemesis import DeviceFault, Outage, WifiDown, all_kinds, planned_day
from harness.plan_steps import Place, PlannedFault
from simulator.fault import FaultAddress

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


def test_every_fault_addresses_a_step_of_the_protocol_and_is_in_the_catalogue() -> None:
    from harness.dut.armed import fault_of

    place = Place(line=0, path="nemesis")
    for item in planned_day(3, 0, 200, 8, 10):
        if isinstance(item, DeviceFault):
            index = f"[{item.which}]" if isinstance(item.which, int) else "[*]" if item.event == "chunk" else ""
            FaultAddress.parse(f"{item.event}{index}.{item.direction}")
            planned = PlannedFault(
                place=place,
                devices=(item.device,),
                event=item.event,
                direction=item.direction,
                which=item.which,
                action=item.action,
                parameters=dict(item.parameters),
                times=item.times,
                wake=item.wake,
            )
            assert fault_of(planned) is not None


def test_the_kinds_listed_are_the_kinds_drawn() -> None:
    drawn = {item.kind for day in range(40) for item in planned_day(11, day, 200, 8, 10)}
    assert drawn == set(all_kinds())


def test_an_outage_ends_and_a_wake_without_wifi_has_no_other_fault() -> None:
    planned = [item for day in range(10) for item in planned_day(4, day, 30, 8, 10)]
    assert all(item.undo for item in planned if isinstance(item, Outage) and item.do != "lose_sessions")
    assert all(item.for_ms <= 30_000 for item in planned if isinstance(item, Outage))
    assert any(isinstance(item, WifiDown) for item in planned)
