"""The saboteurs: small named patches of the server, each a defect that such systems have had, and who must catch it.

`apply()` patches and returns the function that takes the patch back. `scenario` is where it is caught for sure; the
suite may catch it elsewhere too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import server.asking
import server.ingest
import server.intake
import server.session
import server.transfer
import server.view
import server.writing
from server.effects import LogDuplicate, StoreChunk
from server.session import Turn
from server.view import DeviceView, ImageView, SessionView, newest
from server.wire.messages import Metadata, MissingChunks, Resume
from server.wire.states import AckType
from tests.saboteurs import migrations, originals, timeouts, videos

Undo = Callable[[], None]

VIDEO_IN_PARTS = "videos/upload-in-parts.yaml"
SEED_000_DUPLICATES = "migration/duplicates-of-seed-000-are-cleaned-up.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Saboteur:
    """One defect. `scenario` names the file (and case) whose verdict it must turn red."""

    name: str
    defect: str
    scenario: str
    apply: Callable[[], Undo]


def _patched(target: Any, name: str, new: Any) -> Undo:
    patcher = patch.object(target, name, new)
    patcher.start()
    return patcher.stop


def resume_starts_over() -> Undo:
    """At a resume the chunks that are there are forgotten."""
    real = server.ingest._resume

    def resume(turn: Turn, session: SessionView, image: ImageView) -> None:
        from server.effects import SetChunksAside

        turn.add(SetChunksAside(image.image_id, image.attempt, "sabotage"))
        image.have.clear()
        real(turn, session, image)

    return _patched(server.ingest, "_resume", resume)


def no_dedup() -> Undo:
    """Metadata again is always a new photo."""
    return _patched(DeviceView, "same_capture", lambda self, metadata, *, photo_due: None)


def snap_while_pending() -> Undo:
    """SNAP although an image is pending."""
    return _patched(DeviceView, "oldest_resumable", lambda self, names: None)


def newest_pending_first() -> Undo:
    """The newest pending image is resumed, not the oldest."""

    def newest(self: DeviceView, names: tuple[str, ...] | None) -> ImageView | None:
        found = [image for image in self.images if image.is_resumable]
        return max(found, key=lambda image: image.captured_at, default=None)

    return _patched(DeviceView, "oldest_resumable", newest)


def ack_before_commit() -> Undo:
    """Replies go out while the completion's transaction is still open."""
    real = server.intake.write
    sent: list[Any] = []

    async def write(connection: Any, turns: Sequence[Turn]) -> Any:
        replies = await real(connection, turns)
        for reply in replies:
            for intake in sent:
                intake._send(reply)
        await connection.execute("SELECT pg_sleep(0.05)")  # so long the COMMIT may take
        return []

    real_init = server.intake.Intake.__init__

    def init(self: Any, **options: Any) -> None:
        real_init(self, **options)
        sent[:] = [self]

    undo_write = _patched(server.intake, "write", write)
    undo_init = _patched(server.intake.Intake, "__init__", init)

    def undo() -> None:
        undo_init()
        undo_write()

    return undo


def puback_before_commit() -> Undo:
    """PUBACK as soon as a message arrives: what the server then loses is gone."""
    real = server.intake.Intake.deliver

    def deliver(self: Any, delivery: Any) -> None:
        delivery.done()
        real(self, delivery)

    return _patched(server.intake.Intake, "deliver", deliver)


def missing_chunks_off_by_one() -> Undo:
    """Missing chunks are asked for by the number after theirs."""
    real = server.session.Turn.reply

    def reply(self: Turn, message: Any, ack_type: AckType, image: ImageView | None = None) -> None:
        if isinstance(message, MissingChunks):
            message = replace(message, chunk_indexes=tuple(index + 1 for index in message.chunk_indexes))
        real(self, message, ack_type, image)

    return _patched(server.session.Turn, "reply", reply)


def completes_one_chunk_early() -> Undo:
    """An image counts as whole when one chunk is still missing."""

    def is_whole(self: ImageView) -> bool:
        return not self.is_complete and self.total_chunks is not None and len(self.have) >= self.total_chunks - 1

    return _patched(ImageView, "is_whole", property(is_whole))


