-- Devices that were there before the trigger.
INSERT INTO device_names (device_id, company_id, device_mac, name_key)
SELECT device_id, company_id, device_mac, lower(coalesce(device_name, device_mac)) FROM devices
ON CONFLICT (device_id) DO NOTHING;
