"""Virtual time beside a real PostgreSQL.

Read `incarnation` (who runs), `meter` (what PostgreSQL still owes an answer to), `selector` (when the clock may
jump), `loop` (the asyncio loop), `network` with `segments` (TCP in memory), then `gate` (one transaction at a time).
"""
