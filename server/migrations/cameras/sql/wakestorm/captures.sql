-- Captures: which image a metadata message means, and what it is called here.

DROP FUNCTION fn_check_image_resumable(uuid, text);
DROP FUNCTION fn_log_duplicate_image(uuid, uuid, text, timestamptz, jsonb);

-- The newest incomplete capture of that name, by the device's name or ours; no row where there is none. Failed
-- images can be resumed while they have retries left; a superseded one only by its own metadata, not by its name.
CREATE FUNCTION fn_check_image_resumable(p_device_id uuid, p_image_name text)
RETURNS TABLE (
    image_id uuid, status text, received_chunks integer, total_chunks integer, can_resume boolean,
    missing_chunks integer[]
)
LANGUAGE sql STABLE
AS $$
    SELECT
        i.image_id, i.status, i.received_chunks, i.total_chunks,
        i.status <> 'failed' OR i.retry_count < i.max_retries,
        fn_missing_chunks(i.image_id)
    FROM device_images i
    WHERE i.device_id = p_device_id AND i.status IN ('pending', 'receiving', 'failed')
        AND (i.wire_image_name = p_image_name OR i.image_name = p_image_name)
        AND i.timeout_reason IS DISTINCT FROM 'superseded'
    ORDER BY i.status = 'failed', i.captured_at DESC, i.created_at DESC, i.image_id
    LIMIT 1
$$;

-- Notes that a stored capture was offered again: one row for each capture and session, with the count. Returns the
-- row's id.
CREATE FUNCTION fn_log_duplicate_image(
    p_device_id uuid,
    p_image_id uuid,
    p_image_name text,
    p_original_captured_at timestamptz,
    p_duplicate_metadata jsonb,
    p_session_id uuid DEFAULT NULL,
    p_count integer DEFAULT 1
) RETURNS bigint
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO duplicate_images_log AS log (
        device_id, image_id, image_name, original_captured_at, duplicate_received_at, duplicate_metadata,
        session_id, duplicate_count
    ) VALUES (
        p_device_id, p_image_id, p_image_name, p_original_captured_at, fn_now(), coalesce(p_duplicate_metadata, '{}'),
        p_session_id, p_count
    )
    ON CONFLICT (image_id, session_id) DO UPDATE
        SET duplicate_count = log.duplicate_count + excluded.duplicate_count,
            duplicate_received_at = excluded.duplicate_received_at
    RETURNING log_id
$$;

-- The name under which a new capture is stored: its own while that is free, else <stem>__<captured_at UTC>.<ending>,
-- with a number behind it where even that is taken.
CREATE FUNCTION fn_stored_image_name(p_device_id uuid, p_image_name text, p_captured_at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_stem text := regexp_replace(p_image_name, '\.[^.]*$', '');
    v_ending text := coalesce(substring(p_image_name FROM '\.[^.]*$'), '.jpg');
    v_name text := p_image_name;
    v_number integer := 1;
BEGIN
    WHILE EXISTS (SELECT FROM device_images i WHERE i.device_id = p_device_id AND i.image_name = v_name) LOOP
        v_name := v_stem || '__' || to_char(p_captured_at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"')
            || CASE WHEN v_number > 1 THEN '_' || v_number ELSE '' END || v_ending;
        v_number := v_number + 1;
    END LOOP;
    RETURN v_name;
END
$$;

-- The image that a metadata message means, or null for a new photo. A capture is (device, name, captured_at, size,
-- count). A time that a server made up does not count: then an incomplete image with that size and count is meant.
CREATE FUNCTION fn_match_capture(
    p_device_id uuid,
    p_image_name text,
    p_captured_at timestamptz,
    p_captured_at_source text,
    p_image_size integer,
    p_total_chunks integer
) RETURNS uuid
LANGUAGE sql STABLE
AS $$
    SELECT i.image_id
    FROM device_images i
    WHERE i.device_id = p_device_id AND i.wire_image_name = p_image_name
        AND coalesce(i.image_size = p_image_size, true)
        AND coalesce(i.total_chunks = p_total_chunks, true)
        AND (
            i.captured_at = p_captured_at
            OR i.status <> 'complete' AND 'server' IN (i.captured_at_source, p_captured_at_source)
        )
    ORDER BY i.captured_at = p_captured_at DESC, i.status = 'failed', i.captured_at DESC, i.image_id
    LIMIT 1
$$;

-- A failed image that a person wants after all: the count starts again at 0 and a retry is queued. Returns the
-- command's id, null where the image has not failed.
CREATE FUNCTION fn_retry_image_by_hand(p_image_id uuid, p_issued_by text) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_device_id uuid;
    v_command_id uuid;
BEGIN
    SELECT i.device_id INTO v_device_id FROM device_images i WHERE i.image_id = p_image_id;
    PERFORM FROM devices d WHERE d.device_id = v_device_id FOR UPDATE;
    PERFORM FROM device_images i WHERE i.image_id = p_image_id AND i.status = 'failed' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE device_commands
    SET status = 'cancelled', completed_at = fn_now(), error_message = 'A manual retry took its place'
    WHERE device_image_id = p_image_id AND command_type = 'retry_image'
        AND status IN ('pending', 'sent', 'published', 'acknowledged');
    UPDATE device_images SET retry_count = 0 WHERE image_id = p_image_id;
    v_command_id := queue_image_retry(p_image_id);
    UPDATE device_commands SET issued_by = p_issued_by WHERE command_id = v_command_id;
    UPDATE device_alerts
    SET resolved_at = fn_now(), resolved_by = p_issued_by, resolution_notes = 'Retried by hand'
    WHERE device_image_id = p_image_id AND resolved_at IS NULL;
    INSERT INTO device_history (device_id, event_category, event_type, event_timestamp, description, event_data)
    VALUES (
        v_device_id, 'command', 'manual_retry_requested', fn_now(), format('Retry requested by %s', p_issued_by),
        jsonb_build_object('image_id', p_image_id, 'command_id', v_command_id, 'issued_by', p_issued_by)
    );
    RETURN v_command_id;
END
$$;
