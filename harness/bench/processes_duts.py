"""The devices of a processes bench: simulated cameras on paho, virtual boards, boards on a serial port.

A virtual board is started, flashed by esptool, and dark until its first wake. A board of the inventory is flashed when
the run says so, told in its NVS where the bench is, and sung to sleep when it boots.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from harness.dut.board import BoardDut, BoardWorld
from harness.dut.console import Console
from harness.dut.esptool_run import write_flash
from harness.dut.firmware_sets import FirmwareFiles, firmware_files
from harness.dut.kinds import BoardOrder
from harness.dut.power_switch import SerialSwitch
from harness.dut.simulated import SimulatedDut
from harness.dut.virtual import VirtualBoard
from harness.plan_steps import PlannedDevice
from simulator.link.paho import PahoLink
from simulator.provisioning import encodings
from simulator.proxy import FaultProxy
from simulator.rng import Rng
from simulator.sites import FleetPlaces

if TYPE_CHECKING:
    from harness.bench.processes import ProcessesBench

NVS_OFFSET: Final = 0x9000
EFUSE_PREFIX: Final = "7CDFA1"
"""Of an id that is no MAC, the eFuses get a MAC with this prefix; the camera's id stands in NVS."""

SEED_MAX: Final = 0xFFFF_FFFF
ASLEEP_WITHIN_S: Final = 60.0


async def make_devices(bench: ProcessesBench) -> None:
    """Makes every device of the plan; boards are ready and asleep, or dark. Raises BenchUnavailable, FlashFailed."""
    order = bench.dut_order
    if order.kind == "simulated":
        for planned in bench.plan.devices:
            bench.adopt(_simulated(bench, planned, await _line_of(bench, planned)))
        return
    world = BoardWorld(
        clock=bench.clock,
        changes=bench.changes,
        history=bench.history,
        seed=bench.plan.seed,
        broker=(bench.broker.host, bench.broker.port),
        listen=order.broker_listen,
    )
    if order.kind == "virtual":
        made = [_virtual(bench, world, planned) for planned in bench.plan.devices]
    else:
        pairs = zip(bench.plan.devices, order.boards, strict=True)
        made = [_board(bench, world, planned, entry) for planned, entry in pairs]
    bench.duts += await asyncio.gather(*made)


async def _line_of(bench: ProcessesBench, planned: PlannedDevice) -> FaultProxy | None:
    """A proxy before the broker for a device whose line will be struck; the others connect directly."""
    if planned.number not in bench.plan.devices_with_line_faults:
        return None
    broker = bench.broker.host, bench.broker.port
    proxy = FaultProxy(broker, Rng(f"{bench.plan.seed}/line/{planned.name}"))
    await proxy.start()
    bench.proxies[planned.name] = proxy
    bench.at_end(proxy.stop)
    return proxy


def _simulated(bench: ProcessesBench, planned: PlannedDevice, line: FaultProxy | None) -> SimulatedDut:
    return SimulatedDut(
        planned,
        seed=bench.plan.seed,
        location=_location(bench, planned),
        clock=bench.clock,
        changes=bench.changes,
        history=bench.history,
        links=PahoLink,
        broker=(bench.broker.host, bench.broker.port) if line is None else line.address,
        line=line,
    )


def _location(bench: ProcessesBench, planned: PlannedDevice) -> str:
    return FleetPlaces(seed=bench.plan.seed).place(planned.group, planned.index).location


# -- virtual boards ------------------------------------------------------------------------------------


async def _virtual(bench: ProcessesBench, world: BoardWorld, planned: PlannedDevice) -> BoardDut:
    folder = bench.folder / f"board{planned.number}"
    board = VirtualBoard(planned.name, _efuse_mac(planned), folder)
    bench.at_end(lambda: _in_thread(board.stop))
    await bench.blocking(board.start)
    dut = BoardDut(planned, board.port, world, baud=115_200, log=_log_of(bench, planned))
    bench.at_end(dut.close)
    dut.switch = board
    await dut.link.gate.start()

    async def flash(console: Console, firmware: str, force: bool) -> None:
        files = await _in_thread(firmware_files, firmware)
        with _nvs(bench, planned, dut) as nvs:
            await _in_thread(_lent, console, lambda: _written(board, files, nvs))
        dut.is_on = False

    dut.flasher = flash
    await flash(dut.console, _version_of(planned), False)
    return dut


