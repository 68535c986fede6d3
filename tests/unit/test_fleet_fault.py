"""What goes wrong in the wakes of a fleet depends on seed, camera and wake alone."""

from __future__ import annotations

from collections import Counter

from simulator.fleet_fault import FleetFault, strike_of

FAULTS = (FleetFault("power_loss", 0.2), FleetFault("cut", 0.1), FleetFault("lost_ack", 1.0))
CHUNKS = 4


def test_shares_are_met_and_every_chunk_is_struck() -> None:
    struck = [strike_of(FAULTS, 7, camera, wake, CHUNKS) for camera in range(200) for wake in range(1, 51)]
    counts = Counter(strike.kind for strike in struck if strike is not None)
    assert 1_800 < counts["power_loss"] < 2_200
    assert 700 < counts["cut"] < 900, "a tenth of those whose power did not go"
    assert counts.total() == len(struck), "the last of the faults takes the rest"
    assert {strike.after_chunk for strike in struck if strike is not None} == set(range(CHUNKS))


def test_the_same_wake_suffers_the_same_and_another_its_own() -> None:
    def story(seed: int, camera: int) -> list[object]:
        return [strike_of(FAULTS[:2], seed, camera, wake, CHUNKS) for wake in range(50)]

    assert story(7, 3) == story(7, 3)
    assert story(7, 3) != story(7, 4)
    assert story(7, 3) != story(8, 3)
    assert None in story(7, 3)


def test_without_faults_nothing_happens() -> None:
    assert strike_of((), 7, 1, 1, CHUNKS) is None
