-- What people search devices by, in rows so narrow that reading all of a large fleet's takes milliseconds. HELLO does
-- not touch them: they change with a device's name, MAC or company only.
CREATE TABLE IF NOT EXISTS device_names (
    device_id uuid PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
    company_id uuid,
    device_mac text NOT NULL,
    name_key text NOT NULL
);
COMMENT ON TABLE device_names IS 'Kept by the trigger devices_names: what the list of devices is searched by';
COMMENT ON COLUMN device_names.name_key IS 'lower(coalesce(device_name, device_mac))';
CREATE OR REPLACE FUNCTION fn_keep_device_name()
RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO device_names (device_id, company_id, device_mac, name_key)
    VALUES (NEW.device_id, NEW.company_id, NEW.device_mac, lower(coalesce(NEW.device_name, NEW.device_mac)))
    ON CONFLICT (device_id) DO UPDATE
    SET company_id = excluded.company_id, device_mac = excluded.device_mac, name_key = excluded.name_key;
    RETURN NULL;
END
$$;
CREATE OR REPLACE PROCEDURE grant_names_access()
LANGUAGE plpgsql
AS $$
BEGIN
    CALL secure_table('device_names', 'company_id = fn_company_id()');
END
$$;
CALL grant_names_access();
CREATE OR REPLACE TRIGGER devices_names
    AFTER INSERT OR UPDATE OF device_name, device_mac, company_id ON devices
    FOR EACH ROW EXECUTE FUNCTION fn_keep_device_name();
