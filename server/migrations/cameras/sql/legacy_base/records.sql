-- What a deployment of 2025 recorded before any of the documented migrations: no UNIQUE on images, sessions twice
-- (device_sessions beside device_wake_sessions), chunks keyed by the device's own names.

CREATE TABLE device_images (
    image_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_id uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    image_name text NOT NULL,
    image_url text,
    image_size integer,
    captured_at timestamptz NOT NULL,
    received_at timestamptz,
    total_chunks integer,
    received_chunks integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending',
    error_code integer NOT NULL DEFAULT 0,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT device_images_status_check CHECK (status IN ('pending', 'receiving', 'complete', 'failed'))
);
CREATE INDEX idx_device_images_device ON device_images (device_id, captured_at);

CREATE TABLE device_image_chunks (
    device_mac text NOT NULL REFERENCES devices (device_mac) ON UPDATE CASCADE ON DELETE CASCADE,
    image_name text NOT NULL,
    chunk_index integer NOT NULL,
    data bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT fn_now(),
    PRIMARY KEY (device_mac, image_name, chunk_index)
);

CREATE TABLE device_sessions (
    session_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_id uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    session_start_time timestamptz NOT NULL DEFAULT fn_now(),
    session_end_time timestamptz,
    next_wake_at timestamptz,
    image_id uuid REFERENCES device_images ON DELETE SET NULL,
    chunks_sent integer NOT NULL DEFAULT 0,
    chunks_total integer,
    status text NOT NULL DEFAULT 'in_progress',
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT device_sessions_status_check CHECK (status IN ('in_progress', 'completed', 'timeout', 'error'))
);
CREATE INDEX idx_device_sessions_device ON device_sessions (device_id, session_start_time);

CREATE TABLE device_wake_sessions (
    session_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_id uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    site_id uuid REFERENCES sites ON DELETE SET NULL,
    program_id uuid REFERENCES programs ON DELETE SET NULL,
    company_id uuid REFERENCES companies ON DELETE SET NULL,
    wake_timestamp timestamptz NOT NULL DEFAULT fn_now(),
    session_duration_ms integer,
    next_wake_scheduled timestamptz,
    connection_success boolean NOT NULL DEFAULT true,
    wifi_retry_count integer NOT NULL DEFAULT 0,
    mqtt_connected boolean NOT NULL DEFAULT true,
    image_captured boolean NOT NULL DEFAULT false,
    image_id uuid REFERENCES device_images ON DELETE SET NULL,
    chunks_sent integer NOT NULL DEFAULT 0,
    chunks_total integer,
    chunks_missing integer[] NOT NULL DEFAULT '{}',
    transmission_complete boolean NOT NULL DEFAULT false,
    pending_images_count integer NOT NULL DEFAULT 0,
    was_offline_capture boolean NOT NULL DEFAULT false,
    telemetry_data jsonb NOT NULL DEFAULT '{}',
    error_codes integer[] NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'in_progress',
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT device_wake_sessions_status_check CHECK (status IN ('in_progress', 'completed', 'timeout', 'error'))
);
CREATE INDEX idx_device_wake_sessions_device ON device_wake_sessions (device_id, wake_timestamp);
CREATE INDEX idx_device_wake_sessions_image ON device_wake_sessions (image_id);

CREATE TABLE device_wake_payloads (
    payload_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_id uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    site_id uuid REFERENCES sites ON DELETE SET NULL,
    program_id uuid REFERENCES programs ON DELETE SET NULL,
    company_id uuid REFERENCES companies ON DELETE SET NULL,
    captured_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT fn_now(),
    device_image_id uuid REFERENCES device_images ON DELETE SET NULL,
    image_status text,
    payload_status text NOT NULL DEFAULT 'in_progress',
    wake_type text NOT NULL DEFAULT 'hello',
    chunk_count integer,
    chunks_received integer NOT NULL DEFAULT 0,
    is_complete boolean NOT NULL DEFAULT false,
    temperature real,
    humidity real,
    pressure real,
    gas_resistance real,
    battery_voltage real,
    wifi_rssi integer,
    telemetry_data jsonb NOT NULL DEFAULT '{}',
    protocol_state text,
    server_image_name text,
    ack_sent_at timestamptz,
    snap_sent_at timestamptz,
    sleep_sent_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT device_wake_payloads_image_status_check CHECK (
        image_status IN ('pending', 'receiving', 'complete', 'failed')
    ),
    CONSTRAINT device_wake_payloads_payload_status_check CHECK (
        payload_status IN ('in_progress', 'complete', 'failed', 'sleep_only')
    ),
    CONSTRAINT device_wake_payloads_wake_type_check CHECK (
        wake_type IN ('image_wake', 'telemetry_only', 'hello', 'retry')
    ),
    CONSTRAINT device_wake_payloads_protocol_state_check CHECK (
        protocol_state IN (
            'hello_received', 'ack_sent', 'snap_sent', 'metadata_received', 'complete', 'failed', 'sleep_only'
        )
    )
);
CREATE INDEX idx_device_wake_payloads_device ON device_wake_payloads (device_id, received_at);
CREATE INDEX idx_device_wake_payloads_image ON device_wake_payloads (device_image_id);

COMMENT ON COLUMN device_wake_payloads.protocol_state IS
$$Where the wake stands:
hello_received - Device sent HELLO
ack_sent - Server sent ACK (normal flow)
snap_sent - Server sent SNAP command
metadata_received - Got metadata, receiving chunks
complete - Image complete, SLEEP sent
failed - Protocol flow failed
sleep_only - Just send SLEEP (no schedule/unmapped)$$;

CREATE TRIGGER device_images_updated_at BEFORE UPDATE ON device_images
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER device_wake_sessions_updated_at BEFORE UPDATE ON device_wake_sessions
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER device_wake_payloads_updated_at BEFORE UPDATE ON device_wake_payloads
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
