-- What a resume migration that was killed half-way left goes too.
DROP PROCEDURE IF EXISTS clean_up_duplicate_images(bigint, integer);
DROP PROCEDURE IF EXISTS rank_duplicate_images(bigint, bigint);
DROP PROCEDURE IF EXISTS repoint_superfluous_images();
DROP TABLE IF EXISTS device_images_duplicates_backup;
DROP FUNCTION fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb);
DROP FUNCTION fn_log_device_ack(uuid, text, text, text, text, jsonb, uuid, timestamptz, integer[], boolean, text);
DROP FUNCTION fn_calculate_next_wake_time(timestamptz, text, text);
DROP FUNCTION fn_first_instant(timestamp, text);
DROP FUNCTION fn_wake_schedule_field(text, text, text, integer, boolean);
DROP FUNCTION fn_resolve_device_lineage(text);
DROP TABLE device_ack_log, device_history, device_alerts, device_commands, device_wake_payloads,
    device_wake_sessions, device_sessions, device_image_chunks, device_images, device_site_assignments,
    devices, sites, programs, companies;
DROP FUNCTION fn_set_updated_at();
DROP FUNCTION fn_uuid();
DROP SEQUENCE simulated_id_seq;
DROP FUNCTION fn_now();
