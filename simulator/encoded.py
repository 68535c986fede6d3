"""The payloads of a fleet's messages: chunks are written into prepared JSON, everything else by the codec. Pure.

The same bytes as `server.wire.codec.encode_device_message` gives, which a test holds; a third of its cost.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable

import msgspec

from server.wire.codec import dialect_called, encode_device_message
from server.wire.messages import DeviceMessage
from server.wire.topics import Channel, topic_of
from simulator.device_messages import chunk_message
from simulator.effects import PublishChunks
from simulator.profile import Profile


class Encoder:
    """Payloads and topics of the cameras of one profile; `base64_of(jpeg, index)` may know chunks in pieces."""

    def __init__(self, profile: Profile, base64_of: Callable[[bytes, int], tuple[bytes, ...]] | None = None) -> None:
        self.dialect = dialect_called(profile.dialect)
        self._profile = profile
        self._quirks = profile.encoding_quirks
        self._chunk_bytes = profile.chunk_size_bytes
        self._first_id = self.dialect.first_chunk_id
        self._base64_of = base64_of or self._base64
        self._is_base64 = self.dialect.payload_form == "base64"

    def message(self, device_id: str, message: DeviceMessage) -> tuple[str, bytes]:
        """Topic and payload of one message."""
        channel, payload = encode_device_message(message, self.dialect, self._quirks)
        return topic_of(self.dialect.family, device_id, channel), payload

    def data_topic(self, device_id: str) -> str:
        """Where a device's chunks go."""
        return topic_of(self.dialect.family, device_id, Channel.DATA)

    def chunks(self, device_id: str, publish: PublishChunks) -> list[bytes]:
        """The payloads of these chunks, in order."""
        if not self._is_base64:
            return [self._by_codec(device_id, publish, index) for index in self._indexes(publish)]
        base64_of, jpeg, first_id = self._base64_of, publish.jpeg, self._first_id
        who = msgspec.json.encode(device_id) + b',"image_name":' + msgspec.json.encode(publish.image_name)
        head = b'{"device_id":' + who + b',"chunk_id":'
        middle = b',"max_chunk_size":%d,"payload":"' % self._chunk_bytes
        return [
            b"".join((head, b"%d" % (index + first_id), middle, *base64_of(jpeg, index), b'"}'))
            for index in self._indexes(publish)
        ]

    def _base64(self, jpeg: bytes, index: int) -> tuple[bytes, ...]:
        start = index * self._chunk_bytes
        return (b2a_base64(jpeg[start : start + self._chunk_bytes], newline=False),)

    def _indexes(self, publish: PublishChunks) -> range:
        return range(publish.first_index, publish.first_index + publish.count)

    def _by_codec(self, device_id: str, publish: PublishChunks, index: int) -> bytes:
        chunk = chunk_message(device_id, publish.image_name, publish.jpeg, index, self._profile)
        return encode_device_message(chunk, self.dialect, self._quirks)[1]
