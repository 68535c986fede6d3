-- The older list has no word for a resume; the normal flow's is the nearest.
UPDATE device_wake_payloads SET protocol_state = 'ack_sent' WHERE protocol_state = 'ack_pending_sent';
ALTER TABLE device_wake_payloads DROP CONSTRAINT device_wake_payloads_protocol_state_check;
ALTER TABLE device_wake_payloads ADD CONSTRAINT device_wake_payloads_protocol_state_check CHECK (
    protocol_state IN (
        'hello_received', 'ack_sent', 'snap_sent', 'metadata_received', 'complete', 'failed', 'sleep_only'
    )
);

COMMENT ON COLUMN device_wake_payloads.protocol_state IS
$$Where the wake stands:
hello_received - Device sent HELLO
ack_sent - Server sent ACK (normal flow)
snap_sent - Server sent SNAP command
metadata_received - Got metadata, receiving chunks
complete - Image complete, SLEEP sent
failed - Protocol flow failed
sleep_only - Just send SLEEP (no schedule/unmapped)$$;
