"""Alembic's entry into the history of cameras."""

from server.migrations import environment

environment.run("alembic_version")
