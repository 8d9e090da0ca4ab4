"""The database: made, adopted, refused; away, and back."""

import contextlib
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support.controlplane import ControlPlane
from support.plane import Plane, Refused
from support.trouble import TROUBLE, lowly, set_read_only

MIGRATIONS = Path(__file__).parents[3] / "controlplane/store/migrations"
STEPS = sorted(int(f.name[:4]) for f in MIGRATIONS.glob("*.sql"))
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = %s"


def test_empty_database_gets_the_schema_once(postgres, start):
    url = postgres.database()
    start(url).stop()
    before = postgres.sql(url, "SELECT version, name, adopted FROM weir.migration ORDER BY 1")
    assert [int(v) for v, *_ in before] == STEPS
    assert int(postgres.sql(url, TABLES, "public")[0][0]) > 60
    start(url).stop()
    assert postgres.sql(url, "SELECT version, name, adopted FROM weir.migration ORDER BY 1") == before


def catalog(postgres, url):
    return postgres.sql(url, """
        SELECT table_name, column_name, data_type, is_nullable, coalesce(column_default, '') FROM information_schema.columns
        WHERE table_schema = 'public' UNION ALL
        SELECT tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2, 3""")  # fmt: skip


def test_adopted_database_keeps_its_schema(postgres, database, start):
    # as LiteLLM leaves it: its tables, nothing of ours; one table of a newer release, one column missing
    postgres.sql(database, """DROP SCHEMA weir CASCADE; DROP VIEW "LiteLLM_VerificationTokenView"; CREATE TABLE "LiteLLM_Future" (id text PRIMARY KEY);
                              ALTER TABLE "LiteLLM_VerificationToken" DROP COLUMN budget_limits,
                              ADD COLUMN future text NOT NULL DEFAULT 'x'""")  # fmt: skip
    before = catalog(postgres, database)
    refused = ControlPlane(database, wait=False)
    refused.process.wait(30)
    assert "made by LiteLLM; to use it start once with --adopt" in refused.log()
    assert "they stay as they are" in refused.log()
    refused.inquest(codes=(1,))
    assert postgres.sql(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'weir'") == [("0",)]
    cp = start(database, args=["--adopt"])
    made = cp.post("/key/generate", {"max_budget": 1, "budget_limits": [{"budget_duration": "1d", "max_budget": 1}]})
    assert made.status == 200 and "budget_limits" not in made.json and made.json["future"] == "x"
    assert catalog(postgres, database) == before
    cp.stop()
    start(database).stop()  # the next start needs no permission


def test_foreign_database_is_refused(postgres):
    url = postgres.database()
    postgres.sql(url, "CREATE TABLE mine (id int)")
    cp = ControlPlane(url, args=["--adopt"], wait=False)
    cp.process.wait(30)
    assert "tables that are not LiteLLM's" in cp.log()
    cp.inquest(codes=(1,))


def test_newer_schema_is_refused(postgres, database):
    postgres.sql(database, "INSERT INTO weir.migration (version, name, adopted) VALUES (999, 'x', false)")
    cp = ControlPlane(database, wait=False)
    cp.process.wait(30)
    assert "start a newer one" in cp.log()
    cp.inquest(codes=(1,))


def test_a_step_that_is_missing_is_taken_whatever_its_number(postgres, start):
    url = postgres.database()
    start(url).stop()
    postgres.sql(url, "DELETE FROM weir.migration WHERE version = 3; DROP TABLE weir.audit_seal; ALTER TABLE weir.audit_origin DROP COLUMN sealed")
    refused = ControlPlane(url, env={"DISABLE_SCHEMA_UPDATE": "true"}, wait=False)
    refused.process.wait(30)
    assert "steps of its schema are missing (1," in refused.log()
    refused.inquest(codes=(1,))
    start(url).stop()
    assert postgres.sql(url, "SELECT to_regclass('weir.audit_seal') IS NOT NULL") == [("t",)]


def test_entries_of_log_rows_from_before_they_lay_apart(postgres, start):
    """Step 13 leaves those in place that did not fail."""
    url = postgres.database()
    start(url).stop()
    # entries older than every row are forgotten; this row's own comes where a job is in time
    postgres.sql(url, """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime")
        VALUES ('oldest', 'acompletion', '2025-12-31', '2025-12-31')""")
    made = (MIGRATIONS / "0008_logs.sql").read_text()
    table = made[made.index("CREATE TABLE weir.log (") :].split("\n\n")[0]
    postgres.sql(url, "DROP TABLE weir.log; DROP FUNCTION weir.log_shrink; DELETE FROM weir.migration WHERE version = 13; " + table)
    postgres.sql(url, """INSERT INTO weir.log SELECT '2026-01-01'::timestamp + n * interval '1 hour', 1, n, n, n, 'e', 'r' || n,
        CASE WHEN n % 10 = 0 THEN 'it failed' END FROM generate_series(1, 1000) AS n""")
    file, rows = "SELECT pg_relation_filenode('weir.%s')", "SELECT md5(string_agg(l::text, '' ORDER BY request_id)) FROM weir.log l"
    before = [postgres.sql(url, q) for q in (file % "log", file % "log_at", file % "log_call", rows)]
    start(url).stop()
    assert [postgres.sql(url, q) for q in (file % "log_fine", file % "log_fine_at", file % "log_fine_call", rows)] == before
    assert postgres.sql(url, "SELECT (SELECT count(*) FROM weir.log_fine WHERE request_id <> 'oldest'), (SELECT count(*) FROM weir.log_failed)") == [("900", "100")]
    indexes = """SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE indrelid = 'weir.log'::regclass AND NOT indisvalid"""
    assert postgres.sql(url, indexes) == []


def test_two_start_at_once(postgres, start):
    url = postgres.database()
    both = [start(url, wait=False) for _ in range(2)]
    for cp in both:
        cp.wait_ready()
    assert len(postgres.sql(url, "SELECT * FROM weir.migration")) == len(STEPS)


# --- capture of changes


def test_spend_is_nobodys_news(postgres, cp):
    token = cp.post("/key/generate", {}).json["token"]

    def changes():
        return postgres.sql(cp.database, "SELECT count(*) FROM weir.change WHERE key = ARRAY[%s]", token)[0][0]

    assert changes() == "1"
    postgres.sql(cp.database, """UPDATE "LiteLLM_VerificationToken" SET spend = spend + 1, updated_at = now(), last_active = now()
                                 WHERE token = %s""", token)  # fmt: skip
    postgres.sql(cp.database, 'UPDATE "LiteLLM_VerificationToken" SET models = models WHERE token = %s', token)
    assert changes() == "1"
    postgres.sql(cp.database, "UPDATE \"LiteLLM_VerificationToken\" SET models = '{m}' WHERE token = %s", token)
    assert changes() == "2"


def test_capture_works_for_writers_who_do_not_know_us(postgres, cp):
    postgres.sql(cp.database, """CREATE ROLE litellm; GRANT ALL ON ALL TABLES IN SCHEMA public TO litellm;
        SET ROLE litellm; INSERT INTO "LiteLLM_Config" (param_name, param_value) VALUES ('p', '1')""")  # fmt: skip
    assert postgres.sql(cp.database, "SELECT key[1], gone FROM weir.change WHERE tbl = 'LiteLLM_Config'") == [("p", "f")]


def test_own_changes_are_told_of_by_their_revision(postgres, cp):
    """Not by their commit: that would hold up every other one until it is on the disk."""
    psql = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", cp.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    psql.stdin.write("LISTEN weir_change; SELECT 'listens';\n")
    psql.stdin.flush()
    assert psql.stdout.readline() == "listens\n"
    before = postgres.sql(cp.database, "SELECT max(n) FROM weir.revision")
    assert cp.post("/key/generate", {}).status == 200
    cp.wait(lambda: postgres.sql(cp.database, "SELECT max(n) FROM weir.revision") != before, what="a revision")
    ours = postgres.sql(cp.database, "SELECT pid, application_name FROM pg_stat_activity WHERE application_name LIKE 'weir %'")
    told, _ = psql.communicate("SELECT 1;\n", timeout=10)
    tellers = {dict(ours)[pid] for pid in re.findall(r"from server process with PID (\d+)", told)}
    assert tellers == {"weir publish"}


# --- away


def timed(call):
    begun = time.monotonic()
    reply = call()
    return reply, time.monotonic() - begun


def away(cp, postgres, begin, end):
    """While the database is away: 503 within its bound; alive throughout; and back by itself."""
    cp.post("/key/generate", {})
    begin()
    try:
        reply, took = timed(lambda: cp.post("/key/generate", {}))
        assert reply.status == 503 and reply.json["error"]["type"] == "no_db_connection" and reply.header("retry-after")
        assert took < 4, took  # two seconds, and the sanitizers
        assert cp.get("/health/liveliness", key=None).status == 200
        reply, took = timed(lambda: cp.get("/key/list"))
        assert reply.status == 503
        reply = cp.get("/health/readiness", key=None)
        assert (reply.status, reply.json["db"]) == (503, "disconnected")
    finally:
        end()
    cp.wait(lambda: cp.post("/key/generate", {}).status == 200, what="the database back")


def test_frozen_server(postgres, cp):
    away(cp, postgres, postgres.freeze, postgres.thaw)


def test_stopped_server(postgres, cp):
    away(cp, postgres, postgres.stop, postgres.start)


def test_restart_costs_no_request(postgres, cp):
    assert cp.get("/key/list").status == 200
    postgres.stop("fast")
    postgres.start()
    # who asked while it was down knows it as away for a moment; connections from before are many requests' own
    cp.wait(lambda: cp.get("/health/readiness", key=None).json["db"] == "connected", what="the database back")
    assert cp.get("/key/list").status == 200
    assert cp.post("/key/generate", {}).status == 200


def test_read_only_server(postgres, cp):
    set_read_only(postgres, cp.database, "on")
    assert cp.post("/key/generate", {}).status == 503
    set_read_only(postgres, cp.database, "off")
    cp.wait(lambda: cp.post("/key/generate", {}).status == 200, what="the database writable")


# --- away at the start


@pytest.mark.parametrize("trouble", TROUBLE)
def test_database_away_at_the_start(postgres, start, trouble):
    """It comes up, says so, and opens when the database is there: migrations run then."""
    begin, end = TROUBLE[trouble]
    url = lowly(postgres, postgres.database())
    begin(postgres, url)
    try:
        cp = start(url, wait=False)
        cp.wait(lambda: answers(cp), what="liveness")
        for method, path, key in (("POST", "/key/generate", cp.key), ("GET", "/key/list", "sk-unknown"), ("GET", "/weir/nodes", cp.key)):
            reply, took = timed(lambda method=method, path=path, key=key: cp.call(method, path, {} if method == "POST" else None, key))
            assert reply.status == 503 and "no_db_connection" in reply.body.decode() and reply.header("retry-after") and took < 4
        assert cp.get("/openapi.json", key=None).status == 200
        reply = cp.get("/health/readiness", key=None)
        assert (reply.status, reply.json["db"]) == (503, "disconnected")
        with Plane(cp.plane) as plane:
            plane.hello()
            with pytest.raises(Refused, match="AWAY"):
                plane.page()
        time.sleep(3)
        assert answers(cp) and cp.log().count("database_away") == 1
    finally:
        end(postgres, url)
    cp.wait_ready(20)
    assert len(postgres.sql(url, "SELECT * FROM weir.migration")) == len(STEPS)
    made = cp.post("/key/generate", {}).json["token"]
    with Plane(cp.plane) as plane:
        plane.hello()
        plane.sync()
        assert made in plane.entities["key"]


def answers(cp):
    assert cp.process.poll() is None, cp.tail()
    with contextlib.suppress(OSError, EOFError):
        return cp.get("/health/liveliness", key=None, timeout=2).status == 200
    return False


def test_stopped_while_it_waits_for_the_database(postgres, start):
    url = postgres.database()
    postgres.freeze()
    try:
        cp = start(url, wait=False)
        cp.wait(lambda: answers(cp), what="liveness")
        begun = time.monotonic()
        cp.stop()
        assert time.monotonic() - begun < 10
    finally:
        postgres.thaw()


def test_what_no_waiting_mends_ends_it_later_too(postgres, start):
    url = postgres.database()
    postgres.sql(url, "CREATE TABLE mine (id int)")
    postgres.stop("fast")
    try:
        cp = start(url, wait=False)
        cp.wait(lambda: answers(cp), what="liveness")
    finally:
        postgres.start()
    cp.process.wait(30)
    assert "tables that are not LiteLLM's" in cp.log()
    cp.inquest(codes=(1,))


def test_migrating_alone_does_not_wait(postgres):
    postgres.stop()
    try:
        cp = ControlPlane(postgres.url("none"), args=["--migrate"], wait=False)
        assert cp.process.wait(30) == 1
        cp.inquest(codes=(1,))
    finally:
        postgres.start()


def test_slow_statement_is_no_outage(postgres, cp):
    made = cp.wait(lambda: (reply := cp.post("/key/generate", {})).status == 200 and reply.json, what="the database, back")
    lock = subprocess.Popen(["psql", "-X", "-q", "-d", cp.database, "-c", "BEGIN; LOCK \"LiteLLM_VerificationToken\"; SELECT pg_sleep(4)"],
                            stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        cp.wait(lambda: postgres.sql(cp.database, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(4)%'")[0][0] == "2",
                what="the lock")  # fmt: skip
        reply = cp.post("/key/update", {"key": made["key"], "rpm_limit": 1})
        assert reply.status == 503
        assert cp.get("/health/readiness", key=None).status == 200
    finally:
        lock.wait()
    assert cp.post("/key/update", {"key": made["key"], "rpm_limit": 1}).status == 200


def test_changes_at_once_are_all_made(cp):
    key = cp.post("/key/generate", {}).json["key"]
    statuses = []

    def change(i):
        statuses.append(cp.post("/key/update", {"key": key, "metadata": {str(i): i}}).status)

    threads = [threading.Thread(target=change, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses == [200] * 20
