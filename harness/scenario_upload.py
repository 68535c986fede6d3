"""The step `upload`: one picture as a multipart form, or one part of a video, right or wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from harness.scenario_expect import Keep
from harness.scenario_types import Size, StrictModel
from harness.units import LanguageError

Style = Literal["original", "thumbnail", "greyscale"]


class Upload(StrictModel):
    """A picture that is uploaded to a project, or a part of a video, and what the answer must be."""

    project: str | None = Field(None, max_length=64, description="The project's id, such as `${kept.project}`.")
    to: str | None = Field(None, max_length=64, description="Instead of a project: the upload that gets a part.")
    part: int = Field(1, ge=0, le=99_999, description="The part's number, counted from 1.")
    part_size_bytes: Size = Field(1_024, alias="part_size", description="The size of each part but the last.")
    video: int = Field(1, ge=0, le=9_999, description="Which video of 2,560 bytes: another number, other bytes.")
    cut_after_bytes: Size | None = Field(
        None, alias="cut_after", description="The connection breaks after so many bytes of the part."
    )
    picture: int = Field(1, ge=0, le=9_999, description="Which picture: the same number and size, the same bytes.")
    size_bytes: Size = Field(2_000, alias="size", description="The picture's size, met to the byte.")
    file_text: str | None = Field(None, max_length=65_536, description="A file with this text, instead of a picture.")
    file_name: str = Field("photo.jpg", max_length=65_536, description="The name that it is sent under.")
    styles: list[Style] = Field(default_factory=list, description="The styles to make; the original if none is given.")
    says: dict[Literal["sha256", "size_bytes"], str | int] = Field(
        default_factory=dict, description="What the sender says of the file, true or not."
    )
    which: int = Field(0, ge=0, le=7, description="Which server, counted from 0.")
    status: Annotated[int, Field(ge=100, le=599)] | None = Field(
        None, description="The answer's status; 201 for a picture, 200 for a part if not given."
    )
    contains: Any = Field(None, description="The answer's JSON has at least these keys and values, at any depth.")
    text: str | None = Field(None, description="The answer's text contains this.")
    keep: Keep = Field(default_factory=dict, description="As for http; `0.id` is the id of the first image made.")

    @model_validator(mode="after")
    def _one_place(self) -> Upload:
        if (self.project is None) == (self.to is None):
            raise LanguageError("needs either project or to", "upload: {project: ...} or upload: {to: ..., part: 1}")
        return self
