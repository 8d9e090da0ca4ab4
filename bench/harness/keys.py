"""A million keys: in the link and in a worker, as weir-bench-keys measures them, and at a data plane's start."""

import json
import os
import subprocess
import time

from . import gateways, machine, planes
from .rows import ROWS, until_200

KEYS = """
    INSERT INTO "LiteLLM_TeamTable" (team_id, rpm_limit) SELECT 't' || i, 1000000 FROM generate_series(1, {teams}) i;
    INSERT INTO "LiteLLM_UserTable" (user_id, max_budget) SELECT 'u' || i, 1000000 FROM generate_series(1, {users}) i;
    INSERT INTO "LiteLLM_VerificationToken" (token, key_name, team_id, user_id, max_budget, rpm_limit)
    SELECT encode(sha256(('sk-bench-' || i)::bytea), 'hex'), 'sk-...', 't' || i % {teams} + 1, 'u' || i % {users} + 1, 1000000,
           1000000 FROM generate_series(1, {keys}) i;
    ANALYZE"""
SAVED = "identities"  # below the state directory
START_S = 60


def keys(ctx):
    """A million keys: built, changed, looked up, saved and loaded."""
    if "weir" not in ctx.gateways:
        return
    argv = [f"{ctx.build}/bench/weir-bench-keys"] + ctx.pick(["100000"], [])
    got = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)
    ctx.table["keys"] = {"weir": got}
    ctx.figures |= {
        "keys_build_s": got["build_s"],
        "keys_load_s": got["load_s"],
        "keys_bytes": got["bytes_a_key"],
        "keys_change_ms": got["change_p99_ms"],
        "keys_lookup_ns": got["lookup_random_ns"],
        "keys_lookup_hot_ns": got["lookup_hot_ns"],
    }
    if ctx.quick:
        ctx.note(f"keys: {got['keys']:,} keys instead of a million")


def million(ctx):
    """A data plane's start until it takes the last of a million keys: from PostgreSQL, and from disk alone."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, _, _ = planes.support(ctx)
    n = ctx.pick(100_000, 1_000_000)
    last, asked = f"sk-bench-{n}", "/v1/models"
    with Postgres() as pg:
        planes.durable(pg)
        url = pg.database()
        ControlPlane(url).stop()
        for statement in KEYS.format(keys=n, teams=n // 100, users=n // 10).split(";"):
            pg.sql(url, statement, timeout=300)
        with ControlPlane(url) as cp:
            begin = time.monotonic()
            weir = gateways.Weir(ctx, wait=False, control_plane=cp.plane)
            try:
                from_postgres = until_200(weir, asked, None, begin, last, START_S)
                saved = f"{weir.state}/{SAVED}"
                while not os.path.exists(saved):
                    if time.monotonic() - begin > START_S:
                        raise gateways.Failed(f"no {saved}\n{weir.process.explain()}")
                    time.sleep(0.1)
                time.sleep(ctx.pick(1, 60))
                memory = machine.memory_kb(weir.pids()) / 1024
                cp.stop()
                weir.stop()
                begin = time.monotonic()
                weir.process = weir.start()
                from_disk = until_200(weir, asked, None, begin, last, START_S)
            finally:
                weir.stop()
    ctx.table["million"] = {"weir": {"from_postgres_s": from_postgres / 1000, "from_disk_s": from_disk / 1000, "memory_mb": memory}}
    ctx.figures |= {"million_postgres_s": from_postgres / 1000, "million_disk_s": from_disk / 1000, "million_mb": memory}
    if ctx.quick:
        ctx.note(f"million: {n:,} keys instead of a million")


ROWS |= {f.__name__: f for f in (keys, million)}
