"""Both planes and a real database: what a request cost is in the ledger a moment later, once, whatever dies on the way
(threats M-02, F-PG, F-CP)."""

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support.controlplane import STORE, ControlPlane

SAY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
COST = 10 * 1e-6 + 20 * 2e-6  # of a canned reply: 10 and 20 tokens


@pytest.fixture
def short():
    with tempfile.TemporaryDirectory(prefix="weir-us-") as path:
        yield Path(path)


def prepare(cp):
    """A model that costs something, and a key."""
    reply = cp.post("/model/new", {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "ok"},
                                   "model_info": {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}})  # fmt: skip
    assert reply.status == 200, reply.body
    return cp.post("/key/generate", {"key_alias": "k"}).json


def serves(weir, key):
    weir.wait(lambda: weir.post("/v1/chat/completions", SAY, key=key).status == 200, 15, "the key is served")


class Load:
    """Requests from several clients until it ends: how many were answered."""

    def __init__(self, weir, key, clients=3):
        self.n, self.lock, self.ends = 0, threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(weir, key)) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def _run(self, weir, key):
        while not self.ends.is_set():
            with contextlib.suppress(OSError):
                if weir.post("/v1/chat/completions", SAY, key=key).status == 200:
                    with self.lock:
                        self.n += 1

    def stop(self):
        self.ends.set()
        for t in self.threads:
            t.join()
        return self.n


def ledger(postgres, database):
    """(rows, distinct requests, sum) of the logs, and what the key and the daily rows say."""
    (row,) = postgres.sql(database, 'SELECT count(*), count(DISTINCT request_id), coalesce(sum(spend), 0) FROM "LiteLLM_SpendLogs"')
    ((key,),) = postgres.sql(database, 'SELECT coalesce(sum(spend), 0) FROM "LiteLLM_VerificationToken"')
    (daily,) = postgres.sql(
        database, 'SELECT coalesce(sum(spend), 0), coalesce(sum(api_requests), 0) FROM "LiteLLM_DailyUserSpend"'
    )
    return int(row[0]), int(row[1]), float(row[2]), float(key), float(daily[0]), int(daily[1])


def agrees(cp, postgres, database, n, timeout=60.0):
    """n exchanges of the key, everywhere, to the nano-dollar."""
    cp.wait(lambda: ledger(postgres, database)[0] >= n, timeout, f"{n} rows")
    time.sleep(0.3)  # what comes twice would be there by now
    rows, requests, spend, key, daily, daily_n = ledger(postgres, database)
    assert (rows, requests, daily_n) == (n, n, n)
    for what in (spend, key, daily):
        assert abs(what - n * COST) < 5e-10, (what, n * COST)


def test_a_request_is_seen_at_once(start, data, database, postgres):
    cp = start(database, STORE)
    key = prepare(cp)
    weir = data(cp.plane)
    serves(weir, key["key"])
    agrees(cp, postgres, database, 1)
    begin = time.monotonic()
    reply = weir.post("/v1/chat/completions", SAY, key=key["key"])
    agrees(cp, postgres, database, 2)
    assert time.monotonic() - begin < 2.5
    (row,) = postgres.sql(database, 'SELECT api_key, model, call_type, spend, total_tokens FROM "LiteLLM_SpendLogs"'
                                    f" WHERE request_id IN ('{reply.json['id']}', '{reply.header('x-litellm-call-id')}')")  # fmt: skip
    assert row[0] == key["token"] and float(row[3]) == pytest.approx(COST) and int(row[4]) == 30
    info = cp.get(f"/key/info?key={key['key']}").json["info"]
    assert info["spend"] == pytest.approx(2 * COST)
    cp.wait(lambda: cp.get("/weir/nodes").json["nodes"][0]["unshipped_bytes"] == 0, 15, "nothing waits")
    node = cp.get("/weir/nodes").json["nodes"][0]
    assert node["unshipped_seconds"] == 0 and node["spool_full"] is False


REMEMBER = """CREATE SCHEMA was; CREATE TABLE was.spool AS TABLE weir.spool; CREATE TABLE was.total AS TABLE weir.total;
    CREATE TABLE was.logs AS TABLE "LiteLLM_SpendLogs"; CREATE TABLE was.keys AS TABLE "LiteLLM_VerificationToken";
    CREATE TABLE was.daily AS TABLE "LiteLLM_DailyUserSpend";"""
FALL_BACK = """BEGIN; SELECT FROM weir.spool FOR UPDATE;
    UPDATE weir.spool s SET segment = w.segment, "offset" = w."offset", records = w.records FROM was.spool w WHERE s.id = w.id;
    UPDATE weir.total t SET spend_nusd = w.spend_nusd, requests = w.requests FROM was.total w WHERE (t.kind, t.id) = (w.kind, w.id);
    DELETE FROM "LiteLLM_SpendLogs" WHERE request_id NOT IN (SELECT request_id FROM was.logs);
    UPDATE "LiteLLM_VerificationToken" t SET spend = w.spend FROM was.keys w WHERE t.token = w.token;
    UPDATE "LiteLLM_DailyUserSpend" t SET spend = w.spend, api_requests = w.api_requests FROM was.daily w WHERE t.id = w.id;
    COMMIT;"""


