"""Attacks, and what they may achieve: `wakestorm bench hostile`, and tests.

Read `isolation` (who may use whose topics), `payloads` (what a device may say), `pictures` (JPEGs that lie), then
`figures`, which runs all of them.
"""
