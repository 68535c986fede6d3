-- Two functions of one name would make calls ambiguous (42725).
DROP FUNCTION IF EXISTS fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb);
