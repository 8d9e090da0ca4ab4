"""weir.forward_admin: one address serves models and the management API, and the one never hurts the other."""

import json
import os
import signal
import socket
import threading
import time

import pytest
from support import http
from support.controlplane import ControlPlane
from support.mock_provider import free_port
from support.weir import MASTER_KEY, Weir

MODEL = {"model_name": "m", "litellm_params": {"model": "openai/x", "mock_response": "hello"}}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def dataplane(port, **kw):
    config = {"model_list": [MODEL], "weir": {"forward_admin": True, "admin_url": f"http://127.0.0.1:{port}"}}
    return Weir(config, **kw)


@pytest.fixture(scope="module")
def both(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema)) as cp, dataplane(cp.port) as w:
        yield cp, w


@pytest.fixture
def listener():
    """A control plane of the test's own: a socket and what came on it."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        s.settimeout(10)
        yield s


def asked(listener, reply=b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"):
    """One request as it came, answered."""
    conn, _ = listener.accept()
    with conn:
        conn.settimeout(10)
        data = b""
        while b"\r\n\r\n" not in data:
            data += conn.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(next((line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0))
        while len(body) < length:
            body += conn.recv(65536)
        conn.sendall(reply)
    return head.decode(), body


def test_a_key_is_made_changed_and_deleted_through_the_data_plane(both):
    _, w = both
    made = w.post("/key/generate", {"key_alias": "through", "models": ["m"]})
    assert made.status == 200, made.body
    key = made.json["key"]
    info = w.get(f"/key/info?key={key}")
    assert info.json["info"]["key_alias"] == "through"
    assert w.get("/key/info", key=key).json["info"]["key_alias"] == "through", "the caller's own key"
    assert w.post("/key/update", {"key": key, "max_budget": 5}).status == 200
    assert w.post("/key/delete", {"keys": [key]}).json["deleted_keys"]


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 200), ("GET", "/openapi.json", 200), ("GET", "/routes", 200), ("GET", "/team/list", 200),
    ("GET", "/scim/v2/Users", 501), ("PATCH", "/organization/update", 400), ("GET", "/v2/team/list", 200),
    ("GET", "/key/generate", 405), ("GET", "/nothing/here", 404), ("PUT", "/v1/models", 405),
])  # fmt: skip
def test_the_control_planes_answer_is_the_clients(both, method, path, status):
    cp, w = both
    body = {} if method in ("PATCH", "PUT") else None
    got = w.call(method, path, body)
    assert got.status == status, got.body
    if status not in (404, 405):
        direct = cp.call(method, path, body)
        assert (got.status, got.header("content-type"), got.body) == (direct.status, direct.header("content-type"), direct.body)
        assert got.header("x-litellm-call-id")


def test_what_both_planes_have_is_the_data_planes(both):
    _, w = both
    assert [m["id"] for m in w.get("/v1/models").json["data"]] == ["m"]
    assert w.get("/health/liveliness").json == "I'm alive!"
    assert w.get("/model/info").json["data"][0]["model_name"] == "m"
    assert w.post("/v1/chat/completions", CHAT).json["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("sk-nobody-knows-this", 401), (MASTER_KEY, 200)])
def test_the_control_plane_alone_decides_who_may(both, key, status):
    cp, w = both
    got = w.get("/team/list", key=key)
    direct = cp.get("/team/list", key=key)
    assert got.status == direct.status == status
    assert got.json == direct.json


def test_the_audit_entry_names_the_client_and_not_what_it_claims(both, postgres):
    cp, w = both
    w.post("/team/new", {"team_alias": "whence"}, headers=[("x-forwarded-for", "203.0.113.9")])
    rows = postgres.sql(cp.database, "SELECT DISTINCT ip FROM weir.audit_origin")
    assert rows == [("127.0.0.1",)]


def test_off_it_is_404():
    with Weir({"model_list": [MODEL]}) as w:
        assert w.post("/key/generate", {}).status == 404
        assert w.get("/").status == 404


def test_only_listed_headers_cross(listener):
    with dataplane(listener.getsockname()[1]) as w:
        got = []
        t = threading.Thread(target=lambda: got.append(asked(
            listener, b"HTTP/1.1 200 OK\r\nserver: secret\r\nx-weir-applied: 2/3\r\nx-litellm-version: 9\r\n"
                      b"x-internal: 1\r\ncontent-length: 4\r\n\r\ntrue")))  # fmt: skip
        t.start()
        reply = w.post("/key/update?a=b%20c", {"key": "x"}, headers=[
            ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-host", "evil"), ("x-weir-anything", "1"), ("forwarded", "for=1"),
            ("x-real-ip", "203.0.113.9"), ("litellm-changed-by", "ann"), ("x-litellm-api-key", "sk-other-9999")])  # fmt: skip
        t.join()
        head, body = got[0]
        lines = head.split("\r\n")
        assert lines[0] == "POST /key/update?a=b%20c HTTP/1.1"
        assert sorted(line.lower().split(":")[0] for line in lines[1:]) == sorted([
            "host", "authorization", "content-type", "litellm-changed-by", "x-litellm-api-key", "x-forwarded-for",
            "content-length"])  # fmt: skip
        assert "x-forwarded-for: 127.0.0.1" in lines
        assert f"authorization: Bearer {MASTER_KEY}" in [f"{line.split(':')[0].lower()}:{line.split(':', 1)[1]}" for line in lines[1:]]
        assert json.loads(body) == {"key": "x"}
        assert reply.body == b"true"
        assert reply.header("x-weir-applied") == "2/3"
        assert reply.header("server") is None and reply.header("x-internal") is None
        assert reply.header("x-litellm-version") != "9"


def test_a_control_plane_that_is_down_is_503_at_once_and_models_do_not_care():
    with dataplane(free_port()) as w:
        began = time.monotonic()
        reply = w.post("/key/generate", {})
        assert time.monotonic() - began < 2
        assert reply.status == 503
        assert reply.json["error"]["code"] == "503" and "management API" in reply.json["error"]["message"]
        assert reply.header("retry-after") == "1"
        assert w.post("/v1/chat/completions", CHAT).status == 200
        assert w.access(2)[0]["error"] == "control_plane"
        assert w.metrics()['weir_requests_total{method="OTHER",route="forwarded",status="5xx"}'] == 1


@pytest.mark.parametrize("reply", [
    b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n", b"nonsense\r\n\r\n",
])  # fmt: skip
def test_no_answer_is_503(listener, reply):
    with dataplane(listener.getsockname()[1]) as w:
        t = threading.Thread(target=asked, args=(listener, reply))
        t.start()
        assert w.post("/team/new", {}).status == 503
        t.join()


def test_half_an_answer_does_not_look_whole(listener):
    with dataplane(listener.getsockname()[1]) as w:
        t = threading.Thread(target=asked, args=(listener, b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"))
        t.start()
        reply = w.get("/team/list")
        assert reply.end == "cut" and reply.body == b"abc"
        t.join()


def test_a_write_is_never_sent_twice(listener):
    """Its connection ends without an answer: whether it was done nobody knows."""
    with dataplane(listener.getsockname()[1]) as w:
        heads = []

        def serve():
            heads.append(asked(listener)[0])
            heads.append(asked(listener, b"")[0])

        t = threading.Thread(target=serve)
        t.start()
        assert w.post("/team/new", {}).status == 200
        assert w.post("/team/new", {}).status == 503
        t.join()
        listener.settimeout(0.3)
        with pytest.raises(TimeoutError):
            listener.accept()
        assert len(heads) == 2


def test_a_chunked_answer_stays_one(listener):
    reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    with dataplane(listener.getsockname()[1]) as w:
        t = threading.Thread(target=asked, args=(listener, reply))
        t.start()
        got = w.get("/team/list")
        assert (got.end, got.body) == ("chunked", b"abcdefg")
        t.join()


def test_a_large_answer_and_a_slow_client(listener):
    body = os.urandom(4 << 20)
    reply = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with dataplane(listener.getsockname()[1]) as w:
        t = threading.Thread(target=asked, args=(listener, reply))
        t.start()
        with w.client(timeout=20) as c:
            c.send(w.request("GET", "/openapi.json"))
            time.sleep(0.3)
            got = c.read_reply()
        assert got.body == body
        t.join()


def test_a_body_beyond_the_bound_is_413(both):
    _, w = both
    big = json.dumps({"key_alias": "x" * (1 << 20)}).encode()
    assert w.post("/key/generate", big).status == 413
    chunked = b"POST /key/generate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(big) + big + b"\r\n0\r\n\r\n"
    with w.client() as c:
        c.send(chunked)
        assert c.read_reply().status == 413


def test_a_frozen_control_plane_holds_few_requests_and_no_model(both):
    cp, w = both
    os.kill(cp.process.pid, signal.SIGSTOP)
    clients = []
    try:
        for _ in range(70):  # more than a worker passes on at a time
            c = w.client()
            c.send(w.request("GET", "/team/list"))
            clients.append(c)
        w.wait(lambda: w.metrics()['weir_requests_total{method="OTHER",route="forwarded",status="5xx"}'] >= 6,
               what="refusals beyond the bound")  # fmt: skip
        began = time.monotonic()
        for _ in range(20):
            assert w.post("/v1/chat/completions", CHAT).status == 200
        assert time.monotonic() - began < 5
    finally:
        os.kill(cp.process.pid, signal.SIGCONT)
    answered = [c.read_reply().status for c in clients]
    assert sorted(set(answered)) == [200, 503] and answered.count(200) == 64
    assert w.get("/team/list").status == 200


def test_a_client_that_leaves_frees_its_place(both):
    cp, w = both
    os.kill(cp.process.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            for _ in range(40):
                c = w.client()
                c.send(w.request("GET", "/team/list"))
                c.reset()
            time.sleep(0.2)
    finally:
        os.kill(cp.process.pid, signal.SIGCONT)
    assert w.get("/team/list").status == 200


def test_below_a_root_path(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema)) as cp, \
            dataplane(cp.port, env={"SERVER_ROOT_PATH": "/gateway"}) as w:
        assert w.get("/gateway/team/list").json == []


@pytest.mark.parametrize("url", ["ftp://x", "http://", "127.0.0.1:4001", "http://u:p@h"])
def test_a_bad_address_is_refused_at_start(url):
    w = Weir({"model_list": [MODEL], "weir": {"forward_admin": True, "admin_url": url}}, wait=False)
    w.inquest(codes=(1,), keep=True)
    assert "weir.admin_url" in w.log()


def test_connections_are_kept(both):
    _, w = both
    before = w.metrics()["weir_upstream_reuses_total"]
    for _ in range(5):
        assert w.get("/team/list").status == 200
    assert w.metrics()["weir_upstream_reuses_total"] >= before + 4


def test_http_1_0_and_head_are_understood(both):
    _, w = both
    reply = http.Client(w.port)
    reply.send(b"GET /robots.txt HTTP/1.0\r\n\r\n")
    assert reply.read_reply().status == 200
    reply.close()
