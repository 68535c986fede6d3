-- What people see of devices, images and alerts. $1 is the company of who looks, null: every company.

-- name: device_columns
-- The fields of a row of the list; d is the device.
d.device_id, d.device_mac, d.device_name, d.provisioning_status, d.is_active, d.battery_voltage,
d.battery_health_percent, d.last_seen_at, d.next_wake_at, n.pending, n.failed;

-- name: counts
-- Images under way and failed, by the partial index idx_device_images_incomplete.
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE i.status IN ('pending', 'receiving')) AS pending,
        count(*) FILTER (WHERE i.status = 'failed') AS failed
    FROM device_images i
    WHERE i.device_id = d.device_id AND i.status IN ('pending', 'receiving', 'failed')
) n;

-- name: page
-- Put together of the pieces below, each only where it is asked for: a plan that serves "any company, any name" too
-- reads every device. The words in braces are the server's own. Names and MACs come by their index; what every HELLO
-- changes has none, and is picked out of narrow rows (no index: HELLO is hotter). A search reads the names, which are
-- narrower still: {from} and {found_key} are those then, if they hold the order too.
SELECT {columns}, ({key})::text AS sort_key
FROM (
    SELECT d.device_id FROM {from} d
    WHERE true {whose} {named} {only} {after}
    ORDER BY {found_key} {way}, d.device_id {way}
    LIMIT {limit}
) page
JOIN devices d USING (device_id)
{counts}
ORDER BY {key} {way}, d.device_id {way};

-- name: whose
AND d.company_id = {company};

-- name: named
-- Names by a pattern in lower case, MACs by patterns in upper case; d are the names.
AND (d.name_key LIKE {name} OR d.device_mac LIKE ANY({macs}::text[]));

-- name: named_elsewhere
-- The same where all devices are read anyway, for their order.
AND (lower(d.device_name) LIKE {name} OR d.device_mac LIKE ANY({macs}::text[]));

-- name: after
-- After the last row of the page before: its sort key as text, and its id.
AND ({found_key}, d.device_id) {beyond} ({place}::text::{type}, {id}::uuid);

-- name: only_failed
AND EXISTS (SELECT FROM device_images i WHERE i.device_id = d.device_id AND i.status = 'failed');

-- name: only_pending
AND EXISTS (SELECT FROM device_images i WHERE i.device_id = d.device_id AND i.status IN ('pending', 'receiving'));

-- name: some
-- $2: ids.
SELECT {columns}
FROM devices d
{counts}
WHERE d.device_id = ANY($2::uuid[]) AND ($1::uuid IS NULL OR d.company_id = $1)
ORDER BY d.device_id;

-- name: device
-- $2: its id.
SELECT
    {columns}, d.wake_schedule_cron, d.last_wake_at, d.wifi_rssi, d.firmware_version, d.hardware_version,
    d.protocol_version, d.manual_wake_override, s.site_name, p.program_name, c.company_name,
    (SELECT count(*) FROM device_images i WHERE i.device_id = d.device_id) AS total
FROM devices d
{counts}
LEFT JOIN sites s ON s.site_id = d.site_id
LEFT JOIN programs p ON p.program_id = d.program_id
LEFT JOIN companies c ON c.company_id = d.company_id
WHERE d.device_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1);

-- name: failed_images
-- $2: the device; $3: how many. The newest failure first, with the retry that waits for it.
SELECT
    i.image_id, i.image_name, i.captured_at, i.received_chunks, i.total_chunks, i.retry_count, i.max_retries,
    i.failed_at, i.timeout_reason, c.scheduled_for AS retry_at, c.status AS retry_status
FROM device_images i
JOIN devices d USING (device_id)
LEFT JOIN LATERAL (
    SELECT c.scheduled_for, c.status FROM device_commands c
    WHERE c.device_image_id = i.image_id AND c.command_type = 'retry_image'
        AND c.status IN ('pending', 'sent', 'published', 'acknowledged')
    ORDER BY c.created_at DESC LIMIT 1
) c ON true
WHERE i.device_id = $2 AND i.status = 'failed' AND ($1::uuid IS NULL OR d.company_id = $1)
ORDER BY i.failed_at DESC NULLS LAST, i.image_id
LIMIT $3;

-- name: image_of
-- $2: the image. Whose it is, and how it stands.
SELECT i.device_id, i.status FROM device_images i JOIN devices d USING (device_id)
WHERE i.image_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1);

-- name: lock_device
-- $2: the device.
SELECT d.device_id FROM devices d WHERE d.device_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1) FOR UPDATE;

-- name: failed_ids
-- $1: the device, locked already.
SELECT i.image_id FROM device_images i WHERE i.device_id = $1 AND i.status = 'failed' ORDER BY i.image_id;

-- name: retry
-- $1: the image; $2: who wants it.
SELECT fn_retry_image_by_hand($1, $2);

-- name: alerts
-- Open or resolved ones ({resolved}), the newest first. $2: how many; $3: one device's, null: all; $4, $5: after this.
SELECT
    a.alert_id, a.device_id, d.device_name, d.device_mac, a.alert_type, a.severity, a.message, a.triggered_at,
    a.device_image_id, a.resolved_at, a.resolved_by, a.resolution_notes
FROM device_alerts a
JOIN devices d USING (device_id)
WHERE a.resolved_at IS {resolved} AND ($1::uuid IS NULL OR d.company_id = $1)
    AND ($3::uuid IS NULL OR a.device_id = $3) {after}
ORDER BY a.triggered_at DESC, a.alert_id DESC
LIMIT $2;

-- name: alerts_after
AND (a.triggered_at, a.alert_id) < ($4::timestamptz, $5::uuid);

-- name: resolve_alert
-- $2: the alert; $3: who; $4: notes. Null where there is none that is open.
UPDATE device_alerts a SET resolved_at = fn_now(), resolved_by = $3, resolution_notes = $4
FROM devices d
WHERE a.alert_id = $2 AND a.resolved_at IS NULL AND d.device_id = a.device_id
    AND ($1::uuid IS NULL OR d.company_id = $1)
RETURNING a.device_id;

-- name: alert
-- $2: the alert.
SELECT a.resolved_at, a.resolved_by FROM device_alerts a JOIN devices d USING (device_id)
WHERE a.alert_id = $2 AND ($1::uuid IS NULL OR d.company_id = $1);
