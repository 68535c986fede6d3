"""Flashes one board: ask, plan, write, reset, prove; the one way to esptool. The caller holds the board's lock.

esptool is started anew after a failure that another start may mend, and each start is kept: "passed on attempt 2" is
another result than "passed".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from firmware_fixtures.esp32s3.nvs import NvsRefused, nvs_image
from harness.blame import Blame
from harness.dut.boot_proof import Proof, prove, refined, reset_from_loader
from harness.dut.build_folder import BuildFolder, Region
from harness.dut.console import Console, ConsoleError
from harness.dut.esptool import Ended, Esptool, has_modem_lines, has_speed
from harness.dut.flash_plan import PlannedRegion, plan_of, to_write
from harness.dut.flash_trouble import Trouble, last_words, trouble_of
from harness.dut.inventory import BoardEntry, plain_mac
from harness.dut.symbols import symbol_store
from harness.dut.wear_ledger import WearLedger, ledger_folder, provisioned_before, record_provisioned
from harness.errors import UsageError
from harness.machine import monotonic_s
from simulator.board.nvs import read_nvs
from simulator.board.partition import TABLE_BYTES, TABLE_OFFSET, BadTable, Partition, read_table
from simulator.provisioning import encodings

ROM_BAUD: Final = 115_200
ROM_BYTES_PER_S: Final = 5_000
WRITE_LEAST_S: Final = 60.0
NVS_REGION: Final = "nvs"
DETAIL_LINES_MAX: Final = 12


class After(StrEnum):
    """What becomes of the board once everything is written."""

    PROVE = "prove"
    """Reset, and the boot log must name the program."""

    RESET = "reset"
    STAY = "stay"
    """It waits in its loader; the caller goes on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashOrder:
    """What to flash where. Without a folder the program stays, and only NVS is written, where its table says.

    `state_folder`: where wear is counted; the user's own where none is given.
    """

    board_id: str
    entry: BoardEntry
    port: str
    folder: BuildFolder | None
    force: bool = False
    dry_run: bool = False
    after: After = After.PROVE
    state_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of esptool that failed."""

    step: str
    number: int
    trouble: Trouble
    said: str


@dataclass(slots=True)
class FlashResult:
    """What came of it."""

    board_id: str
    port: str
    mac: str | None = None
    chip: str | None = None
    plan: tuple[PlannedRegion, ...] = ()
    failed_attempts: list[Attempt] = field(default_factory=list)
    written_bytes: int = 0
    elf_sha256: str | None = None
    proved: bool = False
    trouble: Trouble | None = None
    detail: str = ""
    title: str = ""
    """What was flashed, in words."""

    elf: Path | None = None
    """The program with its symbols, where the build folder has it."""

    wanted_elf: str | None = None
    """SHA-256 that the boot log has to name; None where the app does not say."""

    has_lines: bool = True
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def attempt(self) -> int:
        """The attempt that decided; above 1 something had to be tried again."""
        return max((failed.number for failed in self.failed_attempts), default=0) + (0 if self.trouble else 1)


class _Failed(Exception):
    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(trouble.cause)
        self.trouble = trouble
        self.detail = detail


class FlashFailed(ConsoleError):
    """A board could not be flashed."""

    def __init__(self, result: FlashResult) -> None:
        trouble = result.trouble
        assert trouble is not None
        tries = [f"{one.step}, attempt {one.number}: {one.said}" for one in result.failed_attempts]
        lines = [trouble.fix, *tries, *result.detail.splitlines()[-DETAIL_LINES_MAX:]]
        super().__init__(
            f"{result.board_id}: {trouble.cause} ({result.port})", trouble.blame, hint="\n    ".join(lines)
        )
        self.result = result


def flash(order: FlashOrder) -> FlashResult:
    """Does it. Never raises for what board, cable or firmware do: that stands in `trouble`."""
    result = FlashResult(order.board_id, order.port)
    begun_s = monotonic_s()
    try:
        _Flashing(order, result).run()
    except _Failed as error:
        result.trouble, result.detail = error.trouble, error.detail
    result.wall_s = monotonic_s() - begun_s
    return result


def prove_flashed(console: Console, result: FlashResult) -> None:
    """Resets the board out of its loader and looks at its boot log; what is wrong with that stands in `trouble`."""
    is_sound = all(planned.region.flaw is None for planned in result.plan)
    proof: Proof = prove(console, result.wanted_elf, has_lines=result.has_lines, is_sound=is_sound)
    result.elf_sha256 = proof.elf_sha256
    if proof.trouble is not None:
        result.trouble, result.detail = proof.trouble, "\n".join(proof.lines)
    result.proved = proof.trouble is None and result.wanted_elf is not None


def keep_symbols(result: FlashResult) -> None:
    """A panic of this program will decode."""
    if result.trouble is None and result.elf is not None:
        symbol_store(os.environ).add(result.elf)


def provisioned(entry: BoardEntry, folder: BuildFolder) -> Region | None:
    """The board's NVS partition; None where nothing is provisioned. Raises UsageError."""
    wanted = entry.provision
    if wanted.is_empty:
        return None
    partition = folder.partition(wanted.partition)
    if partition is None:
        hint = f"there are {', '.join(row.label for row in folder.partitions) or 'none'}"
        raise UsageError(f"{folder.folder} has no partition {wanted.partition!r} to provision", hint=hint)
    try:
        image = nvs_image(wanted.nvs, size_bytes=partition.size_bytes, types=encodings(), also=wanted.also)
    except NvsRefused as error:
        raise UsageError(f"provision: {error}") from error
    return Region(NVS_REGION, partition.offset, image)


