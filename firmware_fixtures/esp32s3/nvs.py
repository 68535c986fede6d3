"""NVS images by Espressif's esp-idf-nvs-partition-gen, run as a program."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

NAMESPACE: Final = "wakestorm"
KEY_CHARS_MAX: Final = 15
PARTITION_BYTES: Final = 0x6000
PAGE_BYTES: Final = 0x1000
PAGES_MIN: Final = 3

Value = str | int | bool | bytes


class NvsRefused(Exception):
    """The generator can not make this partition; the text is what it said."""


def nvs_csv(
    values: Mapping[str, Value],
    *,
    types: Mapping[str, str] | None = None,
    also: Mapping[str, Mapping[str, Value]] | None = None,
) -> str:
    """The generator's CSV: `values` in our namespace, `also` in others.

    Numbers are u32 (below 0 i32) unless `types` names another encoding for a key of ours; true and false are u8.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("key", "type", "encoding", "value"))
    ours = {NAMESPACE: values} if values else {}
    for namespace, entries in {**ours, **(also or {})}.items():
        writer.writerow((namespace, "namespace", "", ""))
        for key, value in entries.items():
            if not 1 <= len(key) <= KEY_CHARS_MAX:
                raise NvsRefused(f"key {key!r} has {len(key)} characters, NVS has room for 1 to {KEY_CHARS_MAX}")
            encoding, shown = _encoded(value)
            named = (types or {}).get(key) if namespace == NAMESPACE else None
            writer.writerow((key, "data", named or encoding, shown))
    return text.getvalue()


def nvs_image(
    values: Mapping[str, Value],
    *,
    size_bytes: int = PARTITION_BYTES,
    types: Mapping[str, str] | None = None,
    also: Mapping[str, Mapping[str, Value]] | None = None,
) -> bytes:
    """A whole NVS partition with these values. Raises NvsRefused when they don't fit or are not allowed."""
    if size_bytes % PAGE_BYTES or size_bytes < PAGES_MIN * PAGE_BYTES:
        raise NvsRefused(f"{size_bytes} bytes: NVS takes at least {PAGES_MIN} whole pages of {PAGE_BYTES}")
    with TemporaryDirectory(prefix="wakestorm-nvs-") as folder:
        source, image = Path(folder, "values.csv"), Path(folder, "nvs.bin")
        source.write_text(nvs_csv(values, types=types, also=also), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "esp_idf_nvs_partition_gen",
            "generate",
            str(source),
            str(image),
            hex(size_bytes),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if ended.returncode or not image.is_file():
            raise NvsRefused(_reason(ended.stderr + ended.stdout, ended.returncode, size_bytes))
        return image.read_bytes()


def _reason(said: str, code: int, size_bytes: int) -> str:
    if "InsufficientSizeError" in said:
        return f"the values do not fit into {size_bytes} bytes"
    errors = [line.strip() for line in said.splitlines() if line.startswith("ERROR:") or "Error: " in line]
    return errors[0].removeprefix("ERROR:").strip() if errors else f"the generator ended with code {code}"


def _encoded(value: Value) -> tuple[str, str]:
    if isinstance(value, bool):
        return "u8", str(int(value))
    if isinstance(value, int):
        return ("i32" if value < 0 else "u32"), str(value)
    if isinstance(value, bytes):
        return "hex2bin", value.hex()
    return "string", value
