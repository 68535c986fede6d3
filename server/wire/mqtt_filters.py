"""Topic names and topic filters of MQTT 3.1.1 (section 4.7), and shared subscriptions (`$share/group/filter`).

Shared subscriptions are MQTT 5's; mosquitto and rumqttd give them to 3.1.1 clients in the same spelling.
"""

from __future__ import annotations

from typing import Final

TOPIC_LENGTH_BYTES_MAX: Final = 65_535
"""Longest topic or filter: its length is written in two bytes."""

SHARE_PREFIX: Final = "$share/"


def is_valid_topic(topic: str) -> bool:
    """Whether a PUBLISH may carry this name: not empty, no wildcard, no NUL, at most 65,535 bytes."""
    return (
        bool(topic)
        and "+" not in topic
        and "#" not in topic
        and "\0" not in topic
        and (len(topic) <= TOPIC_LENGTH_BYTES_MAX // 4 or _fits(topic))
    )


def is_valid_filter(topic_filter: str) -> bool:
    """Whether a SUBSCRIBE may carry this filter, `$share` included."""
    if not topic_filter or "\0" in topic_filter or not _fits(topic_filter):
        return False
    if topic_filter.startswith(SHARE_PREFIX):
        group, inner = split_shared(topic_filter)
        if not group or "+" in group or "#" in group or not inner:
            return False
        topic_filter = inner
    levels = topic_filter.split("/")
    return all(
        ("+" not in level or level == "+") and ("#" not in level or (level == "#" and index == len(levels) - 1))
        for index, level in enumerate(levels)
    )


def split_shared(topic_filter: str) -> tuple[str | None, str]:
    """The share group (None for a plain filter) and the filter that topics are matched against."""
    if not topic_filter.startswith(SHARE_PREFIX):
        return None, topic_filter
    group, _, inner = topic_filter[len(SHARE_PREFIX) :].partition("/")
    return group, inner


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a valid topic falls under a valid filter; a leading wildcard never matches a `$` topic (4.7.2)."""
    if topic_filter.startswith(SHARE_PREFIX):
        topic_filter = split_shared(topic_filter)[1]
    if topic_filter == topic:
        return True
    if topic.startswith("$") and topic_filter[:1] in ("+", "#"):
        return False
    wanted = topic_filter.split("/")
    given = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


def _fits(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) <= TOPIC_LENGTH_BYTES_MAX
