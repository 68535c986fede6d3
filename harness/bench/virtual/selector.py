"""When the clock may jump: no callback is ready, no socket is readable, and nothing real is outstanding."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from harness.errors import InternalError

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

BUSY_TURNS_MAX: Final = 256
BUSY_WAIT_S: Final = 0.1

Events = list[tuple[selectors.SelectorKey, int]]


class StallError(InternalError):
    """Something real did not answer in real time while virtual time stood still."""


class DeadlockError(InternalError):
    """Nothing can happen any more: no timer, nothing outstanding, and somebody waits."""


class VirtualSelector(selectors.BaseSelector):
    """A selector that moves a virtual clock instead of sleeping.

    Real sockets are looked at only when nothing else can run, so that an answer arrives at a defined point; a spin of
    ready callbacks is broken every BUSY_TURNS_MAX turns.
    """

    def __init__(
        self,
        *,
        outstanding: Callable[[], int],
        jump: Callable[[], bool],
        dump: Callable[[], str],
        stall_after_s: float,
        audit_s: float = 0.0,
    ) -> None:
        self._real = selectors.DefaultSelector()
        self._outstanding, self._jump, self._dump = outstanding, jump, dump
        self._stall_after_s, self._audit_s = stall_after_s, audit_s
        self._order: dict[int, int] = {}
        self._registered = 0
        self._busy_turns = 0
        self.is_virtual = True
        self.polls = self.jumps = self.false_jumps = 0
        self.real_wait_s = 0.0

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.register(fileobj, events, data)
        self._registered += 1
        self._order[key.fd] = self._registered
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def close(self) -> None:
        self._real.close()

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def select(self, timeout: float | None = None) -> Events:
        if timeout is not None and timeout <= 0:
            return self._busy()
        self._busy_turns = 0
        if self.is_virtual and self._outstanding():
            events = self._poll(self._stall_after_s)
            if not events:
                raise StallError(
                    f"no answer for {self._stall_after_s:g} s of real time\n{self._dump()}",
                    hint="virtual time stands still while PostgreSQL works; is it locked, stopped or overloaded?",
                )
            return events
        events = self._poll(0)
        if events or not self.is_virtual:
            return events
        if self._audit_s and timeout is not None:
            events = self._poll(self._audit_s)
            if events:
                self.false_jumps += 1
                return events
        if not self._jump():
            raise DeadlockError(f"nothing can happen any more\n{self._dump()}")
        self.jumps += 1
        return []

    def _busy(self) -> Events:
        self._busy_turns += 1
        if self._busy_turns < BUSY_TURNS_MAX:
            return []
        self._busy_turns = 0
        return self._poll(BUSY_WAIT_S if self._outstanding() else 0)

    def _poll(self, wait_s: float) -> Events:
        self.polls += 1
        if wait_s:
            began = perf_counter()
            events = self._real.select(wait_s)
            self.real_wait_s += perf_counter() - began
        else:
            events = self._real.select(0)
        if len(events) > 1:
            events.sort(key=lambda event: self._order[event[0].fd])
        return events
