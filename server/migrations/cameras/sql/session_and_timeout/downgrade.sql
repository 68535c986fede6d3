CALL release_table('devices');
CALL release_table('device_images');
CALL release_table('device_wake_sessions');
CALL release_table('device_commands');
CALL release_table('device_alerts');
CALL release_table('device_history');
DROP FUNCTION timeout_stale_images();
DROP FUNCTION fn_timeout_image(uuid);
DROP FUNCTION fn_alert_failing_image(uuid);
DROP FUNCTION fn_end_retry_commands(uuid);
DROP FUNCTION fn_retry_never_left(uuid);
DROP FUNCTION fn_stale_images();
DROP FUNCTION fn_open_image_windows();
DROP FUNCTION fn_expire_commands();
DROP FUNCTION fn_try_queue_retry(uuid);
DROP FUNCTION queue_image_retry(uuid);
DROP FUNCTION fn_next_scheduled_wake(uuid, timestamptz);
DROP FUNCTION fn_missing_chunks(uuid);
DROP PROCEDURE release_table(regclass);
DROP PROCEDURE secure_table(regclass, text);
DROP FUNCTION fn_company_id();

DROP INDEX device_alerts_one_open;
ALTER TABLE device_alerts DROP COLUMN device_image_id;
DROP INDEX device_commands_one_retry;
DROP INDEX idx_device_commands_expiry;
DROP INDEX idx_device_commands_due;
ALTER TABLE device_commands
    DROP COLUMN priority,
    DROP COLUMN scheduled_for,
    DROP COLUMN expires_at,
    DROP COLUMN max_retries,
    DROP COLUMN error_message,
    DROP COLUMN device_image_id;
DROP INDEX idx_device_images_open;
DROP INDEX idx_device_images_incomplete;
ALTER TABLE device_images
    DROP COLUMN retry_count,
    DROP COLUMN max_retries,
    DROP COLUMN failed_at,
    DROP COLUMN timeout_reason,
    DROP COLUMN session_id,
    DROP COLUMN last_chunk_at;
