"""The lane of reports: one of a user at a time, cancelled with its caller, read from a replica where there is one."""

import concurrent.futures
import json
import time

import pytest
from support import http
from support.ledger import Ledger
from support.postgres import locked
from support.tenants import Tenants

DAYS = "start_date=2026-01-01&end_date=2026-01-03"
REPORT = f"/user/daily/activity/aggregated?{DAYS}"
TABLE = '"LiteLLM_DailyUserSpend"'


def running(postgres, url, name="weir report"):
    """Reports that the server works on."""
    return int(postgres.sql(url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'active' AND datname = current_database()", name)[0][0])


def wait(true, what, timeout=10.0):
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def ask(cp, key, path=REPORT):
    client = http.Client(cp.port, 20)
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    return client


def test_a_users_reports_come_one_behind_the_other(start, database, postgres):
    cp = start(database, {"weir": {"report_threads": 4}})
    tenants = Tenants(cp, postgres)
    other = tenants.make_key(user_id="ann")  # another key of ann's
    Ledger(postgres, database).add("user", "ann", "2026-01-01", "k", spend=1)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        with locked(database, TABLE):
            anns = [pool.submit(cp.get, REPORT, key=k) for k in (tenants.keys["ann"], other) * 3]
            wait(lambda: running(postgres, database) == 1, "ann's first")
            bobs = pool.submit(cp.get, REPORT, key=tenants.keys["bob"])
            wait(lambda: running(postgres, database) == 2, "bob's beside it")
            time.sleep(0.2)
            assert running(postgres, database) == 2
            assert cp.get("/key/list", key=tenants.keys["ann"]).status == 200  # what is no report does not wait
            assert not any(f.done() for f in [*anns, bobs])
        replies = [f.result(20) for f in anns]
        assert [r.status for r in replies] == [200] * 6 and {r.json["metadata"]["total_spend"] for r in replies} == {1.0}
        assert bobs.result(20).status == 200


def test_reports_make_way_for_short_requests(start, database, postgres):
    cp = start(database, {"weir": {"report_threads": 4}})
    viewers = [cp.post("/user/new", {"user_role": "proxy_admin_viewer"}).json["key"] for _ in range(4)]
    postgres.sql(database, """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON "LiteLLM_BudgetTable" FOR EACH ROW EXECUTE FUNCTION slow()""")  # fmt: skip
    with locked(database, TABLE):
        clients = [ask(cp, key) for key in viewers]
        wait(lambda: running(postgres, database) == 2, "two at once")
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            assert cp.post("/budget/new", {"max_budget": 1}).status == 200
            assert running(postgres, database) == 2
        for n in (3, 4):
            wait(lambda n=n: running(postgres, database) == n, f"{n} at once")
    assert [c.read_reply().status for c in clients] == [200] * 4


def test_too_many_of_one_user_are_refused(start, database, postgres):
    cp = start(database, {"weir": {"report_threads": 3}})
    tenants = Tenants(cp, postgres)
    clients = []
    with locked(database, TABLE):
        clients = [ask(cp, tenants.keys["ann"]) for _ in range(20)]
        wait(lambda: cp.log().count("status=429") == 3, "the others are refused")
        other = ask(cp, tenants.keys["bob"])
        wait(lambda: running(postgres, database) == 2, "bob's")
    replies = [c.read_reply() for c in [*clients, other]]
    assert sorted(r.status for r in replies) == [200] * 18 + [429] * 3
    refused = next(r for r in replies if r.status == 429)
    assert refused.header("retry-after") == "5" and refused.json["error"]["message"].startswith("Too many reports of yours are waiting.")


@pytest.mark.parametrize("path", [REPORT, f"/user/daily/activity/export?{DAYS}", f"/spend/export/focus?{DAYS}", "/tag/dau"])
def test_a_report_ends_with_its_caller(start, database, postgres, path):
    cp = start(database)
    with locked(database, '"LiteLLM_DailyTagSpend"' if "/tag" in path else TABLE):
        client = ask(cp, cp.key, path)
        wait(lambda: running(postgres, database) == 1, "it runs")
        begun = time.monotonic()
        client.close()
        wait(lambda: running(postgres, database) == 0, "it was not cancelled")
        assert time.monotonic() - begun < 0.9  # the server's own look is each second
        again = ask(cp, cp.key, path)  # the thread is free, and so is its user
        wait(lambda: running(postgres, database) == 1, "the next one runs")
    assert again.read_reply().status == 200


def test_a_caller_that_waits_behind_another_may_go(start, database, postgres):
    cp = start(database)
    with locked(database, TABLE):
        first = ask(cp, cp.key)
        wait(lambda: running(postgres, database) == 1, "it runs")
        waiting = [ask(cp, cp.key) for _ in range(3)]
        time.sleep(0.1)
        for client in waiting:
            client.close()
    assert first.read_reply().status == 200
    assert cp.get(REPORT).status == 200
    wait(lambda: cp.log().count("request id=") >= 5, "all are done")


def test_a_file_ends_with_its_reader(start, database, postgres):
    """Whoever stops reading holds a report for a while, not memory, and not the next one for ever."""
    cp = start(database, {"weir": {"write_timeout": 1}})
    postgres.sql(database, f"""INSERT INTO {TABLE} (id, user_id, date, api_key, model, spend, updated_at)
        SELECT 'r' || i, 'user-' || i, '2026-01-01', 'k', repeat('m', 200), 1, now() FROM generate_series(1, 120000) i""")  # fmt: skip
    path = f"/user/daily/activity/export?{DAYS}&export_type=daily_with_models"
    resident = int(next(line for line in open(f"/proc/{cp.process.pid}/status") if line.startswith("VmRSS")).split()[1])
    client = ask(cp, cp.key, path)
    assert client.sock.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    time.sleep(0.5)
    grown = int(next(line for line in open(f"/proc/{cp.process.pid}/status") if line.startswith("VmRSS")).split()[1]) - resident
    assert grown < 200_000  # with a sanitizer
    wait(lambda: "path=\"/user/daily/activity/export\"" in cp.log(), "it ended")
    data = client.sock.recv(1 << 26)
    while more := client.sock.recv(1 << 20):
        data += more
    assert not data.endswith(b"0\r\n\r\n")  # and the client sees that it is not whole
    reply = cp.get(path)
    assert reply.status == 200 and reply.body.count(b"\r\n") == 120001
    with http.Client(cp.port, 20) as old:  # chunks are unknown to it
        old.send(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {cp.key}\r\n\r\n".encode())
        reply_1_0 = old.read_reply()
        assert reply_1_0.header("transfer-encoding") is None and reply_1_0.body == reply.body


def test_a_fault_in_the_middle_is_seen(start, database, postgres):
    cp = start(database)
    postgres.sql(database, f"""INSERT INTO {TABLE} (id, user_id, date, api_key, model, spend, updated_at)
        SELECT 'r' || i, 'user-' || i, '2026-01-01', 'k', repeat('m', 200), 1, now() FROM generate_series(1, 60000) i""")  # fmt: skip
    client = ask(cp, cp.key, f"/user/daily/activity/export?{DAYS}&export_type=daily_with_models")
    assert client.sock.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    postgres.sql(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir report'")
    data = b""
    while more := client.sock.recv(1 << 20):
        data += more
    assert not data.endswith(b"0\r\n\r\n")
    assert cp.get(f"/team/daily/activity?{DAYS}").status == 200


# --- replicas


@pytest.fixture(scope="module")
def replica(postgres):
    """A streaming replica of the server."""
    with postgres.replica() as replica:
        yield replica


def at_replica(postgres, replica, database, **kw):
    replica.catch_up()
    return {"DATABASE_URL_READ_REPLICA": replica.url(postgres.name(database)), **kw}


def reads(replica, postgres, database):
    """What the replica has been asked."""
    return int(replica.sql(replica.url(postgres.name(database)), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'weir replica'")[0][0])


def test_reports_are_read_from_the_replica(start, database, postgres, replica):
    cp = start(database, env=at_replica(postgres, replica, database))
    Ledger(postgres, database).add("user", "ann", "2026-01-01", "k", spend=1)
    replica.catch_up()
    assert cp.get(REPORT).json["metadata"]["total_spend"] == 1
    assert reads(replica, postgres, database) == 1
    for path in (f"/team/daily/activity?{DAYS}", f"/user/daily/activity/export?{DAYS}", f"/spend/export/focus?{DAYS}", "/tag/distinct"):
        assert cp.get(path).status == 200


LOG = {
    "/spend/logs": b"late", "/spend/logs?start_date=2026-01-01&end_date=2026-01-03": b"late", "/spend/logs/ui/late": b"kept",
    "/spend/logs/v2?start_date=2026-01-01&end_date=2026-01-03": b"late", "/spend/logs/session/ui?session_id=late": b"late",
    "/spend/logs/ui?start_date=2026-01-01+00:00:00&end_date=2026-01-03+00:00:00": b"late", "/spend/tags": b"late", "/spend/users": b"late",
    "/global/spend/all_tag_names": b"late", "/global/all_end_users": b"late", f"/global/activity/model?{DAYS}": b"late",
    "/weir/spend/rows?from=2026-01-01&to=2026-01-03": b"late", "/weir/spend?by=model&from=2026-01-01&to=2026-01-03": b"late",
}  # fmt: skip


def test_log_rows_are_read_from_the_replica(start, database, postgres, replica):
    ledger = Ledger(postgres, database)
    ledger.add("user", "ann", "2026-01-01", "k", spend=1, model="early")
    cp = start(database, env=at_replica(postgres, replica, database))
    first = "SELECT count(*) FROM weir.checked_day"  # what is done at the start is done
    wait(lambda: int(postgres.sql(database, first)[0][0]) >= 3, "the first reconciliation")
    replica.catch_up()
    replica.pause()
    try:
        postgres.sql(database, """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, model, model_group, api_key, end_user, session_id, request_tags, "startTime",
                                      "endTime", messages) VALUES ('late', 'x', 'late', 'late', 'late', 'late', 'late', '["late"]', '2026-01-02', '2026-01-02', '"kept"');
                                  INSERT INTO "LiteLLM_UserTable" (user_id) VALUES ('late')""")  # fmt: skip
        ledger.add("user", "ann", "2026-01-01", "k", spend=1, model="late")
        for path, text in LOG.items():
            reply = cp.get(path)
            assert reply.status == 200 and text not in reply.body, path
    finally:
        replica.resume()
    for path, text in LOG.items():
        wait(lambda path=path, text=text: text in cp.get(path).body, path)


def test_a_key_just_made_may_ask(start, database, postgres, replica):
    """Who may see what is read where it is written."""
    cp = start(database, env=at_replica(postgres, replica, database))
    replica.pause()
    try:
        key = cp.post("/key/generate", {"user_id": "new"}).json["key"]
        assert cp.get(REPORT, key=key).status == 200
    finally:
        replica.resume()


def test_a_replica_that_is_behind_is_not_read(start, database, postgres, replica):
    cp = start(database, env=at_replica(postgres, replica, database))
    ledger = Ledger(postgres, database)
    ledger.add("user", "ann", "2026-01-01", "k", spend=1)
    wait(lambda: cp.get(REPORT).json["metadata"]["total_spend"] == 1, "replayed")
    replica.pause()
    try:
        time.sleep(10.5)
        ledger.add("user", "ann", "2026-01-01", "k", spend=2, model="x")
        assert cp.get(REPORT).json["metadata"]["total_spend"] == 3
    finally:
        replica.resume()


def test_without_the_replica_the_writer_is_read(start, database, postgres):
    with postgres.replica() as replica:
        cp = start(database, env=at_replica(postgres, replica, database))
        Ledger(postgres, database).add("user", "ann", "2026-01-01", "k", spend=1)
        assert cp.get(REPORT).status == 200
        replica.stop()
        for _ in range(3):
            assert cp.get(REPORT).json["metadata"]["total_spend"] == 1
        assert "replica_away" in cp.log() and "database_away" not in cp.log()
        assert json.loads(cp.get("/health/readiness").body)["status"]
        replica.start()
        wait(lambda: cp.get(REPORT).status == 200 and reads(replica, postgres, database) == 1, "it is read again")


def test_a_slow_replica_is_not_waited_for(start, database, postgres, replica):
    """What runs into the timeout there is asked of the writer."""
    cp = start(database, env=at_replica(postgres, replica, database))
    Ledger(postgres, database).add("user", "ann", "2026-01-01", "k", spend=1)
    wait(lambda: cp.get(REPORT).json["metadata"]["total_spend"] == 1, "replayed")
    there = replica.url(postgres.name(database))
    held = f"SELECT count(*) FROM pg_locks WHERE relation = '{TABLE}'::regclass AND mode = 'AccessExclusiveLock' AND granted"
    with locked(database, TABLE):
        wait(lambda: replica.sql(there, held) == [("1",)], "the replica takes the lock as well")
        replica.pause()  # and keeps it
    try:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(cp.get, REPORT)
            waits = "application_name = 'weir replica' AND wait_event_type = 'Lock'"
            wait(lambda: replica.sql(there, f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {waits}"), "the report there")
            reply = asked.result(15)
        assert (reply.status, reply.json["metadata"]["total_spend"]) == (200, 1)
    finally:
        replica.resume()


def test_a_replica_that_was_never_there_costs_nothing(start, database, postgres):
    cp = start(database, env={"DATABASE_URL_READ_REPLICA": "postgresql://weir@127.0.0.1:9/none"})
    begun = time.monotonic()
    assert cp.get(REPORT).status == 200
    assert time.monotonic() - begun < 5
