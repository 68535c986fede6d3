-- Time and ids come from two functions, so that a simulation can decide both. Nothing else may call now() or
-- gen_random_uuid(); a test reads every function and default for that.

-- Seconds-old truth of the transaction: the setting wakestorm.now (ISO 8601 with an offset), else the server's clock.
CREATE FUNCTION fn_now() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT coalesce(nullif(current_setting('wakestorm.now', true), '')::timestamptz, now()) $$;

COMMENT ON FUNCTION fn_now() IS
    'The time of the transaction: the setting wakestorm.now when it is set, else now()';

CREATE SEQUENCE simulated_id_seq;

-- A fresh id: random, or under the setting wakestorm.id_seed a function of the seed and a counter. The counter is a
-- sequence, so that two sessions with one seed never make the same id.
CREATE FUNCTION fn_uuid() RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
    SELECT CASE
        WHEN coalesce(current_setting('wakestorm.id_seed', true), '') = '' THEN gen_random_uuid()
        ELSE overlay(
            overlay(
                md5(current_setting('wakestorm.id_seed', true) || ':' || nextval('simulated_id_seq'))
                PLACING '4' FROM 13
            )
            PLACING '8' FROM 17
        )::uuid
    END
$$;

COMMENT ON FUNCTION fn_uuid() IS
    'A new id: random, or made from the setting wakestorm.id_seed and a counter when that is set';

-- Under the setting wakestorm.keeps_updated_at a migration rewrites rows without making them look new.
CREATE FUNCTION fn_set_updated_at() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF coalesce(current_setting('wakestorm.keeps_updated_at', true), '') = '' THEN
        NEW.updated_at := fn_now();
    END IF;
    RETURN NEW;
END
$$;
