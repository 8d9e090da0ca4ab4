"""What goes wrong upstream and downstream, and what the client then sees (threats 4, 14, 15; litellm-dataplane 5.3, 7)."""

import json
import socket
import threading
import time
from pathlib import Path

import pytest

from support import dialects, standard
from support.http import Client
from support.mock_provider import (
    FIN, JSON, LAST_CHUNK, RST, SSE, STALL, BlackHole, Delay, Mock, chunk, free_port, head, json_reply, reply, sse_reply,
)  # fmt: skip
from support.weir import Weir

SAY = [{"role": "user", "content": "x"}]
CHAT = {"model": "gpt-pub", "messages": SAY}
MESSAGES = {"model": "claude-pub", "max_tokens": 9, "messages": SAY}
OK = {"id": "c", "object": "chat.completion", "model": "up", "choices": [],
      "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}  # fmt: skip
EVENT = b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
FINISH = b'data: {"id":"c","model":"up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


@pytest.fixture(scope="module")
def shared():
    """One upstream and one gateway for all retry tests: each test has models of its own."""
    mock = Mock()
    n = 40
    models = [standard.openai(f"solo{i}", f"solo{i}", mock.url, model_info={"id": f"solo{i}"}) for i in range(n)]
    for i in range(n):
        models += [
            standard.openai(f"pair{i}", f"pair{i}{x}", mock.url, model_info={"id": f"pair{i}{x}"}) for x in "ab"
        ]
        models.append(standard.anthropic(f"claude{i}", f"claude{i}", mock.url, model_info={"id": f"claude{i}"}))
    weir = Weir({"model_list": models, "router_settings": {"num_retries": 2, "disable_cooldowns": True}})
    yield weir, mock
    weir.stop()
    mock.stop()


_numbers = iter(range(10_000))


@pytest.fixture
def solo(shared):
    weir, mock = shared
    mock.reset()
    return weir, mock, f"solo{next(_numbers) % 40}"


def chat(weir, model, **kw):
    return weir.post("/v1/chat/completions", {"model": model, "messages": SAY, **kw.pop("body", {})}, **kw)


# --- retries -------------------------------------------------------------------------------------------------------


def test_a_retry_goes_to_the_other_deployment(shared):
    """5.3: selection runs again, the one that failed is not taken first."""
    weir, mock = shared
    for i in range(8):
        mock.reset()
        bad = mock_first_fails(mock, f"pair{i}")
        reply = chat(weir, f"pair{i}")
        assert reply.status == 200, reply.body
        models = [r.json["model"] for r in mock.requests]
        assert len(models) == 2 and set(models) == {f"pair{i}a", f"pair{i}b"}, models
        assert models[0] == bad["was"]
        assert reply.header("x-litellm-attempted-retries") == "1"
        assert reply.header("x-litellm-model-id") == models[1]


def mock_first_fails(mock, name, status=500):
    """Whichever deployment is asked first answers an error."""
    seen = {}

    def script(request):
        if not seen:
            seen["was"] = request.json["model"]
            return dialects.openai_error(status)
        return json_reply({**OK, "model": request.json["model"]})

    for x in "ab":
        mock.on(name + x, script)
    return seen


@pytest.mark.parametrize("status,attempts", [(400, 1), (404, 1), (422, 1), (401, 1), (403, 1), (408, 3), (409, 3),
                                             (429, 3), (500, 3), (502, 3), (503, 3), (529, 3)])  # fmt: skip
@pytest.mark.slow
def test_what_is_retried(solo, status, attempts):
    """5.3: 1 + num_retries, the last error is the client's."""
    weir, mock, model = solo
    mock.on(model, lambda r: dialects.openai_error(status, headers=(("retry-after-ms", "5"), ("retry-after", "0.01"))))
    reply = chat(weir, model)
    assert len(mock.requests) == attempts
    assert reply.status == {529: 503}.get(status, status)
    if attempts > 1:
        assert reply.header("x-litellm-attempted-retries") == str(attempts - 1)


def test_num_retries_of_the_request(solo):
    weir, mock, model = solo
    mock.on(model, lambda r: dialects.openai_error(500))
    chat(weir, model, body={"num_retries": 0})
    assert len(mock.requests) == 1
    chat(weir, model, headers=[("x-litellm-num-retries", "1")])
    assert len(mock.requests) == 3


def test_max_retries_header(solo):
    """8.1"""
    weir, mock, model = solo
    mock.on(model, json_reply(OK))
    assert chat(weir, model).header("x-litellm-max-retries") == "2"


def test_retry_waits_as_the_upstream_asks(solo):
    """5.3: the only deployment, retry-after between 0 and 60 s."""
    weir, mock, model = solo
    mock.on(model, lambda r: dialects.openai_error(429, headers=(("retry-after", "1"),)), json_reply(OK))
    began = time.monotonic()
    assert chat(weir, model).status == 200
    first, second = mock.requests
    assert 0.95 <= second.time - first.time < 10
    assert time.monotonic() - began >= 0.95


def test_streams_are_retried_before_the_first_byte(solo):
    weir, mock, model = solo
    mock.on(model, [head(200, (SSE,), chunked=True), FIN], sse_reply([EVENT, FINISH, b"data: [DONE]\n\n"]))
    reply = chat(weir, model, body={"stream": True})
    assert reply.status == 200
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert len(mock.requests) == 2


def test_nothing_is_retried_after_the_first_byte(solo):
    """F.29"""
    weir, mock, model = solo
    mock.on(model, [head(200, (SSE,), chunked=True), chunk(EVENT), Delay(0.1), RST])
    reply = chat(weir, model, body={"stream": True})
    assert reply.status == 200
    assert b"abc" in reply.body and b'data: {"error":' in reply.body
    time.sleep(0.3)
    assert len(mock.requests) == 1


@pytest.mark.parametrize("break_", [RST, FIN], ids=["reset", "fin"])
@pytest.mark.parametrize("steps", [[], [b"HTTP/1.1 200 OK\r\nContent-"], [head(200, (JSON,), length=100)],
                                   [head(200, (JSON,), length=100) + b'{"id":']],
                         ids=["nothing", "half-a-head", "head", "part-of-body"])  # fmt: skip
def test_a_broken_reply_is_502(solo, steps, break_):
    weir, mock, model = solo
    mock.on(model, [*steps, break_])
    reply = chat(weir, model, body={"num_retries": 0})
    assert reply.status in (500, 502), reply.body
    assert reply.json["error"]["code"] == str(reply.status)
    assert reply.end != "cut"


def test_keep_alive_race_is_retried_once_for_free(solo):
    """C-06: the connection dies as we send; a fresh one is dialled although num_retries is 0."""
    weir, mock, model = solo
    mock.on(model, lambda r: [RST] if r.nth > 1 else json_reply(OK))
    for _ in range(10):
        reply = chat(weir, model, body={"num_retries": 0})
        assert reply.status == 200, reply.body
        assert reply.header("x-litellm-attempted-retries") in (None, "0")


def test_a_fresh_connection_that_dies_is_not_retried_for_free(solo):
    weir, mock, model = solo
    mock.on(model, [RST])
    assert chat(weir, model, body={"num_retries": 0}).status in (500, 502)
    assert len([r for r in mock.requests if r.nth == 1]) == 1


def test_upstream_connections_are_kept_and_reused(solo):
    weir, mock, model = solo
    mock.on(model, json_reply(OK))
    for _ in range(20):
        assert chat(weir, model).status == 200
    assert len({r.connection for r in mock.requests}) <= 2


def test_a_connection_with_extra_bytes_is_not_reused(solo):
    """U-02, C-10"""
    weir, mock, model = solo
    whole = b"".join(json_reply(OK))
    mock.on(model, [whole + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"])
    for _ in range(5):
        reply = chat(weir, model)
        assert reply.status == 200 and b"evil" not in reply.body
    assert len({r.connection for r in mock.requests}) == 5


# --- not reached -------------------------------------------------------------------------------------------------


def envelope(reply, status, api):
    assert reply.status in status, reply.body
    e = reply.json
    if api == "openai":
        assert e["error"]["code"] == str(reply.status) and e["error"]["message"]
    else:
        assert e["type"] == "error" and e["error"]["type"] and e["error"]["message"]
    assert reply.header("x-litellm-call-id")


@pytest.fixture(scope="module")
def unreachable():
    """Upstreams that refuse, swallow and stall, under short timeouts."""
    hole, mock, closed = BlackHole(), Mock(), free_port()
    where = {"refused": f"http://127.0.0.1:{closed}", "hole": hole.url, "stall": mock.url, "silent": mock.url,
             "noname": "http://no-such-host.invalid"}  # fmt: skip
    models = []
    for name, url in where.items():
        models.append(standard.openai(f"{name}-openai", name, url, timeout=2, stream_timeout=1))
        models.append(standard.anthropic(f"{name}-anthropic", name, url, timeout=2, stream_timeout=1))
    mock.on("stall", [STALL])
    mock.on("silent", [head(200, (SSE,), chunked=True), chunk(EVENT), STALL])
    weir = Weir({"model_list": models, "router_settings": {"num_retries": 0}})
    yield weir
    weir.stop()
    hole.stop()
    mock.stop()


@pytest.mark.parametrize("api", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "name,status,least",
    [
        ("refused", (500, 502, 503), 0),
        ("noname", (500, 502, 503), 0),
        ("hole", (504, 408), 1.5),
        ("stall", (504, 408), 1.5),
    ],
)
def test_unreachable_upstream(unreachable, name, status, least, api):
    """F-UP-1..2, F-DN-3 and the timeouts, in the client's envelope."""
    path, body = ("/v1/chat/completions", CHAT) if api == "openai" else ("/v1/messages", MESSAGES)
    began = time.monotonic()
    reply = unreachable.post(path, {**body, "model": f"{name}-{api}"})
    took = time.monotonic() - began
    envelope(reply, status, api)
    assert least <= took < 10, took


def test_stall_in_mid_stream_is_an_error_event(unreachable):
    """F-UP-6: silence, then the error, never a normal end."""
    reply = unreachable.post("/v1/chat/completions", {**CHAT, "model": "silent-openai", "stream": True})
    assert reply.status == 200
    assert b"abc" in reply.body
    assert reply.body.rstrip().split(b"\n\n")[-1].startswith(b'data: {"error":')
    assert b"[DONE]" not in reply.body


def test_timeout_of_the_request(unreachable):
    began = time.monotonic()
    reply = unreachable.post("/v1/chat/completions", {**CHAT, "model": "stall-openai", "timeout": 0.5})
    assert reply.status in (504, 408)
    assert time.monotonic() - began < 1.8


def test_an_upstream_that_comes_back_is_used_again(start):
    mock = Mock()
    weir = start({"model_list": [standard.openai("g", "up", mock.url)],
                  "router_settings": {"num_retries": 0, "disable_cooldowns": True}})  # fmt: skip
    assert chat(weir, "g").status == 200
    mock.refuse()
    assert chat(weir, "g").status in (500, 502, 503)
    mock.listen()
    assert chat(weir, "g").status == 200
    mock.stop()


# --- broken in mid-stream ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("break_", [RST, FIN], ids=["reset", "fin"])
@pytest.mark.parametrize("api", ["chat", "messages", "responses"])
def test_cut_in_mid_stream_is_an_error_event_then_the_end(shared, api, break_):
    """F-UP-4..5: never a silent normal end, in the words of the API."""
    weir, mock = shared
    mock.reset()
    if api == "chat":
        path, body, event = "/v1/chat/completions", {"model": "solo30", "messages": SAY}, EVENT
        model, marker = "solo30", b'data: {"error":{'
    elif api == "messages":
        path, body, model = "/v1/messages", {"model": "claude30", "max_tokens": 9, "messages": SAY}, "claude30"
        event = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"claude30"}}\n\n'
        marker = b'event: error\ndata: {"type":"error","error":{'
    else:
        path, body, model = "/v1/responses", {"model": "solo31", "input": "x"}, "solo31"
        event = (b'event: response.created\ndata: {"type":"response.created","sequence_number":0,'
                 b'"response":{"id":"resp_1","model":"solo31"}}\n\n')  # fmt: skip
        marker = b"event: "
    mock.on(model, [head(200, (SSE,), chunked=True), chunk(event), Delay(0.05), break_])
    reply = weir.post(path, {**body, "stream": True})
    assert reply.status == 200
    events = [e for e in reply.body.split(b"\n\n") if e]
    assert len(events) == 2, reply.body
    assert events[1].startswith(marker), events[1]
    assert b"[DONE]" not in reply.body
    if api == "responses":
        kind = events[1].split(b"\n")[0]
        assert kind in (b"event: error", b"event: response.failed")
        data = json.loads(events[1].split(b"data: ")[1])
        assert data["type"] == kind.decode().removeprefix("event: ")
        assert data["sequence_number"] == 1


def test_cut_after_the_end_is_a_normal_end(solo):
    weir, mock, model = solo
    mock.on(model, [head(200, (SSE,), chunked=True), chunk(EVENT + FINISH + b"data: [DONE]\n\n"), Delay(0.05), RST])
    reply = chat(weir, model, body={"stream": True})
    assert reply.body.endswith(b"data: [DONE]\n\n")
    assert b"error" not in reply.body


def test_reply_body_shorter_than_its_length(solo):
    """A plain reply that breaks off cannot be repaired once begun; it must not look whole."""
    weir, mock, model = solo
    big = b'{"id":"c","model":"up","x":"' + b"y" * 2_000_000
    mock.on(model, [head(200, (JSON,), length=3_000_000) + big, Delay(0.1), FIN])
    reply = chat(weir, model, body={"num_retries": 0})
    assert reply.status >= 500 or reply.end == "cut"


# --- slow and leaving clients --------------------------------------------------------------------------------------


def rss(pid):
    return sum(int(line.split()[1]) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
               if line.startswith("Pss:"))  # fmt: skip


def test_slow_client_stops_the_upstream(shared):
    """F.27, B-01: nothing grows while nobody reads, and all of it comes in the end."""
    weir, mock = shared
    mock.reset()
    (worker,) = weir.workers()
    piece = b'data: {"model":"up","choices":[{"index":0,"delta":{"content":"' + b"z" * 60_000 + b'"}}]}\n\n'
    n = 600  # 36 MB
    steps = [head(200, (SSE,), chunked=True), *[chunk(piece)] * n, chunk(FINISH + b"data: [DONE]\n\n"), LAST_CHUNK]
    mock.on("solo35", steps)
    before = rss(worker)
    with Client(weir.port, timeout=30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "solo35", "messages": SAY, "stream": True}))
        conn = mock.wait_requests(1)[0].conn
        at_rest, sent = conn.sent, -1
        while sent != at_rest:
            time.sleep(0.5)
            at_rest, sent = conn.sent, at_rest
        assert at_rest < 20_000_000
        assert rss(worker) - before < 8 * 1024, "KiB held for one slow client"
        reply = c.read_head()
        total = sum(len(p) for p in c.pieces(reply))
        assert reply.end == "chunked"
        assert total > n * 60_000


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [True, False])
def test_client_gone_closes_the_upstream_connection(shared, how, stream):
    """F.26: at once; the exchange is recorded."""
    weir, mock = shared
    mock.reset()
    model = f"solo{36 + 2 * stream + (how == 'reset')}"
    if stream:
        mock.on(model, [head(200, (SSE,), chunked=True), chunk(EVENT), STALL])
    else:
        mock.on(model, [STALL])
    c = Client(weir.port)
    c.send(weir.request("POST", "/v1/chat/completions", {"model": model, "messages": SAY, "stream": stream}))
    conn = mock.wait_requests(1)[0].conn
    if stream:
        reply = c.read_head()
        next(c.pieces(reply))
    getattr(c, how)()
    mock.wait(lambda: conn.eof_at or conn.lost_at, 5, "upstream closed")
    record = weir.wait(lambda: [r for r in weir.spool() if r["upstream_model"] == model], what="a usage record")[-1]
    assert record["client_gone"] is True
    assert record["status"] in (200, 499)
    if stream:
        assert record["usage"]["estimated"], "some text was produced and must not be free"


