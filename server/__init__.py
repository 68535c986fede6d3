"""The reference server: takes what cameras send over MQTT, keeps it in PostgreSQL, and tells them what to do next.

Read in this order: `wire/` (the contract), `view` (what is known of a device), `ingest` with `session`, `transfer` and
`asking` (what to answer; pure), `effects` (how that is said), `wake` (the next wake time). Then the doors: `mqtt`,
`intake` (batches), `store`, `reading` and `writing` with `queries/`, `completion` (whole images), `objects`, `offload`,
`clock`, `ids`, `watchlist` and `monitor` (silence and timeouts), `web/`, and the wiring: `app`, `serving`, `cli`.
"""
