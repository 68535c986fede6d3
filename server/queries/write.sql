-- How effects become rows. Every statement may run twice for the same effect.

-- name: register_device
INSERT INTO devices (device_id, device_mac, provisioning_status, protocol_version, topic_family, last_seen_at)
VALUES ($1, $2, 'pending_approval', $3, $4, $5)
ON CONFLICT (device_mac) DO NOTHING;

-- name: open_session
-- The session and, in one statement, its wake payload. An open session without payload, made by hand or by somebody
-- else's program, is closed first: nobody can go on with it, and there is one open session a device.
WITH closed AS (
    UPDATE device_wake_sessions SET status = 'timeout', ended_at = $4
    WHERE device_id = $2 AND status = 'in_progress' AND payload_id IS NULL
    RETURNING session_id
),
lineage AS (
    SELECT l.site_id, l.program_id, l.company_id
    FROM (SELECT 1) one
    LEFT JOIN LATERAL fn_resolve_device_lineage($3) l ON true
),
payload AS (
    INSERT INTO device_wake_payloads (
        payload_id, device_id, site_id, program_id, company_id, captured_at, received_at, session_id, wake_type,
        protocol_state, payload_status
    )
    SELECT $7, $2, site_id, program_id, company_id, $4, $4, $1, $8, 'hello_received', 'in_progress' FROM lineage
    ON CONFLICT (payload_id) DO NOTHING
)
INSERT INTO device_wake_sessions (
    session_id, device_id, site_id, program_id, company_id, wake_timestamp, next_wake_scheduled, status,
    last_message_at, topic_family, payload_id
)
SELECT $1, $2, site_id, program_id, company_id, $4, $5, 'in_progress', $4, $6, $7
FROM lineage
WHERE (SELECT count(*) FROM closed) >= 0 -- so that it is closed by then
ON CONFLICT (session_id) DO NOTHING;

