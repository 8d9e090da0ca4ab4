"""Usage records, cost, reply headers, access lines, metrics: compared with what the upstream says it did."""

import json
import re
import time
import uuid
from decimal import ROUND_HALF_UP, Decimal

import pytest

from support import dialects, standard
from support.mock_provider import FIN, STALL, Mock, json_reply
from support.weir import Weir

SAY = [{"role": "user", "content": "x"}]
BUCKETS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")
CALLS = {
    "chat": ("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY}),
    "chat-stream": ("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY, "stream": True}),
    "chat-stream-usage": ("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY, "stream": True,
                                                   "stream_options": {"include_usage": True}}),
    "completions": ("/v1/completions", {"model": "instruct-pub", "prompt": "x"}),
    "completions-stream": ("/v1/completions", {"model": "instruct-pub", "prompt": "x", "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "emb-pub", "input": "x"}),
    "responses": ("/v1/responses", {"model": "gpt-pub", "input": "x"}),
    "responses-stream": ("/v1/responses", {"model": "gpt-pub", "input": "x", "stream": True}),
    "messages": ("/v1/messages", {"model": "claude-pub", "max_tokens": 9, "messages": SAY}),
    "messages-stream": ("/v1/messages", {"model": "claude-pub", "max_tokens": 9, "messages": SAY, "stream": True}),
}  # fmt: skip


@pytest.fixture(scope="module")
def own():
    """A gateway whose records are this module's alone."""
    mock = Mock()
    weir = Weir(standard.config(mock.url))
    yield weir, mock
    weir.stop()
    mock.stop()


@pytest.fixture
def pair(own):
    weir, mock = own
    mock.reset()
    return weir, mock


def record_of(weir, reply):
    id_ = reply.header("x-litellm-call-id")
    found = weir.wait(lambda: [r for r in weir.spool() if r["request_id"] == id_], what="the usage record")
    assert len(found) == 1
    return found[0]


def nano(*terms):
    """Sum of tokens times dollars, in nano-dollars, rounded once, half up."""
    total = sum(Decimal(n) * Decimal(str(price)) for n, price in terms) * 10**9
    return int(total.quantize(Decimal(1), ROUND_HALF_UP))


def cost(entry):
    p = standard.CLAUDE_PRICES if entry.api == "messages" else standard.PRICES
    return nano(
        (entry.input, p["input_cost_per_token"]),
        (entry.cache_read, p["cache_read_input_token_cost"]),
        (entry.cache_write, p.get("cache_creation_input_token_cost", 0)),
        (entry.cache_write_1h, p.get("cache_creation_input_token_cost_above_1hr", 0)),
        (entry.output + entry.reasoning, p["output_cost_per_token"]),
    )


@pytest.mark.parametrize("name", CALLS)
def test_record_equals_the_ledger(pair, name):
    weir, mock = pair
    path, body = CALLS[name]
    before = time.time()
    reply = weir.post(path, body)
    assert reply.status == 200, reply.body
    record = record_of(weir, reply)
    (entry,) = mock.ledger.values()
    if name != "embeddings":  # that reply has no id
        assert record["response_id"] == entry.id
    assert {b: record["usage"].get(b, 0) for b in BUCKETS} == {b: getattr(entry, b) for b in BUCKETS}
    assert not record["usage"].get("estimated")
    assert record["cost_nusd"] == cost(entry)
    assert not record.get("unpriced")
    assert record["status"] == 200
    assert record["model"] == body["model"]
    assert record["group"] == body["model"]
    assert record["deployment"] == "dep-" + body["model"]
    assert record["upstream_model"] == body["model"].replace("-pub", "-up")
    assert record["provider"] == ("anthropic" if "messages" in path else "openai")
    assert record["key"] == "litellm_proxy_master_key"
    assert bool(record.get("stream")) == body.get("stream", False)
    assert record["attempt"] == 1
    assert before - 1 <= record["start_us"] / 1e6 <= record["end_us"] / 1e6 <= time.time() + 1


def test_cost_is_rounded_once(start):
    """Half a nano-dollar per token: three tokens make 1.5, so 2; an odd price is not summed in floating point."""
    mock = Mock()
    weir = start({"model_list": [
        standard.openai("half", "up", mock.url, model_info={"input_cost_per_token": 5e-10, "output_cost_per_token": 0}),
        standard.openai("tiny", "up", mock.url,
                        model_info={"input_cost_per_token": 1.234e-9, "output_cost_per_token": 1e-12}),
    ]})  # fmt: skip
    mock.on("up", json_reply({"id": "c", "model": "up", "choices": [],
                              "usage": {"prompt_tokens": 3, "completion_tokens": 499, "total_tokens": 502}}))  # fmt: skip
    for name, expected in (("half", 2), ("tiny", 4)):  # 3.702 + 0.499 = 4.201
        reply = weir.post("/v1/chat/completions", {"model": name, "messages": SAY})
        assert record_of(weir, reply)["cost_nusd"] == expected
    mock.stop()


def test_unpriced_is_flagged_and_not_free(pair):
    weir, _ = pair
    reply = weir.post("/v1/chat/completions", {"model": "unpriced-pub", "messages": SAY})
    record = record_of(weir, reply)
    assert record["unpriced"] is True
    assert record["usage"]["input"] == 16
    assert reply.header("x-litellm-response-cost") is None


def test_price_of_the_built_in_map(start):
    """model-prices.tsv: gpt-4o costs 2.5, 1.25 and 10 dollars a million."""
    mock = Mock()
    weir = start({"model_list": [standard.openai("g", "gpt-4o", mock.url)]})
    record = record_of(weir, weir.post("/v1/chat/completions", {"model": "g", "messages": SAY}))
    assert record["cost_nusd"] == nano((16, 2.5e-6), (7, 1.25e-6), (11, 1e-5))
    mock.stop()


def test_price_map_of_ones_own(start, tmp_path):
    """A file in LiteLLM's format goes before the built-in prices."""
    path = tmp_path / "prices.json"
    row = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-3, "output_cost_per_token": 2e-3}
    path.write_text(json.dumps({"sample_spec": {"mode": "x"}, "gpt-4o": row, "my-model": row}))
    mock = Mock()
    weir = start({"model_list": [standard.openai("g", "gpt-4o", mock.url), standard.openai("m", "my-model", mock.url)],
                  "weir": {"model_price_map": str(path)}})  # fmt: skip
    for model in ("g", "m"):
        record = record_of(weir, weir.post("/v1/chat/completions", {"model": model, "messages": SAY}))
        assert record["cost_nusd"] == nano((23, 1e-3), (11, 2e-3)), "without a price of its own cached input is input"
    mock.stop()


def test_canned_replies_are_metered(pair):
    """13: usage 10 and 20; nothing was asked of an upstream."""
    weir, mock = pair
    record = record_of(weir, weir.post("/v1/chat/completions", {"model": "mocked-pub", "messages": SAY}))
    assert (record["usage"]["input"], record["usage"]["output"]) == (10, 20)
    assert mock.requests == []


def test_no_usage_in_the_reply_is_estimated_and_says_so(pair):
    weir, mock = pair
    mock.on("gpt-up", json_reply({"id": "c1", "model": "gpt-up", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "word " * 100}, "finish_reason": "stop"}]}))  # fmt: skip
    record = record_of(weir, weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY}))
    assert record["usage"]["estimated"] is True
    assert 50 <= record["usage"]["output"] <= 250
    assert record["cost_nusd"] > 0


