-- Back to names as keys. Photos that re-used a name keep their longer name; staged chunks return to the buffer.
DROP FUNCTION scenario_time.now();
DROP SCHEMA scenario_time;
DROP PROCEDURE grant_access();
CALL release_table('companies');
CALL release_table('programs');
CALL release_table('sites');
CALL release_table('device_site_assignments');
CALL release_table('device_wake_payloads');
CALL release_table('device_ack_log');
CALL release_table('duplicate_images_log');
CALL release_table('device_images_duplicates_backup');

DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid);
DROP FUNCTION fn_link_wake_payload(uuid, uuid, timestamptz, uuid, jsonb);
DROP FUNCTION fn_start_capture(uuid, timestamptz, text, jsonb, uuid);
DROP FUNCTION fn_open_wake_session(uuid);
DROP FUNCTION fn_retry_image_by_hand(uuid, text);
DROP FUNCTION fn_match_capture(uuid, text, timestamptz, text, integer, integer);
DROP FUNCTION fn_stored_image_name(uuid, text, timestamptz);
DROP FUNCTION fn_log_duplicate_image(uuid, uuid, text, timestamptz, jsonb, uuid, integer);
DROP FUNCTION fn_check_image_resumable(uuid, text);

CREATE TABLE device_image_chunks_by_name (
    device_mac text NOT NULL REFERENCES devices (device_mac) ON UPDATE CASCADE ON DELETE CASCADE,
    image_name text NOT NULL,
    chunk_index integer NOT NULL,
    data bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT fn_now(),
    PRIMARY KEY (device_mac, image_name, chunk_index)
);
INSERT INTO device_image_chunks_by_name (device_mac, image_name, chunk_index, data, received_at)
SELECT d.device_mac, i.image_name, c.chunk_index, c.data, c.received_at
FROM device_image_chunks c
JOIN device_images i USING (image_id)
JOIN devices d USING (device_id);
INSERT INTO device_image_chunks_by_name (device_mac, image_name, chunk_index, data, received_at)
SELECT d.device_mac, s.wire_image_name, s.chunk_index, s.data, s.received_at
FROM device_image_chunks_staged s
JOIN devices d USING (device_id)
ON CONFLICT DO NOTHING;
DROP TABLE device_image_chunks_staged, device_image_chunks_aside, device_image_chunks;
ALTER TABLE device_image_chunks_by_name RENAME TO device_image_chunks;
ALTER TABLE device_image_chunks RENAME CONSTRAINT device_image_chunks_by_name_pkey TO device_image_chunks_pkey;
ALTER TABLE device_image_chunks
    RENAME CONSTRAINT device_image_chunks_by_name_device_mac_fkey TO device_image_chunks_device_mac_fkey;

ALTER TABLE device_history
    DROP CONSTRAINT device_history_event_type_check,
    DROP CONSTRAINT device_history_event_category_check;
ALTER TABLE device_ack_log DROP CONSTRAINT device_ack_log_ack_type_check;
ALTER TABLE device_alerts DROP CONSTRAINT device_alerts_alert_type_check;
DROP TABLE idempotency_keys;
DROP TABLE quarantined_messages;
DROP INDEX duplicate_images_log_one_row;
ALTER TABLE duplicate_images_log DROP COLUMN session_id, DROP COLUMN duplicate_count;
ALTER TABLE device_wake_payloads DROP COLUMN session_id;
DROP INDEX device_wake_sessions_one_open;
ALTER TABLE device_wake_sessions
    DROP COLUMN ended_at,
    DROP COLUMN last_message_at,
    DROP COLUMN topic_family,
    DROP COLUMN hello_digest,
    DROP COLUMN answer,
    DROP COLUMN answer_image_id,
    DROP COLUMN payload_id,
    DROP COLUMN pending_list,
    DROP COLUMN message_count,
    DROP COLUMN chunk_duplicates,
    DROP COLUMN asked_at,
    DROP COLUMN missing_rounds,
    DROP COLUMN backlog_asked,
    DROP COLUMN offers_expected,
    DROP COLUMN images_stored;
DROP TRIGGER device_images_wire_image_name ON device_images;
DROP FUNCTION fn_set_wire_image_name();
ALTER TABLE device_images
    DROP CONSTRAINT device_images_received_chunks_check,
    DROP COLUMN wire_image_name,
    DROP COLUMN captured_at_source,
    DROP COLUMN chunk_size_bytes,
    DROP COLUMN sha256,
    DROP COLUMN object_key,
    DROP COLUMN attempt,
    DROP COLUMN dialect,
    DROP COLUMN completed_at;
ALTER TABLE devices
    DROP COLUMN protocol_version,
    DROP COLUMN topic_family,
    DROP COLUMN location;
