-- 20251108200001_session_and_timeout_fix, steps 1 to 3: the session table is there, images and commands get what
-- timeouts and retries need.

DO $$
BEGIN
    IF to_regclass('device_wake_sessions') IS NULL THEN
        RAISE EXCEPTION 'table device_wake_sessions is missing'
            USING ERRCODE = 'undefined_table',
            HINT = 'Sessions live there; restore it (revision legacy_base makes it) and run the migration again.';
    END IF;
END
$$;

ALTER TABLE device_images
    ADD COLUMN retry_count integer NOT NULL DEFAULT 0,
    ADD COLUMN max_retries integer NOT NULL DEFAULT 3,
    ADD COLUMN failed_at timestamptz,
    ADD COLUMN timeout_reason text,
    ADD COLUMN session_id uuid REFERENCES device_wake_sessions ON DELETE SET NULL,
    ADD COLUMN last_chunk_at timestamptz,
    ADD CONSTRAINT device_images_retry_count_check CHECK (retry_count >= 0),
    ADD CONSTRAINT device_images_max_retries_check CHECK (max_retries >= 0);
CREATE INDEX idx_device_images_session ON device_images (session_id);
CREATE INDEX idx_device_images_incomplete ON device_images (device_id, captured_at)
    WHERE status IN ('pending', 'receiving', 'failed');
CREATE INDEX idx_device_images_open ON device_images (image_id) WHERE status IN ('pending', 'receiving');

ALTER TABLE device_commands
    ADD COLUMN priority integer NOT NULL DEFAULT 5,
    ADD COLUMN scheduled_for timestamptz,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN max_retries integer NOT NULL DEFAULT 3,
    ADD COLUMN error_message text,
    ADD COLUMN device_image_id uuid REFERENCES device_images ON DELETE CASCADE,
    ADD CONSTRAINT device_commands_priority_check CHECK (priority BETWEEN 1 AND 10);
CREATE INDEX idx_device_commands_due ON device_commands (device_id, priority DESC, scheduled_for)
    WHERE status = 'pending';
CREATE INDEX idx_device_commands_expiry ON device_commands (expires_at) WHERE status = 'pending';
-- A retry is queued once for each timeout: the image and its count name it while it is alive.
CREATE UNIQUE INDEX device_commands_one_retry ON device_commands (device_image_id, retry_count)
    WHERE command_type = 'retry_image' AND status IN ('pending', 'sent', 'published', 'acknowledged');

ALTER TABLE device_alerts ADD COLUMN device_image_id uuid REFERENCES device_images ON DELETE CASCADE;
CREATE UNIQUE INDEX device_alerts_one_open ON device_alerts (device_image_id, alert_type)
    WHERE resolved_at IS NULL;
