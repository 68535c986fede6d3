"""HTTP API of videos that come in parts (seed 004): initiate, parts, complete, abort, status."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, FastAPI, Header, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, field_validator
from starlette.requests import ClientDisconnect

from server.hashing import HASH_PATTERN
from server.jobs import JobConflict
from server.video_parts import (
    NOTES_CHARS_MAX,
    PART_SIZE_BYTES_MAX,
    PART_SIZE_BYTES_MIN,
    PARTS_MAX,
    VIDEO_SIZE_BYTES_MAX,
    DuplicateVideo,
    NewUpload,
    Part,
    UploadConflict,
    VideoUpload,
)
from server.videos import NAME_CHARS_MAX, Video
from server.web.problems import Problem, problem_response, problems
from server.web.visible import is_visible
from server.web.writes import IdempotencyKey, once_for
from server.wire.states import UploadState

if TYPE_CHECKING:
    from server.app import App

_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The part's bytes, exactly as many as the upload says.",
    "content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary", "maxLength": PART_SIZE_BYTES_MAX}}
    },
}
Sha256 = Annotated[str, Field(pattern=HASH_PATTERN, description="SHA-256 of the whole video, lower-case hex.")]
ContentDigest = Annotated[
    str | None,
    Header(
        alias="Content-Digest",
        pattern=r"^sha-256=:[A-Za-z0-9+/]{43}=:$",
        description="SHA-256 of the part's bytes (RFC 9530); bytes that differ are refused.",
    ),
]


class InitiateUpload(BaseModel):
    """What the sender says of a video. The size is binding; the checksum is compared with the bytes at the end."""

    model_config = ConfigDict(extra="forbid")
    pin_id: UUID
    filename: str = Field(min_length=1, max_length=NAME_CHARS_MAX, description="A bare name, no path.")
    size_bytes: int = Field(ge=1, le=VIDEO_SIZE_BYTES_MAX)
    part_size_bytes: int | None = Field(None, ge=PART_SIZE_BYTES_MIN, le=PART_SIZE_BYTES_MAX)
    checksum_sha256: Sha256 | None = None
    recorded_at: AwareDatetime | None = Field(None, description="When the camera recorded it, with a time zone.")
    operator_notes: str | None = Field(None, max_length=NOTES_CHARS_MAX, pattern=r"^[^\x00]*$")
    uploaded_by_user_id: UUID | None = None

    @field_validator("filename", "operator_notes")
    @classmethod
    def _can_be_stored(cls, text: str | None) -> str | None:
        (text or "").encode()  # a lone surrogate can't be
        return text

    @field_validator("recorded_at")
    @classmethod
    def _can_be_meant(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and not 1970 <= moment.year <= 2200:
            raise ValueError("a year from 1970 to 2200 is meant")
        return moment


class CompleteUpload(BaseModel):
    """What may be said at the end."""

    model_config = ConfigDict(extra="forbid")
    checksum_sha256: Sha256 | None = None


class PlannedPart(BaseModel):
    """One part: where its bytes are in the video, and where they go. With a hash it is here."""

    part_number: int
    offset_bytes: int
    size_bytes: int
    sha256: str | None
    url: str


class UploadAnswer(BaseModel):
    """How far an upload is. It expires where nothing comes until `expires_at`; once ended it lists no parts."""

    video_id: UUID
    state: UploadState
    size_bytes: int
    part_size_bytes: int
    received_bytes: int
    missing_parts: list[int]
    parts: list[PlannedPart]
    expires_at: datetime


def upload_routes(app: App, prefix: str) -> APIRouter:
    """Uploads; `prefix` stands before every path of the API."""
    router = APIRouter(prefix="/videos", tags=["video uploads"])
    refusals = problems(404, 409, 422, 503)

    def answered(upload: VideoUpload) -> UploadAnswer:
        place = f"{prefix}/videos/{upload.video_id}/upload/parts"
        parts = [PlannedPart(**asdict(part), url=f"{place}/{part.part_number}") for part in upload.parts]
        return UploadAnswer(**(asdict(upload) | {"parts": parts}))

    replayed = Annotated[VideoUpload, PlainSerializer(answered)]

    @router.post("/uploads", status_code=201, responses=problems(400, 404, 409, 422, 503))
    async def initiate_upload(
        request: Request, new: InitiateUpload, idempotency_key: IdempotencyKey = None
    ) -> UploadAnswer:
        await _check_named(app, new)
        said = new.model_dump(exclude={"checksum_sha256"})
        once = await once_for(app, request, idempotency_key, 201, replayed, new.model_dump_json())
        upload = await app.videos.uploads.initiate(NewUpload(**said, sha256=new.checksum_sha256), once)
        if upload is None:
            raise Problem(404, f"no pin {new.pin_id}")
        return answered(upload)

    @router.get("/{video_id}/upload", responses=problems(404, 422, 503))
    async def get_upload(video_id: UUID) -> UploadAnswer:
        upload = await app.videos.uploads.status(video_id)
        if upload is None:
            raise Problem(404, f"no upload {video_id}")
        return answered(upload)

    @router.put(
        "/{video_id}/upload/parts/{part_number}",
        responses=problems(400, 404, 409, 413, 415, 422, 503),
        openapi_extra={"requestBody": _BODY},
    )
    async def put_part(
        request: Request,
        video_id: UUID,
        part_number: Annotated[int, Path(ge=1, le=PARTS_MAX)],
        content_digest: ContentDigest = None,
    ) -> Part:
        size_bytes = await app.videos.uploads.expected_part(video_id, part_number)
        if size_bytes is None:
            raise Problem(404, f"no upload {video_id}")
        data = await _body(request, size_bytes, part_number)
        _check_digest(content_digest, data)
        part = await app.videos.uploads.put_part(video_id, part_number, data)
        if part is None:
            raise Problem(404, f"no upload {video_id}")
        return part

    @router.post("/{video_id}/upload/complete", responses=problems(400, 404, 409, 422, 503))
    async def complete_upload(video_id: UUID, said: CompleteUpload | None = None) -> Video:
        video = await app.videos.uploads.complete(video_id, None if said is None else said.checksum_sha256)
        if video is None:
            raise Problem(404, f"no upload {video_id}")
        app.metrics.uploads.labels("video").inc()
        app.videos.watch.wake()
        return video

    @router.delete("/{video_id}/upload", status_code=204, responses=refusals)
    async def abort_upload(video_id: UUID) -> Response:
        if await app.videos.uploads.abort(video_id) is None:
            raise Problem(404, f"no upload {video_id}")
        return Response(status_code=204)

    return router


def add_conflicts(api: FastAPI) -> None:
    """409 with what helps: the video that is there, the parts that are missing."""

    @api.exception_handler(DuplicateVideo)
    async def duplicate(_: Request, error: DuplicateVideo) -> JSONResponse:
        return problem_response(409, str(error), existing_video_id=str(error.video_id))

    @api.exception_handler(UploadConflict)
    async def conflict(_: Request, error: UploadConflict) -> JSONResponse:
        if not error.missing:
            return problem_response(409, str(error))
        return problem_response(409, str(error), missing_parts=list(error.missing))

    @api.exception_handler(JobConflict)
    async def job(_: Request, error: JobConflict) -> JSONResponse:
        return problem_response(409, str(error))


async def _check_named(app: App, new: InitiateUpload) -> None:
    """Raises Problem where the pin or the user that a body names is not there for the company of who sends it."""
    for name, key in (("pin_id", new.pin_id), ("user_id", new.uploaded_by_user_id)):
        if key is not None and not await is_visible(app, "", name, key):
            raise Problem(404, f"no {name.removesuffix('_id')} {key}")


async def _body(request: Request, size_bytes: int, part_number: int) -> bytes:
    """The bytes of a part; not one more is read than it may have. A sender that is cut off has sent nothing."""
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind != "application/octet-stream":
        raise Problem(415, f"send the part as application/octet-stream, not {kind[:80]}")
    data = bytearray()
    try:
        async for block in request.stream():
            data += block
            if len(data) > size_bytes:
                raise Problem(413, f"part {part_number} has more than the {size_bytes} bytes that are expected")
    except ClientDisconnect:
        raise Problem(400, f"the connection broke after {len(data)} of {size_bytes} bytes: send it again") from None
    if len(data) != size_bytes:
        raise Problem(422, f"part {part_number} has {len(data)} bytes; {size_bytes} are expected")
    return bytes(data)


def _check_digest(header: str | None, data: bytes) -> None:
    if header is None:
        return
    try:
        said = base64.b64decode(header.removeprefix("sha-256=:").removesuffix(":"), validate=True)
    except binascii.Error:
        raise Problem(422, "header.Content-Digest: sha-256=:<base64>: is expected") from None
    if said != hashlib.sha256(data).digest():
        raise Problem(422, "the part's bytes do not have the hash that Content-Digest says: send it again")
