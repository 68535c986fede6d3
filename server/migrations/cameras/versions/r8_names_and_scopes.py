"""Names and MACs of devices where a search reads them fast; scopes of bearer tokens."""

from __future__ import annotations

from pathlib import Path

from server.migrations.script import outside_transaction, run_briefly, run_files

revision = "wakestorm_names_and_scopes"
down_revision = "wakestorm_broker_logins"

_SQL = Path(__file__).parent.parent / "sql" / "names"


def upgrade() -> None:
    """Makes the table and what keeps it, then fills it: nobody waits for a large fleet."""
    with outside_transaction():
        run_briefly(_SQL, "table")
        run_files(_SQL, "fill")
    run_files(_SQL, "scopes")


def downgrade() -> None:
    """Takes them away; a token with scopes may do all that its role may then."""
    run_files(_SQL, "downgrade")
