"""Ways to a target's broker: its topics, TLS and login, around the links that cameras use on every bench."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from harness.errors import BenchUnavailable
from harness.target import CHANNELS, Broker, Target, Topics
from server.wire.topics import DOWNLINK, UPLINK, Channel, Family, topic_of
from simulator.link import Link, LinkError, LinkSettings, OnLost, OnMessage
from simulator.link.paho import PahoLink
from simulator.link.raw import RawLink

_WORDS: Final = {Channel.RETRY: "retry"}


class TopicNames:
    """A target's topics for wakestorm's, and back. `families` is MAC -> first level of a camera's own topics."""

    def __init__(self, topics: Topics, families: Mapping[str, Family]) -> None:
        self._families = families
        self._templates = {word: text for word in CHANNELS if (text := getattr(topics, word)) is not None}
        self._patterns = [
            (Channel(channel), re.compile(re.escape(text).replace(re.escape("{mac}"), "([^/]+)") + r"\Z"))
            for channel in Channel
            if (text := self._templates.get(_WORDS.get(channel, str(channel)))) is not None
        ]

    def theirs(self, topic: str) -> str:
        """The target's name of one of wakestorm's topics."""
        levels = topic.split("/", 2)
        if len(levels) != 3 or levels[1] not in self._families:
            return topic
        template = self._templates.get("retry" if levels[2] == Channel.RETRY else levels[2])
        return topic if template is None else template.replace("{mac}", levels[1])

    def own(self, topic: str) -> str:
        """wakestorm's name of one of the target's topics."""
        for channel, pattern in self._patterns:
            match = pattern.match(topic)
            if match is not None and match[1] in self._families:
                return topic_of(self._families[match[1]], match[1], channel)
        return topic

    def of_all(self) -> tuple[str, ...]:
        """Every topic of every camera, as the target calls it."""
        channels = (*UPLINK, *DOWNLINK)
        found = [topic_of(family, mac, channel) for mac, family in self._families.items() for channel in channels]
        return tuple(dict.fromkeys(map(self.theirs, found)))


class TargetLink:
    """A link that speaks the target's topics; see `Link`."""

    def __init__(self, link: Link, names: TopicNames) -> None:
        self._link = link
        self._names = names

    async def connect(self) -> None:
        await self._link.connect()

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        await self._link.publish(self._names.theirs(topic), payload, qos=qos)

    def publish_part(self, topic: str, payload: bytes) -> None:
        self._link.publish_part(self._names.theirs(topic), payload)

    async def disconnect(self) -> None:
        await self._link.disconnect()

    def cut(self) -> None:
        self._link.cut()


def target_settings(target: Target, settings: LinkSettings) -> LinkSettings:
    """With the target's login and TLS. Raises BenchUnavailable where a variable or a file is missing."""
    login = target.broker.login
    user, password = (None, None) if login is None else login.read(os.environ, "broker.login")
    return replace(settings, username=user, password=password, tls=tls_context(target.broker))


def tls_context(broker: Broker) -> ssl.SSLContext | None:
    """The server's certificate is always checked. Raises BenchUnavailable for a file that can't be read."""
    if not broker.is_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=None if broker.ca is None else str(broker.ca))
        if broker.certificate is not None and broker.key is not None:
            context.load_cert_chain(broker.certificate, broker.key)
    except (OSError, ssl.SSLError) as error:
        raise BenchUnavailable(
            f"the broker's TLS files: {error}", hint="ca, certificate and key are PEM files"
        ) from None
    return context


def links_to(target: Target, names: TopicNames) -> Callable[[LinkSettings, OnMessage, OnLost], Link]:
    """Makes the links of simulated cameras."""

    def link(settings: LinkSettings, on_message: OnMessage, on_lost: OnLost) -> Link:
        filters = tuple(dict.fromkeys((names.theirs(text), qos) for text, qos in settings.filters))
        wired = target_settings(target, replace(settings, filters=filters))
        return TargetLink(PahoLink(wired, lambda topic, payload: on_message(names.own(topic), payload), on_lost), names)

    return link


class TargetTap:
    """Sees the messages of the cameras of a scenario, and nobody else's; publishes raw ones for `send`."""

    def __init__(self, target: Target, names: TopicNames, who: str, on_message: OnMessage) -> None:
        self._names = names
        self._on_message = on_message
        self._retained: list[str] = []
        self.lost = ""
        host, port = target.broker.address
        base = LinkSettings(host, port, f"wakestorm-{who}", keep_alive_s=60)
        filters = tuple((text, 1) for text in names.of_all())
        self._link = RawLink(target_settings(target, replace(base, filters=filters)), self._received, self._gone)
        other = replace(base, client_id=f"wakestorm-{who}-sender")
        self._sender = RawLink(target_settings(target, other), lambda _topic, _payload: None, lambda _reason: None)
        self._where = f"{host}:{port}"

    async def connect(self) -> None:
        """Raises BenchUnavailable."""
        try:
            await self._link.connect()
        except LinkError as error:
            hint = "the login must be allowed to subscribe to the cameras' topics, both ways"
            raise BenchUnavailable(f"the target's broker {self._where}: {error}", hint=hint) from None

    async def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> None:
        """A raw message; what is retained is taken back at the end. Raises BenchUnavailable."""
        from server.wire.mqtt_codec import Publish, encode

        theirs = self._names.theirs(topic)
        try:
            if not self._sender.is_connected:
                await self._sender.connect()
            if retain:
                self._retained.append(theirs)
                self._sender.send_packet(encode(Publish(topic=theirs, payload=payload, retain=True)))
            else:
                await self._sender.publish(theirs, payload, qos=qos)
        except LinkError as error:
            raise BenchUnavailable(f"the target's broker did not take a message: {error}") from None

    async def close(self) -> None:
        """Takes back what is retained, and leaves."""
        from server.wire.mqtt_codec import Publish, encode

        for topic in dict.fromkeys(self._retained):
            try:
                self._sender.send_packet(encode(Publish(topic=topic, payload=b"", retain=True)))
            except LinkError:
                break
        await self._sender.disconnect()
        self._link.cut()

    def _received(self, topic: str, payload: bytes) -> None:
        self._on_message(self._names.own(topic), payload)

    def _gone(self, reason: str) -> None:
        self.lost = reason
