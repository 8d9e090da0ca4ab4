"""Replies that are cut short, by the client, the upstream or the worker's death: what was produced is billed, once, and
flagged where it is an estimate (threats M-05 to M-07)."""

import contextlib
import json
import os
import signal
import time

import pytest

from support import standard
from support.http import Client
from support.mock_provider import FIN, LAST_CHUNK, SSE, STALL, Delay, Mock, chunk, head, json_reply
from support.weir import Weir

SAY = [{"role": "user", "content": "tell me"}]
WORDS = [f"word{i:02d} " for i in range(12)]
USAGE = {"prompt_tokens": 40, "completion_tokens": 24, "total_tokens": 64}


def event(delta=None, usage=None, finish=None):
    choices = [] if usage else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "up",
                                   "choices": choices, **({"usage": usage} if usage else {})}).encode() + b"\n\n"  # fmt: skip


EVENTS = [*[event({"content": w}) for w in WORDS], event(finish="stop"), event(usage=USAGE), b"data: [DONE]\n\n"]


def config(mock, **weir):
    return {"model_list": [standard.openai("m", "up", mock.url, model_info=standard.PRICES)],
            "router_settings": {"num_retries": 0}, "weir": weir}  # fmt: skip


@pytest.fixture(scope="module")
def mock_own():
    mock = Mock()
    yield mock
    mock.stop()


@pytest.fixture(scope="module", params=["abort", "drain"])
def pair(request, mock_own):
    with Weir(config(mock_own, client_gone=request.param)) as weir:
        yield request.param, weir, mock_own


def ask(weir, stream=True):
    return weir.request("POST", "/v1/chat/completions", {"model": "m", "messages": SAY, "stream": stream})


def new_record(weir, before, timeout=10.0):
    weir.wait(lambda: len(weir.spool()) > before, timeout, "a usage record")
    time.sleep(0.05)
    records = weir.spool()[before:]
    assert len(records) == 1, records
    return records[0]


def tokens(u):
    return u.get("output", 0)


# --- M-05


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_leaves_at_every_event(pair, how):
    mode, weir, mock = pair
    for k in range(1, len(EVENTS)):
        mock.reset()
        rest = [STALL] if mode == "abort" else [Delay(0.05), *[chunk(e) for e in EVENTS[k:]], LAST_CHUNK]
        mock.on("up", [head(200, (SSE,), chunked=True), *[chunk(e) for e in EVENTS[:k]], *rest])
        before = len(weir.spool())
        c = Client(weir.port)
        c.send(ask(weir))
        reply = c.read_head()
        seen, pieces = b"", c.pieces(reply)
        while seen.count(b'"content"') < min(k, len(WORDS)):
            seen += next(pieces)
        getattr(c, how)()
        record = new_record(weir, before)
        usage = record["usage"]
        assert (record["status"], record["client_gone"], record["error"]) == (499, True, "client_gone"), k
        if mode == "drain":
            assert (usage["input"], tokens(usage), bool(usage.get("estimated"))) == (40, 24, False), k
        elif k < len(EVENTS) - 1:
            assert usage["estimated"] and abs(tokens(usage) - min(k, 12) * 7 / 4) <= 1, (k, usage)
        assert record["cost_nusd"] > 0
        conn = mock.requests[0].conn
        if mode == "abort":
            mock.wait(lambda conn=conn: conn.eof_at or conn.lost_at, 5, "the upstream's end")


def test_client_leaves_before_a_whole_reply(pair):
    mode, weir, mock = pair
    mock.reset()
    body = {"id": "chatcmpl-2", "object": "chat.completion", "created": 1, "model": "up", "usage": USAGE,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 90}, "finish_reason": "stop"}]}  # fmt: skip
    mock.on("up", [Delay(0.3), *json_reply(body)])
    before = len(weir.spool())
    c = Client(weir.port)
    c.send(ask(weir, False))
    mock.wait_requests(1)
    time.sleep(0.05)
    c.reset()
    record = new_record(weir, before)
    assert record["status"] == 499 and record["client_gone"]
    assert record["cost_nusd"] > 0 if mode == "drain" else record["cost_nusd"] == 0
    assert record["response_id"] == ("chatcmpl-2" if mode == "drain" else "")


