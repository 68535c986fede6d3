-- Chunks belong to an image, not to a name: a name can come again with another photo.

-- All of it or nothing; done already, it does nothing.
DO $chunks$
BEGIN
    IF to_regclass('device_image_chunks_staged') IS NOT NULL THEN
        RETURN;
    END IF;
    ALTER TABLE device_image_chunks RENAME CONSTRAINT device_image_chunks_pkey TO device_image_chunks_by_name_pkey;
    ALTER TABLE device_image_chunks RENAME TO device_image_chunks_by_name;

    CREATE TABLE device_image_chunks (
        image_id uuid NOT NULL,
        chunk_index integer NOT NULL,
        data bytea NOT NULL,
        received_at timestamptz NOT NULL DEFAULT fn_now(),
        CONSTRAINT device_image_chunks_pkey PRIMARY KEY (image_id, chunk_index),
        CONSTRAINT device_image_chunks_chunk_index_check CHECK (chunk_index >= 0)
    );
    ALTER TABLE device_image_chunks ALTER COLUMN data SET STORAGE EXTERNAL;

    CREATE TABLE device_image_chunks_aside (
        image_id uuid NOT NULL,
        attempt integer NOT NULL,
        chunk_index integer NOT NULL,
        data bytea NOT NULL,
        reason text NOT NULL,
        set_aside_at timestamptz NOT NULL DEFAULT fn_now(),
        CONSTRAINT device_image_chunks_aside_pkey PRIMARY KEY (image_id, attempt, chunk_index)
    );
    ALTER TABLE device_image_chunks_aside ALTER COLUMN data SET STORAGE EXTERNAL;
    COMMENT ON TABLE device_image_chunks_aside IS 'The chunks of whole but damaged copies, kept under their attempt';

    CREATE TABLE device_image_chunks_staged (
        device_id uuid NOT NULL,
        wire_image_name text NOT NULL,
        chunk_index integer NOT NULL,
        data bytea NOT NULL,
        received_at timestamptz NOT NULL DEFAULT fn_now(),
        CONSTRAINT device_image_chunks_staged_pkey PRIMARY KEY (device_id, wire_image_name, chunk_index),
        CONSTRAINT device_image_chunks_staged_chunk_index_check CHECK (chunk_index >= 0)
    );
    ALTER TABLE device_image_chunks_staged ALTER COLUMN data SET STORAGE EXTERNAL;
    COMMENT ON TABLE device_image_chunks_staged IS 'Chunks that came before the metadata of their image';

    INSERT INTO device_image_chunks (image_id, chunk_index, data, received_at)
    SELECT i.image_id, c.chunk_index, c.data, c.received_at
    FROM device_image_chunks_by_name c
    JOIN devices d USING (device_mac)
    JOIN device_images i ON i.device_id = d.device_id AND i.image_name = c.image_name
    WHERE c.chunk_index >= 0;

    INSERT INTO device_image_chunks_staged (device_id, wire_image_name, chunk_index, data, received_at)
    SELECT d.device_id, c.image_name, c.chunk_index, c.data, c.received_at
    FROM device_image_chunks_by_name c
    JOIN devices d USING (device_mac)
    WHERE c.chunk_index >= 0 AND NOT EXISTS (
        SELECT FROM device_images i WHERE i.device_id = d.device_id AND i.image_name = c.image_name
    );

    DROP TABLE device_image_chunks_by_name;
END
$chunks$;

-- The old buffer forgot chunks after 30 minutes and the count did not notice: the count follows what is there.
DO $counts$
BEGIN
    PERFORM set_config('wakestorm.keeps_updated_at', 'on', true);
    UPDATE device_images i
    SET
        received_chunks = there.chunks,
        metadata = i.metadata || jsonb_build_object('received_chunks_before_migration', i.received_chunks)
    FROM (
        SELECT o.image_id, (SELECT count(*) FROM device_image_chunks c WHERE c.image_id = o.image_id) AS chunks
        FROM device_images o WHERE o.status <> 'complete'
    ) AS there
    WHERE i.image_id = there.image_id AND i.received_chunks <> there.chunks;
END
$counts$;
