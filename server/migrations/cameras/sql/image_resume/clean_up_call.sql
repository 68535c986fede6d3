-- The clean-up runs once here; the constraint cannot be made without it.
DO $$
DECLARE
    v_removed bigint;
BEGIN
    CALL clean_up_duplicate_images(v_removed);
    IF v_removed > 0 THEN
        RAISE NOTICE '% inferior duplicates moved to device_images_duplicates_backup', v_removed;
    END IF;
END
$$;