def _written(board: VirtualBoard, files: FirmwareFiles, nvs: Path) -> None:
    """Into the loader, flashed, and dark again: whatever ran for a moment meanwhile has said nothing to anybody."""
    board.power_on()
    board.boot()
    _write(board.port, files, nvs, board.name, False)
    board.power_off()


def _efuse_mac(planned: PlannedDevice) -> str:
    is_mac = len(planned.mac) == 12 and all(letter in "0123456789ABCDEF" for letter in planned.mac)
    return planned.mac if is_mac else f"{EFUSE_PREFIX}{planned.number:06X}"


def _version_of(planned: PlannedDevice) -> str:
    """The firmware that the device's profile stands for."""
    return planned.profile.partition("@")[2].partition("+")[0]


# -- boards on a serial port -----------------------------------------------------------------------------


async def _board(bench: ProcessesBench, world: BoardWorld, planned: PlannedDevice, entry: BoardOrder) -> BoardDut:
    dut = BoardDut(planned, entry.port, world, baud=entry.baud, log=_log_of(bench, planned))
    bench.at_end(dut.close)
    dut.switch = SerialSwitch(dut.console)
    await dut.link.gate.start()

    async def flash(console: Console, firmware: str, force: bool) -> None:
        files = await _in_thread(firmware_files, firmware) if firmware else None
        with dut.lulled(), _nvs(bench, planned, dut) as nvs:
            await _in_thread(_lent, console, lambda: _write(entry.port, files, nvs, planned.name, True))
            await dut.wait_asleep(ASLEEP_WITHIN_S)

    dut.flasher = flash
    await _in_thread(dut.console.open)
    await flash(dut.console, entry.firmware, False)
    return dut


def _lent(console: Console, work: Callable[[], None]) -> None:
    with console.released():
        work()


# -- flash and NVS ---------------------------------------------------------------------------------------


def _write(port: str, files: FirmwareFiles | None, nvs: Path, name: str, reset: bool) -> None:
    parts = [(NVS_OFFSET, nvs)] if files is None else [*files.files, (NVS_OFFSET, nvs)]
    write_flash(port, parts, () if files is None else files.settings, name=name, reset=reset)


class _nvs:
    """The NVS partition of one board as a file, gone afterwards: it holds the login."""

    def __init__(self, bench: ProcessesBench, planned: PlannedDevice, dut: BoardDut) -> None:
        self._values = provisioned(bench, planned, dut)
        self._folder = TemporaryDirectory(prefix="wakestorm-nvs-")

    def __enter__(self) -> Path:
        from firmware_fixtures.esp32s3.nvs import nvs_image

        path = Path(self._folder.name, "nvs.bin")
        path.write_bytes(nvs_image(self._values, types=encodings()))
        return path

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def provisioned(bench: ProcessesBench, planned: PlannedDevice, dut: BoardDut) -> dict[str, Any]:
    """What the device's NVS says: who it is, where the bench is, what it photographs."""
    user, password = bench.login or ("", "")
    values: dict[str, Any] = {
        "device_id": planned.mac,
        "name": planned.name,
        "location": _location(bench, planned),
        "wifi_ssid": "wakestorm",
        "broker_host": bench.dut_order.broker_listen,
        "broker_port": dut.link.gate.port,
        "broker_user": user,
        "broker_password": password,
        "wake_every_s": max(1, planned.interval_ms // 1000),
        "image_bytes": planned.image_size_bytes,
        "chunk_bytes": planned.chunk_size_bytes,
        "seed": bench.plan.seed & SEED_MAX,
        "picture": planned.picture,
        "habits": planned.profile.partition("+")[2],
        "traits": json.dumps(dict(planned.traits)) if planned.traits else "",
    }
    return {key: value for key, value in values.items() if value != ""}


def _log_of(bench: ProcessesBench, planned: PlannedDevice) -> Path | None:
    return None if bench.consoles is None else bench.consoles / f"{planned.name}.log"


async def _in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)
