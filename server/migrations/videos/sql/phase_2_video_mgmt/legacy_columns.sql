-- Whoever writes the new columns writes the old ones too, so that after a downgrade every video is read the old way.
CREATE FUNCTION fn_fill_legacy_video_columns() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.camera_pin_id := NEW.pin_id;
    NEW.original_filename := NEW.filename;
    NEW.file_path := coalesce(NEW.original_path, NEW.file_path, '');
    NEW.upload_timestamp := NEW.uploaded_at;
    IF TG_OP = 'INSERT' OR NEW.processing_status IS DISTINCT FROM OLD.processing_status THEN
        NEW.processed := NEW.processing_status = 'completed';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER videos_legacy_columns BEFORE INSERT OR UPDATE ON videos
    FOR EACH ROW EXECUTE FUNCTION fn_fill_legacy_video_columns();
