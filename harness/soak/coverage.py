""" "Sometimes" coverage: how often every kind of fault struck and every move of the two state machines was made.

The tables of the server and of the device are replaced by counting ones, in the process of the soak only: a look-up
that moves a state is a hit, so the counts are exact, and what was never tried stands there with a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import server.session
from harness.soak.people import ACTS
from simulator import device_states
from simulator.catalogue import rows
from simulator.device_states import Event, State

K = TypeVar("K")
V = TypeVar("V")


class CountedTable(dict[K, V]):
    """A table of transitions that counts its look-ups by `[key]`."""

    def __init__(self, table: Mapping[K, V]) -> None:
        super().__init__(table)
        self.hits: Counter[K] = Counter()

    def __getitem__(self, key: K) -> V:
        found = super().__getitem__(key)
        self.hits[key] += 1
        return found


class Coverage:
    """Counts from the moment it is made, until `close` puts the tables back."""

    def __init__(self, fault_kinds: Iterable[str]) -> None:
        self.faults: Counter[str] = Counter(dict.fromkeys(fault_kinds, 0))
        self.people: Counter[str] = Counter(dict.fromkeys(ACTS, 0))
        self.signs: Counter[str] = Counter()
        """Hits by the sign of a row of the catalogue, `harness.fault_signs`."""
        self._rows = rows()  # now: each fault's module, imported as it first strikes, would look like a leak
        self._server_table = server.session.TRANSITIONS
        self._device_table = dict(device_states.TRANSITIONS)
        self._server = CountedTable(self._server_table)
        self._device = {state: CountedTable(moves) for state, moves in self._device_table.items()}
        _put_server_table(self._server)
        device_states.TRANSITIONS.update(self._device)

    def close(self) -> None:
        """Counts no more."""
        _put_server_table(self._server_table)
        device_states.TRANSITIONS.update(self._device_table)

    def memory(self) -> dict[str, Any]:
        """The hits so far, for `recall`."""
        return {
            "faults": dict(self.faults),
            "signs": dict(self.signs),
            "people": dict(self.people),
            "server": [[*key, hits] for key, hits in sorted(self._server.hits.items())],
            "device": [
                [state.name, event.name, hits]
                for state, table in self._device.items()
                for event, hits in sorted(table.hits.items(), key=lambda item: item[0].name)
            ],
        }

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Count on from the hits of `memory`."""
        self.faults.update(memory["faults"])
        self.signs.update(memory["signs"])
        self.people.update(memory["people"])
        for *key, hits in memory["server"]:
            self._server.hits[tuple(key)] += hits
        for state, event, hits in memory["device"]:
            self._device[State[state]].hits[Event[event]] += hits

    def table(self) -> dict[str, dict[str, int]]:
        """Hits by name: `catalogue` (all rows), `faults` (by step of the protocol), `server`, `device`, `people`."""
        catalogue = {f"{row.layer}: {row.name}": self.signs[row.sign] for row in self._rows}
        server_hits = {
            f"{state} -- {event} -> {target}": self._server.hits[state, event]
            for (state, event), target in self._server_table.items()
        }
        device_hits = {
            f"{state.value} -- {event.name.lower()} -> {target.value}": self._device[state].hits[event]
            for state, moves in self._device_table.items()
            for event, target in moves.items()
        }
        return {
            "catalogue": catalogue,
            "faults": dict(sorted(self.faults.items())),
            "server": server_hits,
            "device": device_hits,
            "people": dict(self.people),
        }


def _put_server_table(table: Any) -> None:
    """`move` looks its table up by name at each move."""
    vars(server.session)["TRANSITIONS"] = table
