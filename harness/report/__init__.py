"""Consumers of a run's events (`harness.events`); none of them knows another, and the command line makes them.

Read `terminal.py` first (what a person sees), then `files.py` with `schema.py` (what a run leaves behind in
`runs/<time>/`), `junit.py` (what CI reads) and `json_lines.py` (`--json`). `words.py` has the wording they share.
"""
