"""What can go wrong while one API is spoken in another: broken, huge and slow upstreams, clients that leave, retries
between dialects, and what is left behind. What the words become is the matter of test_pairs_*.py."""

import json
import os
import signal
import socket
import threading
import time

import pytest

from support import speak, standard
from support.http import Client
from support.mock_provider import (
    FIN, LAST_CHUNK, RST, SSE, STALL, Delay, Mock, chunk, head, json_reply, reply, sse, sse_reply,
)  # fmt: skip
from support.parts import Fail, Text
from support.weir import Weir

TEXT = "Grüße vom Wehr 🌊, said the upstream."
APIS = ("chat", "messages", "responses")
PAIRS = pytest.mark.parametrize("pair", [f"{c}-{u}" for c in APIS for u in APIS if c != u])
KEY = "sk-upstream-groq-Wn2z"
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def deployments(name, base, id_=None, **params):
    """One of each API, named after it."""
    models = {"chat": f"groq/{name}-chat", "messages": f"anthropic/{name}-messages",
              "responses": f"openai/responses/{name}-responses"}  # fmt: skip
    return {
        api: {
            "model_name": id_ or f"{name}-{api}",
            "litellm_params": {"model": model, "api_key": KEY, **params,
                               "api_base": base if api == "messages" else f"{base}/v1"},
            "model_info": {"id": f"dep-{name}-{api}", **standard.PRICES},
        }
        for api, model in models.items()
    }  # fmt: skip


def config(base, **more):
    group = list(deployments("g", base, "group").values())
    models = [*deployments("up", base).values(), *group]
    return {"model_list": models, "router_settings": {"num_retries": 0, "disable_cooldowns": True}, **more}


@pytest.fixture(scope="module")
def gateway():
    mock = Mock()
    weir = Weir(config(mock.url), workers=2)
    yield weir, mock
    weir.stop()
    mock.stop()


@pytest.fixture
def both(gateway):
    gateway[1].reset()
    yield gateway
    gateway[1].reset()


def body(api, model, stream=False, text="plan", **more):
    say = [{"role": "user", "content": text}]
    given = {"chat": {"messages": say}, "messages": {"messages": say, "max_tokens": 64}, "responses": {"input": say}}
    return {"model": model, **given[api], "stream": stream, **more}


def call(weir, client, model, stream=False, **more):
    return weir.post(PATHS[client], body(client, model, stream, **more))


def events(reply):
    """(name, data) of each event; data is read unless it is the mark."""
    got = []
    for block in reply.body.decode().split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        name = [line[7:] for line in lines if line.startswith("event: ")]
        data = [line[6:] for line in lines if line.startswith("data: ")]
        assert len(data) == 1, block
        got.append((name[0] if name else "", data[0] if data[0] == "[DONE]" else json.loads(data[0])))
    return got


def text_of(api, reply):
    """What the client was told, whole or streamed."""
    if reply.header("content-type").startswith("text/event-stream"):
        got = [d for _, d in events(reply) if d != "[DONE]"]
        if api == "chat":
            return "".join(c["delta"].get("content") or "" for d in got for c in d.get("choices", ()))
        if api == "messages":
            return "".join(d["delta"]["text"] for d in got if d.get("type") == "content_block_delta")
        return "".join(d["delta"] for d in got if d.get("type") == "response.output_text.delta")
    said = reply.json
    if api == "chat":
        return said["choices"][0]["message"]["content"]
    if api == "messages":
        return "".join(b["text"] for b in said["content"])
    return "".join(p["text"] for i in said["output"] for p in i.get("content", ()))


def is_complete(api, reply):
    """The stream came to the end its API gives it."""
    got = events(reply)
    if not got:
        return False
    last = {"chat": ("", "[DONE]"), "messages": "message_stop", "responses": "response.completed"}[api]
    return got[-1] == last if api == "chat" else got[-1][0] == last


def error_of(reply):
    """The error event a stream ended with, or None."""
    for name, data in events(reply):
        if data != "[DONE]" and (name in ("error", "response.failed") or data.get("error")):
            return data
    return None


def said(request, stream, text=TEXT):
    """The steps of a whole reply, or of a stream, whatever the request asks for."""
    asked = json.loads(request.body)
    asked["stream"] = stream
    request.body = json.dumps(asked).encode()
    return speak.answer(request, [Text(text)])


