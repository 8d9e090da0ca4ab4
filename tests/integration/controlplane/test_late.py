"""Records that come after the period of the budget they belong to: kept for ever, and not spent of the period that runs."""

import datetime
import subprocess
import time

import pytest
from support.spends import SPENDS
from support.spool import Door, Spool, record

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)


def us(at):
    return round(at.timestamp() * 1000000)


def dollars(postgres, url, sql):
    return {who: round(float(spend) * 1e9) for who, spend in postgres.sql(url, sql)}


EVER = """
    SELECT 'key ' || token, total_spend FROM "LiteLLM_VerificationToken"
    UNION ALL SELECT 'member ' || user_id || '/' || team_id, total_spend FROM "LiteLLM_TeamMembership" """


def seed(postgres, url, ends):
    """Everybody, of a period of an hour that ends then, and one of most kinds without."""
    postgres.sql(url, """INSERT INTO "LiteLLM_BudgetTable" (budget_id, budget_duration, budget_reset_at, created_by, updated_by)
        VALUES ('b', '1h', %s, 'x', 'x'), ('standard', '1h', %s, 'x', 'x'), ('none', NULL, NULL, 'x', 'x')""", ends, ends)  # fmt: skip
    postgres.sql(url, """
        INSERT INTO "LiteLLM_VerificationToken" (token, budget_duration, budget_reset_at, budget_id)
            VALUES ('own', '1h', '{ends}', NULL), ('linked', NULL, NULL, 'b'), ('free', NULL, NULL, NULL);
        INSERT INTO "LiteLLM_UserTable" (user_id, budget_duration, budget_reset_at)
            VALUES ('u', '1h', '{ends}'), ('free', NULL, NULL), ('litellm-proxy-budget', '1h', '{ends}');
        INSERT INTO "LiteLLM_TeamTable" (team_id, budget_duration, budget_reset_at, metadata)
            VALUES ('t', '1h', '{ends}', '{"team_member_budget_id": "b"}'), ('free', NULL, NULL, '{}');
        INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, budget_id) VALUES ('u', 't', NULL), ('u', 'free', 'b'), ('free', 'free', NULL);
        INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, created_by, updated_by)
            VALUES ('o', 'o', 'b', 'x', 'x'), ('free', 'o', 'none', 'x', 'x');
        INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, spend) VALUES ('u', 'o', 0);
        INSERT INTO "LiteLLM_ProjectTable" (project_id, budget_id, created_by, updated_by) VALUES ('p', 'b', 'x', 'x'), ('free', NULL, 'x', 'x');
        INSERT INTO "LiteLLM_TagTable" (tag_name, budget_id) VALUES ('a', 'b'), ('free', NULL);
        INSERT INTO "LiteLLM_ModelAccessGroupBudgetTable" (access_group_name, budget_id) VALUES ('g', 'b'), ('free', NULL);
        INSERT INTO "LiteLLM_EndUserTable" (user_id, spend, blocked, budget_id) VALUES ('e', 0, false, 'b'), ('free', 0, false, 'none')
        """.replace("{ends}", str(ends)))  # fmt: skip


