-- May be called again (by the owner) when roles were made later.
CREATE PROCEDURE grant_videos_access()
LANGUAGE plpgsql
AS $$
DECLARE
    v_by_video text := 'video_id IN (SELECT v.id FROM videos v)';
    v_name text;
BEGIN
    CALL secure_table('malls', 'company_id = fn_company_id()');
    CALL secure_table('users', 'company_id = fn_company_id()');
    CALL secure_table('camera_pins', 'mall_id IN (SELECT m.id FROM malls m WHERE m.company_id = fn_company_id())');
    CALL secure_table(
        'videos',
        'camera_pin_id IN (SELECT p.id FROM camera_pins p JOIN malls m ON m.id = p.mall_id'
        ' WHERE m.company_id = fn_company_id())'
    );
    CALL secure_table('processing_jobs', v_by_video);
    CALL secure_table('video_uploads', v_by_video);
    CALL secure_table('video_upload_parts', v_by_video);
    CALL secure_table('processing_leases', 'job_id IN (SELECT j.id FROM processing_jobs j)');
    FOREACH v_name IN ARRAY ARRAY['ws_server', 'ws_web', 'ws_reader'] LOOP
        CONTINUE WHEN to_regrole(v_name) IS NULL;
        EXECUTE format('GRANT SELECT ON alembic_version_videos TO %I', v_name);
    END LOOP;
END
$$;

CALL grant_videos_access();
