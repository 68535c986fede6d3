-- The monitor's statements: decisions about sets are SQL's (design 9.3).

-- name: look
-- One look instead of a round, most of the time: when the next round has work, and what a sweep looks after: whole
-- images that nobody completed (design 9.2), devices whose session is open.
SELECT
    least(
        (SELECT min(o.window_end) FROM fn_open_image_windows() o),
        (SELECT min(c.expires_at) FROM device_commands c WHERE c.status = 'pending'),
        (SELECT min(g.received_at) + interval '1 day' FROM device_image_chunks_staged g),
        (SELECT min(o.updated_at) + interval '1 day' FROM original_images o WHERE o.reference_count = 0)
    ) AS due_at,
    ARRAY(
        SELECT i.image_id FROM device_images i
        WHERE i.status IN ('pending', 'receiving')
          AND i.total_chunks IS NOT NULL
          AND i.received_chunks >= i.total_chunks
        ORDER BY i.image_id
    ) AS whole,
    ARRAY(
        SELECT d.device_mac FROM device_wake_sessions s
        JOIN devices d USING (device_id)
        WHERE s.status = 'in_progress'
        ORDER BY s.wake_timestamp, s.session_id
    ) AS in_session;

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

-- name: forget_copies_aside
-- Damaged copies that a person had $1 to look at. Those of an image that is still asked for stay (design 6.6).
DELETE FROM device_image_chunks_aside a
USING device_images i
WHERE i.image_id = a.image_id AND a.set_aside_at < fn_now() - $1::interval
    AND (i.status = 'complete' OR i.retry_count >= i.max_retries);
