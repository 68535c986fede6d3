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
