"""The first fence around SQL in scenarios: what it lets through, and more than a hundred attacks that it does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sql_guard import FUNCTIONS, SQL_LENGTH_CHARS_MAX, problems

TABLES = ("devices", "device_images", "device_image_chunks", "device_wake_sessions")

HARMLESS = [
    "SELECT count(*) FROM device_images GROUP BY device_id, image_name HAVING count(*) > 1",
    "SELECT COUNT(*) FROM (SELECT device_id, image_name FROM device_images GROUP BY 1, 2 HAVING COUNT(*) > 1) x;",
    "SELECT conname FROM pg_constraint WHERE conname = 'device_images_device_id_image_name_key'",
    "SELECT proname, pronargs, pg_get_function_arguments(oid) AS args FROM pg_proc WHERE proname = 'x'",
    "SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_device_images_resume'",
    "SELECT column_name FROM information_schema.columns WHERE table_name = 'devices'",
    "SELECT * FROM devices d JOIN device_images i USING (device_id) WHERE i.status IN ('pending', 'receiving')",
    "SELECT d.device_mac, i.* FROM device_images i LEFT JOIN devices d ON true ORDER BY 1 DESC LIMIT 10",
    "WITH x AS (SELECT device_id FROM devices) SELECT count(*) FROM x",
    "SELECT * FROM devices WHERE next_wake_at < NOW() - INTERVAL '5 minutes'",
    "SELECT fn_now()",
    "SELECT extract(epoch FROM failed_at - created_at) FROM device_images",
    "SELECT metadata->>'a', metadata #>> '{a,b}', metadata @> '{\"a\": 1}'::jsonb FROM device_images",
    "SELECT count(*) FILTER (WHERE status = 'complete') FROM device_images",
    "SELECT row_number() OVER (PARTITION BY device_id ORDER BY captured_at) FROM device_images",
    "SELECT EXISTS (SELECT 1 FROM devices), NOT true, 1 = ANY (ARRAY[1, 2]), CASE WHEN true THEN 1 ELSE 2 END",
    "SELECT coalesce(a, b), greatest(1, 2), nullif(a, b), x BETWEEN 1 AND 2, x IS DISTINCT FROM y FROM devices",
    "SELECT 'a' LIKE 'b%', 'a' ILIKE 'b', 'a' ~ 'b', a IS NULL, b IS TRUE FROM devices",
    "SELECT captured_at AT TIME ZONE 'UTC', date_trunc('hour', captured_at), captured_at::date FROM device_images",
    "SELECT trim(a), substring(a FROM 1 FOR 2), position('a' IN b), overlay(a PLACING b FROM 1) FROM devices",
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
    "VALUES (1, 2), (3, 4)",
    "TABLE devices",
    "SELECT status FROM public.device_images",
    "SELECT encode(sha256(data), 'hex') FROM device_image_chunks",
    "SELECT string_agg(image_name, ',' ORDER BY captured_at) FROM device_images",
    "SELECT jsonb_array_length(metadata) FROM device_images, LATERAL jsonb_array_elements(metadata) e",
    "SELECT age(failed_at, created_at) FROM device_images",
    "SELECT 1 -- and a comment\n/* and another */",
]

ATTACKS = {
    # writing
    "insert": "INSERT INTO devices VALUES (1)",
    "update": "UPDATE devices SET device_mac = ''",
    "delete": "DELETE FROM devices",
    "truncate": "TRUNCATE devices",
    "merge": "MERGE INTO devices d USING device_images i ON true WHEN MATCHED THEN DELETE",
    "cte delete": "WITH x AS (DELETE FROM devices RETURNING 1) SELECT count(*) FROM x",
    "cte insert": "WITH x AS (INSERT INTO devices VALUES (1) RETURNING 1) SELECT * FROM x",
    "cte update": "WITH x AS (UPDATE devices SET a = 1 RETURNING 1) SELECT * FROM x",
    "cte merge": "WITH x AS (MERGE INTO devices d USING devices e ON true WHEN MATCHED THEN DELETE) SELECT 1",
    "select into": "SELECT * INTO stolen FROM devices",
    "create table as": "CREATE TABLE x AS SELECT 1",
    "copy out": "COPY devices TO '/tmp/x'",
    "copy program": "COPY (SELECT 1) TO PROGRAM 'id'",
    "copy in": "COPY devices FROM '/etc/passwd'",
    # several statements, other statements
    "two statements": "SELECT 1; DROP SCHEMA public CASCADE",
    "commit first": "COMMIT; DELETE FROM devices",
    "empty": "",
    "only a comment": "-- nothing",
    "only semicolons": ";;;",
    "create": "CREATE TABLE x (i int)",
    "drop": "DROP TABLE devices",
    "alter": "ALTER TABLE devices DROP COLUMN device_mac",
    "grant": "GRANT ALL ON devices TO public",
    "create role": "CREATE ROLE x SUPERUSER",
    "set": "SET transaction_read_only = off",
    "set transaction": "SET TRANSACTION READ WRITE",
    "set role": "SET ROLE postgres",
    "reset": "RESET ALL",
    "begin": "BEGIN",
    "rollback": "ROLLBACK",
    "savepoint": "SAVEPOINT x",
    "listen": "LISTEN x",
    "notify": "NOTIFY x",
    "lock": "LOCK TABLE devices",
    "vacuum": "VACUUM",
    "analyze": "ANALYZE",
    "do": "DO $$ BEGIN END $$",
    "call": "CALL x()",
    "explain analyze": "EXPLAIN ANALYZE SELECT 1",
    "explain": "EXPLAIN SELECT 1",
    "prepare": "PREPARE x AS SELECT 1",
    "execute": "EXECUTE x",
    "declare": "DECLARE x CURSOR FOR SELECT 1",
    "load": "LOAD 'x'",
    "refresh": "REFRESH MATERIALIZED VIEW x",
    "checkpoint": "CHECKPOINT",
    "show": "SHOW ALL",
    "create function": "CREATE FUNCTION x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "create extension": "CREATE EXTENSION dblink",
    "security label": "COMMENT ON TABLE devices IS 'x'",
    # functions that act, wait, or look outside
    "set_config": "SELECT set_config('transaction_read_only', 'off', false)",
    "set_config qualified": "SELECT pg_catalog.set_config('role', 'postgres', false)",
    "quoted set_config": "SELECT \"set_config\"('role', 'postgres', false)",
    "unicode set_config": "SELECT U&\"\\0073et_config\"('role', 'postgres', false)",
    "current_setting": "SELECT current_setting('data_directory')",
    "sleep": "SELECT pg_sleep(30)",
    "sleep for": "SELECT pg_sleep_for('1 day')",
    "sleep in where": "SELECT 1 FROM devices WHERE pg_sleep(1) IS NULL",
    "sleep in order by": "SELECT 1 FROM devices ORDER BY pg_sleep(1)",
    "sleep in limit": "SELECT 1 LIMIT (SELECT 1 FROM pg_sleep(1))",
    "sleep in offset": "SELECT 1 OFFSET (SELECT 1 FROM pg_sleep(1))",
    "sleep in filter": "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM devices",
    "sleep in window": "SELECT count(*) OVER (ORDER BY pg_sleep(1)) FROM devices",
    "sleep in values": "VALUES (pg_sleep(1))",
    "sleep in cte": "WITH x AS (SELECT pg_sleep(1)) SELECT 1 FROM x",
    "sleep in join": "SELECT 1 FROM devices a JOIN devices b ON pg_sleep(1) IS NULL",
    "sleep in case": "SELECT CASE WHEN true THEN pg_sleep(1) END",
    "sleep in array": "SELECT ARRAY[pg_sleep(1)]",
    "sleep in row": "SELECT ROW(pg_sleep(1))",
    "sleep in union": "SELECT 1 UNION SELECT 1 FROM pg_sleep(1)",
    "sleep in group by": "SELECT 1 FROM devices GROUP BY pg_sleep(1)",
    "sleep in having": "SELECT 1 FROM devices HAVING pg_sleep(1) IS NULL",
    "sleep in distinct on": "SELECT DISTINCT ON (pg_sleep(1)) 1 FROM devices",
    "sleep in aggregate order": "SELECT string_agg('a', 'b' ORDER BY pg_sleep(1)) FROM devices",
    "sleep in subscript": "SELECT (ARRAY[1])[(SELECT 1 FROM pg_sleep(1))]",
    "generate series": "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "repeat": "SELECT repeat('x', 900000000)",
    "lpad": "SELECT lpad('x', 900000000)",
    "rpad": "SELECT rpad('x', 900000000)",
    "array fill": "SELECT array_fill(1, ARRAY[100000000])",
    "format": "SELECT format('%100000000s', 'x')",
    "power": "SELECT 10 ^ 100000",
    "factorial": "SELECT factorial(100000)",
    "read file": "SELECT pg_read_file('/etc/passwd')",
    "read binary file": "SELECT pg_read_binary_file('/etc/passwd')",
    "list folder": "SELECT * FROM pg_ls_dir('/')",
    "stat file": "SELECT pg_stat_file('/etc/passwd')",
    "kill": "SELECT pg_terminate_backend(1)",
    "cancel": "SELECT pg_cancel_backend(1)",
    "reload": "SELECT pg_reload_conf()",
    "rotate": "SELECT pg_rotate_logfile()",
    "large object": "SELECT lo_creat(-1)",
    "import": "SELECT lo_import('/etc/passwd')",
    "advisory lock": "SELECT pg_advisory_lock(1)",
    "try advisory lock": "SELECT pg_try_advisory_lock(1)",
    "notify function": "SELECT pg_notify('x', 'y')",
    "nextval": "SELECT nextval('x')",
    "setval": "SELECT setval('x', 1)",
    "dblink": "SELECT * FROM dblink('x', 'SELECT 1') AS t(a int)",
    "query to xml": "SELECT query_to_xml('DELETE FROM devices', true, true, '')",
    "xmlelement": "SELECT xmlelement(name x, 'y')",
    "random": "SELECT random()",
    "uuid": "SELECT gen_random_uuid()",
    "version": "SELECT version()",
    "size": "SELECT pg_database_size('postgres')",
    "own function": "SELECT timeout_stale_images()",
    "own function in from": "SELECT * FROM timeout_stale_images()",
    "handler": "SELECT fn_wake_ingestion_handler(NULL, NULL, NULL, NULL)",
    "rows from": "SELECT * FROM ROWS FROM (pg_ls_dir('/'), generate_series(1, 2)) AS x",
    "function schema": "SELECT public.upper('x')",
    "export snapshot": "SELECT pg_export_snapshot()",
    "current xid": "SELECT txid_current()",
    "stat reset": "SELECT pg_stat_reset()",
    "has privilege": "SELECT has_table_privilege('devices', 'select')",
    # real time
    "current_timestamp": "SELECT CURRENT_TIMESTAMP",
    "current_timestamp precise": "SELECT CURRENT_TIMESTAMP(3)",
    "current_date": "SELECT CURRENT_DATE",
    "current_time": "SELECT CURRENT_TIME",
    "localtimestamp": "SELECT LOCALTIMESTAMP",
    "localtime": "SELECT LOCALTIME",
    "clock_timestamp": "SELECT clock_timestamp()",
    "statement_timestamp": "SELECT statement_timestamp()",
    "transaction_timestamp": "SELECT transaction_timestamp()",
    "timeofday": "SELECT timeofday()",
    "catalogue now": "SELECT pg_catalog.now()",
    "text now": "SELECT 'now'::timestamptz",
    "text now untyped": "SELECT 1 FROM devices WHERE created_at < ' NOW '",
    "text today": "SELECT 'today'::date",
    "text tomorrow": "SELECT timestamptz 'tomorrow 05:00'",
    "age of now": "SELECT age(created_at) FROM devices",
    # who is asking
    "current_user": "SELECT CURRENT_USER",
    "session_user": "SELECT SESSION_USER",
    "current_schema": "SELECT CURRENT_SCHEMA",
    "current_catalog": "SELECT CURRENT_CATALOG",
    # tables
    "unknown table": "SELECT * FROM devises",
    "secrets": "SELECT rolpassword FROM pg_authid",
    "shadow": "SELECT * FROM pg_catalog.pg_shadow",
    "settings": "SELECT * FROM pg_settings",
    "activity": "SELECT * FROM pg_stat_activity",
    "file settings": "SELECT * FROM pg_hba_file_rules",
    "user mapping": "SELECT * FROM pg_user_mappings",
    "information schema": "SELECT * FROM information_schema.enabled_roles",
    "other schema": "SELECT * FROM secret.devices",
    "temporary schema": "SELECT * FROM pg_temp.devices",
    "toast": "SELECT * FROM pg_toast.pg_toast_1",
    "other database": "SELECT * FROM postgres.public.devices",
    "quoted catalogue": 'SELECT * FROM "pg_authid"',
    "catalogue behind an inner cte": "SELECT (WITH pg_authid AS (SELECT 1) SELECT 1 FROM pg_authid) FROM pg_authid",
    "cte hides a table": "WITH devices AS (SELECT 1) SELECT * FROM devices",
    "table in a subquery": "SELECT (SELECT rolpassword FROM pg_authid LIMIT 1)",
    "table in exists": "SELECT 1 WHERE EXISTS (SELECT 1 FROM pg_authid)",
    "table statement": "TABLE pg_authid",
    "sample": "SELECT * FROM devices TABLESAMPLE system (1)",
    # locks, recursion
    "for update": "SELECT * FROM devices FOR UPDATE",
    "for share": "SELECT * FROM devices FOR SHARE",
    "for update in a subquery": "SELECT * FROM (SELECT * FROM devices FOR UPDATE) x",
    "for key share skip locked": "SELECT * FROM devices FOR KEY SHARE SKIP LOCKED",
    "recursive": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r",
    "recursive unused": "WITH RECURSIVE r AS (SELECT 1) SELECT 1",
    # types, operators, other syntax
    "regclass": "SELECT 'pg_authid'::regclass",
    "regproc": "SELECT 'pg_sleep'::regproc",
    "oid vector": "SELECT '1'::oidvector",
    "own type": "SELECT 'x'::public.mood",
    "percent type": "SELECT 1::devices.device_mac%TYPE",
    "operator in a schema": "SELECT 1 OPERATOR(public.+) 2",
    "unknown operator": "SELECT 1 ### 2",
    "parameter": "SELECT $1",
    "cube": "SELECT 1 FROM devices GROUP BY CUBE (a, b, c)",
    "json table": "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a int PATH '$')) x",
    "collation": "SELECT 'a' COLLATE \"x\"",
    "where current of": "SELECT 1 FROM devices WHERE CURRENT OF x",
    # size and depth
    "too long": "SELECT '" + "x" * SQL_LENGTH_CHARS_MAX + "'",
    "long sum": "SELECT " + "1+" * 4_000 + "1",
    "many nots": "SELECT " + "NOT " * 2_000 + "true",
    "deep arrays": "SELECT ARRAY" + "[" * 3_000 + "1" + "]" * 3_000,
    "open parentheses": "SELECT " + "(" * 8_000,
    "deep subqueries": "SELECT * FROM " + "(SELECT * FROM " * 400 + "devices" + ") x" * 400,
    "many columns": "SELECT " + ",".join(["1"] * 4_000),
    # not SQL
    "nul": "SELECT '\0'",
    "half a string": "SELECT 'x",
    "half a comment": "SELECT 1 /* x",
    "typo": "SELEC 1",
    "words": "drop the bass",
    "backslash": "\\! id",
    "psql variable": "SELECT :x",
}


@pytest.mark.parametrize("sql", HARMLESS)
def test_ordinary_questions_pass(sql: str) -> None:
    assert problems(sql, tables=TABLES) == []


def test_there_are_a_hundred_attacks() -> None:
    assert len(ATTACKS) >= 100


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused(name: str) -> None:
    found = problems(ATTACKS[name], tables=TABLES)
    assert found
    assert all(problem.reason and len(problem.reason) < 300 for problem in found)


@pytest.mark.parametrize("name", ["unknown table", "secrets", "other schema", "catalogue behind an inner cte"])
def test_an_unknown_schema_is_not_a_free_pass(name: str) -> None:
    if name != "unknown table":
        assert problems(ATTACKS[name], tables=None)
    assert problems("SELECT * FROM anything", tables=None) == []


def test_real_time_gets_the_hint_to_scenario_time() -> None:
    for sql in ("SELECT CURRENT_TIMESTAMP", "SELECT clock_timestamp()", "SELECT 'now'::timestamptz"):
        assert "scenario time" in str(problems(sql)[0].hint)


def test_names_get_a_did_you_mean() -> None:
    assert problems("SELECT * FROM device_imags", tables=TABLES)[0].hint == "did you mean device_images?"
    assert problems("SELECT cuont(*) FROM devices", tables=TABLES)[0].hint == "did you mean count?"


def test_all_problems_come_at_once() -> None:
    found = problems("SELECT pg_sleep(1), CURRENT_USER FROM devises FOR UPDATE", tables=TABLES)
    assert len(found) == 4


def test_no_allowed_function_acts_or_tells_real_time() -> None:
    for name in FUNCTIONS:
        assert not name.startswith(("pg_sleep", "pg_read", "pg_ls", "lo_", "dblink", "set_", "txid"))
        assert name not in {"random", "clock_timestamp", "nextval", "setval", "current_setting", "repeat"}


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_guard(sql: str) -> None:
    assert isinstance(problems(sql, tables=TABLES), list)


@settings(max_examples=200, deadline=None)
@given(st.from_regex(r"SELECT [a-z_]{1,20}\([a-z0-9', ]{0,10}\)( FROM [a-z_.]{1,20})?", fullmatch=True))
def test_only_listed_functions_are_ever_called(sql: str) -> None:
    if not problems(sql, tables=TABLES):
        name = sql.removeprefix("SELECT ").split("(")[0]
        assert name in FUNCTIONS or name in {
            "coalesce",
            "greatest",
            "least",
            "row",
            "array",
            "age",
            "trim",
            "exists",
            "grouping",
        }
