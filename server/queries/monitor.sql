-- The monitor's statements: decisions about sets are SQL's (design 9.3).

-- name: try_to_lead
-- One round at a time among all servers of a database: the lock goes with the transaction, however that ends.
SELECT pg_try_advisory_xact_lock(hashtextextended('wakestorm.monitor', 0));

-- name: stale_images
SELECT image_id FROM fn_stale_images();

-- name: timeout_image
-- No row where another server was faster, or the image went on meanwhile.
SELECT * FROM fn_timeout_image($1);

-- name: expire_commands
SELECT * FROM fn_expire_commands();

-- name: forget_staged
-- Chunks that have waited a day for their metadata: late copies of an image that was stored long ago, or of one that
-- its device still holds and will send whole.
DELETE FROM device_image_chunks_staged WHERE received_at < fn_now() - interval '1 day';
