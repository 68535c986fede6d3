"""The contract between cameras and server. Standard library and msgspec only; simulator and harness may import it.

Read in this order: `messages` (what is said), `topics` (where, and who may), `dialects` (how each firmware writes it),
`limits`, `states` (every state that the database knows), `codec` (bytes and messages; `uplink` and `downlink` are its
halves), `errors`, and `mqtt_codec` (MQTT 3.1.1 packets).
"""
