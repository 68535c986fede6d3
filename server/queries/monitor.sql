-- The monitor's statements: decisions about sets are SQL's (design 9.3).

-- name: stale_images
SELECT image_id FROM fn_stale_images();

-- name: timeout_image
-- No row where another server was faster, or the image went on meanwhile.
SELECT * FROM fn_timeout_image($1);

-- name: expire_commands
SELECT * FROM fn_expire_commands();
