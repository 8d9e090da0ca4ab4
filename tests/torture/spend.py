#!/usr/bin/env python3
"""Kill whatever counts money, at any moment, and see whether every cent is there once.

    tests/torture/spend.py [--rounds 300] [--clients 8] [--workers 2] [--seed N]

Both planes and a private PostgreSQL under mixed load: requests of several APIs and keys, from clients that leave at any
byte, to an upstream that delays, breaks off and fails. Each round a process gets KILL: a worker, the link, the manager
(then what is left of its pod, as a supervisor does), the control plane, a backend of the database; what does not come
back by itself is started again. Then, against what the upstream says it billed:

    each request that arrived there has exactly one row; none has two
    the row of an undisturbed exchange has the upstream's tokens, and their price to the nano-dollar
    that of a disturbed one says so, and its price is that of its tokens
    rows, daily tables, totals and spools agree (GET /weir/spend/verify), LiteLLM's columns are the nearest doubles

WEIR_BUILD names the build under test (build/release/dataplane). The seed is printed; what happens when is not its alone.
"""

import argparse
import collections
import contextlib
import json
import logging
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import dialects, http, speak, standard
from support.controlplane import PROGRAM, ControlPlane
from support.mock_provider import RST, Delay, Mock
from support.postgres import Postgres
from support.weir import Weir, program

PATIENCE_S = 30
VICTIMS = ("worker", "link", "manager", "control plane", "database")
NUSD = 10**9
# pico-dollars a token, by bucket
OPENAI = {"input": 1_250_000, "cache_read": 125_000, "output": 10_000_000, "reasoning": 10_000_000}
CLAUDE = {"input": 3_000_000, "cache_read": 300_000, "cache_write": 3_750_000, "cache_write_1h": 6_000_000,
          "output": 15_000_000, "reasoning": 15_000_000}  # fmt: skip
IN = ("input", "cache_read", "cache_write", "cache_write_1h")
OUT = ("output", "reasoning")


def price(entry):
    """Nano-dollars of what the upstream billed, half up."""
    of = CLAUDE if entry.api == "messages" else OPENAI
    return (sum(getattr(entry, bucket) * pusd for bucket, pusd in of.items()) + 500) // 1000


# --- the upstream ----------------------------------------------------------------------------------------------------


class Upstream:
    """Says what it billed for each tag, which is the end user of the request."""

    def __init__(self, seed):
        self.seed = seed
        self.billed = collections.defaultdict(list)  # tag -> speak.Entry of each arrival; None: it failed
        self.mock = Mock(default=self._script)

    def _script(self, request):
        tag = tag_of(request)
        rng = random.Random(f"{self.seed}/{tag}")
        if rng.random() < 0.04:
            self.billed[tag].append(None)
            return dialects.error(request, rng.choice([429, 500, 503]))
        for api, usage in speak.USAGE.items():  # no two requests cost the same
            speak.USAGE[api] = {bucket: rng.randrange(1, 5000) for bucket in usage}
        steps = dialects.default(request)
        entry = next(reversed(self.mock.ledger.values()))
        self.billed[tag].append(entry)
        return self._paced(rng, entry, steps)

    def _paced(self, rng, entry, steps):
        cut = rng.random() < 0.05 and rng.randrange(len(steps))
        for n, step in enumerate(steps):
            if cut and n == cut:
                yield RST
                return
            if isinstance(step, bytes):
                yield Delay(rng.random() * 0.03)
            yield step


def tag_of(request):
    body = request.json
    return body.get("user") or (body.get("metadata") or {}).get("user_id") or ""


def config(url):
    models = [standard.openai("t-gpt", "gpt-up", url, model_info=standard.PRICES),
              standard.openai("t-emb", "emb-up", url, model_info=standard.PRICES),
              standard.anthropic("t-claude", "claude-up", url, model_info=standard.CLAUDE_PRICES)]  # fmt: skip
    return {"model_list": models, "router_settings": {"num_retries": 0, "disable_cooldowns": True}}


