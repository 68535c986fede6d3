-- Originals: the named queries of seed 003. Whoever writes here holds the lock of the hash, shared where bytes may be
-- stored, exclusively where they may go; rows are locked projects, images, originals, each in the order of their keys.

-- name: create_original_image
-- CreateOriginalImage: a new original with $8 references (1 for a single one), or as many more for the one there is.
INSERT INTO original_images (id, content_hash, s3_key, file_size, mime_type, width, height, reference_count)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (content_hash) DO UPDATE SET reference_count = original_images.reference_count + excluded.reference_count
RETURNING *;

-- name: get_original_image_by_id
SELECT * FROM original_images WHERE id = $1;

-- name: get_original_image_by_hash
SELECT * FROM original_images WHERE content_hash = $1;

-- name: original_of_company
-- What the rows that are seen say of an original: of other companies' references there is no sign. $1 id, $2 hash.
SELECT
    o.id, o.content_hash, o.s3_key, o.file_size, o.mime_type, o.width, o.height,
    (i.rows + d.rows)::integer AS reference_count, least(i.first, d.first) AS created_at,
    greatest(i.last, d.last) AS updated_at
FROM original_images o
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, min(i.created_at) AS first, max(i.created_at) AS last
    FROM images i WHERE i.original_image_id = o.id AND i.deleted_at IS NULL
) i
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, min(d.created_at) AS first, max(d.completed_at) AS last
    FROM device_images d WHERE d.original_image_id = o.id
) d
WHERE (o.id = $1 OR o.content_hash = $2) AND i.rows + d.rows > 0;

-- name: increment_reference_count
UPDATE original_images SET reference_count = reference_count + 1 WHERE id = $1 RETURNING *;

-- name: decrement_reference_count
-- One for each time that an id stands in the list; never below 0.
WITH taken AS (
    SELECT id, count(*)::integer AS times FROM unnest($1::uuid[]) AS u (id) WHERE id IS NOT NULL GROUP BY id
), locked AS MATERIALIZED (
    SELECT o.id FROM original_images o WHERE o.id IN (SELECT id FROM taken) ORDER BY o.id FOR UPDATE
)
UPDATE original_images o SET reference_count = greatest(o.reference_count - t.times, 0)
FROM locked l JOIN taken t ON t.id = l.id
WHERE o.id = l.id
RETURNING o.*;

-- name: list_orphaned_original_images
SELECT * FROM original_images
WHERE reference_count = 0 AND updated_at <= $1
ORDER BY updated_at, id
LIMIT $2;

-- name: delete_original_image
-- Only without references: the count says so, and the foreign keys would.
DELETE FROM original_images WHERE id = $1 AND reference_count = 0 RETURNING s3_key;

-- name: get_original_image_stats
SELECT
    count(*) AS total_count,
    coalesce(sum(file_size), 0)::bigint AS total_size,
    count(*) FILTER (WHERE reference_count = 0) AS orphaned_count,
    coalesce(sum(file_size) FILTER (WHERE reference_count = 0), 0)::bigint AS orphaned_size,
    coalesce(avg(reference_count), 0)::double precision AS avg_references,
    coalesce(sum(reference_count), 0)::bigint AS total_references,
    coalesce(sum(file_size * greatest(reference_count - 1, 0)), 0)::bigint AS saved_size,
    coalesce(
        1 - (count(*) FILTER (WHERE reference_count > 0))::double precision / nullif(sum(reference_count), 0), 0
    ) AS dedup_rate
FROM original_images;

-- name: list_miscounted_originals
-- Counts that a failed decrement, or somebody with psql, has left wrong.
SELECT o.id
FROM original_images o
LEFT JOIN (
    SELECT r.original_image_id, count(*) AS rows_there
    FROM (
        SELECT original_image_id FROM images WHERE original_image_id IS NOT NULL
        UNION ALL
        SELECT original_image_id FROM device_images WHERE original_image_id IS NOT NULL
    ) r
    GROUP BY r.original_image_id
) c ON c.original_image_id = o.id
WHERE o.reference_count <> coalesce(c.rows_there, 0)
ORDER BY o.id
LIMIT $1;

-- name: back_fill_originals
-- Commits batch by batch: outside of a transaction.
CALL back_fill_originals(p_pages_per_batch => 200);

-- name: lock_original
SELECT id FROM original_images WHERE id = $1 FOR UPDATE;

-- name: recount_references
-- A statement after the lock, so that it sees what the holders before have committed.
UPDATE original_images SET reference_count = fn_count_original_references(id) WHERE id = $1;

-- name: is_object_named
-- Whether a row needs the bytes under this key ($2 is their hash, empty where the key is not made of one).
SELECT
    EXISTS (SELECT FROM original_images WHERE content_hash = $2)
    OR EXISTS (SELECT FROM device_images WHERE object_key = $1 AND original_image_id IS NULL)
    OR EXISTS (
        SELECT FROM images
        WHERE original_url = $1 AND deleted_at IS NULL AND original_image_id IS NULL
    )
    OR EXISTS (SELECT FROM images WHERE processed_url = $1 AND deleted_at IS NULL)
    OR EXISTS (SELECT FROM videos WHERE $1 IN (original_path, proxy_path))
    OR EXISTS (SELECT FROM video_upload_parts WHERE object_key = $1);

-- name: note_strays
-- Which of these keys no row names; noted with the time at which that was first seen.
WITH listed AS (
    SELECT u.object_key FROM unnest($1::text[]) AS u (object_key)
), stray AS (
    SELECT l.object_key FROM listed l
    WHERE NOT EXISTS (SELECT FROM original_images o WHERE o.s3_key = l.object_key)
        AND NOT EXISTS (
            SELECT FROM device_images d WHERE d.object_key = l.object_key AND d.original_image_id IS NULL
        )
        AND NOT EXISTS (
            SELECT FROM images i
            WHERE i.original_url = l.object_key AND i.deleted_at IS NULL AND i.original_image_id IS NULL
        )
        AND NOT EXISTS (SELECT FROM images i WHERE i.processed_url = l.object_key AND i.deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM videos v WHERE v.original_path = l.object_key)
        AND NOT EXISTS (SELECT FROM videos v WHERE v.proxy_path = l.object_key)
        AND NOT EXISTS (SELECT FROM video_upload_parts p WHERE p.object_key = l.object_key)
), noted AS (
    INSERT INTO stray_objects AS s (object_key)
    SELECT object_key FROM stray ORDER BY object_key
    ON CONFLICT (object_key) DO UPDATE SET object_key = excluded.object_key
    RETURNING s.object_key, s.found_at
)
SELECT object_key, found_at FROM noted ORDER BY object_key;

-- name: forget_strays
-- Notes about objects that are gone, or that a row names by now: what was seen in this sweep stays.
DELETE FROM stray_objects WHERE NOT object_key = ANY($1::text[]);
