-- Back to the handler with 4 parameters (its file runs after this one); the removed duplicates return.
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
DROP PROCEDURE clean_up_duplicate_images(bigint);
DROP TABLE device_images_duplicates_backup;