def test_requests_read_on_for_nobody_are_bounded(start, mock):
    weir = start(config(mock, client_gone="drain", client_gone_drains=2))
    mock.on("up", [head(200, (SSE,), chunked=True), chunk(EVENTS[0]), STALL])
    clients = []
    for _ in range(4):
        c = Client(weir.port)
        c.send(ask(weir))
        next(c.pieces(c.read_head()))
        clients.append(c)
    for c in clients:
        c.reset()
    weir.wait(lambda: len(weir.spool()) == 2, 5, "those beyond the bound are cancelled")
    time.sleep(0.3)
    assert len(weir.spool()) == 2
    assert weir.metrics()["weir_client_gone_total"] == 4


@pytest.mark.slow
def test_reading_on_has_an_end(start, mock):
    weir = start(config(mock, client_gone="drain"))
    mock.on("up", [head(200, (SSE,), chunked=True), chunk(EVENTS[0]), STALL])
    with Client(weir.port) as c:
        c.send(ask(weir))
        next(c.pieces(c.read_head()))
    began = time.monotonic()
    record = new_record(weir, 0, 40)
    assert 28 < time.monotonic() - began < 35
    assert record["usage"]["estimated"] and record["status"] == 499


# --- M-06


def test_upstream_cut_at_every_byte(start, mock):
    """The client sees an error and no proper end; what came is billed as an estimate, until the provider's own count came."""
    weir = start(config(mock))
    data = b"".join(EVENTS)
    whole = data.index(b'"usage"')
    counted = data.index(b"\n\n", whole) + 2
    step = max(1, len(data) // 120)
    before = 0
    for cut in range(len(EVENTS[0]), counted, step):
        mock.reset()
        mock.on("up", [head(200, (SSE,), chunked=True), chunk(data[:cut]), FIN])
        with Client(weir.port) as c:
            c.send(ask(weir))
            reply = c.read_head()
            got = b""
            with contextlib.suppress(EOFError, OSError):
                got = b"".join(c.pieces(reply))
        assert b"[DONE]" not in got and b'"error"' in got, cut
        record = new_record(weir, before)
        before += 1
        delivered = got.count(b'"content"')
        assert record["error"] == "upstream_cut", (cut, record["error"])
        assert record["usage"]["estimated"] and tokens(record["usage"]) >= delivered, cut
        assert abs(tokens(record["usage"]) - delivered * 7 / 4) <= 2, cut


# --- M-07


@pytest.mark.slow
def test_worker_killed_at_every_event(start, mock):
    weir = start(config(mock))
    counts = []
    for k in range(1, len(EVENTS) - 1):
        mock.reset()
        mock.on("up", [head(200, (SSE,), chunked=True), *[chunk(e) for e in EVENTS[:k]], STALL])
        before = len(weir.spool())
        (worker,) = weir.wait(weir.workers, 10, "a worker")
        with Client(weir.port) as c:
            c.send(ask(weir))
            pieces, seen = c.pieces(c.read_head()), b""
            while seen.count(b'"content"') < min(k, len(WORDS)):
                seen += next(pieces)
            os.kill(worker, signal.SIGKILL)
            record = new_record(weir, before)
        assert record["died"] and record["usage"]["estimated"] and record["response_id"] == "chatcmpl-1"
        assert record["cost_nusd"] > 0
        counts.append(tokens(record["usage"]))
        weir.wait(lambda worker=worker: weir.workers() not in ([], [worker]), 15, "another worker")
        weir.wait_ready()
    assert counts == sorted(counts), "what was delivered"
    assert abs(counts[-1] - 12 * 7 / 4) <= 1, counts
