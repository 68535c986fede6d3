"""A multipart form with one file, read within limits, in memory: nothing of it touches the disk before it is judged."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from server.hashing import HASH_PATTERN, compute_sha256_from_bytes, validate_hash
from server.projects import FILE_NAME_CHARS_MAX, UPLOAD_SIZE_BYTES_MAX, Upload
from server.web.problems import Problem
from server.wire.states import ImageStyle

FORM_BYTES_MAX: Final = UPLOAD_SIZE_BYTES_MAX + 262_144
"""The file, its headers and the other fields."""

_FIELD_BYTES_MAX: Final = 4_096
_FIELDS_MAX: Final = 16
_STYLES: Final = [style.value for style in ImageStyle]

REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {
                        "type": "string",
                        "format": "binary",
                        "maxLength": UPLOAD_SIZE_BYTES_MAX,
                        "description": f"A JPEG, PNG or WebP; its file name has 1 to {FILE_NAME_CHARS_MAX} characters.",
                    },
                    "style": {
                        "type": "array",
                        "items": {"type": "string", "enum": _STYLES},
                        "uniqueItems": True,
                        "minItems": 1,
                        "default": [ImageStyle.ORIGINAL.value],
                        "description": "One image is made in each of these styles; all refer to one original.",
                    },
                    "sha256": {
                        "type": "string",
                        "pattern": HASH_PATTERN,
                        "description": "What the sender says the bytes hash to.",
                    },
                    "size_bytes": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": UPLOAD_SIZE_BYTES_MAX,
                        "description": "What the sender says the file's size is.",
                    },
                },
            },
            "encoding": {"style": {"style": "form", "explode": True}},
        }
    },
}
"""The form, for OpenAPI."""


class _InMemory(MultiPartParser):
    spool_max_size = FORM_BYTES_MAX + 1


async def upload_of(request: Request) -> Upload:
    """The upload that a request carries; raises Problem."""
    form = await _form(request)
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1 or not isinstance(form.get("file"), UploadFile):
            raise Problem(422, "the form needs exactly one file, in its field `file`")
        unknown = sorted(set(form) - {"file", "style", "sha256", "size_bytes"})
        if unknown:
            raise Problem(422, f"the form has no field {unknown[0][:80]!r}: file, style, sha256, size_bytes")
        data = await files[0].read()
        sha256 = _one(form, "sha256")
        return Upload(
            file_name=files[0].filename or "",
            data=data,
            styles=_styles(form),
            sha256=None if sha256 is None else validate_hash(sha256),
            size_bytes=_size(_one(form, "size_bytes")),
        )
    finally:
        await form.close()


def said_of(upload: Upload) -> list[str]:
    """What tells an upload from another one to the same place."""
    said = [upload.file_name, compute_sha256_from_bytes(upload.data), *(style.value for style in upload.styles)]
    return [*said, str(upload.sha256), str(upload.size_bytes)]


async def _form(request: Request) -> FormData:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Problem(415, "send multipart/form-data with a field `file`")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > FORM_BYTES_MAX:
        raise Problem(413, f"{announced} bytes, at most {FORM_BYTES_MAX} are taken")
    parser = _InMemory(
        request.headers,
        _bounded(request.stream()),
        max_files=1,
        max_fields=_FIELDS_MAX,
        max_part_size=_FIELD_BYTES_MAX,
    )
    try:
        return await parser.parse()
    except (MultiPartException, FormParserError, UnicodeError, LookupError) as error:
        words = error.message if isinstance(error, MultiPartException) else str(error)
        raise Problem(400, f"not a multipart form, or its file name is beyond 4 KiB: {words[:200]}") from None


async def _bounded(stream: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    size_bytes = 0
    async for part in stream:
        size_bytes += len(part)
        if size_bytes > FORM_BYTES_MAX:
            raise Problem(413, f"more than {FORM_BYTES_MAX} bytes")
        yield part


def _styles(form: FormData) -> list[ImageStyle]:
    given = [value for value in form.getlist("style") if isinstance(value, str)] or [ImageStyle.ORIGINAL.value]
    for style in given:
        if style not in _STYLES:
            raise Problem(422, f"no style is called {style[:80]!r}: {', '.join(_STYLES)}")
    return [ImageStyle(style) for style in given]


def _one(form: FormData, name: str) -> str | None:
    values = form.getlist(name)
    if len(values) > 1:
        raise Problem(422, f"{name} is given {len(values)} times")
    return str(values[0]) if values else None


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise Problem(422, f"size_bytes is {text[:40]!r}: a whole number of bytes, at most 12 digits")
    return int(text)
