-- Goes on with the given image, else makes a new one.
CREATE OR REPLACE FUNCTION fn_wake_ingestion_handler(
    p_device_id uuid,
    p_captured_at timestamptz,
    p_image_name text,
    p_telemetry_data jsonb,
    p_existing_image_id uuid DEFAULT NULL
) RETURNS TABLE (payload_id uuid, image_id uuid, is_resume boolean)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_payload_id uuid := fn_uuid();
    v_image_id uuid := p_existing_image_id;
BEGIN
    IF v_image_id IS NULL THEN
        INSERT INTO device_images (device_id, image_name, captured_at, image_size, total_chunks, metadata)
        VALUES (
            p_device_id, p_image_name, p_captured_at,
            (p_telemetry_data ->> 'image_size')::integer,
            (p_telemetry_data ->> 'total_chunks')::integer,
            coalesce(p_telemetry_data, '{}')
        )
        RETURNING device_images.image_id INTO v_image_id;
    END IF;
    INSERT INTO device_wake_payloads (
        payload_id, device_id, captured_at, device_image_id, image_status, wake_type, telemetry_data, protocol_state
    )
    SELECT
        v_payload_id, p_device_id, p_captured_at, i.image_id, i.status, 'image_wake',
        coalesce(p_telemetry_data, '{}'), 'metadata_received'
    FROM device_images i WHERE i.image_id = v_image_id;
    RETURN QUERY SELECT v_payload_id, v_image_id, p_existing_image_id IS NOT NULL;
END
$$;
