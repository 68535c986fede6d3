"""The wire's front door: bytes to messages and back, both directions (see `uplink`, `downlink`, `fields`)."""

from server.wire.dialects import DIALECTS, Dialect
from server.wire.downlink import decode_reply, encode_reply, wake_time_after, wake_time_text
from server.wire.errors import LocalProtocolError, RemoteProtocolError
from server.wire.fields import REFUSALS, parsed_timestamp
from server.wire.messages import Chunk
from server.wire.uplink import decode, encode_device_message

__all__ = [
    "REFUSALS",
    "chunk_index_of",
    "decode",
    "decode_reply",
    "dialect_called",
    "encode_device_message",
    "encode_reply",
    "parsed_timestamp",
    "wake_time_after",
    "wake_time_text",
]


def chunk_index_of(chunk: Chunk, dialect: Dialect) -> int:
    """0-based index of a chunk; raises RemoteProtocolError for a `chunk_id` below the dialect's first."""
    index = chunk.chunk_id - dialect.first_chunk_id
    if index < 0:
        raise RemoteProtocolError("bad_number", f"chunk_id {chunk.chunk_id} in dialect {dialect.name}")
    return index


def dialect_called(name: str) -> Dialect:
    """The dialect of that name; raises LocalProtocolError where there is none."""
    if name not in DIALECTS:
        raise LocalProtocolError(f"no dialect {name!r}; there are {', '.join(DIALECTS)}")
    return DIALECTS[name]
