"""docs/scenario-reference.md: every key of the scenario language, from the models' own descriptions.

`python -m harness.scenario_reference` writes it, `--check` says whether the written one is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from harness.checks import ALL, CATALOGUE
from harness.scenario_examples import STEPS
from harness.scenario_introduction import INTRODUCTION
from harness.scenario_keys import kind_of, yaml_word
from harness.scenario_schema import ROOT, scenario_schema, write_or_check
from harness.scenario_steps import STEP_MODELS
from harness.tables import TABLES
from simulator.profile import BASES, MISBEHAVIOURS

REFERENCE_PATH: Final = ROOT / "docs" / "scenario-reference.md"

_PARTS: Final = (
    ("The file", None),
    ("Devices", ("DeviceGroup", "WakeSchedule", "ImageSpec", "Traits")),
    ("Faults", ("Fault", "FaultAction")),
    ("Faults of messages", ("PowerLoss", "Cut", "Lose", "Duplicate", "Reorder", "Corrupt", "Delay")),
    (
        "Faults of the line",
        (
            "Latency",
            "Bandwidth",
            "Slicer",
            "CutAfter",
            "Truncate",
            "HalfOpen",
            "Rst",
            "SlowClose",
            "Blackhole",
            "OneWayLoss",
            "PacketLoss",
            "CorruptBytes",
        ),
    ),
    (
        "Faults of the device",
        (
            "Crash",
            "Brownout",
            "Reset",
            "CardLoss",
            "CardFull",
            "BatteryDeath",
            "WakeEarly",
            "WakeLate",
            "WakeSkip",
            "Twin",
            "ClockSkew",
            "ClockDrift",
            "CounterReset",
        ),
    ),
    (
        "Expectations",
        (
            "Expectation",
            "RowsExpectation",
            "MessageExpectation",
            "LogExpectation",
            "LedgerExpectation",
            "QueueExpectation",
            "PhotosExpectation",
            "HttpRequest",
            "CountRange",
        ),
    ),
    (
        "Payloads of other steps",
        (
            "Given",
            "Send",
            "ServerAction",
            "BrokerAction",
            "DatabaseAction",
            "Call",
            "Upload",
            "Migration",
            "Power",
            "Flash",
            "Console",
        ),
    ),
    ("The end", ("Drain", "Waiver")),
)


def rendered() -> str:
    """The page; the same at every call."""
    schema = scenario_schema()
    definitions = schema["definitions"]
    lines = [INTRODUCTION]
    for title, models in _PARTS:
        lines.append(f"## {title}\n")
        for name in models or ():
            lines += _model(definitions[name], name)
        if models is None:
            lines += _table(schema)
    lines.append("## Steps\n\nEvery step may have a `note`.\n")
    for kind, model in STEP_MODELS.items():
        lines += _step(kind, definitions[model.__name__])
    lines += ["## Profiles\n", "| profile | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {profile.summary} |" for name, profile in BASES.items()]
    lines += ["", "Any number of these may follow, as in `esp32s3-cam@3.5.0+metadata-storm`:\n"]
    lines += ["| misbehaviour | what it does |", "|---|---|"]
    lines += [f"| `+{word}` | {summary} |" for word, (summary, _) in MISBEHAVIOURS.items()]
    lines += ["", "## Checks\n", "`all` is every one of these:\n", "| check | what holds |", "|---|---|"]
    lines += [f"| `{name}` | {CATALOGUE[name]} |" for name in ALL]
    lines += ["", "## Tables\n", ", ".join(f"`{table}`" for table in TABLES) + ". Their columns: `docs/schema.md`."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the page, or with `--check` compares it."""
    return write_or_check(REFERENCE_PATH, rendered(), arguments)


def _step(kind: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {kind}\n"
    yield schema["description"] + "\n"
    rest = {name: part for name, part in schema["properties"].items() if name != "note"}
    yield from _table({**schema, "properties": rest})
    yield f"```yaml\n{STEPS[kind]}```\n"


def _model(schema: dict[str, Any], name: str) -> Iterator[str]:
    yield f'<a id="{name.lower()}"></a>\n### {name}\n'
    yield schema["description"] + "\n"
    if schema.get("properties"):
        yield from _table(schema)


def _table(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for key, part in schema["properties"].items():
        default = "required" if key in required else f"`{yaml_word(part['default'])}`" if "default" in part else ""
        meaning = part.get("description", "").replace("|", "\\|")
        yield f"| `{key}` | {kind_of(part, markdown=True)} | {default} | {meaning} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
