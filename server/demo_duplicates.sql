-- Seed 000's situation, for a database at revision legacy_base: 78 records of 13 images. The clean-up keeps 13.
-- ESP32S3-005 image_1.jpg x 41 (one complete, the most recent); ESP32S3-002 five images x 2; ESP32S3-008 six images
-- x 4; image_10567.jpg of a fourth device x 3. Beside them two images without duplicates, and what pointed at some.

INSERT INTO companies (company_id, company_name) VALUES ('11111111-0000-4000-8000-000000000000', 'Seed 000');
INSERT INTO programs (program_id, company_id, program_name)
VALUES ('22222222-0000-4000-8000-000000000000', '11111111-0000-4000-8000-000000000000', 'Cameras of 2025');
INSERT INTO devices (device_id, device_mac, device_code, company_id, program_id, provisioning_status)
SELECT
    given.device_id::uuid, given.device_mac, given.device_code, '11111111-0000-4000-8000-000000000000',
    '22222222-0000-4000-8000-000000000000', 'mapped'
FROM (VALUES
    ('a0000000-0000-4000-8000-000000000002', 'B8F8620000A2', 'DEVICE-ESP32S3-002'),
    ('a0000000-0000-4000-8000-000000000005', 'B8F8620000A5', 'DEVICE-ESP32S3-005'),
    ('a0000000-0000-4000-8000-000000000008', 'B8F8620000A8', 'DEVICE-ESP32S3-008'),
    ('57b7f85e-354f-4a51-a8f8-5aecff515768', 'B8F8620000AF', 'DEVICE-ESP32S3-015')
) AS given (device_id, device_mac, device_code);

-- Three times: the key that PostgreSQL names in the error 23505, since it stands first.
INSERT INTO device_images (
    image_id, device_id, image_name, image_size, captured_at, total_chunks, received_chunks, status, created_at,
    updated_at
)
SELECT
    md5('seed-000/10567/' || n)::uuid, '57b7f85e-354f-4a51-a8f8-5aecff515768', 'image_10567.jpg', 49272, at.time, 49,
    n * 7, 'receiving', at.time, at.time + interval '30 seconds'
FROM
    generate_series(1, 3) AS n,
    LATERAL (SELECT timestamptz '2025-11-05 00:00Z' + n * interval '3 hours' AS time) AS at;

-- 41 versions of one name, one a wake of 3 hours. 40 were never finished; the newest is complete.
INSERT INTO device_images (
    image_id, device_id, image_name, image_url, image_size, captured_at, received_at, total_chunks, received_chunks,
    status, metadata, created_at, updated_at
)
SELECT
    CASE WHEN n = 41 THEN 'cefbdf87-34d7-435b-9bf4-fd9f4b6c02c7' ELSE md5('seed-000/005/' || n)::uuid END,
    'a0000000-0000-4000-8000-000000000005', 'image_1.jpg',
    CASE WHEN n = 41 THEN 'https://photos.example/ESP32S3-005/image_1.jpg' END, 64000, at.time,
    CASE WHEN n = 41 THEN at.time + interval '1 minute' END, 63, CASE WHEN n = 41 THEN 63 ELSE n % 7 * 9 END,
    CASE WHEN n = 41 THEN 'complete' ELSE (ARRAY['pending', 'receiving', 'failed'])[n % 3 + 1] END,
    jsonb_build_object('wake', n), at.time, at.time + interval '1 minute'
FROM
    generate_series(1, 41) AS n,
    LATERAL (SELECT timestamptz '2025-10-30 00:00Z' + n * interval '3 hours' AS time) AS at;

-- Twice each: the newer version has come further.
INSERT INTO device_images (
    image_id, device_id, image_name, image_size, captured_at, total_chunks, received_chunks, status, created_at,
    updated_at
)
SELECT
    md5('seed-000/002/' || name || '/' || n)::uuid, 'a0000000-0000-4000-8000-000000000002', name, 49272, at.time, 49,
    n * 20, 'receiving', at.time, at.time + interval '30 seconds'
