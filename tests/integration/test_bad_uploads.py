"""Uploads that lie, bomb or lead astray: refused with problem details, and nothing of them is kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.hashing import compute_sha256_from_bytes
from server.web.bodies import BODY_BYTES_MAX
from tests.conftest import Database
from tests.support.originals_world import Rig, jpeg, run

pytestmark = pytest.mark.postgres

PHOTO = jpeg(1)
HASH = compute_sha256_from_bytes(PHOTO)


def _bomb() -> bytes:
    """A PNG of 60,000 x 60,000 black pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10_000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "name", "said", "words"),
    [
        (b"", "a.jpg", {}, "0 bytes"),
        (b"GIF89a", "a.gif", {}, "no JPEG, PNG or WebP that decodes: the bytes begin like none of them"),
        (PHOTO[:-200], "a.jpg", {}, "no JPEG, PNG or WebP that decodes"),
        (_bomb(), "a.png", {}, "pixels"),
        (PHOTO, "n" * 65_535, {}, "beyond 4 KiB"),
        (PHOTO, "n" * 256, {}, "256 characters"),
        (PHOTO, "../../etc/passwd", {}, "is a path"),
        (PHOTO, "..\\a.jpg", {}, "is a path"),
        (PHOTO, "..", {}, "is a path"),
        (PHOTO, "a.jpg", {"sha256": "xyz"}, "64 hex digits"),
        (PHOTO, "a.jpg", {"sha256": HASH.upper()}, "64 hex digits"),
        (PHOTO, "a.jpg", {"sha256": "0" * 64}, "were said to have"),
        (PHOTO, "a.jpg", {"size_bytes": str(len(PHOTO) + 1)}, "was said to have"),
        (PHOTO, "a.jpg", {"size_bytes": "-1"}, "whole number"),
        (PHOTO, "a.jpg", {"style": "sepia"}, "no style is called 'sepia'"),
        (PHOTO, "a.jpg", {"style": ["original", "original"]}, "each style is given once"),
        (PHOTO, "a.jpg", {"colour": "red"}, "no field 'colour'"),
        (PHOTO + bytes(17_000_000), "a.jpg", {}, "16777216 are taken"),
        (PHOTO + bytes(18_000_000), "a.jpg", {}, "at most"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:24],
)
def test_bad_uploads_are_refused_whole(
    migrated_database: Database, tmp_path: Path, data: bytes, name: str, said: dict[str, Any], words: str
) -> None:
    async def body(rig: Rig) -> None:
        project_id = await rig.project()
        answer = await rig.http.post(
            f"/api/v1/projects/{project_id}/images", files={"file": (name, data, "image/jpeg")}, data=said
        )
        assert answer.status_code in (400, 413, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert words in answer.json()["detail"], answer.json()
        assert await rig.keys() == set()
        assert await rig.rows("SELECT * FROM images") == []

    run(migrated_database.dsn("ws_server"), tmp_path, body)


async def _pieces(size_bytes: int) -> AsyncIterator[bytes]:
    """A body whose length nobody announces."""
    for _ in range(0, size_bytes, 65_536):
        yield b"[" * 65_536


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "content", "status", "words"),
    [
        (JSON, b'{"name": "x"', 422, "the body is no JSON: Expecting ',' delimiter at character 12"),
        (JSON, b'{"name": "\xff"}', 400, "no JSON in UTF-8"),
        (JSON, b"[" * 300_000, 400, "nested too deep"),
        ({"content-type": "text/plain"}, b"x", 422, "send the body as content-type: application/json, not text/plain"),
        (JSON, b"[" * (BODY_BYTES_MAX + 1), 413, f"the body has {BODY_BYTES_MAX + 1} bytes; at most {BODY_BYTES_MAX}"),
        (JSON, None, 413, f"the body has more than {BODY_BYTES_MAX} bytes"),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a" * 70_000, 415, "files go as multipart/form-data"),
    ],
    ids=["broken", "not UTF-8", "deep", "text", "announced as too large", "too large unannounced", "large form"],
)
def test_bad_bodies_are_refused_with_what_is_right(
    migrated_database: Database, tmp_path: Path, headers: dict[str, str], content: bytes | None, status: int, words: str
) -> None:
    async def body(rig: Rig) -> None:
        sent: Any = _pieces(2 * BODY_BYTES_MAX) if content is None else content
        answer = await rig.http.post("/api/v1/projects", content=sent, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
        assert words in answer.json()["detail"]
        assert await rig.rows("SELECT * FROM projects") == []

    run(migrated_database.dsn("ws_server"), tmp_path, body)
