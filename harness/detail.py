"""What a report shows of a scenario beside its history: rows as they changed, pictures, and a second run. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStory:
    """One row from the start of the scenario to the failure: `changes` has [before, after] of each column."""

    table: str
    row: str
    """Its natural name, such as `device_images#1`."""
    who: str
    op: str
    """`insert`, `update` or `delete`."""
    changes: dict[str, list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A thumbnail; `jpeg` is base64, empty where the bytes are no picture, and `note` says so."""

    device: str
    image_name: str
    what: str
    """`captured` or `stored`."""
    note: str = ""
    jpeg: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """`asides` are records seen beside the history, each with `after`: how many records of the history came before."""

    asides: tuple[dict[str, Any], ...] = ()
    rows: tuple[RowStory, ...] = ()
    pictures: tuple[Picture, ...] = ()
    source: str = ""
    """The text of the scenario's file."""
    left_out: str = ""
    """What is missing here and why, in words."""
    again: str = ""
    """How the second run differed from the first, in words; nothing where it was the same."""
