-- Rows whose bytes already lie under their hash get their original here. Other uploads are hashed by
-- `wakestorm originals back-fill`: SQL can't read the store.

-- One batch: rows of device_images or images in these pages that have no original yet. Rows are locked before
-- originals, as everywhere.
CREATE OR REPLACE PROCEDURE back_fill_pages(
    p_table regclass, p_from_page bigint, p_until_page bigint, INOUT p_served bigint DEFAULT 0
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_from constant tid := format('(%s,0)', p_from_page)::tid;
    v_until constant tid := format('(%s,0)', p_until_page)::tid;
BEGIN
    CREATE TEMPORARY TABLE IF NOT EXISTS rows_without_original (
        id uuid PRIMARY KEY, content_hash text NOT NULL, file_size bigint NOT NULL, mime_type text NOT NULL,
        width integer, height integer
    );
    DELETE FROM rows_without_original;
    IF p_table = 'device_images'::regclass THEN
        INSERT INTO rows_without_original (id, content_hash, file_size, mime_type)
        SELECT i.image_id, i.sha256, i.image_size, 'image/jpeg'
        FROM device_images i
        WHERE i.ctid >= v_from AND i.ctid < v_until AND i.original_image_id IS NULL AND i.status = 'complete'
            AND i.image_size > 0 AND i.sha256 ~ '^[0-9a-f]{64}$'
            AND i.object_key = 'originals/' || left(i.sha256, 2) || '/' || i.sha256
        ORDER BY i.image_id FOR UPDATE;
    ELSE
        INSERT INTO rows_without_original (id, content_hash, file_size, mime_type, width, height)
        SELECT m.id, right(m.original_url, 64), m.file_size, coalesce(m.mime_type, 'application/octet-stream'),
            m.width, m.height
        FROM images m
        WHERE m.ctid >= v_from AND m.ctid < v_until AND m.original_image_id IS NULL AND m.deleted_at IS NULL
            AND m.file_size > 0 AND m.original_url ~ '^originals/[0-9a-f]{2}/[0-9a-f]{64}$'
        ORDER BY m.id FOR UPDATE;
    END IF;
    ANALYZE rows_without_original;
    PERFORM FROM original_images o
    WHERE o.content_hash IN (SELECT r.content_hash FROM rows_without_original r)
    ORDER BY o.id FOR UPDATE;
    INSERT INTO original_images (content_hash, s3_key, file_size, mime_type, width, height, reference_count)
    SELECT
        r.content_hash, 'originals/' || left(r.content_hash, 2) || '/' || r.content_hash, max(r.file_size),
        max(r.mime_type), max(r.width), max(r.height), count(*)::integer
    FROM rows_without_original r
    GROUP BY r.content_hash
    ORDER BY r.content_hash
    ON CONFLICT (content_hash)
    DO UPDATE SET reference_count = original_images.reference_count + excluded.reference_count;
    EXECUTE format(
        'UPDATE %1$s t SET original_image_id = o.id'
        ' FROM rows_without_original r JOIN original_images o ON o.content_hash = r.content_hash'
        ' WHERE t.%2$I = r.id',
        p_table, CASE p_table WHEN 'device_images'::regclass THEN 'image_id' ELSE 'id' END
    );
    GET DIAGNOSTICS p_served = ROW_COUNT;
END
$$;

-- Safe to call again: rows that have their original are left alone. With p_pages_per_batch it commits after so many
-- pages of a table (CALL it outside a transaction then) and tells how far it has come; killed, it loses nothing.
CREATE OR REPLACE PROCEDURE back_fill_originals(
    INOUT p_served bigint DEFAULT 0, p_pages_per_batch integer DEFAULT NULL
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_table regclass;
    v_page bigint;
    v_pages bigint;
    v_until bigint;
    v_served bigint;
    v_batches integer := 0;
    v_is_owner constant boolean := (
        SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = 'original_images'::regclass
    );
BEGIN
    p_served := 0;
    FOREACH v_table IN ARRAY ARRAY['images'::regclass, 'device_images'::regclass] LOOP
        v_page := 0;
        v_pages := pg_relation_size(v_table) / current_setting('block_size')::bigint;
        WHILE v_page < v_pages LOOP
            v_until := least(v_page + coalesce(p_pages_per_batch, v_pages), v_pages);
            PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
            CALL back_fill_pages(v_table, v_page, v_until, v_served);
            PERFORM set_config('wakestorm.keeps_updated_at', '', true);
            p_served := p_served + v_served;
            v_page := v_until;
            v_batches := v_batches + 1;
            IF v_is_owner AND v_batches & (v_batches - 1) = 0 THEN
                ANALYZE original_images; -- plans made for an empty table would read all of it for each row
            END IF;
            IF p_pages_per_batch IS NOT NULL THEN
                COMMIT;
                RAISE INFO 'originals: % of % pages of %', v_page, v_pages, v_table;
            END IF;
        END LOOP;
    END LOOP;
    DROP TABLE IF EXISTS rows_without_original;
END
$$;
COMMENT ON PROCEDURE back_fill_originals IS 'Gives images that are stored under their hash their original';
