"""Same dialect in and out: what may change is the model name, what is injected, and what is the gateway's own."""

import asyncio
import base64
import json
import os
import re
import subprocess
import threading

import pytest

from support import dialects, mock_provider, standard
from support.http import Client, request
from support.mock_provider import JSON, LAST_CHUNK, Do, chunk, head, json_reply, sse_reply

SAY = [{"role": "user", "content": "Say something."}]
INJECTED = re.compile(rb',\s*"stream_options":\s*\{\s*"include_usage":\s*true\s*\}'
                      rb'|"stream_options":\s*\{\s*"include_usage":\s*true\s*\}\s*,')  # fmt: skip


def sent(weir, mock, body, path="/v1/chat/completions", **kw):
    """Posts bytes; what arrived upstream."""
    reply = weir.post(path, body, **kw)
    assert reply.status == 200, reply.body
    return mock.request.body


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-pub","messages":[]}',
        b' \r\n\t{ "messages" :[ ] ,\n"model"\t:\r"gpt-pub" }\n\n ',
        b'{"z":1,"model":"gpt-pub","a":2,"messages":[]}',
        '{"model":"gpt-pub","messages":[{"role":"user","content":"é 漢 🌊 \\u00e9 \\ud83c\\udf0a \\/ \\u0000"}]}'.encode(),
        b'{"model":"gpt-pub","messages":[],"n":1.0,"x":1e400,"y":-0,"seed":1152921504606846977,"w":0.10,"v":1E+2}',
        b'{"model":"gpt-pub","messages":[],"tools":[{"model":"gpt-pub"},{"model":"gpt-pub","model":"twice below"}]}',
        b'{"model":"gpt\\u002dpub","messages":[]}',
        b'{"model":"gpt-pub","messages":[{"role":"user","content":"\\"model\\":\\"gpt-pub\\""}],"stop":"\\\\"}',
        b'{"messages":[],"":0,"model":"gpt-pub"," model":"gpt-pub","Model":"gpt-pub"}',
        b'{"model":"gpt-pub","messages":[],"stream":false,"stream_options":null}',
    ],
)
def test_request_bytes_are_the_clients_but_for_the_model(weir, mock, body):
    mock.on("gpt-up", json_reply({"id": "c", "model": "gpt-up", "choices": []}))
    got = sent(weir, mock, body)
    expected = body.replace(b'"gpt\\u002dpub"', b'"gpt-pub"')
    at = re.search(rb'"model"\s*:\s*"gpt-pub"', expected)
    value = re.search(rb'"gpt-pub"', expected[at.start() :])
    i = at.start() + value.start()
    assert got == expected[:i] + b'"gpt-up"' + expected[i + len(b'"gpt-pub"') :]


def test_upstream_request_head(weir, mock):
    """H-12, H-13, C-: fields in our order, one length, no client header that is not on the list."""
    canary = [("X-Canary", "1"), ("Cookie", "a=b"), ("X-Stainless-Lang", "js"), ("User-Agent", "canary-agent"),
              ("X-Forwarded-For", "9.9.9.9"), ("Forwarded", "for=9.9.9.9"), ("Accept-Encoding", "gzip, br"),
              ("Connection", "keep-alive, x-canary"), ("TE", "trailers"), ("x_under", "1"), ("x-gw-a", "1"),
              ("Proxy-Authorization", "Basic eDp5"), ("OpenAI-Organization", "org-client")]  # fmt: skip
    sent(weir, mock, b'{"model":"gpt-pub","messages":[]}', headers=canary)
    r = mock.request
    assert r.line == "POST /v1/chat/completions HTTP/1.1"
    names = [n for n, _ in r.header_list]
    assert len(names) == len(set(names))
    assert r.headers["host"] == f"127.0.0.1:{mock.port}"
    assert r.headers["content-length"] == str(len(r.body))
    assert r.headers["content-type"] == "application/json"
    assert r.headers["accept-encoding"] == "identity"
    assert r.headers["authorization"] == f"Bearer {standard.OPENAI_KEY}"
    for name in ("x-canary", "cookie", "x-stainless-lang", "x-forwarded-for", "forwarded", "te", "x_under", "x-gw-a",
                 "proxy-authorization", "openai-organization", "transfer-encoding", "expect"):  # fmt: skip
        assert name not in names, name
    assert b"canary" not in r.head