def new_photo_thrown_away() -> Undo:
    """A known name is a known photo: a counter restart loses the new one (facts: trap 9)."""

    def same(self: DeviceView, metadata: Metadata, *, photo_due: bool) -> ImageView | None:
        return newest(image for image in self.images if image.wire_image_name == metadata.image_name)

    return _patched(DeviceView, "same_capture", same)


def no_answer_for_strangers() -> Undo:
    """A device without a site gets no reply (facts: trap 8)."""
    return _patched(server.ingest, "send_to_sleep", lambda turn, session: None)


def hello_is_always_new() -> Undo:
    """Every HELLO opens a session, so a storm opens fifty."""
    return _patched(server.ingest, "_is_the_same_wake", lambda turn, session, digest: False)


def backlog_forgotten() -> Undo:
    """The final ACK goes out although the device still holds images."""
    return _patched(server.asking, "_is_over", lambda session: True)


def duplicates_not_logged() -> Undo:
    """A capture that is offered again leaves no trace."""
    real = server.session.Turn.add

    def add(self: Turn, *effects: Any) -> None:
        real(self, *(effect for effect in effects if not isinstance(effect, LogDuplicate)))

    return _patched(server.session.Turn, "add", add)


def unchecked_bytes() -> Undo:
    """A whole image is stored without a look at its bytes (facts: trap 12)."""
    from server.completion import Completion

    async def no_flaw(self: Any, data: bytes, size_bytes: int | None, *, is_announced: bool) -> None:
        return None

    return _patched(Completion, "_flaw", no_flaw)


def resume_on_wrong_topic() -> Undo:
    """The resume is asked for on /cmd instead of /ack."""
    from server.wire.topics import Channel

    real = server.writing.encode_reply

    def encode(message: Any, device_id: str, dialect: Any) -> Any:
        channel, payload = real(message, device_id, dialect)
        return (Channel.CMD if isinstance(message, Resume) else channel), payload

    return _patched(server.writing, "encode_reply", encode)


def override_not_cleared() -> Undo:
    """A manual wake override is never spent."""
    real = server.ingest._snap

    def snap(turn: Turn, session: SessionView, event: str) -> None:
        real(turn, session, event)
        turn.view.manual_wake_override = event == "override"

    return _patched(server.ingest, "_snap", snap)


def last_copy_wins() -> Undo:
    """Another copy of a chunk replaces the first."""
    from server.effects import CompareChunk

    real = server.session.Turn.add

    def add(self: Turn, *effects: Any) -> None:
        real(
            self,
            *(
                StoreChunk(effect.image_id, effect.index, effect.data) if isinstance(effect, CompareChunk) else effect
                for effect in effects
            ),
        )

    sql = server.writing.WRITE["save"].replace("DO NOTHING", "DO UPDATE SET data = excluded.data")
    undo_sql = patch.dict(server.writing.WRITE, {"save": sql})
    undo_sql.start()
    undo_add = _patched(server.session.Turn, "add", add)

    def undo() -> None:
        undo_add()
        undo_sql.stop()

    return undo


def _of(apply: Callable[[], Undo], scenario: str) -> Saboteur:
    return Saboteur(name=apply.__name__, defect=(apply.__doc__ or "").strip(), scenario=scenario, apply=apply)


