-- 20251108200001_session_and_timeout_fix, step 5: the retry queue.
-- The count is raised by the timeout alone (timeouts.sql); nothing here touches it.

-- When the device is next expected after p_after: by its schedule, else by the wake it was last given; null if unknown.
CREATE FUNCTION fn_next_scheduled_wake(p_device_id uuid, p_after timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT CASE
        WHEN d.wake_schedule_cron IS NOT NULL
            THEN fn_calculate_next_wake_time(p_after, d.wake_schedule_cron, l.timezone)
        WHEN d.next_wake_at > p_after THEN d.next_wake_at
    END
    FROM devices d
    LEFT JOIN LATERAL fn_resolve_device_lineage(d.device_mac) l ON true
    WHERE d.device_id = p_device_id
$$;

-- Queues retry_image for a failed image with retries left, for the next wake: from 5 minutes before it until 1 hour
-- after it. Returns the command's id; null where there is nothing to retry. Called twice, it returns the same command.
-- Where the next wake is unknown, the command is due at once and lives 25 hours: no device sleeps longer than 24.
CREATE FUNCTION queue_image_retry(p_image_id uuid) RETURNS uuid
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_image device_images;
    v_wake timestamptz;
    v_command_id uuid;
    v_missing integer[];
BEGIN
    SELECT * INTO v_image FROM device_images i WHERE i.image_id = p_image_id;
    IF v_image.image_id IS NULL OR v_image.status <> 'failed' OR v_image.retry_count >= v_image.max_retries THEN
        RETURN NULL;
    END IF;
    v_wake := fn_next_scheduled_wake(v_image.device_id, fn_now());
    v_missing := fn_missing_chunks(p_image_id);
    INSERT INTO device_commands (
        device_id, device_image_id, command_type, priority, retry_count, max_retries, scheduled_for, expires_at,
        issued_by, issued_at, command_payload
    ) VALUES (
        v_image.device_id, p_image_id, 'retry_image', 8, v_image.retry_count, v_image.max_retries,
        coalesce(v_wake - interval '5 minutes', fn_now()),
        coalesce(v_wake + interval '1 hour', fn_now() + interval '25 hours'),
        'queue_image_retry', fn_now(),
        jsonb_build_object(
            'image_id', p_image_id,
            'image_name', coalesce(to_jsonb(v_image) ->> 'wire_image_name', v_image.image_name),
            'chunks', to_jsonb(v_missing),
            'total_chunks', v_image.total_chunks
        )
    )
    ON CONFLICT (device_image_id, retry_count)
        WHERE command_type = 'retry_image' AND status IN ('pending', 'sent', 'published', 'acknowledged')
        DO NOTHING
    RETURNING command_id INTO v_command_id;
    IF v_command_id IS NULL THEN
        SELECT c.command_id INTO v_command_id FROM device_commands c
        WHERE c.device_image_id = p_image_id AND c.retry_count = v_image.retry_count
            AND c.command_type = 'retry_image' AND c.status IN ('pending', 'sent', 'published', 'acknowledged');
        RETURN v_command_id;
    END IF;
    INSERT INTO device_history (
        device_id, event_category, event_type, event_timestamp, session_id, description, event_data
    ) VALUES (
        v_image.device_id, 'command', 'retry_queued', fn_now(), v_image.session_id,
        CASE WHEN v_image.retry_count = 0 THEN format('Retry queued for %s', v_image.image_name)  -- a person's
            ELSE format('Retry %s of %s queued for %s', v_image.retry_count, v_image.max_retries, v_image.image_name)
        END,
        jsonb_build_object(
            'image_id', p_image_id, 'image_name', v_image.image_name, 'command_id', v_command_id,
            'retry_count', v_image.retry_count, 'next_wake', v_wake, 'missing_count', cardinality(v_missing)
        )
    );
    RETURN v_command_id;
END
$$;

-- Ends commands whose time passed before they were published. A retry among them is queued again for the next wake,
-- with the image's count as it is. Returns what expired, and the command that took its place.
CREATE FUNCTION fn_expire_commands()
RETURNS TABLE (command_id uuid, device_id uuid, command_type text, requeued_command_id uuid)
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    v_expired record;
BEGIN
    FOR v_expired IN
        SELECT c.command_id, c.device_id, c.command_type, c.device_image_id, c.expires_at
        FROM device_commands c
        WHERE c.status = 'pending' AND c.expires_at <= fn_now()
        ORDER BY c.device_id, c.created_at, c.command_id
    LOOP
        -- Device before command, and never waiting: the order in which the server locks too.
        PERFORM FROM devices d WHERE d.device_id = v_expired.device_id FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        PERFORM FROM device_commands c
        WHERE c.command_id = v_expired.command_id AND c.status = 'pending' FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        UPDATE device_commands c
        SET status = 'expired', completed_at = fn_now(), error_message = 'Expired before it was published'
        WHERE c.command_id = v_expired.command_id;
        INSERT INTO device_history (
            device_id, event_category, event_type, severity, event_timestamp, description, event_data
        ) VALUES (
            v_expired.device_id, 'command', 'command_expired', 'warning', fn_now(),
            format('Command %s expired before it was published', v_expired.command_type),
            jsonb_build_object(
                'command_id', v_expired.command_id, 'command_type', v_expired.command_type,
                'image_id', v_expired.device_image_id, 'expires_at', v_expired.expires_at
            )
        );
        command_id := v_expired.command_id;
        device_id := v_expired.device_id;
        command_type := v_expired.command_type;
        requeued_command_id := NULL;
        IF v_expired.command_type = 'retry_image' THEN
            requeued_command_id := (fn_try_queue_retry(v_expired.device_image_id)).command_id;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- queue_image_retry, where a failure (a schedule that cannot be read) becomes an event and a message, so that one
-- device's bad schedule does not stop the monitor for all.
CREATE FUNCTION fn_try_queue_retry(p_image_id uuid, OUT command_id uuid, OUT queue_error text)
LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    command_id := queue_image_retry(p_image_id);
EXCEPTION WHEN invalid_parameter_value THEN
    queue_error := SQLERRM;
    INSERT INTO device_history (
        device_id, event_category, event_type, severity, event_timestamp, description, event_data
    )
    SELECT
        i.device_id, 'error', 'retry_not_queued', 'error', fn_now(), format('Retry not queued: %s', queue_error),
        jsonb_build_object('image_id', p_image_id, 'image_name', i.image_name)
    FROM device_images i WHERE i.image_id = p_image_id;
END
$$;