@pytest.mark.parametrize("depth,status", [(60, 200), (66, 400), (100_000, 400)])
def test_nesting(weir, mock, depth, status):
    """Section 1 of the limits: depth 64; the object itself is the first level."""
    nested = b"[" * (depth - 1) + b"]" * (depth - 1)
    mock.on("gpt-up", json_reply({"id": "c", "model": "gpt-up", "choices": []}))
    body = b'{"model":"gpt-pub","messages":[],"x":' + nested + b"}"
    reply = weir.post("/v1/chat/completions", body)
    assert reply.status == status, reply.body
    if status == 200:
        assert mock.request.body == body.replace(b"gpt-pub", b"gpt-up")
    else:
        assert mock.requests == []


def test_brackets_in_strings_are_no_nesting(weir, mock):
    body = b'{"model":"gpt-pub","messages":[{"role":"user","content":"' + b'[{\\"' * 5000 + b'"}]}'
    assert sent(weir, mock, body) == body.replace(b"gpt-pub", b"gpt-up")


def test_duplicate_keys_below_the_top_are_the_providers(weir, mock):
    body = b'{"model":"gpt-pub","messages":[{"role":"user","role":"user","content":"x"}]}'
    assert sent(weir, mock, body) == body.replace(b"gpt-pub", b"gpt-up")


@pytest.mark.parametrize("key", [b"model", b"stream", b"messages", b"max_tokens", b"anything"])
def test_duplicate_keys_at_the_top_are_refused(weir, mock, key):
    """F.15"""
    body = b'{"model":"gpt-pub","stream":false,"messages":[],"max_tokens":1,"anything":1,"%s":2}' % key
    reply = weir.post("/v1/chat/completions", body)
    assert reply.status == 400
    assert mock.requests == []


def test_thirty_megabytes_of_image(weir, mock):
    """F.13: within 32 MiB it passes byte for byte."""
    image = base64.b64encode(os.urandom(22 * 1024 * 1024))
    body = (b'{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,'
            + image + b'"}}]}],"model":"gpt-pub"}')  # fmt: skip
    assert len(body) > 30_000_000
    reply = weir.post("/v1/chat/completions", body)
    assert reply.status == 200, reply.body
    assert mock.request.body == body[: -len(b'gpt-pub"}')] + b'gpt-up"}'
    assert reply.json["choices"][0]["message"]["content"] == f"I see 1 image(s) of {22 + len(image)} characters"


def test_too_large_a_body_is_413_before_it_is_read(weir, mock):
    """H-19: and the client that still sends gets to see it."""
    with Client(weir.port) as c:
        c.send(request("POST", "/v1/chat/completions", weir.key, None,
                       [("Content-Type", "application/json"), ("Content-Length", str(33 * 1024 * 1024 + 1))]))  # fmt: skip
        reply = c.read_reply()
        assert reply.status == 413
        assert reply.json["error"]["code"] == "413"
        assert reply.header("connection") == "close"
    assert mock.requests == []


def test_too_large_a_chunked_body_is_413(weir, mock):
    piece = chunk(b" " * 1_000_000)
    with Client(weir.port) as c:
        c.send(request("POST", "/v1/chat/completions", weir.key, None,
                       [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]))  # fmt: skip
        try:
            c.send(chunk(b'{"model":"gpt-pub","messages":[],"x":"'))
            for _ in range(40):
                c.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert c.read_reply().status == 413
    assert mock.requests == []


def test_chunked_request_in_small_pieces(weir, mock):
    """F.38"""
    body = b'{"model":"gpt-pub","messages":[{"role":"user","content":"' + b"x" * 5000 + b'"}]}'
    framed = b"".join(chunk(body[i : i + 9]) for i in range(0, len(body), 9)) + b"0\r\nX-Trailer: 1\r\n\r\n"
    reply = weir.post("/v1/chat/completions", framed, headers=[("Transfer-Encoding", "chunked")])
    assert reply.status == 200, reply.body
    assert mock.request.body == body.replace(b"gpt-pub", b"gpt-up")
    assert "x-trailer" not in mock.request.headers


