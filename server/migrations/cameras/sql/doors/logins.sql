-- Who may come in at the MQTT broker. No password stands here, only what proves it.
CREATE TABLE broker_logins (
    user_name text PRIMARY KEY,
    role text NOT NULL,
    device_id uuid REFERENCES devices ON DELETE CASCADE,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT broker_logins_role_check CHECK (role IN ('device', 'enrolment', 'server')),
    CONSTRAINT broker_logins_device_check CHECK ((role = 'device') = (device_id IS NOT NULL)),
    CONSTRAINT broker_logins_user_name_check CHECK (user_name ~ '^[0-9A-Za-z:_.-]{1,64}$')
);
CREATE UNIQUE INDEX idx_broker_logins_device ON broker_logins (device_id);
COMMENT ON COLUMN broker_logins.user_name IS 'A device''s is its device_mac: it stands in its topics';
COMMENT ON COLUMN broker_logins.password_hash IS 'PBKDF2 with SHA-512 as mosquitto writes it: $7$rounds$salt$hash';
CREATE TRIGGER broker_logins_updated_at BEFORE UPDATE ON broker_logins
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
