"""Attacks, and what they may achieve: `wakestorm bench hostile`, and tests.

Read `isolation` (who may use whose topics), `payloads` (what a device may say), `pictures` (JPEGs that lie), `stand`
(a server to attack), `exhaustion` and `attacker` (a device that takes all it can get), `strangers` (HTTP), then
`figures`, which runs all of them.
"""
