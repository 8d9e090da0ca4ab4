"""The row of ingest: made-up spools through the control plane's ingest into PostgreSQL on the same two cores
(bench/ingest.c), and what the database says of them afterwards."""

import json
import os
import subprocess
import tempfile

from . import gateways
from .planes import durable, support
from .rows import ROWS

KEYS = 1000
WAL = {"max_wal_size": "4GB", "min_wal_size": "2GB", "shared_buffers": "256MB"}
# (threads, batches of a transaction): many pods with a backlog, one pod that sends a batch at a time
SHAPES = {"ingest_per_s": (2, 8), "ingest_one_per_s": (1, 1)}


def tenants(pg, url):
    pg.sql(url, f"""
        INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by) VALUES ('b', 'x', 'x');
        INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, created_by, updated_by)
            SELECT 'org-' || n, 'o', 'b', 'x', 'x' FROM generate_series(0, {KEYS // 100}) n;
        INSERT INTO "LiteLLM_UserTable" (user_id) SELECT 'user-' || n FROM generate_series(0, {KEYS // 2}) n;
        INSERT INTO "LiteLLM_TeamTable" (team_id) SELECT 'team-' || n FROM generate_series(0, {KEYS // 10}) n;
        INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id)
            SELECT DISTINCT 'user-' || n / 2, 'team-' || n / 10 FROM generate_series(0, {KEYS}) n;
        INSERT INTO "LiteLLM_TagTable" (tag_name) SELECT 'tag-' || n FROM generate_series(0, 7) n;
        INSERT INTO "LiteLLM_VerificationToken" (token, user_id, team_id, organization_id)
            SELECT 'key-' || n, 'user-' || n / 2, 'team-' || n / 10, 'org-' || n / 100 FROM generate_series(0, {KEYS}) n;
        ANALYZE""")


def run(ctx, pg, url, records, threads, merge):
    conninfo = f"dbname={pg.name(url)} host={pg.dir} user=weir"
    out = subprocess.run([f"{ctx.build}/bench/weir-bench-ingest", conninfo, str(records), str(threads), str(merge), str(KEYS)],
                         capture_output=True, text=True, timeout=600)  # fmt: skip
    if out.returncode:
        raise gateways.Failed(f"ingest: {out.stderr[-500:]}")
    return json.loads(out.stdout)


def agrees(pg, url, records):
    """Every sum is that of the rows, to the nano-dollar."""
    exact = "sum(round(spend::numeric * 1000000000)::bigint)"
    n, nusd = pg.sql(url, f'SELECT count(*), {exact} FROM "LiteLLM_SpendLogs"')[0]
    if int(n) != records:
        raise gateways.Failed(f"ingest: {n} rows of {records} records")
    for table in ("DailyUserSpend", "DailyTeamSpend", "DailyOrganizationSpend", "DailyGlobalSpend", "VerificationToken", "UserTable"):
        if (got := pg.sql(url, f'SELECT {exact} FROM "LiteLLM_{table}"')[0][0]) != nusd:
            raise gateways.Failed(f"ingest: {table} says {got}, the rows {nusd}")


def ingest(ctx):
    """Records a second into a database that keeps what it is told, with all the rows and sums they make."""
    if "weir" not in ctx.gateways:
        return
    _, Postgres, _, _ = support(ctx)
    records, rows = ctx.pick(60_000, 400_000), {}
    with Postgres() as pg, tempfile.TemporaryDirectory() as d:
        for name, value in WAL.items():
            pg.sql(pg.url("postgres"), f"ALTER SYSTEM SET {name} = '{value}'")
        durable(pg)
        pg.stop("fast")
        pg.start()
        url = pg.database()
        config = os.path.join(d, "config.yaml")
        with open(config, "w") as f:
            f.write("general_settings: {master_key: sk-1234}\n")
        subprocess.run([f"{ctx.build}/controlplane/weir-controlplane", "--config", config, "--migrate"], check=True, capture_output=True,
                       env={**os.environ, "DATABASE_URL": url, "WEIR_RUN_DIR": d})  # fmt: skip
        tenants(pg, url)
        done = records // 4
        run(ctx, pg, url, done, 2, 8)  # today's rows exist, the log's files too
        for figure, (threads, merge) in SHAPES.items():
            n = records if threads > 1 else records // 2
            pg.sql(url, "CHECKPOINT")
            rows[figure] = run(ctx, pg, url, n, threads, merge)
            done += n
            ctx.figures[figure] = rows[figure]["per_s"]
        agrees(pg, url, done)
    ctx.figures["ingest_rss_mb"] = max(r["peak_kib"] for r in rows.values()) / 1024
    ctx.table["ingest"] = {"weir": {f"{name}, {k}": v for name, row in rows.items() for k, v in row.items()}}
    ctx.say(f"  ingest {rows['ingest_per_s']['per_s']:.0f} records/s on two connections, {rows['ingest_one_per_s']['per_s']:.0f} "
            f"of one spool a batch at a time; peak {ctx.figures['ingest_rss_mb']:.0f} MB")


ROWS["ingest"] = ingest