def test_what_ended_before_the_period_is_not_of_it(postgres, database):
    began = datetime.datetime.now(UTC).replace(microsecond=0) - datetime.timedelta(minutes=20)
    seed(postgres, database, (began + HOUR).replace(tzinfo=None))
    ours = {"user": "u", "team": "t", "organization": "o", "project": "p", "end_user": "e", "tags": ["a"], "budget_groups": ["g"]}
    free = {k: "free" for k in ("user", "team", "organization", "project", "end_user")} | {"tags": ["free"], "budget_groups": ["free"]}
    late, first, new = (us(at) for at in (began - datetime.timedelta(milliseconds=1), began, datetime.datetime.now(UTC)))

    def ended(at, nusd, **more):
        return record(start_us=at - 5000000, end_us=at, cost_nusd=nusd, **more)

    spool = Spool()
    with Door(database) as door:
        door.take(spool.batch(
            ended(late, 1, key="own", **ours), ended(first, 20, key="own", **ours), ended(new, 400, key="own", **ours),
            ended(late, 8000, key="linked", **{**ours, "team": "free", "end_user": "new"}),
            ended(late, 50000, key="free", **free), ended(new, 600000, key="free", **free)))  # fmt: skip
        # nothing of the period is among them
        door.take(spool.batch(ended(late - 999999, 2, key="own", **ours)))
    spent = dollars(postgres, database, SPENDS)
    period, everything = 420, 658423
    assert spent == {
        "key own": period, "key linked": 0, "key free": 650000, "user u": period, "user free": 650000,
        "user litellm-proxy-budget": 600420, "team t": period, "team free": 658000, "member u/t": period, "member u/free": 0,
        "member free/free": 650000, "org o": period, "org free": 650000, "project p": period, "project free": 650000,
        "tag a": period, "tag free": 650000, "group g": period, "group free": 650000, "end e": period, "end free": 650000,
        "end new": 8000}  # fmt: skip
    ever = dollars(postgres, database, EVER)
    assert (ever["key own"], ever["key linked"], ever["member u/t"], ever["member u/free"]) == (423, 8000, 423, 8000)
    assert postgres.sql(database, "SELECT sum(spend_nusd) FROM weir.total WHERE kind = 'key'") == [(str(everything),)]
    for table in ("SpendLogs", "DailyUserSpend", "DailyTeamSpend"):
        assert postgres.sql(database, f'SELECT round(sum(spend)::numeric * 1000000000) FROM "LiteLLM_{table}"') == [(str(everything),)], table
    # of an end user without a budget the standard one is his, from his second exchange on
    with Door(database) as door:
        door.take(spool.batch(ended(late, 16000, key="free", end_user="new")))
    assert dollars(postgres, database, SPENDS)["end new"] == 8000


def test_a_period_that_begins_meanwhile(postgres, database):
    """The job holds the row: the record that waits for it is of the period before."""
    now = datetime.datetime.now(UTC).replace(microsecond=0)
    began = now - datetime.timedelta(minutes=20)
    seed(postgres, database, began.replace(tzinfo=None))
    with subprocess.Popen(["psql", "-X", "-q", "-d", database], stdin=subprocess.PIPE, text=True) as psql, Door(database) as door:
        psql.stdin.write(f"""BEGIN; UPDATE "LiteLLM_VerificationToken" SET spend = 0, budget_reset_at = '{(began + HOUR).replace(tzinfo=None)}'
            WHERE token = 'own'; SELECT pg_advisory_lock(1, 1);\n""")
        psql.stdin.flush()
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1 AND granted"
        for _ in range(100):
            if postgres.sql(database, held) == [("1",)]:
                break
            time.sleep(0.02)
        at = us(began) - 1000000
        batch = Spool().batch(record(key="own", start_us=at, end_us=at, cost_nusd=7))
        door.send(batch)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir-ingest' AND wait_event_type = 'Lock'"
        for _ in range(100):
            if postgres.sql(database, waits) == [("1",)]:
                break
            time.sleep(0.02)
        else:
            raise AssertionError("ingest does not wait for the row")
        psql.stdin.write("COMMIT;\n")
        psql.stdin.close()
        assert door.answer()["taken"] == [[1, batch["next_offset"]]]
    assert dollars(postgres, database, SPENDS)["key own"] == 0
    assert dollars(postgres, database, EVER)["key own"] == 7


def test_nothing_is_taken_before_periods_have_begun(postgres, database):
    """Both planes come back behind the end of a period: first it begins anew, then comes what is of the new one."""
    spool = Spool()
    batch = spool.batch(record(cost_nusd=1))
    postgres.sql(database, "DELETE FROM weir.periods_begun")  # of the start that made the schema
    with Door(database, begins_periods=True) as door:
        for at in (None, "31 minutes"):
            if at:
                postgres.sql(database, "INSERT INTO weir.periods_begun SELECT j, now() - %s::interval"
                                       " FROM unnest('{keys,users,teams,budgets}'::text[]) j", at)  # fmt: skip
            assert "periods" in door.ask(batch)["why"]
        assert postgres.sql(database, 'SELECT count(*) FROM "LiteLLM_SpendLogs"') == [("0",)]
        postgres.sql(database, "UPDATE weir.periods_begun SET at = now() - interval '5 minutes' WHERE job <> 'teams'")
        assert "periods" in door.ask(batch)["why"]
        postgres.sql(database, "UPDATE weir.periods_begun SET at = now()")
        door.take(batch)
    with Door(database) as door:  # where others begin them
        postgres.sql(database, "DELETE FROM weir.periods_begun")
        door.take(spool.batch(record(cost_nusd=1)))


