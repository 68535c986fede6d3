"""The names that a scenario may use in the database; a test holds them equal to what the migrations create."""

from typing import Final

REVISIONS: Final = (
    "legacy_base",
    "APPLY_IMAGE_RESUME_MIGRATION",
    "APPLY_PENDING_IMAGE_PROTOCOL_STATE",
    "20251108200001_session_and_timeout_fix",
    "20251108210000_remove_duplicate_device_sessions",
    "wakestorm_tables",
    "wakestorm_web_users",
    "wakestorm_broker_logins",
    "wakestorm_names_and_scopes",
)
"""The cameras' history, oldest first."""

VIDEO_REVISIONS: Final = ("839d4ee251e4", "002_phase_2_video_mgmt")
"""The videos' history, oldest first; the other histories stand at their head meanwhile."""

OLD_TABLES: Final = ("device_sessions",)
"""Tables that only older revisions have."""

TABLES: Final = (
    "broker_logins",
    "camera_pins",
    "companies",
    "device_ack_log",
    "device_alerts",
    "device_commands",
    "device_history",
    "device_image_chunks",
    "device_image_chunks_aside",
    "device_image_chunks_staged",
    "device_images",
    "device_images_duplicates_backup",
    "device_names",
    "device_sessions_backup",
    "device_site_assignments",
    "device_wake_payloads",
    "device_wake_sessions",
    "devices",
    "duplicate_images_log",
    "idempotency_keys",
    "images",
    "malls",
    "original_images",
    "processing_jobs",
    "processing_leases",
    "programs",
    "projects",
    "quarantined_messages",
    "sites",
    "stray_objects",
    "users",
    "video_upload_parts",
    "video_uploads",
    "videos",
    "web_sessions",
    "web_sign_in_attempts",
    "web_users",
)
"""Every table of the schema."""
