"""The words that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class BenchChoice(StrEnum):
    """Where scenarios run."""

    embedded = "embedded"
    processes = "processes"


class RunBenchChoice(StrEnum):
    """Where scenarios run; external is somebody else's server."""

    embedded = "embedded"
    processes = "processes"
    external = "external"


RunBench = Annotated[
    RunBenchChoice | None,
    typer.Option(
        help="embedded: virtual time; processes: real server, broker and sockets; external: your own server, named by "
        "--target. Default: embedded, but processes where --dut names boards, external with --target."
    ),
]

TargetFile = Annotated[
    Path | None,
    typer.Option(
        "--target",
        metavar="FILE",
        help="With --bench external: where your server is (docs/external.md).",
    ),
]


class BrokerChoice(StrEnum):
    """Which broker the processes bench starts."""

    iotcore = "iotcore"
    mosquitto = "mosquitto"


class LinkChoice(StrEnum):
    """How simulated cameras speak MQTT."""

    paho = "paho"
    raw = "raw"


BoardsFile = Annotated[
    Path,
    typer.Option(
        "--boards", metavar="FILE", envvar="WAKESTORM_BOARDS", show_envvar=True, help="The inventory of boards."
    ),
]

NoTarget = Annotated[Path | None, typer.Option("--target", metavar="FILE", hidden=True)]
"""Of commands that can not play before a target: taken so that they can say why, and what does."""
