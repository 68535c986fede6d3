"""Who may come in at the MQTT broker: a login for each device, the newcomers' and the servers'."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import run_files

revision = "wakestorm_broker_logins"
down_revision = "wakestorm_web_users"

_SQL = Path(__file__).parent.parent / "sql" / "doors"


def upgrade() -> None:
    """Makes the table, empty."""
    run_files(_SQL, "logins", "access")


def downgrade() -> None:
    """Takes it away, with every login."""
    run_files(_SQL, "downgrade")
