-- 20251108200001_session_and_timeout_fix, step 5: images that did not make it before their wake window passed.

-- Where the window of each image under way ends: the next wake that the carrying session was given, or the device's
-- next wake, whichever is earlier; an image with neither has one hour from its last progress.
CREATE FUNCTION fn_open_image_windows()
RETURNS TABLE (image_id uuid, device_id uuid, captured_at timestamptz, window_end timestamptz, timeout_reason text)
LANGUAGE sql STABLE
AS $$
    SELECT
        i.image_id,
        i.device_id,
        i.captured_at,
        coalesce(w.wake, w.progress),
        CASE WHEN w.wake IS NULL THEN 'No progress for one hour' ELSE 'Not completed before wake window' END
    FROM device_images i
    JOIN devices d USING (device_id)
    LEFT JOIN device_wake_sessions s ON s.session_id = i.session_id,
    LATERAL (
        SELECT
            least(s.next_wake_scheduled, d.next_wake_at) AS wake,
            greatest(i.last_chunk_at, i.received_at, s.wake_timestamp, i.created_at) + interval '1 hour' AS progress
    ) AS w
    WHERE i.status IN ('pending', 'receiving')
$$;

-- Images whose own window has passed, oldest first.
CREATE FUNCTION fn_stale_images()
RETURNS TABLE (image_id uuid, device_id uuid, window_end timestamptz, timeout_reason text)
LANGUAGE sql STABLE
AS $$
    SELECT o.image_id, o.device_id, o.window_end, o.timeout_reason
    FROM fn_open_image_windows() o
    WHERE o.window_end <= fn_now()
    ORDER BY o.captured_at, o.image_id
$$;

-- Fails one image if it is stale and free: device and image are locked in that order, never waited for. Everything
-- that belongs to a timeout happens here, once: count, wake payload, retry, event, alert.
CREATE FUNCTION fn_timeout_image(p_image_id uuid)
RETURNS TABLE (
    image_id uuid, device_id uuid, device_mac text, image_name text, retry_count integer, max_retries integer,
    failed_at timestamptz, timeout_reason text, received_chunks integer, total_chunks integer,
    retry_queued boolean, command_id uuid, queue_error text, alert_id uuid
)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    v_reason text;
    v_tries integer;
    v_image device_images;
    v_mac text;
    v_retry record;
    v_alert_id uuid;
BEGIN
    SELECT d.device_mac INTO v_mac FROM devices d
    WHERE d.device_id = (SELECT i.device_id FROM device_images i WHERE i.image_id = p_image_id)
    FOR UPDATE SKIP LOCKED;
    IF v_mac IS NULL THEN
        RETURN;
    END IF;
    PERFORM FROM device_images i WHERE i.image_id = p_image_id FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT s.timeout_reason INTO v_reason FROM fn_stale_images() s WHERE s.image_id = p_image_id;
    IF v_reason IS NULL THEN
        RETURN;
    END IF;

    v_tries := CASE WHEN fn_retry_never_left(p_image_id) THEN 0 ELSE 1 END;
    UPDATE device_images i
    SET
        status = 'failed', failed_at = fn_now(), timeout_reason = v_reason,
        retry_count = greatest(i.retry_count, least(i.retry_count + v_tries, i.max_retries))
    WHERE i.image_id = p_image_id
    RETURNING * INTO v_image;
    UPDATE device_wake_payloads p
    SET payload_status = 'failed', protocol_state = 'failed', image_status = 'failed'
    WHERE p.device_image_id = p_image_id AND p.payload_status = 'in_progress';
    PERFORM fn_end_retry_commands(p_image_id);
    INSERT INTO device_history (
        device_id, event_category, event_type, severity, event_timestamp, session_id, description, event_data
    ) VALUES (
        v_image.device_id, 'image', 'image_timed_out', 'warning', fn_now(), v_image.session_id,
        format('%s timed out with %s of %s chunks', v_image.image_name, v_image.received_chunks, v_image.total_chunks),
        jsonb_build_object(
            'image_id', p_image_id, 'image_name', v_image.image_name, 'reason', v_reason,
            'received_chunks', v_image.received_chunks, 'total_chunks', v_image.total_chunks,
            'retry_count', v_image.retry_count, 'max_retries', v_image.max_retries
        )
    );
    v_retry := fn_try_queue_retry(p_image_id);
    v_alert_id := fn_alert_failing_image(p_image_id);
    RETURN QUERY SELECT
        p_image_id, v_image.device_id, v_mac, v_image.image_name, v_image.retry_count, v_image.max_retries,
        v_image.failed_at, v_reason, v_image.received_chunks, v_image.total_chunks,
        v_retry.command_id IS NOT NULL, v_retry.command_id, v_retry.queue_error, v_alert_id;
