"""Alembic's entry into the history of videos; its drift check compares the database with `server.videos_model`."""

from server.migrations import environment

environment.run("alembic_version_videos")
