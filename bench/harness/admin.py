"""The rows of the management API: until a new key is accepted everywhere, and changes beside long reports."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time

from . import gateways, planes, rows
from .rows import ROWS

PLANES, WORKERS = 3, 2
RATE = 500
REPORTS = 10
# when the workers are asked, after the request that makes a key was sent
KNOCKS_MS = [*range(2, 21), 25, 30, 35, 40, 45, 50, 60, 80, 100, 150, 250, 500, 1000, 2000]


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


# ---- a key made, until every worker accepts it ----

class Door:
    """A worker's connections, opened beforehand: one that a key was refused on is closed by the worker."""

    def __init__(self, weir, pid):
        self.weir, self.pid, self.idle = weir, pid, []

    def sockets(self):
        """The inodes of the worker's open sockets."""
        found = set()
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
        return found

    def knock(self, key):
        self.sock = self.idle.pop()
        self.sock.sendall(f"GET /v1/models HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer {key}\r\n\r\n".encode())

    def opens(self):
        """Whether the key was accepted."""
        response = http.client.HTTPResponse(self.sock)
        response.begin()
        body = response.read()
        if response.status not in (200, 401):
            raise gateways.Failed(f"admin: {response.status} {body[:300]}")
        if response.status == 200:
            self.idle.append(self.sock)
        else:
            self.sock.close()
        return response.status == 200


def server_inodes(port):
    """Of the connections to a port on loopback: client's port -> the socket at the server's end."""
    found = {}
    with open("/proc/net/tcp") as f:
        next(f)
        for line in f:
            _, local, remote, _, _, _, _, _, _, inode, *_ = line.split()
            if local.endswith(f":{port:04X}"):
                found[int(remote.rpartition(":")[2], 16)] = f"socket:[{inode}]"
    return found


def fill(doors):
    """Opens connections until each worker of a data plane has as many as KNOCKS may take."""
    port = doors[0].weir.port
    for _ in range(50):
        lacking = sum(max(0, len(KNOCKS_MS) - len(d.idle)) for d in doors)
        if not lacking:
            return
        opened = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(2 * lacking)]
        time.sleep(0.005)  # until they are accepted
        inodes, sockets = server_inodes(port), [d.sockets() for d in doors]
        for sock in opened:
            inode = inodes.get(sock.getsockname()[1])
            door = next((d for d, s in zip(doors, sockets) if inode in s), None)
            if door and len(door.idle) < 2 * len(KNOCKS_MS):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                door.idle.append(sock)
            else:
                sock.close()
    raise gateways.Failed("admin: a worker accepts no connections")


def until_accepted(cp, key, doors):
    """Milliseconds from sending the request that makes the key: until its answer, and until every worker accepts."""
    answered = []
    begin = time.monotonic()

    def make():
        planes.ask(cp, "/key/generate", {"key": key, "max_budget": 10})
        answered.append(time.monotonic())

    maker = threading.Thread(target=make)
    maker.start()
    waiting, last = list(doors), begin
    for due in KNOCKS_MS:
        time.sleep(max(0, begin + due / 1000 - time.monotonic()))
        for door in waiting:
            door.knock(key)
        refused = [door for door in waiting if not door.opens()]
        if len(refused) < len(waiting):
            last = time.monotonic()
        waiting = refused
        if not waiting:
            break
    maker.join()
    if waiting or not answered:
        raise gateways.Failed(f"admin: after {KNOCKS_MS[-1]} ms {len(waiting)} workers refuse a key\n{cp.tail()}")
    return (answered[0] - begin) * 1000, (last - begin) * 1000


