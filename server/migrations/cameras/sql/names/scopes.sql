ALTER TABLE web_sessions ADD COLUMN scopes text[];
COMMENT ON COLUMN web_sessions.scopes IS 'Of a bearer token, such as devices:read; null: all that its role may';
