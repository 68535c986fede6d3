-- Serves the search for what can be resumed.
CREATE INDEX idx_device_images_resume ON device_images (device_id, image_name, status);