# --- the form that was not asked for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("pair", [f"{c}-{u}" for c in APIS for u in APIS])
def test_the_other_form(both, pair, stream):
    """F.30: the client has what it asked for, whatever the upstream answers with."""
    weir, mock = both
    client, upstream = pair.split("-")
    mock.on(f"up-{upstream}", lambda r: said(r, not stream))
    answer = call(weir, client, f"up-{upstream}", stream)
    assert answer.status == 200, answer.body
    want = "text/event-stream; charset=utf-8" if stream else "application/json"
    assert answer.header("content-type") == want
    assert text_of(client, answer) == TEXT
    if stream:
        assert is_complete(client, answer)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_other_form_of_completions(both, stream):
    weir, mock = both
    mock.on("up-chat", lambda r: said(r, not stream))
    answer = weir.post("/v1/completions", {"model": "up-chat", "prompt": "x", "stream": stream})
    assert answer.status == 200, answer.body
    got = [d for _, d in events(answer) if d != "[DONE]"] if stream else [answer.json]
    assert "".join(c["text"] for d in got for c in d["choices"]) == TEXT


@pytest.mark.parametrize("client", APIS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_whole_reply_that_calls_itself_a_stream(both, client, stream):
    """F.9: JSON over several lines under text/event-stream, an answer and an error."""
    weir, mock = both
    for upstream in APIS:

        def pretty(request):
            steps = said(request, False)
            text = json.dumps(json.loads(steps[0].partition(b"\r\n\r\n")[2]), indent=2).encode()
            return reply(b"\n" + text, 200, [SSE])

        mock.on(f"up-{upstream}", pretty)
        answer = call(weir, client, f"up-{upstream}", stream)
        assert answer.status == 200, (upstream, answer.body)
        assert text_of(client, answer) == TEXT
        fault = json.dumps({"error": {"message": f"no, {KEY}", "type": "rate_limit_error"}}, indent=1).encode()
        mock.on(f"up-{upstream}", reply(fault, 200, [SSE]))
        answer = call(weir, client, f"up-{upstream}", stream)
        assert answer.status == 429, (client, upstream, answer.body)
        assert KEY.encode() not in answer.body


# --- errors in the stream ---------------------------------------------------------------------------------------------

FAULTS = {
    "chat": sse({"error": {"message": f"bad key {KEY}", "type": "server_error", "code": KEY}}),
    "messages": sse({"type": "error", "error": {"type": "overloaded_error", "message": f"bad key {KEY}"}}, "error"),
    "responses": sse({"type": "error", "code": KEY, "message": f"bad key {KEY}", "param": None}, "error"),
}


def frames(request, text=TEXT):
    """The events of a stream that says `text`."""
    steps = [s for s in said(request, True, text) if isinstance(s, bytes)][1:]
    return [s.partition(b"\r\n")[2][:-2] for s in steps if s != LAST_CHUNK]


@pytest.mark.parametrize("pair", [f"{c}-{u}" for c in APIS for u in APIS])
def test_an_error_in_the_stream(both, pair):
    """In the words of the client, without the credential; with a status while nothing was sent."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    mock.on(model, sse_reply([FAULTS[upstream]]))
    answer = call(weir, client, model, True)
    assert answer.status >= 500, answer.body
    assert b"bad key ***" in answer.body
    assert KEY.encode() not in answer.body

    def later(request):
        return sse_reply([*frames(request)[:-3], FAULTS[upstream]])

    mock.on(model, later)
    answer = call(weir, client, model, True)
    assert answer.status == 200
    assert answer.end == "chunked"
    assert error_of(answer), answer.body
    assert b"bad key ***" in answer.body
    assert KEY.encode() not in answer.body


@PAIRS
def test_broken_events(both, pair):
    """Nothing of what came before is lost, the client is told, and does not take the answer for complete."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    for broken in (b"data: {\"a\":\n\n", b"data: nonsense\n\n", b"data: {\"a\":1} x\n\n", b"data: {\"a\": \"\x01\"}\n\n"):
        for joined in (False, True):  # in one read with what came before

            def script(request, broken=broken, joined=joined):
                sent = frames(request)[:-3]
                return sse_reply([b"".join(sent) + broken] if joined else [*sent, Delay(0.05), broken])

            mock.on(model, script)
            answer = call(weir, client, model, True)
            if joined:
                assert answer.status == 502
                continue
            assert answer.status == 200
            assert text_of(client, answer).startswith("Gr")
            assert error_of(answer), (broken, answer.body)
            assert not is_complete(client, answer)
        # at the very end, without its blank line, and with nothing sent before
        mock.on(model, lambda r, broken=broken: sse_reply([*frames(r)[:-3], Delay(0.05), broken.rstrip()]))
        answer = call(weir, client, model, True)
        assert answer.end == "chunked"
        assert error_of(answer), (broken, answer.body)
        mock.on(model, sse_reply([broken]))
        answer = call(weir, client, model, True)
        assert answer.status == 502
        assert b"cannot be understood" in answer.body


@PAIRS
def test_odd_line_ends(both, pair):
    """A mark, CR and CR LF, comments, empty events, ids, in pieces of one byte."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"

    def script(request, end):
        text = (b"\xef\xbb\xbf: hello\n\n\n\nid: 1\n\n" + b"".join(frames(request))).replace(b"\n", end)
        step = 7 if end == b"\r\n" else 1
        pieces = [text[i : i + step] for i in range(0, len(text), step)] if end != b"\n" else [text]
        return sse_reply(pieces)

    for end in (b"\n", b"\r", b"\r\n"):
        mock.on(model, lambda r, end=end: script(r, end))
        answer = call(weir, client, model, True)
        assert answer.status == 200
        assert text_of(client, answer) == TEXT
        assert is_complete(client, answer)


@PAIRS
def test_cut_at_every_point(both, pair):
    """Never complete for the client unless it is; an error event once something was sent."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    mock.on(model, lambda r: sse_reply(frames(r)))
    assert is_complete(client, call(weir, client, model, True))
    n = len(frames(mock.requests[0]))
    for end in (LAST_CHUNK, FIN, RST):
        for k in range(n):
            mock.on(model, lambda r, k=k, end=end: sse_reply(frames(r)[:k] + [Delay(0.005)], end=end) + [FIN])
            answer = call(weir, client, model, True)
            if answer.status == 200:
                assert is_complete(client, answer) or error_of(answer), (k, end, answer.body)
                assert text_of(client, answer) == TEXT or error_of(answer), (k, end, answer.body)
            else:
                assert answer.status == 502, (k, end, answer.status)


@PAIRS
def test_nothing_behind_the_end(both, pair):
    """What an upstream does after it has said all is not told to the client."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    for tail in ([b"data: nonsense\n\n"], [FAULTS[upstream]], []):
        for end in (LAST_CHUNK, FIN, RST, b"zz\r\n"):
            mock.on(model, lambda r, tail=tail, end=end: sse_reply([*frames(r), Delay(0.02), *tail], end=end))
            answer = call(weir, client, model, True)
            assert is_complete(client, answer), (tail, end, answer.body)
            assert text_of(client, answer) == TEXT


# --- size ------------------------------------------------------------------------------------------------------------


@PAIRS
def test_a_large_text(both, pair):
    """2 MiB in one reply, whole and as one event, and 9 MiB are refused; the next answer is as ever."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    large, huge = "ab🌊c" * (1 << 18), "x" * (9 << 20)
    for stream in (False, True):
        mock.on(model, lambda r, stream=stream: said_at_once(r, stream, large))
        answer = call(weir, client, model, stream)
        assert answer.status == 200, answer.body[:300]
        assert text_of(client, answer) == large
        mock.on(model, lambda r, stream=stream: said_at_once(r, stream, huge))
        answer = call(weir, client, model, stream)
        if stream and answer.status == 200:
            assert error_of(answer)
            assert not is_complete(client, answer)
        else:
            assert answer.status == 502, answer.body[:300]
        assert b"too large" in answer.body
    mock.on(model, lambda r: said(r, True))
    assert text_of(client, call(weir, client, model, True)) == TEXT


def said_at_once(request, stream, text):
    """`text` as one delta: what speak.py cuts into small pieces is put together."""
    mark = "7h3 m4rk"
    steps = [s.replace(mark.encode(), text.encode()) if isinstance(s, bytes) else s for s in said(request, stream, mark)]
    if not stream:
        body = steps[0].partition(b"\r\n\r\n")[2]
        return reply(body.replace(json.dumps(mark).encode(), json.dumps(text).encode()))
    speak.SPLIT[mark] = [mark]
    try:
        return sse_reply([f.replace(mark.encode(), text.encode()) for f in frames(request, mark)])
    finally:
        del speak.SPLIT[mark]


@PAIRS
def test_a_large_request(both, pair):
    """Texts too large to copy arrive whole, beside members that an edit adds and takes away."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    for n in (1 << 16, (1 << 16) + 1, 8 << 20):
        large = "plan 🌊\"\\" * (n // 8)
        more = {"metadata": {"a": "b" * 70000}, "drop_params": True, "tags": ["x" * 70000]}
        say = body(client, model, True, large, **more)
        answer = weir.post(PATHS[client], say)
        assert answer.status == 200, answer.body[:300]
        got = mock.requests[-1].json
        text = {"chat": lambda: got["messages"][0]["content"], "messages": lambda: got["messages"][0]["content"],
                "responses": lambda: got["input"][0]["content"]}[upstream]()  # fmt: skip
        text = text if isinstance(text, str) else "".join(p["text"] for p in text)
        assert text == large
        assert "tags" not in got


@pytest.mark.parametrize("upstream", ["chat", "messages"])
def test_a_stream_without_end(both, upstream):
    """A Responses client gets all texts once more at the end: what cannot be kept for that ends the stream."""
    weir, mock = both
    model = f"up-{upstream}"
    mark = "x" * 60000

    def script(request):
        speak.SPLIT[mark] = [mark]
        sent = frames(request, mark)
        del speak.SPLIT[mark]
        at = next(i for i, e in enumerate(sent) if mark.encode() in e)
        yield sse_reply([])[0]
        for e in sent[:at] + [sent[at]] * 700 + sent[at + 1 :]:
            yield chunk(e)
        yield LAST_CHUNK

    mock.on(model, script)
    answer = call(weir, "responses", model, True)
    assert error_of(answer), answer.body[-300:]
    assert not is_complete("responses", answer)
    mock.on(model, lambda r: said(r, True))
    assert is_complete("responses", call(weir, "responses", model, True))


@pytest.mark.parametrize("client", APIS)
def test_a_long_stream_becomes_a_whole_reply(both, client):
    """Its events are read when they come: 12 MiB of them, of which little is text."""
    weir, mock = both
    event = {"choices": [{"index": 0, "delta": {"content": "word "}}], "obfuscation": "x" * 60000}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    sent = [f"data: {json.dumps(e)}\n\n".encode() for e in [event] * 200 + [last]]
    mock.on("up-chat", sse_reply([*sent, b"data: [DONE]\n\n"]))
    answer = call(weir, client, "up-chat")
    assert answer.status == 200, answer.body[:300]
    assert text_of(client, answer) == "word " * 200
    mock.on("up-chat", sse_reply([*sent[:100], b"data: {\n\n"]))
    assert call(weir, client, "up-chat").status == 502


@pytest.mark.parametrize("client", APIS)
def test_deep_and_wide_requests(both, client):
    """F.19: nesting and arrays without end are refused; what is within the bounds is carried."""
    weir, mock = both
    for api in APIS:
        mock.on(f"up-{api}", lambda r: said(r, False))
    value = {"deep": lambda n: "[" * n + "]" * n, "wide": lambda n: "[" + ",".join("1" * n) + "]"}
    rows = [("deep", 50, 200), ("deep", 100_000, 400), ("wide", 100_000, 200), ("wide", 1_000_000, 400)]
    for upstream in (a for a in APIS if a != client):
        for kind, n, status in rows:
            say = json.dumps(body(client, f"up-{upstream}", text="MARK"))
            answer = weir.post(PATHS[client], say.replace('"MARK"', f'"x", "more": {value[kind](n)}').encode())
            assert answer.status == status, (upstream, kind, n, answer.body[:300])


@PAIRS
def test_deep_and_wide_replies(both, pair):
    """F.19 of what an upstream says: an error, and the gateway goes on."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    for value in (b"[" * 100_000 + b"]" * 100_000, b"[" + b"1," * 1_000_000 + b"1]"):

        def swollen(request):
            text = said(request, False)[0].partition(b"\r\n\r\n")[2].rstrip()
            return reply(text[:-1] + b',"more":' + value + b"}")

        mock.on(model, swollen)
        assert call(weir, client, model).status == 502
    mock.on(model, lambda r: said(r, False))
    assert text_of(client, call(weir, client, model)) == TEXT


@pytest.mark.parametrize("n, status", [(4 << 20, 413), ((4 << 20) - 64, 200)], ids=["over", "under"])
def test_large_arguments(both, n, status):
    """Those of tool calls, where they are an object on one side and text on the other."""
    weir, mock = both
    for api in APIS:
        mock.on(f"up-{api}", lambda r: said(r, False))
    arguments = {"a": "x" * n}
    call_ = {"id": "c", "type": "function", "function": {"name": "f", "arguments": json.dumps(arguments)}}
    chat = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call_]},
                         {"role": "tool", "tool_call_id": "c", "content": "y"}]}  # fmt: skip
    use = {"type": "tool_use", "id": "c", "name": "f", "input": arguments}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "y"}
    messages = {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": [use]},
                                              {"role": "user", "content": [result]}]}  # fmt: skip
    for client, upstream, ask in (("chat", "messages", chat), ("messages", "chat", messages),
                                  ("messages", "responses", messages)):  # fmt: skip
        answer = weir.post(PATHS[client], {"model": f"up-{upstream}", **ask})
        assert answer.status == status, (client, upstream, answer.body[:300])
        assert status == 200 or b"4 MiB" in answer.body
    assert weir.post(PATHS["chat"], {"model": "up-responses", **chat}).status == 200  # text on both


