-- Reads all images while others go on writing.
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_retry_count_check;
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_max_retries_check;
ALTER TABLE device_images VALIDATE CONSTRAINT device_images_session_id_fkey;
