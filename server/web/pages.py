"""Lists by pages: the next page begins after the last row of this one, wherever rows came or went meanwhile."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field

from server.store import Place
from server.web.problems import Problem

_LIMIT_MAX = 1_000


class Placed(Protocol):
    """A row that lists order by age."""

    @property
    def id(self) -> UUID:
        """Its key."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it came."""
        ...


T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list, the oldest first."""

    items: list[T]
    next: str | None = Field(description="Give it as `after` for the next page; null on the last one.")


Limit = Annotated[int, Query(ge=1, le=_LIMIT_MAX, description="How many rows at most.")]
After = Annotated[str | None, Query(max_length=200, description="`next` of the page before.")]


def place_of(after: str | None) -> Place | None:
    """Where a page begins; raises Problem for what is no `next` of any page."""
    if after is None:
        return None
    try:
        moment, _, key = base64.urlsafe_b64decode(after.encode()).decode().partition(" ")
        place = Place(datetime.fromisoformat(moment), UUID(key))
        place.created_at.astimezone()
    except (ValueError, OverflowError, binascii.Error):
        raise Problem(422, "query.after: give the `next` of a page as it was, or leave it out") from None
    if place.created_at.tzinfo is None:
        raise Problem(422, "query.after: give the `next` of a page as it was, or leave it out")
    return place


def page_of(rows: Sequence[Placed], limit: int) -> Page[Any]:
    """The page of `limit` rows; one row more was asked for, which tells whether there is a next page."""
    shown = list(rows[:limit])
    last = shown[-1] if len(rows) > limit else None
    return Page(items=shown, next=None if last is None else name_of_place(Place(last.created_at, last.id)))


def name_of_place(place: Place) -> str:
    """A place as text for a URL."""
    return base64.urlsafe_b64encode(f"{place.created_at.isoformat()} {place.id}".encode()).decode()
