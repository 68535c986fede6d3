"""Expectations: one subject, and whether it holds now, eventually, always or never."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from harness.scenario_types import (
    Count,
    Duration,
    Identifier,
    Row,
    Shorthand,
    StrictModel,
    Topic,
    WhoField,
    Window,
)
from harness.units import LanguageError

SUBJECTS: Final = ("rows", "sql", "message", "log", "ledger", "queue", "photos", "sleeping", "http")
SHORT_TOPICS: Final = ("status", "data", "cmd", "ack", "retry")
"""Topic words that stand for the device's own topic, in the family that its firmware uses."""


class RowsExpectation(StrictModel):
    """Rows of one table. Give `are`, `count` or both."""

    table: Identifier = Field(description="The table.")
    where: Row = Field(
        default_factory=dict,
        description='Column: value. A list means one of these, null IS NULL; `device: "yard[0]"` is its device_id.',
    )
    are: list[Row] | None = Field(
        None,
        description="All rows found and no others, in any order; only the columns named here are compared.",
    )
    count: Count | None = Field(None, description="How many rows: a number, or {min, max}.")
    order_by: list[Identifier] | None = Field(
        None, description="`are` stands in this order: rows sorted by these columns, ascending."
    )

    @model_validator(mode="after")
    def _says_something(self) -> RowsExpectation:
        if self.are is None and self.count is None:
            raise LanguageError("says nothing about the rows", "give are, count or both")
        if self.order_by is not None and self.are is None:
            raise LanguageError("order_by without are", "order matters only where rows are compared")
        return self


class MessageExpectation(StrictModel):
    """An MQTT message that the broker has taken in."""

    to: WhoField | None = Field(None, description="Sent to one of these devices.")
    from_who: WhoField | None = Field(None, alias="from", description="Sent by one of these devices.")
    topic: Topic | None = Field(
        None, description="status, data, cmd, ack or retry, or a whole topic (with + and # as in a filter)."
    )
    contains: dict[str, Any] | None = Field(
        None, description="The JSON has at least these keys and values, at any depth; {} and [] mean exactly empty."
    )
    lacks: list[str] | None = Field(None, description="The JSON has none of these keys at its top.")
    equals: Any = Field(None, description="The JSON is exactly this.")
    text: str | None = Field(None, description="The payload's text contains this.")
    count: Count | None = Field(None, description="How many such messages; at least one if not given.")
    each: bool = Field(False, description="true: so many to or from each of these devices, not of all together.")

    @model_validator(mode="after")
    def _agrees(self) -> MessageExpectation:
        if self.to is not None and self.from_who is not None:
            raise LanguageError("to and from exclude each other", "a message goes one way")
        if self.each and self.to is None and self.from_who is None:
            raise LanguageError("each of nobody", "name the devices with to or from")
        check_topic(self.topic)
        return self


class LogExpectation(StrictModel):
    """A line of the server's log."""

    contains: str = Field(min_length=1, description="The line contains this text.")
    device: WhoField | None = Field(None, description="The line is about one of these devices.")
    count: Count | None = Field(None, description="How many such lines; at least one if not given.")


class LedgerExpectation(StrictModel):
    """The ledger of all captures so far, compared with what stands in the database and the object store."""

    who: WhoField | None = Field(None, description="Captures of these devices; of all if not given.")
    captured: Count | None = Field(None, description="Photos taken.")
    stored: Count | None = Field(None, description="Photos stored whole, equal byte for byte.")
    lost: Count | None = Field(None, description="Photos that are neither stored nor still on the device.")
    lost_by_device: Count | None = Field(
        None, description="Photos not stored, whose only copy went with the device's SD card."
    )
    doubled: Count | None = Field(None, description="Photos stored more than once.")
    damaged: Count | None = Field(None, description="Photos stored with other bytes than were captured.")
    recovered: Count | None = Field(None, description="Photos stored whole although a fault struck their transfer.")

    @model_validator(mode="after")
    def _says_something(self) -> LedgerExpectation:
        if not self.model_fields_set - {"who"}:
            raise LanguageError("says nothing", "for example ledger: {lost: 0, stored: 3}")
        return self


class QueueExpectation(StrictModel):
    """What the devices still hold on their SD cards, unacknowledged."""

    who: WhoField = Field(description="Each of these devices.")
    pending: Count = Field(description="Images in its queue.")


class PhotosExpectation(StrictModel):
    """How many photos the devices have taken."""

    who: WhoField = Field(description="Each of these devices.")
    count: Count = Field(description="Photos since the start of the scenario.")