# --- clients -----------------------------------------------------------------------------------------------------------


def body_of(rng, tag):
    say = [{"role": "user", "content": "x" * rng.randrange(1, 3000)}]
    stream = rng.random() < 0.6
    return rng.choice([
        ("/v1/chat/completions", {"model": "t-gpt", "messages": say, "user": tag, "stream": stream}),
        ("/v1/chat/completions", {"model": "t-gpt", "messages": say, "user": tag, "stream": True, "stream_options": {"include_usage": True}}),
        ("/v1/completions", {"model": "t-gpt", "prompt": "y", "user": tag, "stream": stream}),
        ("/v1/embeddings", {"model": "t-emb", "input": "z", "user": tag}),
        ("/v1/responses", {"model": "t-gpt", "input": "w", "user": tag, "stream": stream}),
        ("/v1/messages", {"model": "t-claude", "max_tokens": 9, "messages": say, "metadata": {"user_id": tag}, "stream": stream}),
        ("/v1/messages", {"model": "t-gpt", "max_tokens": 9, "messages": say, "metadata": {"user_id": tag}, "stream": stream}),
    ])  # fmt: skip


class Clients:
    def __init__(self, seed, port, keys, n):
        self.seed, self.port, self.keys = seed, port, keys
        self.whole, self.faults = set(), []  # tags that were answered to the end
        self.counts = collections.Counter()
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def stop(self):
        self.end.set()
        for t in self.threads:
            t.join(3 * PATIENCE_S)
            if t.is_alive():
                self.faults.append("a client does not end")

    def _run(self, n):
        rng = random.Random(f"{self.seed}/client/{n}")
        turn = 0
        while not self.end.is_set():
            turn += 1
            try:
                with http.Client(self.port, PATIENCE_S) as c:
                    for i in range(rng.randrange(1, 6)):
                        if not self._one(rng, c, f"t{n}-{turn}-{i}"):
                            break
            except TimeoutError:
                self.faults.append(f"t{n}-{turn}-{i}: neither answered nor cut within {PATIENCE_S} s")
            except (OSError, EOFError) as e:
                self.counts[type(e).__name__] += 1
                time.sleep(0.02)

    def _one(self, rng, c, tag):
        path, body = body_of(rng, tag)
        c.send(http.request("POST", path, rng.choice(self.keys), json.dumps(body).encode()))
        if rng.random() < 0.25:  # leaves at any byte
            left = rng.choice([0, 1, rng.randrange(4000)])
            c.sock.settimeout(0.3)  # more does not come
            with contextlib.suppress(TimeoutError):
                while left > 0 and (got := c.sock.recv(left)):
                    left -= len(got)
            time.sleep(rng.random() * 0.02)
            rng.choice([c.close, c.reset])()
            self.counts["left"] += 1
            return False
        reply = c.read_reply()
        self.counts[f"status {reply.status} {reply.end}"] += 1
        ends = not body.get("stream") or any(w in reply.body for w in (b"[DONE]", b'"message_stop"', b'"response.completed"'))
        if reply.status == 200 and reply.end in ("length", "chunked") and ends:
            self.whole.add(tag)
        return reply.end in ("length", "chunked") and reply.header("connection") != "close"


# --- the victims -----------------------------------------------------------------------------------------------------


