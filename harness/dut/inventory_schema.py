"""The JSON Schema that editors complete `boards.yaml` from; `python -m harness.dut.inventory_schema` writes it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from harness.dut.inventory import Inventory
from harness.scenario_schema import ROOT, write_or_check
from harness.units import DURATION_PATTERN, format_duration

SCHEMA_PATH: Final = ROOT / "docs" / "boards.schema.json"


def inventory_schema() -> dict[str, Any]:
    """The schema as plain JSON values."""
    schema = Inventory.model_json_schema()
    for definition in schema["$defs"].values():
        for field in definition.get("properties", {}).values():
            if field.get("pattern") == DURATION_PATTERN and "default" in field:
                field["default"] = format_duration(field["default"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "boards.yaml"}


def rendered() -> str:
    """The file's text; the same at every call."""
    return json.dumps(inventory_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    sys.exit(write_or_check(SCHEMA_PATH, rendered(), arguments))
