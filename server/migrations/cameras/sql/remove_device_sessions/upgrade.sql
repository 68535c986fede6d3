-- Where it was dropped by hand already, there is nothing to carry over.
CREATE TABLE IF NOT EXISTS device_sessions (
    session_id uuid, device_id uuid, session_start_time timestamptz, session_end_time timestamptz,
    next_wake_at timestamptz, image_id uuid, chunks_sent integer, chunks_total integer, status text,
    created_at timestamptz
);

-- Every row as it was, so that the step back loses nothing.
CREATE TABLE device_sessions_backup AS
SELECT
    fn_now() AS backed_up_at,
    NOT EXISTS (SELECT FROM device_wake_sessions w WHERE w.session_id = s.session_id) AS carried_over,
    s.session_id, s.device_id, s.session_start_time, s.session_end_time, s.next_wake_at, s.image_id, s.chunks_sent,
    s.chunks_total, s.status, s.created_at
FROM device_sessions s;
ALTER TABLE device_sessions_backup ADD PRIMARY KEY (session_id);

INSERT INTO device_wake_sessions (
    session_id, device_id, site_id, program_id, company_id, wake_timestamp, session_duration_ms, next_wake_scheduled,
    image_captured, image_id, chunks_sent, chunks_total, transmission_complete, status, created_at
)
SELECT
    s.session_id, s.device_id, d.site_id, d.program_id, d.company_id, s.session_start_time,
    -- one that somebody closed weeks later says nothing about a wake, and would not fit
    CASE WHEN s.session_end_time - s.session_start_time < interval '24 days'
        THEN (extract(epoch FROM s.session_end_time - s.session_start_time) * 1000)::integer END,
    s.next_wake_at, s.image_id IS NOT NULL, s.image_id, s.chunks_sent, s.chunks_total,
    coalesce(s.status = 'completed' AND s.chunks_sent >= s.chunks_total, false), s.status, s.created_at
FROM device_sessions s
JOIN devices d USING (device_id)
ON CONFLICT (session_id) DO NOTHING;

ALTER TABLE device_history DROP CONSTRAINT IF EXISTS device_history_session_id_fkey;
UPDATE device_history h
SET session_id = NULL, event_data = h.event_data || jsonb_build_object('lost_session_id', h.session_id)
WHERE h.session_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM device_wake_sessions w WHERE w.session_id = h.session_id);
ALTER TABLE device_history ADD CONSTRAINT device_history_session_id_fkey
    FOREIGN KEY (session_id) REFERENCES device_wake_sessions (session_id) ON DELETE SET NULL;

DROP TABLE device_sessions;

DO $$
BEGIN
    RAISE NOTICE '% rows of device_sessions carried over to device_wake_sessions',
        (SELECT count(*) FROM device_sessions_backup WHERE carried_over);
END
$$;
CALL secure_table(
    'device_sessions_backup', 'device_id IN (SELECT d.device_id FROM devices d WHERE d.company_id = fn_company_id())'
);
