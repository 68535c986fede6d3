"""docs/oracles.md: each test that it names is there, each tool has the version that the tests run."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "oracles.md").read_text(encoding="utf-8")
PINS = {
    "esptool 5": "constraints.txt",
    "espefuse 5": "constraints.txt",
    "esptool 4": "tests/oracles/esptool-4.txt",
    "pytest-embedded": "tests/oracles/embedded.txt",
    "esp-idf-defs": "constraints.txt",
    "idftool": "tests/oracles/embedded.txt",
}
OF_PACKAGE = {"espefuse": "esptool"}


def rows() -> list[list[str]]:
    """The cells of the first table."""
    table = PAGE.split("## Tried by hand")[0]
    found = re.findall(r"^\| (.*) \|$", table, re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in found if not row.startswith(("tool |", "---"))]


def test_each_test_that_is_named_is_there() -> None:
    assert len(rows()) >= 12
    for row in rows():
        place, _, name = row[-1].strip("`").partition("::")
        assert f"\ndef {name}(" in (ROOT / place).read_text(encoding="utf-8"), row[-1]


def test_each_tool_has_the_version_that_runs() -> None:
    for row in rows():
        tool, version = row[0].split(" ")
        (pins,) = (file for start, file in PINS.items() if f"{tool} {version}".startswith(start))
        lines = (ROOT / pins).read_text(encoding="utf-8").splitlines()
        assert f"{OF_PACKAGE.get(tool, tool)}=={version}" in lines, row[0]


def test_every_oracle_of_the_suite_is_on_the_page() -> None:
    text = (ROOT / "tests/boards/test_oracles.py").read_text(encoding="utf-8")
    stays_out = "test_pytest_embedded_stays_out_of_this_environment"
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    for name in (name for name in names if name.startswith("test_")):
        assert name == stays_out or f"::{name}`" in PAGE, name
