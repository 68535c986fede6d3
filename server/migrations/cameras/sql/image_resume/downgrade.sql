-- Back to the handler with 4 parameters (its file runs after this one); the removed duplicates return, and what
-- pointed at them points at them again unless it was changed since.
DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid);
DROP FUNCTION fn_log_duplicate_image(uuid, uuid, text, timestamptz, jsonb);
DROP FUNCTION fn_check_image_resumable(uuid, text);
DROP TABLE duplicate_images_log;
DROP INDEX idx_device_images_resume;
ALTER TABLE device_images DROP CONSTRAINT device_images_device_id_image_name_key;
INSERT INTO device_images (
    image_id, device_id, image_name, image_url, image_size, captured_at, received_at, total_chunks, received_chunks,
    status, error_code, metadata, created_at, updated_at
)
SELECT
    b.image_id, b.device_id, b.image_name, b.image_url, b.image_size, b.captured_at, b.received_at, b.total_chunks,
    b.received_chunks, b.status, b.error_code, b.metadata, b.created_at, b.updated_at
FROM device_images_duplicates_backup b
JOIN devices d USING (device_id)
ON CONFLICT (image_id) DO NOTHING;

DO $$
DECLARE
    v_pointer record;
BEGIN
    PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
    FOR v_pointer IN
        SELECT DISTINCT
            k.label, split_part(k.label, '.', 1)::regclass AS place, split_part(k.label, '.', 2) AS name,
            a.attname AS key_name, format_type(a.atttypid, NULL) AS key_type
        FROM device_images_duplicates_backup b
        CROSS JOIN LATERAL jsonb_object_keys(b.moved_references) AS k (label)
        JOIN pg_constraint p ON p.conrelid = to_regclass(split_part(k.label, '.', 1)) AND p.contype = 'p'
        JOIN pg_attribute a ON a.attrelid = p.conrelid AND a.attnum = p.conkey[1]
        ORDER BY k.label
    LOOP
        EXECUTE format(
            'UPDATE %1$s t SET %2$I = b.image_id FROM device_images_duplicates_backup b'
            ' CROSS JOIN LATERAL jsonb_array_elements_text(b.moved_references -> %5$L) AS pointing (key)'
            ' WHERE t.%3$I = pointing.key::%4$s AND t.%2$I = b.kept_image_id'
            ' AND EXISTS (SELECT FROM device_images i WHERE i.image_id = b.image_id)',
            v_pointer.place, v_pointer.name, v_pointer.key_name, v_pointer.key_type, v_pointer.label
        );
    END LOOP;
    PERFORM set_config('wakestorm.keeps_updated_at', '', true);
END
$$;

DROP PROCEDURE clean_up_duplicate_images(bigint, integer);
DROP PROCEDURE rank_duplicate_images(bigint, bigint);
DROP PROCEDURE repoint_superfluous_images();
DROP TABLE device_images_duplicates_backup;
DROP INDEX IF EXISTS idx_device_sessions_image;
