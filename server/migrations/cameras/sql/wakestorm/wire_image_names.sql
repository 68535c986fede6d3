-- Every image gets its wire name, page by page, with a COMMIT after so many pages; safe to repeat.
CREATE OR REPLACE PROCEDURE fill_wire_image_names(p_pages integer)
LANGUAGE plpgsql
AS $$
DECLARE
    v_page bigint := 0;
    v_pages bigint := pg_relation_size('device_images') / current_setting('block_size')::bigint;
BEGIN
    WHILE v_page < v_pages LOOP
        PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
        UPDATE device_images SET wire_image_name = image_name
        WHERE ctid >= format('(%s,0)', v_page)::tid AND ctid < format('(%s,0)', v_page + p_pages)::tid
            AND wire_image_name IS NULL;
        v_page := v_page + p_pages;
        COMMIT;
        RAISE INFO 'wire names: % of % pages', least(v_page, v_pages), v_pages;
    END LOOP;
    PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
    UPDATE device_images SET wire_image_name = image_name WHERE wire_image_name IS NULL;
    PERFORM set_config('wakestorm.keeps_updated_at', '', true);
END
$$;
CALL fill_wire_image_names(500);
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_wire_image_name_set;
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_captured_at_source_check;
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_received_chunks_check;
