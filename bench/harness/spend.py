"""Log pages and reports over ten million rows of spend."""

import datetime
import hashlib
import statistics
import subprocess
import time
from urllib.parse import urlencode

from . import planes, spend_rows
from .rows import ROWS

ROUNDS = 20
TODAY = datetime.datetime.now(datetime.timezone.utc).date()  # rows of a time to come are not packed
UNTIL = f"{TODAY} 00:00:00"
DAYS = {"start_date": str(TODAY - datetime.timedelta(days=30)), "end_date": str(TODAY)}
TIMES = {"start_date": f"{DAYS['start_date']} 00:00:00", "end_date": f"{TODAY} 23:59:59"}
KEY = hashlib.sha256(b"bench-7").hexdigest()
LAST = {"page": 1999}

PAGES = [{}, {"api_key": KEY}, {"user_id": "user-7"}, {"team_id": "team-7"}, {"model": "model-3"}, {"model_group": "group-3"},
         {"status_filter": "failure"}, {"status_filter": "success"}, {"error_code": "429"}, {"key_alias": "alias-77"},
         {"end_user": "customer-7"}, {"min_spend": 0.00089}, {"error_message": "said no, 50"}, {"cache_hit_filter": "miss"},
         {"api_key": KEY, "model": "model-3"}, {"min_spend": 0.0005}, {"min_spend": 0.00089, "status_filter": "success"},
         {"min_spend": 0.0008, "team_id": "team-7"}, {"error_message": "never said"}, {"session_id": hashlib.md5(b"session777").hexdigest()},
         {"search": "user-7"}, {"search": hashlib.md5(b"session777").hexdigest()}, {"search": "nobody"}, {"sort_by": "spend"},
         {"sort_by": "spend", "sort_order": "asc"}, {"sort_by": "total_tokens"}, {"sort_by": "spend", "team_id": "team-7"}, {"page": 150000},
         {"request_id": "chatcmpl-" + hashlib.md5(b"77").hexdigest()}, {"search": KEY}, {"session_id": "nowhere"},
         {"used_client_oauth_token": "true"}, {"end_user": "customer-7", "sort_by": "endTime"}, {"sort_by": "spend", "page": 150000},
         *({"sort_by": by, **of} for by in ("spend", "total_tokens", "endTime", "request_duration_ms", "model", "ttft_ms")
           for of in ({}, {"model": "model-3"}, {"status_filter": "success"}, {"user_id": "user-7"}))]  # fmt: skip

REPORTS = [("/spend/logs", DAYS), ("/spend/logs", {**DAYS, "api_key": KEY}), ("/spend/tags", DAYS), ("/global/spend", {}), ("/global/spend/logs", {}),
           ("/global/spend/keys", {"limit": 10}), ("/global/spend/models", {}), ("/global/spend/teams", {}), ("/global/spend/provider", DAYS),
           ("/global/spend/tags", DAYS), ("/global/spend/all_tag_names", {}), ("/global/all_end_users", {}), ("/global/activity", DAYS),
           ("/global/activity/model", DAYS), ("/global/activity/cache_hits", DAYS), ("/global/spend/report", {**DAYS, "api_key": KEY}),
           ("/global/spend/report", {**DAYS, "internal_user_id": "user-7"}),
           ("/global/spend/report", {**DAYS, "team_id": "team-7", "customer_id": "customer-7"})]  # fmt: skip


def runner(url):
    """Statements that may take their time."""
    def sql(text):
        out = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-d", url], input=text,
                             capture_output=True, text=True)  # fmt: skip
        assert out.returncode == 0, out.stderr
        return [tuple(line.split("\x1f")) for line in out.stdout.splitlines() if line]
    return sql


# All that is not packed is less than a block (PACKED_MIN of jobs/log_jobs.c).
INDEXED = """
SELECT covered_from = '-infinity' AND NOT EXISTS (SELECT FROM weir.log_delta) AND NOT EXISTS (SELECT FROM weir.log_block WHERE n IS NULL)
    AND (SELECT count(*) FROM (SELECT FROM weir.log WHERE at >= coalesce((SELECT max(until) FROM weir.log_block), '-infinity') LIMIT 16384) x) < 16384
FROM weir.log_state
"""


def indexed(cp, sql, timeout=3600):
    """Waits for index, sums and blocks of all rows; asked seldom, for the job has a core to itself. How long it took."""
    begun = time.monotonic()
    while sql(INDEXED) != [("t",)]:
        assert time.monotonic() < begun + timeout, f"index, sums and blocks: not within {timeout} s\n{cp.tail()}"
        time.sleep(2)
    return time.monotonic() - begun


def timed(ctx, ask):
    took = []
    for _ in range(ctx.pick(5, ROUNDS)):
        begun = time.perf_counter()
        reply = ask()
        took.append((time.perf_counter() - begun) * 1000)
        assert reply.status == 200, reply.body[:300]
    return statistics.quantiles(took, n=20, method="inclusive")[18]


def reports(ctx):
    """p95 of each log page and report over rows that were there before Weir came"""
    ControlPlane, Postgres, _, _ = planes.support(ctx)
    rows = ctx.pick(1_000_000, 10_000_000)
    with Postgres() as pg:
        url = pg.database()
        ControlPlane(url, env={"WEIR_CORES": "1"}).stop()
        sql = runner(url)
        sql(f"SELECT weir.spend_partition('{UNTIL}'::date - i) FROM generate_series(0, 31) AS i")
        spend_rows.fill(sql, rows, until=UNTIL)
        sql("UPDATE weir.log_state SET covered_from = 'infinity'")
        with ControlPlane(url) as cp:
            ctx.say(f"  reports: {rows} rows taken in {indexed(cp, sql):.0f} s")
            sql("VACUUM ANALYZE")
            found = {"page": [], "report": []}
            for query in PAGES:
                for page in [{}] if "page" in query else [{}, LAST]:
                    path = "/spend/logs/v2?" + urlencode({**TIMES, **query, **page})
                    found["page"].append((timed(ctx, lambda p=path: cp.get(p)), path))
            for route, query in REPORTS:
                path = route + "?" + urlencode(query)
                found["report"].append((timed(ctx, lambda p=path: cp.get(p)), path))
            path = "/global/spend/end_users"
            found["report"].append((timed(ctx, lambda: cp.post(path)), path))
    for kind, took in found.items():
        for ms, path in took:
            ctx.say(f"  reports: {ms:7.1f} ms p95 {path[:120]}")
        worst = max(took)
        ctx.figures[f"spend_{kind}_p95_ms"] = worst[0]
        ctx.note(f"reports: the slowest {kind} of {rows} rows is {worst[1][:100]}")


ROWS["reports"] = reports
