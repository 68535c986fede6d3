"""Named SQL: every statement of the server stands in a `.sql` file here, under `-- name: <name>`; see `load`."""

from __future__ import annotations

import re
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load(file: str) -> dict[str, str]:
    """The statements of one file, by name; raises ValueError where a name stands twice."""
    text = resources.files(__package__).joinpath(file).read_text(encoding="utf-8")
    parts = _NAME.split(text)
    names, bodies = parts[1::2], parts[2::2]
    statements = dict(zip(names, (body.strip().rstrip(";") for body in bodies), strict=True))
    if len(statements) != len(names):
        raise ValueError(f"{file} defines a name twice")
    return statements