FROM
    unnest(ARRAY['image_4756.jpg', 'image_49.jpg', 'image_50.jpg', 'image_51.jpg', 'image_53.jpg'])
        WITH ORDINALITY AS named (name, number),
    generate_series(1, 2) AS n,
    LATERAL (
        SELECT timestamptz '2025-11-02 00:00Z' + number * interval '1 day' + n * interval '3 hours' AS time
    ) AS at;

-- Four times each: the best is complete (1 to 3) or has most chunks (4 to 6), and is not the newest.
INSERT INTO device_images (
    image_id, device_id, image_name, image_size, captured_at, total_chunks, received_chunks, status, created_at,
    updated_at
)
SELECT
    md5('seed-000/008/' || number || '/' || n)::uuid, 'a0000000-0000-4000-8000-000000000008',
    'image_' || 100 + number || '.jpg', 70959, at.time, 70,
    CASE WHEN n = 2 THEN CASE WHEN number <= 3 THEN 70 ELSE 69 END ELSE n * 10 END,
    CASE
        WHEN n = 2 THEN CASE WHEN number <= 3 THEN 'complete' ELSE 'receiving' END
        ELSE (ARRAY['failed', 'failed', 'pending', 'failed'])[n]
    END,
    at.time, at.time + interval '30 seconds'
FROM
    generate_series(1, 6) AS number,
    generate_series(1, 4) AS n,
    LATERAL (
        SELECT timestamptz '2025-11-02 00:00Z' + number * interval '12 hours' + n * interval '3 hours' AS time
    ) AS at;

-- Two images that nothing is wrong with.
INSERT INTO device_images (
    image_id, device_id, image_name, image_size, captured_at, total_chunks, received_chunks, status, created_at,
    updated_at
)
SELECT
    md5('seed-000/alone/' || name)::uuid, 'a0000000-0000-4000-8000-000000000002', name, 49272,
    timestamptz '2025-11-07 00:00Z', 49, there, status, timestamptz '2025-11-07 00:00Z',
    timestamptz '2025-11-07 00:01Z'
FROM (VALUES ('image_54.jpg', 49, 'complete'), ('image_55.jpg', 11, 'receiving')) AS alone (name, there, status);

-- Every image had a wake payload; some a session of either kind and an acknowledgement.
INSERT INTO device_wake_payloads (
    payload_id, device_id, captured_at, received_at, device_image_id, image_status, wake_type, protocol_state,
    created_at, updated_at
)
SELECT
    md5('payload/' || i.image_id)::uuid, i.device_id, i.captured_at, i.captured_at, i.image_id, i.status, 'image_wake',
    'metadata_received', i.created_at, i.updated_at
FROM device_images i;
INSERT INTO device_wake_sessions (session_id, device_id, wake_timestamp, image_id, status, created_at, updated_at)
SELECT
    md5('session/' || i.image_id)::uuid, i.device_id, i.captured_at, i.image_id, 'timeout', i.created_at, i.updated_at
FROM device_images i WHERE i.device_id = 'a0000000-0000-4000-8000-000000000008';
INSERT INTO device_sessions (session_id, device_id, session_start_time, image_id, status, created_at)
SELECT md5('old session/' || i.image_id)::uuid, i.device_id, i.captured_at, i.image_id, 'timeout', i.created_at
FROM device_images i WHERE i.image_name = 'image_10567.jpg';
INSERT INTO device_ack_log (device_id, device_mac, image_name, image_id, ack_type, published_at)
SELECT i.device_id, d.device_mac, i.image_name, i.image_id, 'MISSING_CHUNKS', i.updated_at
FROM device_images i JOIN devices d USING (device_id) WHERE i.status = 'receiving'
ORDER BY i.captured_at, i.image_id;
