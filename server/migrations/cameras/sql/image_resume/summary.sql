-- The last lines of the migration.
DO $$
BEGIN
    RAISE NOTICE '=== Image Resume Migration Complete ===';
    RAISE NOTICE 'Incomplete images in database: %',
        (SELECT count(*) FROM device_images WHERE status IN ('pending', 'receiving'));
    RAISE NOTICE 'Duplicate logs recorded: %', (SELECT count(*) FROM duplicate_images_log);
    RAISE NOTICE 'Resume system is now active!';
END
$$;
