-- What the clean-up did, also where it took several attempts.
DO $$
DECLARE
    v_removed bigint;
BEGIN
    SELECT count(*) INTO v_removed FROM device_images_duplicates_backup;
    IF v_removed > 0 THEN
        RAISE NOTICE '% inferior duplicates moved to device_images_duplicates_backup', v_removed;
    END IF;
END
$$;
