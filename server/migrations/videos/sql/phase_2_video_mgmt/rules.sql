-- What must have a value, what points where, 3 foreign keys, 7 indexes.
ALTER TABLE videos
    ALTER COLUMN mall_id SET NOT NULL,
    ALTER COLUMN pin_id SET NOT NULL,
    ALTER COLUMN filename SET NOT NULL,
    ALTER COLUMN upload_status SET NOT NULL,
    ALTER COLUMN upload_status SET DEFAULT 'uploading',
    ALTER COLUMN uploaded_at SET NOT NULL,
    ALTER COLUMN uploaded_at SET DEFAULT fn_now(),
    ALTER COLUMN updated_at SET NOT NULL,
    ALTER COLUMN updated_at SET DEFAULT fn_now(),
    ADD CONSTRAINT videos_upload_status_check CHECK (
        upload_status::text IN ('uploading', 'uploaded', 'failed')
    ),
    ADD CONSTRAINT fk_videos_mall_id FOREIGN KEY (mall_id) REFERENCES malls (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_videos_pin_id FOREIGN KEY (pin_id) REFERENCES camera_pins (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_videos_uploaded_by FOREIGN KEY (uploaded_by_user_id) REFERENCES users (id) ON DELETE SET NULL;
CREATE INDEX ix_videos_mall_id ON videos (mall_id);
CREATE INDEX ix_videos_pin_id ON videos (pin_id);
CREATE INDEX ix_videos_checksum ON videos (checksum_sha256);
CREATE INDEX ix_videos_uploaded_at ON videos (uploaded_at DESC);
CREATE INDEX ix_videos_recorded_at ON videos (recorded_at DESC);
CREATE INDEX ix_videos_upload_status ON videos (upload_status);
CREATE UNIQUE INDEX ix_videos_unique_checksum_pin ON videos (checksum_sha256, pin_id)
    WHERE checksum_sha256 IS NOT NULL;
CREATE TRIGGER videos_updated_at BEFORE UPDATE ON videos
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
