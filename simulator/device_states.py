"""The device's states, what can happen in each, and the table of transitions, which is also drawn in the docs.

A pair that is missing in the table means: in that state the device doesn't hear it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where a device is in its wake cycle."""

    __hash__ = object.__hash__  # Enum's own is a call of Python's, and the table is asked two dozen times a wake

    OFF = "off"
    SLEEPING = "sleeping"
    CONNECTING = "connecting"
    JOINING = "joining"
    AWAITING_ANSWER = "awaiting_answer"
    SENDING = "sending"
    AWAITING_ACK = "awaiting_ack"
    LINGERING = "lingering"
    HUNG = "hung"


class Event(Enum):
    """What moves it on; the value is the text on the arrow."""

    __hash__ = object.__hash__

    WOKEN = "timer, button or power"
    WIFI_UP = "Wi-Fi is up"
    TRY_FAILED = "try failed, tries left"
    GAVE_UP = "no tries left: photo kept on the card"
    LINK_UP = "MQTT is up: HELLO"
    LINK_AGAIN = "link lost, may reconnect"
    WORK_GIVEN = "told to capture or to send"
    ALL_SENT = "last message sent"
    ACKED = "final ACK_OK"
    WAIT_OVER = "wait over or link lost"
    TOLD_TO_SLEEP = "told to sleep"
    HANGS = "error, and this firmware hangs"
    POWER_LOST = "power lost"
    RESET = "reset, watchdog"


_AWAKE: Final = {Event.POWER_LOST: State.OFF, Event.RESET: State.OFF}
_LISTENING: Final = _AWAKE | {
    Event.WORK_GIVEN: State.SENDING,
    Event.TOLD_TO_SLEEP: State.SLEEPING,
    Event.WAIT_OVER: State.SLEEPING,
}
_WANTING: Final = _LISTENING | {Event.LINK_AGAIN: State.JOINING, Event.HANGS: State.HUNG}

TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    State.OFF: {Event.WOKEN: State.CONNECTING},
    State.SLEEPING: {Event.WOKEN: State.CONNECTING, Event.POWER_LOST: State.OFF, Event.RESET: State.OFF},
    State.CONNECTING: _AWAKE
    | {
        Event.WIFI_UP: State.JOINING,
        Event.TRY_FAILED: State.CONNECTING,
        Event.GAVE_UP: State.SLEEPING,
        Event.HANGS: State.HUNG,
    },
    State.JOINING: _AWAKE
    | {
        Event.LINK_UP: State.AWAITING_ANSWER,
        Event.TRY_FAILED: State.JOINING,
        Event.GAVE_UP: State.SLEEPING,
        Event.HANGS: State.HUNG,
    },
    State.AWAITING_ANSWER: _WANTING,
    State.SENDING: _WANTING | {Event.ALL_SENT: State.AWAITING_ACK, Event.ACKED: State.LINGERING},
    State.AWAITING_ACK: _WANTING | {Event.ACKED: State.LINGERING},
    State.LINGERING: _LISTENING | {Event.ACKED: State.LINGERING},
    State.HUNG: _AWAKE,
}

ONLINE: Final = frozenset(state for state, heard in TRANSITIONS.items() if Event.WORK_GIVEN in heard)
"""States in which messages of the server are read."""
