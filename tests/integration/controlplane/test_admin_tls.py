"""HTTPS on the port of the management API."""

import json
import socket
import ssl

import pytest
from support import http


class TlsClient(http.Client):
    def __init__(self, port, context, timeout=10.0):
        super().__init__(port, timeout)
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")


@pytest.fixture(scope="module")
def context(certs):
    return ssl.create_default_context(cafile=certs.ca)


def settings(certs, name="good", **more):
    chain, key = certs.chain(name)
    return {"weir": {"admin_certfile": str(chain), "admin_keyfile": str(key), **more}}


@pytest.fixture(scope="module")
def cp(postgres, empty_schema, certs, context):
    from support.controlplane import ControlPlane

    cp = ControlPlane(postgres.database(template=empty_schema), settings(certs, header_timeout=1), wait=False)
    ready(cp, context)
    yield cp
    cp.stop()


def ready(cp, context):
    def is_ready():
        assert cp.process.poll() is None, cp.tail()
        try:
            return call(cp, context, "GET", "/health/readiness").status == 200
        except OSError:
            return False

    cp.wait(is_ready, 60, "readiness")


def call(cp, context, method, path, body=None):
    with TlsClient(cp.port, context) as c:
        c.send(http.request(method, path, cp.key, None if body is None else json.dumps(body).encode()))
        return c.read_reply()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests(cp, certs, version):
    context = ssl.create_default_context(cafile=certs.ca)
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with TlsClient(cp.port, context) as c:
        assert c.sock.selected_alpn_protocol() == "http/1.1"
        for _ in range(3):
            c.send(http.request("POST", "/key/generate", cp.key, b"{}"))
            assert c.read_reply().status == 200
        c.send(http.request("GET", "/key/list", cp.key) * 3)  # behind each other
        assert [c.read_reply().status for _ in range(3)] == [200] * 3


def test_large_bodies_both_ways(cp, context):
    metadata = {"text": "x" * 300_000}
    made = call(cp, context, "POST", "/key/generate", {"metadata": metadata})
    assert made.status == 200 and made.json["metadata"] == metadata
    assert len(call(cp, context, "GET", "/openapi.json").body) > 100_000


def test_byte_by_byte(cp, context):
    with TlsClient(cp.port, context) as c:
        for b in http.request("POST", "/key/generate", cp.key, b"{}"):
            c.send(bytes([b]))
        assert c.read_reply().status == 200


def test_continue(cp, context):
    with TlsClient(cp.port, context) as c:
        c.send(http.request("POST", "/key/generate", cp.key, headers=[("Expect", "100-continue"), ("Content-Length", "2")]))
        assert c.read_head().status == 100
        c.send(b"{}")
        assert c.read_reply().status == 200


def test_a_refusal_arrives_and_the_end_is_orderly(cp, context):
    with TlsClient(cp.port, context) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert c.read_reply().status == 400
        assert c.sock.recv(1) == b""  # close_notify, else an error


@pytest.mark.parametrize("data", [b"GET /health/liveliness HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\0" * 50])
def test_what_is_no_tls_is_closed(cp, context, data):
    with socket.create_connection(("127.0.0.1", cp.port), 10) as s:
        s.sendall(data)
        got = b""
        while piece := s.recv(4096):
            got += piece
        assert b"HTTP" not in got
    assert call(cp, context, "GET", "/health/liveliness").status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(cp, certs, version):
    context = ssl.create_default_context(cafile=certs.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
    with pytest.raises((ssl.SSLError, OSError)):
        TlsClient(cp.port, context)


def test_silence_ends_with_the_time_for_a_head(cp):
    with socket.create_connection(("127.0.0.1", cp.port), 20) as s:  # header_timeout is 1, idle_timeout 75
        assert s.recv(1) == b""


def test_clients_that_leave_disturb_nobody(cp, context):
    for i in range(20):
        with socket.create_connection(("127.0.0.1", cp.port)) as s:
            if i % 2:
                context.wrap_socket(s, server_hostname="localhost").sendall(http.request("GET", "/key/list", cp.key))
            else:
                s.sendall(b"\x16\x03\x01")
    assert call(cp, context, "GET", "/key/list").status == 200


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda c, d: {"admin_keyfile": ""}, "both, or none"), (lambda c, d: {"admin_certfile": str(d / "none.pem")}, "none.pem"),
        (lambda c, d: {"admin_keyfile": str(c.chain("other")[1])}, "not that of the certificate"),
        (lambda c, d: {"admin_keyfile": str(c.chain("good")[0])}, "private key"), (lambda c, d: {"admin_certfile": str(c.chain("good")[1])}, "certificate"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_stop_the_start(database, start, certs, tmp_path, change, text):
    config = settings(certs)
    config["weir"].update(change(certs, tmp_path))
    refused = start(database, config, wait=False)
    assert refused.process.wait(30) == 1 and text in refused.log()
    refused.inquest(codes=(1,))