-- name: save
-- The records of a batch, each written once, whatever their number: $1 devices, $2 images, $6 sessions with their wake
-- payloads, as arrays of objects; $3..$5 the chunks that came, received at $7. The first copy of a chunk wins; rows go
-- in the order of their key, so that batches of several servers can't deadlock. How many chunks are there and which are
-- missing comes with the rows: the batch has read them under the locks of their devices.
WITH saved_devices AS (
    UPDATE devices d SET
        last_seen_at = u.last_seen_at, last_wake_at = u.last_wake_at, next_wake_at = u.next_wake_at,
        manual_wake_override = u.manual_wake_override,
        manual_wake_requested_by = CASE WHEN u.manual_wake_override THEN d.manual_wake_requested_by END,
        manual_wake_requested_at = CASE WHEN u.manual_wake_override THEN d.manual_wake_requested_at END,
        battery_voltage = u.battery_voltage, wifi_rssi = u.wifi_rssi, firmware_version = u.firmware_version,
        hardware_version = u.hardware_version, protocol_version = u.protocol_version, topic_family = u.topic_family
    FROM jsonb_to_recordset($1::jsonb) AS u (
        device_id uuid, last_seen_at timestamptz, last_wake_at timestamptz, next_wake_at timestamptz,
        manual_wake_override boolean, battery_voltage real, wifi_rssi integer, firmware_version text,
        hardware_version text, protocol_version text, topic_family text
    )
    WHERE d.device_id = u.device_id
),
stored AS (
    INSERT INTO device_image_chunks (image_id, chunk_index, data, received_at)
    SELECT u.image_id, u.chunk_index, u.data, $7
    FROM unnest($3::uuid[], $4::integer[], $5::bytea[]) AS u (image_id, chunk_index, data)
    ORDER BY u.image_id, u.chunk_index
    ON CONFLICT (image_id, chunk_index) DO NOTHING
),
saved AS (
    UPDATE device_images i SET
        status = u.status, session_id = u.session_id, last_chunk_at = u.last_chunk_at, retry_count = u.retry_count,
        attempt = u.attempt, failed_at = u.failed_at, timeout_reason = u.timeout_reason,
        metadata = i.metadata || u.metadata,
        received_chunks = CASE WHEN u.status = 'complete' THEN i.total_chunks ELSE u.received_chunks END
    FROM jsonb_to_recordset($2::jsonb) AS u (
        image_id uuid, status text, session_id uuid, last_chunk_at timestamptz, retry_count integer, attempt integer,
        failed_at timestamptz, timeout_reason text, metadata jsonb, received_chunks integer
    )
    WHERE i.image_id = u.image_id AND i.status <> 'complete'
),
sessions AS MATERIALIZED (
    SELECT u.*, i.image_name, i.total_chunks,
        coalesce(u.status_of_image, i.status) AS image_status,
        CASE WHEN u.status_of_image = 'complete' THEN i.total_chunks ELSE
            coalesce(u.chunks_of_image, i.received_chunks)
        END AS received_chunks
    FROM jsonb_to_recordset($6::jsonb) AS u (
        session_id uuid, status text, hello_digest text, last_message_at timestamptz, answer text,
        answer_image_id uuid, missing_rounds integer, asked_at timestamptz, backlog_asked jsonb, images_stored jsonb,
        offers_expected integer, next_wake_at timestamptz, pending_count integer, pending_list text[],
        captured boolean, image_id uuid, messages integer, chunks_received integer, chunk_duplicates integer,
        error_codes integer[], telemetry jsonb, ended_at timestamptz, payload_id uuid, protocol_state text,
        payload_status text, wake_type text, ack_sent_at timestamptz, snap_sent_at timestamptz,
        sleep_sent_at timestamptz, battery_voltage real, wifi_rssi integer, status_of_image text,
        chunks_of_image integer, chunks_missing integer[]
    )
    LEFT JOIN device_images i ON i.image_id = u.image_id
),
payloads AS (
    UPDATE device_wake_payloads p SET
        protocol_state = u.protocol_state, payload_status = u.payload_status, wake_type = u.wake_type,
        device_image_id = u.image_id, ack_sent_at = u.ack_sent_at, snap_sent_at = u.snap_sent_at,
        sleep_sent_at = u.sleep_sent_at, image_status = u.image_status, chunk_count = u.total_chunks,
        chunks_received = coalesce(u.received_chunks, 0), is_complete = coalesce(u.image_status = 'complete', false),
        server_image_name = u.image_name, telemetry_data = u.telemetry, battery_voltage = u.battery_voltage,
        wifi_rssi = u.wifi_rssi,
        temperature = (u.telemetry ->> 'temperature')::real, humidity = (u.telemetry ->> 'humidity')::real,
        pressure = (u.telemetry ->> 'pressure')::real, gas_resistance = (u.telemetry ->> 'gas_resistance')::real
    FROM sessions u
    WHERE p.payload_id = u.payload_id
)
UPDATE device_wake_sessions s SET
    status = u.status, hello_digest = u.hello_digest, last_message_at = u.last_message_at, answer = u.answer,
    answer_image_id = u.answer_image_id, missing_rounds = u.missing_rounds, asked_at = u.asked_at,
    backlog_asked = u.backlog_asked, images_stored = u.images_stored, offers_expected = u.offers_expected,
    next_wake_scheduled = u.next_wake_at, pending_images_count = u.pending_count, pending_list = u.pending_list,
    image_captured = u.captured, image_id = u.image_id, message_count = u.messages, chunks_sent = u.chunks_received,
    chunk_duplicates = u.chunk_duplicates, error_codes = u.error_codes, telemetry_data = u.telemetry,
    ended_at = u.ended_at,
    session_duration_ms = (extract(epoch FROM u.ended_at - s.wake_timestamp) * 1000)::integer,
    chunks_total = u.total_chunks,
    chunks_missing = u.chunks_missing,
    transmission_complete = coalesce(u.image_status = 'complete', false)
FROM sessions u
WHERE s.session_id = u.session_id;

-- name: create_image
INSERT INTO device_images (
    image_id, device_id, image_name, wire_image_name, status, captured_at, captured_at_source, received_at,
    image_size, chunk_size_bytes, total_chunks, session_id, dialect, metadata, error_code
)
VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (image_id) DO NOTHING;