class Site:
    def __init__(self, seed, workers=2):
        self.rng = random.Random(f"{seed}/site")
        self.n_workers = workers
        self.postgres = Postgres()
        self.upstream = Upstream(seed)
        made = config(self.upstream.mock.url)
        database = self.postgres.database()
        # what is committed outlives a crash of the server, as in life
        self.postgres.sql(database, f"ALTER DATABASE {self.postgres.name(database)} SET synchronous_commit = on")
        self.cp = ControlPlane(database, made)
        self.keys = [self.cp.key, *self._make_keys()]
        self.weir = Weir({**made, "weir": {"control_plane": [self.cp.plane]}}, workers=workers)
        self.cp.wait(lambda: [n for n in self.cp.get("/weir/nodes").json["nodes"] if not n["lag"]], what="a data plane in step")

    def _make_keys(self):
        self.cp.post("/organization/new", {"organization_id": "org", "organization_alias": "Org", "max_budget": 1e6})
        self.cp.post("/team/new", {"team_id": "red", "team_alias": "Red", "organization_id": "org"})
        self.cp.post("/user/new", {"user_id": "ann", "auto_create_key": False})
        for body in ({"team_id": "red", "tags": ["a", "b"]}, {"user_id": "ann", "tags": ["b"]}, {}):
            reply = self.cp.post("/key/generate", {**body, "models": []})
            assert reply.status == 200, reply.body
            yield reply.json["key"]

    def close(self, ok):
        for p in (self.weir, self.cp):
            p.stop() if ok else p.kill()
        self.postgres.__exit__()

    # --- KILL

    def kill(self, what):
        """Says what was there to kill, and sees to it that it comes back."""
        return {"worker": self._worker, "link": self._link, "manager": self._manager, "control plane": self._control_plane,
                "database": self._database}[what]()  # fmt: skip

    def _pod(self):
        self.weir.wait(lambda: self.weir.is_ready() and self.weir.link() and len(self.weir.workers()) == self.n_workers, PATIENCE_S, "the pod")

    def _worker(self):
        pid = self.rng.choice(self.weir.workers())
        os.kill(pid, 9)
        self.weir.wait(lambda: pid not in self.weir.workers(), 5, "its end")
        self._pod()

    def _link(self):
        pid = self.weir.link()
        os.kill(pid, 9)
        self.weir.wait(lambda: self.weir.link() not in (None, pid), 15, "another link")

    def _manager(self):
        weir = self.weir
        children = weir._children()
        left = self.rng.sample(sorted(children), len(children))
        weir.process.kill()
        weir.process.wait()
        time.sleep(self.rng.random() * 0.2)
        for pid in left:  # as what has started the manager does with the rest of its pod
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
            time.sleep(self.rng.choice([0, 0.005]))
        weir.wait(lambda: not any(weir._alive(pid, start) for pid, (start, _) in children.items()), 5, "the end of its pod")
        argv = [program("weir-dataplane", weir.build), "--config", str(weir.config), "--port", str(weir.port)]
        with weir.stderr.open("ab") as log:
            weir.process = subprocess.Popen(argv, env=weir.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=weir.dir)
        weir.pid = weir.process.pid
        self._pod()

    def _control_plane(self):
        cp = self.cp
        cp.process.kill()
        cp.process.wait()
        time.sleep(self.rng.random() * 0.3)
        argv = [str(PROGRAM), "--config", str(cp.config), "--port", str(cp.port)]
        end = time.monotonic() + PATIENCE_S
        while True:  # it may end again, as long as the database recovers
            with cp.stderr.open("ab") as log:
                cp.process = subprocess.Popen(argv, env=cp.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cp.dir)
            with contextlib.suppress(AssertionError):
                cp.wait_ready()
                return
            assert cp.process.poll() is not None and time.monotonic() < end, cp.tail()

    def _database(self):
        """One backend: the server ends all of them and recovers."""
        end = time.monotonic() + 5
        while time.monotonic() < end:  # it may recover from the last time
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                pids = self.postgres.pids()[1:]
                for pid in self.rng.sample(pids, len(pids)):
                    # not one that has no name yet: it may be the server's own, without which it does not recover
                    if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"postgres: weir "):
                        os.kill(pid, 9)
                        return
            time.sleep(0.05)

    # --- what is in the database

    def sql(self, text, *args):
        return self.postgres.sql(self.cp.database, "SET search_path = public; " + text, *args)

    def rows(self):
        """end user -> its rows."""
        rows = collections.defaultdict(list)
        for (text,) in self.sql("""SELECT jsonb_build_object('tag', end_user, 'id', request_id, 'nusd', round((spend * 1e9)::numeric),
                'spend', spend, 'prompt', prompt_tokens, 'completion', completion_tokens, 'status', status, 'weir', metadata -> 'weir',
                'usage', metadata -> 'usage_object', 'key', api_key, 'team', team_id, 'user', "user", 'org', organization_id)
                FROM "LiteLLM_SpendLogs" """):
            row = json.loads(text)
            rows[row["tag"]].append(row)
        return rows


