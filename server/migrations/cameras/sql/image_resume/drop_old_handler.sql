-- Two functions of one name would make calls ambiguous (42725); one with 5 parameters that was made by hand may return
-- something else, and then it can't be replaced.
DROP FUNCTION IF EXISTS fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb);
DROP FUNCTION IF EXISTS fn_wake_ingestion_handler(uuid, timestamptz, text, jsonb, uuid);