def say(weir, key, n):
    for _ in range(n):
        assert weir.post("/v1/chat/completions", SAY, key=key).status == 200


def test_database_falls_back(start, data, database, postgres):
    """What it had committed is gone, cursor and rows, while everybody goes on: what lies on the links' disks comes again."""
    cp = start(database, STORE)
    key = prepare(cp)
    weir = data(cp.plane)
    serves(weir, key["key"])
    say(weir, key["key"], 9)
    agrees(cp, postgres, database, 10)
    postgres.sql(database, REMEMBER)
    n = 10
    for _ in range(2):
        for _ in range(4):
            say(weir, key["key"], 5)
            time.sleep(0.1)
        agrees(cp, postgres, database, n + 20)
        postgres.sql(database, FALL_BACK)
        assert ledger(postgres, database)[0] == 10
        say(weir, key["key"], 1)  # lies beyond what is counted now
        n += 21
        agrees(cp, postgres, database, n)
    assert postgres.sql(database, "SELECT count(*) FROM weir.spool_gap") == [("0",)]
    assert "usage_fell_back" in weir.log()


def test_an_older_backup_is_restored(data, database, postgres, short):
    env = {"WEIR_RUN_DIR": str(short)}
    cp = ControlPlane(database, STORE, env=env)
    try:
        key = prepare(cp)
        weir = data(f"ipc://{short}/plane.sock")
        serves(weir, key["key"])
        say(weir, key["key"], 9)
        agrees(cp, postgres, database, 10)
        cp.stop()
        backup = postgres.database(template=postgres.name(database))
        cp = ControlPlane(database, STORE, env=env)
        say(weir, key["key"], 20)
        agrees(cp, postgres, database, 30)
        cp.stop()
        cp = ControlPlane(backup, STORE, env=env)
        say(weir, key["key"], 1)
        agrees(cp, postgres, backup, 31)
        assert postgres.sql(backup, "SELECT count(*) FROM weir.spool_gap") == [("0",)]
    finally:
        cp.stop()


def test_a_cursor_set_back_by_hand_counts_again(start, data, database, postgres):
    """Its rows were not lost: each record stands twice, under another request_id; nothing is un-billed or refused."""
    cp = start(database, STORE)
    key = prepare(cp)
    weir = data(cp.plane)
    serves(weir, key["key"])
    say(weir, key["key"], 9)
    agrees(cp, postgres, database, 10)
    postgres.sql(database, """UPDATE weir.spool SET segment = 0, "offset" = 0""")
    say(weir, key["key"], 1)
    agrees(cp, postgres, database, 21)
    assert postgres.sql(database, "SELECT (SELECT count(*) FROM weir.spool_gap) + (SELECT count(*) FROM weir.spool_refused)") == [("0",)]


@pytest.mark.slow
def test_control_plane_killed_at_any_moment(data, database, postgres, short):
    rng = random.Random(11)
    env = {"WEIR_RUN_DIR": str(short)}
    cp = ControlPlane(database, STORE, env=env)
    key = prepare(cp)
    weir = data(f"ipc://{short}/plane.sock", workers=2)
    serves(weir, key["key"])
    load = Load(weir, key["key"])
    try:
        for _ in range(6):
            time.sleep(rng.uniform(0.3, 1.2))
            cp.process.send_signal(signal.SIGKILL)
            cp.process.wait()
            cp._stopped = True
            cp = ControlPlane(database, STORE, env=env)
        time.sleep(0.5)
    finally:
        n = load.stop()
    try:
        assert n > 50
        agrees(cp, postgres, database, n + 1)
    finally:
        cp.stop()


@pytest.mark.slow
def test_database_away_and_back(start, data, database, postgres):
    cp = start(database, STORE)
    key = prepare(cp)
    weir = data(cp.plane)
    serves(weir, key["key"])
    load = Load(weir, key["key"])
    try:
        time.sleep(0.5)
        for mode in ("immediate", "freeze"):
            if mode == "freeze":
                postgres.freeze()
                time.sleep(3)
                postgres.thaw()
            else:
                postgres.stop()
                time.sleep(2)
                postgres.start()
            time.sleep(1)
    finally:
        n = load.stop()
    agrees(cp, postgres, database, n + 1)


@pytest.mark.slow
def test_two_pods_and_their_links_killed(start, data, database, postgres):
    cp = start(database, STORE)
    key = prepare(cp)
    pods = [data(cp.plane) for _ in range(2)]
    for weir in pods:
        serves(weir, key["key"])
    loads = [Load(weir, key["key"], 2) for weir in pods]
    rng = random.Random(5)
    try:
        for _ in range(8):
            time.sleep(rng.uniform(0.05, 0.5))
            weir = rng.choice(pods)
            pid = weir.wait(weir.link, 10, "a link")
            os.kill(pid, signal.SIGKILL)
            weir.wait(lambda weir=weir, pid=pid: weir.link() not in (None, pid), 15, "another link")
    finally:
        n = sum(load.stop() for load in loads)
    agrees(cp, postgres, database, n + 2)
