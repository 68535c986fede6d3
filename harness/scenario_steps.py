"""The steps of a scenario. Each is a mapping with exactly one kind: `wake: yard`, `advance: next_wake`."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from harness.scenario_acts import BrokerStep, DatabaseStep, ServerStep, StoreStep
from harness.scenario_board_steps import ConsoleStep, FlashStep
from harness.scenario_expect import Expectation, HttpRequest, check_topic
from harness.scenario_faults import Fault
from harness.scenario_migration import MigrationField
from harness.scenario_types import (
    IDENTIFIER_PATTERN,
    Count,
    Duration,
    Identifier,
    Qos,
    Row,
    Size,
    Step,
    StrictModel,
    Topic,
    WhoField,
)
from harness.scenario_upload import Upload
from harness.units import DURATION_PATTERN, LanguageError, parse_duration_ms

HOOK_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"


class WakeStep(Step):
    """Wakes devices at once, whatever their timers say, and waits until they sleep again."""

    wake: WhoField = Field(description="Who wakes.")
    faults: list[Fault] = Field(default_factory=list, description="What goes wrong during these wakes.")
    wait: bool = Field(True, description="false: go on to the next step while they are awake.")
    wifi: Literal["up", "down"] = Field("up", description="down: they find no Wi-Fi and keep their photo on the card.")


def _advance(value: object) -> object:
    return value if value == "next_wake" else parse_duration_ms(value)


Advance = Annotated[
    int | Literal["next_wake"],
    BeforeValidator(_advance),
    WithJsonSchema(
        {
            "title": "duration or `next_wake`",
            "anyOf": [{"const": "next_wake"}, {"type": "string", "pattern": DURATION_PATTERN}],
        }
    ),
]


class AdvanceStep(Step):
    """Lets scenario time pass. Devices whose timers run out wake by themselves."""

    advance_ms: Advance = Field(
        alias="advance",
        description="How long, or `next_wake`: until every sleeping device has come to its next wake, and is awake.",
    )
    of: WhoField | None = Field(None, description="next_wake of these devices only.")
    faults: list[Fault] = Field(default_factory=list, description="What goes wrong in wakes that begin in this step.")

    @model_validator(mode="after")
    def _of_needs_next_wake(self) -> AdvanceStep:
        if self.of is not None and self.advance_ms != "next_wake":
            raise LanguageError("of belongs to next_wake", "time passes for everybody")
        return self


class OfflineStep(Step):
    """Devices go through their own next wakes without Wi-Fi: each takes a photo and keeps it. Time passes."""

    offline: WhoField = Field(description="Who is offline.")
    wakes: int = Field(1, ge=1, le=100, description="How many wakes, each at its own time.")


class Given(StrictModel):
    """Rows that stand in the database before the question is asked."""

    table: Identifier | None = Field(None, description="The table.")
    rows: list[Row] | None = Field(None, description="Rows to insert; what is not named takes its default.")
    where: Row | None = Field(None, description="Which rows to change, as in expect.")
    set_values: Row | None = Field(None, alias="set", description="Their new values.")
    sql: str | None = Field(None, max_length=65_536, description="Any SQL, run as the owner of the schema.")

    @model_validator(mode="after")
    def _one_form(self) -> Given:
        if self.sql is not None:
            if self.model_fields_set != {"sql"}:
                raise LanguageError("sql stands alone", "put table, rows, where and set into a step of their own")
        elif self.table is None:
            raise LanguageError("names no table", "give table, or sql")
        elif (self.rows is None) == (self.set_values is None):
            raise LanguageError("needs either rows or set", "rows inserts, where + set changes")
        elif self.rows is not None and self.where is not None:
            raise LanguageError("rows and where exclude each other", "where belongs to set")
        return self


class GivenStep(Step):
    """Puts rows into the database, or changes them, as the owner of the schema."""

    given: Given = Field(description="What stands in the database.")


class Send(StrictModel):
    """A raw message, right or wrong, past every rule of the devices."""

    from_who: WhoField | None = Field(
        None, alias="from", description="The device in whose name it is sent; needed unless the topic is whole."
    )
    topic: Topic = Field(description="status or data of that device, or a whole topic.")
    json_body: Any = Field(None, alias="json", description="The payload as JSON.")
    text: str | None = Field(None, description="The payload as text.")
    base64_body: str | None = Field(None, alias="base64", description="The payload as bytes in base64.")
    size_bytes: Size | None = Field(None, alias="size", description="A payload of so many bytes, chosen by the seed.")
    times: int = Field(1, ge=1, le=10_000, description="How often.")
    within_ms: Duration = Field(0, alias="within", description="The copies are spread over this long.")
    qos: Qos = Field(1, description="MQTT quality of service.")
    retain: bool = Field(False, description="Whether the broker keeps it.")

    @field_validator("base64_body")
    @classmethod
    def _decodes(cls, value: str | None) -> str | None:
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error as error:
            raise LanguageError(f"is not base64: {error}", "letters, digits, + and /, padded with =") from error
        return value

    @model_validator(mode="after")
    def _one_payload(self) -> Send:
        bodies = [name for name in ("json_body", "text", "base64_body", "size_bytes") if name in self.model_fields_set]
        if len(bodies) != 1:
            raise LanguageError(f"a message has exactly one payload, found {len(bodies)}", "json, text, base64 or size")
        check_topic(self.topic)
        if "/" not in self.topic and self.from_who is None:
            raise LanguageError(f"topic {self.topic} of whom?", "add from, or write the whole topic")
        if "+" in self.topic or "#" in self.topic:
            raise LanguageError("a message can not be sent to a filter", "leave out + and #")
        return self


class SendStep(Step):
    """Publishes a raw message."""

    send: Send = Field(description="The message.")


class ExpectStep(Step):
    """Judges: rows, SQL, messages, log lines, the ledger, devices, HTTP answers."""

    expect: Expectation = Field(description="What must be so.")


class MigrateStep(Step):
    """Migrates the database, up or down; the servers should be stopped meanwhile. At the end it is made whole again."""

    migrate: MigrationField = Field(description="A revision's name, or a mapping.")


class Call(StrictModel):
    """A call of an SQL function, as the server's role."""

    function: str = Field(pattern=IDENTIFIER_PATTERN, description="Its name.")
    args: list[Any] | dict[Identifier, Any] = Field(
        default_factory=list, description="Arguments in order, or by name; `${yard[0].id}` is a device's id."
    )
    returns: list[Any] | None = Field(
        None, description="The rows it gives: each a value, or a mapping of some of its columns."
    )
    count: Count | None = Field(None, description="How many rows it gives.")


