"""The row of daily activity: every report on ten million requests, as the dashboard asks for them."""

import http.client
import time

from . import gateways, machine, planes
from .admin import quantile
from .rows import ROWS

DAYS, KEYS, USERS, TEAMS, MODELS, TAGS = 90, 1000, 300, 50, 4, 12
REQUESTS = 10_000_000
UNTIL = "2026-06-30"  # the last day
WEEK, MONTH = "start_date=2026-06-24&end_date=2026-06-30", "start_date=2026-06-01&end_date=2026-06-30"

TABLES = {
    "LiteLLM_DailyUserSpend": ("user_id", f"'user-' || k % {USERS}"),
    "LiteLLM_DailyTeamSpend": ("team_id", f"'team-' || k % {TEAMS}"),
    "LiteLLM_DailyTagSpend": ("tag", f"'tag-' || k % {TAGS}"),
}
# A key uses some of twenty models; its user and team are its own, as in life.
ROW = """INSERT INTO "{table}" (id, {entity}, date, api_key, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint,
    prompt_tokens, completion_tokens, cache_read_input_tokens, spend, api_requests, successful_requests, failed_requests, updated_at)
SELECT 'r' || d || '-' || k || '-' || m, {value}, to_char(date '{until}' - d, 'YYYY-MM-DD'), encode(sha256(('bench-' || k)::bytea), 'hex'),
    'model-' || (k * 7 + m) % 20, 'group-' || (k * 7 + m) % 20 / 2, (ARRAY['openai', 'anthropic', 'bedrock', 'vertex_ai'])[1 + (k * 7 + m) % 4],
    '', '/chat/completions', 900 + k, 300 + m, 100, ({per} * (1000 + k * 31 % 9000)) / 1e9, {per}, {per} - 1, 1, now()
FROM generate_series({days} - 1, 0, -1) d, generate_series(1, {keys}) k, generate_series(1, {models}) m"""

PARENTS = f"""INSERT INTO "LiteLLM_UserTable" (user_id, user_email) SELECT 'user-' || i, 'user-' || i || '@example.com'
FROM generate_series(0, {USERS} - 1) i;
INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias) SELECT 'team-' || i, 'Team ' || i FROM generate_series(0, {TEAMS} - 1) i;
INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, user_id, team_id) SELECT encode(sha256(('bench-' || i)::bytea), 'hex'),
'alias-' || i, 'user-' || i % {USERS}, 'team-' || i % {TEAMS} FROM generate_series(1, {KEYS}) i"""

REPORTS = [
    ("aggregated, a week", f"/user/daily/activity/aggregated?{WEEK}"),
    ("aggregated, a month", f"/user/daily/activity/aggregated?{MONTH}"),
    ("aggregated, one user", f"/user/daily/activity/aggregated?{MONTH}&user_id=user-7"),
    ("aggregated by team", f"/team/daily/activity/aggregated?{MONTH}"),
    ("aggregated, five teams", f"/team/daily/activity/aggregated?{MONTH}&team_ids=team-1,team-2,team-3,team-4,team-5"),
    ("aggregated by tag", f"/tag/daily/activity/aggregated?{MONTH}"),
    ("a page", f"/user/daily/activity?{MONTH}&page_size=1000"),
    ("the last page", f"/user/daily/activity?{MONTH}&page_size=1000&page=120"),
    ("a page of a team", f"/team/daily/activity?{MONTH}&team_ids=team-3"),
    ("keys by spend", f"/user/daily/activity/aggregated/keys?{MONTH}"),
    ("users by spend", f"/user/daily/activity/aggregated/users?{MONTH}"),
    ("keys by name", f"/user/daily/activity/aggregated/search?{MONTH}&search=alias-77"),
    ("keys of a model", f"/team/daily/activity/aggregated/model_top_keys?{MONTH}&model_group=group-3"),
    ("uncached keys", f"/user/daily/activity/aggregated/cache_leakage_keys?{MONTH}"),
    ("tags", f"/tag/summary?{MONTH}"),
]
FILES = [("file by key", f"/user/daily/activity/export?{MONTH}&export_type=daily_with_keys"),
         ("FOCUS, a month", f"/spend/export/focus?{MONTH}")]


def ask(cp, path):
    """Milliseconds and bytes of a reply."""
    begin = time.monotonic()
    conn = http.client.HTTPConnection("127.0.0.1", cp.port, timeout=60)
    conn.request("GET", path, headers={"Authorization": f"Bearer {cp.key}"})
    reply = conn.getresponse()
    body = reply.read()
    conn.close()
    if reply.status != 200:
        raise gateways.Failed(f"daily: {path}: {reply.status} {body[:300]}\n{cp.tail()}")
    return (time.monotonic() - begin) * 1000, len(body)


def daily(ctx):
    """Each report of a month's daily activity, one after the other."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, _, _ = planes.support(ctx)
    table, times = {}, {}
    with Postgres() as pg:
        url = pg.database()
        ControlPlane(url).stop()
        pg.sql(url, PARENTS)
        for name, (entity, value) in TABLES.items():
            pg.sql(url, ROW.format(table=name, entity=entity, value=value, until=UNTIL, days=DAYS, keys=KEYS, models=MODELS,
                                   per=REQUESTS // (DAYS * KEYS * MODELS)))
        planes.durable(pg)
        pg.sql(url, "VACUUM ANALYZE")
        with ControlPlane(url) as cp:
            cp.wait(lambda: pg.sql(url, "SELECT count(*) FROM weir.daily_day WHERE is_summed") == [(str(DAYS * len(TABLES)),)],
                    timeout=120, what="days summed up")  # fmt: skip
            for name, path in REPORTS:
                ask(cp, path)
                asked = [ask(cp, path) for _ in range(ctx.pick(5, 25))]
                times[name] = [ms for ms, _ in asked]
                table[f"{name}_p50_ms"], table[f"{name}_p95_ms"] = quantile(times[name], 0.5), quantile(times[name], 0.95)
                table[f"{name}_kb"] = asked[0][1] / 1000
                ctx.say(f"  daily {name}: p50 {table[f'{name}_p50_ms']:.0f} ms, p95 {table[f'{name}_p95_ms']:.0f} ms, "
                        f"{table[f'{name}_kb']:.0f} KB")
            for name, path in FILES:
                table[f"{name}_ms"], size = ask(cp, path)
                table[f"{name}_kb"] = size / 1000
                ctx.say(f"  daily {name}: {table[f'{name}_ms']:.0f} ms, {size / 1000:.0f} KB")
            table["rss_mb"] = machine.peak_mb(cp.process.pid)
    ctx.table["daily"] = {"weir": table}
    ctx.figures |= {"daily_p95_ms": max(quantile(t, 0.95) for t in times.values()), "daily_rss_mb": table["rss_mb"]}
    worst = max(times, key=lambda name: quantile(times[name], 0.95))
    ctx.note(f"daily: the slowest report is {worst}")
    ctx.say(f"  daily: memory {table['rss_mb']:.0f} MB")


ROWS |= {f.__name__: f for f in (daily,)}
