-- The chunks of an image that are not there, 0-based, in order; null while their number is unknown.
CREATE OR REPLACE FUNCTION fn_missing_chunks(p_image_id uuid) RETURNS integer[]
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN i.total_chunks IS NOT NULL THEN ARRAY(
        SELECT expected.chunk_index
        FROM generate_series(0, i.total_chunks - 1) AS expected (chunk_index)
        WHERE NOT EXISTS (
            SELECT FROM device_image_chunks c
            WHERE c.device_mac = d.device_mac AND c.image_name = i.image_name AND c.chunk_index = expected.chunk_index
        )
        ORDER BY expected.chunk_index
    ) END
    FROM device_images i
    JOIN devices d USING (device_id)
    WHERE i.image_id = p_image_id
$$;
