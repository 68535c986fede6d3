-- 20251108200001_session_and_timeout_fix, step 4: row-level security.
-- The owner and ws_server see and write everything, ws_reader sees everything, ws_web sees and writes the rows of
-- one company: the setting wakestorm.company_id; without it, nothing. Roles that do not exist get no policy.

CREATE FUNCTION fn_company_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('wakestorm.company_id', true), '')::uuid $$;

-- Forces row-level security on a table; p_company_rule says in SQL which rows belong to the company of the setting.
CREATE PROCEDURE secure_table(p_table regclass, p_company_rule text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_policy text;
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
    FOREACH v_policy IN ARRAY ARRAY['owner_all', 'server_all', 'reader_all', 'web_company'] LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_policy, p_table);
    END LOOP;
    EXECUTE format('CREATE POLICY owner_all ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', p_table);
    IF to_regrole('ws_server') IS NOT NULL THEN
        EXECUTE format('CREATE POLICY server_all ON %s TO ws_server USING (true) WITH CHECK (true)', p_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ws_server', p_table);
    END IF;
    IF to_regrole('ws_reader') IS NOT NULL THEN
        EXECUTE format('CREATE POLICY reader_all ON %s FOR SELECT TO ws_reader USING (true)', p_table);
        EXECUTE format('GRANT SELECT ON %s TO ws_reader', p_table);
    END IF;
    IF to_regrole('ws_web') IS NOT NULL THEN
        EXECUTE format(
            'CREATE POLICY web_company ON %s TO ws_web USING (%s) WITH CHECK (%s)',
            p_table, p_company_rule, p_company_rule
        );
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ws_web', p_table);
    END IF;
END
$$;

-- Opens a table to its owner alone again, and takes the grants back.
CREATE PROCEDURE release_table(p_table regclass)
LANGUAGE plpgsql
AS $$
DECLARE
    v_name text;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['owner_all', 'server_all', 'reader_all', 'web_company'] LOOP
        EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_name, p_table);
    END LOOP;
    FOREACH v_name IN ARRAY ARRAY['ws_server', 'ws_reader', 'ws_web'] LOOP
        IF to_regrole(v_name) IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON %s FROM %I', p_table, v_name);
        END IF;
    END LOOP;
    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', p_table);
    EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', p_table);
END
$$;

CALL secure_table('devices', 'company_id = fn_company_id()');
CALL secure_table(
    'device_images', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
CALL secure_table(
    'device_wake_sessions', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
CALL secure_table(
    'device_commands', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
CALL secure_table(
    'device_alerts', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
CALL secure_table(
    'device_history', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
