"""What seed 004 says that the tables of videos have, asked of a database: `verify_phase2_schema`."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import asyncpg

VIDEO_COLUMNS: Final = {
    "mall_id": "uuid NOT NULL",
    "pin_id": "uuid NOT NULL",
    "filename": "character varying(255) NOT NULL",
    "original_path": "character varying(512)",
    "proxy_path": "character varying(512)",
    "checksum_sha256": "character varying(64)",
    "width": "integer",
    "height": "integer",
    "fps": "numeric(5,2)",
    "codec": "character varying(50)",
    "recorded_at": "timestamp with time zone",
    "operator_notes": "text",
    "uploaded_by_user_id": "uuid",
    "upload_status": "character varying(20) NOT NULL",
    "processing_job_id": "character varying(255)",
    "processing_error": "text",
    "uploaded_at": "timestamp with time zone NOT NULL",
    "processing_started_at": "timestamp with time zone",
    "processing_completed_at": "timestamp with time zone",
    "updated_at": "timestamp with time zone NOT NULL",
}
LEGACY_COLUMNS: Final = {
    "file_path": "character varying(500) NOT NULL",
    "original_filename": "character varying(255) NOT NULL",
    "processed": "boolean NOT NULL",
    "upload_timestamp": "timestamp with time zone NOT NULL",
    "camera_pin_id": "uuid NOT NULL",
}
JOB_COLUMNS: Final = {
    "id": "uuid NOT NULL",
    "video_id": "uuid NOT NULL",
    "job_type": "character varying(50) NOT NULL",
    "status": "character varying(20) NOT NULL",
    "celery_task_id": "character varying(255)",
    "worker_hostname": "character varying(255)",
    "result_data": "jsonb",
    "error_message": "text",
    "queued_at": "timestamp with time zone NOT NULL",
    "started_at": "timestamp with time zone",
    "completed_at": "timestamp with time zone",
}
INDEXES: Final = {
    "ix_videos_mall_id": "videos USING btree (mall_id)",
    "ix_videos_pin_id": "videos USING btree (pin_id)",
    "ix_videos_checksum": "videos USING btree (checksum_sha256)",
    "ix_videos_uploaded_at": "videos USING btree (uploaded_at DESC)",
    "ix_videos_recorded_at": "videos USING btree (recorded_at DESC)",
    "ix_videos_upload_status": "videos USING btree (upload_status)",
    "ix_videos_unique_checksum_pin": (
        "videos USING btree (checksum_sha256, pin_id) WHERE (checksum_sha256 IS NOT NULL)"
    ),
    "ix_jobs_video_id": "processing_jobs USING btree (video_id)",
    "ix_jobs_status": "processing_jobs USING btree (status)",
    "ix_jobs_celery_task_id": "processing_jobs USING btree (celery_task_id)",
    "ix_jobs_queued_at": "processing_jobs USING btree (queued_at DESC)",
}
FOREIGN_KEYS: Final = {
    "fk_videos_mall_id": "FOREIGN KEY (mall_id) REFERENCES malls(id) ON DELETE CASCADE",
    "fk_videos_pin_id": "FOREIGN KEY (pin_id) REFERENCES camera_pins(id) ON DELETE CASCADE",
    "fk_videos_uploaded_by": "FOREIGN KEY (uploaded_by_user_id) REFERENCES users(id) ON DELETE SET NULL",
    "processing_jobs_video_id_fkey": "FOREIGN KEY (video_id) REFERENCES videos(id) ON DELETE CASCADE",
}
SHOWN_MAX: Final = 3
"""So many differences of one kind are told; the others are counted."""

OWN_TABLES: Final = ("processing_leases", "video_upload_parts", "video_uploads")

_COLUMNS: Final = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
    AS definition
FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
"""
_INDEXES: Final = """
SELECT indexname AS name, regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX \\w+ ON (\\w+\\.)?', '\\1') AS definition
FROM pg_indexes WHERE tablename IN ('videos', 'processing_jobs')
"""
_FOREIGN_KEYS: Final = """
SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE contype = 'f' AND conrelid IN (to_regclass('videos'), to_regclass('processing_jobs'))
"""


class Answer(NamedTuple):
    """One line of the check: what was asked, what was found, whether it is as the document says."""

    title: str
    found: str
    holds: bool


async def verify_phase2_schema(connection: asyncpg.Connection[Any]) -> list[Answer]:
    """Columns, indexes, foreign keys and tables, each compared to the letter. It only reads."""
    videos = await _pairs(connection, _COLUMNS, "videos")
    jobs = await _pairs(connection, _COLUMNS, "processing_jobs")
    indexes = await _pairs(connection, _INDEXES)
    wanted = {name: ("UNIQUE " if "unique" in name else "") + text for name, text in INDEXES.items()}
    own = [await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name) for name in OWN_TABLES]
    return [
        _compared("videos: new columns", VIDEO_COLUMNS, videos),
        _compared("videos: legacy columns", LEGACY_COLUMNS, videos),
        _compared("processing_jobs: columns", JOB_COLUMNS, jobs),
        _compared("indexes", wanted, indexes),
        _compared("foreign keys", FOREIGN_KEYS, await _pairs(connection, _FOREIGN_KEYS)),
        Answer("tables of uploads and leases", f"{sum(own)} of {len(own)}", all(own)),
    ]


async def _pairs(connection: asyncpg.Connection[Any], query: str, *arguments: str) -> dict[str, str]:
    return {row["name"]: row["definition"] for row in await connection.fetch(query, *arguments)}


def _compared(title: str, wanted: dict[str, str], found: dict[str, str]) -> Answer:
    wrong = [
        f"{name} is {found.get(name, 'missing')}, not {text}"
        for name, text in wanted.items()
        if found.get(name) != text
    ]
    told = f"{len(wanted) - len(wrong)} of {len(wanted)}"
    left = [f"and {len(wrong) - SHOWN_MAX} more"] if len(wrong) > SHOWN_MAX else []
    return Answer(title, "\n      ".join([told, *wrong[:SHOWN_MAX], *left]), not wrong)
