-- A metadata message becomes rows: the session it belongs to, the image it means or makes, the wake payload.

DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid);

-- The device's open session; a new one where none is open.
CREATE FUNCTION fn_open_wake_session(p_device_id uuid) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_session_id uuid;
BEGIN
    SELECT s.session_id INTO v_session_id FROM device_wake_sessions s
    WHERE s.device_id = p_device_id AND s.status = 'in_progress';
    IF v_session_id IS NULL THEN
        INSERT INTO device_wake_sessions (
            device_id, site_id, program_id, company_id, wake_timestamp, last_message_at, next_wake_scheduled
        )
        SELECT d.device_id, l.site_id, l.program_id, l.company_id, fn_now(), fn_now(), d.next_wake_at
        FROM devices d
        LEFT JOIN LATERAL fn_resolve_device_lineage(d.device_mac) l ON true
        WHERE d.device_id = p_device_id
        RETURNING session_id INTO v_session_id;
    END IF;
    RETURN v_session_id;
END
$$;

-- A new photo. An older open capture of the same name is closed: the device sends no more of it under that name.
CREATE FUNCTION fn_start_capture(
    p_device_id uuid,
    p_captured_at timestamptz,
    p_image_name text,
    p_telemetry_data jsonb,
    p_session_id uuid
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_image_id uuid := fn_uuid();
    v_older record;
BEGIN
    FOR v_older IN
        UPDATE device_images i
        SET status = 'failed', failed_at = fn_now(), timeout_reason = 'superseded'
        WHERE i.device_id = p_device_id AND i.wire_image_name = p_image_name AND i.status IN ('pending', 'receiving')
        RETURNING i.image_id, i.image_name
    LOOP
        INSERT INTO device_history (
            device_id, event_category, event_type, severity, event_timestamp, session_id, description, event_data
        ) VALUES (
            p_device_id, 'image', 'image_superseded', 'warning', fn_now(), p_session_id,
            format('%s was superseded by another photo of that name', v_older.image_name),
            jsonb_build_object('image_id', v_older.image_id, 'image_name', v_older.image_name, 'by', v_image_id)
        );
    END LOOP;
    INSERT INTO device_images (
        image_id, device_id, image_name, wire_image_name, captured_at, captured_at_source, image_size, total_chunks,
        chunk_size_bytes, error_code, dialect, received_at, session_id, metadata
    ) VALUES (
        v_image_id, p_device_id, fn_stored_image_name(p_device_id, p_image_name, p_captured_at), p_image_name,
        p_captured_at, coalesce(p_telemetry_data ->> 'captured_at_source', 'device'),
        (p_telemetry_data ->> 'image_size')::integer, (p_telemetry_data ->> 'total_chunks')::integer,
        (p_telemetry_data ->> 'chunk_size_bytes')::integer, coalesce((p_telemetry_data ->> 'error_code')::integer, 0),
        p_telemetry_data ->> 'dialect', fn_now(), p_session_id, coalesce(p_telemetry_data, '{}')
    );
    RETURN v_image_id;
END
$$;

-- The wake payload of that image in that session: the one its HELLO began, else a new one.
CREATE FUNCTION fn_link_wake_payload(
    p_device_id uuid,
    p_session_id uuid,
    p_captured_at timestamptz,
    p_image_id uuid,
    p_telemetry_data jsonb
) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_payload_id uuid;
    v_data jsonb := coalesce(p_telemetry_data, '{}');
    v_image device_images;
BEGIN
    SELECT * INTO v_image FROM device_images i WHERE i.image_id = p_image_id;
    SELECT p.payload_id INTO v_payload_id FROM device_wake_payloads p
    WHERE p.session_id = p_session_id AND p.payload_status = 'in_progress'
        AND (p.device_image_id = p_image_id OR p.device_image_id IS NULL)
    ORDER BY p.device_image_id IS NULL, p.created_at, p.payload_id
    LIMIT 1;
    IF v_payload_id IS NULL THEN
        INSERT INTO device_wake_payloads (device_id, session_id, site_id, program_id, company_id, captured_at)
        SELECT s.device_id, s.session_id, s.site_id, s.program_id, s.company_id, p_captured_at
        FROM device_wake_sessions s WHERE s.session_id = p_session_id
        RETURNING payload_id INTO v_payload_id;
        UPDATE device_wake_sessions s SET payload_id = v_payload_id
        WHERE s.session_id = p_session_id AND s.payload_id IS NULL;
    END IF;
    UPDATE device_wake_payloads p
    SET
        captured_at = p_captured_at,
        device_image_id = p_image_id,
        image_status = v_image.status,
        wake_type = CASE WHEN p_image_id IS NULL THEN 'telemetry_only' ELSE 'image_wake' END,
        protocol_state = CASE WHEN p_image_id IS NULL THEN p.protocol_state ELSE 'metadata_received' END,
        chunk_count = v_image.total_chunks,
        chunks_received = coalesce(v_image.received_chunks, 0),
        temperature = coalesce((v_data ->> 'temperature')::real, p.temperature),
        humidity = coalesce((v_data ->> 'humidity')::real, p.humidity),
        pressure = coalesce((v_data ->> 'pressure')::real, p.pressure),
        gas_resistance = coalesce((v_data ->> 'gas_resistance')::real, p.gas_resistance),
        battery_voltage = coalesce((v_data ->> 'battery_voltage')::real, p.battery_voltage),
        wifi_rssi = coalesce((v_data ->> 'wifi_rssi')::integer, p.wifi_rssi),
        server_image_name = v_image.image_name,
        telemetry_data = p.telemetry_data || v_data
    WHERE p.payload_id = v_payload_id;
    RETURN v_payload_id;
END
$$;

-- What a metadata (or telemetry) message of a known device means for the database. With p_existing_image_id that
-- image goes on; else the capture is matched, or made. Without p_image_name there is no image, just telemetry.
-- p_telemetry_data may hold image_size, total_chunks, chunk_size_bytes, captured_at_source, dialect, error_code and
-- the sensors. A device without site or session is served all the same.
CREATE FUNCTION fn_wake_ingestion_handler(
    p_device_id uuid,
    p_captured_at timestamptz,
    p_image_name text,
    p_telemetry_data jsonb,
    p_existing_image_id uuid DEFAULT NULL
) RETURNS TABLE (payload_id uuid, image_id uuid, session_id uuid, is_resume boolean)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_session_id uuid;
    v_image_id uuid := p_existing_image_id;
    v_resumes boolean := false;
BEGIN
    PERFORM FROM devices d WHERE d.device_id = p_device_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'device % is not known', p_device_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    v_session_id := fn_open_wake_session(p_device_id);
    IF v_image_id IS NULL AND p_image_name IS NOT NULL THEN
        v_image_id := fn_match_capture(
            p_device_id, p_image_name, p_captured_at, coalesce(p_telemetry_data ->> 'captured_at_source', 'device'),
            (p_telemetry_data ->> 'image_size')::integer, (p_telemetry_data ->> 'total_chunks')::integer
        );
    END IF;
    IF v_image_id IS NOT NULL THEN
        UPDATE device_images i
        SET
            session_id = CASE WHEN i.status = 'complete' THEN i.session_id ELSE v_session_id END,
            status = CASE WHEN i.status = 'failed' THEN 'receiving' ELSE i.status END,
            failed_at = CASE WHEN i.status = 'failed' THEN NULL ELSE i.failed_at END,
            timeout_reason = CASE WHEN i.status = 'failed' THEN NULL ELSE i.timeout_reason END,
            total_chunks = coalesce(i.total_chunks, (p_telemetry_data ->> 'total_chunks')::integer),
            image_size = coalesce(i.image_size, (p_telemetry_data ->> 'image_size')::integer)
        WHERE i.image_id = v_image_id AND i.device_id = p_device_id
        RETURNING i.status <> 'complete' INTO v_resumes;
        IF v_resumes IS NULL THEN
            RAISE EXCEPTION 'image % is not one of device %', v_image_id, p_device_id
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSIF p_image_name IS NOT NULL THEN
        v_image_id := fn_start_capture(p_device_id, p_captured_at, p_image_name, p_telemetry_data, v_session_id);
    END IF;
    RETURN QUERY SELECT
        fn_link_wake_payload(p_device_id, v_session_id, p_captured_at, v_image_id, p_telemetry_data),
        v_image_id, v_session_id, v_resumes;
END
$$;
