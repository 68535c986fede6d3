-- Projects and their images. Deleting an image takes its reference off in the same UPDATE; so a second time finds none.

-- name: create_project
INSERT INTO projects (id, name, company_id) VALUES ($1, $2, fn_company_id()) RETURNING *;

-- name: get_project
SELECT * FROM projects WHERE id = $1;

-- name: list_projects
-- Rows after ($1, $2), by age.
SELECT * FROM projects
WHERE (created_at, id) > ($1::timestamptz, $2::uuid)
ORDER BY created_at, id
LIMIT $3;

-- name: share_project
-- It can't go while its images are being written.
SELECT id FROM projects WHERE id = $1 FOR KEY SHARE;

-- name: lock_project
SELECT id FROM projects WHERE id = $1 FOR UPDATE;

-- name: delete_project
DELETE FROM projects WHERE id = $1;

-- name: create_images
-- One row for each style of an upload.
INSERT INTO images (
    id, project_id, file_name, style, original_url, processed_url, file_size, mime_type, width, height,
    original_image_id
)
SELECT u.id, $1, $2, u.style, $3, u.processed_url, $4, $5, $6, $7, $8
FROM unnest($9::uuid[], $10::text[], $11::text[]) WITH ORDINALITY AS u (id, style, processed_url, place)
ORDER BY u.place
RETURNING *;

-- name: get_image
SELECT i.*, o.content_hash, o.s3_key
FROM images i
LEFT JOIN original_images o ON o.id = i.original_image_id
WHERE i.id = $1 AND i.deleted_at IS NULL;

-- name: list_images
SELECT i.*, o.content_hash, o.s3_key
FROM images i
LEFT JOIN original_images o ON o.id = i.original_image_id
WHERE i.project_id = $1 AND i.deleted_at IS NULL AND (i.created_at, i.id) > ($2::timestamptz, $3::uuid)
ORDER BY i.created_at, i.id
LIMIT $4;

-- name: get_original_image_id_for_image
SELECT original_image_id FROM images WHERE id = $1;

-- name: get_original_image_ids_for_project
-- One for each row, not for each original.
SELECT original_image_id FROM images WHERE project_id = $1 AND original_image_id IS NOT NULL ORDER BY id;

-- name: delete_image
WITH live AS (
    SELECT id, original_image_id, processed_url FROM images WHERE id = $1 AND deleted_at IS NULL FOR UPDATE
)
UPDATE images i SET deleted_at = fn_now(), original_image_id = NULL
FROM live
WHERE i.id = live.id AND i.deleted_at IS NULL
RETURNING live.original_image_id, live.processed_url;

-- name: release_images_of_project
-- What each row referred to, taken off before the rows go: the trigger on DELETE then has nothing to count.
WITH live AS (
    SELECT id, original_image_id, processed_url FROM images WHERE project_id = $1 ORDER BY id FOR UPDATE
)
UPDATE images i SET original_image_id = NULL
FROM live
WHERE i.id = live.id
RETURNING live.original_image_id, live.processed_url;

-- name: delete_images_of_project
DELETE FROM images WHERE project_id = $1;

-- name: list_images_to_hash
-- Uploads from before originals, whose bytes have to be read.
SELECT id, original_url, mime_type, width, height FROM images
WHERE original_image_id IS NULL AND deleted_at IS NULL AND NOT id = ANY($1::uuid[])
ORDER BY id
LIMIT $2;

-- name: adopt_original
UPDATE images SET original_image_id = $2, original_url = $3
WHERE id = $1 AND original_image_id IS NULL AND deleted_at IS NULL
RETURNING id;
