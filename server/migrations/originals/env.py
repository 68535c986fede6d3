"""Alembic's entry into the history of originals."""

from server.migrations import environment

environment.run("alembic_version_originals")
