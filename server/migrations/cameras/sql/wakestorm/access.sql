-- Row-level security for every table, rights for the roles that exist, and a schema in which NOW() is fn_now().

-- May be called again (by the owner) when roles were made later.
CREATE PROCEDURE grant_access()
LANGUAGE plpgsql
AS $$
DECLARE
    v_by_device constant text :=
        'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())';
    v_by_image constant text := format('image_id IN (SELECT i.image_id FROM device_images i WHERE %s)', v_by_device);
    v_by_program constant text :=
        'program_id IN (SELECT p.program_id FROM programs p WHERE p.company_id = fn_company_id())';
    v_name text;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['companies', 'programs', 'devices'] LOOP
        CALL secure_table(v_name::regclass, 'company_id = fn_company_id()');
    END LOOP;
    CALL secure_table('sites', v_by_program);
    FOREACH v_name IN ARRAY ARRAY[
        'device_site_assignments', 'device_wake_sessions', 'device_wake_payloads', 'device_commands',
        'device_alerts', 'device_history', 'device_ack_log', 'duplicate_images_log', 'device_image_chunks_staged',
        'device_images_duplicates_backup', 'device_sessions_backup', 'device_images'
    ] LOOP
        CALL secure_table(v_name::regclass, v_by_device);
    END LOOP;
    CALL secure_table('device_image_chunks', v_by_image);
    CALL secure_table('device_image_chunks_aside', v_by_image);
    CALL secure_table(
        'quarantined_messages',
        'device_mac IN (SELECT d.device_mac FROM devices d WHERE d.company_id = fn_company_id())'
    );
    CALL secure_table('idempotency_keys', 'false');
    FOREACH v_name IN ARRAY ARRAY['ws_server', 'ws_web', 'ws_reader'] LOOP
        CONTINUE WHEN to_regrole(v_name) IS NULL;
        EXECUTE format('GRANT USAGE ON SCHEMA scenario_time TO %I', v_name);
        EXECUTE format('GRANT SELECT ON alembic_version TO %I', v_name);
        IF v_name <> 'ws_reader' THEN
            EXECUTE format('GRANT USAGE ON SEQUENCE simulated_id_seq TO %I', v_name);
        END IF;
    END LOOP;
END
$$;

-- SQL of a scenario runs with search_path = scenario_time, pg_catalog, public: its literal NOW() is scenario time.
CREATE SCHEMA scenario_time;
CREATE FUNCTION scenario_time.now() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT public.fn_now() $$;

CALL grant_access();
