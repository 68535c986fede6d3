-- APPLY_PENDING_IMAGE_PROTOCOL_STATE: a state for "go on with that image".
ALTER TABLE device_wake_payloads DROP CONSTRAINT device_wake_payloads_protocol_state_check;
ALTER TABLE device_wake_payloads ADD CONSTRAINT device_wake_payloads_protocol_state_check CHECK (
    protocol_state IN (
        'hello_received', 'ack_sent', 'ack_pending_sent', 'snap_sent', 'metadata_received', 'complete', 'failed',
        'sleep_only'
    )
);

COMMENT ON COLUMN device_wake_payloads.protocol_state IS
$$Where the wake stands:
hello_received - Device sent HELLO
ack_sent - Server sent ACK (normal flow)
ack_pending_sent - Server sent ACK for pending image resume
snap_sent - Server sent SNAP command
metadata_received - Got metadata, receiving chunks
complete - Image complete, SLEEP sent
failed - Protocol flow failed
sleep_only - Just send SLEEP (no schedule/unmapped)$$;
