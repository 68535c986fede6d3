-- The reference of a row. Each statement takes a moment: nothing is rewritten or read.
ALTER TABLE images
    ADD COLUMN IF NOT EXISTS original_image_id uuid,
    DROP CONSTRAINT IF EXISTS images_original_image_id_fkey,
    ADD CONSTRAINT images_original_image_id_fkey FOREIGN KEY (original_image_id)
        REFERENCES original_images ON DELETE RESTRICT NOT VALID;
ALTER TABLE device_images
    ADD COLUMN IF NOT EXISTS original_image_id uuid,
    DROP CONSTRAINT IF EXISTS device_images_original_image_id_fkey,
    ADD CONSTRAINT device_images_original_image_id_fkey FOREIGN KEY (original_image_id)
        REFERENCES original_images ON DELETE RESTRICT NOT VALID;
COMMENT ON COLUMN images.original_image_id IS 'The reference; taken off in the UPDATE that deletes the image';
COMMENT ON COLUMN device_images.original_image_id IS 'The original that holds the bytes of the complete image';