@pytest.mark.parametrize("events", [3, 5, 7])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_messages_that_are_cut_do_not_cost_what_their_beginning_says(pair, path, events):
    """message_start tells an output of one token; the count comes with message_delta, or not."""
    weir, mock = pair
    mock.on("claude-up", lambda request: [*dialects.default(request)[:events], FIN])
    body = {"model": "claude-pub", "max_tokens": 9, "messages": SAY, "stream": True}
    with weir.client() as c:
        c.send(weir.request("POST", path, body))
        reply = c.read_reply()
    usage = record_of(weir, reply)["usage"]
    (entry,) = mock.ledger.values()
    assert usage["input"] == entry.input and usage["estimated"] and 1 <= usage["output"] < entry.output


@pytest.mark.parametrize("usage", [{"prompt_tokens": -5, "completion_tokens": 3},
                                   {"prompt_tokens": 2**63, "completion_tokens": 1},
                                   {"prompt_tokens": "many", "completion_tokens": None},
                                   {"prompt_tokens": 5, "completion_tokens": 1,
                                    "prompt_tokens_details": {"cached_tokens": 50}}])  # fmt: skip
def test_absurd_usage_never_becomes_a_credit(pair, usage):
    """U-10"""
    weir, mock = pair
    mock.on("gpt-up", json_reply({"id": "c1", "model": "gpt-up", "choices": [], "usage": usage}))
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    assert reply.status == 200
    record = record_of(weir, reply)
    assert record["cost_nusd"] >= 0
    assert all(0 <= record["usage"].get(b, 0) < 2**53 for b in BUCKETS)
    assert record["usage"].get("input", 0) + record["usage"].get("cache_read", 0) < 10**9


