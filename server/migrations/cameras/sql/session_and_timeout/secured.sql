-- The tables of step 4, in the order in which they are locked.
CALL secure_table('devices', 'company_id = fn_company_id()');
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
CALL secure_table(
    'device_images', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
