"""Alembic revisions of the originals, in order."""
