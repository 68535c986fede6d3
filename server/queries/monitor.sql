-- The monitor's statements: decisions about sets are SQL's (design 9.3).

-- name: timeout_stale_images
SELECT * FROM timeout_stale_images();
