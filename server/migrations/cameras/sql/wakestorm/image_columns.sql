-- wakestorm's columns of an image. Each statement takes a moment: nothing is rewritten or read.
ALTER TABLE device_images
    ADD COLUMN IF NOT EXISTS wire_image_name text,
    ADD COLUMN IF NOT EXISTS captured_at_source text NOT NULL DEFAULT 'device',
    ADD COLUMN IF NOT EXISTS chunk_size_bytes integer,
    ADD COLUMN IF NOT EXISTS sha256 text,
    ADD COLUMN IF NOT EXISTS object_key text,
    ADD COLUMN IF NOT EXISTS attempt integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS dialect text,
    ADD COLUMN IF NOT EXISTS completed_at timestamptz,
    DROP CONSTRAINT IF EXISTS device_images_captured_at_source_check,
    ADD CONSTRAINT device_images_captured_at_source_check CHECK (captured_at_source IN ('device', 'server')) NOT VALID,
    DROP CONSTRAINT IF EXISTS device_images_received_chunks_check,
    ADD CONSTRAINT device_images_received_chunks_check CHECK (received_chunks >= 0) NOT VALID;

-- A row written by hand, or by a server of before, needs no second name.
CREATE OR REPLACE FUNCTION fn_set_wire_image_name() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.wire_image_name := coalesce(NEW.wire_image_name, NEW.image_name);
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER device_images_wire_image_name BEFORE INSERT ON device_images
    FOR EACH ROW EXECUTE FUNCTION fn_set_wire_image_name();
-- Only now: from here on every new row has its name.
ALTER TABLE device_images
    DROP CONSTRAINT IF EXISTS device_images_wire_image_name_set,
    ADD CONSTRAINT device_images_wire_image_name_set CHECK (wire_image_name IS NOT NULL) NOT VALID;
