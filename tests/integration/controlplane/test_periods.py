"""Budgets begin anew by LiteLLM's rules, once for each period, and LiteLLM's columns say so."""

import datetime
import time
import uuid

import pytest
from support.spends import SPENDS

UTC = datetime.timezone.utc


def utc(text):
    return datetime.datetime.fromisoformat(text)


NEXT = [
    # duration, now (UTC), zone, time of day, next (UTC)
    ("1d", "2026-03-01T23:59:59", "UTC", "00:00", "2026-03-02T00:00:00"),
    ("1d", "2026-03-02T00:00:00", "UTC", "00:00", "2026-03-03T00:00:00"),
    ("daily", "2026-03-02T10:00:00", "UTC", "00:00", "2026-03-03T00:00:00"),
    ("1d", "2026-03-02T10:00:00", "UTC", "12:00", "2026-03-02T12:00:00"),
    ("1d", "2026-03-02T12:00:00", "UTC", "12:00", "2026-03-03T12:00:00"),
    ("7d", "2026-11-30T00:00:00", "UTC", "00:00", "2026-12-07T00:00:00"),  # a Monday gives the following one
    ("7d", "2026-11-30T00:00:00", "UTC", "06:30", "2026-11-30T06:30:00"),
    ("1w", "2026-11-29T23:00:00", "UTC", "00:00", "2026-11-30T00:00:00"),
    ("2w", "2026-11-29T23:00:00", "UTC", "00:00", "2026-12-13T00:00:00"),
    ("3d", "2026-11-29T23:00:00", "UTC", "08:00", "2026-12-02T08:00:00"),
    # ends of months and years, leap days
    ("30d", "2026-01-31T12:00:00", "UTC", "00:00", "2026-02-01T00:00:00"),
    ("1mo", "2026-12-31T23:59:59", "UTC", "00:00", "2027-01-01T00:00:00"),
    ("1mo", "2026-12-01T00:00:00", "UTC", "09:00", "2026-12-01T09:00:00"),
    ("monthly", "2028-02-29T12:00:00", "UTC", "00:00", "2028-03-01T00:00:00"),
    ("1d", "2028-02-28T12:00:00", "UTC", "00:00", "2028-02-29T00:00:00"),
    ("2d", "2026-02-27T12:00:00", "UTC", "00:00", "2026-03-01T00:00:00"),
    # hours, minutes, seconds
    ("1h", "2026-11-30T14:25:40", "UTC", "12:00", "2026-11-30T15:00:00"),
    ("6h", "2026-11-30T14:25:40", "UTC", "00:00", "2026-11-30T18:00:00"),
    ("24h", "2026-11-30T14:25:40", "UTC", "00:00", "2026-12-01T00:00:00"),
    ("36h", "2026-11-30T14:25:40", "UTC", "00:00", "2026-12-01T12:00:00"),
    ("48h", "2026-11-30T14:25:40", "UTC", "00:00", "2026-12-01T00:00:00"),
    ("15m", "2026-11-30T23:55:40", "UTC", "00:00", "2026-12-01T00:00:00"),
    ("30s", "2026-12-31T23:59:40", "UTC", "00:00", "2027-01-01T00:00:00"),
    ("7s", "2026-11-30T14:25:40", "UTC", "00:00", "2026-11-30T14:25:42"),
    # calendars elsewhere: midnight there, summer and winter
    ("1d", "2026-07-01T12:00:00", "America/New_York", "00:00", "2026-07-02T04:00:00"),
    ("1d", "2026-01-15T12:00:00", "America/New_York", "00:00", "2026-01-16T05:00:00"),
    ("1d", "2026-07-01T19:00:00", "Asia/Kolkata", "00:00", "2026-07-02T18:30:00"),
    ("30d", "2026-10-31T23:30:00", "Europe/Berlin", "00:00", "2026-11-30T23:00:00"),
    # the day of 23 hours, and that of 25
    ("1d", "2026-03-28T23:30:00", "Europe/Berlin", "00:00", "2026-03-29T22:00:00"),
    ("1d", "2026-10-24T22:30:00", "Europe/Berlin", "00:00", "2026-10-25T23:00:00"),
    ("7d", "2026-10-24T12:00:00", "Europe/Berlin", "00:00", "2026-10-25T23:00:00"),
    # an hour that is not there, and one that comes twice
    ("1d", "2026-03-28T12:00:00", "Europe/Berlin", "02:30", "2026-03-29T01:30:00"),
    ("1h", "2026-10-25T00:30:00", "Europe/Berlin", "00:00", "2026-10-25T02:00:00"),
    ("1h", "2026-10-25T01:30:00", "Europe/Berlin", "00:00", "2026-10-25T02:00:00"),
    # what is none
    ("x", "2026-11-30T14:25:40", "UTC", "00:00", "2026-12-01T00:00:00"),
    ("0d", "2026-11-30T14:25:40", "UTC", "00:00", None),
    ("999999999d", "2026-11-30T14:25:40", "UTC", "00:00", None), ("999999999w", "2026-11-30T14:25:40", "UTC", "00:00", None),
    ("1d", "2026-07-01T12:00:00", "Nowhere/Land", "00:00", "2026-07-02T00:00:00"),
]  # fmt: skip


