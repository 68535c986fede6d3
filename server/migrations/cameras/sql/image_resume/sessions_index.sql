-- Without it each removed image would mean a search through all sessions.
DO $$
BEGIN
    IF to_regclass('device_sessions') IS NOT NULL THEN
        CREATE INDEX IF NOT EXISTS idx_device_sessions_image ON device_sessions (image_id);
    END IF;
END
$$;
