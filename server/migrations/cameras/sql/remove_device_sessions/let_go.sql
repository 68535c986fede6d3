-- So that dropping the table locks nothing but the table.
ALTER TABLE IF EXISTS device_sessions
    DROP CONSTRAINT IF EXISTS device_sessions_image_id_fkey,
    DROP CONSTRAINT IF EXISTS device_sessions_device_id_fkey;
