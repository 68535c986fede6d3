"""Judges that know nothing of this project: espefuse, esptool 4.8, pytest-embedded, idftool; the last three apart.

`make test` makes their environments (tests/oracles). pytest-embedded must stay out of this one: it changes every test.
"""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.board_images import NVS, firmware_folder, nvs, table
from tests.support.virtual_board import QUIET, ROOT, RunningBoard, esptool, running_board

ENVIRONMENTS: Final = ROOT / ".venv" / "oracles"
DATA: Final = bytes(range(256)) * 32


def oracle(name: str) -> str:
    """The Python of an environment; skips where there is none."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no {python.relative_to(ROOT)}: `make test` makes it from tests/oracles/{name}.txt")
    return str(python)


def run(*command: str, folder: Path) -> str:
    """What a program says; it must end well."""
    done = subprocess.run(
        command, cwd=folder, env=QUIET | {"HOME": str(folder)}, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def board(tmp_path: Path) -> Iterator[RunningBoard]:
    with running_board("--pty", str(tmp_path / "cam"), "--mac", "7cdfa1000042") as started:
        yield started


def test_pytest_embedded_stays_out_of_this_environment() -> None:
    assert importlib.util.find_spec("pytest_embedded") is None


@pytest.mark.slow
@pytest.mark.parametrize("loader", [(), ("--no-stub",)], ids=["stub", "rom"])
def test_esptool_4(board: RunningBoard, loader: tuple[str, ...], tmp_path: Path) -> None:
    python = oracle("esptool-4")
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)

    def old(*arguments: str) -> str:
        result = esptool(board.port, *loader, *arguments, python=python)
        assert result.code == 0, result.output
        return result.output

    assert "v4.8.1" in (told := old("flash_id")) and "7c:df:a1:00:00:42" in told
    assert "Hash of data verified" in old("write_flash", "0x1000", str(file))
    assert "verify OK" in old("verify_flash", "0x1000", str(file))
    if not loader:
        old("erase_region", "0x1000", "0x1000")
    old("read_flash", "0x1000", "0x2000", str(tmp_path / "read.bin"))
    expected = DATA if loader else b"\xff" * 0x1000 + DATA[0x1000:]
    assert (tmp_path / "read.bin").read_bytes() == expected
    if not loader:
        old("erase_flash")


@pytest.mark.slow
def test_esptool_4_over_tcp(tmp_path: Path) -> None:
    python = oracle("esptool-4")
    file = tmp_path / "data.bin"
    file.write_bytes(DATA)
    with running_board("--tcp", "0") as board:
        result = esptool(board.port, "write_flash", "0x1000", str(file), python=python)
    assert result.code == 0 and "Hash of data verified" in result.output, result.output


def test_espefuse(board: RunningBoard, tmp_path: Path) -> None:
    """The summary, a burn that it reads back and verifies, and a key; esptool is told of both."""
    summary = esptool(board.port, "summary", module="espefuse")
    assert summary.code == 0, summary.output
    for words in ("MAC (BLOCK1)", "7c:df:a1:00:00:42 (OK)", "PSRAM_CAP (BLOCK1)", "= 8M R/W"):
        assert words in summary.output
    burned = esptool(board.port, "--do-not-confirm", "burn-custom-mac", "00:11:22:33:44:55", module="espefuse")
    assert burned.code == 0 and "BURN BLOCK3  - OK (write block == read block)" in burned.output, burned.output
    (tmp_path / "key.bin").write_bytes(bytes(range(32)))
    words = ("burn-key", "BLOCK_KEY1", str(tmp_path / "key.bin"), "XTS_AES_128_KEY")
    locked = esptool(board.port, "--do-not-confirm", *words, "burn-efuse", "SPI_BOOT_CRYPT_CNT", "1", module="espefuse")
    assert locked.code == 0, locked.output
    told = esptool(board.port, "--no-stub", "get-security-info")
    assert told.code == 0 and "BLOCK_KEY1 - XTS_AES_128_KEY" in told.output, told.output
    assert "Flash Encryption: Enabled" in told.output and "Secure Boot: Disabled" in told.output


EMBEDDED_TEST = """
def test_boots_what_was_flashed(dut):
    dut.expect_exact("Loaded app from partition at offset 0x20000", timeout=60)
    match = dut.expect(r"cam: ready project=(\\S+) version=(\\S+) .*device=(\\w+)", timeout=60)
    assert match.groups() == (b"esp32s3-cam", b"3.5.0", b"B8F800000042")
    dut.expect(r"cam: wake \\d+", timeout=60)
    dut.write("status")
    dut.expect(r"cam: status state=\\w+ wakes=\\d+", timeout=60)
"""


@pytest.mark.slow
def test_pytest_embedded(board: RunningBoard, tmp_path: Path) -> None:
    """Espressif's own test framework flashes the board, resets it, reads its console and types on it."""
    python = oracle("embedded")
    folder = firmware_folder(tmp_path / "build", {"device_id": "B8F800000042"})
    (tmp_path / "test_board.py").write_text(EMBEDDED_TEST, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    services = ("--embedded-services", "esp,idf", "--target", "esp32s3", "--port", board.port)
    where = ("--app-path", str(folder), "--build-dir", ".", "test_board.py")
    assert "1 passed" in run(python, "-m", "pytest", "-q", *services, *where, folder=tmp_path)


@pytest.mark.slow
def test_idftool_reads_table_and_settings(board: RunningBoard, tmp_path: Path) -> None:
    python = oracle("embedded")
    parts = {
        0x8000: table([("nvs", 1, 2, NVS, 0x6000), ("app", 0, 0, 0x20000, 0x40000)]),
        NVS: nvs({"device_id": "cam-7"}),
    }
    files = []
    for offset, data in parts.items():
        (tmp_path / f"{offset:x}.bin").write_bytes(data)
        files += [hex(offset), str(tmp_path / f"{offset:x}.bin")]
    assert esptool(board.port, "write-flash", *files).code == 0
    said = run(
        str(Path(python).with_name("idftool")),
        "-p",
        board.port,
        "get-nvs",
        "nvs",
        "wakestorm:device_id",
        folder=tmp_path,
    )
    assert "\ncam-7" in said or said.startswith("cam-7")
    assert "| nvs" in said and "0x9000" in said
