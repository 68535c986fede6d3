-- Notes that an image which is already stored was offered again; returns the row's id.
CREATE FUNCTION fn_log_duplicate_image(
    p_device_id uuid,
    p_image_id uuid,
    p_image_name text,
    p_original_captured_at timestamptz,
    p_duplicate_metadata jsonb
) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO duplicate_images_log (
        device_id, image_id, image_name, original_captured_at, duplicate_received_at, duplicate_metadata
    ) VALUES (
        p_device_id, p_image_id, p_image_name, p_original_captured_at, fn_now(), coalesce(p_duplicate_metadata, '{}')
    )
    RETURNING log_id
$$;