-- name: link_image
SELECT payload_id FROM fn_wake_ingestion_handler($1, $2, $3, $4, $5);

-- name: complete_image
-- One server wins; the chunks have done their work. With $9 the image is a reference to the original of its bytes.
WITH assembled AS (
    DELETE FROM device_image_chunks WHERE image_id = $1
), won AS MATERIALIZED (
    SELECT image_id FROM device_images WHERE image_id = $1 AND status = 'complete' AND sha256 IS NULL FOR UPDATE
), original AS (
    INSERT INTO original_images (id, content_hash, s3_key, file_size, mime_type, width, height)
    SELECT $5, $2, $3, $6, 'image/jpeg', $7, $8 FROM won WHERE $9
    ON CONFLICT (content_hash) DO UPDATE SET reference_count = original_images.reference_count + 1
    RETURNING id
)
UPDATE device_images SET
    sha256 = $2, object_key = $3, image_url = $3, completed_at = $4, original_image_id = (SELECT id FROM original)
WHERE image_id IN (SELECT image_id FROM won);


-- name: conflicting_chunks
-- Copies whose bytes differ from those that are kept.
SELECT u.image_id, u.chunk_index, i.device_id, i.image_name, i.session_id
FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS u (image_id, chunk_index, data)
JOIN device_image_chunks c ON c.image_id = u.image_id AND c.chunk_index = u.chunk_index
JOIN device_images i ON i.image_id = u.image_id
WHERE c.data <> u.data
ORDER BY u.image_id, u.chunk_index;

-- name: stage_chunks
INSERT INTO device_image_chunks_staged (device_id, wire_image_name, chunk_index, data, received_at)
SELECT $1, u.wire_image_name, u.chunk_index, u.data, $5
FROM unnest($2::text[], $3::integer[], $4::bytea[]) AS u (wire_image_name, chunk_index, data)
ORDER BY u.wire_image_name, u.chunk_index
ON CONFLICT (device_id, wire_image_name, chunk_index) DO NOTHING;

-- name: drop_staged
DELETE FROM device_image_chunks_staged WHERE device_id = $1 AND wire_image_name = $2;

-- name: set_chunks_aside
-- The newest $4 copies of an image stay: a camera that offers the same bytes for ever fills no disk.
WITH moved AS (
    DELETE FROM device_image_chunks WHERE image_id = $1 RETURNING image_id, chunk_index, data
), outlived AS (
    DELETE FROM device_image_chunks_aside WHERE image_id = $1 AND attempt <= $2::integer - $4::integer
)
INSERT INTO device_image_chunks_aside (image_id, attempt, chunk_index, data, reason)
SELECT image_id, $2, chunk_index, data, $3 FROM moved
ON CONFLICT DO NOTHING;

-- name: log_duplicate
SELECT fn_log_duplicate_image($1, $2, $3, $4, $5, $6);

-- name: journal
-- What happened ($1) and what is answered ($2), as arrays of objects: a row of device_history and one of device_ack_log
-- for each, in their order. Gives the ids of the latter.
WITH happened AS (
    INSERT INTO device_history (
        device_id, event_category, event_type, severity, event_timestamp, description, event_data, session_id
    )
    SELECT h.device_id, h.category, h.event_type, h.severity, h.happened_at, h.description, h.data, h.session_id
    FROM jsonb_to_recordset($1::jsonb) AS h (
        device_id uuid, category text, event_type text, severity text, happened_at timestamptz, description text,
        data jsonb, session_id uuid
    )
)
SELECT fn_log_device_ack(
    p_device_id => a.device_id, p_device_mac => a.device_mac, p_image_name => a.image_name, p_image_id => a.image_id,
    p_ack_type => a.ack_type, p_next_wake_time => a.next_wake_time, p_missing_chunks => a.missing_chunks,
    p_mqtt_topic => a.topic, p_mqtt_payload => a.payload, p_mqtt_success => true
) AS ack_id
FROM jsonb_to_recordset($2::jsonb) AS a (
    device_id uuid, device_mac text, image_name text, image_id uuid, ack_type text, next_wake_time timestamptz,
    missing_chunks integer[], topic text, payload jsonb
);

