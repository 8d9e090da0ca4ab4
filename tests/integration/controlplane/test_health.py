"""Probes of the control plane, and what checks of deployments found."""

import os
import signal
import subprocess
import threading

import pytest
from support import http
from support.plane import Plane

CHECK = """INSERT INTO "LiteLLM_HealthCheckTable" (health_check_id, model_name, model_id, status, healthy_count, details, checked_at, updated_at)
           VALUES (%s, %s, %s, %s, 1, %s, now() - interval %s, now())"""


@pytest.fixture(scope="module", autouse=True)
def checks(cp, postgres):
    for row in [("a", "m", "1", "healthy", '{"api_key": "sk-long-hidden", "model": "m"}', "3 min"), ("b", "m", "1", "unhealthy", "null", "1 min"),
                ("c", "m", "2", "healthy", "null", "2 min"), ("d", "n", None, "healthy", "null", "4 min")]:  # fmt: skip
        postgres.sql(cp.database, CHECK, *row)


@pytest.mark.parametrize(
    ("query", "ids"),
    [("", "bcad"), ("?model=m", "bca"), ("?status_filter=healthy", "cad"), ("?limit=2&offset=1", "ca"), ("?model=none", ""), ("?offset=9", "")],
)
def test_history(cp, query, ids):
    reply = cp.get(f"/health/history{query}").json
    assert [c["health_check_id"] for c in reply["health_checks"]] == list(ids) and reply["total_records"] == len(ids)


def test_history_of_one(cp):
    check = cp.get("/health/history?model=m&status_filter=healthy&limit=1&offset=1").json["health_checks"][0]
    assert set(check) == {"health_check_id", "model_name", "model_id", "status", "healthy_count", "unhealthy_count", "error_message",
                          "response_time_ms", "details", "checked_by", "checked_at", "created_at"}  # fmt: skip
    assert check["details"] == {"api_key": "sk****en", "model": "m"}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x"])
def test_queries_that_do_not_fit(cp, query):
    assert cp.get(f"/health/history?{query}").status == 422


def test_latest(cp):
    reply = cp.get("/health/latest").json
    assert reply["total_models"] == 3
    assert {k: v["health_check_id"] for k, v in reply["latest_health_checks"].items()} == {"1": "b", "2": "c", "n": "d"}


def test_no_license_is_needed(cp):
    assert cp.get("/health/license").json["has_license"] is False


@pytest.mark.parametrize("path", ["/health/history", "/health/latest", "/health/license"])
def test_who(cp, tenants, path):
    for who in ("root", "vera", "ivy", "ines", "ann", "olga", "nobody"):
        reads = who == "root" or (who == "vera" and path != "/health/license")
        assert (cp.get(path, key=tenants.keys[who]).status == 200) is reads


def test_details_of_readiness(cp):
    details = cp.get("/health/readiness/details").json
    assert (details["status"], details["db"], details["success_callbacks"]) == ("healthy", "connected", [])
    assert details["epoch"] > 0 and (details["data_planes"], details["data_planes_current"]) == (0, 0)
    with Plane(cp.plane) as p:
        p.hello()
        p.sync()
        assert cp.get("/health/readiness/details").json["data_planes"] == 1


def test_backlog_counts_what_runs_and_what_waits(cp, postgres):
    assert cp.get("/health/backlog").json["queued_requests"] == 0
    lock = subprocess.Popen(["psql", "-X", "-q", "-d", cp.database], stdin=subprocess.PIPE, text=True)
    lock.stdin.write("""BEGIN; LOCK "LiteLLM_HealthCheckTable"; SELECT pg_advisory_lock(98);\n""")
    lock.stdin.flush()
    cp.wait(lambda: postgres.sql(cp.database, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 98"), what="the lock")
    threads = [threading.Thread(target=cp.get, args=("/health/history",)) for _ in range(12)]
    for t in threads:
        t.start()
    try:
        seen = cp.wait(lambda: (b := cp.get("/health/backlog").json)["queued_requests"] > 0 and b, what="requests that wait")
        assert seen["in_flight_requests"] == seen["admitted_requests"] + seen["queued_requests"] <= 13
        assert seen["rejected_requests"] == 0
    finally:
        lock.stdin.close()
        lock.wait()
        for t in threads:
            t.join()
    assert cp.get("/health/backlog").json["in_flight_requests"] == 1  # itself


def test_what_does_not_run(cp):
    assert cp.get("/health/shared-status").json["shared_health_check_enabled"] is False
    assert cp.get("/active/callbacks").json == cp.get("/settings").json
    settings = cp.get("/settings").json
    assert settings["all_litellm_callbacks"] == [] and settings["num_callbacks"] == 0 and settings["alerting"] == "None"
    assert settings["litellm.request_timeout"] == 6000
    reply = cp.get("/health/drain", key=None)
    assert (reply.status, reply.json) == (404, {"detail": "Not Found"})
    assert cp.get("/health/readiness", key=None).status == 200


def test_ready(cp):
    reply = cp.get("/health/readiness", key=None)
    assert reply.status == 200 and (reply.json["status"], reply.json["db"]) == ("healthy", "connected")


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness", "/health/readiness"])
def test_probes_tell_the_end(database, start, path):
    cp = start(database)
    request = http.request("GET", path)
    with http.Client(cp.port) as c:
        c.send(request[:10])
        cp.get("/health/liveliness", key=None)  # the other connection's bytes were read before this one's
        os.kill(cp.process.pid, signal.SIGTERM)
        cp.wait(lambda: "stop signal=15" in cp.log(), what="the signal")
        c.send(request[10:])
        reply = c.read_reply()
        assert (reply.status, reply.json) == (503, {"status": "shutting_down"})
    cp.inquest()