SABOTEURS: tuple[Saboteur, ...] = (
    _of(resume_starts_over, "protocol/hello-with-pending-image-resumes-it.yaml"),
    _of(no_dedup, "resume/last-ack-lost.yaml"),
    _of(snap_while_pending, "protocol/hello-with-pending-image-resumes-it.yaml"),
    _of(newest_pending_first, "protocol/oldest-pending-image-first.yaml"),
    _of(ack_before_commit, "smoke/photo-is-stored.yaml"),
    _of(puback_before_commit, "smoke/photo-is-stored.yaml"),
    _of(missing_chunks_off_by_one, "chunks/missing-chunks-are-asked-for-exactly.yaml"),
    _of(completes_one_chunk_early, "smoke/photo-is-stored.yaml"),
    _of(new_photo_thrown_away, "captures/name-used-again-after-a-counter-restart.yaml"),
    _of(no_answer_for_strangers, "protocol/device-that-may-not-send-is-put-to-sleep.yaml"),
    _of(hello_is_always_new, "duplicates/storm-of-hellos.yaml"),
    _of(backlog_forgotten, "backlog/five-offline-captures-then-a-wake.yaml"),
    _of(duplicates_not_logged, "duplicates/metadata-fifty-times.yaml"),
    _of(unchecked_bytes, "profiles/jpeg-without-markers.yaml"),
    _of(resume_on_wrong_topic, "protocol/hello-with-pending-image-resumes-it.yaml"),
    _of(override_not_cleared, "protocol/manual-wake-override-captures-at-once.yaml"),
    _of(migrations.worst_version_kept, SEED_000_DUPLICATES),
    _of(migrations.removed_without_backup, SEED_000_DUPLICATES),
    _of(migrations.pointers_dropped, SEED_000_DUPLICATES),
    _of(migrations.old_handler_left, SEED_000_DUPLICATES),
    _of(migrations.chunks_left_behind, "migration/half-a-transfer-goes-on-after-the-migration.yaml"),
    _of(migrations.counts_of_chunks_that_are_gone, "migration/any-revision-is-brought-up-and-serves.yaml"),
    _of(migrations.open_session_without_payload, "migration/any-revision-is-brought-up-and-serves.yaml"),
    _of(last_copy_wins, "chunks/a-chunk-with-other-bytes-does-not-replace-the-first.yaml"),
    _of(timeouts.counter_raised_twice, "timeout/every-timeout-counts-once.yaml"),
    _of(timeouts.timeout_from_created_at, "timeout/decision-timeouts-follow-the-schedule.yaml"),
    _of(timeouts.command_sent_while_asleep, "timeout/retry-at-the-next-wake-completes.yaml"),
    _of(timeouts.published_before_it_left, "timeout/retry-whose-answer-never-left.yaml"),
    _of(timeouts.payload_of_a_timeout_left_open, "timeout/session-outlives-its-timeout.yaml"),
    _of(timeouts.schedule_in_utc, "schedule/daylight-saving.yaml"),
    _of(timeouts.capture_command_never_ends, "timeout/commands-get-their-outcome.yaml"),
    _of(timeouts.next_wake_stays_behind, "timeout/resumed-transfer-is-not-timed-out.yaml"),
    _of(timeouts.retry_of_everything, "timeout/retry-waits-for-its-time-and-its-device.yaml"),
    _of(timeouts.expiry_ignored, "timeout/expired-commands.yaml"),
    _of(timeouts.window_ignored, "timeout/retry-waits-for-its-time-and-its-device.yaml"),
    _of(timeouts.buffer_left_behind, "smoke/photo-is-stored.yaml"),
    _of(timeouts.staged_chunks_left_behind, "soak/late-copy-of-a-stored-chunk-is-forgotten.yaml"),
    _of(timeouts.lost_answer_is_written_again, "faults/a-lost-answer-doubles-nothing.yaml"),
    _of(timeouts.read_only_connection_kept, "faults/database-read-only.yaml"),
    _of(originals.upload_side_never_wired, "originals/full-flow.yaml"),
    _of(originals.camera_side_never_wired, "originals/two-cameras-send-the-same-bytes.yaml"),
    _of(originals.project_counted_distinct, "originals/project-deletion-counts-each-row.yaml"),
    _of(originals.deleted_twice_counts_twice, "originals/full-flow.yaml"),
    _of(originals.no_grace, "originals/orphans-wait-a-day.yaml"),
    _of(originals.failing_store_fails_the_deletion, "faults/store-keeps.yaml"),
    _of(originals.key_kept_after_the_commit, "originals/an-answer-lost-after-commit-is-found-by-its-key.yaml"),
    _of(videos.duplicate_is_a_server_error, VIDEO_IN_PARTS),
    _of(videos.checksum_is_believed, VIDEO_IN_PARTS),
    _of(videos.same_name_same_object, VIDEO_IN_PARTS),
    _of(videos.job_never_written_down, VIDEO_IN_PARTS),
    _of(videos.checksum_kept_by_what_failed, "videos/failed-and-aborted-uploads-block-nothing.yaml"),
    _of(videos.legacy_columns_left_empty, "videos/migration-checklist.yaml"),
    _of(videos.unknown_checksums_collide, "videos/migration-checklist.yaml"),
)
"""All of them; each is caught by its scenario, and most by others too."""