def test_the_next_reset(cp, postgres):
    wrong = []
    for duration, now, zone, of_day, expected in NEXT:
        [[got]] = postgres.sql(cp.database, "SELECT coalesce(weir.next_reset(%s, %s, weir.zone(%s), %s::time)::text, 'never')",
                               duration, now, zone, of_day)  # fmt: skip
        if got != (str(utc(expected)) if expected else "never"):
            wrong.append((duration, now, zone, of_day, expected, got))
    assert not wrong


def test_every_next_reset_lies_ahead(cp, postgres):
    """Each half hour of the two weeks around both changes of the clock."""
    rows = postgres.sql(cp.database, """
        SELECT d, z, at, weir.next_reset(d, at, z, '01:30') FROM unnest('{1d,7d,30d,5d,1h,7h,24h,50m,31s}'::text[]) d,
        unnest('{UTC,Europe/Berlin,America/Havana,Australia/Lord_Howe}'::text[]) z,
        (SELECT generate_series('2026-03-22'::timestamp, '2026-04-06', '30 minutes') UNION ALL
         SELECT generate_series('2026-10-20'::timestamp, '2026-11-03', '30 minutes')) g(at)
        WHERE weir.next_reset(d, at, z, '01:30') <= at""")
    assert rows == []


def test_members_of_requests_use_the_calendar(start, database, postgres):
    with_zone = start(database, {"litellm_settings": {"timezone": "Asia/Kolkata", "budget_reset_time": "06:00"}})
    key = with_zone.post("/key/generate", {"budget_duration": "1d"}).json["token"]
    [[at]] = postgres.sql(database, """SELECT budget_reset_at FROM "LiteLLM_VerificationToken" WHERE token = %s""", key)
    assert (utc(at).hour, utc(at).minute) == (0, 30)
    assert now() < utc(at)


def test_a_time_of_day_that_is_none_stops_the_start(start, database):
    cp = start(database, {"litellm_settings": {"budget_reset_time": "noon"}}, wait=False)
    cp.inquest(codes=(1,))


# --- the job


def now():
    return datetime.datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def fill(postgres, url, was):
    """One of each kind whose period ended at `was`, and one of each whose does not."""
    later = now() + datetime.timedelta(days=3)
    postgres.sql(url, """INSERT INTO "LiteLLM_VerificationToken" (token, spend, max_budget, budget_duration, budget_reset_at, expires)
        VALUES ('due', 2.5, 5, '1d', %s, NULL), ('not', 2.5, 5, '1d', %s, NULL), ('expired', 2.5, 5, '1d', %s, %s),
               ('never', 2.5, 5, NULL, NULL, NULL)""", was, later, was, was)  # fmt: skip
    postgres.sql(url, """INSERT INTO "LiteLLM_UserTable" (user_id, spend, budget_duration, budget_reset_at)
        VALUES ('due', 3, '7d', %s), ('not', 3, '7d', %s), ('unset', 3, '7d', NULL), ('never', 3, NULL, NULL)""", was, later)  # fmt: skip
    postgres.sql(url, """INSERT INTO "LiteLLM_TeamTable" (team_id, spend, budget_duration, budget_reset_at, metadata)
        VALUES ('due', 4, '30d', %s, '{}'), ('not', 4, '30d', %s, '{}'), ('own', 4, NULL, NULL, '{"team_member_budget_id": "b-due"}')""",
                 was, later)  # fmt: skip
    postgres.sql(url, """INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, budget_duration, budget_reset_at, created_by, updated_by)
        VALUES ('b-due', 1, '1d', %s, 'x', 'x'), ('b-not', 1, '1d', %s, 'x', 'x'), ('b-none', 1, NULL, NULL, 'x', 'x')""",
                 was, later)  # fmt: skip
    for b in ("due", "not", "none"):
        postgres.sql(url, """INSERT INTO "LiteLLM_EndUserTable" (user_id, spend, blocked, budget_id) VALUES (%s, 5, false, %s)""", b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_TagTable" (tag_name, spend, budget_id) VALUES (%s, 6, %s)""", b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, spend, total_spend, budget_id)
            VALUES (%s, 'not', 7, 70, %s)""", b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, spend, budget_id,
            created_by, updated_by) VALUES (%s, %s, 8, %s, 'x', 'x')""", b, b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_ProjectTable" (project_id, spend, budget_id, created_by, updated_by)
            VALUES (%s, 9, %s, 'x', 'x')""", b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_ModelAccessGroupBudgetTable" (access_group_name, spend, budget_id) VALUES (%s, 9, %s)""", b, f"b-{b}")
        postgres.sql(url, """INSERT INTO "LiteLLM_VerificationToken" (token, spend, budget_id) VALUES (%s, 10, %s)""", f"k-{b}", f"b-{b}")
    postgres.sql(url, """INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, spend, total_spend) VALUES ('m', 'own', 7, 70)""")
    postgres.sql(url, """INSERT INTO "LiteLLM_VerificationToken" (token, spend, budget_id, budget_duration, budget_reset_at)
        VALUES ('k-own', 10, 'b-due', '1d', %s)""", later)  # fmt: skip


