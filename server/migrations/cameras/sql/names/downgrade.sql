ALTER TABLE web_sessions DROP COLUMN scopes;
DROP TRIGGER devices_names ON devices;
DROP PROCEDURE grant_names_access();
DROP FUNCTION fn_keep_device_name();
DROP TABLE device_names;
