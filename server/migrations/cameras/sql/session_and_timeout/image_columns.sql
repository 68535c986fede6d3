-- What timeouts and retries need of an image. Each statement takes a moment: nothing is rewritten or read.
ALTER TABLE device_images
    ADD COLUMN IF NOT EXISTS retry_count integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS max_retries integer NOT NULL DEFAULT 3,
    ADD COLUMN IF NOT EXISTS failed_at timestamptz,
    ADD COLUMN IF NOT EXISTS timeout_reason text,
    ADD COLUMN IF NOT EXISTS session_id uuid,
    ADD COLUMN IF NOT EXISTS last_chunk_at timestamptz,
    DROP CONSTRAINT IF EXISTS device_images_session_id_fkey,
    ADD CONSTRAINT device_images_session_id_fkey FOREIGN KEY (session_id)
        REFERENCES device_wake_sessions ON DELETE SET NULL NOT VALID,
    DROP CONSTRAINT IF EXISTS device_images_retry_count_check,
    ADD CONSTRAINT device_images_retry_count_check CHECK (retry_count >= 0) NOT VALID,
    DROP CONSTRAINT IF EXISTS device_images_max_retries_check,
    ADD CONSTRAINT device_images_max_retries_check CHECK (max_retries >= 0) NOT VALID;