Keep = dict[Identifier, Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$")]]
"""Names for values of an answer."""


class HttpRequest(StrictModel):
    """One HTTP request to the server and what its answer must be."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = Field("GET", description="The method.")
    path: str = Field(pattern=r"^/", max_length=2_048, description="The path, with its query.")
    json_body: Any = Field(None, alias="json", description="The request's body, sent as JSON.")
    headers: dict[str, str] = Field(default_factory=dict, description="The request's headers.")
    which: int = Field(0, ge=0, le=7, description="Which server, counted from 0.")
    status: Annotated[int, Field(ge=100, le=599)] | None = Field(
        None, description="The answer's status; any below 400 if not given."
    )
    contains: Any = Field(None, description="The answer's JSON has at least these keys and values, at any depth.")
    text: str | None = Field(None, description="The answer's text contains this.")
    keep: Keep = Field(
        default_factory=dict,
        description="Name: place in the answer's JSON, as `project: id`; `${kept.project}` in a later path or body.",
    )


def _rows_kind(value: object) -> str:
    return "<table>" if isinstance(value, dict | RowsExpectation) else "<number>"


RowsOrNumber = Annotated[
    Annotated[RowsExpectation, Tag("<table>")] | Annotated[int, Field(ge=0), Tag("<number>")],
    Discriminator(_rows_kind),
]


class Expectation(StrictModel):
    """One subject, and when it must hold: now, or with `eventually`, `always` or `never`."""

    eventually_ms: Duration | None = Field(
        None, alias="eventually", description="It must become true within this much scenario time."
    )
    always: Window | None = Field(
        None, description="true: it holds during the whole scenario, from its first instant; a duration: from here on."
    )
    never: Window | None = Field(
        None, description="true: it holds at no instant of the scenario; a duration: at none from here on."
    )
    since: Literal["action", "start"] = Field(
        "action",
        description="Messages and log lines count from the last step that is not an expect, or from the start.",
    )
    rows: RowsOrNumber | None = Field(None, description="Rows of a table; beside sql, the number of rows it gives.")
    sql: str | None = Field(None, min_length=1, max_length=8_192, description="One SELECT, run read-only.")
    equals: Any = Field(
        None, description="What the SELECT gives: one value, a list of values (one column), or a list of rows."
    )
    message: MessageExpectation | None = Field(None, description="MQTT messages.")
    log: Annotated[LogExpectation, Shorthand("contains", schema={"type": "string"})] | None = Field(
        None, description="Lines of the server's log; a text stands for `contains`."
    )
    ledger: LedgerExpectation | None = Field(None, description="Photos captured, stored, lost, doubled, damaged.")
    queue: QueueExpectation | None = Field(None, description="Images that wait on the SD cards.")
    photos: PhotosExpectation | None = Field(None, description="Photos taken.")
    sleeping: WhoField | None = Field(None, description="All these devices sleep.")
    http: HttpRequest | None = Field(None, description="An HTTP request and its answer.")

    @model_validator(mode="after")
    def _one_mode_one_subject(self) -> Expectation:
        modes = [mode for mode in ("eventually_ms", "always", "never") if getattr(self, mode) is not None]
        if len(modes) > 1:
            raise LanguageError("more than one of eventually, always, never", "split it into several steps")
        subjects = [name for name in SUBJECTS if getattr(self, name) is not None]
        if self.sql is not None:
            subjects = [name for name in subjects if name != "rows"]
            self._check_sql()
        elif isinstance(self.rows, int):
            raise LanguageError("rows is a number but there is no sql", "write rows: {table: ..., count: ...}")
        elif "equals" in self.model_fields_set:
            raise LanguageError("equals belongs to sql", "rows have `are`, a message has `equals` of its own")
        if len(subjects) != 1:
            found = " and ".join(subjects) or "none"
            raise LanguageError(
                f"an expectation has exactly one subject, found {found}", "one of " + ", ".join(SUBJECTS)
            )
        if self.http is not None and (self.always is not None or self.never is not None):
            raise LanguageError("http can only be asked now or eventually", "requests change what they observe")
        return self

    def _check_sql(self) -> None:
        if isinstance(self.rows, RowsExpectation):
            raise LanguageError("sql and a table exclude each other", "beside sql, rows is the number of rows")
        if (self.rows is None) == ("equals" not in self.model_fields_set):
            raise LanguageError("sql needs either rows or equals", "for example rows: 0, or equals: 3")

    @property
    def subject(self) -> str:
        """The one subject that is set."""
        return "sql" if self.sql is not None else next(name for name in SUBJECTS if getattr(self, name) is not None)


def check_topic(topic: str | None) -> None:
    """Refuses a topic that is neither a short word nor a whole topic."""
    if topic is not None and "/" not in topic and topic not in SHORT_TOPICS:
        raise LanguageError(f"no topic is called {topic!r}", "one of " + ", ".join(SHORT_TOPICS) + ", or a whole topic")
