-- Work in the background; the row is the truth, Celery carries its id, its lease stands in processing_leases.
CREATE TABLE processing_jobs (
    id uuid PRIMARY KEY DEFAULT fn_uuid(),
    video_id uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    job_type varchar(50) NOT NULL,
    status varchar(20) NOT NULL DEFAULT 'pending',
    celery_task_id varchar(255),
    worker_hostname varchar(255),
    result_data jsonb,
    error_message text,
    queued_at timestamptz NOT NULL DEFAULT fn_now(),
    started_at timestamptz,
    completed_at timestamptz,
    CONSTRAINT processing_jobs_status_check CHECK (
        status::text IN ('pending', 'running', 'completed', 'failed', 'cancelled')
    )
);
CREATE INDEX ix_jobs_video_id ON processing_jobs (video_id);
CREATE INDEX ix_jobs_status ON processing_jobs (status);
CREATE INDEX ix_jobs_celery_task_id ON processing_jobs (celery_task_id);
CREATE INDEX ix_jobs_queued_at ON processing_jobs (queued_at DESC);
