"""Every limit of the wire, named, with its unit and the reason for its value."""

from typing import Final

TOPIC_LENGTH_CHARS_MAX: Final = 256
"""Longest topic that is looked at; the protocol's own topics stay below 64."""

PAYLOAD_SIZE_BYTES_MAX: Final = 1_048_576
"""Largest MQTT payload that is decoded. The field's chunks are about 1.4 kB; a byte-list of 64 KiB is 330 kB."""

DEVICE_ID_LENGTH_CHARS_MAX: Final = 64
"""Longest device id; a MAC has 12, `VIRTUAL:` ids are longer."""

IMAGE_NAME_LENGTH_CHARS_MAX: Final = 128
"""Longest image name; `image_1762625082788.jpg` has 23."""

IMAGE_SIZE_BYTES_MAX: Final = 32_000_000
"""Quota of an image. A UXGA JPEG of an OV5640 at best quality stays below 2 MB."""

CHUNK_COUNT_MAX: Final = 65_535
"""Quota of an image's chunks: 32 MB in chunks of 512 bytes."""

MISSING_NOTED_MAX: Final = 1_024
"""Missing chunks whose numbers a wake session keeps, the first ones: it is written again with every batch of chunks."""

CHUNK_SIZE_BYTES_MAX: Final = 65_536
"""Largest decoded chunk. The field uses 1,024; ESP-MQTT buffers rarely go above 16 KiB."""

PENDING_LIST_NAMES_MAX: Final = 10
"""Names in `pending_list`; the newest firmware cuts its list there."""

PENDING_COUNT_MAX: Final = 100_000
"""Largest credible `pendingImg`; an SD card of 32 GB holds fewer images."""

IMAGE_PIXELS_MAX: Final = 8_000_000
"""Largest picture that is decoded (pixels); UXGA has 1.9 million, 5 MP sensors 5 million."""

MISSING_ROUNDS_PER_WAKE_MAX: Final = 3
"""Rounds of `missing_chunks` the server asks for in one wake; then the next wake goes on."""

WAKE_HORIZON_MS: Final = 24 * 3_600_000
"""The wire's wake times carry no date, so nothing beyond 24 hours can be said."""

PAYLOAD_TEXT_LENGTH_CHARS_MAX: Final = 512
"""Longest free text in a message (location, versions)."""

QUARANTINE_PAYLOAD_BYTES_MAX: Final = 4_096
"""How much of a refused payload is kept: enough to see what it was."""
