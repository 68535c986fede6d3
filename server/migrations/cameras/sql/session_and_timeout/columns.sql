-- 20251108200001_session_and_timeout_fix: what timeouts and retries need of commands and alerts.
ALTER TABLE device_commands
    ADD COLUMN IF NOT EXISTS priority integer NOT NULL DEFAULT 5,
    ADD COLUMN IF NOT EXISTS scheduled_for timestamptz,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS max_retries integer NOT NULL DEFAULT 3,
    ADD COLUMN IF NOT EXISTS error_message text,
    ADD COLUMN IF NOT EXISTS device_image_id uuid REFERENCES device_images ON DELETE CASCADE,
    DROP CONSTRAINT IF EXISTS device_commands_priority_check,
    ADD CONSTRAINT device_commands_priority_check CHECK (priority BETWEEN 1 AND 10);
CREATE INDEX IF NOT EXISTS idx_device_commands_due ON device_commands (device_id, priority DESC, scheduled_for)
    WHERE status = 'pending';
CREATE INDEX IF NOT EXISTS idx_device_commands_expiry ON device_commands (expires_at) WHERE status = 'pending';
-- A retry is queued once for each timeout: the image and its count name it while it is alive.
CREATE UNIQUE INDEX IF NOT EXISTS device_commands_one_retry ON device_commands (device_image_id, retry_count)
    WHERE command_type = 'retry_image' AND status IN ('pending', 'sent', 'published', 'acknowledged');

ALTER TABLE device_alerts ADD COLUMN IF NOT EXISTS device_image_id uuid REFERENCES device_images ON DELETE CASCADE;
CREATE UNIQUE INDEX IF NOT EXISTS device_alerts_one_open ON device_alerts (device_image_id, alert_type)
    WHERE resolved_at IS NULL;
