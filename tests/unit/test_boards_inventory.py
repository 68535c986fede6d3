"""`boards.yaml`: every mistake with its line, boards found on their ports, and a merge that keeps what people wrote."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli import exit_code_of
from harness.dut.finding import BoardNotFound, SystemPort, matches, port_of, ports_of
from harness.dut.inventory import Inventory, inventory_of
from harness.dut.inventory_schema import SCHEMA_PATH, inventory_schema, rendered
from harness.dut.scanning import Sighting, merged, sightings
from harness.errors import ScenarioError, UsageError
from harness.yaml_reader import read_yaml

GOOD = """\
# the shelf
version: 1
boards:
  # the one by the window
  yard-1:
    kind: board
    match: {mac: "7C:DF:A1:E0:B0:C5", usb_path: 1-1.2}
    console: {baud: 115200}
    power: {type: uhubctl, hub: 1-1, socket: 2, off_for: 2s}
    provision: {nvs: {device_id: B8F862000001, broker_port: 1883}, also: {app: {mode: 1}}}
  bench: {kind: virtual, match: {port: "socket://127.0.0.1:4000"}}
  model: {kind: simulated, enabled: false}
"""

BRIDGE = SystemPort(device="/dev/ttyUSB0", vid_pid="10C4:EA60", serial_number="0001", usb_path="1-1.2")
TWIN = SystemPort(device="/dev/ttyUSB1", vid_pid="10C4:EA60", serial_number="0001", usb_path="1-1.3")
NATIVE = SystemPort(device="/dev/ttyACM0", vid_pid="303A:1001", serial_number="7C:DF:A1:E0:B0:C5", usb_path="1-2:1.0")
OLD = SystemPort(device="/dev/ttyS0")


def inventory(text: str = GOOD) -> Inventory:
    return inventory_of(text.encode(), "boards.yaml")


def refused(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        inventory(text)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_a_good_file_is_read() -> None:
    found = inventory()
    assert list(found.boards) == ["yard-1", "bench", "model"]
    assert found.boards["yard-1"].power.off_for == 2_000
    assert found.boards["yard-1"].provision.nvs == {"device_id": "B8F862000001", "broker_port": 1883}
    assert found.boards["yard-1"].provision.also == {"app": {"mode": 1}}
    assert found.boards["bench"].flash.attempts == 3


def test_every_mistake_has_its_line_and_a_hint() -> None:
    text = """\
version: 1
boards:
  yard-1:
    kind: bord
    match: {mack: x}
    power: {type: uhubctl, hub: 1-1}
    provision: {nvs: {brokr_host: x}}
    enabld: true
  Yard: {kind: board}
  a: {kind: virtual, power: {type: none, url: "http://x"}, provision: {nvs: {broker_port: 70000}}}
