"""What every route has in common: matching, the gate, the description, HTTP."""

import json
import socket

import pytest
from support import http

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def openapi(cp):
    return json.loads(cp.get("/openapi.json", key=None).body)


def test_description_names_every_route(cp, openapi):
    described = {(m.upper(), p) for p, ops in openapi["paths"].items() for m in ops}
    routes = {(r["methods"][0], r["path"].replace(":path}", "}")) for r in cp.get("/routes", key=None).json["routes"]}
    assert described == routes and len(routes) > 400
    ids = [op["operationId"] for ops in openapi["paths"].values() for op in ops.values()]
    assert len(ids) == len(set(ids))
    text = json.dumps(openapi)
    for ref in {r for r in text.split('"#/components/schemas/')[1:]}:
        assert ref.split('"')[0] in openapi["components"]["schemas"]


def test_page_shows_the_description(cp):
    reply = cp.get("/", key=None)
    assert reply.status == 200 and reply.header("content-type").startswith("text/html")
    assert "default-src 'none'" in reply.header("content-security-policy")


def all_routes(openapi):
    for path, ops in openapi["paths"].items():
        for method, op in ops.items():
            yield method.upper(), path.replace("{", "").replace("}", ""), op


def test_no_route_without_a_key_but_the_public_ones(cp, openapi):
    for method, path, op in all_routes(openapi):
        reply = cp.call(method, path, key=None)
        public = op.get("security") == []
        assert (reply.status == 401) is not public, (method, path, reply.status, reply.body)


def test_what_is_not_built_says_so(cp, openapi):
    for method, path, op in all_routes(openapi):
        if "501" in op["responses"]:
            reply = cp.call(method, path)
            assert reply.status == 501 and "not built yet" in reply.json["detail"], (method, path, reply.body)


def test_no_role_reaches_more_than_its_policy(cp, tenants, openapi):
    """Of routes not built, which answer 501 behind their gate: what the description says of them holds."""
    allowed = {
        "proxy_admin": {"root"}, "proxy_admin, proxy_admin_viewer": {"root", "vera"},
        "proxy_admin; org_admin in their organization": {"root", "olga"},
        "proxy_admin, proxy_admin_viewer; org_admin in their organization": {"root", "vera", "olga"},
        "the master key alone": set(),
    }  # fmt: skip
    seen = 0
    for method, path, op in all_routes(openapi):
        who = allowed.get(op["description"][4:-1])
        if "501" not in op["responses"] or who is None:
            continue
        for user in ("root", "vera", "ivy", "ines", "ann", "olga", "nobody"):
            reply = cp.call(method, path, key=tenants.keys[user])
            assert (reply.status == 501) is (user in who), (method, path, user, reply.status)
            seen += 1
    assert seen > 500


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404), ("GET", "/key/generate", 405), ("DELETE", "/key/list", 405), ("HEAD", "/key/list", 405),
        ("GET", "/key//info", 400), ("GET", "/key/../key/info", 400), ("GET", "/key%2Finfo", 404), ("GET", "/key/info/", 404),
        ("OPTIONS", "/key/list", 405), ("GET", "/health/liveliness", 200), ("GET", "/health/readiness", 200), ("GET", "/robots.txt", 200),
    ],
)  # fmt: skip
def test_paths(cp, method, path, status):
    assert cp.call(method, path).status == status


def raw(cp, data):
    with http.Client(cp.port) as c:
        c.send(data)
        return c.read_reply()


HEAD = b"POST /key/generate HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nX\r\n", 400),
        (HEAD + b"Bad Header: 1\r\n\r\n", 400), (HEAD + b"A: 1\r\n folded\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5000000\r\n\r\n", 413), (HEAD + b"Expect: a miracle\r\n\r\n", 417),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414), (HEAD + b"A: " + b"a" * 20000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_framing_is_read_one_way(cp, data, status):
    reply = raw(cp, data)
    assert reply.status == status and reply.header("connection") == "close"


def test_connection_serves_many(cp):
    with http.Client(cp.port) as c:
        for _ in range(3):
            c.send(http.request("GET", "/key/list", cp.key))
            assert c.read_reply().status == 200
        c.send(http.request("GET", "/key/list", cp.key) * 3)  # pipelined: one behind the other
        assert [c.read_reply().status for _ in range(3)] == [200] * 3


def test_body_in_chunks_byte_by_byte(cp):
    body = json.dumps({"models": ["m"]}).encode()
    data = http.request("POST", "/key/generate", cp.key, headers=[("Transfer-Encoding", "chunked")])
    data += b"".join(b"1\r\n%c\r\n" % b for b in body) + b"0\r\n\r\n"
    with http.Client(cp.port) as c:
        for i in range(len(data)):
            c.send(data[i : i + 1])
        assert c.read_reply().json["models"] == ["m"]


def test_continue_is_sent_when_expected(cp):
    with http.Client(cp.port) as c:
        c.send(http.request("POST", "/key/generate", cp.key, headers=[("Expect", "100-continue"), ("Content-Length", "2")]))
        assert c.read_head().status == 100
        c.send(b"{}")
        assert c.read_reply().status == 200


def test_client_that_leaves_disturbs_nobody(cp):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", cp.port)) as s:
            s.sendall(http.request("GET", "/key/list", cp.key))
    assert cp.get("/key/list").status == 200
