"""The simulated world: cameras, what goes wrong with them, their links, and a broker.

Read in this order: `effects` (what a device asks for), `device` (the machine, with its theory; `device_states` is its
table), `sender` and `transfer` (what goes out next), `sd_card`, `power`, `own_clock`, `profile` (the firmwares),
`camera` and `sites` (photos and places), `fault` with `faults/` (what goes wrong), `link/` and `broker` (MQTT), `rng`.
`board/` is a virtual ESP32-S3 that boots into such a device.
"""
