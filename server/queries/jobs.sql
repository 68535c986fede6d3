-- Work in the background. The row with its lease is the truth; who holds no lease writes nothing. Rows are locked in
-- the order jobs, leases, videos.

-- name: queue_job
WITH made AS (
    INSERT INTO processing_jobs (id, video_id, job_type, celery_task_id) VALUES ($1, $2, $3, $4) RETURNING *
), lease AS (
    INSERT INTO processing_leases (job_id, attempts_max) SELECT id, $5 FROM made
), marked AS (
    UPDATE videos v
    SET processing_job_id = m.celery_task_id, processing_status = 'pending', processing_error = NULL,
        processing_started_at = NULL, processing_completed_at = NULL
    FROM made m WHERE v.id = m.video_id
)
SELECT * FROM made;

-- name: live_job_of_video
SELECT id FROM processing_jobs WHERE video_id = $1 AND job_type = $2 AND status IN ('pending', 'running');

-- name: share_stored_video
SELECT id FROM videos WHERE id = $1 AND upload_status = 'uploaded' FOR UPDATE;

-- name: get_job
SELECT j.*, l.attempt, l.attempts_max
FROM processing_jobs j JOIN processing_leases l ON l.job_id = j.id
WHERE j.id = $1;

-- name: list_jobs
SELECT j.*, l.attempt, l.attempts_max
FROM processing_jobs j JOIN processing_leases l ON l.job_id = j.id
WHERE j.video_id = $1
ORDER BY j.queued_at DESC, j.id;

-- name: lock_job
SELECT j.*, l.attempt, l.attempts_max, l.token, l.leased_until, l.run_after
FROM processing_jobs j JOIN processing_leases l ON l.job_id = j.id
WHERE j.id = $1
FOR UPDATE OF j, l;

-- name: start_job
WITH job AS (
    UPDATE processing_jobs SET status = 'running', started_at = fn_now(), worker_hostname = $2, error_message = NULL
    WHERE id = $1
    RETURNING id, video_id
), lease AS (
    UPDATE processing_leases SET attempt = attempt + 1, token = $3, leased_until = fn_now() + $4::interval
    WHERE job_id = $1
)
UPDATE videos v SET processing_status = 'processing', processing_started_at = fn_now()
FROM job WHERE v.id = job.video_id
RETURNING v.id, v.mall_id, v.pin_id, v.original_path;

-- name: renew_lease
UPDATE processing_leases l SET leased_until = fn_now() + $3::interval
FROM processing_jobs j
WHERE l.job_id = $1 AND l.token = $2 AND j.id = l.job_id AND j.status = 'running'
RETURNING l.job_id;

-- name: end_job
-- Completed, failed or cancelled ($2), with its result or error.
WITH job AS (
    UPDATE processing_jobs SET status = $2, completed_at = fn_now(), result_data = $3, error_message = $4
    WHERE id = $1
    RETURNING id, video_id
), lease AS (
    UPDATE processing_leases SET token = NULL, leased_until = NULL WHERE job_id = $1
)
UPDATE videos v
SET processing_status = $2, processing_error = $4, proxy_path = coalesce($5, v.proxy_path),
    processing_completed_at = CASE WHEN $2 = 'completed' THEN fn_now() ELSE v.processing_completed_at END
FROM job WHERE v.id = job.video_id
RETURNING v.id;

-- name: try_job_again
WITH job AS (
    UPDATE processing_jobs SET status = 'pending', error_message = $2, celery_task_id = $3 WHERE id = $1
    RETURNING id, video_id
), lease AS (
    UPDATE processing_leases
    SET token = NULL, leased_until = NULL, sent_at = NULL, run_after = fn_now() + $4::interval
    WHERE job_id = $1
)
UPDATE videos v SET processing_status = 'pending', processing_error = $2, processing_job_id = $3
FROM job WHERE v.id = job.video_id;

-- name: lost_jobs
-- Whose worker has not been heard of.
SELECT j.id FROM processing_jobs j JOIN processing_leases l ON l.job_id = j.id
WHERE j.status = 'running' AND l.leased_until <= fn_now()
ORDER BY j.id;

-- name: jobs_to_send
-- Never sent, or sent so long ago ($1) that the carrier has lost it.
UPDATE processing_leases l SET sent_at = fn_now()
FROM processing_jobs j
WHERE j.id = l.job_id AND j.status = 'pending' AND l.run_after <= fn_now()
    AND (l.sent_at IS NULL OR l.sent_at <= fn_now() - $1::interval)
RETURNING j.id, j.celery_task_id;

-- name: unsend_job
UPDATE processing_leases SET sent_at = NULL WHERE job_id = $1;

-- name: any_live_job
SELECT EXISTS (SELECT FROM processing_jobs WHERE status IN ('pending', 'running'));
