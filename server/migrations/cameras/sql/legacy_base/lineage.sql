-- Who owns a device: company <- program <- site (with its time zone) <- site assignment <- device.

CREATE TABLE companies (
    company_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    company_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now()
);

CREATE TABLE programs (
    program_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    company_id uuid NOT NULL REFERENCES companies ON DELETE CASCADE,
    program_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX idx_programs_company ON programs (company_id);

CREATE TABLE sites (
    site_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    program_id uuid NOT NULL REFERENCES programs ON DELETE CASCADE,
    site_name text NOT NULL,
    timezone text NOT NULL DEFAULT 'UTC',
    location text,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now()
);
CREATE INDEX idx_sites_program ON sites (program_id);

CREATE TABLE devices (
    device_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_mac text NOT NULL,
    device_code text,
    device_name text,
    site_id uuid REFERENCES sites ON DELETE SET NULL,
    program_id uuid REFERENCES programs ON DELETE SET NULL,
    company_id uuid REFERENCES companies ON DELETE SET NULL,
    is_active boolean NOT NULL DEFAULT true,
    provisioning_status text NOT NULL DEFAULT 'pending_approval',
    device_type text NOT NULL DEFAULT 'physical',
    wake_schedule_cron text,
    last_seen_at timestamptz,
    last_wake_at timestamptz,
    next_wake_at timestamptz,
    battery_voltage real,
    battery_health_percent integer,
    wifi_rssi integer,
    firmware_version text,
    hardware_version text,
    manual_wake_override boolean NOT NULL DEFAULT false,
    manual_wake_requested_by text,
    manual_wake_requested_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    updated_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT devices_device_mac_key UNIQUE (device_mac),
    CONSTRAINT devices_device_code_key UNIQUE (device_code),
    CONSTRAINT devices_battery_health_percent_check CHECK (battery_health_percent BETWEEN 0 AND 100),
    CONSTRAINT devices_device_type_check CHECK (device_type IN ('physical', 'virtual')),
    CONSTRAINT devices_provisioning_status_check CHECK (
        provisioning_status IN (
            'pending_approval', 'pending_mapping', 'mapped', 'active', 'inactive', 'decommissioned', 'system'
        )
    )
);
CREATE INDEX idx_devices_site ON devices (site_id);
CREATE INDEX idx_devices_program ON devices (program_id);
CREATE INDEX idx_devices_company ON devices (company_id);

CREATE TABLE device_site_assignments (
    assignment_id uuid PRIMARY KEY DEFAULT fn_uuid(),
    device_id uuid NOT NULL REFERENCES devices ON DELETE CASCADE,
    site_id uuid NOT NULL REFERENCES sites ON DELETE CASCADE,
    is_active boolean NOT NULL DEFAULT true,
    is_primary boolean NOT NULL DEFAULT true,
    assigned_at timestamptz NOT NULL DEFAULT fn_now(),
    unassigned_at timestamptz
);
CREATE INDEX idx_device_site_assignments_device ON device_site_assignments (device_id);
CREATE INDEX idx_device_site_assignments_site ON device_site_assignments (site_id);
CREATE UNIQUE INDEX device_site_assignments_one_primary ON device_site_assignments (device_id)
    WHERE is_active AND is_primary;

CREATE TRIGGER companies_updated_at BEFORE UPDATE ON companies
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER programs_updated_at BEFORE UPDATE ON programs
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER sites_updated_at BEFORE UPDATE ON sites
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();
CREATE TRIGGER devices_updated_at BEFORE UPDATE ON devices
    FOR EACH ROW EXECUTE FUNCTION fn_set_updated_at();

-- One row for a known device, with nulls where it has no site; no row for an unknown one. The active primary
-- assignment decides; the columns of the device itself fill in where there is none.
CREATE FUNCTION fn_resolve_device_lineage(p_device_mac text)
RETURNS TABLE (device_id uuid, site_id uuid, program_id uuid, company_id uuid, timezone text)
LANGUAGE sql STABLE
AS $$
    SELECT
        d.device_id,
        s.site_id,
        coalesce(p.program_id, d.program_id),
        coalesce(p.company_id, d.company_id),
        s.timezone
    FROM devices d
    LEFT JOIN device_site_assignments a ON a.device_id = d.device_id AND a.is_active AND a.is_primary
    LEFT JOIN sites s ON s.site_id = coalesce(a.site_id, d.site_id)
    LEFT JOIN programs p ON p.program_id = s.program_id
    WHERE d.device_mac = p_device_mac
$$;
