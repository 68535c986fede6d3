"""Projects and their images: uploads in styles that refer to one original, soft and hard deletion (seed 003)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from server.hashing import compute_sha256_from_bytes
from server.ids import IdSource
from server.objects import StoreFailed, object_key
from server.offload import Offload, WorkFailed
from server.once import EVERY_TIME, Once
from server.originals import NewOriginal, Originals
from server.pictures import PROCESSED_MIME_TYPE, Picture, PictureRefused, examined_and_rendered
from server.queries import load
from server.reading import record
from server.store import BEFORE_ALL, HashLock, Place
from server.wire.states import ImageStyle

IMAGES = load("images.sql")

UPLOAD_SIZE_BYTES_MAX: Final = 16_777_216
FILE_NAME_CHARS_MAX: Final = 255
PROJECT_NAME_CHARS_MAX: Final = 200
UNKNOWN_MIME_TYPE: Final = "application/octet-stream"


class UploadRefused(ValueError):
    """What was sent can not be taken; the message says why, and nothing of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A row of projects."""

    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of a project in one style, not deleted. Without an original it keeps bytes of its own."""

    id: UUID
    project_id: UUID
    file_name: str
    style: ImageStyle
    file_size_bytes: int | None
    mime_type: str | None
    width: int | None
    height: int | None
    created_at: datetime
    original_image_id: UUID | None
    content_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file as it came. `sha256` and `size_bytes` are what the sender says of it, checked where given."""

    file_name: str
    data: bytes
    styles: Sequence[ImageStyle]
    sha256: str | None = None
    size_bytes: int | None = None


def checked_file_name(name: str) -> str:
    """The name itself; raises UploadRefused for one that is empty, too long, or would be a path anywhere."""
    if not name or len(name) > FILE_NAME_CHARS_MAX:
        raise UploadRefused(f"the file name has {len(name)} characters; 1 to {FILE_NAME_CHARS_MAX} are taken")
    if name in (".", "..") or any(char in "/\\" or not char.isprintable() for char in name):
        raise UploadRefused(f"the file name {name[:80]!r} is a path or holds control characters; send the bare name")
    return name


class Projects:
    """Service of projects and images. Without `dedup` every upload keeps bytes of its own, as before originals."""

    def __init__(self, originals: Originals, offload: Offload, ids: IdSource, *, dedup: bool = True) -> None:
        self._originals = originals
        self._store = originals.store
        self._objects = originals.objects
        self._offload = offload
        self._ids = ids
        self._dedup = dedup

    # -- projects ------------------------------------------------------------------------------------

    async def create_project(self, name: str, once: Once = EVERY_TIME) -> Project:
        """A new project."""
        async with self._transaction() as connection:
            await once.begin(connection)
            project = record(Project, await connection.fetchrow(IMAGES["create_project"], self._ids(), name))
            await once.end(connection, project)
        return project

    async def project(self, project_id: UUID) -> Project | None:
        """The project, None where there is none."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(IMAGES["get_project"], project_id)
        return None if row is None else record(Project, row)

    async def projects(self, after: Place | None, limit: int) -> list[Project]:
        """Projects, the oldest first."""
        start = after or BEFORE_ALL
        async with self._transaction() as connection:
            rows = await connection.fetch(IMAGES["list_projects"], start.created_at, start.id, limit)
        return [record(Project, row) for row in rows]

    async def delete_project(self, project_id: UUID, once: Once = EVERY_TIME) -> bool:
        """The project with all its rows, for good; one reference less for each row. False where there is none."""
        async with self._transaction() as connection:
            await once.begin(connection)
            if await connection.fetchval(IMAGES["lock_project"], project_id) is None:
                await once.end(connection, None)
                return False
            held = await connection.fetch(IMAGES["release_images_of_project"], project_id)
            await connection.execute(IMAGES["delete_images_of_project"], project_id)
            unused = await self._originals.release(connection, [row["original_image_id"] for row in held])
            await connection.execute(IMAGES["delete_project"], project_id)
            await once.end(connection, True)
        for original in unused:
            await self._originals.remove(original)
        for row in held:
            await self._forget(row["processed_url"])
        return True

    # -- images --------------------------------------------------------------------------------------

    async def upload(self, project_id: UUID, upload: Upload, once: Once = EVERY_TIME) -> list[Image] | None:
        """One row for each style, all of them or none; None where there is no such project.

        Raises UploadRefused for what can't be taken, StoreFailed where the bytes can't be kept.
        """
        content_hash = _checked(upload)
        picture, rendered = await self._examined(upload)
        image_ids = [self._ids() for _ in upload.styles]
        processed = [
            None if data is None else f"processed/{image_id}"
            for image_id, data in zip(image_ids, rendered, strict=True)
        ]
        for key, data in zip(processed, rendered, strict=True):
            if key is not None and data is not None:
                await self._objects.put_at(key, data)
        original_key = object_key(content_hash) if self._dedup else f"uploads/{image_ids[0]}"
        size_bytes = len(upload.data)
        async with self._transaction(HashLock(content_hash) if self._dedup else None) as connection:
            await once.begin(connection)
            if await connection.fetchval(IMAGES["share_project"], project_id) is None:
                await once.end(connection, None)
                return None
            await self._objects.put_at(original_key, upload.data)
            original_id: UUID | None = None
            if self._dedup:
                new = NewOriginal(
                    content_hash=content_hash,
                    file_size_bytes=size_bytes,
                    mime_type=picture.mime_type,
                    width=picture.width,
                    height=picture.height,
                )
                original_id = (await self._originals.add_references(connection, new, len(image_ids))).id
            rows = await connection.fetch(
                IMAGES["create_images"],
                *(project_id, upload.file_name, original_key),
                *(size_bytes, picture.mime_type, picture.width, picture.height, original_id),
                *(image_ids, [style.value for style in upload.styles], processed),
            )
            images = [_image(row, content_hash if self._dedup else None) for row in rows]
            await once.end(connection, images)
        return images

    async def _examined(self, upload: Upload) -> tuple[Picture, list[bytes | None]]:
        try:
            return await self._offload.isolated(examined_and_rendered, upload.data, tuple(upload.styles))
        except PictureRefused as error:
            raise UploadRefused(str(error)) from error
        except WorkFailed as error:
            raise UploadRefused(f"the picture could not be decoded within limits: {error}") from error

    async def image(self, image_id: UUID) -> Image | None:
        """The image, None where there is none or it is deleted."""
        row = await self._found(image_id)
        return None if row is None else _image(row, row["content_hash"])

    async def images(self, project_id: UUID, after: Place | None, limit: int) -> list[Image]:
        """Images of a project that are not deleted, the oldest first."""
        start = after or BEFORE_ALL
        async with self._transaction() as connection:
            rows = await connection.fetch(IMAGES["list_images"], project_id, start.created_at, start.id, limit)
        return [_image(row, row["content_hash"]) for row in rows]

    async def content(self, image_id: UUID, *, as_uploaded: bool = False) -> tuple[bytes, str] | None:
        """The bytes of an image in its style, or as they were uploaded, and their type; None where there is no image.

        Raises FileNotFoundError where there is one and its bytes are gone.
        """
        row = await self._found(image_id)
        if row is None:
            return None
        if row["processed_url"] is not None and not as_uploaded:
            return await self._objects.get(row["processed_url"]), PROCESSED_MIME_TYPE
        return await self._objects.get(row["s3_key"] or row["original_url"]), row["mime_type"] or UNKNOWN_MIME_TYPE

    async def _found(self, image_id: UUID) -> Any:
        async with self._transaction() as connection:
            return await connection.fetchrow(IMAGES["get_image"], image_id)

    async def delete_image(self, image_id: UUID, once: Once = EVERY_TIME) -> bool:
        """Soft: the row stays, its reference goes in the same UPDATE. False where it is deleted already, or unknown."""
        async with self._transaction() as connection:
            await once.begin(connection)
            row = await connection.fetchrow(IMAGES["delete_image"], image_id)
            await once.end(connection, None if row is None else True)
            if row is None:
                return False
            unused = await self._originals.release(connection, [row["original_image_id"]])
        for original in unused:
            await self._originals.remove(original)
        await self._forget(row["processed_url"])
        return True

    async def _forget(self, key: str | None) -> None:
        if key is not None:
            await self._originals.forget_object(key)

    # -- uploads from before originals ----------------------------------------------------------------

    async def back_fill(self, limit: int = 100) -> tuple[int, int]:
        """Give rows from before originals theirs, by their key or by their bytes; returns (served, unreadable)."""
        skipped: list[UUID] = []
        served = await self._originals.back_fill_named()
        while True:
            async with self._transaction() as connection:
                rows = await connection.fetch(IMAGES["list_images_to_hash"], skipped, limit)
            if not rows:
                return served, len(skipped)
            for row in rows:
                if await self._adopted(row):
                    served += 1
                else:
                    skipped.append(row["id"])

    async def _adopted(self, row: Any) -> bool:
        try:
            data = await self._objects.get(row["original_url"])
        except (FileNotFoundError, StoreFailed):
            return False
        new = NewOriginal(
            content_hash=compute_sha256_from_bytes(data),
            file_size_bytes=len(data),
            mime_type=row["mime_type"] or UNKNOWN_MIME_TYPE,
            width=row["width"],
            height=row["height"],
        )
        if not data:
            return False
        async with self._transaction(HashLock(new.content_hash)) as connection:
            await self._objects.put_at(object_key(new.content_hash), data)
            original = await self._originals.add_references(connection, new, 1)
            adopted = await connection.fetchval(IMAGES["adopt_original"], row["id"], original.id, original.s3_key)
            if adopted is None:  # deleted meanwhile
                await self._originals.release(connection, [original.id])
        return True

    def _transaction(self, lock: HashLock | None = None) -> Any:
        return self._store.transaction(self._originals.clock.now(), lock)


def _checked(upload: Upload) -> str:
    """The hash of the bytes; UploadRefused where they are not what was said of them."""
    checked_file_name(upload.file_name)
    size_bytes = len(upload.data)
    if not 0 < size_bytes <= UPLOAD_SIZE_BYTES_MAX:
        raise UploadRefused(f"the file has {size_bytes} bytes; 1 to {UPLOAD_SIZE_BYTES_MAX} are taken")
    if upload.size_bytes is not None and upload.size_bytes != size_bytes:
        raise UploadRefused(f"the file has {size_bytes} bytes, and was said to have {upload.size_bytes}")
    content_hash = compute_sha256_from_bytes(upload.data)
    if upload.sha256 is not None and upload.sha256 != content_hash:
        raise UploadRefused(f"the bytes have the SHA-256 {content_hash}, and were said to have {upload.sha256}")
    if not upload.styles or len(set(upload.styles)) != len(upload.styles):
        raise UploadRefused("each style is given once, and at least one")
    return content_hash


def _image(row: Any, content_hash: str | None) -> Image:
    given = {"style": ImageStyle(row["style"]), "file_size_bytes": row["file_size"], "content_hash": content_hash}
    return record(Image, row, **given)
