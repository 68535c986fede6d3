"""Device models, their names, batteries and places."""

from __future__ import annotations

import pytest

from server.wire.dialects import DIALECTS
from simulator.power import Battery, BatteryModel, reset_reason
from simulator.profile import MISBEHAVIOURS, PROFILES, UnknownProfile, profile_named
from simulator.sites import FleetPlaces, mac_of


def test_every_profile_is_found_by_its_name_and_says_what_it_is() -> None:
    for name, profile in PROFILES.items():
        assert profile_named(name) == profile
        assert profile.name == name
        assert profile.summary and "\n" not in profile.summary
    assert {profile.dialect for profile in PROFILES.values()} == set(DIALECTS)
    assert all(f"esp32s3-cam@3.5.0+{word}" in PROFILES for word in MISBEHAVIOURS)


def test_misbehaviour_adds_up() -> None:
    profile = profile_named("esp32s3-cam@paper-v4+curly-quotes+unpadded-timestamps+ignores-next-wake")
    assert profile.encoding_quirks == {"curly_quotes", "unpadded_timestamps"}
    assert profile.ignores_next_wake
    assert profile.empty_ack_ok_means == "done"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("esp32s3-cam@3.5", "did you mean 'esp32s3-cam@3.5.0'"),
        ("esp32s3-cam@3.5.0+ignore-next-wake", "did you mean 'ignores-next-wake'"),
        ("toaster", "there are esp32s3-cam@3.5.0"),
    ],
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownProfile, match=hint):
        profile_named(name)


def test_an_unknown_trait_gets_a_hint() -> None:
    with pytest.raises(UnknownProfile, match="did you mean 'ack_wait_ms'"):
        profile_named("esp32s3-cam@3.5.0").with_traits(ack_wait=3)
    with pytest.raises(ValueError, match="chunk_size_bytes is 0"):
        profile_named("esp32s3-cam@3.5.0").with_traits(chunk_size_bytes=0)


def test_a_battery_gives_what_it_holds() -> None:
    battery = Battery(BatteryModel(capacity_mwh=10))
    assert battery.voltage_v == 4.2
    battery.spend("sending", 0)
    battery.spend("sending", 10_000)
    assert battery.used_mj == pytest.approx(220 * 3.7 * 10)
    assert battery.charge == pytest.approx(1 - 8_140 / 36_000)
    assert 3.78 < battery.voltage_v < 4.0
    battery.spend("off", 10_000_000)
    battery.draw_mj(27_000)
    assert [battery.is_empty, battery.voltage_v > 3.0] == [False, True]
    battery.draw_mj(1_000)
    assert [battery.is_empty, battery.voltage_v] == [True, 3.0]


def test_reset_reasons_have_names() -> None:
    assert reset_reason("timer") is reset_reason("button")
    assert reset_reason("software") is reset_reason("sw")
    assert reset_reason("BROWNOUT").loses_rtc
    assert not reset_reason("panic").loses_rtc
    with pytest.raises(ValueError, match="no reset reason 'flood'"):
        reset_reason("flood")


def test_places_belong_to_their_seed() -> None:
    places = FleetPlaces(seed=7)
    assert places.place("yard", 3) == FleetPlaces(seed=7).place("yard", 3)
    assert places.place("yard", 3) != FleetPlaces(seed=8).place("yard", 3)
    assert places.place("yard", 0).site_name == places.place("yard", 7).site_name
    assert places.place("yard", 0).company_name == places.place("gate", 9).company_name


def test_macs_are_twelve_hex_digits_and_differ() -> None:
    macs = {mac_of(group, index) for group in ("yard", "gate", "roof") for index in range(500)}
    assert len(macs) == 1_500
    assert all(len(mac) == 12 and set(mac) <= set("0123456789ABCDEF") for mac in macs)
    with pytest.raises(ValueError, match=r"0\.\.65535"):
        mac_of("yard", 65_536)
