"""Who may sign in to the dashboard and the HTTP API: users, their sessions and tokens, what was tried; list indexes."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import build_index, outside_transaction, run_files

revision = "wakestorm_web_users"
down_revision = "wakestorm_tables"

_SQL = Path(__file__).parent.parent / "sql" / "web"


def upgrade() -> None:
    """Builds the indexes of the devices page while others write; then makes the tables."""
    with outside_transaction():
        build_index("idx_devices_name", "devices ((lower(coalesce(device_name, device_mac))), device_id)")
        build_index("idx_devices_last_seen", "devices ((coalesce(last_seen_at, '-infinity'::timestamptz)), device_id)")
        build_index("idx_devices_next_wake", "devices ((coalesce(next_wake_at, 'infinity'::timestamptz)), device_id)")
        build_index("idx_devices_battery", "devices ((coalesce(battery_voltage, 'infinity'::real)), device_id)")
        build_index("idx_device_alerts_open", "device_alerts (triggered_at, alert_id) WHERE resolved_at IS NULL")
    run_files(_SQL, "users", "access")


def downgrade() -> None:
    """Takes them away, with every user."""
    run_files(_SQL, "downgrade")
