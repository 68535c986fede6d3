-- A CHECK says so already, and was validated: nothing is read.
ALTER TABLE device_images
    ALTER COLUMN wire_image_name SET NOT NULL,
    DROP CONSTRAINT IF EXISTS device_images_wire_image_name_set;
