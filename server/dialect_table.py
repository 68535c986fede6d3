"""Writes the dialects as one table: `python -m server.dialect_table` writes docs/dialects.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.wire.dialects import DIALECTS, Dialect, default_dialect
from server.wire.topics import Channel, Family, topic_of

PAGE: Final = Path("docs") / "dialects.md"

_HEAD: Final = """# Dialects

Generated from `server/wire/dialects.py` by `python -m server.dialect_table`; a test keeps it current. Each column is
one firmware generation. The server reads every dialect's keys from any device; it answers in the dialect that the
device's last metadata showed (`devices.protocol_version`), before that in the default of its topic family.

"""

_ROWS: Final[dict[str, Callable[[Dialect], str]]] = {
    "device's topics": lambda d: f"`{topic_of(d.family, '{MAC}', Channel.STATUS)}`, `.../data`, `.../cmd`, `.../ack`",
    "time of the capture": lambda d: f"`{d.time_key}`",
    "bytes of a chunk": lambda d: f"`{d.chunk_size_key}`",
    "number of chunks": lambda d: f"`{d.chunk_count_key}`",
    "sensor readings": lambda d: "inside `sensor_data`" if d.sensors_nested else "at the top",
    "first `chunk_id`": lambda d: str(d.first_chunk_id),
    "`payload` of a chunk": lambda d: "base64 text" if d.payload_form == "base64" else "list of byte values",
    '`"ACK_OK": {}` means': lambda d: "go on with this image" if d.empty_ack_ok_means == "go_on" else "done",
    "`pending_list` in HELLO": lambda d: "yes" if d.sends_pending_list else "no",
    "backlog is asked for by": lambda d: f"`{d.backlog_by}`",
    "retry goes out as": lambda d: (
        "`send_image`" if d.retry_by == "send_image" else f"`{topic_of(Family.DEVICE, '{MAC}', Channel.RETRY)}`"
    ),
    "`image_sha256` in metadata": lambda d: "yes" if d.sends_sha256 else "no",
    "missing chunks asked for after": lambda d: f"{d.quiet_ms / 1000:g} s of silence",
    "session ends after": lambda d: f"{d.session_silence_ms / 1000:g} s of silence",
}


def page() -> str:
    """The whole page."""
    dialects = list(DIALECTS.values())
    defaults = [f"- `{family}/...`: `{name}`" for family, name in _defaults().items()]
    rows = [
        f"| | {' | '.join(dialect.name for dialect in dialects)} |",
        "|---" * (len(dialects) + 1) + "|",
        *(f"| {title} | {' | '.join(said(dialect) for dialect in dialects)} |" for title, said in _ROWS.items()),
    ]
    return _HEAD + "\n".join(rows) + "\n\nDefaults of the topic families:\n\n" + "\n".join(defaults) + "\n"


def _defaults() -> dict[str, str]:
    return {family.value: default_dialect(family).name for family in Family}


def main(argv: list[str]) -> int:
    """Write the page below the folder given, else below the current one."""
    target = Path(argv[0] if argv else ".") / PAGE
    target.parent.mkdir(exist_ok=True)
    target.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
