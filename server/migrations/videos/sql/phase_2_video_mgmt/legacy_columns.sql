-- Old and new columns say the same, whoever writes: after a downgrade every video is read the old way, and a program
-- that knows the old columns only goes on adding videos.
CREATE FUNCTION fn_fill_legacy_video_columns() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' AND NEW.pin_id IS NULL AND NEW.camera_pin_id IS NOT NULL THEN
        NEW.pin_id := NEW.camera_pin_id;
        NEW.mall_id := coalesce(NEW.mall_id, (SELECT p.mall_id FROM camera_pins p WHERE p.id = NEW.camera_pin_id));
        NEW.filename := coalesce(NEW.filename, NEW.original_filename);
        NEW.original_path := coalesce(NEW.original_path, NEW.file_path);
        NEW.upload_status := 'uploaded';
        NEW.uploaded_at := coalesce(NEW.upload_timestamp, NEW.uploaded_at);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.processed IS DISTINCT FROM OLD.processed
        AND NEW.processing_status IS NOT DISTINCT FROM OLD.processing_status THEN
        NEW.processing_status := CASE WHEN NEW.processed THEN 'completed' ELSE 'pending' END;
    ELSIF TG_OP = 'INSERT' OR NEW.processing_status IS DISTINCT FROM OLD.processing_status THEN
        NEW.processed := NEW.processing_status = 'completed' OR (TG_OP = 'INSERT' AND NEW.processed);
    END IF;
    NEW.camera_pin_id := NEW.pin_id;
    NEW.original_filename := NEW.filename;
    NEW.file_path := coalesce(NEW.original_path, NEW.file_path, '');
    NEW.upload_timestamp := NEW.uploaded_at;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION fn_fill_legacy_video_columns IS 'Keeps the columns of phase 1 filled from those of phase 2';
CREATE TRIGGER videos_legacy_columns BEFORE INSERT OR UPDATE ON videos
    FOR EACH ROW EXECUTE FUNCTION fn_fill_legacy_video_columns();
