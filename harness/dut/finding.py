"""Which serial port a board of the inventory is on right now, from what the system says about its ports.

A MAC is seen from outside only where the chip itself is the USB device (its serial number); behind a UART bridge the
entry needs something of the bridge too, and the MAC is checked when esptool connects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.dut.inventory import BoardEntry, Inventory, Match, plain_mac
from harness.errors import BenchUnavailable

NATIVE_USB: Final = "303A:1001"
"""The USB-Serial/JTAG unit of the chip; its serial number is the MAC (Espressif, USB VID/PID list)."""

BRIDGES: Final = {
    NATIVE_USB: "ESP32-S3 native USB",
    "303A:0009": "ESP32-S3 native USB, loader",
    "10C4:EA60": "CP210x bridge",
    "1A86:7523": "CH340 bridge",
    "1A86:55D3": "CH343 bridge",
    "1A86:55D4": "CH9102 bridge",
    "0403:6001": "FT232 bridge",
    "0403:6010": "FT2232 bridge",
    "0403:6015": "FT231X bridge",
}
"""What development boards are seen as, by USB vendor and product."""


class BoardNotFound(BenchUnavailable):
    """A board of the inventory is on no port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPort:
    """A serial port as the system lists it."""

    device: str
    vid_pid: str | None = None
    serial_number: str | None = None
    usb_path: str | None = None
    description: str = ""

    @property
    def kind(self) -> str:
        """What it is likely to be."""
        known = BRIDGES.get(self.vid_pid or "")
        return known or self.description or "serial port"

    @property
    def mac(self) -> str | None:
        """The chip's MAC, where the chip is the USB device."""
        if self.vid_pid != NATIVE_USB or not self.serial_number:
            return None
        return plain_mac(self.serial_number)


def system_ports() -> list[SystemPort]:
    """All serial ports that pyserial finds, in the order of their names."""
    from serial.tools.list_ports import comports

    found = []
    for port in comports():
        vid_pid = f"{port.vid:04X}:{port.pid:04X}" if port.vid is not None and port.pid is not None else None
        found.append(
            SystemPort(
                device=port.device,
                vid_pid=vid_pid,
                serial_number=port.serial_number or None,
                usb_path=port.location or None,
                description=port.description if port.description != "n/a" else "",
            )
        )
    return sorted(found, key=lambda port: port.device)


def matches(match: Match, port: SystemPort) -> bool:
    """Whether all that the match says of the outside is true of this port; a MAC counts where it can be seen."""
    if match.port is not None and not same_port(match.port, port.device):
        return False
    if match.serial_number is not None and match.serial_number != port.serial_number:
        return False
    if match.vid_pid is not None and match.vid_pid.upper() != port.vid_pid:
        return False
    if match.usb_path is not None and match.usb_path not in (port.usb_path, (port.usb_path or "").split(":")[0]):
        return False
    if match.mac is None:
        return True
    if port.mac is not None:
        return plain_mac(match.mac) == port.mac
    return match.model_fields_set != {"mac"}


def same_port(left: str, right: str) -> bool:
    """Whether two names, such as a link in /dev/serial/by-id and a device file, are one port."""
    if "://" in left or "://" in right:
        return left == right
    return left == right or Path(left).resolve() == Path(right).resolve()


def port_of(board_id: str, entry: BoardEntry, ports: Iterable[SystemPort]) -> str:
    """The port that flashes this board. Raises BoardNotFound with what to do."""
    match = entry.match
    if match is None:
        hint = "start one with `wakestorm board --pty PATH` and write match: {port: PATH}"
        raise BoardNotFound(f"{board_id} has no port: it is {entry.kind} and has no match", hint=hint)
    known = list(ports)
    found = [port for port in known if matches(match, port)]
    if len(found) > 1:
        names = ", ".join(port.device for port in found)
        raise BoardNotFound(
            f"{board_id} could be any of {names}", hint="add serial_number, usb_path or port to its match"
        )
    if found:
        return found[0].device
    if match.port is not None and ("://" in match.port or (_only_port(match) and Path(match.port).exists())):
        return match.port
    raise BoardNotFound(f"{board_id} is on no port: {_wanted(match)}", hint=_why_not(match, known))


def ports_of(inventory: Inventory, ports: Iterable[SystemPort]) -> dict[str, str]:
    """Board id to port, for those that are found."""
    known = list(ports)
    found = {}
    for board_id, entry in inventory.boards.items():
        try:
            found[board_id] = port_of(board_id, entry, known)
        except BoardNotFound:
            continue
    return found


def _only_port(match: Match) -> bool:
    """Nothing but the port is said that could be seen from outside."""
    return match.serial_number is None and match.vid_pid is None and match.usb_path is None


def _wanted(match: Match) -> str:
    return ", ".join(f"{name} {value}" for name, value in match.model_dump(exclude_none=True).items())


def _why_not(match: Match, ports: list[SystemPort]) -> str:
    if match.model_fields_set == {"mac"} and any(port.mac is None for port in ports):
        return "behind a UART bridge a MAC is not seen from outside; add usb_path, serial_number or port"
    if not ports:
        return "no serial port is there at all: is it plugged in, with a cable that carries data?"
    return "there are " + ", ".join(f"{port.device} ({port.kind})" for port in ports[:6])
