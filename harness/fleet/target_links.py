"""A fleet's links to the broker of a target: its topics and TLS around either make of link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from harness.bench.external_links import TargetLink, TopicNames, tls_context
from harness.fleet.order import TheirWire
from harness.target import Broker, Topics
from server.wire.topics import Family
from simulator.link import FleetLink, FleetLinkFactory, LinkSettings, OnLost, OnMessage

_FILES: Final = ("ca", "certificate", "key")


class _Everyone(dict[str, Family]):
    """All cameras of a fleet speak one dialect: any MAC has its family, and none takes room."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self._family = family

    def __contains__(self, mac: object) -> bool:
        return True

    def __missing__(self, mac: str) -> Family:
        return self._family


class TargetFleetLink(TargetLink):
    """A fleet's link that speaks the target's topics; see `FleetLink`."""

    def __init__(self, link: FleetLink, names: TopicNames) -> None:
        super().__init__(link, names)
        self._fleet_link = link
        self._theirs = names.theirs

    def post(self, topic: str, payloads: Sequence[bytes], on_acked: Callable[[], None]) -> None:
        self._fleet_link.post(self._theirs(topic), payloads, on_acked)

    def leave(self, on_left: Callable[[], None]) -> None:
        self._fleet_link.leave(on_left)


def links_to(wire: TheirWire, family: Family, make: FleetLinkFactory) -> FleetLinkFactory:
    """The same links, to that broker, for cameras of that family. Raises BenchUnavailable for a bad PEM file."""
    files = {name: path for name in _FILES if (path := getattr(wire, name)) is not None}
    tls = tls_context(Broker.model_validate({"url": wire.url, **files}))
    names = TopicNames(Topics.model_validate(wire.topics), _Everyone(family))

    def link(settings: LinkSettings, on_message: OnMessage, on_lost: OnLost) -> FleetLink:
        filters = tuple(dict.fromkeys((names.theirs(text), qos) for text, qos in settings.filters))
        wired = replace(settings, filters=filters, tls=tls)
        return TargetFleetLink(make(wired, lambda topic, data: on_message(names.own(topic), data), on_lost), names)

    return link