@pytest.mark.slow
def test_slow_head_is_timed_out(weir):
    """H-17: 10 s for a complete head; nothing or 408, then the end."""
    with Client(weir.port, timeout=15) as c:
        c.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\n")
        began = time.monotonic()
        try:
            assert c.read_reply().status == 408
        except EOFError:
            pass
        assert 5 < time.monotonic() - began < 14


# --- hostile upstreams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_502_and_not_followed(solo, status):
    """U-06"""
    weir, mock, model = solo
    other = f"{mock.url}/v1/elsewhere"
    mock.on(model, reply(b"", status, (("Location", other),)))
    answer = chat(weir, model, body={"num_retries": 0})
    assert answer.status == 502
    assert answer.header("location") is None
    assert len(mock.requests) == 1
    assert b"elsewhere" not in answer.body


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 700 High\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/2 200\r\n\r\n",
    ],
)  # fmt: skip
def test_garbage_is_502(solo, raw):
    """U-01, U-03, U-04, F-UP-10..11"""
    weir, mock, model = solo
    mock.on(model, [raw, Delay(0.2), FIN])
    answer = chat(weir, model, body={"num_retries": 0})
    assert answer.status in (500, 502), answer.body
    assert answer.json["error"]["code"] == str(answer.status)
    assert chat(weir, "pair0").status == 200, "and the next one is served"