# --- the audit ---------------------------------------------------------------------------------------------------------


def is_flagged(row):
    return bool(row["weir"].get("estimated") or row["weir"].get("died") or row["weir"].get("client_gone") or row["weir"].get("error"))


class Audit:
    def __init__(self, site, clients):
        self.site, self.whole = site, clients.whole
        self.billed = dict(site.upstream.billed)
        self.hung = clients.faults
        self.faults = []
        self.faults += [f"the upstream failed: {e!r}" for e in site.upstream.mock.failures if not isinstance(e, OSError)]

    def run(self):
        self._wait()
        self.rows = self.site.rows()
        for tag in self.rows.keys() | self.billed.keys():
            self._tag(tag, self.rows.get(tag, []), self.billed.get(tag, []))
        for fault in self.hung:
            tag = fault.split(":")[0]
            self.faults.append(f"{fault}; billed {self.billed.get(tag)}, recorded {self.rows.get(tag)}")
        self._estimates()
        self._sums()
        self._verify()
        return self.faults

    def _wait(self):
        """Until what arrived has rows, or as long as an outage of everything may take."""
        end = time.monotonic() + 60
        missing = 1
        while missing and time.monotonic() < end:
            time.sleep(0.5)
            with contextlib.suppress(AssertionError):  # the database recovers
                there = {t for t, in self.site.sql('SELECT DISTINCT end_user FROM "LiteLLM_SpendLogs"')}
                missing = len(set(self.billed) - there)
        time.sleep(1)  # what comes twice would be there by now

    def _tag(self, tag, rows, billed):
        if len(rows) != 1:
            self.faults.append(f"{len(rows)} rows of {tag}, which arrived {len(billed)} times")
            return
        (row,) = rows
        entries = {e.id: e for e in billed if e}
        entry = entries.get(row["weir"].get("response_id"))
        if not entry and len(billed) == 1 and billed[0] and billed[0].api == "embeddings":
            entry = billed[0]  # their replies have no id
        if tag in self.whole and not entry:
            self.faults.append(f"the row of {tag}, which was answered, is of {row['weir']}")
        if not entry:
            if not is_flagged(row):
                self.faults.append(f"the row of {tag}, which nobody billed, says nothing of it: {row}")
            return
        tokens = sum(getattr(entry, b) for b in IN), sum(getattr(entry, b) for b in OUT)
        is_exact = (row["prompt"], row["completion"]) == tokens and row["nusd"] == price(entry)
        is_nothing = not row["nusd"] and is_flagged(row)
        if not is_exact and not is_nothing and not row["weir"].get("estimated"):
            self.faults.append(f"{tag}: {entry} costs {price(entry)}, recorded is {row}")
        if tag in self.whole and entry.told and not is_exact and not row["weir"].get("estimated"):
            self.faults.append(f"{tag}: it was undisturbed, {price(entry)} was billed, recorded is {row}")
        if row["spend"] != row["nusd"] / NUSD:
            self.faults.append(f"{tag}: {row['spend']!r} is not the double nearest to {row['nusd']}")

    def _estimates(self):
        told = {t for t, entries in self.billed.items() if all(e and e.told for e in entries)}  # the upstream did not break off
        whole = [self.rows[t][0] for t in self.whole & told if len(self.rows.get(t, [])) == 1]
        estimated = [r for r in whole if r["weir"].get("estimated")]
        self.n_estimated = len(estimated)
        if self.n_estimated * 1000 > len(whole):
            self.faults.append(f"{self.n_estimated} of {len(whole)} undisturbed exchanges are estimates: {estimated[:3]}")

    def _sums(self):
        """Totals and columns against rows, added here."""
        sums = collections.Counter()
        for row in (r for rows in self.rows.values() for r in rows):
            for kind, id_ in (("key", row["key"]), ("team", row["team"]), ("user", row["user"]), ("organization", row["org"]), ("end_user", row["tag"])):
                sums[kind, id_ or ""] += int(row["nusd"])
        for kind, id_, nusd in self.site.sql("SELECT kind, id, spend_nusd FROM weir.total WHERE kind IN ('key', 'team', 'user', 'organization', 'end_user')"):
            if sums[kind, id_] != int(nusd):
                self.faults.append(f"the total of {kind} {id_} is {nusd}, its rows are {sums[kind, id_]}")
        for kind, table, column in (("key", "VerificationToken", "token"), ("team", "TeamTable", "team_id"), ("user", "UserTable", "user_id"),
                                    ("organization", "OrganizationTable", "organization_id"), ("end_user", "EndUserTable", "user_id")):  # fmt: skip
            for id_, spend in self.site.sql(f'SELECT {column}, spend::text FROM "LiteLLM_{table}"'):
                if float(spend) != sums[kind, id_] / NUSD and id_ != "litellm-proxy-budget":
                    self.faults.append(f"spend of {kind} {id_} is {spend}, its rows are {sums[kind, id_]}")

    def _verify(self):
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400))
        reply = self.site.cp.get(f"/weir/spend/verify?from={day}", timeout=90)
        if reply.status != 200 or reply.json["differences"]:
            self.faults.append(f"verify: {reply.body[:2000]}")


