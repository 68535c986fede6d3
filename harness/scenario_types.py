"""The scalar types of the scenario language: how each is read, and how editors are told about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from harness.addresses import (
    ADDRESS_PATTERN,
    GROUP_PATTERN,
    WHO_PATTERN,
    FaultAddress,
    WhoTerm,
    parse_address,
    parse_who,
)
from harness.units import (
    DURATION_PATTERN,
    PERCENT_PATTERN,
    PPM_PATTERN,
    SIZE_PATTERN,
    parse_duration_ms,
    parse_instant,
    parse_percent,
    parse_ppm,
    parse_size_bytes,
)

Scalar = str | int | float | bool | None
"""A plain YAML value."""

IDENTIFIER_PATTERN: Final = r"^[a-z_][a-z0-9_]{0,62}$"


class StrictModel(BaseModel):
    """Base of every model: unknown keys are errors and nothing is converted behind the author's back."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Step(StrictModel):
    """What every step has."""

    note: str | None = Field(None, max_length=200, description="Why the step is there; shown in reports.")


class Shorthand:
    """Lets a mapping be written as one bare value, which then stands for its field `field`."""

    def __init__(self, field: str, *, schema: JsonSchemaValue, make: Callable[[Any], Any] | None = None) -> None:
        self.field = field
        self.schema = schema
        self.make = make

    def _expanded(self, value: object) -> object:
        if isinstance(value, dict | BaseModel):
            return value
        return self.make(value) if self.make else {self.field: value}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._expanded, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [self.schema, handler(schema)]}


Duration = Annotated[
    int,
    BeforeValidator(parse_duration_ms),
    WithJsonSchema(
        {"title": "duration", "type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "30s", "3h", "1d"]}
    ),
]
"""Milliseconds."""

Size = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    WithJsonSchema({"title": "size", "type": "string", "pattern": SIZE_PATTERN, "examples": ["800B", "10kB", "10KiB"]}),
]
"""Bytes."""

Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    WithJsonSchema({"title": "share", "type": "string", "pattern": PERCENT_PATTERN, "examples": ["5%", "0.5%"]}),
]
"""Parts of a hundred."""

Ppm = Annotated[
    int,
    BeforeValidator(parse_ppm),
    WithJsonSchema({"title": "drift", "type": "string", "pattern": PPM_PATTERN, "examples": ["200ppm"]}),
]
"""Parts per million."""

Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    WithJsonSchema({"title": "instant", "type": "string", "examples": ["2026-01-05T00:00:00Z"]}),
]
"""Aware, UTC."""

_WHO_SCHEMA: Final[JsonSchemaValue] = {
    "type": "string",
    "pattern": WHO_PATTERN,
    "examples": ["yard", "yard[0]", "yard[1..3]", "all"],
}

WhoField = Annotated[
    tuple[WhoTerm, ...],
    BeforeValidator(parse_who, json_schema_input_type=Any),
    WithJsonSchema({"title": "who", "anyOf": [_WHO_SCHEMA, {"type": "array", "items": _WHO_SCHEMA, "minItems": 1}]}),
]
"""Devices, not yet resolved."""

AddressField = Annotated[
    FaultAddress,
    BeforeValidator(parse_address),
    WithJsonSchema(
        {
            "title": "protocol step",
            "type": "string",
            "pattern": ADDRESS_PATTERN,
            "examples": ["chunk[5].sent", "ack_ok.received"],
        }
    ),
]
"""One step of the protocol."""

GroupName = Annotated[str, Field(pattern=GROUP_PATTERN)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER_PATTERN)]
Row = dict[Identifier, Any]
"""Columns and values of one row; `device: \"yard[0]\"` stands for its device_id."""


class CountRange(StrictModel):
    """How many: an exact number, or a range with one or both ends."""

    min: int | None = Field(None, ge=0, description="At least this many.")
    max: int | None = Field(None, ge=0, description="At most this many.")


Count = Annotated[
    CountRange,
    Shorthand("min", schema={"type": "integer", "minimum": 0}, make=lambda value: {"min": value, "max": value}),
]
"""A number, or a mapping with min and max."""


def _window(value: object) -> object:
    return "scenario" if value is True else parse_duration_ms(value)


Window = Annotated[
    int | Literal["scenario"],
    BeforeValidator(_window),
    WithJsonSchema(
        {"title": "true or duration", "anyOf": [{"const": True}, {"type": "string", "pattern": DURATION_PATTERN}]}
    ),
]
"""How long something is watched: the whole scenario (written `true`), or so many milliseconds from here on."""

Topic = Annotated[str, Field(min_length=1, max_length=256)]
Qos = Literal[0, 1, 2]
