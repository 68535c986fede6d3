-- Said before it happens; the whole step is one transaction.
DO $$
DECLARE
    v_jobs bigint := (SELECT count(*) FROM processing_jobs);
    v_videos bigint := (SELECT count(*) FROM videos WHERE upload_status = 'uploaded');
    v_unfinished bigint := (SELECT count(*) FROM videos WHERE upload_status <> 'uploaded');
BEGIN
    RAISE WARNING 'Rollback deletes all data in processing_jobs (% rows) and the table itself', v_jobs;
    RAISE WARNING 'Rollback deletes all Phase 2 metadata of % videos (checksums, operator_notes, etc.)', v_videos;
    RAISE WARNING 'Rollback deletes % uploads that are not finished: phase 1 has no word for them', v_unfinished;
END
$$;
DELETE FROM videos WHERE upload_status <> 'uploaded';
DROP PROCEDURE grant_videos_access();
DROP TABLE processing_leases, video_upload_parts, video_uploads, processing_jobs;
DROP TRIGGER videos_legacy_columns ON videos;
DROP FUNCTION fn_fill_legacy_video_columns();
DROP TRIGGER videos_updated_at ON videos;
ALTER TABLE videos
    DROP CONSTRAINT videos_upload_status_check,
    DROP COLUMN mall_id,
    DROP COLUMN pin_id,
    DROP COLUMN filename,
    DROP COLUMN original_path,
    DROP COLUMN proxy_path,
    DROP COLUMN checksum_sha256,
    DROP COLUMN width,
    DROP COLUMN height,
    DROP COLUMN fps,
    DROP COLUMN codec,
    DROP COLUMN recorded_at,
    DROP COLUMN operator_notes,
    DROP COLUMN uploaded_by_user_id,
    DROP COLUMN upload_status,
    DROP COLUMN processing_job_id,
    DROP COLUMN processing_error,
    DROP COLUMN uploaded_at,
    DROP COLUMN processing_started_at,
    DROP COLUMN processing_completed_at,
    DROP COLUMN updated_at;
