-- The handler as it was before resume: every metadata message makes a new image row. That is where duplicates
-- came from.
CREATE FUNCTION fn_wake_ingestion_handler(
    p_device_id uuid,
    p_captured_at timestamptz,
    p_image_name text,
    p_telemetry_data jsonb
) RETURNS TABLE (payload_id uuid, image_id uuid)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_payload_id uuid := fn_uuid();
    v_image_id uuid := fn_uuid();
BEGIN
    INSERT INTO device_images (image_id, device_id, image_name, captured_at, image_size, total_chunks, metadata)
    VALUES (
        v_image_id, p_device_id, p_image_name, p_captured_at,
        (p_telemetry_data ->> 'image_size')::integer,
        (p_telemetry_data ->> 'total_chunks')::integer,
        coalesce(p_telemetry_data, '{}')
    );
    INSERT INTO device_wake_payloads (
        payload_id, device_id, captured_at, device_image_id, image_status, wake_type, telemetry_data, protocol_state
    ) VALUES (
        v_payload_id, p_device_id, p_captured_at, v_image_id, 'pending', 'image_wake',
        coalesce(p_telemetry_data, '{}'), 'metadata_received'
    );
    RETURN QUERY SELECT v_payload_id, v_image_id;
END
$$;
