"""The scenario language's words for the schema's history: the step `migrate`, and the revision to begin with."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from harness.errors import did_you_mean
from harness.scenario_types import Shorthand, StrictModel
from harness.tables import REVISIONS, VIDEO_REVISIONS
from harness.units import LanguageError

HEAD: Final = "head"
"""The newest revision of every history: the only one that servers work with."""

SQLSTATE_PATTERN: Final = r"^[0-9A-Z]{5}$"

_NAMES: Final = (*REVISIONS, *VIDEO_REVISIONS, HEAD)


def _revision(value: object) -> object:
    if value not in _NAMES:
        raise LanguageError(f"{value!r} is no revision", did_you_mean(str(value), _NAMES) or f"one of {_NAMES}")
    return HEAD if value in (REVISIONS[-1], VIDEO_REVISIONS[-1]) else value


Revision = Annotated[
    str,
    BeforeValidator(_revision),
    WithJsonSchema({"title": "revision", "type": "string", "enum": list(_NAMES)}),
]


class Migration(StrictModel):
    """One way to change the schema."""

    to: Revision | None = Field(None, description="Up or down to this revision, with every revision between.")
    stamp: Revision | None = Field(
        None, description="Write down that the schema stands at this revision, without running anything."
    )
    sql: str | None = Field(None, max_length=65_536, description="A statement typed by hand, as the schema's owner.")
    fails: str | None = Field(
        None, pattern=SQLSTATE_PATTERN, description="The SQLSTATE that it must be refused with, such as 23505."
    )

    @model_validator(mode="after")
    def _one_form(self) -> Migration:
        if [self.to, self.sql, self.stamp].count(None) != 2:
            raise LanguageError("needs one of to, sql, stamp", "migrate: head, or migrate: {sql: ..., fails: 23505}")
        return self


MigrationField = Annotated[Migration, Shorthand("to", schema={"type": "string", "enum": list(_NAMES)})]
