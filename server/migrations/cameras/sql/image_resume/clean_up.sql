-- The duplicate clean-up: of each (device, name) the best version stays, the others move to the backup table.

-- Moves every pointer at an image of superfluous_images to the kept one, whatever table it is in, and notes it in the
-- backup. Tables that have images in their primary key belong to their image and go with it.
CREATE OR REPLACE PROCEDURE repoint_superfluous_images()
LANGUAGE plpgsql
AS $$
DECLARE
    v_pointer record;
BEGIN
    FOR v_pointer IN
        SELECT
            c.conrelid::regclass AS place, a.attname AS name, k.attname AS key_name,
            format('%s.%s', c.conrelid::regclass, a.attname) AS label
        FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
        JOIN pg_constraint p ON p.conrelid = c.conrelid AND p.contype = 'p' AND NOT c.conkey <@ p.conkey
        JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = p.conkey[1]
        WHERE c.contype = 'f' AND c.confrelid = 'device_images'::regclass AND cardinality(c.conkey) = 1
        ORDER BY label
    LOOP
        EXECUTE format(
            'WITH moved AS ('
            '    UPDATE %1$s AS t SET %2$I = s.kept_image_id FROM superfluous_images s'
            '    WHERE t.%2$I = s.image_id RETURNING s.image_id, t.%3$I AS key'
            '), grouped AS ('
            '    SELECT m.image_id, jsonb_agg(m.key ORDER BY m.key) AS keys FROM moved m GROUP BY m.image_id'
            ')'
            'UPDATE device_images_duplicates_backup b'
            ' SET moved_references = b.moved_references || jsonb_build_object(%4$L, g.keys)'
            ' FROM grouped g WHERE b.image_id = g.image_id',
            v_pointer.place, v_pointer.name, v_pointer.key_name, v_pointer.label
        );
    END LOOP;
END
$$;

-- Fills superfluous_images for the groups of these numbers: all but the best, by status (complete, receiving,
-- pending, failed), then the share of chunks received, then updated_at, then captured_at. The rows are locked first,
-- so that what is judged is what is moved.
CREATE OR REPLACE PROCEDURE rank_duplicate_images(p_after bigint, p_until bigint)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM device_images i
    JOIN duplicate_groups g USING (device_id, image_name)
    WHERE g.number > p_after AND g.number <= p_until
    ORDER BY i.image_id FOR UPDATE OF i;
    INSERT INTO superfluous_images (image_id, kept_image_id)
    SELECT ranked.image_id, ranked.kept_image_id
    FROM (
        SELECT
            i.image_id,
            row_number() OVER best_first AS place,
            first_value(i.image_id) OVER best_first AS kept_image_id
        FROM device_images i
        JOIN duplicate_groups g USING (device_id, image_name)
        WHERE g.number > p_after AND g.number <= p_until
        WINDOW best_first AS (
            PARTITION BY i.device_id, i.image_name
            ORDER BY
                array_position(ARRAY['complete', 'receiving', 'pending', 'failed'], i.status),
                i.received_chunks::numeric / nullif(i.total_chunks, 0) DESC NULLS LAST,
                i.updated_at DESC,
                i.captured_at DESC,
                i.image_id
        )
    ) AS ranked
    WHERE ranked.place > 1;
END
$$;

-- Keeps one image of each (device, name). Safe to call again: without duplicates it does nothing. With
-- p_groups_per_batch it commits after so many names (CALL it outside a transaction then) and tells how far it has
-- come; killed, it loses nothing.
CREATE OR REPLACE PROCEDURE clean_up_duplicate_images(
    INOUT p_removed bigint DEFAULT 0, p_groups_per_batch integer DEFAULT NULL
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_groups bigint;
    v_copies bigint;
    v_done bigint := 0;
    v_until bigint;
    v_moved bigint;
BEGIN
    p_removed := 0;
    DROP TABLE IF EXISTS pg_temp.duplicate_groups, pg_temp.superfluous_images;
    CREATE TEMPORARY TABLE duplicate_groups AS
    SELECT
        row_number() OVER (ORDER BY i.device_id, i.image_name) AS number, i.device_id, i.image_name,
        count(*) AS copies
    FROM device_images i GROUP BY i.device_id, i.image_name HAVING count(*) > 1;
    CREATE UNIQUE INDEX duplicate_groups_number ON duplicate_groups (number);
    CREATE TEMPORARY TABLE superfluous_images (image_id uuid PRIMARY KEY, kept_image_id uuid NOT NULL);
    ANALYZE duplicate_groups;
    SELECT count(*), coalesce(sum(g.copies), 0) INTO v_groups, v_copies FROM duplicate_groups g;
    WHILE v_done < v_groups LOOP
        PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
        v_until := coalesce(v_done + p_groups_per_batch, v_groups);
        CALL rank_duplicate_images(v_done, v_until);
        INSERT INTO device_images_duplicates_backup (
            backup_reason, kept_image_id, image_id, device_id, image_name, image_url, image_size, captured_at,
            received_at, total_chunks, received_chunks, status, error_code, metadata, created_at, updated_at
        )
        SELECT
            'duplicate of (device_id, image_name)', s.kept_image_id, i.image_id, i.device_id, i.image_name,
            i.image_url, i.image_size, i.captured_at, i.received_at, i.total_chunks, i.received_chunks, i.status,
            i.error_code, i.metadata, i.created_at, i.updated_at
        FROM device_images i
        JOIN superfluous_images s USING (image_id)
        ORDER BY i.device_id, i.image_name, i.created_at, i.image_id;
        CALL repoint_superfluous_images();
        DELETE FROM device_images i USING superfluous_images s WHERE i.image_id = s.image_id;
        GET DIAGNOSTICS v_moved = ROW_COUNT;
        DELETE FROM superfluous_images;
        p_removed := p_removed + v_moved;
        v_done := least(v_until, v_groups);
        PERFORM set_config('wakestorm.keeps_updated_at', '', true);
        IF p_groups_per_batch IS NOT NULL THEN
            COMMIT;
            RAISE INFO 'clean-up: % of % duplicates moved', p_removed, v_copies - v_groups;
        END IF;
    END LOOP;
    DROP TABLE duplicate_groups, superfluous_images;
END
$$;