def admin(ctx):
    """A key made through the API until each of two workers of three data planes accepts it."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, Weir, _ = planes.support(ctx)
    started, doors = [], []
    with Postgres() as pg, ControlPlane(pg.database()) as cp:
        planes.durable(pg)
        try:
            for _ in range(PLANES):
                started.append(Weir({"model_list": [{"model_name": "m", "litellm_params": {
                    "model": "openai/gpt-4o", "mock_response": "hello"}}],
                    "weir": {"control_plane": [cp.plane]}}, workers=WORKERS))
            planes.joined(cp, PLANES)
            doors = [[Door(weir, pid) for pid in weir.workers()] for weir in started]
            times = []
            for i in range(ctx.pick(40, 200)):
                for of_one in doors:
                    fill(of_one)
                times.append(until_accepted(cp, f"sk-bench-admin-{i:06d}", sum(doors, [])))
        finally:
            for sock in sum((d.idle for d in sum(doors, [])), []):
                sock.close()
            for weir in started:
                weir.stop()
    answers, accepted = zip(*times)
    ctx.table["admin"] = {"weir": {"answered_p50_ms": quantile(answers, 0.5), "answered_p99_ms": quantile(answers, 0.99),
                                   "accepted_p50_ms": quantile(accepted, 0.5), "accepted_p99_ms": quantile(accepted, 0.99),
                                   "accepted_max_ms": max(accepted)}}
    ctx.figures["admin_accepted_p99_ms"] = quantile(accepted, 0.99)
    ctx.say(f"  admin {ctx.table['admin']['weir']}")


# ---- changes beside reports ----

TAGS = 'INSERT INTO "LiteLLM_DailyTagSpend" (id, tag, date, api_key, model, custom_llm_provider, updated_at)' \
       " SELECT i, 'tag-' || i % 5000, to_char(date '2026-01-01' + i % 300, 'YYYY-MM-DD'), i % 10000, 'm', 'openai', now()" \
       " FROM generate_series(1, {}) i"
MIX = [("/key/generate", 0.2), ("/key/update", 0.2), ("/v2/key/info", 0.6)]


class Reports:
    """So many users that ask for the tags of all spend again and again, while the block runs."""

    def __init__(self, cp, count):
        self.cp, self.statuses, self.done = cp, [], threading.Event()
        self.keys = [planes.ask(cp, "/user/new", {"user_role": "proxy_admin_viewer"})["key"] for _ in range(count)]

    def ask(self, key):
        while not self.done.is_set():
            self.statuses.append(self.cp.get("/tag/list", key=key, timeout=60).status)

    def __enter__(self):
        self.threads = [threading.Thread(target=self.ask, args=(k,)) for k in self.keys]
        for t in self.threads:
            t.start()
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.done.set()
        for t in self.threads:
            t.join()


def changes(ctx, cp, kind, key, seconds):
    """RATE requests a second, open loop, on connections kept alive."""
    children = []
    for i, (path, share) in enumerate(MIX):
        body = {"/key/generate": {"metadata": {"made": "by bench"}}, "/key/update": {"key": key, "max_budget": 10},
                "/v2/key/info": {"keys": [key]}}[path]
        file = os.path.join(ctx.dir, f"crud-{i}.json")
        with open(file, "w") as f:
            json.dump(body, f)
        children.append(gateways.start_load(ctx, cp.port, path, key=cp.key, body=file, connections=16,
                                            rate=int(RATE * share), duration=seconds * 1000))
    results = [gateways.load_result(c) for c in children]
    for (path, _), r in zip(MIX, results):
        ctx.say(f"  crud {kind} {path}: {r['rps']:.0f}/s, p50 {r['latency_ns']['p50'] / 1e6:.1f} ms, "
                f"p99 {r['latency_ns']['p99'] / 1e6:.1f} ms")
    return {f"{kind}_p50_ms": rows.merged_quantile(results, "latency_ns", 0.5) / 1000,
            f"{kind}_p99_ms": rows.merged_quantile(results, "latency_ns", 0.99) / 1000,
            f"{kind}_slowest_p99_ms": max(r["latency_ns"]["p99"] for r in results) / 1e6,  # of the three routes
            f"{kind}_rps": sum(r["rps"] for r in results)}


def crud(ctx):
    """500 management requests a second, alone and while ten reports of a million rows are asked for."""
    if "weir" not in ctx.gateways:
        return
    ControlPlane, Postgres, _, _ = planes.support(ctx)
    count, seconds = ctx.pick(100_000, 1_000_000), ctx.pick(3, 8)
    row, statuses = {}, []
    with Postgres() as pg:
        url = pg.database()
        ControlPlane(url).stop()
        pg.sql(url, TAGS.format(count))
        planes.durable(pg)
        pg.sql(url, "VACUUM ANALYZE; CHECKPOINT")
        for kind, at_once in (("scanned", REPORTS), ("queued", None)):
            with ControlPlane(url, {"weir": {"report_threads": at_once}} if at_once else {}) as cp:
                key = planes.ask(cp, "/key/generate", {})["key"]
                if not row:
                    row |= changes(ctx, cp, "alone", key, seconds)
                with Reports(cp, REPORTS) as reports:
                    row |= changes(ctx, cp, kind, key, seconds)
                statuses += reports.statuses
    if set(statuses) != {200}:
        raise gateways.Failed(f"crud: reports were answered {sorted(set(statuses))}")
    row["reports"] = len(statuses)
    ctx.table["crud"] = {"weir": row}
    ctx.figures |= {"crud_p99_ms": row["scanned_p99_ms"], "crud_queued_p99_ms": row["queued_p99_ms"]}
    if ctx.quick:
        ctx.note(f"crud: {count:,} rows of spend instead of a million")


ROWS |= {f.__name__: f for f in (admin, crud)}
