-- Users of the dashboard and the HTTP API, their sessions and tokens, and what was tried.

-- name: add_user
INSERT INTO web_users (user_id, user_name, password_hash, role, company_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_name) DO NOTHING
RETURNING user_id;

-- name: company_by_name
SELECT company_id FROM companies WHERE company_name = $1 ORDER BY company_id;

-- name: can_guard
-- $1: the role that sees one company's rows. Whether this one may become it.
SELECT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = $1 AND pg_has_role(current_user, r.oid, 'MEMBER'));

-- name: users
SELECT u.user_name, u.role, c.company_name, u.created_at, max(s.last_used_at) AS last_used_at
FROM web_users u
LEFT JOIN companies c USING (company_id)
LEFT JOIN web_sessions s USING (user_id)
GROUP BY u.user_id, c.company_name
ORDER BY u.user_name;

-- name: has_users
SELECT EXISTS (SELECT FROM web_users);

-- name: user_by_name
SELECT user_id, password_hash, role FROM web_users WHERE user_name = $1;

-- name: set_password
UPDATE web_users SET password_hash = $2 WHERE user_name = $1 RETURNING user_id;

-- name: remove_user
DELETE FROM web_users WHERE user_name = $1 RETURNING user_id;

-- name: lock_sign_in
-- One at a time counts what was tried and notes its own, so that a hundred at once are counted too.
SELECT pg_advisory_xact_lock(hashtextextended('wakestorm.sign_in', 0));

-- name: attempts
-- $1: name; $2: address; $3: since when. How often was tried, and when the oldest of these was.
SELECT
    count(*) FILTER (WHERE user_name = $1 AND address = $2) AS of_both,
    count(*) FILTER (WHERE user_name = $1) AS of_name,
    count(*) FILTER (WHERE address = $2) AS of_address,
    min(attempted_at) AS oldest_at
FROM web_sign_in_attempts
WHERE (user_name = $1 OR address = $2) AND attempted_at > $3;

-- name: note_attempt
INSERT INTO web_sign_in_attempts (user_name, address) VALUES ($1, $2);

-- name: forgive_attempts
DELETE FROM web_sign_in_attempts WHERE user_name = $1 AND address = $2;

-- name: begin_session
INSERT INTO web_sessions (token_sha256, user_id, kind, role, csrf_token, expires_at, scopes)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: session
-- $1: the token's hash; $2: since when a browser's must have been used.
SELECT u.user_name, u.company_id, u.role AS user_role, s.role, s.kind, s.scopes, s.csrf_token, s.last_used_at
FROM web_sessions s
JOIN web_users u USING (user_id)
WHERE s.token_sha256 = $1 AND s.expires_at > fn_now() AND (s.kind = 'token' OR s.last_used_at > $2);

-- name: touch_session
UPDATE web_sessions SET last_used_at = fn_now() WHERE token_sha256 = $1;

-- name: end_session
DELETE FROM web_sessions WHERE token_sha256 = $1;

-- name: end_sessions_of
DELETE FROM web_sessions WHERE user_id = $1;

-- name: forget_sessions
DELETE FROM web_sessions WHERE expires_at <= fn_now() OR kind = 'browser' AND last_used_at <= $1;

-- name: forget_attempts
DELETE FROM web_sign_in_attempts WHERE attempted_at < $1;
