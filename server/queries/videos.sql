-- Malls with their camera pins, videos, and uploads in parts. An upload's row is locked by whoever changes anything of
-- it; checksum_sha256 is written when it is whole, from the bytes, so nothing that failed stands in anybody's way.

-- name: create_mall
INSERT INTO malls (id, name, company_id) VALUES ($1, $2, fn_company_id()) RETURNING *;

-- name: list_malls
SELECT * FROM malls WHERE (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $3;

-- name: delete_mall
DELETE FROM malls WHERE id = $1 RETURNING id;

-- name: create_pin
INSERT INTO camera_pins (id, mall_id, name)
SELECT $1, m.id, $3 FROM malls m WHERE m.id = $2 FOR KEY SHARE
RETURNING *;

-- name: read_mall
SELECT * FROM malls WHERE id = $1;

-- name: list_pins
SELECT * FROM camera_pins WHERE mall_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4;

-- name: delete_pin
DELETE FROM camera_pins WHERE id = $1 RETURNING id;

-- name: share_pin
-- It can't go while an upload to it begins.
SELECT mall_id FROM camera_pins WHERE id = $1 FOR KEY SHARE;

-- name: user_exists
SELECT EXISTS (SELECT FROM users WHERE id = $1);

-- name: stored_video
-- The same bytes, on the same pin.
SELECT id FROM videos WHERE checksum_sha256 = $1 AND pin_id = $2;

-- name: get_video
SELECT * FROM videos WHERE id = $1;

-- name: list_videos
SELECT * FROM videos
WHERE ($1::uuid IS NULL OR mall_id = $1) AND ($2::uuid IS NULL OR pin_id = $2) AND (created_at, id) > ($3, $4)
ORDER BY created_at, id
LIMIT $5;

-- name: delete_video
DELETE FROM videos WHERE id = $1 RETURNING original_path, proxy_path;

-- name: create_upload
WITH made AS (
    INSERT INTO videos (
        id, mall_id, pin_id, filename, file_size_bytes, recorded_at, operator_notes, uploaded_by_user_id, upload_status
    ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'uploading')
    RETURNING id
)
INSERT INTO video_uploads (video_id, size_bytes, part_size_bytes, said_sha256)
SELECT id, $5, $9, $10 FROM made
RETURNING *;

-- name: get_upload
SELECT * FROM video_uploads WHERE video_id = $1;

-- name: lock_upload
SELECT u.*, v.pin_id, v.mall_id, v.filename
FROM video_uploads u JOIN videos v ON v.id = u.video_id
WHERE u.video_id = $1
FOR UPDATE OF u;

-- name: list_parts
SELECT * FROM video_upload_parts WHERE video_id = $1 ORDER BY part_number;

-- name: get_part
SELECT * FROM video_upload_parts WHERE video_id = $1 AND part_number = $2;

-- name: touch_upload
-- Only an open one takes parts; the lock orders those that come at once.
UPDATE video_uploads SET progress_at = fn_now() WHERE video_id = $1 AND state = 'open' RETURNING video_id;

-- name: put_part
-- The newest part of a number counts; its bytes take the place of what `replaced` names.
WITH old AS (
    SELECT object_key FROM video_upload_parts WHERE video_id = $1 AND part_number = $2
)
INSERT INTO video_upload_parts AS p (video_id, part_number, size_bytes, sha256, object_key)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (video_id, part_number) DO UPDATE
SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256, object_key = excluded.object_key,
    received_at = excluded.received_at
RETURNING p.part_number, p.size_bytes, p.sha256, p.received_at, (SELECT object_key FROM old) AS replaced;

-- name: drop_part
DELETE FROM video_upload_parts WHERE video_id = $1 AND part_number = $2 AND object_key = $3;

-- name: drop_parts
DELETE FROM video_upload_parts WHERE video_id = $1 RETURNING object_key;

-- name: claim_upload
UPDATE video_uploads
SET state = 'completing', claim = $2, claimed_until = fn_now() + $3::interval, said_sha256 = $4, progress_at = fn_now()
WHERE video_id = $1;

-- name: renew_claim
UPDATE video_uploads SET claimed_until = fn_now() + $3::interval, progress_at = fn_now()
WHERE video_id = $1 AND claim = $2 AND state = 'completing'
RETURNING video_id;

-- name: release_claim
UPDATE video_uploads SET state = 'open', claim = NULL, claimed_until = NULL
WHERE video_id = $1 AND claim = $2 AND state = 'completing';

-- name: finish_upload
-- Only for whoever still holds the claim: an abort that came first has won.
UPDATE video_uploads SET state = 'completed', claim = NULL, claimed_until = NULL, progress_at = fn_now()
WHERE video_id = $1 AND claim = $2 AND state = 'completing'
RETURNING video_id;

-- name: finish_video
UPDATE videos
SET upload_status = 'uploaded', uploaded_at = fn_now(), checksum_sha256 = $2, original_path = $3,
    width = $4, height = $5, fps = $6::double precision::numeric(5, 2), codec = $7, duration_seconds = $8
WHERE id = $1
RETURNING *;

-- name: end_upload
-- Aborted, failed or expired ($2); $3 tells why.
WITH ended AS (
    UPDATE video_uploads SET state = $2, claim = NULL, claimed_until = NULL
    WHERE video_id = $1 AND state IN ('open', 'completing')
    RETURNING video_id
)
UPDATE videos v SET upload_status = 'failed', processing_error = $3
FROM ended WHERE v.id = ended.video_id
RETURNING v.id;

-- name: stale_uploads
SELECT video_id FROM video_uploads
WHERE state IN ('open', 'completing') AND progress_at <= $1
ORDER BY progress_at, video_id
LIMIT $2;

-- name: still_stale
SELECT video_id FROM video_uploads
WHERE video_id = $1 AND state IN ('open', 'completing') AND progress_at <= $2
FOR UPDATE;
