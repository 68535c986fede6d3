-- May be called again (by the owner) when roles were made later.
CREATE PROCEDURE grant_originals_access()
LANGUAGE plpgsql
AS $$
DECLARE
    v_name text;
BEGIN
    CALL secure_table('projects', 'company_id = fn_company_id()');
    CALL secure_table(
        'images', 'project_id IN (SELECT p.id FROM projects p WHERE p.company_id = fn_company_id())'
    );
    CALL secure_table(
        'original_images',
        'id IN (SELECT i.original_image_id FROM images i) OR id IN (SELECT d.original_image_id FROM device_images d)'
    );
    CALL secure_table('stray_objects', 'false');
    FOREACH v_name IN ARRAY ARRAY['ws_server', 'ws_web', 'ws_reader'] LOOP
        CONTINUE WHEN to_regrole(v_name) IS NULL;
        EXECUTE format('GRANT SELECT ON alembic_version_originals TO %I', v_name);
    END LOOP;
END
$$;

CALL grant_originals_access();
