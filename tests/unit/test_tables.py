"""The tables that scenarios may name are those that the migrations create."""

import re
from pathlib import Path

from harness.tables import TABLES

MIGRATIONS = Path(__file__).parents[2] / "server" / "migrations"


def test_tables_are_what_the_migrations_leave() -> None:
    created: set[str] = set()
    dropped: set[str] = set()
    for path in MIGRATIONS.rglob("*.sql"):
        if path.name == "downgrade.sql":
            continue
        text = re.sub(r"CREATE TEMP[A-Z]* TABLE", "", path.read_text(encoding="utf-8"))
        created |= set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)", text))
        for names in re.findall(r"DROP TABLE (?:IF EXISTS )?([a-z_, \n]+)", text):
            dropped |= {name.strip() for name in names.split(",")}
    assert created, "no migrations found"
    assert set(TABLES) == created - dropped
    assert list(TABLES) == sorted(TABLES)
