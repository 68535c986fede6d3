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
CREATE INDEX idx_device_sessions_image ON device_sessions (image_id);

INSERT INTO device_sessions (
    session_id, device_id, session_start_time, session_end_time, next_wake_at, image_id, chunks_sent, chunks_total,
    status, created_at
)
SELECT
    b.session_id, b.device_id, b.session_start_time, b.session_end_time, b.next_wake_at, i.image_id, b.chunks_sent,
    b.chunks_total, b.status, b.created_at
FROM device_sessions_backup b
JOIN devices d USING (device_id)
LEFT JOIN device_images i ON i.image_id = b.image_id;

-- History that points at a session of the newer kind gets a row to point at.
INSERT INTO device_sessions (
    session_id, device_id, session_start_time, next_wake_at, image_id, chunks_sent, chunks_total, status, created_at
)
SELECT
    w.session_id, w.device_id, w.wake_timestamp, w.next_wake_scheduled, w.image_id, w.chunks_sent, w.chunks_total,
    w.status, w.created_at
FROM device_wake_sessions w
WHERE w.session_id IN (SELECT h.session_id FROM device_history h)
ON CONFLICT (session_id) DO NOTHING;

ALTER TABLE device_history DROP CONSTRAINT device_history_session_id_fkey;
ALTER TABLE device_history ADD CONSTRAINT device_history_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES device_sessions (session_id) ON DELETE SET NULL;

-- The rows that had been carried over leave again, unless an image still belongs to one.
DELETE FROM device_wake_sessions w USING device_sessions_backup b
WHERE w.session_id = b.session_id AND b.carried_over AND NOT EXISTS (
    SELECT FROM device_images i WHERE i.session_id = w.session_id
);

DROP TABLE device_sessions_backup;
