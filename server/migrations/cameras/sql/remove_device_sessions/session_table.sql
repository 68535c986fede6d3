-- 20251108210000_remove_duplicate_device_sessions: one table of sessions, device_wake_sessions.

DO $$
BEGIN
    IF to_regclass('device_wake_sessions') IS NULL THEN
        RAISE EXCEPTION 'table device_wake_sessions is missing'
            USING ERRCODE = 'undefined_table',
            HINT = 'It is the primary table of sessions; device_sessions is not dropped without it.';
    END IF;
END
$$;
