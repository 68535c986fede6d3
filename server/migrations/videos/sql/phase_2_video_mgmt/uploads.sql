-- wakestorm's own, beside the document's tables: what is on its way, and who works on what.
CREATE TABLE video_uploads (
    video_id uuid PRIMARY KEY REFERENCES videos ON DELETE CASCADE,
    state text NOT NULL DEFAULT 'open',
    size_bytes bigint NOT NULL,
    part_size_bytes integer NOT NULL,
    said_sha256 varchar(64),
    claim uuid,
    claimed_until timestamptz,
    progress_at timestamptz NOT NULL DEFAULT fn_now(),
    created_at timestamptz NOT NULL DEFAULT fn_now(),
    CONSTRAINT video_uploads_state_check CHECK (
        state IN ('open', 'completing', 'completed', 'aborted', 'failed', 'expired')
    ),
    CONSTRAINT video_uploads_sizes_check CHECK (size_bytes > 0 AND part_size_bytes > 0),
    CONSTRAINT video_uploads_said_sha256_check CHECK (said_sha256 ~ '^[0-9a-f]{64}$')
);
CREATE INDEX idx_video_uploads_unfinished ON video_uploads (progress_at) WHERE state IN ('open', 'completing');
COMMENT ON COLUMN video_uploads.said_sha256 IS 'What the sender says; videos.checksum_sha256 comes from the bytes';
COMMENT ON COLUMN video_uploads.claim IS 'Of the request that completes it; another may claim it after claimed_until';
COMMENT ON COLUMN video_uploads.progress_at IS 'When it was last heard of; unfinished ones expire 24 hours later';

CREATE TABLE video_upload_parts (
    video_id uuid NOT NULL REFERENCES video_uploads ON DELETE CASCADE,
    part_number integer NOT NULL,
    size_bytes integer NOT NULL,
    sha256 varchar(64) NOT NULL,
    object_key text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT fn_now(),
    PRIMARY KEY (video_id, part_number),
    CONSTRAINT video_upload_parts_number_check CHECK (part_number BETWEEN 1 AND 10000)
);
COMMENT ON TABLE video_upload_parts IS 'Parts whose bytes are stored; the newest of a number counts';

CREATE TABLE processing_leases (
    job_id uuid PRIMARY KEY REFERENCES processing_jobs ON DELETE CASCADE,
    attempt integer NOT NULL DEFAULT 0,
    attempts_max integer NOT NULL DEFAULT 3,
    token uuid,
    leased_until timestamptz,
    run_after timestamptz NOT NULL DEFAULT fn_now(),
    sent_at timestamptz
);
COMMENT ON TABLE processing_leases IS 'Who may work on a job, and until when; a row for each job';
COMMENT ON COLUMN processing_leases.attempt IS 'How often a worker has begun';
COMMENT ON COLUMN processing_leases.token IS 'Of the worker that holds the lease; nobody else may write about the job';
COMMENT ON COLUMN processing_leases.sent_at IS 'When its id was last given to the carrier; none: to be sent';
