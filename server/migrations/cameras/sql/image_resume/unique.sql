-- One row for each (device, image name); the index was built before, so that this takes a moment only.
ALTER TABLE device_images ADD CONSTRAINT device_images_device_id_image_name_key
    UNIQUE USING INDEX device_images_device_id_image_name_key;
