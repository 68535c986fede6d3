"""The fleet of a benchmark: cameras that are always awake."""

from __future__ import annotations

from typing import Protocol

from harness.fleet.order import FleetOrder, LinkKind


class Load(Protocol):
    """What settings of such a benchmark say; `window`: chunks sent before a PUBACK."""

    @property
    def devices(self) -> int: ...
    @property
    def run_s(self) -> int: ...
    @property
    def chunks(self) -> int: ...
    @property
    def chunk_bytes(self) -> int: ...
    @property
    def window(self) -> int: ...


def cycling_order(load: Load, link: LinkKind, seed: int) -> FleetOrder:
    """Every camera wakes again as soon as it sleeps, for `run_s` seconds."""
    return FleetOrder(
        devices=load.devices,
        wake_every_ms=0,
        for_ms=load.run_s * 1000,
        spread_ms=0,
        seed=seed,
        image_bytes=load.chunks * load.chunk_bytes,
        chunk_bytes=load.chunk_bytes,
        chunk_spacing_ms=0,
        burst_chunks=load.window,
        link=link,
        cycling=True,
    )