def spends(postgres, url):
    return {who: float(spend) for who, spend in postgres.sql(url, SPENDS)}


BACK = {"key due", "user due", "user unset", "team due", "end due", "tag due", "member due/not", "member m/own", "org due",
        "project due", "group due", "key k-due"}  # fmt: skip


def log(postgres, url, spend, end, **who):
    columns = {"request_id": str(uuid.uuid4()), "call_type": "x", "spend": spend,
               '"startTime"': end - datetime.timedelta(seconds=5), '"endTime"': end, **who}  # fmt: skip
    postgres.sql(url, f"""INSERT INTO "LiteLLM_SpendLogs" ({", ".join(columns)}) VALUES ({", ".join(["%s"] * len(columns))})""",
                 *columns.values())  # fmt: skip


def test_a_period_that_is_over_begins_anew_once(start, database, postgres):
    was = now() - datetime.timedelta(seconds=30)
    fill(postgres, database, was)
    before = spends(postgres, database)
    # spent before and after the period ended: of the new one is what came after
    for who in ({"api_key": "due"}, {"team_id": "due"}, {'"user"': "due"}, {"end_user": "due"},
                {"team_id": "not", '"user"': "due"}, {"organization_id": "due"},
                {"metadata": '{"user_api_key_project_id": "due", "weir": {"budget_groups": ["due", "x"]}}'}):  # fmt: skip
        log(postgres, database, 0.25, was - datetime.timedelta(seconds=1), **who)
        log(postgres, database, 0.125, was + datetime.timedelta(seconds=1), **who)
        log(postgres, database, 0.0625, was, **who)
    cp = start(database)
    cp.wait(lambda: all(spends(postgres, database)[k] != before[k] for k in BACK), 20, "reset")
    after = spends(postgres, database)
    assert {k for k in before if after[k] != before[k]} == BACK
    kept = {k: v for k, v in after.items() if k in BACK and v}
    # the user's own and what it spent as a member
    assert kept == {"key due": 0.1875, "team due": 0.1875, "user due": 0.375, "end due": 0.1875, "member due/not": 0.1875,
                    "org due": 0.1875, "project due": 0.1875, "group due": 0.1875}  # fmt: skip
    resets = """SELECT 'k', budget_reset_at FROM "LiteLLM_VerificationToken" WHERE token = 'due' UNION ALL
                SELECT 'u', budget_reset_at FROM "LiteLLM_UserTable" WHERE user_id IN ('due', 'unset') UNION ALL
                SELECT 't', budget_reset_at FROM "LiteLLM_TeamTable" WHERE team_id = 'due' UNION ALL
                SELECT 'b', budget_reset_at FROM "LiteLLM_BudgetTable" WHERE budget_id = 'b-due'"""
    moved = postgres.sql(database, resets)
    assert len(moved) == 5
    assert all(utc(at) > now() for _, at in moved)
    assert postgres.sql(database, """SELECT total_spend FROM "LiteLLM_TeamMembership" WHERE user_id = 'due'""") == [("70",)]
    # what is spent from here on stays: nothing is due any more
    postgres.sql(database, """UPDATE "LiteLLM_VerificationToken" SET spend = 1 WHERE token = 'due'""")
    time.sleep(2.5)
    assert spends(postgres, database)["key due"] == 1
    assert postgres.sql(database, resets) == moved


@pytest.mark.parametrize("config", [{"weir": {"jobs": False}}, {"general_settings": {"disable_reset_budget": True}}])
def test_where_a_litellm_does_it_nothing_is_written(start, database, postgres, config):
    fill(postgres, database, now() - datetime.timedelta(hours=1))
    before = spends(postgres, database)
    start(database, config)
    time.sleep(6.5)
    assert spends(postgres, database) == before