"""
    assert refused(text) == [
        "boards.yaml:4: boards.yard-1.kind: 'bord' is not known (did you mean board?)",
        "boards.yaml:5: boards.yard-1.match.mack: unknown key 'mack' (did you mean mac?)",
        "boards.yaml:6: boards.yard-1.power: type uhubctl needs socket",
        "boards.yaml:7: boards.yard-1.provision.nvs: no key is called 'brokr_host' (did you mean broker_host?)",
        "boards.yaml:8: boards.yard-1.enabld: unknown key 'enabld' (did you mean enabled?)",
        "boards.yaml:9: boards.Yard: 'Yard' is not written rightly (pattern ^[a-z0-9][a-z0-9_-]{0,39}$)",
        "boards.yaml:9: boards.Yard: a board is found by match (such as match: {serial_number: 0001})",
        "boards.yaml:10: boards.a.power: type none has no url",
        "boards.yaml:10: boards.a.provision.nvs: broker_port is a number from 0 to 65535",
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{kind: simulated, match: {port: /dev/x}}", "has neither port nor NVS"),
        ("{kind: virtual, match: {}}", "names nothing"),
        ("{kind: virtual, power: {type: tasmota}}", "type tasmota needs url"),
        ("{kind: virtual, power: {type: lines, off_for: 500}}", "has no unit"),
        ("{kind: virtual, provision: {nvs: {device_id: 5}}}", "device_id is text"),
        ("{kind: virtual, provision: {also: {name_of_16_chars: {a: 1}}}}", "is not written rightly"),
        ("{kind: virtual, chip: esp32}", "'esp32' is not known"),
        ("{kind: virtual, match: {mac: 12:34:56:12:34:56}}", "is a number to some readers"),
    ],
)
def test_what_makes_no_sense_is_refused(entry: str, reason: str) -> None:
    (mistake,) = refused(f"version: 1\nboards:\n  cam: {entry}\n")
    assert mistake.startswith("boards.yaml:3: boards.cam") and reason in mistake


def test_two_boards_that_could_never_be_told_apart_are_refused() -> None:
    text = 'version: 1\nboards:\n  a: {kind: virtual, match: {port: /x}}\n  b: {kind: virtual, match: {port: "/x"}}\n'
    assert refused(text) == ["boards.yaml:4: boards.b.match: is that of a too (add what tells them apart)"]


def test_boards_are_found_by_all_that_is_said_of_them() -> None:
    found = inventory()
    yard, bench = found.boards["yard-1"], found.boards["bench"]
    assert port_of("yard-1", yard, [OLD, BRIDGE, TWIN]) == "/dev/ttyUSB0"
    assert port_of("bench", bench, []) == "socket://127.0.0.1:4000"
    assert ports_of(found, [TWIN]) == {"bench": "socket://127.0.0.1:4000"}


@pytest.mark.parametrize(
    ("match", "ports", "told"),
    [
        ("serial_number: '0001'", [BRIDGE, TWIN], "any of /dev/ttyUSB0, /dev/ttyUSB1"),
        ("mac: '7CDFA1E0B0C6'", [BRIDGE], "behind a UART bridge a MAC is not seen"),
        ("mac: '7CDFA1E0B0C6'", [NATIVE], "there are /dev/ttyACM0 (ESP32-S3 native USB)"),
        ("vid_pid: '1A86:7523'", [], "no serial port is there at all"),
        ("port: /dev/ttyUSB7", [BRIDGE], "there are /dev/ttyUSB0 (CP210x bridge)"),
    ],
)
def test_a_board_that_is_not_found_says_why(match: str, ports: list[SystemPort], told: str) -> None:
    entry = inventory(f"version: 1\nboards:\n  cam: {{kind: board, match: {{{match}}}}}\n").boards["cam"]
    with pytest.raises(BoardNotFound, match=r"cam (is on no port|could be)") as caught:
        port_of("cam", entry, ports)
    assert told in str(caught.value)


def test_a_mac_counts_where_it_can_be_seen() -> None:
    match = inventory().boards["yard-1"].match
    assert match is not None
    assert matches(match, BRIDGE)  # by its path; esptool checks the MAC
    other = SystemPort(device="/dev/ttyACM1", vid_pid="303A:1001", serial_number="000000000000", usb_path="1-1.2")
    assert not matches(match, other)


def test_a_link_to_a_device_is_that_device(tmp_path: Path) -> None:
    (tmp_path / "device").touch()
    (tmp_path / "link").symlink_to(tmp_path / "device")
    text = f"version: 1\nboards:\n  cam: {{kind: board, match: {{port: {tmp_path}/link}}}}\n"
    entry = inventory(text).boards["cam"]
    assert port_of("cam", entry, [SystemPort(device=f"{tmp_path}/device")]) == f"{tmp_path}/device"
    assert port_of("cam", entry, []) == f"{tmp_path}/link"


def test_a_merge_adds_strangers_and_keeps_every_line() -> None:
    found = sightings(inventory(), [BRIDGE, TWIN, NATIVE, OLD])
    assert [sighting.board_id for sighting in found] == ["yard-1", None, None, None]
    text, added = merged(GOOD, found, "boards.yaml")
    assert added == ["board-0001", "board-b0c5"]
    assert text.startswith(GOOD)
    boards = inventory(text).boards
    assert not boards["board-0001"].enabled
    assert port_of("board-0001", boards["board-0001"], [BRIDGE, TWIN]) == "/dev/ttyUSB1"
    assert port_of("board-b0c5", boards["board-b0c5"], [BRIDGE, NATIVE]) == "/dev/ttyACM0"
    again, nothing = merged(text, sightings(inventory(text), [BRIDGE, TWIN, NATIVE, OLD]), "boards.yaml")
    assert (again, nothing) == (text, [])


def test_a_merge_into_nothing_makes_a_file() -> None:
    empty, added = merged("", [Sighting(OLD, None)], "boards.yaml")  # nothing on USB
    assert (added, inventory(empty).boards) == ([], {})
    for before in ("", empty):
        text, added = merged(before, [Sighting(TWIN, None)], "boards.yaml")
        assert added == list(inventory(text).boards) != []


def test_a_missing_file_is_made_by_what_its_error_advises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.dut.finding.system_ports", lambda: [OLD])
    file = ["--boards", str(tmp_path / "boards.yaml")]
    assert exit_code_of(["boards", "ls", *file]) == 64
    assert "scan --merge` makes one" in capsys.readouterr().err
    assert exit_code_of(["boards", "scan", "--merge", *file]) == 0
    assert "made, without boards" in capsys.readouterr().err
    assert exit_code_of(["boards", "ls", *file]) == 0
    assert "no boards yet" in capsys.readouterr().err


@given(
    indent=st.integers(1, 6),
    comments=st.lists(st.sampled_from(["# one", "", "    # two", "#three"]), max_size=3),
    tail=st.sampled_from(["", "# end", "\n# end\n"]),
    boards=st.integers(0, 3),
)
def test_a_merge_never_breaks_a_file(indent: int, comments: list[str], tail: str, boards: int) -> None:
    lines = [f"{' ' * indent}b{number}: {{kind: virtual}}" for number in range(boards)]
    body = "\n".join([*comments, *lines])
    text = f"version: 1\nboards:{'' if boards else ' {}'}\n{body}\n{tail}"
    result, added = merged(text, [Sighting(TWIN, None), Sighting(NATIVE, None)], "boards.yaml")
    assert len(added) == 2
    assert list(inventory(result).boards) == [f"b{number}" for number in range(boards)] + added
    assert [line for line in text.replace(" {}", "").splitlines() if line not in result.splitlines()] == []


def test_a_file_on_one_line_is_not_mangled() -> None:
    with pytest.raises(UsageError, match="does not stand on a line of its own"):
        merged("{version: 1, boards: {a: {kind: virtual}}}\n", [Sighting(TWIN, None)], "boards.yaml")


def test_the_schema_is_current_and_takes_the_good_file() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == rendered()
    jsonschema.validate(read_yaml(GOOD.encode(), "boards.yaml").value, inventory_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "boards": {"a": {"kind": "bord"}}}, inventory_schema())
    assert json.loads(rendered())["$defs"]["PowerEntry"]["properties"]["off_for"]["default"] == "500ms"
