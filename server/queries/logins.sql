-- Logins at the MQTT broker.

-- name: devices_without
-- Devices that may come in and have no login yet.
SELECT d.device_id, d.device_mac FROM devices d
LEFT JOIN broker_logins l USING (device_id)
WHERE l.device_id IS NULL AND d.is_active AND d.provisioning_status NOT IN ('pending_approval', 'decommissioned')
ORDER BY d.device_mac;

-- name: device_named
SELECT device_id FROM devices WHERE device_mac = $1;

-- name: keep
-- A login that is there already gets the new password, unless it is one of another role: then no row comes back.
INSERT INTO broker_logins (user_name, role, device_id, password_hash)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[])
ON CONFLICT (user_name) DO UPDATE SET password_hash = excluded.password_hash
WHERE broker_logins.role = excluded.role
RETURNING user_name;

-- name: revoke
DELETE FROM broker_logins WHERE user_name = $1 RETURNING user_name;

-- name: logins
-- Devices that may not come in any more keep their row and get no line in the broker's files.
SELECT l.user_name, l.role, l.password_hash, l.updated_at,
    l.device_id IS NULL OR (d.is_active AND d.provisioning_status <> 'decommissioned') AS may_come
FROM broker_logins l
LEFT JOIN devices d USING (device_id)
ORDER BY l.role DESC, l.user_name;
