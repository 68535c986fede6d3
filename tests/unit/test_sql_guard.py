"""The first fence around SQL in scenarios: what it lets through, and more than a hundred attacks that it does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.hostile.sql_attacks import ATTACKS
from harness.sql_guard import FUNCTIONS, problems

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
