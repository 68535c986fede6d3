"""The scenario language: one YAML file asks one question. These models are its only definition.

Read in this order: scenario_types (scalars), scenario_devices, scenario_faults, scenario_expect, scenario_steps, then
this file. The JSON Schema and the reference page are generated from the models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag

from harness.scenario_acts import BrokerStep, DatabaseStep, ServerStep, StoreStep
from harness.scenario_board_steps import ConsoleStep, FlashStep
from harness.scenario_devices import DeviceGroup
from harness.scenario_migration import HEAD, Revision
from harness.scenario_steps import (
    STEP_MODELS,
    AdvanceStep,
    CallStep,
    ExpectStep,
    GivenStep,
    HookStep,
    HttpStep,
    MigrateStep,
    OfflineStep,
    PowerStep,
    SendStep,
    UploadStep,
    WakeStep,
)
from harness.scenario_types import Duration, GroupName, Instant, Scalar, Step, StrictModel, WhoField

START_DEFAULT: Final = datetime(2026, 1, 5, tzinfo=UTC)
REQUIREMENT_PATTERN: Final = r"^[a-z0-9][a-z0-9._/-]{0,79}$"
TAG_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"
LABEL_PATTERN: Final = r"^[a-z_][a-z0-9_]{0,31}$"


def step_kind(value: object) -> str | None:
    """The tag of a step: `<wake>` for a mapping whose one kind is wake, None if it has none or several."""
    if isinstance(value, Step):
        return next(f"<{kind}>" for kind, model in STEP_MODELS.items() if isinstance(value, model))
    kinds = [kind for kind in STEP_MODELS if kind in value] if isinstance(value, Mapping) else []
    return f"<{kinds[0]}>" if len(kinds) == 1 else None


AnyStep = Annotated[
    Annotated[WakeStep, Tag("<wake>")]
    | Annotated[AdvanceStep, Tag("<advance>")]
    | Annotated[OfflineStep, Tag("<offline>")]
    | Annotated[GivenStep, Tag("<given>")]
    | Annotated[SendStep, Tag("<send>")]
    | Annotated[ExpectStep, Tag("<expect>")]
    | Annotated[ServerStep, Tag("<server>")]
    | Annotated[BrokerStep, Tag("<broker>")]
    | Annotated[DatabaseStep, Tag("<database>")]
    | Annotated[StoreStep, Tag("<store>")]
    | Annotated[MigrateStep, Tag("<migrate>")]
    | Annotated[CallStep, Tag("<call>")]
    | Annotated[HttpStep, Tag("<http>")]
    | Annotated[UploadStep, Tag("<upload>")]
    | Annotated[PowerStep, Tag("<power>")]
    | Annotated[FlashStep, Tag("<flash>")]
    | Annotated[ConsoleStep, Tag("<console>")]
    | Annotated[HookStep, Tag("<hook>")],
    Discriminator(step_kind),
]


class Waiver(StrictModel):
    """A check that this scenario breaks on purpose."""

    check: str = Field(min_length=1, max_length=64, description="The check's name.")
    because: str = Field(min_length=10, max_length=400, description="Why it can not hold here.")
    who: WhoField | None = Field(None, description="Only for these devices.")


class Drain(StrictModel):
    """How a scenario ends: everything healed, then some quiet wakes, then the checks."""

    wakes: int = Field(2, ge=0, le=20, description="Wakes that every device gets after the last step, without faults.")


class Scenario(StrictModel):
    """One scenario file."""

    version: Literal[1] = Field(description="The version of the language.")
    name: str = Field(min_length=3, max_length=160, description="The question that it asks, as a sentence.")
    description: str | None = Field(None, max_length=4_000, description="More about it.")
    covers: list[Annotated[str, Field(pattern=REQUIREMENT_PATTERN)]] = Field(
        default_factory=list, description="Ids of the requirements it proves (tests/requirements.yaml)."
    )
    tags: list[Annotated[str, Field(pattern=TAG_PATTERN)]] = Field(
        default_factory=list,
        description="Words to select it by; `smoke` runs in the processes bench too, `virtual-time` in none but the "
        "embedded one: it counts on moments to the second, or on long waits.",
    )
    seed: int = Field(1, ge=0, le=2**63 - 1, description="Where all chance comes from.")
    start: Instant = Field(START_DEFAULT, description="Scenario time at the first step.")
    time_limit_ms: Duration = Field(86_400_000, alias="time_limit", description="Most scenario time it may take.")
    revision: Revision = Field(
        HEAD,
        description="Where the schema begins. At an older revision than head no server runs until `server: start`.",
    )
    servers: int = Field(1, ge=1, le=8, description="How many servers run side by side.")
    devices: dict[GroupName, DeviceGroup] = Field(
        default_factory=dict, max_length=200, description="Groups of devices by name."
    )
    matrix: dict[Annotated[str, Field(pattern=LABEL_PATTERN)], list[Any] | str] = Field(
        default_factory=dict,
        description="Repeats the scenario for every combination: a list of values, a list of mappings, or a range "
        "`0..10`. A value goes wherever `${label}` stands.",
    )
    steps: list[AnyStep] = Field(min_length=1, max_length=1_000, description="What happens, in order.")
    checks: list[str] = Field(
        default_factory=lambda: ["all"], min_length=1, description="The checks at the end, by name."
    )
    waive: list[Waiver] = Field(default_factory=list, description="Checks that it breaks on purpose.")
    drain: Drain = Field(default_factory=lambda: Drain.model_validate({}), description="How it ends.")


@dataclass(frozen=True, slots=True)
class Case:
    """One combination of the matrix; without a matrix the only one, with an empty id."""

    id: str
    values: Mapping[str, Scalar]
    model: Scenario


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario file that was read and found valid; `lines` gives the line of every path in it."""

    path: Path
    source: str
    cases: tuple[Case, ...]
    lines: Mapping[str, int] = field(repr=False)

    @property
    def model(self) -> Scenario:
        """The first case: name, tags and covers are the same in all, unless a matrix value stands in them."""
        return self.cases[0].model
