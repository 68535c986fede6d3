-- Originals are named by the SHA-256 of their bytes; how many rows use one is counted. Safe to repeat.

CREATE TABLE IF NOT EXISTS original_images (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    content_hash varchar(64) NOT NULL,
    s3_key text NOT NULL,
    file_size bigint NOT NULL,
    mime_type varchar(100) NOT NULL,
    width integer,
    height integer,
    reference_count integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT original_images_content_hash_key UNIQUE (content_hash),
    CONSTRAINT original_images_content_hash_check CHECK (content_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT original_images_file_size_check CHECK (file_size > 0),
    CONSTRAINT original_images_reference_count_check CHECK (reference_count >= 0)
);
CREATE INDEX IF NOT EXISTS idx_original_images_reference_count ON original_images (reference_count, updated_at);
COMMENT ON COLUMN original_images.content_hash IS 'SHA-256 of the bytes, lower-case hex';
COMMENT ON COLUMN original_images.s3_key IS 'originals/<first two digits>/<content_hash>';
COMMENT ON COLUMN original_images.reference_count IS 'Rows of images and device_images that name this original';

CREATE OR REPLACE TRIGGER original_images_updated_at BEFORE UPDATE ON original_images
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();

CREATE TABLE IF NOT EXISTS stray_objects (
    object_key text PRIMARY KEY,
    found_at timestamptz NOT NULL DEFAULT fn_now()
);
COMMENT ON TABLE stray_objects IS 'Stored objects that no row names, and since when; swept after 24 hours';
