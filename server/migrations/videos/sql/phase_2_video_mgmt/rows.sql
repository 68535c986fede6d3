-- The document's data migration, to the letter. Legacy columns stay as they are.
UPDATE videos v
SET mall_id = cp.mall_id,
    pin_id = v.camera_pin_id,
    filename = v.original_filename,
    original_path = v.file_path,
    upload_status = 'uploaded',
    uploaded_at = v.upload_timestamp,
    updated_at = v.created_at
FROM camera_pins cp
WHERE v.camera_pin_id = cp.id;