class _Flashing:
    def __init__(self, order: FlashOrder, result: FlashResult) -> None:
        self.order = order
        self.result = result
        self.has_lines = result.has_lines = has_modem_lines(order.port)
        options = order.entry.flash
        self.esptool = Esptool(
            port=order.port,
            chip=order.entry.chip,
            baud=options.baud if has_speed(order.port) else ROM_BAUD,
            connect_attempts=options.connect_attempts,
            stub=options.stub,
            has_lines=self.has_lines,
        )
        self.state_folder = order.state_folder or ledger_folder(os.environ)
        self.folder = order.folder or BuildFolder(Path("what is on it"), order.entry.chip, (), (), None, None)
        self.nvs: Region | None = None
        self.regions: tuple[Region, ...] = ()

    def run(self) -> None:
        if self.order.folder is None:
            self.folder = replace(self.folder, partitions=self._partitions())
        self.nvs = nvs = provisioned(self.order.entry, self.folder)
        self.regions = tuple(sorted([*self.folder.regions, *([nvs] if nvs else [])], key=lambda region: region.offset))
        self.result.title, self.result.elf = self.folder.title, self.folder.elf
        self.result.wanted_elf = self.folder.app.elf_sha256 if self.folder.app else None
        self._refuse_flaws()
        with TemporaryDirectory(prefix="wakestorm-flash-") as scratch:
            files = self._files(Path(scratch))
            if self._must_ask_first():
                same = self._asked(files)
                self._plan(same, self._kept(same))
                if not self.order.dry_run and (regions := to_write(self.result.plan)):
                    self._write(regions, files)
            else:
                self._plan(self._write(self.regions, files), {})
        if self.order.dry_run or self.order.after is After.RESET:
            self._reset()
        elif self.order.after is After.PROVE:
            self._prove()

    def _partitions(self) -> tuple[Partition, ...]:
        """The table that the board has in its flash."""
        with TemporaryDirectory(prefix="wakestorm-table-") as folder:
            path = Path(folder, "table.bin")
            words = (hex(TABLE_OFFSET), hex(TABLE_BYTES), str(path))
            self._identify(self._tried("read-flash", lambda: self.esptool.run("read-flash", "--no-progress", *words)))
            size_bytes = int(self.order.entry.flash_size.removesuffix("MB")) << 20
            flash = (b"\xff" * TABLE_OFFSET + path.read_bytes()).ljust(size_bytes, b"\xff")
        try:
            return read_table(flash)
        except BadTable as error:
            cause = f"nothing that boots is on it: its partition table is not readable ({error})"
            fix = "flash it first: --firmware FOLDER, or `wakestorm flash`"
            raise _Failed(Trouble("nothing-flashed", Blame.HARNESS, cause, fix, False), "") from None

    def _must_ask_first(self) -> bool:
        """Else esptool compares each region right before it would write it, which saves one start of it."""
        match = self.order.entry.match
        if self.order.dry_run or (self.result.mac is None and match is not None and match.mac is not None):
            return True
        if self.nvs is None or self.order.force:
            return False
        return provisioned_before(self.state_folder, self.order.board_id) == self.nvs.md5

    def _plan(self, same: Mapping[str, bool], kept: Mapping[str, str]) -> None:
        ledger = WearLedger(self.state_folder, self.result.mac or "unknown")
        worn = {region.name: ledger.writes(region) for region in self.regions}
        self.result.plan = plan_of(self.regions, same, force=self.order.force, kept=kept, worn=worn)

    def _files(self, folder: Path) -> dict[str, str]:
        """Region to the file that esptool reads."""
        found = {}
        for region in self.regions:
            path = region.path
            if path is None:
                path = folder / f"{region.name}.bin"
                path.write_bytes(region.data)
            found[region.name] = str(path)
        return found

    # -- esptool ----------------------------------------------------------------------------------------

    def _asked(self, files: Mapping[str, str]) -> dict[str, bool]:
        """By region, whether the flash holds it already."""
        words = [word for region in self.regions for word in (hex(region.offset), files[region.name])]

        def is_answered(ended: Ended) -> bool:
            return len(ended.verified) == len(self.regions)

        ended = self._tried("verify-flash", lambda: self.esptool.run("verify-flash", *words), is_answered)
        self._identify(ended)
        return {region.name: ended.verified[region.offset] for region in self.regions}

    def _identify(self, ended: Ended) -> None:
        self.result.mac, self.result.chip = ended.mac, ended.chip
        match = self.order.entry.match
        if match is not None and match.mac is not None and ended.mac not in (None, plain_mac(match.mac)):
            cause = f"the board on {self.order.port} has the MAC {ended.mac}, the inventory says {plain_mac(match.mac)}"
            fix = "two boards changed places? correct match in boards.yaml"
            raise _Failed(Trouble("wrong-mac", Blame.BOARD, cause, fix, False), "")

    def _kept(self, same: Mapping[str, bool]) -> dict[str, str]:
        """NVS holds the firmware's own memory too: it stays when all that is provisioned is there already."""
        table = next((region.name for region in self.regions if region.offset == TABLE_OFFSET), None)
        if self.nvs is None or self.order.force or same[NVS_REGION] or table is None or not same[table]:
            return {}
        with TemporaryDirectory(prefix="wakestorm-nvs-") as folder:
            path = Path(folder, "nvs.bin")
            words = (hex(self.nvs.offset), hex(len(self.nvs.data)), str(path))
            self._tried("read-flash", lambda: self.esptool.run("read-flash", "--no-progress", *words))
            there, wanted = read_nvs(path.read_bytes()), read_nvs(self.nvs.data)
        for namespace, values in wanted.items():
            if any(there.get(namespace, {}).get(key) != value for key, value in values.items()):
                return {}
        count = sum(len(values) for values in wanted.values())
        return {NVS_REGION: f"all {count} provisioned values are there"}

    def _refuse_flaws(self) -> None:
        broken = [region for region in self.regions if region.flaw]
        if broken and not self.order.force:
            cause = f"{broken[0].name} ({broken[0].path}) is broken: {broken[0].flaw}"
            fix = "build it again; --force writes it all the same"
            raise _Failed(Trouble("image-broken", Blame.FIRMWARE, cause, fix, False), "")
        size_bytes = int(self.order.entry.flash_size.removesuffix("MB")) << 20
        last = max(self.folder.partitions, key=lambda row: row.offset + row.size_bytes, default=None)
        if last is not None and last.offset + last.size_bytes > size_bytes:
            end = last.offset + last.size_bytes
            cause = f"partition {last.label} ends at {end:#x}, the board has {self.order.entry.flash_size} of flash"
            fix = "build for this flash, or correct flash_size in boards.yaml"
            raise _Failed(Trouble("does-not-fit", Blame.FIRMWARE, cause, fix, False), "")

    def _write(self, regions: Sequence[Region], files: Mapping[str, str]) -> dict[str, bool]:
        """Writes what is not there yet; by region, whether it was there."""
        words = [word for region in regions for word in (hex(region.offset), files[region.name])]
        total = sum(len(region.data) for region in regions)
        limit_s = WRITE_LEAST_S + total / ROM_BYTES_PER_S
        options = ["--no-progress", "--force" if self.order.force else "--skip-flashed"]
        was_there: dict[str, bool] = {}

        def write() -> Ended:
            ended = self.esptool.run("write-flash", *options, *words, time_limit_s=limit_s)
            erased = [region for region in regions if ended.erased.get(region.offset)]
            if erased:
                WearLedger(self.state_folder, ended.mac or "unknown").add(erased)
            for region in regions:
                if region.offset in ended.erased:
                    was_there[region.name] = was_there.get(region.name, True) and not ended.erased[region.offset]
            return ended

        self._identify(self._tried("write-flash", write))
        self.result.written_bytes = sum(len(region.data) for region in regions if not was_there.get(region.name, False))
        if self.nvs is not None:
            record_provisioned(self.state_folder, self.order.board_id, self.nvs.md5)
        return was_there

    def _tried(self, step: str, run: Callable[[], Ended], is_answered: Callable[[Ended], bool] | None = None) -> Ended:
        """esptool, started again while that may help."""
        begun_s = monotonic_s()
        limit = self.order.entry.flash.attempts
        try:
            for number in range(1, limit + 1):
                ended = run()
                if (ended.code == 0) if is_answered is None else is_answered(ended):
                    return ended
                if ended.code < 0:
                    cause = f"esptool was ended from outside, by signal {-ended.code}"
                    raise _Failed(Trouble("killed", Blame.HARNESS, cause, "flash again", False), "")
                trouble = refined(trouble_of(ended.text), self.order.port, self.order.entry.console.baud)
                self.result.failed_attempts.append(Attempt(step, number, trouble, last_words(ended.text)))
                if not trouble.retry or number == limit:
                    raise _Failed(trouble, last_words(ended.text))
            raise AssertionError("unreachable")
        finally:
            self.result.seconds[step] = monotonic_s() - begun_s

    # -- proof ------------------------------------------------------------------------------------------

    def _console(self) -> Console:
        entry = self.order.entry.console
        return Console(entry.port or self.order.port, name=self.order.board_id, baud=entry.baud)

    def _reset(self) -> None:
        """Out of the loader, into whatever is there."""
        with self._console() as console:
            reset_from_loader(console, has_lines=self.has_lines)

    def _prove(self) -> None:
        begun_s = monotonic_s()
        with self._console() as console:
            prove_flashed(console, self.result)
        self.result.seconds["proof"] = monotonic_s() - begun_s
        keep_symbols(self.result)
