-- wakestorm's columns of other tables, each statement a moment.
ALTER TABLE devices
    ADD COLUMN IF NOT EXISTS protocol_version text,
    ADD COLUMN IF NOT EXISTS topic_family text,
    ADD COLUMN IF NOT EXISTS location text;
ALTER TABLE device_wake_sessions
    ADD COLUMN IF NOT EXISTS ended_at timestamptz,
    ADD COLUMN IF NOT EXISTS last_message_at timestamptz,
    ADD COLUMN IF NOT EXISTS topic_family text,
    ADD COLUMN IF NOT EXISTS hello_digest text,
    ADD COLUMN IF NOT EXISTS answer text,
    ADD COLUMN IF NOT EXISTS answer_image_id uuid,
    ADD COLUMN IF NOT EXISTS payload_id uuid,
    ADD COLUMN IF NOT EXISTS pending_list text[],
    ADD COLUMN IF NOT EXISTS message_count integer NOT NULL DEFAULT 1,
    ADD COLUMN IF NOT EXISTS chunk_duplicates integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS asked_at timestamptz,
    ADD COLUMN IF NOT EXISTS missing_rounds integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS backlog_asked jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS offers_expected integer,
    ADD COLUMN IF NOT EXISTS images_stored jsonb NOT NULL DEFAULT '[]';
ALTER TABLE device_wake_payloads
    ADD COLUMN IF NOT EXISTS session_id uuid REFERENCES device_wake_sessions ON DELETE SET NULL;