END
$$;

-- Whether the retry that the image waits for was decided and then never published (no broker, or the server died), and
-- the device sent nothing for it: nobody tried, so the timeout does not count, as with a command that expired.
CREATE FUNCTION fn_retry_never_left(p_image_id uuid) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT EXISTS (
        SELECT FROM device_commands c
        JOIN device_images i ON i.image_id = c.device_image_id
        LEFT JOIN device_wake_sessions s ON s.session_id = i.session_id
        WHERE c.device_image_id = p_image_id AND c.command_type = 'retry_image' AND c.status = 'sent'
            AND coalesce(s.chunks_sent, 0) = 0
    )
$$;

-- The retries of earlier counts are over when the image has timed out again, and so is what else was published for it.
CREATE FUNCTION fn_end_retry_commands(p_image_id uuid) RETURNS void
LANGUAGE sql VOLATILE
AS $$
    UPDATE device_commands
    SET
        status = CASE status WHEN 'pending' THEN 'cancelled' ELSE 'failed' END,
        completed_at = fn_now(),
        error_message = CASE status
            WHEN 'sent' THEN 'Its answer was never published' ELSE 'The image timed out again'
        END
    WHERE device_image_id = p_image_id AND (
        command_type = 'retry_image' AND status = 'pending' OR status IN ('sent', 'published', 'acknowledged')
    )
$$;

-- From the last retry on, a person should look: one open alert for each image, brought up to date. Returns its id,
-- null where there are retries to spare.
CREATE FUNCTION fn_alert_failing_image(p_image_id uuid) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    INSERT INTO device_alerts (
        device_id, device_image_id, alert_type, severity, message, triggered_at, metadata
    )
    SELECT
        i.device_id, i.image_id, 'image_transmission_failed', 'critical',
        format('Image %s failed %s of %s times', i.image_name, i.retry_count, i.max_retries), fn_now(),
        jsonb_build_object(
            'image_id', i.image_id, 'image_name', i.image_name, 'retry_count', i.retry_count,
            'max_retries', i.max_retries, 'timeout_reason', i.timeout_reason,
            'received_chunks', i.received_chunks, 'total_chunks', i.total_chunks
        )
    FROM device_images i
    WHERE i.image_id = p_image_id AND i.retry_count >= i.max_retries - 1
    ON CONFLICT (device_image_id, alert_type) WHERE resolved_at IS NULL
        DO UPDATE SET message = excluded.message, metadata = excluded.metadata
    RETURNING alert_id
$$;

-- The monitor's work in one call: every stale image fails once, gets its retry, event and alert; then commands that
-- nobody fetched expire. Images that another session is working on are left to it.
CREATE FUNCTION timeout_stale_images()
RETURNS TABLE (
    image_id uuid, device_id uuid, device_mac text, image_name text, retry_count integer, max_retries integer,
    failed_at timestamptz, timeout_reason text, received_chunks integer, total_chunks integer,
    retry_queued boolean, command_id uuid, queue_error text, alert_id uuid
)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_stale record;
BEGIN
    FOR v_stale IN SELECT s.image_id FROM fn_stale_images() s LOOP
        RETURN QUERY SELECT * FROM fn_timeout_image(v_stale.image_id);
    END LOOP;
    PERFORM FROM fn_expire_commands();
END
$$;
