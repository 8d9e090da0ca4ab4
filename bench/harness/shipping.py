"""Rows of usage on its way from data planes to the ledger: a backlog, and a single request."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from statistics import median

from . import gateways, machine
from .planes import ask, durable, joined, support
from .rows import ROWS

OUTAGE_S = 600
RATE = 2000
KEYS = 1000
CRUD_RATE = 50

SAY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def keys(pg, url):
    pg.sql(url, f"""INSERT INTO "LiteLLM_TeamTable" (team_id) SELECT 'team-' || i FROM generate_series(0, {KEYS // 10}) i;
                    INSERT INTO "LiteLLM_UserTable" (user_id) SELECT 'user-' || i FROM generate_series(0, {KEYS // 2}) i;
                    INSERT INTO "LiteLLM_VerificationToken" (token, key_name, models, team_id, user_id)
                    SELECT lpad(to_hex(i), 64, '0'), 'sk-...abcd', '{{}}', 'team-' || i / 10, 'user-' || i / 2
                    FROM generate_series(0, {KEYS - 1}) i""")


class Crud:
    """Keys made, changed and read, open loop, while it lasts: the milliseconds of each request from when it was due."""

    def __init__(self, cp):
        self.cp, self.ms, self.ends = cp, [], threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(2)]
        for t in self.threads:
            t.start()

    def _run(self, which):
        step, due, key = 2 / CRUD_RATE, time.monotonic() + which / CRUD_RATE, None
        n = 0
        while not self.ends.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            if n % 3 == 0:
                key = self.cp.post("/key/generate", {}).json["key"]
            elif n % 3 == 1:
                assert self.cp.post("/key/update", {"key": key, "metadata": {"n": n}}).status == 200
            else:
                assert self.cp.get(f"/key/info?key={key}").status == 200
            self.ms.append((time.monotonic() - due) * 1e3)
            due, n = due + step, n + 1

    def stop(self):
        self.ends.set()
        for t in self.threads:
            t.join()
        return sorted(self.ms)


def drain(ctx):
    """A backlog of ten minutes at 2,000 requests/s, shipped and counted, beside 50 management requests/s."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, Weir, _ = support(ctx)
    records = ctx.pick(120_000, OUTAGE_S * RATE)
    state = tempfile.mkdtemp(prefix="weir-drain-")
    try:
        os.mkdir(f"{state}/spool", 0o700)
        made = json.loads(subprocess.run([f"{ctx.build}/bench/weir-bench-spool", f"{state}/spool", str(records), str(KEYS),
                                          str(OUTAGE_S)], check=True, stdout=subprocess.PIPE, text=True).stdout)
        with Postgres() as pg:
            durable(pg)
            url = pg.database()
            ControlPlane(url).stop()
            keys(pg, url)
            with ControlPlane(url) as cp:
                row = drained(ctx, cp, pg, url, Weir, state, made)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    ctx.table["drain"] = {"weir": row}
    if ctx.quick:
        ctx.note(f"drain: {records:,} records instead of {OUTAGE_S * RATE:,}")
    ctx.figures |= {"drain_s": row["seconds"] * OUTAGE_S * RATE / records, "drain_crud_p99_ms": row["crud_p99_ms"],
                    "drain_rss_mb": row["rss_mb"]}


def taken(pg, url):
    return int(pg.sql(url, "SELECT coalesce(sum(records), 0) FROM weir.spool")[0][0])


def drained(ctx, cp, pg, url, Weir, state, made):
    crud = Crud(cp)
    time.sleep(3)
    alone, crud.ms = sorted(crud.ms), []
    began = time.monotonic()
    config = {"model_list": [], "general_settings": {"store_model_in_db": True}, "weir": {"control_plane": [cp.plane]}}
    with Weir(config, env={"WEIR_STATE_DIR": state}) as weir:
        while taken(pg, url) < made["records"]:
            if time.monotonic() - began > 300:
                raise gateways.Failed(f"drain: {taken(pg, url)} of {made['records']}\n{cp.tail()}\n{weir.tail()}")
            time.sleep(0.2)
        seconds = time.monotonic() - began
        ms = crud.stop()
        rss = machine.peak_mb(cp.process.pid)
        rows, spend = pg.sql(url, 'SELECT count(*), sum(spend) FROM "LiteLLM_SpendLogs"')[0]
        if int(rows) != made["records"] or abs(float(spend) * 1e9 - made["nusd"]) > 1000:
            raise gateways.Failed(f"drain: {rows} rows of {spend} dollars instead of {made}")
    row = {"records": made["records"], "bytes": made["bytes"], "seconds": seconds,
           "records_per_s": made["records"] / seconds, "crud_p50_ms": median(ms), "crud_p99_ms": ms[int(len(ms) * 0.99)],
           "crud_max_ms": ms[-1], "crud_alone_p99_ms": alone[int(len(alone) * 0.99)], "rss_mb": rss}
    ctx.say(f"  drain: {row['records']:,} records in {seconds:.1f} s, {row['records_per_s']:,.0f}/s; management p50 "
            f"{row['crud_p50_ms']:.1f} ms, p99 {row['crud_p99_ms']:.1f} ms (alone {row['crud_alone_p99_ms']:.1f}), "
            f"control plane {rss:.0f} MB")
    return row


def visible(ctx):
    """From the answer of a request until its cost stands in the spend of its key."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, Weir, _ = support(ctx)
    store = {"general_settings": {"store_model_in_db": True}}
    with Postgres() as pg:
        durable(pg)
        with ControlPlane(pg.database(), store) as cp:
            ask(cp, "/model/new", {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "ok"},
                                   "model_info": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}})
            key = ask(cp, "/key/generate", {})["key"]
            with Weir({"model_list": [], **store, "weir": {"control_plane": [cp.plane]}}) as weir:
                joined(cp)
                weir.wait(lambda: weir.post("/v1/chat/completions", SAY, key=key).status == 200, 10, "the key")
                time.sleep(1)
                ms = sorted(seen(cp, weir, key) for _ in range(ctx.pick(30, 200)))
    row = {"p50_ms": median(ms), "p99_ms": ms[int(len(ms) * 0.99)], "max_ms": ms[-1]}
    ctx.table["visible"] = {"weir": row}
    ctx.figures["visible_p99_ms"] = row["p99_ms"]
    ctx.say(f"  visible: p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms, the longest {row['max_ms']:.0f} ms")


def seen(cp, weir, key):
    def spend():
        return cp.get(f"/key/info?key={key}").json["info"]["spend"]

    before = spend()
    reply = weir.post("/v1/chat/completions", SAY, key=key)
    done = time.monotonic()
    if reply.status != 200:
        raise gateways.Failed(f"visible: {reply.status} {reply.body[:200]}")
    while spend() == before:
        if time.monotonic() - done > 10:
            raise gateways.Failed(f"visible: not within 10 s\n{cp.tail()}\n{weir.tail()}")
        time.sleep(0.002)
    return (time.monotonic() - done) * 1e3


ROWS |= {f.__name__: f for f in (drain, visible)}