def test_failed_attempts_have_records_of_their_own(start):
    """M-13: one per exchange, with one parent."""
    mock = Mock()
    weir = start({"model_list": [standard.openai("g", "up", mock.url, model_info=standard.PRICES)],
                  "router_settings": {"num_retries": 1}})  # fmt: skip
    mock.on("up", lambda r: dialects.openai_error(500, headers=(("retry-after-ms", "1"),)), dialects.chat)
    reply = weir.post("/v1/chat/completions", {"model": "g", "messages": SAY})
    assert reply.status == 200
    first, second = sorted(weir.records(2), key=lambda r: r["attempt"])
    assert first["request_id"] == second["request_id"] == reply.header("x-litellm-call-id")
    assert (first["attempt"], first["upstream_status"], first["cost_nusd"]) == (1, 500, 0)
    assert (second["attempt"], second["upstream_status"]) == (2, 200)
    assert second["cost_nusd"] > 0
    assert len(weir.access(1)) == 1, "one line per request"
    mock.stop()


@pytest.mark.parametrize(("headers", "members", "session"), [
    ((("x-litellm-session-id", "s-1"), ("user-agent", "curl/8.1")), {}, "s-1"),
    ((("x-litellm-session-id", "s-1"), ("x-litellm-trace-id", " t-1 ")), {"litellm_session_id": "b"}, "t-1"),
    ((), {"litellm_session_id": "b-1", "metadata": {"session_id": "m"}}, "b-1"),
    ((), {"metadata": {"trace_id": "m-1"}}, "m-1"),
    ((("user-agent", "x" * 500), ("x-session-id", "y" * 500)), {}, "y" * 128),
    ((), {}, ""),
])  # fmt: skip
def test_session_and_client_are_recorded(pair, headers, members, session):
    weir, _ = pair
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY, **members}, headers=headers)
    record = record_of(weir, reply)
    assert record["trace_id"] == session
    assert record["user_agent"] == dict(headers).get("user-agent", "")[:128]
    assert record["response_id"] and record["key"] == "litellm_proxy_master_key"


# --- headers -----------------------------------------------------------------------------------------------------


def test_reply_headers(pair):
    """8.1"""
    weir, mock = pair
    reply = weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": SAY})
    assert uuid.UUID(reply.header("x-litellm-call-id"))
    assert reply.header("x-litellm-model-id") == "dep-gpt-pub"
    assert reply.header("x-litellm-model-group") == "gpt-pub"
    assert reply.header("x-litellm-model-api-base") == f"{mock.url}/v1"
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", reply.header("x-litellm-version"))
    (entry,) = mock.ledger.values()
    assert Decimal(reply.header("x-litellm-response-cost")) == Decimal(cost(entry)) / 10**9
    assert 0 < float(reply.header("x-litellm-response-duration-ms")) < 5000
    assert 0 <= float(reply.header("x-litellm-overhead-duration-ms")) < 1000
    assert reply.header("x-litellm-attempted-retries") == "0"
    assert reply.header("x-litellm-key-spend") is None
    for name, value in reply.headers:
        assert value not in ("", "None"), name


def test_reply_headers_of_a_stream(pair):
    weir, _ = pair
    reply = weir.post(*CALLS["chat-stream"])
    assert reply.header("x-litellm-model-id") == "dep-gpt-pub"
    assert reply.header("x-litellm-response-cost") is None, "not known yet when headers go out"