def test_interim_replies_are_swallowed(solo):
    weir, mock, model = solo
    mock.on(model, [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", *json_reply(OK)])
    with Client(weir.port) as c:
        c.send(weir.request("POST", "/v1/chat/completions", {"model": model, "messages": SAY}))
        assert c.read_head().status == 200


def test_huge_error_body_is_cut(solo):
    """U-04: 64 KiB of an error are kept."""
    weir, mock, model = solo
    mock.on(model, reply(b'{"error":{"message":"' + b"x" * 20_000_000 + b'"}}', 400))
    answer = chat(weir, model)
    assert answer.status == 400
    assert len(answer.body) <= 80_000
    assert answer.json["error"]["code"] == "400"


def test_error_that_is_not_json(solo):
    weir, mock, model = solo
    mock.on(model, reply(b"<html>nginx says no</html>", 403, (("Content-Type", "text/html"),)))
    answer = chat(weir, model)
    assert answer.status == 403
    assert answer.header("content-type") == "application/json"
    assert answer.json["error"]["code"] == "403"


@pytest.mark.parametrize("where", ["headers", "error", "body"])
def test_an_upstream_that_echoes_our_credential(shared, where):
    """U-05, U-11: neither in what is returned nor in what is logged (the inquest looks)."""
    weir, mock = shared
    mock.reset()

    def script(request):
        got = request.headers["authorization"]
        echo = tuple((n, v) for n, v in request.header_list if n not in ("content-length", "content-type"))
        if where == "headers":
            return json_reply(OK, headers=(*echo, ("x-echo", got)))
        message = f"Incorrect API key provided: {got.removeprefix('Bearer ')}. {request.head!r}"
        if where == "error":
            return dialects.openai_error(401, message)
        return dialects.openai_error(400, message, headers=echo)

    mock.on("solo39", script)
    answer = chat(weir, "solo39", body={"num_retries": 0})
    assert standard.OPENAI_KEY.encode() not in answer.raw


def test_compressed_reply_nobody_asked_for(solo):
    """F.12, U-07: decoded or refused, never handed on as it is."""
    import gzip

    weir, mock, model = solo
    body = gzip.compress(json.dumps(OK).encode())
    mock.on(model, reply(body, 200, (JSON, ("Content-Encoding", "gzip"))))
    answer = chat(weir, model, body={"num_retries": 0})
    if answer.status == 200:
        assert answer.header("content-encoding") is None
        assert answer.json["id"] == "c"
    else:
        assert answer.status == 502


def test_stream_asked_plain_json_given(solo):
    """F.30: a client that wants a stream gets a stream, or a clear error."""
    weir, mock, model = solo
    message = {"role": "assistant", "content": dialects.TEXT}
    mock.on(model, json_reply({**OK, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}))
    answer = chat(weir, model, body={"stream": True, "num_retries": 0})
    if answer.status == 200:
        assert answer.header("content-type").startswith("text/event-stream")
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert json.dumps(dialects.TEXT)[1:-1].encode() in answer.body or dialects.TEXT.encode() in answer.body
    else:
        assert answer.status == 502


def test_completions_in_another_form_than_asked(start):
    """F.30 of text completions."""
    mock = Mock()
    weir = start({"model_list": [{"model_name": "c", "litellm_params": {
        "model": "text-completion-openai/gpt-3.5-turbo-instruct", "api_base": mock.url, "api_key": "k"}}]})  # fmt: skip
    asked = {"model": "c", "prompt": "x", "num_retries": 0}
    choices = [{"index": 0, "text": "x", "finish_reason": "stop"}]
    whole = json_reply({"id": "c", "object": "text_completion", "choices": choices})
    events = sse_reply([b"data: " + json.dumps({"id": "c", "choices": choices}).encode() + b"\n\n", b"data: [DONE]\n\n"])
    for given, stream in ((whole, True), (events, False)):
        mock.on("gpt-3.5-turbo-instruct", given)
        answer = weir.post("/v1/completions", {**asked, "stream": stream})
        assert answer.status == 200
        assert answer.body.startswith(b"data: " if stream else b"{")
        assert b'"text":"x"' in answer.body
    mock.stop()


def test_plain_asked_stream_given(solo):
    """F.30, the reverse."""
    weir, mock, model = solo
    mock.on(model, sse_reply([EVENT, FINISH, b"data: [DONE]\n\n"]))
    answer = chat(weir, model, body={"num_retries": 0})
    if answer.status == 200:
        assert answer.header("content-type") == "application/json"
        assert answer.json["choices"][0]["message"]["content"] == "abc"
    else:
        assert answer.status == 502


def test_keep_alive_comments_while_the_upstream_thinks(start):
    """F.28: with sse_keepalive_ping_interval_seconds the client hears a comment; the stream is else unchanged."""
    mock = Mock()
    weir = start({"model_list": [standard.openai("g", "up", mock.url)],
                  "litellm_settings": {"sse_keepalive_ping_interval_seconds": 1}})  # fmt: skip
    mock.on("up", sse_reply([EVENT, Delay(2.6), EVENT, FINISH, b"data: [DONE]\n\n"]))
    answer = chat(weir, "g", body={"stream": True})
    comments = [e for e in answer.body.split(b"\n\n") if e.startswith(b":")]
    assert len(comments) == 2, answer.body
    rest = b"\n\n".join(e for e in answer.body.split(b"\n\n") if not e.startswith(b":"))
    assert rest == (EVENT * 2 + FINISH + b"data: [DONE]\n\n").replace(b'"up"', b'"g"')
    mock.stop()


def test_many_at_once(solo):
    """200 streams side by side through one worker, each whole."""
    weir, mock, model = solo
    events = [EVENT, Delay(0.3), EVENT, FINISH, b"data: [DONE]\n\n"]
    mock.on(model, sse_reply(events))
    bodies, lock = [], threading.Lock()

    def one():
        answer = chat(weir, model, body={"stream": True})
        with lock:
            bodies.append((answer.status, answer.body))

    threads = [threading.Thread(target=one) for _ in range(200)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    want = (EVENT * 2 + FINISH + b"data: [DONE]\n\n").replace(b'"up"', b'"%s"' % model.encode())
    assert bodies == [(200, want)] * 200
