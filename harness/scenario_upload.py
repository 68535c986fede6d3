"""The step `upload`: one picture as a multipart form, right or wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from harness.scenario_expect import Keep
from harness.scenario_types import Size, StrictModel

Style = Literal["original", "thumbnail", "greyscale"]


class Upload(StrictModel):
    """A picture that is uploaded to a project, and what the answer must be."""

    project: str = Field(max_length=64, description="The project's id, such as `${kept.project}`.")
    picture: int = Field(1, ge=0, le=9_999, description="Which picture: the same number and size, the same bytes.")
    size_bytes: Size = Field(2_000, alias="size", description="The picture's size, met to the byte.")
    file_text: str | None = Field(None, max_length=65_536, description="A file with this text, instead of a picture.")
    file_name: str = Field("photo.jpg", max_length=65_536, description="The name that it is sent under.")
    styles: list[Style] = Field(default_factory=list, description="The styles to make; the original if none is given.")
    says: dict[Literal["sha256", "size_bytes"], str | int] = Field(
        default_factory=dict, description="What the sender says of the file, true or not."
    )
    which: int = Field(0, ge=0, le=7, description="Which server, counted from 0.")
    status: Annotated[int, Field(ge=100, le=599)] = Field(201, description="The answer's status.")
    contains: Any = Field(None, description="The answer's JSON has at least these keys and values, at any depth.")
    text: str | None = Field(None, description="The answer's text contains this.")
    keep: Keep = Field(default_factory=dict, description="As for http; `0.id` is the id of the first image made.")