def run(postgres, url, at):
    """As the job, at a moment of the test's."""
    done = [postgres.sql(url, "SELECT weir.reset_rows(%s, %s, %s, 't.budget_reset_at <= $1', %s, 'UTC', '00:00', 100)",
                         *what, at)[0][0]
            for what in (("LiteLLM_VerificationToken", "token", "api_key"), ("LiteLLM_UserTable", "user_id", "user"),
                         ("LiteLLM_TeamTable", "team_id", "team_id"))]  # fmt: skip
    done.append(postgres.sql(url, "SELECT weir.reset_budgets(%s, 'UTC', '00:00', 100, NULL)", at)[0][0])
    return [int(n) for n in done]


def test_clocks_that_jump_reset_nothing_twice(database, postgres):
    """An hour and a day forward and back, over the moment at which a period ends."""
    end = utc("2026-03-29T00:00:00")
    hour, day = datetime.timedelta(hours=1), datetime.timedelta(days=1)
    postgres.sql(database, """INSERT INTO "LiteLLM_VerificationToken" (token, spend, budget_duration, budget_reset_at)
        VALUES ('k', 2, '1d', %s)""", end)
    assert run(postgres, database, end - hour)[0] == 0
    assert run(postgres, database, end - day)[0] == 0
    assert run(postgres, database, end)[0] == 1
    postgres.sql(database, """UPDATE "LiteLLM_VerificationToken" SET spend = 1""")
    for at in (end, end - hour, end + hour, end - day, end + day - datetime.timedelta(seconds=1)):
        assert run(postgres, database, at)[0] == 0, at
    assert postgres.sql(database, 'SELECT spend, budget_reset_at FROM "LiteLLM_VerificationToken"') == [("1", str(end + day))]
    assert run(postgres, database, end + 400 * day)[0] == 1  # long away: one period, not four hundred
    assert postgres.sql(database, 'SELECT spend, budget_reset_at FROM "LiteLLM_VerificationToken"') == [("0", str(end + 401 * day))]


# --- totals, to data planes


def spend_of(kind, ident, user=""):
    return lambda plane: plane.totals.get((kind, ident, user), {}).get("spend_nusd", 0)


def test_totals_tell_what_changed_and_where_the_spool_stands(start, database, postgres):
    from support.plane import Plane

    token = "ab" * 32
    postgres.sql(database, """INSERT INTO "LiteLLM_VerificationToken" (token, spend) VALUES (%s, 1), (%s, 5)""", token, "cd" * 32)
    postgres.sql(database, """INSERT INTO "LiteLLM_TeamTable" (team_id, spend) VALUES ('t', 2)""")
    cp = start(database)
    with Plane(cp.plane) as plane:
        assert plane.hello()["totals"] is True
        plane.spool = "0f" * 16
        plane.sync()

        def told(until, timeout=3.0):
            end = time.monotonic() + timeout
            while not until():
                assert time.monotonic() < end, (plane.totals, plane.place)
                plane.changes()

        # whoever writes it; and what is not written is not told
        postgres.sql(database, f"""UPDATE "LiteLLM_VerificationToken" SET spend = 1.000000001 WHERE token = '{token}';
            UPDATE "LiteLLM_TeamTable" SET spend = 2.5;
            INSERT INTO weir.spool (id, segment, "offset") VALUES (decode(repeat('0f', 16), 'hex'), 3, 77)""")
        told(lambda: len(plane.totals) >= 2 and plane.place == (3, 77))
        assert {(k, u): t["spend_nusd"] for (k, i, u), t in plane.totals.items()} == {(1, ""): 1000000001, (2, ""): 2500000000}
        # one snapshot: a place never comes without what it stands for
        for i in range(1, 6):
            postgres.sql(database, f"""BEGIN; UPDATE "LiteLLM_TeamTable" SET spend = {i} * 10;
                UPDATE weir.spool SET "offset" = {i} * 1000; COMMIT""")
            told(lambda i=i: plane.place == (3, i * 1000))
            assert plane.totals[2, "t", ""]["spend_nusd"] == i * 10_000_000_000
        n = plane.totals_to
        plane.changes()
        assert plane.totals_to == n  # nothing new: nothing told

        # another session, and one that was away: what it missed comes, or everything
        with Plane(cp.plane) as again:
            again.hello()
            again.spool, again.have, again.totals_to = plane.spool, plane.have, n
            postgres.sql(database, """UPDATE "LiteLLM_TeamTable" SET spend = 99""")
            end = time.monotonic() + 3
            while again.totals.get((2, "t", ""), {}).get("spend_nusd") != 99_000_000_000:
                assert time.monotonic() < end
                again.changes()
                assert not again.full
        with Plane(cp.plane) as late:
            late.hello()
            late.spool, late.have, late.totals_to = plane.spool, plane.have, 1
            late.changes()
            assert late.full