def test_call_ids_are_unique_and_errors_have_them(pair):
    weir, _ = pair
    ids = [weir.post("/v1/chat/completions", {"model": m, "messages": SAY}).header("x-litellm-call-id")
           for m in ("gpt-pub", "gpt-pub", "nobody", "err-400", "mocked-pub")]  # fmt: skip
    assert len(set(ids)) == 5 and None not in ids
    assert weir.post("/v1/chat/completions", {}, key=None).header("x-litellm-call-id")


# --- access line -------------------------------------------------------------------------------------------------


def test_one_access_line_per_request(start, mock):
    weir = start(standard.config(mock.url))
    calls = [*CALLS.values(), ("/v1/chat/completions", {"model": "nobody"}),
             ("/v1/chat/completions", {"model": "err-500", "messages": SAY})]  # fmt: skip
    replies = [weir.post(p, b) for p, b in calls]
    replies.append(weir.post("/v1/chat/completions", {}, key=None))
    lines = {line["request_id"]: line for line in weir.access(len(replies))}
    for reply in replies:
        assert lines[reply.header("x-litellm-call-id")]["status"] == reply.status
    assert len(weir.records(len(CALLS) + 1)) == len(CALLS) + 1, "refused requests are no exchanges"


def test_access_line_says_nothing_private(start, mock):
    weir = start(standard.config(mock.url))
    weir.post("/v1/chat/completions", {"model": "gpt-pub", "messages": [{"role": "user", "content": "PROMPT-CANARY"}]})
    weir.access(1)
    for path in (weir.access_log, weir.stderr):
        text = path.read_text()
        assert "PROMPT-CANARY" not in text and "Wehr" not in text
        assert weir.key not in text


# --- metrics -----------------------------------------------------------------------------------------------------


def test_metrics_parse_and_count(pair):
    weir, mock = pair
    before = weir.metrics()
    for path, body in CALLS.values():
        assert weir.post(path, body).status == 200
    weir.post("/v1/chat/completions", {"model": "unpriced-pub", "messages": SAY})
    weir.post("/v1/chat/completions", b"{")
    after = weir.metrics()

    def grown(name):
        return sum(v - before.get(k, 0) for k, v in after.items() if k.split("{")[0] == name)

    n = len(CALLS) + 1
    assert grown("weir_upstream_dials_total") + grown("weir_upstream_reuses_total") == n
    assert grown("weir_unpriced_exchanges_total") == 1
    assert grown("weir_client_sent_bytes_total") > 1000
    assert grown("weir_overhead_seconds_count") >= n
    assert grown("weir_stream_events_total") > 20
    assert after["litellm_in_flight_requests"] <= 1
    for name in {k.split("_bucket{")[0] for k in after if "_bucket{" in k}:
        buckets = [(k, v) for k, v in after.items() if k.startswith(name + "_bucket{")]
        infinite = [v for k, v in buckets if 'le="+Inf"' in k]
        assert infinite and infinite[0] == after[[k for k in after if k.split("{")[0] == name + "_count"][0]]


def test_metrics_text(pair):
    weir, _ = pair
    reply = weir.get("/metrics")
    assert reply.header("content-type").startswith("text/plain")
    lines = reply.body.decode().splitlines()
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    assert reply.body.endswith(b"\n")
    for line in lines:
        if line.startswith("#"):
            assert re.match(r"# (TYPE|HELP) [a-zA-Z_:][a-zA-Z0-9_:]* ", line), line
        else:
            assert re.fullmatch(r'[a-zA-Z_:][\w:]*(\{(\w+="(\\.|[^"\\])*",?)*\})? -?[\d.eE+-]+', line), line
            name = line.split("{")[0].split(" ")[0]
            assert name in typed or re.sub(r"_(bucket|sum|count)$", "", name) in typed, line
    for secret in weir.secrets:
        assert secret not in reply.body.decode()


def test_in_flight_is_seen(pair):
    weir, mock = pair
    mock.on("gpt-up", [STALL])
    with weir.client() as c:
        c.send(weir.request("POST", *CALLS["chat"]))
        mock.wait_requests(1)
        assert weir.metrics()["litellm_in_flight_requests"] >= 1
