"""Alembic revisions of the videos, in order."""
