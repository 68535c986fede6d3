"""Why a row of the hits table stays zero: what a soak can not do, or meets by rare luck only. Pure."""

from __future__ import annotations

from typing import Final

from simulator.catalogue import rows

_OUTLASTS: Final = "a wake must last until the next one is due: soak with a short --wake-every"
_UNMAPPED: Final = "somebody must unmap the camera in the middle of its wake, and its HELLO be answered once more"
_MOMENT: Final = "the state lasts for milliseconds, and the fault must begin in them"
_TWICE: Final = "a second fault must come in the seconds in which the camera waits for an ACK that the first one took"

MOVES: Final[dict[str, str]] = {
    "failed -- done -> complete": _OUTLASTS,
    "failed -- metadata -> metadata_received": _OUTLASTS,
    "failed -- silence -> failed": _OUTLASTS,
    "snap_sent -- done -> complete": "a photo on demand must fail, and the camera send older ones in that wake",
    "hello_received -- done -> complete": "no answer to its HELLO leaves, and all that it sends is stored already",
    "ack_sent -- done -> complete": "its new photo must fail, and it send older ones in that wake",
    "hello_received -- retry -> ack_pending_sent": "a command must name another photo than the one that goes on anyway",
    "new -- unannounced -> hello_received": "the server must be away for longer than a session's silence, and no more",
    "awaiting_ack -- hangs -> hung": _TWICE,
    "awaiting_ack -- link_again -> joining": _TWICE,
    "awaiting_ack -- power_lost -> off": _TWICE,
    "awaiting_ack -- reset -> off": _TWICE,
    "awaiting_ack -- told_to_sleep -> sleeping": _UNMAPPED,
    "sending -- told_to_sleep -> sleeping": _UNMAPPED,
    "lingering -- told_to_sleep -> sleeping": _UNMAPPED,
    "lingering -- reset -> off": "the reset must come in the second after the final ACK",
    "connecting -- reset -> off": "the reset must come in the 0.4 s in which the camera looks for its network",
    "joining -- reset -> off": _MOMENT,
    "joining -- power_lost -> off": _MOMENT,
    "joining -- hangs -> hung": "firmware that hangs must find Wi-Fi and no broker",
    "hung -- power_lost -> off": "firmware that hangs must do so, and its battery die before its watchdog bites",
}
"""Move of a state machine -> what it needs. One that is neither here nor hit has not been tried yet, by mere luck."""


def reason(part: str, name: str, *, devices: int, chunk_size_bytes: int, is_processes: bool) -> str:
    """Why that row of that part of the table may stay zero in such a soak; empty where nothing stands against it."""
    if part in ("server", "device"):
        return MOVES.get(name, "")
    words = name.replace(": ", " ").split(" ")
    if devices < 2 and "herd" in words:
        return "one camera is no herd"
    if chunk_size_bytes < 1_000 and "corrupt_bytes" in words:
        return "chunks below 1 kB: a flipped byte might not be one of the image's"
    if is_processes and ("joins" in words or "two_servers" in words):
        return "only the embedded bench of a soak has a second server"
    if is_processes:
        for row in rows():
            if row.not_processes and row.name in (words[-1], "_".join(words)):
                return row.not_processes
    return ""
