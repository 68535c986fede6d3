"""fn_calculate_next_wake_time: forms of the schedule, both clock changes, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from server import wake
from tests.migration.support import Database

pytestmark = pytest.mark.postgres

NEXT = "SELECT fn_calculate_next_wake_time($1::text::timestamptz, $2, $3)"

# after (UTC), schedule, zone, next (UTC)
CASES = [
    ("2026-01-05T00:00Z", "0 */3 * * *", "UTC", "2026-01-05T03:00Z"),
    ("2026-01-05T03:00Z", "0 */3 * * *", "UTC", "2026-01-05T06:00Z"),
    ("2026-01-05T22:00Z", "0 */5 * * *", "UTC", "2026-01-06T00:00Z"),
    ("2026-01-05T06:00Z", "30 6,18 * * *", "UTC", "2026-01-05T06:30Z"),
    ("2026-01-05T06:30Z", "30 18,6 * * *", "UTC", "2026-01-05T18:30Z"),
    ("2026-01-05T09:00Z", "0 8 * * *", "UTC", "2026-01-06T08:00Z"),
    ("2026-01-05T09:10Z", "15 * * * *", "UTC", "2026-01-05T09:15Z"),
    ("2026-01-05T09:15Z", "*/15 * * * *", "UTC", "2026-01-05T09:30Z"),
    ("2026-01-05T09:59Z", "0,30 9 * * *", "UTC", "2026-01-06T09:00Z"),
    ("2026-12-31T23:59:59Z", "0 0 * * *", "UTC", "2027-01-01T00:00Z"),
    ("2026-01-05T09:00Z", "0 8 * * *", "America/New_York", "2026-01-05T13:00Z"),
    ("2026-01-05T09:00Z", "0 8 * * *", None, "2026-01-06T08:00Z"),
    ("2026-01-05T09:00Z", "0 8 * * *", "Asia/Kathmandu", "2026-01-06T02:15Z"),
    # Berlin, 2026-03-29: 02:00 to 03:00 does not exist.
    ("2026-03-28T23:00Z", "30 2 * * *", "Europe/Berlin", "2026-03-30T00:30Z"),
    ("2026-03-29T00:30Z", "30 * * * *", "Europe/Berlin", "2026-03-29T01:30Z"),
    ("2026-03-28T12:00Z", "0 3 * * *", "Europe/Berlin", "2026-03-29T01:00Z"),
    # Berlin, 2026-10-25: 02:00 to 03:00 happens twice and fires the first time.
    ("2026-10-24T12:00Z", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30Z"),
    ("2026-10-25T00:30Z", "30 2 * * *", "Europe/Berlin", "2026-10-26T01:30Z"),
    ("2026-10-25T00:30Z", "30 * * * *", "Europe/Berlin", "2026-10-25T02:30Z"),
    ("2026-10-25T01:10Z", "30 2 * * *", "Europe/Berlin", "2026-10-26T01:30Z"),
    # Lord Howe moves by 30 minutes; Samoa skipped 2011-12-30 whole.
    ("2026-04-04T12:00Z", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:45Z"),
    ("2026-10-03T15:00Z", "15 2 * * *", "Australia/Lord_Howe", "2026-10-04T15:15Z"),
    ("2026-01-05T09:00Z", "*/60 */24 * * *", "UTC", "2026-01-06T00:00Z"),
    ("2011-12-29T23:00Z", "0 12 * * *", "Pacific/Apia", "2011-12-30T22:00Z"),
]

REFUSED = [
    ("0 6 1 * *", 'day of month field "1"'),
    ("0 6 * 6 *", 'month field "6"'),
    ("0 6 * * 1-5", 'day of week field "1-5"'),
    ("* * * * *", 'minute field "*"'),
    ("60 * * * *", 'minute field "60"'),
    ("0 24 * * *", 'hour field "24"'),
    ("0 8-10 * * *", 'hour field "8-10"'),
    ("0 */0 * * *", 'hour field "*/0"'),
    ("0 */25 * * *", 'hour field "*/25"'),
    ("*/61 * * * *", 'minute field "*/61"'),
    ("5,,6 * * * *", 'minute field "5,,6"'),
    ("0 H * * *", 'hour field "H"'),
    ("-1 * * * *", 'minute field "-1"'),
    ("0 6 * *", "5 fields are needed (minute hour * * *), found 4"),
    ("@daily", "found 1"),
    ("", "found 0"),
    ("0 0 6 * * *", "found 6"),
]


@pytest.mark.parametrize(("after", "schedule", "zone", "expected"), CASES)
async def test_the_next_wake(migrated: Database, after: str, schedule: str, zone: str | None, expected: str) -> None:
    async with migrated.connect() as owner:
        assert await owner.fetchval(NEXT, after, schedule, zone) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("schedule", [schedule for schedule, _ in REFUSED])
def test_the_server_refuses_the_same_forms(schedule: str) -> None:
    with pytest.raises(wake.ScheduleError):
        wake.next_wake(schedule, "UTC", datetime.fromisoformat("2026-01-05T00:00Z"))


async def test_the_server_computes_the_same(migrated: Database) -> None:
    """Every schedule in every zone, over the clock changes of a year and between them."""
    schedules = ["0 */3 * * *", "30 2 * * *", "*/20 1,2,3 * * *", "15 * * * *", "5,50 */5 * * *", "0 0 * * *"]
    zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"]
    days = [
        "2026-01-05",
        "2026-03-08",
        "2026-03-28",
        "2026-03-29",
        "2026-04-04",
        "2026-10-03",
        "2026-10-25",
        "2026-11-01",
    ]
    instants = [
        datetime.fromisoformat(f"{day}T00:00Z") + timedelta(minutes=17 * step) for day in days for step in range(85)
    ]
    inputs = [(at, schedule, zone) for at in instants for schedule in schedules for zone in zones]
    async with migrated.connect() as owner:
        rows = await owner.fetch(
            "SELECT fn_calculate_next_wake_time(at, schedule, zone) AS wake "
            "FROM unnest($1::timestamptz[], $2::text[], $3::text[]) WITH ORDINALITY AS u (at, schedule, zone, n) "
            "ORDER BY n",
            *(list(column) for column in zip(*inputs, strict=True)),
        )
    differing = [
        (at, schedule, zone, row["wake"])
        for (at, schedule, zone), row in zip(inputs, rows, strict=True)
        if row["wake"] != wake.next_wake(schedule, zone, at)
    ]
    assert not differing, differing[:5]


@pytest.mark.parametrize(("schedule", "reason"), REFUSED)
async def test_other_forms_are_refused_by_the_name_of_their_field(
    migrated: Database, schedule: str, reason: str
) -> None:
    async with migrated.connect() as owner:
        with pytest.raises(asyncpg.InvalidParameterValueError) as refused:
            await owner.fetchval(NEXT, "2026-01-05T00:00Z", schedule, "UTC")
    assert f'wake schedule "{schedule}"' in str(refused.value)
    assert reason in str(refused.value)


async def test_an_unknown_zone_is_named(migrated: Database) -> None:
    async with migrated.connect() as owner:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="Europe/Atlantis"):
            await owner.fetchval(NEXT, "2026-01-05T00:00Z", "0 6 * * *", "Europe/Atlantis")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("schedule", ["0 */3 * * *", "30 2 * * *", "*/20 1,2 * * *"])
async def test_a_year_of_wakes_follows_the_wall_clock(migrated: Database, zone: str, schedule: str) -> None:
    """Second opinion: every wall time of the year by zoneinfo, first occurrence, skipped ones left out."""
    minutes = [0] if schedule.startswith("0") else [30] if schedule.startswith("30") else [0, 20, 40]
    hours = range(0, 24, 3) if "*/3" in schedule else [2] if schedule.startswith("30") else [1, 2]
    utc, local = ZoneInfo("UTC"), ZoneInfo(zone)
    expected = []
    for day in range(365):
        midnight = datetime(2026, 1, 1) + timedelta(days=day)
        for wall in (midnight.replace(hour=h, minute=m, tzinfo=local) for h in hours for m in minutes):
            instant = wall.astimezone(utc)
            if instant.astimezone(local).replace(tzinfo=None) == wall.replace(tzinfo=None):
                expected.append(instant)
    start = datetime(2026, 1, 1, tzinfo=local)
    async with migrated.connect() as owner:
        rows = await owner.fetch(
            "WITH RECURSIVE wakes (at, n) AS ("
            "  SELECT fn_calculate_next_wake_time($1, $2, $3), 1"
            "  UNION ALL SELECT fn_calculate_next_wake_time(at, $2, $3), n + 1 FROM wakes WHERE n < $4"
            ") SELECT at FROM wakes",
            start - timedelta(seconds=1),
            schedule,
            zone,
            len(expected),
        )
    assert [row["at"] for row in rows] == sorted(expected)