class CallStep(Step):
    """Calls an SQL function."""

    call: Call = Field(description="The function.")


class HttpStep(Step):
    """Sends an HTTP request to the server."""

    http: HttpRequest = Field(description="The request and its answer.")


class UploadStep(Step):
    """Uploads a picture to a project of the server."""

    upload: Upload = Field(description="The picture, and the answer.")


class Power(StrictModel):
    """Power of devices, outside any message."""

    who: WhoField = Field(description="Whose power.")
    do: Literal["loss", "restore", "reset"] = Field(
        description="loss: dark until restore, or for the time given; restore: it boots; reset: it boots anew at once."
    )
    for_ms: Duration | None = Field(None, alias="for", description="The power comes back after this long.")

    @model_validator(mode="after")
    def _for_needs_loss(self) -> Power:
        if self.for_ms is not None and self.do != "loss":
            raise LanguageError("for belongs to loss", "leave it out")
        return self


class PowerStep(Step):
    """Takes or gives power."""

    power: Power = Field(description="Whose, and what.")


class HookStep(Step):
    """Calls Python where the language ends: `hook: module:function`, found beside the scenario file."""

    hook: str = Field(pattern=HOOK_PATTERN, description="module:function; it is called with the run and `args`.")
    args: dict[str, Any] = Field(default_factory=dict, description="Keyword arguments.")


STEP_MODELS: Final[dict[str, type[Step]]] = {
    "wake": WakeStep,
    "advance": AdvanceStep,
    "offline": OfflineStep,
    "given": GivenStep,
    "send": SendStep,
    "expect": ExpectStep,
    "server": ServerStep,
    "broker": BrokerStep,
    "database": DatabaseStep,
    "store": StoreStep,
    "migrate": MigrateStep,
    "call": CallStep,
    "http": HttpStep,
    "upload": UploadStep,
    "power": PowerStep,
    "flash": FlashStep,
    "console": ConsoleStep,
    "hook": HookStep,
}
"""Every kind of step, by its key."""
