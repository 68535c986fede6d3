-- One row for each (device, image name).
ALTER TABLE device_images ADD CONSTRAINT device_images_device_id_image_name_key UNIQUE (device_id, image_name);