def test_expect_100_continue(weir, mock):
    """F.38, H-16: sent after the checks, before the body."""
    body = b'{"model":"gpt-pub","messages":[{"role":"user","content":"x"}]}'
    headers = [("Expect", "100-continue"), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    with Client(weir.port) as c:
        c.send(request("POST", "/v1/chat/completions", weir.key, None, headers))
        assert c.read_head().status == 100
        c.send(body)
        assert c.read_reply().status == 200
    with Client(weir.port) as c:
        c.send(request("POST", "/v1/chat/completions", None, None, headers))
        assert c.read_head().status == 401, "no body is asked for from a stranger"


def test_curl_sends_a_large_body(weir, mock, tmp_path):
    """curl itself waits for 100 Continue above 1 MB."""
    path = tmp_path / "body.json"
    body = b'{"model":"gpt-pub","messages":[{"role":"user","content":"' + b"y" * 2_000_000 + b'"}]}'
    path.write_bytes(body)
    for extra in ([], ["-H", "Transfer-Encoding: chunked"], ["--http1.0"]):
        out = subprocess.run(
            ["curl", "-sS", "--fail-with-body", weir.url + "/v1/chat/completions", "-H", f"Authorization: Bearer {weir.key}",
             "-H", "Content-Type: application/json", "--data-binary", f"@{path}", *extra],
            capture_output=True, timeout=20, check=False)  # fmt: skip
        assert out.returncode == 0, (out.stdout[:500], out.stderr)
        assert json.loads(out.stdout)["model"] == "gpt-pub"
    assert [r.body for r in mock.requests] == [body.replace(b"gpt-pub", b"gpt-up")] * 3


def test_pipelined_requests_are_answered_in_order(weir, mock):
    """H-11"""
    with Client(weir.port) as c:
        one = weir.request("POST", "/v1/chat/completions", b'{"model":"gpt-pub","messages":[{"role":"user","content":"x"}]}')
        bad = weir.request("POST", "/v1/chat/completions", b'{"model":"nobody","messages":[]}')
        c.send((one + bad) * 20)
        assert [c.read_reply().status for _ in range(40)] == [200, 400] * 20


# --- replies -----------------------------------------------------------------------------------------------------


def test_reply_bytes_are_the_upstreams_but_for_the_model(weir, mock):
    body = ('{"id" : "c",\r\n "object":"chat.completion",  "choices":[{"message":{"content":"é \\u00e9 \\ud83c\\udf0a",'
            '"model":"gpt-up"}}],\t"model":\n"gpt-up" ,"x":1e400,"y":1.0,"z":18446744073709551616}\n\n').encode()  # fmt: skip
    mock.on("gpt-up", mock_provider.reply(body))
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    assert reply.body == body.replace(b'"model":\n"gpt-up"', b'"model":\n"gpt-pub"')
    assert reply.header("content-length") == str(len(reply.body)) or reply.end == "chunked"


def test_a_large_reply_is_whole(weir, mock):
    """Embeddings of 8 MB in chunks of all sizes."""
    value = base64.b64encode(os.urandom(6_000_000))
    body = b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":"' + value + b'"}],"model":"emb-up"}'
    cuts = [body[i : i + n] for i, n in ((0, 1), (1, 999), (1000, 64_000), (65_000, len(body)))]
    mock.on("emb-up", [head(200, (JSON,), chunked=True), *map(chunk, cuts), LAST_CHUNK])
    reply = weir.post("/v1/embeddings", {"model": "emb-pub", "input": "x", "encoding_format": "base64"})
    assert reply.body == body[: -len(b'emb-up"}')] + b'emb-pub"}'


def test_what_reply_headers_pass(weir, mock):
    """U-05: an allow-list; provider headers only under their prefix."""
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    assert reply.header("set-cookie") is None
    assert reply.header("server") != "mock"
    assert reply.header("content-type") == "application/json"
    names = [n for n, _ in reply.headers]
    assert len(names) == len(set(names))
    assert not [v for n, v in reply.headers if "upstream=1" in v]


def stream_body(weir, body, path="/v1/chat/completions"):
    reply = weir.post(path, {"stream": True, **body})
    assert reply.status == 200, reply.body
    assert reply.end == "chunked"
    return reply


@pytest.mark.parametrize(
    "options,injected,shown",
    [
        (None, True, False),
        ({}, False, False),
        ({"include_usage": False}, False, False),
        ({"include_usage": True}, False, True),
        ({"include_obfuscation": False}, False, False),
    ],
)
def test_usage_is_asked_for_and_withheld(weir, mock, options, injected, shown):
    """A.9, 9.6: the gateway always asks; the client sees the extra chunk only if it asked."""
    body = {"stream": True, "model": "gpt-pub", "messages": SAY}
    if options is not None:
        body["stream_options"] = options
    reply = stream_body(weir, body)
    upstream = mock.request.json
    assert upstream["stream_options"]["include_usage"] is True
    for name, value in (options or {}).items():
        if name != "include_usage":
            assert upstream["stream_options"][name] == value
    if injected:
        plain = json.dumps({**body, "model": "gpt-up"}, ensure_ascii=False).encode()
        assert INJECTED.sub(b"", mock.request.body) == plain
    events = [e for e in reply.body.split(b"\n\n") if e]
    assert events[-1] == b"data: [DONE]"
    chunks = [json.loads(e.removeprefix(b"data: ")) for e in events[:-1]]
    assert [c["choices"] == [] for c in chunks].count(True) == (1 if shown else 0)
    if shown:
        assert chunks[-1]["usage"]["total_tokens"] == 34
        assert reply.body == upstream_stream(mock).replace(b"gpt-up", b"gpt-pub")
    else:
        assert all(c.get("usage") is None for c in chunks)
    assert {c["model"] for c in chunks} == {"gpt-pub"}


def upstream_stream(mock):
    """What the mock said to the only request, without its framing."""
    request = mock.request
    (entry,) = mock.ledger.values()
    steps = dialects.chat(request)
    newer = list(mock.ledger)[-1]
    del mock.ledger[newer]
    pieces = [s for s in steps if isinstance(s, bytes)][1:-1]
    return b"".join(p.split(b"\r\n", 1)[1][:-2] for p in pieces).replace(newer.encode(), entry.id.encode())


def test_anthropic_stream_is_the_upstreams(weir, mock):
    body = {"model": "claude-pub", "max_tokens": 9, "messages": SAY}
    reply = stream_body(weir, body, "/v1/messages")
    assert mock.request.json == {"stream": True, **body, "model": "claude-up"}
    assert reply.body.count(b"claude-pub") == 1 and b"claude-up" not in reply.body
    assert [e.split(b"\n")[0] for e in reply.body.split(b"\n\n")[:2]] == [b"event: message_start", b"event: ping"]


def test_stream_reply_headers(weir):
    """0.3"""
    reply = stream_body(weir, {"model": "gpt-pub", "messages": SAY})
    assert reply.header("content-type") == "text/event-stream; charset=utf-8"
    assert reply.header("cache-control") == "no-cache"
    assert reply.header("x-accel-buffering") == "no"
    assert reply.header("content-length") is None


def test_events_are_flushed_one_by_one(weir, mock):
    events = [b'data: {"model":"gpt-up","choices":[{"index":0,"delta":{"content":"%d"}}]}\n\n' % i for i in range(5)]
    end = [b'data: {"model":"gpt-up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"]
    came = threading.Semaphore(0)
    after = Do(lambda: asyncio.to_thread(came.acquire, timeout=20))  # the next one only when the client has this one
    mock.on("gpt-up", sse_reply([x for e in events for x in (e, after)] + end))
    with weir.client() as c:
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "gpt-pub", "stream": True, "messages": SAY}))
        reply, n = c.read_head(), 0
        for piece in c.pieces(reply):
            n += piece.count(b'"content"')
            came.release()
    assert n == 5 and reply.end == "chunked"
