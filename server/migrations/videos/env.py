"""Alembic's entry into the history of videos; its drift check compares the database with `server.videos_model`."""

from server.migrations import environment
from server.videos_model import OWN_TABLES, Model

environment.run("alembic_version_videos", Model.metadata, OWN_TABLES)