-- name: record_telemetry
INSERT INTO device_wake_payloads (
    payload_id, device_id, captured_at, received_at, wake_type, payload_status, is_complete,
    temperature, humidity, pressure, gas_resistance, battery_voltage, wifi_rssi, telemetry_data
)
VALUES ($1, $2, $3, $4, 'telemetry_only', 'complete', true, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (payload_id) DO NOTHING;

-- name: command_sent
-- An answer carries it: `sent` until somebody has seen that answer leave.
UPDATE device_commands SET status = 'sent', device_image_id = coalesce(device_image_id, $2)
WHERE command_id = $1 AND status = 'pending';

-- name: commands_published
-- After COMMIT and after the broker has taken the answer.
WITH published AS (
    UPDATE device_commands c SET status = 'published', published_at = $2, delivered_at = $2
    WHERE command_id = ANY($1::uuid[]) AND status = 'sent'
    RETURNING c.command_id, c.device_id, c.command_type, c.device_image_id
)
INSERT INTO device_history (
    device_id, event_category, event_type, event_timestamp, description, event_data, session_id
)
SELECT
    p.device_id, 'command', 'command_published', $2, p.command_type || ' delivered',
    jsonb_build_object('command_id', p.command_id, 'image_id', p.device_image_id),
    (
        SELECT s.session_id FROM device_wake_sessions s
        WHERE s.device_id = p.device_id AND s.status = 'in_progress'
    )
FROM published p
ORDER BY p.command_id;

-- name: command_ended
-- Settled at HELLO without an answer of its own.
UPDATE device_commands SET
    status = $2, error_message = $3, completed_at = $4::timestamptz,
    published_at = CASE WHEN $3::text IS NULL THEN $4::timestamptz END,
    delivered_at = CASE WHEN $3::text IS NULL THEN $4::timestamptz END
WHERE command_id = $1 AND status = 'pending';

-- name: set_schedule
UPDATE devices SET wake_schedule_cron = $2 WHERE device_id = $1;

-- name: commands_fulfilled
-- The image came after all: what asked for it is done, and nobody needs to look any more.
WITH alerts AS (
    UPDATE device_alerts SET resolved_at = $2, resolved_by = 'server'
    WHERE device_image_id = $1 AND resolved_at IS NULL
)
UPDATE device_commands SET status = 'completed', completed_at = $2
WHERE device_image_id = $1 AND status IN ('pending', 'sent', 'published', 'acknowledged');

-- name: capture_commands_ended
-- What the wake session that began at $2 was asked to capture: $3 says whether a photo came. A command whose answer
-- nobody saw leave waits for the next wake.
UPDATE device_commands SET
    status = CASE WHEN $3 THEN 'completed' WHEN status = 'sent' THEN 'pending' ELSE 'failed' END,
    completed_at = CASE WHEN $3 OR status = 'published' THEN $4::timestamptz END,
    error_message = CASE WHEN NOT $3 AND status = 'published' THEN 'No photo came in the wake that was asked for it' END
WHERE device_id = $1 AND command_type = 'capture_image'
  AND (status = 'published' AND published_at >= $2 OR status = 'sent');

-- name: alert_failing
SELECT fn_alert_failing_image($1);

-- name: payloads_complete
-- The payload of the open session itself ends with its final ACK.
UPDATE device_wake_payloads p SET
    protocol_state = 'complete', payload_status = 'complete', image_status = 'complete', is_complete = true,
    chunks_received = i.total_chunks, chunk_count = i.total_chunks
FROM device_images i
WHERE p.device_image_id = $1 AND i.image_id = $1 AND p.payload_id IS DISTINCT FROM $2::uuid;

-- name: ack_not_sent
UPDATE device_ack_log SET mqtt_success = false, mqtt_error = $2 WHERE ack_id = ANY($1::bigint[]);

-- name: quarantine
INSERT INTO quarantined_messages (received_at, topic, payload, reason, detail, device_mac)
VALUES ($1, $2, $3, $4, $5, $6);
