"""Videos that come in parts: initiate, parts in any order, complete, abort, status (seed 004).

An upload is a row that everybody locks who changes it. Bytes are stored before the row that names them is committed,
and go after it; what a death between two steps leaves behind is an object that no row names, which the sweep takes, or
an upload that nobody touches, which expires. Completing is claimed, so that one request at a time puts the parts
together, and finished in one transaction, which an abort that came first makes void. The checksum is that of the bytes
and is written in this transaction: nothing that failed or was aborted stands in anybody's way.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import asyncpg

from server.hashing import compute_sha256_from_bytes
from server.jobs import Jobs
from server.offload import Offload, WorkFailed
from server.once import EVERY_TIME, Once
from server.projects import UploadRefused, checked_file_name
from server.store import DATABASE_ERRORS, Connection
from server.video_media import VideoProperties, VideoRefused, probed
from server.video_parts import (
    EXPIRES_AFTER,
    DuplicateVideo,
    NewUpload,
    Part,
    UploadConflict,
    VideoUpload,
    listed,
    missing_parts,
    must_be_open,
    part_count,
    part_size,
    size_of_part,
    upload_of,
)
from server.videos import ORIGINAL, VIDEOS, Video, Videos, key_of, suffix_of, video_of
from server.wire.states import UploadState

CLAIM: Final = timedelta(seconds=60)
"""A server that died while it completed an upload keeps others from it for so long."""

EXPIRE_LIMIT: Final = 1_000
PARTS: Final = "parts"
_FDS: Final = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class _Claimed:
    row: Any
    claim: UUID
    parts: list[Any]
    said: str | None


class VideoUploads:
    """The service. Raises UploadRefused for what can never be taken, UploadConflict and DuplicateVideo else."""

    def __init__(self, videos: Videos, jobs: Jobs, offload: Offload) -> None:
        self._videos = videos
        self._jobs = jobs
        self._offload = offload
        self._objects = videos.objects
        self._clock = videos.clock

    # -- begin, look, send ---------------------------------------------------------------------------

    async def initiate(self, new: NewUpload, once: Once = EVERY_TIME) -> VideoUpload | None:
        """A video that is `uploading`, without bytes yet; None where there is no such pin."""
        checked_file_name(new.filename)
        part_size_bytes = part_size(new)
        async with self._transaction() as connection:
            await once.begin(connection)
            mall_id = await connection.fetchval(VIDEOS["share_pin"], new.pin_id)
            if mall_id is None:
                await once.end(connection, None)
                return None
            user_id = new.uploaded_by_user_id
            if user_id is not None and not await connection.fetchval(VIDEOS["user_exists"], user_id):
                raise UploadRefused(f"there is no user {user_id}")
            await _refuse_duplicate(connection, new.sha256, new.pin_id)
            row = await connection.fetchrow(
                VIDEOS["create_upload"],
                *(self._videos.ids(), mall_id, new.pin_id, new.filename, new.size_bytes, new.recorded_at),
                *(new.operator_notes, user_id, part_size_bytes, new.sha256),
            )
            upload = upload_of(row, [])
            await once.end(connection, upload)
        return upload

    async def status(self, video_id: UUID) -> VideoUpload | None:
        """Which parts are here, None where there is no such upload."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["get_upload"], video_id)
            if row is None:
                return None
            return upload_of(row, await connection.fetch(VIDEOS["list_parts"], video_id))

    async def expected_part(self, video_id: UUID, part_number: int) -> int | None:
        """How many bytes a part must have; None where there is no such upload."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["get_upload"], video_id)
        if row is None:
            return None
        must_be_open(row["state"])
        count = part_count(row)
        if not 1 <= part_number <= count:
            raise UploadRefused(f"there is no part {part_number}: this upload has parts 1 to {count}")
        return size_of_part(row, part_number)

    async def put_part(self, video_id: UUID, part_number: int, data: bytes) -> Part | None:
        """A part's bytes, again if need be: the newest count. None where the upload is gone meanwhile."""
        sha256 = compute_sha256_from_bytes(data)
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["lock_upload"], video_id)
            there = await connection.fetchrow(VIDEOS["get_part"], video_id, part_number)
        if row is None:
            return None
        must_be_open(row["state"])
        if len(data) != size_of_part(row, part_number):
            raise UploadRefused(
                f"part {part_number} has {len(data)} bytes; {size_of_part(row, part_number)} are expected"
            )
        if there is None or there["sha256"] != sha256:
            await self._store_part(row, part_number, data, sha256)
        return Part(
            part_number=part_number,
            offset_bytes=(part_number - 1) * row["part_size_bytes"],
            size_bytes=len(data),
            sha256=sha256,
        )

    async def _store_part(self, row: Any, part_number: int, data: bytes, sha256: str) -> None:
        video_id = row["video_id"]
        name = f"/{part_number:05}-{self._videos.ids().hex[:12]}"
        key = key_of(PARTS, mall_id=row["mall_id"], pin_id=row["pin_id"], video_id=video_id, part=name)
        await self._objects.put_at(key, data)
        async with self._transaction() as connection:
            is_open = await connection.fetchval(VIDEOS["touch_upload"], video_id) is not None
            if is_open:
                arguments = (video_id, part_number, len(data), sha256, key)
                stored = await connection.fetchrow(VIDEOS["put_part"], *arguments)
        if not is_open:
            await self._videos.forget([key])
            raise UploadConflict("the upload was completed or ended while this part came")
        await self._videos.forget([stored["replaced"]])

    # -- the end -------------------------------------------------------------------------------------

    async def complete(self, video_id: UUID, said_sha256: str | None = None) -> Video | None:
        """The parts together, hashed, probed and stored as one video; a second time: the same video.

        None where there is no such upload. A wrong checksum leaves the upload open; what is no video ends it.
        """
        claimed = await self._claimed(video_id, said_sha256)
        if not isinstance(claimed, _Claimed):
            return claimed
        try:
            async with self._renewing(claimed):
                with _scratch() as file:
                    sha256 = await self._assembled(claimed, file)
                    properties = await self._examined(claimed, sha256, file)
                    key = await self._stored(claimed, file)
            return await self._finished(claimed, sha256, properties, key)
        except BaseException:
            with contextlib.suppress(*DATABASE_ERRORS):  # then the claim runs out
                async with self._transaction() as connection:
                    await connection.execute(VIDEOS["release_claim"], video_id, claimed.claim)
            raise

    async def abort(self, video_id: UUID) -> bool | None:
        """Nothing of it is kept; again: nothing to do. None where there is no such upload; a completed one stays."""
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["lock_upload"], video_id)
            if row is None:
                return None
            if row["state"] == UploadState.COMPLETED:
                raise UploadConflict("the upload is completed: delete the video instead")
            keys = await _ended(connection, video_id, UploadState.ABORTED, "aborted by its sender")
        await self._videos.forget(keys)
        return True

    async def expire(self, older_than: timedelta = EXPIRES_AFTER) -> int:
        """Uploads that nobody has touched for so long are ended; returns how many."""
        cutoff = self._clock.now() - older_than
        async with self._transaction() as connection:
            rows = await connection.fetch(VIDEOS["stale_uploads"], cutoff, EXPIRE_LIMIT)
        expired = 0
        for row in rows:
            video_id = row["video_id"]
            async with self._transaction() as connection:
                if await connection.fetchval(VIDEOS["still_stale"], video_id, cutoff) is None:
                    continue
                keys = await _ended(connection, video_id, UploadState.EXPIRED, "expired: not finished in time")
            await self._videos.forget(keys)
            expired += 1
        return expired

    # -- steps of completing -------------------------------------------------------------------------

    async def _claimed(self, video_id: UUID, said_sha256: str | None) -> _Claimed | Video | None:
        now, claim = self._clock.now(), self._videos.ids()
        async with self._transaction() as connection:
            row = await connection.fetchrow(VIDEOS["lock_upload"], video_id)
            if row is None:
                return None
            if row["state"] == UploadState.COMPLETED:
                video = video_of(await connection.fetchrow(VIDEOS["get_video"], video_id))
                if said_sha256 not in (None, video.checksum_sha256):
                    raise UploadRefused(f"the video is complete, with the SHA-256 {video.checksum_sha256}")
                return video
            if row["state"] == UploadState.COMPLETING and row["claimed_until"] > now:
                raise UploadConflict("another request completes it: ask for its status in a moment")
            if row["state"] not in (UploadState.OPEN, UploadState.COMPLETING):
                must_be_open(row["state"])
            said = said_sha256 or row["said_sha256"]
            if row["said_sha256"] not in (None, said):
                raise UploadRefused(f"at its beginning the upload was said to have the SHA-256 {row['said_sha256']}")
            parts = await connection.fetch(VIDEOS["list_parts"], video_id)
            missing = missing_parts(row, parts)
            if missing:
                raise UploadConflict(
                    f"{len(missing)} of {part_count(row)} parts are missing: {listed(missing)}", missing
                )
            await connection.execute(VIDEOS["claim_upload"], video_id, claim, CLAIM, said)
        return _Claimed(row, claim, parts, said)

    async def _assembled(self, claimed: _Claimed, file: IO[bytes]) -> str:
        digest = hashlib.sha256()
        for part in claimed.parts:
            data = await self._part_bytes(claimed, part)

            def append(block: bytes = data) -> None:
                digest.update(block)
                file.write(block)

            await self._offload.call(append)
        await self._offload.call(file.flush)
        sha256 = digest.hexdigest()
        if claimed.said not in (None, sha256):
            raise UploadRefused(f"the bytes have the SHA-256 {sha256}, and were said to have {claimed.said}")
        return sha256

    async def _part_bytes(self, claimed: _Claimed, part: Any) -> bytes:
        """A part that is gone or damaged in the store is forgotten, so that it can be sent again."""
        try:
            data = await self._objects.get(part["object_key"])
        except FileNotFoundError:
            data = b""
        if compute_sha256_from_bytes(data) == part["sha256"]:
            return data
        number = part["part_number"]
        async with self._transaction() as connection:
            await connection.execute(VIDEOS["drop_part"], claimed.row["video_id"], number, part["object_key"])
        raise UploadConflict(f"part {number} was damaged in the store: send it again", (number,))

    @asynccontextmanager
    async def _renewing(self, claimed: _Claimed) -> AsyncIterator[None]:
        """While this lasts the claim does; whether it really did is seen at the end."""

        async def renew() -> None:
            while True:
                await self._clock.sleep_until(self._clock.now() + CLAIM / 3)
                with contextlib.suppress(*DATABASE_ERRORS):
                    async with self._transaction() as connection:
                        await connection.fetchval(VIDEOS["renew_claim"], claimed.row["video_id"], claimed.claim, CLAIM)

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _examined(self, claimed: _Claimed, sha256: str, file: IO[bytes]) -> VideoProperties:
        video_id = claimed.row["video_id"]
        try:
            async with self._transaction() as connection:
                await _refuse_duplicate(connection, sha256, claimed.row["pin_id"])
            return await self._offload.isolated(probed, _path_of(file))
        except DuplicateVideo as error:
            await self._end(video_id, UploadState.FAILED, str(error))
            raise
        except (VideoRefused, WorkFailed) as error:
            await self._end(video_id, UploadState.FAILED, str(error))
            raise UploadRefused(f"the upload is ended: {error}") from error

    async def _stored(self, claimed: _Claimed, file: IO[bytes]) -> str:
        row = claimed.row
        name = f"-{claimed.claim.hex[:12]}{suffix_of(row['filename'])}"
        key = key_of(ORIGINAL, mall_id=row["mall_id"], pin_id=row["pin_id"], video_id=row["video_id"], part=name)
        await self._objects.put_file(key, file)
        return key

    async def _finished(self, claimed: _Claimed, sha256: str, properties: VideoProperties, key: str) -> Video:
        video_id = claimed.row["video_id"]
        try:
            async with self._transaction() as connection:
                if await connection.fetchval(VIDEOS["finish_upload"], video_id, claimed.claim) is None:
                    raise _overtaken()
                await connection.fetchrow(
                    VIDEOS["finish_video"],
                    *(video_id, sha256, key, properties.width, properties.height),
                    *(properties.fps, properties.codec, properties.duration_s),
                )
                parts = await connection.fetch(VIDEOS["drop_parts"], video_id)
                await self._jobs.queue(connection, video_id)
                row = await connection.fetchrow(VIDEOS["get_video"], video_id)
        except UploadConflict:
            await self._videos.forget([key])
            raise
        except asyncpg.UniqueViolationError:  # another upload of the same bytes was faster
            await self._videos.forget([key])
            async with self._transaction() as connection:
                other = await connection.fetchval(VIDEOS["stored_video"], sha256, claimed.row["pin_id"])
            duplicate = DuplicateVideo(other)
            await self._end(video_id, UploadState.FAILED, str(duplicate))
            raise duplicate from None
        await self._videos.forget(part["object_key"] for part in parts)
        return video_of(row)

    async def _end(self, video_id: UUID, state: UploadState, why: str) -> None:
        """The upload is over, unless it is already, and its bytes go."""
        async with self._transaction() as connection:
            await connection.fetchrow(VIDEOS["lock_upload"], video_id)
            keys = await _ended(connection, video_id, state, why)
        await self._videos.forget(keys)

    def _transaction(self) -> Any:
        return self._videos.store.transaction(self._clock.now())


async def _refuse_duplicate(connection: Connection, sha256: str | None, pin_id: UUID) -> None:
    if sha256 is not None:
        existing = await connection.fetchval(VIDEOS["stored_video"], sha256, pin_id)
        if existing is not None:
            raise DuplicateVideo(existing)


async def _ended(connection: Connection, video_id: UUID, state: UploadState, why: str) -> list[str]:
    """The keys of its parts; the transaction holds its lock."""
    await connection.fetchval(VIDEOS["end_upload"], video_id, state.value, why[:2_000])
    return [row["object_key"] for row in await connection.fetch(VIDEOS["drop_parts"], video_id)]


def _overtaken() -> UploadConflict:
    return UploadConflict("the upload was aborted, or completed by another request, meanwhile")


def _scratch() -> Any:
    """A file without a name where the system has such: a killed server leaves none."""
    return tempfile.TemporaryFile() if _FDS.is_dir() else tempfile.NamedTemporaryFile()


def _path_of(file: IO[bytes]) -> str:
    """Where another process of this user opens it."""
    return f"/proc/{os.getpid()}/fd/{file.fileno()}" if isinstance(file.name, int) else str(file.name)
