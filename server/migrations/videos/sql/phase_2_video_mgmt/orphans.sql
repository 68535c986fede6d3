-- The document's second common issue, told before anything is changed.
DO $$
DECLARE
    v_orphans bigint;
BEGIN
    SELECT count(*) INTO v_orphans FROM videos v
    WHERE NOT EXISTS (SELECT FROM camera_pins cp WHERE cp.id = v.camera_pin_id);
    IF v_orphans > 0 THEN
        RAISE EXCEPTION '% videos violate foreign key constraint "fk_videos_pin_id": no pin has their camera_pin_id',
            v_orphans
            USING ERRCODE = 'foreign_key_violation',
            HINT = '`wakestorm db orphans` lists them; --pin gives them a pin, --delete deletes them.';
    END IF;
END
$$;
