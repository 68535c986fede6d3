-- 20251108200001_session_and_timeout_fix, step 4: row-level security.
-- The owner and ws_server see and write everything, ws_reader sees everything, ws_web sees and writes the rows of
-- one company: the setting wakestorm.company_id; without it, nothing. Roles that do not exist get no policy.

CREATE FUNCTION fn_company_id() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT nullif(current_setting('wakestorm.company_id', true), '')::uuid $$;

-- Forces row-level security on a table; p_company_rule says in SQL which rows belong to the company of the setting.
-- Where all is as it should be, only the grants are given again: they lock nobody out.
CREATE PROCEDURE secure_table(p_table regclass, p_company_rule text)
LANGUAGE plpgsql
AS $$
DECLARE
    v_policy record;
    v_wanted name[];
    v_found name[];
BEGIN
    SELECT array_agg(w.policy::name ORDER BY w.policy) INTO v_wanted
    FROM (VALUES
        ('owner_all', NULL), ('server_all', 'ws_server'), ('reader_all', 'ws_reader'), ('web_company', 'ws_web')
    ) AS w (policy, role)
    WHERE w.role IS NULL OR to_regrole(w.role) IS NOT NULL;
    SELECT array_agg(p.polname ORDER BY p.polname) INTO v_found
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE p.polrelid = p_table AND c.relrowsecurity AND c.relforcerowsecurity;
    IF v_found IS DISTINCT FROM v_wanted THEN
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
        FOR v_policy IN SELECT p.polname FROM pg_policy p WHERE p.polrelid = p_table LOOP
            EXECUTE format('DROP POLICY %I ON %s', v_policy.polname, p_table);
        END LOOP;
        EXECUTE format('CREATE POLICY owner_all ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', p_table);
        IF 'server_all' = ANY (v_wanted) THEN
            EXECUTE format('CREATE POLICY server_all ON %s TO ws_server USING (true) WITH CHECK (true)', p_table);
        END IF;
        IF 'reader_all' = ANY (v_wanted) THEN
            EXECUTE format('CREATE POLICY reader_all ON %s FOR SELECT TO ws_reader USING (true)', p_table);
        END IF;
        IF 'web_company' = ANY (v_wanted) THEN
            EXECUTE format(
                'CREATE POLICY web_company ON %s TO ws_web USING (%s) WITH CHECK (%s)',
                p_table, p_company_rule, p_company_rule
            );
        END IF;
    END IF;
    IF to_regrole('ws_server') IS NOT NULL THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO ws_server', p_table);
    END IF;
    IF to_regrole('ws_reader') IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON %s TO ws_reader', p_table);
    END IF;
    IF to_regrole('ws_web') IS NOT NULL THEN
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
