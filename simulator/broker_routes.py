"""Who gets a topic: subscriptions, plain and shared, of all sessions of a simulated broker. Pure.

Filters without wildcards are found by name, since a fleet has three for each camera; the few with wildcards are
matched once per topic and remembered until their set changes. Order is the order of subscribing: dicts only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.wire.mqtt_filters import matches, split_shared


@dataclass(slots=True)
class ShareGroup:
    """Members of `$share/group/filter` with their QoS; the next message goes to the one after `last`."""

    members: dict[str, int] = field(default_factory=dict)
    last: str | None = None

    def in_turn(self) -> list[str]:
        """Members, beginning with the one whose turn it is."""
        names = list(self.members)
        if self.last in self.members:
            turn = names.index(self.last) + 1
            names = names[turn:] + names[:turn]
        return names


class Routes:
    """Filter to client ids and back."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, int]] = {}
        self._wild: dict[str, dict[str, int]] = {}
        self._shared: dict[str, ShareGroup] = {}
        self._wild_by_topic: dict[str, list[str]] = {}
        self._shared_by_topic: dict[str, list[str]] = {}

    def add(self, client_id: str, topic_filter: str, qos: int) -> None:
        """Subscribe, or change the QoS of a subscription."""
        if split_shared(topic_filter)[0] is not None:
            if topic_filter not in self._shared:
                self._shared[topic_filter] = ShareGroup()
                self._shared_by_topic.clear()
            self._shared[topic_filter].members[client_id] = qos
            return
        table = self._table(topic_filter)
        if topic_filter not in table:
            table[topic_filter] = {}
            if table is self._wild:
                self._wild_by_topic.clear()
        table[topic_filter][client_id] = qos

    def remove(self, client_id: str, topic_filter: str) -> None:
        """Unsubscribe; unknown subscriptions are ignored."""
        if topic_filter in self._shared:
            members = self._shared[topic_filter].members
            members.pop(client_id, None)
            if not members:
                del self._shared[topic_filter]
                self._shared_by_topic.clear()
            return
        table = self._table(topic_filter)
        subscribers = table.get(topic_filter, {})
        subscribers.pop(client_id, None)
        if topic_filter in table and not subscribers:
            del table[topic_filter]
            if table is self._wild:
                self._wild_by_topic.clear()

    def plain(self, topic: str) -> dict[str, int]:
        """Client ids with a plain subscription to the topic; of several filters the highest QoS counts, once."""
        subscribers = dict(self._exact.get(topic, ()))
        for topic_filter in self._matching(topic, self._wild, self._wild_by_topic):
            for client_id, qos in self._wild[topic_filter].items():
                subscribers[client_id] = max(qos, subscribers.get(client_id, 0))
        return subscribers

    def shared(self, topic: str) -> list[str]:
        """The `$share` filters that get the topic: one member of each."""
        return self._matching(topic, self._shared, self._shared_by_topic) if self._shared else []

    def group(self, share: str) -> ShareGroup | None:
        """Members of a `$share` filter, if it has any."""
        return self._shared.get(share)

    def _table(self, topic_filter: str) -> dict[str, dict[str, int]]:
        return self._wild if "+" in topic_filter or "#" in topic_filter else self._exact

    @staticmethod
    def _matching(
        topic: str, table: dict[str, dict[str, int]] | dict[str, ShareGroup], known: dict[str, list[str]]
    ) -> list[str]:
        found = known.get(topic)
        if found is None:
            found = known[topic] = [topic_filter for topic_filter in table if matches(topic_filter, topic)]
        return found
