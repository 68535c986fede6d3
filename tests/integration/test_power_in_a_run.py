"""Power switches that a run uses by itself: a Tasmota plug, a USB hub by uhubctl, RTS; each takes a board's power.

Plug and hub are programs of their own that know nothing of the run; behind each is the control socket of one board. A
hub takes more than the power: without it the board's USB port is gone, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from firmware_fixtures.esp32s3.build import Order, build
from harness.dut.board_lock import FOLDER_VARIABLE
from harness.dut.wear_ledger import STATE_VARIABLE
from tests.support.virtual_board import running_board

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PATIENCE_S = 400.0
MACS = {"plug": "7CDFA1E0B0C5", "hub": "7CDFA1E0B0C6", "lines": "7CDFA1E0B0C7"}
ASK = '''\
import http.server, json, pathlib, socket, sys, urllib.parse

def order(control, text):
    """One command of the board's control socket."""
    wire = socket.socket(socket.AF_UNIX)
    wire.connect(control)
    wire.sendall(text.encode() + b"\\n")
    assert json.loads(wire.makefile("rb").readline())["ok"], text

def noted(path, text):
    """What the switch was told, for the test."""
    with path.open("a") as file:
        file.write(text + "\\n")
'''
TASMOTA = (
    ASK
    + '''
control, told = sys.argv[1], pathlib.Path(sys.argv[2])
state = "ON"

class Plug(http.server.BaseHTTPRequestHandler):
    """As Tasmota's web server answers /cm?cmnd=."""

    def do_GET(self):
        global state
        url = urllib.parse.urlsplit(self.path)
        command = urllib.parse.parse_qs(url.query).get("cmnd", [""])[0]
        noted(told, command)
        name, _, wanted = command.partition(" ")
        if url.path != "/cm" or name not in ("Power", "Power1"):
            body = {"Command": "Unknown"}
        else:
            if wanted.upper() in ("ON", "OFF"):
                state = wanted.upper()
                order(control, f"power {state.lower()}")
            body = {"POWER": state}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        return

