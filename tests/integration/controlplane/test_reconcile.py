"""Rows, daily tables, totals and spools: they agree however they were written, and what does not is found, said and left
as it is."""

import datetime
import subprocess

import pytest
from support.controlplane import PROGRAM
from support.spend_log import Log, day
from support.weir import ROOT

from test_weirctl import Ctl

FILLER = PROGRAM.parents[1] / "bench/weir-bench-ingest"
ROWS = 3000


def ingest(url, records=ROWS, threads=1, keys=40):
    """Made-up spools, through the ingest."""
    subprocess.run([FILLER, url, str(records), str(threads), "2", str(keys), "400"], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.fixture(scope="module")
def filled(postgres, empty_schema):
    """A database with rows that agree, to be copied."""
    url = postgres.database(template=empty_schema)
    ingest(url)
    return postgres.name(url)


@pytest.fixture
def log(postgres, filled):
    return Log(postgres, postgres.database(template=filled))


def verify(cp, query="", status=200):
    reply = cp.get(f"/weir/spend/verify?from={day(1)}{query}", timeout=90)
    assert reply.status == status, reply.body
    return reply.json


def test_what_ingest_wrote_agrees(log, start):
    cp = start(log.url)
    got = verify(cp)
    assert (got["rows"], got["days"], got["differences_total"], got["differences"]) == (ROWS, 2, 0, [])
    ingest(log.url)  # another spool
    assert verify(cp)["rows"] == 2 * ROWS and not verify(cp)["differences"]
    ctl = Ctl(cp)
    assert ctl("spend", "verify", "--from", day(1))[0] == 0
    assert ctl.json("spend", "verify", "--from", day(1), "totals=false")["totals"] is False


ONE = """(request_id, "startTime") = (SELECT request_id, "startTime" FROM "LiteLLM_SpendLogs" WHERE end_user <> '' AND spend > 0 ORDER BY 1 LIMIT 1)"""
FIRST = "ctid = (SELECT min(ctid) FROM "
EVERYBODY = {("rows_daily", k) for k in ("user", "team", "organization", "end_user", "tag")}
OTHERS = {("rows_totals", "other")}  # members and projects


@pytest.mark.parametrize(
    ("what", "statement", "found", "fields"),
    [
        ("a row costs more", f'UPDATE "LiteLLM_SpendLogs" SET spend = spend + 1e-9 WHERE {ONE}', EVERYBODY | OTHERS, {"spend_nusd"}),
        ("a row has other tokens", f'UPDATE "LiteLLM_SpendLogs" SET prompt_tokens = prompt_tokens + 1 WHERE {ONE}', EVERYBODY, {"prompt_tokens"}),
        ("a row failed", f"""UPDATE "LiteLLM_SpendLogs" SET status = 'failure' WHERE {ONE}""", EVERYBODY, {"failed_requests"}),
        ("a row is gone", f'DELETE FROM "LiteLLM_SpendLogs" WHERE {ONE}', EVERYBODY | OTHERS | {("rows_spools", "spool")},
         {"spend_nusd", "prompt_tokens", "completion_tokens", "api_requests", "rows"}),
        ("a row is of another team", f"""UPDATE "LiteLLM_SpendLogs" SET team_id = 'other' WHERE {ONE}""", {("rows_daily", "team")} | OTHERS,
         {"spend_nusd", "prompt_tokens", "completion_tokens", "api_requests"}),
        ("a row was tried again", f"""UPDATE "LiteLLM_SpendLogs" SET metadata = jsonb_set(metadata, '{{weir,retried}}', 'true') WHERE {ONE}""", EVERYBODY, {"api_requests"}),
        ("a row costs what nothing costs", f"""UPDATE "LiteLLM_SpendLogs" SET spend = 'NaN' WHERE {ONE}""", EVERYBODY | OTHERS, {"spend_nusd"}),
        ("a day's team costs less", f'UPDATE "LiteLLM_DailyTeamSpend" SET spend = spend - 1e-9 WHERE {FIRST} "LiteLLM_DailyTeamSpend")',
         {("rows_daily", "team"), ("daily_totals", "team")}, {"spend_nusd"}),
        ("a day's tag is gone", f'DELETE FROM "LiteLLM_DailyTagSpend" WHERE {FIRST} "LiteLLM_DailyTagSpend")',
         {("rows_daily", "tag"), ("daily_totals", "tag")}, {"spend_nusd", "prompt_tokens", "completion_tokens", "api_requests"}),
        ("a day's user has another request", f'UPDATE "LiteLLM_DailyUserSpend" SET api_requests = api_requests + 1 WHERE {FIRST} "LiteLLM_DailyUserSpend")',
         {("rows_daily", "user"), ("daily_totals", "user"), ("daily_totals", "key")}, {"api_requests"}),
        ("a sum for reports is more", """INSERT INTO weir.daily_day SELECT 'team', min(date), true FROM "LiteLLM_DailyTeamSpend"
            ON CONFLICT (kind, date) DO UPDATE SET is_summed = true; SELECT weir.daily_sum_of('team', min(date)) FROM "LiteLLM_DailyTeamSpend";
            UPDATE weir.daily_sum SET spend = spend + 1e-9 WHERE ctid = (SELECT min(ctid) FROM weir.daily_sum WHERE grain = 2)""",
         {("daily_sums", "team")}, {"spend_nusd"}),
        ("a key's total is less", "UPDATE weir.total SET spend_nusd = spend_nusd - 1 WHERE kind = 'key' AND id = 'key-1'", {("daily_totals", "key")}, {"spend_nusd"}),
        ("a total of nobody", "INSERT INTO weir.total VALUES ('end_user', 'ghost', 5, 0)", {("daily_totals", "end_user")}, {"spend_nusd"}),
        ("a member's total is more", "UPDATE weir.total SET spend_nusd = spend_nusd + 1 WHERE ctid = (SELECT min(ctid) FROM weir.total WHERE kind = 'member')", OTHERS, {"spend_nusd"}),
        ("a total of no project", "INSERT INTO weir.total VALUES ('project', 'ghost', 5, 0)", OTHERS, {"spend_nusd"}),
        ("a total of no member", "INSERT INTO weir.total VALUES ('organization_member', 'ghost', 5, 0)", OTHERS, {"spend_nusd"}),
        ("a spool gave more", "UPDATE weir.spool SET records = records + 1", {("rows_spools", "spool")}, {"rows"}),
        ("a spool has a gap", "INSERT INTO weir.spool_gap (spool, from_segment, from_offset, to_segment, to_offset) VALUES ('\\x00', 1, 2, 3, 4)",
         {("spools", "spool")}, {"gaps"}),
        ("a record was refused", "INSERT INTO weir.spool_refused (spool, segment, \"offset\", record, why) VALUES ('\\x00', 1, 2, '', 'x')",
         {("spools", "spool")}, {"refused"}),
        ("a spool has rotten", "UPDATE weir.spool SET damaged = 3", {("spools", "spool")}, {"damaged"}),
    ],
)  # fmt: skip
def test_a_difference_is_found_and_left(log, start, what, statement, found, fields):
    cp = start(log.url)
    log.sql(statement)
    before = log.sql("""SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM "LiteLLM_SpendLogs" l UNION ALL
        SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM "LiteLLM_DailyTeamSpend" l UNION ALL
        SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM weir.total l""")
    got = verify(cp)
    assert {(d["check"], d["kind"]) for d in got["differences"]} == found
    assert {d["field"] for d in got["differences"]} == fields and got["differences_total"] == len(got["differences"])
    assert all(d["expected"] != d["found"] for d in got["differences"])
    code, out, _ = Ctl(cp)("spend", "verify", "--from", day(1))
    assert code == 4 and all(check in out for check, _ in found)
    assert before == log.sql("""SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM "LiteLLM_SpendLogs" l UNION ALL
        SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM "LiteLLM_DailyTeamSpend" l UNION ALL
        SELECT md5(string_agg(l::text, '' ORDER BY l::text)) FROM weir.total l""")


def an_hour_passes(log):
    log.sql("UPDATE weir.checked_day SET at = at - interval '1 hour'")


def looked(cp, log):
    """Once the job has looked at today since the control plane's start."""
    cp.wait(lambda: log.sql("SELECT 1 FROM weir.checked_day WHERE day = %s AND at > now() - interval '40 minutes'", day()), what="the job")
    cp.wait(lambda: log.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir jobs' AND state <> 'idle'") == [("0",)], what="its end")


def test_the_job_raises_an_alarm(log, start):
    cp = start(log.url)
    looked(cp, log)
    assert "spend_differs" not in cp.log() and cp.get("/weir/spend/differences").json == {"differences": []}
    cp.stop()
    log.sql("UPDATE \"LiteLLM_DailyTeamSpend\" SET spend = spend + 1e-6 WHERE team_id = 'team-1'")
    an_hour_passes(log)
    cp = start(log.url)
    cp.wait(lambda: "check=daily_totals" in cp.log(), what="the alarm")
    assert f"error controlplane: spend_differs check=rows_daily day={day()} kind=team field=spend_nusd" in cp.log()
    kept = cp.get("/weir/spend/differences").json["differences"]
    assert {(d["check"], d["kind"], d["day"]) for d in kept} == {("rows_daily", "team", day()), ("daily_totals", "team", None)}
    [total] = [d for d in kept if d["check"] == "daily_totals"]
    assert total["entity"] == "team-1" and total["expected"] - total["found"] == 1000 * (len(kept) - 1) and total["gone_at"] is None
    cp.stop()
    log.sql("UPDATE \"LiteLLM_DailyTeamSpend\" SET spend = spend - 1e-6, updated_at = now() AT TIME ZONE 'UTC' WHERE team_id = 'team-1'")
    an_hour_passes(log)
    cp = start(log.url)
    cp.wait(lambda: cp.get("/weir/spend/differences").json == {"differences": []}, what="it is gone")
    assert all(d["gone_at"] and d["first_at"] <= d["last_at"] for d in cp.get("/weir/spend/differences?gone=true").json["differences"])
    assert "spend_differs" not in cp.log()


def test_members_are_compared_by_what_was_kept_of_days(log, start):
    log.sql("DELETE FROM weir.checked_day")
    cp = start(log.url)
    looked(cp, log)
    log.sql("""UPDATE "LiteLLM_DailyUserSpend" SET updated_at = updated_at - interval '1 day'""")
    log.sql(f'UPDATE "LiteLLM_SpendLogs" SET spend = spend + 1e-9 WHERE {ONE}')  # the day is not read again
    assert not [d for d in verify(cp)["differences"] if d["check"] == "rows_totals"]
    log.sql("UPDATE weir.checked_sum SET spend_nusd = spend_nusd + 1 WHERE ctid = (SELECT min(ctid) FROM weir.checked_sum)")
    [found] = [d for d in verify(cp)["differences"] if d["check"] == "rows_totals"]
    assert found["expected"] - found["found"] == 1
    log.sql("UPDATE weir.checked_day SET is_summed = false")  # as an older control plane left it
    assert not [d for d in verify(cp)["differences"] if d["check"] == "rows_totals"]


def test_days_that_nobody_touched_are_left_alone(log, start):
    log.row("old", 5, key="k", at=datetime.datetime(2026, 1, 5, 12), weir={})
    log.daily("User", "user_id", "", "2026-01-05", 5, key="k")
    cp = start(log.url)
    looked(cp, log)
    cp.wait(lambda: log.sql("SELECT rows FROM weir.checked_day WHERE day = '2026-01-05'") == [("1",)], what="the old day")
    cp.stop()
    log.sql("UPDATE \"LiteLLM_DailyUserSpend\" SET updated_at = now() - interval '3 days' WHERE date = '2026-01-05'")
    log.sql("UPDATE weir.checked_day SET at = at - interval '20 hours'")
    was = log.sql("SELECT at FROM weir.checked_day WHERE day = '2026-01-05'")
    cp = start(log.url)
    looked(cp, log)
    assert log.sql("SELECT at FROM weir.checked_day WHERE day = '2026-01-05'") == was
    cp.stop()
    log.sql("UPDATE weir.checked_day SET at = at - interval '6 hours'")  # in the end every day has its turn again
    cp = start(log.url)
    cp.wait(lambda: log.sql("SELECT at FROM weir.checked_day WHERE day = '2026-01-05' AND at > now() - interval '1 hour'"), what="its turn")


def test_rows_that_are_not_kept_are_not_missed(log, start):
    log.sql("UPDATE \"LiteLLM_DailyUserSpend\" SET updated_at = now()")
    cp = start(log.url)
    looked(cp, log)
    cp.stop()
    log.sql("DELETE FROM \"LiteLLM_SpendLogs\"")
    log.sql("INSERT INTO weir.retention (kept_from) VALUES ((now() AT TIME ZONE 'UTC')::date + 1)")
    an_hour_passes(log)
    cp = start(log.url)
    looked(cp, log)
    got = verify(cp)
    assert got["days_gone"] == 2 and not got["differences"]


def test_nothing_differs_while_rows_come(log, start):
    cp = start(log.url)
    filler = subprocess.Popen([FILLER, log.url, "30000", "2", "1", "40", "100"], stdout=subprocess.DEVNULL)
    looks = 0
    while filler.poll() is None or not looks:
        assert verify(cp)["differences"] == []
        looks += 1
    assert filler.returncode == 0 and verify(cp)["rows"] == ROWS + 30000


@pytest.fixture
def adopted(postgres):
    """Made by LiteLLM, with sums of its own that do not all agree."""
    log = Log(postgres, postgres.database())
    log.sql("SET search_path = public; " + (ROOT / "controlplane/store/migrations/0001_litellm.sql").read_text())
    log.row("of-litellm", 1000, key="key-1", user="user-1")
    log.daily("User", "user_id", "user-1", day(), 900, key="key-1")
    log.daily("User", "user_id", "user-1", "2025-01-01", 77, key="key-1")
    return log


def test_a_database_that_litellm_made(adopted, start):
    cp = start(adopted.url, args=["--adopt"])
    ingest(adopted.url, 500)
    looked_at = verify(cp)
    assert {(d["check"], d["kind"], d["expected"], d["found"]) for d in looked_at["differences"]} == {("rows_daily", "user", 1000, 900)}
    assert adopted.sql("SELECT spend_nusd FROM weir.total_before WHERE kind = 'key'") == [("977",)]
    assert adopted.sql("SELECT count(*) FROM weir.difference") == [("0",)]  # the day is LiteLLM's as well
    adopted.daily("User", "user_id", "user-1", day(), 5, key="key-1", model="later")  # LiteLLM goes on
    adopted.row("later", 5, key="key-1", user="user-1", model="later")
    assert len(verify(cp)["differences"]) == 1
    adopted.sql("UPDATE weir.total SET spend_nusd = spend_nusd + 100 WHERE kind = 'key' AND id = 'key-1'")
    assert ("daily_totals", "key", "key-1") in {(d["check"], d["kind"], d["id"]) for d in verify(cp)["differences"]}


@pytest.mark.parametrize("query", ["&to=x", "&to=2026-02-30", "&from=2020-01-01&to=2026-01-01"])
def test_days_that_do_not_fit(cp, query):
    assert cp.get("/weir/spend/verify?" + query[1:]).status == 400