# --- deployments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", APIS)
def test_what_a_deployment_says(start, mock, client):
    """Defaults, drop_params, wildcards and models in the path hold for what is written for the upstream."""
    chat = {"api_base": f"{mock.url}/v1", "api_key": KEY, "temperature": 0.25, "drop_params": True}
    say = {"api_base": mock.url, "api_key": KEY}
    models = [
        {"model_name": "wild/*", "litellm_params": {"model": "groq/*", **chat}},
        {"model_name": "claude/*", "litellm_params": {"model": "anthropic/claude-*", **say, "max_tokens": 77}},
        {"model_name": "azure", "litellm_params": {"model": "azure/dep.1", **say, "api_version": "2024-10-21"}},
    ]
    weir = start({"model_list": models, "router_settings": {"num_retries": 0}})
    for stream in (False, True):
        answer = call(weir, client, "wild/llama/x", stream)
        assert answer.status == 200, answer.body
        got = mock.requests[-1]
        assert got.json["model"] == "llama/x"
        assert got.json["temperature"] == 0.25
        assert b'"llama/x"' not in answer.body
        assert b'"wild/llama/x"' in answer.body
        answer = call(weir, client, "claude/haiku-4-5", stream)
        assert answer.status == 200, answer.body
        got = mock.requests[-1]
        assert got.path == "/v1/messages"
        assert got.json["model"] == "claude-haiku-4-5"
        assert got.json["max_tokens"] == (64 if client == "messages" else 77)
        answer = call(weir, client, "azure", stream)
        assert answer.status == 200, answer.body
        got = mock.requests[-1]
        assert got.path in ("/openai/deployments/dep.1/chat/completions", "/openai/responses", "/openai/v1/responses")
        assert got.headers["api-key"] == KEY
        assert answer.header("x-litellm-model-group") == "azure"
        assert (answer.header("x-litellm-response-cost") is None) or not stream


