"""The always-on checks: one property a file, a pure function `check(evidence) -> list[Violation]`.

None knows another. A check that crashes makes the verdict ERROR, never PASS. Start a new one as a copy of `noop` and a
line in `CATALOGUE`.
"""

from __future__ import annotations

from typing import Final

CATALOGUE: Final[dict[str, str]] = {
    "no_lost_image": "every photo is stored once the faults have healed",
    "no_doubled_image": "no photo is stored twice, and none that was not taken",
    "no_damaged_image": "the stored bytes are the captured bytes (SHA-256)",
    "released_is_stored": "what a device let go of is stored, with the same bytes",
    "one_row_per_capture": "each capture has exactly one row",
    "received_chunks_match": "received_chunks equals the chunks there, and never fell",
    "states_legal": "states, sessions and payloads tell one story",
    "acked_after_commit": "nothing was acknowledged before its COMMIT",
    "judge_sees_all": "the reader counts what the owner counts",
    "noop": "holds always: the template for a new check",
}
"""Name -> the property that holds."""

ALL: Final = tuple(name for name in CATALOGUE if name != "noop")
