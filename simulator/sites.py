"""Names and places of a fleet: company, program, sites, devices, locations, made by Faker from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from faker import Faker

_ESPRESSIF: Final = "B8F8"
_SPOTS: Final = ("gate", "yard", "roof", "loading dock", "greenhouse", "pump house", "fence", "silo", "trail", "pond")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one device of a fleet hangs, with its lineage."""

    company_name: str
    program_name: str
    site_name: str
    device_name: str
    location: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlaces:
    """One company and its sites; `place(group, index)` is the same each time it is asked."""

    seed: int
    devices_per_site: int = 8

    @property
    def company_name(self) -> str:
        return self._faker("company").company()

    @property
    def program_name(self) -> str:
        return f"{self._faker('program').word().capitalize()} watch"

    def place(self, group: str, index: int) -> Place:
        """The place of the device with that index in its group."""
        return _place(self, group, index)

    def _faker(self, name: str) -> Faker:
        """The one generator, seeded anew: draw from it before the next name is asked for."""
        faker = _generator()
        faker.seed_instance(f"{self.seed}/{name}")
        return faker


@lru_cache(maxsize=1_000)
def _place(places: FleetPlaces, group: str, index: int) -> Place:
    """Making one costs half a millisecond, and a bench asks twice: for the row and for the device."""
    site = places._faker(f"site/{group}/{index // places.devices_per_site}")
    spot = _SPOTS[index % len(_SPOTS)]
    site_name = f"{site.last_name()} {site.street_suffix()}"
    latitude, longitude = float(site.latitude()), float(site.longitude())
    return Place(
        company_name=places.company_name,
        program_name=places.program_name,
        site_name=site_name,
        device_name=f"{group}-{index:03d} {spot}",
        location=f"{site_name}, {spot}",
        latitude=latitude,
        longitude=longitude,
    )


@lru_cache(maxsize=1)
def _generator() -> Faker:
    """Making one costs 20 ms, seeding it nothing."""
    return Faker("en_US")


def mac_of(group: str, index: int) -> str:
    """The MAC of a simulated device: 12 upper-case hex digits from its group and index (below 65,536)."""
    if not 0 <= index <= 0xFFFF:
        raise ValueError(f"device index is {index}, expected 0..65535")
    return f"{_ESPRESSIF}{hashlib.blake2b(group.encode(), digest_size=2).hexdigest().upper()}{index:04X}"
