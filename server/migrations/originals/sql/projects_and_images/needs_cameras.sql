DO $$
BEGIN
    IF to_regclass('device_images') IS NULL OR to_regprocedure('secure_table(regclass, text)') IS NULL
        OR NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = to_regclass('device_images') AND attname = 'object_key'
        )
    THEN
        RAISE EXCEPTION 'the originals need the newest schema of the cameras'
            USING HINT = 'run alembic upgrade head first, or wakestorm db migrate for all histories';
    END IF;
END
$$;