def test_the_jobs_say_that_periods_have_begun(start, database, postgres):
    postgres.sql(database, "DELETE FROM weir.periods_begun; INSERT INTO weir.periods_begun VALUES ('keys', '2020-01-01')")
    cp = start(database)
    fresh = "SELECT string_agg(job, ' ' ORDER BY job) FROM weir.periods_begun WHERE at > now() - interval '1 minute'"
    cp.wait(lambda: postgres.sql(database, fresh) == [("budgets keys teams users",)], 20, "periods")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_a_period_begins_where_the_last_one_ended(cp, postgres, zone):
    """weir.period_began() is the inverse of weir.next_reset(), over a leap day and both changes of the clock."""
    wrong = postgres.sql(cp.database, """
        WITH RECURSIVE of AS (SELECT d FROM unnest('{1d,7d,2w,30d,1mo,3d,1h,2h,6h,12h,5h,24h,36h,15m,30m}'::text[]) d),
        p (d, n, began, ends) AS (
            SELECT d, 0, weir.next_reset(d, s, %s, '00:00'), weir.next_reset(d, weir.next_reset(d, s, %s, '00:00'), %s, '00:00')
            FROM of, unnest('{2028-02-26 10:00,2026-03-28 01:00,2026-10-24 01:00,2026-03-07 01:00}'::timestamp[]) s
            UNION ALL SELECT d, n + 1, ends, weir.next_reset(d, ends, %s, '00:00') FROM p WHERE n < 30)
        SELECT d, began, ends, weir.period_began(d, ends, %s) FROM p
        -- a day that lacks an hour, or has one twice: an hour early at most
        WHERE weir.period_began(d, ends, %s) NOT IN (began, began - CASE WHEN d ~ 'h$' THEN interval '1 hour' ELSE '0' END,
                                                     began + CASE WHEN d ~ 'h$' THEN interval '1 hour' ELSE '0' END)
        """, *[zone] * 6)  # fmt: skip
    assert wrong == []
    assert postgres.sql(cp.database, "SELECT weir.period_began('0d', now()::timestamp, 'UTC'), weir.period_began('1d', NULL, 'UTC')") == [("", "")]
    # nobody's usage is lost by what somebody wrote there
    for duration, ends in (("999999999d", "now()::timestamp"), ("999999999w", "now()::timestamp"), ("1d", "'infinity'"), ("1d", "'4714-11-24 BC'")):
        assert postgres.sql(cp.database, f"SELECT weir.period_began(%s, {ends}, 'Asia/Tokyo') IS NULL", duration) == [("t",)], (duration, ends)


def test_a_duration_beyond_all_times(postgres, database):
    """Whoever may write one there is billed all the same."""
    now = datetime.datetime.now(UTC)
    postgres.sql(database, """INSERT INTO "LiteLLM_VerificationToken" (token, budget_duration, budget_reset_at)
        VALUES ('d', '999999999d', now() + interval '1 day'), ('w', '999999999w', now() + interval '1 day')""")  # fmt: skip
    with Door(database) as door:
        door.take(Spool().batch(*[record(start_us=us(now - HOUR), end_us=us(now - HOUR), cost_nusd=5, key=key) for key in "dw"]))
    assert dollars(postgres, database, """SELECT token, spend FROM "LiteLLM_VerificationToken" """) == {"d": 5, "w": 5}
    assert postgres.sql(database, "SELECT count(*) FROM weir.spool_refused") == [("0",)]
