DROP PROCEDURE grant_web_access();
DROP TABLE web_sign_in_attempts, web_sessions, web_users;
DROP INDEX IF EXISTS idx_device_images_captured_at, idx_duplicate_images_log_received, idx_device_alerts_open,
    idx_devices_name;
