"""Videos as SQLAlchemy sees them: `video.mall`, `video.processing_jobs`. The migrations make the tables.

`alembic -n videos check` and a test compare these models with the database, so that neither drifts from the other.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    FetchedValue,
    ForeignKey,
    Index,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

_MOMENT = DateTime(timezone=True)


class Model(DeclarativeBase):
    """What all of them have in common."""


companies = Table("companies", Model.metadata, Column("company_id", Uuid, primary_key=True))
"""Belongs to the cameras; stands here only to be pointed at."""


class Mall(Model):
    """A place with cameras."""

    __tablename__ = "malls"
    __table_args__ = (Index("ix_malls_company_id", "company_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    name: Mapped[str] = mapped_column(String(255))
    company_id: Mapped[UUID | None] = mapped_column(ForeignKey("companies.company_id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())

    pins: Mapped[list[CameraPin]] = relationship(
        back_populates="mall", cascade="all, delete-orphan", passive_deletes=True
    )
    videos: Mapped[list[Video]] = relationship(
        back_populates="mall", cascade="all, delete-orphan", passive_deletes=True
    )


class CameraPin(Model):
    """A camera's place on the plan of a mall."""

    __tablename__ = "camera_pins"
    __table_args__ = (Index("ix_camera_pins_mall_id", "mall_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    mall_id: Mapped[UUID] = mapped_column(ForeignKey("malls.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())

    mall: Mapped[Mall] = relationship(back_populates="pins")
    videos: Mapped[list[Video]] = relationship(back_populates="pin", cascade="all, delete-orphan", passive_deletes=True)


class User(Model):
    """Who uploads."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email", name="users_email_key"),
        Index("ix_users_company_id", "company_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    email: Mapped[str] = mapped_column(String(255))
    company_id: Mapped[UUID | None] = mapped_column(ForeignKey("companies.company_id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())


class Video(Model):
    """A recording. The first group of columns is phase 1's; a trigger keeps it filled from the second."""

    __tablename__ = "videos"
    __table_args__ = (
        Index("ix_videos_camera_pin_id", "camera_pin_id"),
        Index("ix_videos_mall_id", "mall_id"),
        Index("ix_videos_pin_id", "pin_id"),
        Index("ix_videos_checksum", "checksum_sha256"),
        Index("ix_videos_uploaded_at", desc("uploaded_at")),
        Index("ix_videos_recorded_at", desc("recorded_at")),
        Index("ix_videos_upload_status", "upload_status"),
        Index(
            "ix_videos_unique_checksum_pin",
            "checksum_sha256",
            "pin_id",
            unique=True,
            postgresql_where=text("checksum_sha256 IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    camera_pin_id: Mapped[UUID] = mapped_column(server_default=FetchedValue())
    file_path: Mapped[str] = mapped_column(String(500), server_default=FetchedValue())
    original_filename: Mapped[str] = mapped_column(String(255), server_default=FetchedValue())
    file_size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    duration_seconds: Mapped[float | None]
    processed: Mapped[bool] = mapped_column(server_default=FetchedValue())
    processing_status: Mapped[str] = mapped_column(String(50), server_default=FetchedValue())
    upload_timestamp: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())
    created_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())

    mall_id: Mapped[UUID] = mapped_column(ForeignKey("malls.id", name="fk_videos_mall_id", ondelete="CASCADE"))
    pin_id: Mapped[UUID] = mapped_column(ForeignKey("camera_pins.id", name="fk_videos_pin_id", ondelete="CASCADE"))
    filename: Mapped[str] = mapped_column(String(255))
    original_path: Mapped[str | None] = mapped_column(String(512))
    proxy_path: Mapped[str | None] = mapped_column(String(512))
    checksum_sha256: Mapped[str | None] = mapped_column(String(64))
    width: Mapped[int | None]
    height: Mapped[int | None]
    fps: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    codec: Mapped[str | None] = mapped_column(String(50))
    recorded_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    operator_notes: Mapped[str | None] = mapped_column(Text)
    uploaded_by_user_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("users.id", name="fk_videos_uploaded_by", ondelete="SET NULL")
    )
    upload_status: Mapped[str] = mapped_column(String(20), server_default=FetchedValue())
    processing_job_id: Mapped[str | None] = mapped_column(String(255))
    processing_error: Mapped[str | None] = mapped_column(Text)
    uploaded_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())
    processing_started_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    processing_completed_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    updated_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())

    mall: Mapped[Mall] = relationship(back_populates="videos")
    pin: Mapped[CameraPin] = relationship(back_populates="videos")
    uploaded_by: Mapped[User | None] = relationship()
    processing_jobs: Mapped[list[ProcessingJob]] = relationship(
        back_populates="video", cascade="all, delete-orphan", passive_deletes=True
    )


class ProcessingJob(Model):
    """Work on a video, done in the background."""

    __tablename__ = "processing_jobs"
    __table_args__ = (
        Index("ix_jobs_video_id", "video_id"),
        Index("ix_jobs_status", "status"),
        Index("ix_jobs_celery_task_id", "celery_task_id"),
        Index("ix_jobs_queued_at", desc("queued_at")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    job_type: Mapped[str] = mapped_column(String(50))
    status: Mapped[str] = mapped_column(String(20), server_default=FetchedValue())
    celery_task_id: Mapped[str | None] = mapped_column(String(255))
    worker_hostname: Mapped[str | None] = mapped_column(String(255))
    result_data: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error_message: Mapped[str | None] = mapped_column(Text)
    queued_at: Mapped[datetime] = mapped_column(_MOMENT, server_default=FetchedValue())
    started_at: Mapped[datetime | None] = mapped_column(_MOMENT)
    completed_at: Mapped[datetime | None] = mapped_column(_MOMENT)

    video: Mapped[Video] = relationship(back_populates="processing_jobs")


OWN_TABLES: Final = tuple(model.__tablename__ for model in (Mall, CameraPin, User, Video, ProcessingJob))
"""The tables that the drift check looks at."""
