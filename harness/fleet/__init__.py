"""Fleets: thousands of cameras in processes of their own, against a bench of real parts, judged row by row.

Read `order` (what is wanted), `worker` (one shard), `shards` (all of them), `bench` (what they send to), `judging`
(what stands there afterwards), then `command`.
"""
