"""What a list of devices is asked for in a query string, and the name of its next page."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Final

from fastapi import Depends, Query

from server.devices import DevicePlace, DeviceQuery, Only, Sort
from server.web.problems import Problem

SEARCH_CHARS_MAX: Final = 100


def name_of(place: DevicePlace | None) -> str | None:
    """A place as text for a URL."""
    if place is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([place.key, str(place.device_id)]).encode()).decode()


def _asked(
    search: Annotated[str, Query(max_length=SEARCH_CHARS_MAX, description="Part of a name or of a MAC address.")] = "",
    sort: Annotated[Sort, Query(description="What the list is ordered by.")] = Sort.NAME,
    descending: Annotated[bool, Query(description="The other way round.")] = False,
    only: Annotated[Only, Query(description="Devices with images under way, or failed.")] = Only.ALL,
    after: Annotated[str | None, Query(max_length=1_000, description="`next` of the page before.")] = None,
) -> DeviceQuery:
    query = DeviceQuery(search=search, sort=sort, is_descending=descending, only=only)
    if after is None:
        return query
    try:
        key, device_id = json.loads(base64.urlsafe_b64decode(after.encode()))
        place = query.checked_place(key, device_id)
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise Problem(422, "query.after: give the `next` of a page as it was, or leave it out") from None
    return DeviceQuery(search=search, sort=sort, is_descending=descending, only=only, after=place)


Asked = Annotated[DeviceQuery, Depends(_asked)]
