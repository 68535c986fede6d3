-- What phase 1 had. camera_pin_id has no foreign key: orphans are one of the document's common issues.
CREATE TABLE malls (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    name varchar(255) NOT NULL,
    company_id uuid REFERENCES companies ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX ix_malls_company_id ON malls (company_id);

CREATE TABLE camera_pins (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    mall_id uuid NOT NULL REFERENCES malls ON DELETE CASCADE,
    name varchar(255) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX ix_camera_pins_mall_id ON camera_pins (mall_id);

CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    email varchar(255) NOT NULL,
    company_id uuid REFERENCES companies ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT users_email_key UNIQUE (email)
);
CREATE INDEX ix_users_company_id ON users (company_id);

CREATE TABLE videos (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    camera_pin_id uuid NOT NULL,
    file_path varchar(500) NOT NULL,
    original_filename varchar(255) NOT NULL,
    file_size_bytes bigint,
    duration_seconds double precision,
    processed boolean NOT NULL DEFAULT false,
    processing_status varchar(50) NOT NULL DEFAULT 'pending',
    upload_timestamp timestamptz NOT NULL DEFAULT fn_now(),
    created_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX ix_videos_camera_pin_id ON videos (camera_pin_id);

CALL secure_table('malls', 'company_id = fn_company_id()');
CALL secure_table('users', 'company_id = fn_company_id()');
CALL secure_table(
    'camera_pins', 'mall_id IN (SELECT m.id FROM malls m WHERE m.company_id = fn_company_id())'
);
CALL secure_table(
    'videos',
    'camera_pin_id IN (SELECT p.id FROM camera_pins p JOIN malls m ON m.id = p.mall_id'
    ' WHERE m.company_id = fn_company_id())'
);
DO $$
DECLARE
    v_name text;
BEGIN
    FOREACH v_name IN ARRAY ARRAY['ws_server', 'ws_web', 'ws_reader'] LOOP
        CONTINUE WHEN to_regrole(v_name) IS NULL;
        EXECUTE format('GRANT SELECT ON alembic_version_videos TO %I', v_name);
    END LOOP;
END
$$;
