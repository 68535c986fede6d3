"""The database's history and functions, against a real PostgreSQL."""
