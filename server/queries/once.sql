-- Idempotency keys, each its owner's: claimed and settled in the transaction of the write that they stand for.

-- name: claim_key
-- Waits for a transaction that has just claimed the same one; nothing is returned where it was committed.
INSERT INTO idempotency_keys (owner, idempotency_key, fingerprint) VALUES ($1, $2, $3)
ON CONFLICT (owner, idempotency_key) DO NOTHING
RETURNING idempotency_key;

-- name: answer_of_key
SELECT fingerprint, status, answer FROM idempotency_keys WHERE owner = $1 AND idempotency_key = $2;

-- name: settle_key
UPDATE idempotency_keys SET status = $3, answer = $4 WHERE owner = $1 AND idempotency_key = $2;

-- name: release_key
DELETE FROM idempotency_keys WHERE owner = $1 AND idempotency_key = $2;

-- name: forget_keys
DELETE FROM idempotency_keys WHERE created_at < fn_now() - $1::interval;
