-- A CHECK says so already, and was validated: nothing is read. It goes in a statement of its own, since one that drops
-- it too would drop it first and then read everything under its lock.
ALTER TABLE device_images ALTER COLUMN wire_image_name SET NOT NULL;
ALTER TABLE device_images DROP CONSTRAINT IF EXISTS device_images_wire_image_name_set;
