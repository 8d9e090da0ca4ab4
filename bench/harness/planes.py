"""The row of nodes: many data planes at one control plane, without data planes (bench/planes.c)."""

import json
import os
import subprocess
import sys
import time
from statistics import median

from . import gateways, machine
from .rows import ROWS

NODES = 100
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests")


def support(ctx):
    """What the tests start both planes and PostgreSQL with, on the build that is measured."""
    os.environ["WEIR_BUILD"] = f"{ctx.build}/dataplane"
    if SUPPORT not in sys.path:
        sys.path.insert(0, SUPPORT)
    from support import controlplane, http, postgres, weir
    postgres.PLACE = None  # on a disk, as any that serves people
    return controlplane.ControlPlane, postgres.Postgres, weir.Weir, http


def durable(pg):
    """The tests' PostgreSQL loses what it wrote; this one keeps it, as any that serves people."""
    for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
        pg.sql(pg.url("postgres"), f"ALTER SYSTEM SET {name} = on")
    pg.sql(pg.url("postgres"), "SELECT pg_reload_conf()")


def ask(cp, path, body):
    """A management request that must succeed; its JSON."""
    reply = cp.post(path, body)
    if reply.status != 200:
        raise gateways.Failed(f"{path}: {reply.status} {reply.body[:300]}\n{cp.tail()}")
    return reply.json


def joined(cp, n=1, timeout=20):
    """Waits until n data planes have everything."""
    end = time.monotonic() + timeout
    while True:
        known = cp.get("/weir/nodes").json["nodes"]
        if sum(bool(x["revision"] and not x["lag"]) for x in known) >= n:
            return
        if time.monotonic() > end:
            raise gateways.Failed(f"not {n} data planes in step within {timeout} s: {known}")
        time.sleep(0.02)


def nodes(ctx):
    """100 simulated data planes on one control plane with 1,000 keys, one change a second."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, _, _ = support(ctx)

    with Postgres() as pg:
        url = pg.database()
        ControlPlane(url).stop()
        pg.sql(url, """INSERT INTO "LiteLLM_VerificationToken" (token, key_name, models, max_budget)
                       SELECT encode(sha256(i::text::bytea), 'hex'), 'sk-...abcd', '{m}', 10 FROM generate_series(1, 1000) i""")
        with ControlPlane(url) as cp:
            measure(ctx, cp)


def measure(ctx, cp):
    planes = subprocess.Popen([f"{ctx.build}/bench/weir-bench-planes", cp.plane, str(NODES)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        synced = json.loads(planes.stdout.readline())
        if synced["synced"] != NODES:
            raise gateways.Failed(f"nodes: {synced}\n{cp.tail()}")
        time.sleep(1)
        pids, seconds = [cp.process.pid], ctx.pick(5, 20)
        spent, begun, waits, applied = machine.cpu_ns(pids), time.monotonic(), [], []
        for i in range(seconds):
            asked = time.monotonic()
            reply = cp.post("/key/generate", {})
            waits.append((time.monotonic() - asked) * 1000)
            applied.append(reply.header("x-weir-applied"))
            time.sleep(max(0, begun + i + 1 - time.monotonic()))
        cpu = (machine.cpu_ns(pids) - spent) / 1e9 / (time.monotonic() - begun)
        peak = machine.peak_mb(cp.process.pid)
    finally:
        planes.stdin.close()
        planes.wait()
    missed = sum(a != f"{NODES}/{NODES}" for a in applied)
    if missed:
        ctx.note(f"nodes: {missed} of {len(applied)} changes were not acknowledged by all within a second")
    ctx.table["nodes"] = {"weir": {"synced_s": synced["seconds"], "applied_ms": median(waits), "worst_ms": max(waits)}}
    ctx.figures |= {"nodes_cpu_percent": cpu * 100, "nodes_rss_mb": peak}
    ctx.say(f"  nodes all synced in {synced['seconds']} s; a change on all of them in {median(waits):.1f} ms (worst {max(waits):.1f}); "
            f"control plane {cpu:.2%} of a core, {peak:.1f} MB")


ROWS["nodes"] = nodes
