"""Clients and upstreams out of step: early answers, trickles, what is left behind on kept connections."""

import contextlib
import json
import socket
import threading
import time

import pytest
from support import standard
from support.http import Client
from support.mock_provider import JSON, LAST_CHUNK, SSE, chunk, head, json_reply

SAY = [{"role": "user", "content": "hello"}]
WHOLE = {"id": "c", "object": "chat.completion", "model": "up",
         "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip


class EarlyUpstream:
    """Answers as soon as it has a head, keeps the connection, and reads the rest of the request never."""

    def __init__(self, status):
        body = json.dumps(WHOLE if status == 200 else {"error": {"message": "too large"}}).encode()
        self.reply = head(status, (JSON,), length=len(body)) + body
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(8)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.kept = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                c, _ = self.listener.accept()
                self.kept.append(c)
                received = b""
                while b"\r\n\r\n" not in received:
                    received += c.recv(4096)
                time.sleep(0.2)  # by now the buffers between are full
                c.sendall(self.reply)

    def stop(self):
        for s in (self.listener, *self.kept):
            s.close()


@pytest.mark.parametrize("status", [200, 413])
def test_an_answer_before_the_body_is_sent(start, status):
    """The reply counts; the connection, with half a request on it, is not used again."""
    upstream = EarlyUpstream(status)
    weir = start(standard.config(upstream.url))
    (worker,) = weir.workers()
    for _ in range(2):
        body = {"model": "gpt-pub", "messages": [{"role": "user", "content": "x" * 12_000_000}]}
        assert weir.post("/v1/chat/completions", body).status == status
    assert weir.workers() == [worker]
    assert len(upstream.kept) == 2
    upstream.stop()


def test_interim_headers_are_not_of_the_reply(weir, mock):
    early = head(103, (SSE, ("Content-Encoding", "gzip"), ("Retry-After", "9")))
    mock.on("gpt-up", [early, *json_reply(WHOLE)])
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    assert reply.status == 200
    assert reply.json["choices"][0]["message"]["content"] == "hi"


def test_who_stays_to_the_end_is_not_counted_as_gone(weir, mock):
    before = weir.metrics()["weir_client_gone_total"]
    for headers in ((("Connection", "close"),), ()):
        reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY}, headers=headers)
        assert reply.status == 200
    assert weir.metrics()["weir_client_gone_total"] == before


def trickle(c, data):
    """Sends byte by byte until the peer answers or leaves; how long that took."""
    began = time.monotonic()
    c.sock.settimeout(0.2)
    for i in range(len(data)):
        with contextlib.suppress(TimeoutError):
            c.send(data[i : i + 1])
            if c._more() or c._eof:
                break
    return time.monotonic() - began


def test_trickling_does_not_buy_time(start, mock):
    """H-17: a head has its time in all; a body may not be endless."""
    weir = start({**standard.config(mock.url), "weir": {"header_timeout": 1, "body_timeout": 1}})
    request = weir.request("POST", "/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    with Client(weir.port) as c:
        assert 0.8 < trickle(c, request) < 8
        assert c.read_reply().status == 408
    with Client(weir.port) as c:
        at = request.index(b"\r\n\r\n") + 4
        c.send(request[:at])
        assert 0.8 < trickle(c, request[at:]) < 8
        assert c.read_reply().status == 408
        # H-19: what still comes is dropped for 2 s, not for ever
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 15:
                c.send(b" ")
                time.sleep(0.1)
        assert time.monotonic() - began < 10


def test_a_kept_connection_holds_no_buffers(start, mock):
    """What a slow reader made pile up is given back when it has read it."""
    weir = start(standard.config(mock.url))
    piece = b'data: {"model":"up","choices":[{"index":0,"delta":{"content":"' + b"z" * 60_000 + b'"}}]}\n\n'
    mock.on("gpt-up", [head(200, (SSE,), chunked=True), *[chunk(piece)] * 200, chunk(b"data: [DONE]\n\n"), LAST_CHUNK])
    weir.metrics()
    time.sleep(0.3)  # the gauge is set ten times a second
    before = weir.metrics()["weir_body_bytes"]
    with Client(weir.port) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "gpt-pub", "messages": SAY, "stream": True}))
        time.sleep(0.5)
        assert c.read_reply().end == "chunked"
        weir.wait(lambda: weir.metrics()["weir_body_bytes"] <= before + 16 * 1024, 5, "buffers given back")


@pytest.mark.parametrize("query", [b"include\t[]", b"a=\x0cb", b"a=\xc3\xa4"])
def test_no_odd_bytes_in_the_upstream_request_line(weir, mock, query):
    with Client(weir.port) as c:
        c.send(b"GET /v1/responses/%s?%s HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer %s\r\n\r\n"
               % (RESPONSE.encode(), query, weir.key.encode()))  # fmt: skip
        assert c.read_reply().status == 400
    assert not mock.requests


def response_id(upstream):
    import base64

    text = f"litellm:custom_llm_provider:openai;model_id:dep-gpt-pub;response_id:{upstream}"
    return "resp_" + base64.b64encode(text.encode()).decode()


RESPONSE = response_id("resp_abc")


@pytest.mark.parametrize("upstream", [".", ".."])
def test_a_response_id_is_no_path(weir, mock, upstream):
    reply = weir.get(f"/v1/responses/{response_id(upstream)}".replace("=", "%3D"))
    assert reply.status == 404
    assert not mock.requests


@pytest.mark.parametrize("name", [".", ".."])
def test_a_model_is_no_path(start, mock, name):
    """Where the model stands in the upstream's path and the client chooses it."""
    weir = start({"model_list": [standard.azure("az/*", "*", mock.url)]})
    body = {"model": f"az/{name}", "messages": SAY}
    assert weir.post("/v1/chat/completions", body).status == 400
    assert not mock.requests
    assert weir.post("/v1/chat/completions", {**body, "model": "az/..a"}).status == 200
    assert "/deployments/..a/" in mock.request.path


def test_a_long_model_name_hides_nobody(start, mock):
    """What a client chooses never takes the place of who pays in the record."""
    weir = start({"model_list": [standard.openai("wild/*", "*", mock.url)]})
    assert weir.post("/v1/chat/completions", {"model": "wild/" + "m" * 500, "messages": SAY}).status == 200
    (record,) = weir.records(1)
    assert record["key"] and record["client_ip"] and record["response_id"]
    assert record["upstream_model"].startswith("mmmm")
