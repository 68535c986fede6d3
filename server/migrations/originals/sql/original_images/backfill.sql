-- Rows whose bytes already lie under their hash get their original here. Other uploads are hashed by
-- `wakestorm originals back-fill`: SQL can't read the store. May be called again; returns how many rows it served.

CREATE FUNCTION fn_backfill_originals() RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_rows bigint;
    v_total bigint := 0;
BEGIN
    INSERT INTO original_images (content_hash, s3_key, file_size, mime_type, width, height, reference_count)
    SELECT
        u.content_hash, 'originals/' || left(u.content_hash, 2) || '/' || u.content_hash, max(u.file_size),
        max(u.mime_type), max(u.width), max(u.height), 0
    FROM (
        SELECT i.sha256 AS content_hash, i.image_size::bigint AS file_size, 'image/jpeg' AS mime_type,
            NULL::integer AS width, NULL::integer AS height
        FROM device_images i
        WHERE i.status = 'complete' AND i.original_image_id IS NULL AND i.image_size > 0
            AND i.object_key = 'originals/' || left(i.sha256, 2) || '/' || i.sha256
        UNION ALL
        SELECT right(m.original_url, 64), m.file_size, coalesce(m.mime_type, 'application/octet-stream'),
            m.width, m.height
        FROM images m
        WHERE m.deleted_at IS NULL AND m.original_image_id IS NULL AND m.file_size > 0
            AND m.original_url ~ '^originals/[0-9a-f]{2}/[0-9a-f]{64}$'
    ) u
    WHERE u.content_hash ~ '^[0-9a-f]{64}$'
    GROUP BY u.content_hash
    ORDER BY u.content_hash
    ON CONFLICT (content_hash) DO NOTHING;

    WITH served AS (
        UPDATE device_images i SET original_image_id = o.id
        FROM original_images o
        WHERE i.sha256 = o.content_hash AND i.object_key = o.s3_key AND i.status = 'complete'
            AND i.original_image_id IS NULL
        RETURNING i.original_image_id
    ), counted AS (
        UPDATE original_images o SET reference_count = o.reference_count + s.references_new
        FROM (SELECT original_image_id, count(*)::integer AS references_new FROM served GROUP BY 1) s
        WHERE o.id = s.original_image_id
    )
    SELECT count(*) INTO v_rows FROM served;
    v_total := v_total + v_rows;

    WITH served AS (
        UPDATE images m SET original_image_id = o.id
        FROM original_images o
        WHERE m.original_url = o.s3_key AND m.deleted_at IS NULL AND m.original_image_id IS NULL
        RETURNING m.original_image_id
    ), counted AS (
        UPDATE original_images o SET reference_count = o.reference_count + s.references_new
        FROM (SELECT original_image_id, count(*)::integer AS references_new FROM served GROUP BY 1) s
        WHERE o.id = s.original_image_id
    )
    SELECT count(*) INTO v_rows FROM served;
    RETURN v_total + v_rows;
END
$$;
COMMENT ON FUNCTION fn_backfill_originals IS 'Gives images that are stored under their hash their original';

ALTER TABLE device_images DISABLE TRIGGER device_images_updated_at;
SELECT fn_backfill_originals();
ALTER TABLE device_images ENABLE TRIGGER device_images_updated_at;
