-- Reads every row, and keeps nobody from writing.
ALTER TABLE images VALIDATE CONSTRAINT images_original_image_id_fkey;
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_original_image_id_fkey;
