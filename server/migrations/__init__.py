"""The database's history: Alembic revisions whose SQL lives in .sql files beside them.

Read `cameras/versions` in the order of their numbers, each with its folder in `cameras/sql`; `script` runs those
files, `environment` is what Alembic calls, `apply` is how a program migrates, `describe` prints the schema.
"""
