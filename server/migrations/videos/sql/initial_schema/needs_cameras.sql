DO $$
BEGIN
    IF to_regprocedure('secure_table(regclass, text)') IS NULL THEN
        RAISE EXCEPTION 'the videos need the newest schema of the cameras'
            USING HINT = 'run alembic upgrade head first, or wakestorm db migrate for all histories';
    END IF;
END
$$;
