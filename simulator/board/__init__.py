"""A virtual ESP32-S3 that the real esptool flashes, and that boots what was flashed.

Read in this order: `board` (the whole, with its theory), `protocol`, `loader`, `rom` and `stub` (commands), `flash`,
`efuse` and `registers` (what they act on), `boot` with `image`, `partition` and `nvs` (what starts), `resets`,
`board_fault`. All that is pure; `host` and `ports/` put it on asyncio, `cli` on the command line.
"""