def torture(rounds, seed, clients=8, workers=2, say=lambda text: None):
    """What was found to be wrong, and a summary."""
    rng = random.Random(f"{seed}/rounds")
    site = Site(seed, workers)
    killed = collections.Counter()
    faults = ["it did not end"]
    try:
        load = Clients(seed, site.weir.port, site.keys, clients)
        try:
            for n in range(rounds):
                time.sleep(rng.random() * 0.6)
                what = rng.choice(VICTIMS)
                site.kill(what)
                killed[what] += 1
                if n % 20 == 19:
                    say(f"{n + 1} rounds, {len(site.upstream.billed)} requests, {dict(killed)}")
            time.sleep(1)
        finally:
            load.stop()
        audit = Audit(site, load)
        faults = audit.run()
        rows = [r for rows in audit.rows.values() for r in rows]
        died = sum(bool(r["weir"].get("died")) for r in rows)
        summary = (f"{rounds} rounds {dict(killed)}; {len(audit.billed)} requests arrived, {len(load.whole)} answered whole, "
                   f"{len(rows)} rows, {died} settled for the dead, {audit.n_estimated} undisturbed are estimates, "
                   f"${sum(r['nusd'] for r in rows) / NUSD:.9f}; {dict(load.counts)}")  # fmt: skip
        return faults, summary
    finally:
        site.close(not faults)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=300)
    p.add_argument("--clients", type=int, default=8)
    p.add_argument("--workers", type=int, default=2)
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    a = p.parse_args()
    print(f"seed {a.seed}", flush=True)
    logging.disable()  # of asyncio, about peers that are gone
    faults, summary = torture(a.rounds, a.seed, a.clients, a.workers, lambda text: print(text, flush=True))
    print(summary)
    for fault in faults[:20]:
        print("FAULT:", fault)
    print(f"{len(faults)} faults" if faults else "nothing was found")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
