"""The names that a scenario may use in the database: tables of seeds 000 to 002, and their functions."""

from typing import Final

TABLES: Final = (
    "companies",
    "device_ack_log",
    "device_alerts",
    "device_commands",
    "device_history",
    "device_image_chunks",
    "device_images",
    "device_images_duplicates_backup",
    "device_wake_payloads",
    "device_wake_sessions",
    "devices",
    "duplicate_images_log",
)
FUNCTIONS: Final = ()
