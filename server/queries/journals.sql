-- What was written down of devices, the newest first. Each list is put together: its own SELECT, then whose rows, then
-- of which device, then after which row; plans that serve every case would read whole tables.

-- name: whose
AND {device}.company_id = {company}::uuid;

-- name: of_device
AND {of}.device_id = {device_id}::uuid;

-- name: after
AND ({moment}, {key}) < ({place}::text::timestamptz, {last}::text::{type});

-- name: images
SELECT
    i.image_id, i.image_name, i.captured_at, i.status, i.received_chunks, i.total_chunks, i.retry_count, i.max_retries,
    i.image_size, i.completed_at, i.timeout_reason
FROM device_images i JOIN devices d USING (device_id);

-- name: wake_sessions
SELECT
    s.session_id, s.wake_timestamp, s.ended_at, s.status, s.answer, i.image_name, s.chunks_sent, s.chunks_total,
    CASE WHEN s.chunks_missing = '{}' THEN 0 ELSE p.chunk_count - p.chunks_received END AS missing,
    s.pending_images_count, s.missing_rounds, s.chunk_duplicates, s.next_wake_scheduled
FROM device_wake_sessions s
JOIN devices d USING (device_id)
LEFT JOIN device_images i ON i.image_id = s.image_id
LEFT JOIN device_wake_payloads p ON p.payload_id = s.payload_id;

-- name: commands
SELECT
    c.command_id, c.created_at, c.command_type, c.status, c.priority, c.issued_by, i.image_name, c.scheduled_for,
    c.expires_at, c.published_at, c.completed_at, c.error_message
FROM device_commands c JOIN devices d USING (device_id) LEFT JOIN device_images i ON i.image_id = c.device_image_id;

-- name: acks
SELECT
    a.ack_id, a.published_at, a.ack_type, a.image_name, a.mqtt_topic, a.next_wake_time, a.missing_count,
    a.mqtt_success, a.mqtt_error
FROM device_ack_log a JOIN devices d USING (device_id);

-- name: history
SELECT h.history_id, h.event_timestamp, h.event_category, h.event_type, h.severity, h.description
FROM device_history h JOIN devices d USING (device_id);

-- name: duplicates
SELECT
    l.log_id, l.duplicate_received_at, l.device_id, coalesce(d.device_name, d.device_mac) AS device, l.image_id,
    l.image_name, l.original_captured_at, l.duplicate_count
FROM duplicate_images_log l JOIN devices d USING (device_id);

-- name: quarantine
-- The beginning of a payload with what can't be shown as backslashes and numbers.
SELECT
    q.id, q.received_at, q.topic, q.reason, q.detail, q.device_mac, octet_length(q.payload) AS size_bytes,
    encode(substring(q.payload FOR 200), 'escape') AS beginning
FROM quarantined_messages q LEFT JOIN devices d ON d.device_mac = q.device_mac;

-- name: bytes_of_image
-- $1: the company, null: every one; $2: the image.
SELECT i.status, i.image_name, i.object_key, o.s3_key
FROM device_images i JOIN devices d USING (device_id) LEFT JOIN original_images o ON o.id = i.original_image_id
WHERE i.image_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1);

-- name: override
-- $1: the company; $2: the device; $3: whether; $4: who.
UPDATE devices d
SET manual_wake_override = $3, manual_wake_requested_by = CASE WHEN $3 THEN $4 END,
    manual_wake_requested_at = CASE WHEN $3 THEN fn_now() END
WHERE d.device_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1)
RETURNING d.device_id;

-- name: note_override
-- $1: the device; $2: who; $3: whether.
INSERT INTO device_history (device_id, event_category, event_type, event_data, description)
VALUES (
    $1, 'command', 'manual_wake_requested', jsonb_build_object('by', $2::text, 'wanted', $3::boolean),
    CASE WHEN $3 THEN 'Manual wake requested by ' ELSE 'Manual wake withdrawn by ' END || $2::text
);

-- name: images_by_day
-- $1: from when. Days are those of UTC.
SELECT
    (i.captured_at AT TIME ZONE 'UTC')::date AS day,
    count(*) FILTER (WHERE i.status = 'complete') AS complete,
    count(*) FILTER (WHERE i.status IN ('pending', 'receiving')) AS under_way,
    count(*) FILTER (WHERE i.status = 'failed') AS failed,
    sum(i.retry_count)::bigint AS retries,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM i.completed_at - i.captured_at)) AS median_s,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM i.completed_at - i.captured_at)) AS p95_s
FROM device_images i
WHERE i.captured_at >= $1 {of_company}
GROUP BY 1
ORDER BY 1;

-- name: of_company
AND i.device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = $2);

-- name: batteries
-- $1: the company. How many devices at each tenth of a volt.
SELECT (floor(d.battery_voltage * 10) / 10)::real AS volts, count(*) AS devices
FROM devices d
WHERE d.battery_voltage BETWEEN 0 AND 100 AND ($1::uuid IS NULL OR d.company_id = $1)
GROUP BY 1
ORDER BY 1;
