"""The devices of a processes bench: simulated cameras on paho, virtual boards, boards on a serial port.

A virtual board is started, flashed by esptool, and dark until its first wake. A board of the inventory is flashed when
the run says so, told in its NVS where the bench is, and sung to sleep when it boots.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.dut.board import BoardDut, BoardWorld
from harness.dut.console import Console
from harness.dut.firmware_sets import firmware_folder
from harness.dut.flash_plan import Action, plan_lines
from harness.dut.flashing import After, FlashFailed, FlashOrder, FlashResult, flash, keep_symbols, prove_flashed
from harness.dut.inventory import BoardEntry, Provision
from harness.dut.kinds import BY_PROFILE, BoardOrder
from harness.dut.power import power_switch
from harness.dut.power_switch import SerialSwitch
from harness.dut.simulated import SimulatedDut
from harness.dut.virtual import VirtualBoard
from harness.plan_steps import PlannedDevice
from simulator.link.paho import PahoLink
from simulator.proxy import FaultProxy
from simulator.rng import Rng
from simulator.sites import FleetPlaces

if TYPE_CHECKING:
    from harness.bench.processes import ProcessesBench

DEFAULT_NVS: Final = {"wifi_ssid": "wakestorm"}
"""A virtual board's Wi-Fi has any name; a real one's stands in the inventory."""

_VIRTUAL: Final = BoardEntry.model_validate({"kind": "virtual", "flash": {"connect_attempts": 4}})
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
        login=bench.login,
        listen=order.broker_listen,
    )
    if order.kind == "virtual":
        made = [_virtual(bench, world, planned) for planned in bench.plan.devices]
    else:
        pairs = zip(bench.plan.devices, order.boards, strict=False)  # boards that are not needed rest
        made = [_board(bench, world, planned, entry) for planned, entry in pairs]
    bench.duts += await asyncio.gather(*made)


async def _line_of(bench: ProcessesBench, planned: PlannedDevice) -> FaultProxy | None:
    """A proxy before the broker for a device whose line will be struck; the others connect directly."""
    if not bench.gives_every_line and planned.number not in bench.plan.devices_with_line_faults:
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
    await _open_link(bench, dut)

    async def flash_it(firmware: str, force: bool) -> None:
        """Into the loader, flashed, and dark again; the next boot must name the program."""
        order = FlashOrder(
            board_id=planned.name,
            entry=_VIRTUAL.model_copy(update={"provision": _provision(_VIRTUAL, bench, planned, dut)}),
            port=board.port,
            folder=await _in_thread(firmware_folder, firmware),
            force=force,
            after=After.STAY,
            state_folder=folder / "state",
        )

        def write() -> FlashResult:
            board.power_on()
            board.boot()
            result = flash(order)
            board.power_off()
            return result

        result = await _in_thread(_lent, dut.console, write)
        dut.switched_off()
        _tell(dut, result)
        dut.watch.expect_program(result.wanted_elf)

    dut.flasher = flash_it
    await flash_it(_version_of(planned), False)
    return dut


def _efuse_mac(planned: PlannedDevice) -> str:
    is_mac = len(planned.mac) == 12 and all(letter in "0123456789ABCDEF" for letter in planned.mac)
    return planned.mac if is_mac else f"{EFUSE_PREFIX}{planned.number:06X}"


def _version_of(planned: PlannedDevice) -> str:
    """The firmware that the device's profile stands for."""
    return planned.profile.partition("@")[2].partition("+")[0]


# -- boards on a serial port -----------------------------------------------------------------------------


async def _board(bench: ProcessesBench, world: BoardWorld, planned: PlannedDevice, board: BoardOrder) -> BoardDut:
    entry = board.entry
    dut = BoardDut(planned, board.console_port, world, baud=entry.console.baud, log=_log_of(bench, planned))
    bench.at_end(dut.close)
    power = power_switch(board.id, entry.power, lambda held: dut.console.hold_reset(held=held))
    dut.switch = switch = SerialSwitch(dut.console, power, dut.watch.add)
    bench.at_end(lambda: _in_thread(switch.close))
    await _open_link(bench, dut)

    async def flash_it(firmware: str, force: bool) -> None:
        """Flashed, reset, proved, and told to sleep."""
        order = FlashOrder(
            board_id=board.id,
            entry=entry.model_copy(update={"provision": _provision(entry, bench, planned, dut)}),
            port=board.port,
            folder=await _in_thread(firmware_folder, firmware) if firmware else None,
            force=force,
            after=After.STAY,
        )

        with dut.lulled():
            if not dut.is_on and power is not None:
                await _in_thread(power.on)
            result = await _in_thread(_lent, dut.console, lambda: flash(order))
            dut.watch.forget()
            if result.trouble is None:
                await _in_thread(prove_flashed, dut.console, result)
            _tell(dut, result)
            await dut.wait_asleep(ASLEEP_WITHIN_S)
            if not dut.is_on and power is not None:
                await _in_thread(power.off)  # dark as it was found

    dut.flasher = flash_it
    await _in_thread(dut.console.open)
    if power is not None:
        await _in_thread(power.on)  # a run that was killed may have left it dark
    switch.is_fresh = True
    await flash_it(_version_of(planned) if board.firmware == BY_PROFILE else board.firmware, False)
    return dut


def _lent(console: Console, work: Callable[[], FlashResult]) -> FlashResult:
    with console.released():
        return work()


async def _open_link(bench: ProcessesBench, dut: BoardDut) -> None:
    planned = dut.planned
    proxy = await dut.link.open(with_line=planned.number in bench.plan.devices_with_line_faults)
    if proxy is not None:
        bench.proxies[planned.name] = proxy
        bench.at_end(proxy.stop)


# -- flash and NVS ---------------------------------------------------------------------------------------


def _tell(dut: BoardDut, result: FlashResult) -> None:
    """The plan stands in the console's log, what came of it in the history. Raises FlashFailed."""
    for line in plan_lines(result.plan):
        dut.console.note(f"flash: {line}")
    for failed in result.failed_attempts:
        dut.console.note(f"flash: {failed.step}, attempt {failed.number}: {failed.trouble.cause}: {failed.said}")
    dut.flashed(
        flashed=result.title,
        attempt=result.attempt,
        written=[planned.region.name for planned in result.plan if planned.action is Action.WRITE],
        kept=[planned.region.name for planned in result.plan if planned.action is Action.KEEP],
        proved=result.proved,
    )
    if result.trouble is not None:
        raise FlashFailed(result)
    keep_symbols(result)


def _provision(entry: BoardEntry, bench: ProcessesBench, planned: PlannedDevice, dut: BoardDut) -> Provision:
    """What the inventory says, and above it where this bench is and what this scenario wants."""
    values = {**DEFAULT_NVS, **entry.provision.nvs, **provisioned(bench, planned, dut)}
    return entry.provision.model_copy(update={"nvs": values})


def provisioned(bench: ProcessesBench, planned: PlannedDevice, dut: BoardDut) -> dict[str, Any]:
    """What the device's NVS says: who it is, where the bench is, what it photographs."""
    user, password = bench.login or ("", "")
    values: dict[str, Any] = {
        "device_id": planned.mac,
        "dialect": dut.link.dialect.name if bench.dut_order.kind == "board" else "",
        "name": planned.name,
        "location": _location(bench, planned),
        "broker_host": bench.dut_order.broker_listen,
        "broker_port": dut.link.port,
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
