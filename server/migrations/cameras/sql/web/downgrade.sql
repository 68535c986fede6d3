DROP PROCEDURE grant_web_access();
DROP TABLE web_sign_in_attempts, web_sessions, web_users;
DROP INDEX IF EXISTS idx_device_alerts_open, idx_devices_battery, idx_devices_next_wake, idx_devices_last_seen,
    idx_devices_name;
