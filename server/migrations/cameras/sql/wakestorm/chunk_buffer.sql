-- So that moving chunks locks nothing but chunks.
ALTER TABLE device_image_chunks DROP CONSTRAINT IF EXISTS device_image_chunks_device_mac_fkey;
