"""Power switches: a program, uhubctl, a Tasmota plug on loopback, RTS; and what each says when it fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.dut.inventory import PowerEntry
from harness.dut.power import PowerFailed, PowerSwitch, power_switch
from harness.machine import monotonic_s


class Plug(BaseHTTPRequestHandler):
    """A Tasmota plug with two outlets, the second of which is broken."""

    told: list[str] = []
    status = 200

    def do_GET(self) -> None:
        command = parse_qs(urlsplit(self.path).query)["cmnd"][0]
        self.told.append(command)
        name, state = command.split(" ")
        state = "OFF" if name == "Power2" else state.upper()
        body = f'{{"{"POWER" if name == "Power1" else name.upper()}":"{state}"}}'.encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        return


@pytest.fixture
def plug() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Plug) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        Plug.told.clear()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def switch(**fields: object) -> PowerSwitch:
    made = power_switch("cam", PowerEntry.model_validate({"off_for": "0s", **fields}))
    assert made is not None
    return made


def test_a_plug_is_switched_and_believed_by_its_answer(plug: str) -> None:
    tasmota = switch(type="tasmota", url=plug)
    tasmota.off()
    tasmota.on()
    assert Plug.told == ["Power1 Off", "Power1 On"]
    with pytest.raises(PowerFailed, match="told Power2 On and answers"):
        switch(type="tasmota", url=plug, outlet=2).on()
    with pytest.raises(PowerFailed, match="does not answer"):
        switch(type="tasmota", url="http://127.0.0.1:9").off()


def test_a_program_is_run_without_a_shell(tmp_path: Path) -> None:
    script = tmp_path / "switch.py"
    script.write_text(
        "import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(sys.argv[2])\nsys.exit('x' in sys.argv)\n"
    )
    state = tmp_path / "state"
    program = f"{sys.executable} {script} {state}"
    command = switch(type="command", on=f"{program} 'on; off'", off=f"{program} x")
    command.on()
    assert state.read_text() == "on; off"
    with pytest.raises(PowerFailed, match="ended with code 1"):
        command.off()
    with pytest.raises(PowerFailed, match="no program no-such-program"):
        switch(type="command", on="no-such-program", off="x").on()


def test_uhubctl_gets_hub_and_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uhubctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hub = switch(type="uhubctl", hub="1-1", socket=2)
    hub.off()
    hub.on()
    assert (tmp_path / "told").read_text() == "-l 1-1 -p 2 -a off\n-l 1-1 -p 2 -a on\n"


def test_rts_holds_the_chip_in_reset() -> None:
    told: list[bool] = []
    entry = PowerEntry.model_validate({"type": "lines", "off_for": "0s"})

    def hold(held: bool) -> bool:
        told.append(held)
        return True

    made = power_switch("cam", entry, hold)
    assert made is not None
    made.off()
    made.on()
    assert told == [True, False]
    without = power_switch("cam", entry)
    assert without is not None
    with pytest.raises(PowerFailed, match="no RTS"):
        without.off()


def test_power_stays_off_for_a_while() -> None:
    told: list[float] = []

    def hold(_held: bool) -> bool:
        told.append(monotonic_s())
        return True

    made = power_switch("cam", PowerEntry.model_validate({"type": "lines", "off_for": "50ms"}), hold)
    assert made is not None
    made.off()
    made.on()
    assert told[1] - told[0] >= 0.05


def test_none_is_no_switch() -> None:
    assert power_switch("cam", PowerEntry.model_validate({"type": "none"})) is None
