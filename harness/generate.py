"""Writes every generated file of the repository: `python -m harness.generate` (make generate). CI allows no change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from harness.bench.postgres import OWNER, ephemeral_cluster, run_blocking
from harness.bench.template import ensure_template

ROOT: Final = Path(__file__).parent.parent

WRITERS: Final = (
    "harness.scenario_schema",
    "harness.scenario_reference",
    "harness.fault_table",
    "harness.report.schema",
    "harness.dut.inventory_schema",
    "simulator.device_diagram",
    "server.state_diagram",
    "server.dialect_table",
)
"""Modules that write their own file."""

PRINTERS: Final = {"harness.cli_reference": "docs/cli.md", "server.migrations.describe": "docs/schema.md"}
"""Modules that print, and where it goes; the last one gets a migrated database as its argument."""


def main() -> None:
    """Runs all generators from the project's root."""
    for module in WRITERS:
        _ran(module)
    with ephemeral_cluster({}) as cluster:

        async def prepare() -> None:
            await cluster.create_database("described", await ensure_template(cluster))
            async with cluster.admin("described") as connection:
                await connection.execute("DROP SCHEMA scenario CASCADE")  # the bench's own, no part of the product

        run_blocking(prepare())
        for module, page in PRINTERS.items():
            needs_database = module.startswith("server.")
            text = _ran(module, *([cluster.dsn("described", OWNER)] if needs_database else []))
            (ROOT / page).write_text(text, encoding="utf-8")


def _ran(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
