"""How often each part of a board's flash was written by this machine: one small file for each MAC.

A count says how worn a flash is at least: other machines write too, and so does the firmware.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from harness.dut.build_folder import SECTOR_BYTES, Region

STATE_VARIABLE: Final = "WAKESTORM_STATE"
ENDURANCE: Final = 100_000
"""Erases that a NOR sector is specified for, usually."""


def ledger_folder(environment: Mapping[str, str]) -> Path:
    """Where the ledgers are: WAKESTORM_STATE, else the user's state folder (XDG)."""
    if environment.get(STATE_VARIABLE):
        return Path(environment[STATE_VARIABLE])
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "/"), ".local", "state")
    return Path(base, "wakestorm", "wear")


def provisioned_before(folder: Path, board_id: str) -> str | None:
    """The MD5 of the NVS that this board was last given from here."""
    try:
        return _provision_file(folder, board_id).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def record_provisioned(folder: Path, board_id: str, md5: str) -> None:
    """Remember it; the firmware writes into its NVS, so the flash itself can not tell."""
    path = _provision_file(folder, board_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(md5 + "\n", encoding="utf-8")


def _provision_file(folder: Path, board_id: str) -> Path:
    return folder / "provisioned" / re.sub(r"[^A-Za-z0-9_-]+", "-", board_id)


class WearLedger:
    """The writes of one board. A file that can not be read counts as none: it is no truth that a run hangs on."""

    def __init__(self, folder: Path, mac: str) -> None:
        self.path = folder / f"{mac.upper().replace(':', '')}.json"

    def writes(self, region: Region) -> int:
        """Writes of the most written sector of the region."""
        return self._most(self._read(), region)

    def add(self, regions: Iterable[Region]) -> dict[str, int]:
        """Count these once more; their numbers afterwards, by name. Two processes do not lose each other's."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = list(regions)
        with self.path.with_suffix(".lock").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            counts = self._read()
            for region in written:
                for sector in _sectors(region):
                    counts[sector] = counts.get(sector, 0) + 1
            beside = self.path.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps({"sectors": _runs(counts)}) + "\n", encoding="utf-8")
            beside.replace(self.path)
        return {region.name: self._most(counts, region) for region in written}

    def _most(self, counts: Mapping[int, int], region: Region) -> int:
        return max((counts.get(sector, 0) for sector in _sectors(region)), default=0)

    def _read(self) -> dict[int, int]:
        try:
            runs = json.loads(self.path.read_text(encoding="utf-8"))["sectors"]
            return {sector: count for first, number, count in runs for sector in range(first, first + number)}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _sectors(region: Region) -> range:
    return range(region.offset // SECTOR_BYTES, region.end // SECTOR_BYTES)


def _runs(counts: Mapping[int, int]) -> list[list[int]]:
    """Neighbours with one count as [first sector, how many, count]."""
    runs: list[list[int]] = []
    for sector, count in sorted(counts.items()):
        if runs and runs[-1][0] + runs[-1][1] == sector and runs[-1][2] == count:
            runs[-1][1] += 1
        else:
            runs.append([sector, 1, count])
    return runs
