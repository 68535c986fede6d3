-- Foreign keys one by one, after the copying: each keeps others from writing its table for a moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'device_image_chunks_image_id_fkey') THEN
        ALTER TABLE device_image_chunks ADD CONSTRAINT device_image_chunks_image_id_fkey
            FOREIGN KEY (image_id) REFERENCES device_images ON DELETE CASCADE;
    END IF;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'device_image_chunks_aside_image_id_fkey') THEN
        ALTER TABLE device_image_chunks_aside ADD CONSTRAINT device_image_chunks_aside_image_id_fkey
            FOREIGN KEY (image_id) REFERENCES device_images ON DELETE CASCADE;
    END IF;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'device_image_chunks_staged_device_id_fkey') THEN
        ALTER TABLE device_image_chunks_staged ADD CONSTRAINT device_image_chunks_staged_device_id_fkey
            FOREIGN KEY (device_id) REFERENCES devices ON DELETE CASCADE;
    END IF;
END
$$;
