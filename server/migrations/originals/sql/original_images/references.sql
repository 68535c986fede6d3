-- Whoever takes a reference off a row takes it off the count. A row that is deleted with its reference on (a device,
-- a project, a company that goes with all it has) is counted here.

CREATE OR REPLACE FUNCTION fn_count_original_references(p_original_id uuid) RETURNS integer
LANGUAGE sql STABLE
AS $$
    SELECT (
        (SELECT count(*) FROM images i WHERE i.original_image_id = p_original_id)
        + (SELECT count(*) FROM device_images d WHERE d.original_image_id = p_original_id)
    )::integer
$$;
COMMENT ON FUNCTION fn_count_original_references IS 'Rows that name the original: what reference_count has to be';

-- For any table with a column original_image_id: AFTER DELETE ... REFERENCING OLD TABLE AS gone. A count that can't
-- be lowered does not stop the deletion; the clean-up counts again. Runs as the owner: a company that deletes its own
-- rows need not see the originals of others.
CREATE OR REPLACE FUNCTION fn_release_originals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM FROM original_images o
    WHERE o.id IN (SELECT g.original_image_id FROM gone g)
    ORDER BY o.id
    FOR UPDATE;
    UPDATE original_images o
    SET reference_count = greatest(o.reference_count - g.rows_gone, 0)
    FROM (SELECT original_image_id, count(*)::integer AS rows_gone FROM gone GROUP BY original_image_id) g
    WHERE o.id = g.original_image_id;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'failed to decrement original reference: %', SQLERRM;
    RETURN NULL;
END
$$;
