-- One row for each (device, image name); the index was built before, so that this takes a moment only.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'device_images_device_id_image_name_key') THEN
        ALTER TABLE device_images ADD CONSTRAINT device_images_device_id_image_name_key
            UNIQUE USING INDEX device_images_device_id_image_name_key;
    END IF;
END
$$;