# --- retries -----------------------------------------------------------------------------------------------------------


FAILS = [
    lambda r: speak.error(r, 500),
    lambda r: sse_reply([FAULTS[path_api(r)]]),
    lambda r: [head(200, [SSE], chunked=True), LAST_CHUNK],
    lambda r: [head(200, chunked=True), FIN],
]


@pytest.mark.parametrize("client", APIS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_retries_across_dialects(both, client, stream):
    """The first attempts fail in every way, the last succeeds, whichever API each of them was; a record each."""
    weir, mock = both
    for n in range(12):
        mock.reset()
        before = len(weir.spool())

        def script(request, n=n):
            if len(mock.requests) < 3:
                return FAILS[(n + len(mock.requests)) % len(FAILS)](request)
            return said(request, stream)

        for api in APIS:
            mock.on(f"g-{api}", script)
        answer = call(weir, client, "group", stream, num_retries=2)
        assert answer.status == 200, answer.body
        assert text_of(client, answer) == TEXT
        assert len(mock.requests) == 3
        weir.wait(lambda before=before: len(weir.spool()) >= before + 3, 10, "three records")
        records = weir.spool()[before:]
        assert len(records) == 3
        assert [bool(r.get("error")) for r in records] == [True, True, False], records


def path_api(request):
    return {"/v1/chat/completions": "chat", "/v1/messages": "messages", "/v1/responses": "responses"}[request.path]


# --- clients ------------------------------------------------------------------------------------------------------------


@PAIRS
def test_old_and_hasty_clients(both, pair):
    """HTTP/1.0; two requests in one packet; a stream after a whole reply on one connection."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    mock.on(model, lambda r: speak.answer(r, [Text(TEXT)]))
    asks = {s: weir.request("POST", PATHS[client], body(client, model, s)) for s in (False, True)}
    for stream, ask in asks.items():
        with weir.client() as c:
            c.send(ask.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
            answer = c.read_reply()
            assert answer.end == ("eof" if stream else "length")
            assert text_of(client, answer) == TEXT
    with weir.client() as c:
        c.send(asks[True] + asks[True] + asks[False])
        for stream in (True, True, False):
            answer = c.read_reply()
            assert text_of(client, answer) == TEXT
            assert answer.end == ("chunked" if stream else "length")


@PAIRS
def test_client_gone_at_every_point(both, pair):
    """The upstream is let go, and one record each says so."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    ask = weir.request("POST", PATHS[client], body(client, model, True))
    before = len(weir.spool())
    n = 0
    for k in range(0, 7):
        mock.on(model, lambda r, k=k: [*sse_reply(frames(r)[:k])[:-1], STALL])
        with weir.client() as c:
            c.send(ask)
            mock.wait_requests(n + 1)
            if k:
                time.sleep(0.02)
            c.reset()
        n += 1
        mock.wait(lambda n=n: mock.requests[n - 1].conn.lost_at, 5, "the upstream's end")
    weir.wait(lambda: len(weir.spool()) >= before + n, 10, "records")
    records = weir.spool()[before:]
    assert len(records) == n
    assert all(r["error"] == "client_gone" for r in records), records


@PAIRS
def test_a_slow_client(both, pair):
    """The upstream is not read on while the client does not read; then all comes."""
    weir, mock = both
    client, upstream = pair.split("-")
    model = f"up-{upstream}"
    text = "".join(f"{i:06d} " for i in range(400000))  # 3 MB in small pieces

    def script(request):
        speak.SPLIT[text] = [text[i : i + 700] for i in range(0, len(text), 700)]
        return sse_reply(frames(request, text))

    mock.on(model, script)
    with weir.client(30) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send(weir.request("POST", PATHS[client], body(client, model, True)))
        mock.wait_requests(1)
        sent = -1
        while sent != mock.requests[0].conn.sent:
            sent = mock.requests[0].conn.sent
            time.sleep(0.3)
        answer = c.read_reply()
    assert text_of(client, answer) == text
    assert is_complete(client, answer)


# --- workers ------------------------------------------------------------------------------------------------------------


def test_a_killed_worker_and_a_reload(start, mock):
    """Translated streams of a killed worker are settled by the link, those of a reloaded one end in order."""
    weir = start(config(mock.url), workers=1)
    ask = {}
    for client in APIS:
        upstream = {"chat": "messages", "messages": "responses", "responses": "chat"}[client]
        model = f"up-{upstream}"
        ask[client] = weir.request("POST", PATHS[client], body(client, model, True))
        gate = threading.Event()

        def script(request, gate=gate):
            sent = frames(request)
            yield sse_reply([])[0]
            for e in sent[:4]:
                yield chunk(e)
            while not gate.is_set():
                yield Delay(0.02)
            for e in sent[4:]:
                yield chunk(e)
            yield LAST_CHUNK

        mock.on(model, script)
        n = len(mock.requests)
        with weir.client() as c:
            c.send(ask[client])
            mock.wait_requests(n + 1)
            first = c.read_head()
            pieces = c.pieces(first)
            got = [next(pieces)]
            os.kill(weir.pid, signal.SIGHUP)
            weir.wait(lambda: weir.is_ready(), 10, "readiness")
            time.sleep(0.2)
            gate.set()
            got += list(pieces)
            first.body = b"".join(got)
            assert text_of(client, first) == TEXT
            assert is_complete(client, first)
    weir.records(3)
    for client in APIS:
        gate = threading.Event()
        n = len(mock.requests)
        for api in APIS:
            mock.on(f"up-{api}", lambda r: [*sse_reply(frames(r)[:4])[:-1], STALL])
        with weir.client() as c:
            c.send(ask[client])
            mock.wait_requests(n + 1)
            c.read_head()
            victim = weir.workers()[0]
            os.kill(victim, signal.SIGKILL)
            weir.wait(lambda v=victim: weir.workers() and v not in weir.workers() and weir.is_ready(), 10, "another")
    records = weir.records(6)
    assert len({r["request_id"] for r in records}) == 6
    for r in records[3:]:
        assert r["error"], r


def test_conversations_across_workers(start, mock):
    """previous_response_id is good at any worker, also for what a worker kept that is dead now."""
    weir = start(config(mock.url), workers=2)
    mock.on("up-chat", lambda r: speak.answer(r, [Text(TEXT)]))
    made = [call(weir, "responses", "up-chat", n % 2 == 0) for n in range(8)]
    ids = [events(a)[-1][1]["response"]["id"] if n % 2 == 0 else a.json["id"] for n, a in enumerate(made)]
    for _ in range(4):
        for id_ in ids:
            answer = call(weir, "responses", "up-chat", previous_response_id=id_)
            assert answer.status == 200, answer.body
            assert len(mock.requests[-1].json["messages"]) == 3
    victim = weir.workers()[0]
    os.kill(victim, signal.SIGKILL)
    weir.wait(lambda: victim not in weir.workers() and len(weir.workers()) == 2 and weir.is_ready(), 10, "another")
    for id_ in ids:
        assert weir.get(f"/v1/responses/{id_}").json["id"] == id_
    assert weir.call("DELETE", f"/v1/responses/{ids[0]}").status == 200
    for _ in range(4):
        assert weir.get(f"/v1/responses/{ids[0]}").status == 404
        assert call(weir, "responses", "up-chat", previous_response_id=ids[0]).status == 404
    weir.write_config(config(mock.url, weir={"response_store_mb": 0}))
    os.kill(weir.pid, signal.SIGHUP)
    weir.wait(lambda: weir.get(f"/v1/responses/{ids[1]}").status == 404, 10, "the store's end")
    answer = call(weir, "responses", "up-chat")
    assert answer.status == 200
    assert answer.json["store"] is False
    assert call(weir, "responses", "up-chat", previous_response_id=answer.json["id"]).status == 404


def test_what_is_too_large_to_keep(both):
    """A conversation beyond 8 MiB is answered, and the client told that it is not stored."""
    weir, mock = both
    mock.on("up-chat", lambda r: speak.answer(r, [Text(TEXT)]))
    for n, stored in ((1 << 10, True), (9 << 20, False)):
        answer = weir.post(PATHS["responses"], body("responses", "up-chat", text="plan" + "x" * n))
        assert answer.status == 200
        assert answer.json["store"] is stored
        assert weir.get(f"/v1/responses/{answer.json['id']}").status == (200 if stored else 404)


def test_what_is_left_behind(both):
    """After many translated exchanges every buffer is back."""
    weir, mock = both
    for api in APIS:
        mock.on(f"up-{api}", lambda r: speak.answer(r, [Text(TEXT)]))
    for n in range(120):
        client, upstream = APIS[n % 3], APIS[n // 3 % 3]
        assert call(weir, client, f"up-{upstream}", n % 2 == 0).status == 200
    weir.wait(lambda: held(weir) <= 1 << 20, 10, "buffers given back")


def test_a_large_reply_leaves_no_large_scratch(start, mock):
    """Not even while the worker is busy."""
    weir = start(config(mock.url))
    mock.on("up-chat", lambda r: said_at_once(r, True, "x" * (7 << 20)))
    assert call(weir, "messages", "up-chat", True).status == 200
    mock.on("up-chat", lambda r: said(r, True))

    def given_back():
        assert call(weir, "messages", "up-chat", True).status == 200
        return held(weir) <= 1 << 20

    weir.wait(given_back, 8, "the scratch given back")


def held(weir):
    m = weir.metrics()
    return sum(v for k, v in m.items() if k.startswith("weir_body_bytes"))