with http.server.HTTPServer(("127.0.0.1", 0), Plug) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
'''
)
UHUBCTL = (
    ASK
    + """
control, told = "CONTROL", pathlib.Path("TOLD")
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
noted(told, " ".join(sys.argv[1:]))
if words["-l"] != "1-1" or words["-p"] != "2":
    sys.exit("No compatible devices detected at location " + words["-l"] + "!")
order(control, {"on": "plug", "off": "unplug"}[words["-a"]])
print("Current status for hub 1-1 [05e3:0610 USB2.1 Hub, USB 2.10, 4 ports, ppps]")
print("  Port 2: 0503 power highspeed enable connect [10c4:ea60 CP2102N]")
print("Sent power " + words["-a"] + " request")
"""
)
POWER_LOSS = """\
version: 1
name: Power that a switch takes is given back, and the photo is whole
devices: {yard: {count: COUNT, image: {size: 3kB, chunk: 1kB}, traits: {chunk_spacing: 10ms}}}
steps:
  - wake: yard
    faults: [{who: yard, at: "chunk[1].sent", do: power_loss}]
  - expect: {sql: "SELECT count(*) FROM device_images WHERE received_chunks < 3", equals: COUNT}
  - power: {who: yard, do: restore}
  - expect: {eventually: 5m, sql: "SELECT count(*) FROM device_images WHERE status = 'complete'", equals: COUNT}
drain: {wakes: 0}
"""


class Desk:
    """Boards that run meanwhile, what their inventory says, and a run with them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self._stack = stack
        self._entries: dict[str, dict[str, Any]] = {}
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            STATE_VARIABLE: str(folder / "state"),
            FOLDER_VARIABLE: str(folder / "locks"),
        }

    def add(self, name: str, port: tuple[str, ...], power: Mapping[str, object]) -> None:
        """A board in a process of its own."""
        words = ("--mac", MACS[name], "--control", str(self.control(name)), *port)
        board = self._stack.enter_context(running_board(*words))
        match = {"port": board.port, "mac": MACS[name]}
        self._entries[name] = {"kind": "board", "match": match, "power": power}

    def control(self, name: str) -> Path:
        return self.folder / f"{name}.ctl"

    def told(self, name: str) -> list[str]:
        """What the switch was told, without what is the same twice on end."""
        lines = (self.folder / f"{name}.told").read_text().splitlines()
        return [line for line, before in zip(lines, ["", *lines], strict=False) if line != before]

    def run(self, firmware: str) -> list[dict[str, Any]]:
        """The records of its history; it must pass."""
        (self.folder / "boards.yaml").write_text(json.dumps({"version": 1, "boards": self._entries}))
        (self.folder / "scenario.yaml").write_text(POWER_LOSS.replace("COUNT", str(len(self._entries))))
        boards = ",".join(f"board:{name}" for name in self._entries)
        words = ["run", "scenario.yaml", "--dut", boards, "--firmware", firmware, "--out", "runs"]
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "harness.cli", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        history = (self.folder / "runs" / "latest" / "history.jsonl").read_text()
        return [json.loads(line) for line in history.splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path, stack)


@contextmanager
def tasmota(desk: Desk, name: str) -> Iterator[str]:
    """The address of a plug in a process of its own."""
    words = [sys.executable, "-I", "-c", TASMOTA, str(desk.control(name)), str(desk.folder / f"{name}.told")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def install_uhubctl(desk: Desk, name: str) -> None:
    """A program of that name, first in PATH."""
    text = UHUBCTL.replace("CONTROL", str(desk.control(name))).replace("TOLD", str(desk.folder / f"{name}.told"))
    program = desk.programs / "uhubctl"
    program.write_text(f"#!{sys.executable} -I\n{text}")
    program.chmod(0o755)


def after_chunk_0(desk: Desk, name: str) -> str:
    """What its console has after the chunk before the loss of power."""
    (log,) = (path for path in (desk.folder / "runs" / "latest" / "consoles").rglob("*.log") if name in path.name)
    _, found, rest = log.read_text().partition("sent chunk image=image_1.jpg index=0")
    assert found
    return rest


def test_a_plug_and_a_hub_take_the_power_of_two_boards_in_one_run(desk: Desk) -> None:
    with tasmota(desk, "plug") as url:
        desk.add("plug", ("--pty", str(desk.folder / "tty1")), {"type": "tasmota", "url": url, "off_for": "100ms"})
        desk.add(
            "hub",
            ("--pty", str(desk.folder / "tty2")),
            {"type": "uhubctl", "hub": "1-1", "socket": 2, "off_for": "100ms"},
        )
        install_uhubctl(desk, "hub")
        records = desk.run("3.5.0")
    assert desk.told("plug") == ["Power1 On", "Power1 Off", "Power1 On"]
    assert desk.told("hub") == ["-l 1-1 -p 2 -a on", "-l 1-1 -p 2 -a off", "-l 1-1 -p 2 -a on"]
    struck = [record["who"] for record in records if record.get("action") == "power_loss"]
    assert sorted(struck) == ["yard[0]", "yard[1]"]
    assert "rst:0x1 (POWERON)" in after_chunk_0(desk, "yard[0]")
    assert "tty2 went away" in (seen := after_chunk_0(desk, "yard[1]")) and "tty2 is there again" in seen


@pytest.mark.night
def test_rts_holds_a_board_in_reset(desk: Desk) -> None:
    """esptool needs half a minute for each command over RFC 2217; only there a virtual board has lines."""
    desk.add("lines", ("--rfc2217", "0"), {"type": "lines", "off_for": "100ms"})
    built = build(Order(), desk.folder / "build")
    records = desk.run(str(built.folder))
    assert [record["who"] for record in records if record.get("action") == "power_loss"] == ["yard[0]"]
    assert "rst:0x1 (POWERON)" in after_chunk_0(desk, "yard[0]")
