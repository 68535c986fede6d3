-- What a batch needs to know. Locks are taken in the order of keys: devices, then device_images (design 9.2).

-- name: lock_devices
-- Goes out with BEGIN, so $1 is put in as a literal: the MACs of the batch. Reading is the next statement, with a
-- snapshot of its own, taken when the locks are held.
SELECT FROM devices d
WHERE d.device_mac = ANY($1)
ORDER BY d.device_id
FOR UPDATE;

-- name: devices
-- A row for each device, with its time zone and its newest wake session, and each of its images that may matter:
-- incomplete ones, those named in the batch or in the session's list, and those of the session, with their chunks.
-- $1: MACs of the batch, locked already; $2: wire names in the batch; $3: image ids in the batch.
WITH known AS MATERIALIZED (
    SELECT
        d.device_id, d.device_mac, d.is_active, d.provisioning_status, d.wake_schedule_cron, d.manual_wake_override,
        d.next_wake_at, d.last_seen_at, d.last_wake_at, d.battery_voltage, d.wifi_rssi, d.firmware_version,
        d.hardware_version, d.protocol_version, d.topic_family, l.timezone,
        s.session_id, s.wake_timestamp, s.status AS session_status, s.hello_digest, s.last_message_at, s.answer,
        s.answer_image_id, s.missing_rounds, s.asked_at, s.backlog_asked, s.images_stored, s.offers_expected,
        s.next_wake_scheduled, s.pending_images_count, s.pending_list, s.image_captured,
        s.image_id AS session_image_id,
        (SELECT true FROM device_image_chunks_staged g WHERE g.device_id = d.device_id LIMIT 1) AS has_staged,
        s.message_count, s.chunks_sent, s.chunk_duplicates, s.error_codes, s.telemetry_data, s.ended_at,
        p.payload_id, p.protocol_state, p.payload_status, p.wake_type, p.ack_sent_at, p.snap_sent_at,
        p.sleep_sent_at
    FROM devices d
    LEFT JOIN LATERAL fn_resolve_device_lineage(d.device_mac) l ON true
    LEFT JOIN LATERAL (
        SELECT * FROM device_wake_sessions w
        WHERE w.device_id = d.device_id
        -- two HELLOs of one batch have one timestamp: the open session is the newer one
        ORDER BY w.wake_timestamp DESC, (w.status = 'in_progress') DESC, w.ended_at DESC NULLS LAST,
            w.created_at DESC, w.session_id DESC
        LIMIT 1
    ) s ON true
    LEFT JOIN device_wake_payloads p ON p.payload_id = s.payload_id
    WHERE d.device_mac = ANY($1::text[])
),
wanted AS MATERIALIZED (
    -- by key for each device: a plan that began at the names would read the images of every camera that counts from 1
    SELECT named.image_id FROM known k CROSS JOIN LATERAL (
        SELECT a.image_id FROM device_images a
        WHERE a.device_id = k.device_id AND a.status IN ('pending', 'receiving', 'failed')
        OFFSET 0
    ) named
    UNION
    SELECT named.image_id FROM known k CROSS JOIN LATERAL (
        SELECT b.image_id FROM device_images b
        WHERE b.device_id = k.device_id AND b.wire_image_name = ANY($2::text[])
        OFFSET 0
    ) named
    UNION
    SELECT named.image_id FROM known k CROSS JOIN LATERAL (
        SELECT b.image_id FROM device_images b
        WHERE b.device_id = k.device_id AND b.wire_image_name = ANY(k.pending_list)
        OFFSET 0
    ) named
    WHERE k.session_status = 'in_progress' AND k.pending_list <> '{}'
    UNION
    SELECT stored.id::uuid FROM known k, jsonb_array_elements_text(k.images_stored) AS stored (id)
    UNION
    SELECT k.answer_image_id FROM known k WHERE k.answer_image_id IS NOT NULL
    UNION
    SELECT unnest($3::uuid[])
),
images AS MATERIALIZED (
    SELECT
        i.image_id, i.device_id AS owner_id, i.image_name, i.wire_image_name, i.status, i.captured_at,
        i.captured_at_source,
        i.image_size, i.chunk_size_bytes, i.total_chunks, i.retry_count, i.max_retries, i.attempt, i.failed_at,
        i.timeout_reason, i.session_id AS image_session_id, i.last_chunk_at, i.dialect, i.metadata, i.error_code,
        i.created_at,
        CASE WHEN i.status = 'complete' THEN '{}'::integer[] ELSE
            ARRAY(SELECT c.chunk_index FROM device_image_chunks c WHERE c.image_id = i.image_id ORDER BY c.chunk_index)
        END AS have
    FROM wanted w JOIN device_images i ON i.image_id = w.image_id
    ORDER BY i.image_id
    FOR UPDATE OF i
)
SELECT known.*, i.*
FROM known
LEFT JOIN images i ON i.owner_id = known.device_id
ORDER BY known.device_id, i.created_at, i.captured_at, i.image_id;

-- name: due_commands
-- Commands in the order of delivery: priority, time, age of the photo: who retries all asks for them at one moment. One
-- that was sent and never published is still to go out. A command of a person may name its image in its payload, by id
-- or by name.
SELECT c.command_id, c.device_id, c.command_type, c.status, c.command_payload, i.image_id, i.status AS image_status
FROM device_commands c
LEFT JOIN LATERAL (
    SELECT i.image_id, i.status, i.captured_at FROM device_images i
    WHERE i.image_id = c.device_image_id OR (
        c.device_image_id IS NULL AND i.device_id = c.device_id AND (
            i.image_id::text = c.command_payload ->> 'image_id' OR i.image_name = c.command_payload ->> 'image_name'
        )
    )
    ORDER BY i.image_name = c.command_payload ->> 'image_name', i.image_id
    LIMIT 1
) i ON true
WHERE c.device_id = ANY($1::uuid[]) AND (
    c.status = 'sent' OR (
        c.status = 'pending'
        AND (c.scheduled_for IS NULL OR c.scheduled_for <= $2)
        AND (c.expires_at IS NULL OR c.expires_at > $2)
    )
)
ORDER BY c.device_id, c.priority DESC, c.scheduled_for NULLS FIRST, c.issued_at, i.captured_at, c.command_id;

-- name: staged_chunks
SELECT g.device_id, g.wire_image_name, g.chunk_index, g.data
FROM device_image_chunks_staged g
WHERE g.device_id = ANY($1::uuid[])
ORDER BY g.device_id, g.wire_image_name, g.chunk_index;

-- name: image_to_complete
-- An image whose every chunk is there, not complete yet: who sent it, what was announced, and its bytes.
SELECT i.image_id, d.device_mac, i.image_size, i.metadata,
    (SELECT string_agg(c.data, ''::bytea ORDER BY c.chunk_index) FROM device_image_chunks c
     WHERE c.image_id = i.image_id) AS data
FROM device_images i
JOIN devices d USING (device_id)
WHERE i.image_id = $1 AND i.status <> 'complete';
