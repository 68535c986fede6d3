"""The NVS reader against Espressif's own generator."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

from firmware_fixtures.esp32s3.damage import full_nvs, nvs_without_a_free_page
from firmware_fixtures.esp32s3.nvs import nvs_image
from simulator.board.nvs import NO_FREE_PAGES, NOT_ENOUGH_SPACE, PAGE_BYTES, crc, read_nvs, want_of_room

CSV = """key,type,encoding,value
cam,namespace,,
small,data,u8,200
minus,data,i8,-3
port,data,u16,65535
cold,data,i16,-300
count,data,u32,4000000000
below,data,i32,-70000
large,data,u64,18446744073709551615
debt,data,i64,-5000000000
text,data,string,"a line, with ""quotes"" and ümlauts"
blob,data,hex2bin,00112233c0dbff
wifi,namespace,,
text,data,string,another namespace
{bulk}"""


def generated(tmp_path: Path, size: str = "0x10000") -> bytes:
    source, target = tmp_path / "in.csv", tmp_path / "out.bin"
    bulk = "".join(f"fill{number},data,string,{'x' * 200}{number}\n" for number in range(60))
    long = "ab" * 9_000
    source.write_text(CSV.format(bulk=f"{bulk}long,data,hex2bin,{long}\n"), encoding="utf-8")
    module = "esp_idf_nvs_partition_gen"
    subprocess.run([sys.executable, "-m", module, "generate", source, target, size], check=True, capture_output=True)
    return target.read_bytes()


def test_every_type_and_more_than_one_page(tmp_path: Path) -> None:
    found = read_nvs(generated(tmp_path))
    assert found["cam"] == {
        "small": 200,
        "minus": -3,
        "port": 65_535,
        "cold": -300,
        "count": 4_000_000_000,
        "below": -70_000,
        "large": 2**64 - 1,
        "debt": -5_000_000_000,
        "text": 'a line, with "quotes" and ümlauts',
        "blob": bytes.fromhex("00112233c0dbff"),
    }
    assert found["wifi"]["text"] == "another namespace"
    assert found["wifi"]["fill59"] == "x" * 200 + "59"
    assert found["wifi"]["long"] == b"\xab" * 9_000


def test_what_is_damaged_is_passed_over(tmp_path: Path) -> None:
    raw = bytearray(generated(tmp_path))
    place = raw.index("ümlauts".encode())
    raw[place] ^= 1
    found = read_nvs(bytes(raw))
    assert "text" not in found["cam"] and found["cam"]["small"] == 200
    raw[20] ^= 1
    assert "small" not in read_nvs(bytes(raw)).get("cam", {})


def test_data_that_looks_like_an_entry_is_data(tmp_path: Path) -> None:
    body = b"small".ljust(16, b"\0") + b"\x07".ljust(8, b"\xff")
    head = b"\x01\x01\x01\xff"
    forged = head + struct.pack("<I", crc(head + body)) + body
    source, target = tmp_path / "in.csv", tmp_path / "out.bin"
    rows = ["key,type,encoding,value", "cam,namespace,,", "small,data,u8,200", f"blob,data,hex2bin,{forged.hex()}"]
    source.write_text("\n".join(rows) + "\n", encoding="utf-8")
    module = "esp_idf_nvs_partition_gen"
    subprocess.run(
        [sys.executable, "-m", module, "generate", source, target, "0x3000"], check=True, capture_output=True
    )
    assert read_nvs(target.read_bytes()) == {"cam": {"small": 200, "blob": forged}}


def test_blank_and_short() -> None:
    assert read_nvs(b"\xff" * 2 * PAGE_BYTES) == {}
    assert read_nvs(b"") == {}


def test_room_for_one_more_value() -> None:
    """In the words of the library, which keeps one page free for its clean-up."""
    values = {"device_id": "B8F862000001"}
    assert want_of_room(b"\xff" * 0x6000) is None
    assert want_of_room(nvs_image(values)) is None
    full = full_nvs(values)
    assert want_of_room(full) == NOT_ENOUGH_SPACE
    freed = bytearray(full)
    freed[PAGE_BYTES + 32] &= 0b11111100
    assert want_of_room(bytes(freed)) is None
    assert want_of_room(nvs_without_a_free_page(values)) == NO_FREE_PAGES
