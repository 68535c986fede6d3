-- The next wake time of a schedule. server/wake.py computes the same in Python; a test holds the two equal.

-- The values one field of a schedule stands for, in order: a number, a list, */N, or (where p_star) *.
CREATE FUNCTION fn_wake_schedule_field(p_cron text, p_field text, p_text text, p_limit integer, p_star boolean)
RETURNS integer[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    v_values integer[];
BEGIN
    IF p_star AND p_text = '*' THEN
        RETURN ARRAY(SELECT generate_series(0, p_limit - 1));
    END IF;
    IF p_text ~ '^\*/[0-9]{1,2}$' AND substr(p_text, 3)::integer BETWEEN 1 AND p_limit THEN
        RETURN ARRAY(SELECT generate_series(0, p_limit - 1, substr(p_text, 3)::integer));
    END IF;
    IF p_text ~ '^[0-9]{1,2}(,[0-9]{1,2})*$' THEN
        v_values := ARRAY(SELECT DISTINCT n::integer FROM unnest(string_to_array(p_text, ',')) n ORDER BY 1);
        IF v_values[cardinality(v_values)] < p_limit THEN
            RETURN v_values;
        END IF;
    END IF;
    RAISE EXCEPTION 'wake schedule "%": % field "%" is not supported', p_cron, p_field, p_text
        USING ERRCODE = 'invalid_parameter_value',
        HINT = format(
            'Give a number from 0 to %s, a list such as 6,18, or */N with N from 1 to %s%s.',
            p_limit - 1, p_limit, CASE WHEN p_star THEN ', or *' ELSE '' END
        );
END
$$;

-- The first instant of the wall time in the zone, or null where the clock jumps over it. The offsets of the day
-- before and the day after are the only ones it can have.
CREATE FUNCTION fn_first_instant(p_wall timestamp, p_timezone text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT min(candidate)
    FROM (VALUES (interval '-1 day'), (interval '1 day')) AS side (shift),
    LATERAL (SELECT (p_wall AT TIME ZONE 'UTC') + shift AS near) AS neighbour,
    LATERAL (
        SELECT (p_wall - ((near AT TIME ZONE p_timezone) - (near AT TIME ZONE 'UTC'))) AT TIME ZONE 'UTC' AS candidate
    ) AS guess
    WHERE candidate AT TIME ZONE p_timezone = p_wall
$$;

-- The next instant of the schedule strictly after p_last_wake_at. Five fields, in the site's local time: minute
-- (number, list, */N), hour (the same, or *), then three stars. A local time that the clock skips does not fire;
-- one that happens twice fires the first time. Any other form is refused by the name of its field.
CREATE FUNCTION fn_calculate_next_wake_time(
    p_last_wake_at timestamptz,
    p_cron_expression text,
    p_timezone text DEFAULT 'UTC'
) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
DECLARE
    v_fields text[] := regexp_split_to_array(btrim(p_cron_expression, E' \t'), '[ \t]+');
    v_names text[] := ARRAY['minute', 'hour', 'day of month', 'month', 'day of week'];
    v_zone text := coalesce(p_timezone, 'UTC');
    v_minutes integer[];
    v_hours integer[];
    v_day date;
    v_next timestamptz;
BEGIN
    IF p_last_wake_at IS NULL OR p_cron_expression IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(v_fields) <> 5 THEN
        RAISE EXCEPTION 'wake schedule "%": 5 fields are needed (minute hour * * *), found %',
            p_cron_expression, CASE WHEN v_fields = ARRAY[''] THEN 0 ELSE cardinality(v_fields) END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    v_minutes := fn_wake_schedule_field(p_cron_expression, v_names[1], v_fields[1], 60, false);
    v_hours := fn_wake_schedule_field(p_cron_expression, v_names[2], v_fields[2], 24, true);
    FOR i IN 3..5 LOOP
        IF v_fields[i] <> '*' THEN
            RAISE EXCEPTION 'wake schedule "%": % field "%" is not supported',
                p_cron_expression, v_names[i], v_fields[i]
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Only * is possible there.';
        END IF;
    END LOOP;
    v_day := (p_last_wake_at AT TIME ZONE v_zone)::date;
    -- A zone can skip a whole day (Samoa did), so five days always hold an occurrence.
    FOR i IN 0..4 LOOP
        SELECT min(instant) INTO v_next
        FROM unnest(v_hours) AS h, unnest(v_minutes) AS m,
        LATERAL fn_first_instant((v_day + i) + make_time(h, m, 0), v_zone) AS instant
        WHERE instant > p_last_wake_at;
        IF v_next IS NOT NULL THEN
            RETURN v_next;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'wake schedule "%" has no occurrence within five days in %', p_cron_expression, v_zone;
END
$$;
