"""Prompts and replies in the log: off by default; on, each is in the row of its call, whichever comes first, sealed on its way,
bounded, and never in the way of what is billed."""

import base64
import json
import os
import signal
import time
from urllib.parse import urlencode

import pytest
from support import played as p
from support.controlplane import STORE
from support.mock_provider import Mock, json_reply, sse_reply
from support.postgres import locked

ON = {"store_prompts_in_spend_logs": True}
MARKER = "MARKER-7f3a"
PROMPT = f"the prompt {MARKER}"
HIDDEN = "redacted-by-litellm"


@pytest.fixture(scope="module")
def upstream():
    mock = Mock()
    yield mock
    mock.stop()


def chat(text, tool=None):
    message = {"role": "assistant", "content": text}
    if tool:
        message["tool_calls"] = [{"id": "t1", "type": "function", "function": {"name": "f", "arguments": tool}}]
    return json_reply({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-up", "choices": [
        {"index": 0, "finish_reason": "stop", "message": message}], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})  # fmt: skip


def stream(*texts, usage=True, end=True):
    def event(delta, reason=None, **more):
        return b"data: " + json.dumps({"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": "gpt-up", "choices": [
            {"index": 0, "delta": delta, "finish_reason": reason}], **more}).encode() + b"\n\n"  # fmt: skip

    events = [event({"role": "assistant", "content": ""}), *[event({"content": t}) for t in texts]]
    if end:
        events.append(event({}, "stop"))
        events.append(b'data: {"id":"chatcmpl-2","object":"chat.completion.chunk","created":1,"model":"gpt-up","choices":[],'
                      b'"usage":{"prompt_tokens":3,"completion_tokens":7,"total_tokens":10}}\n\n')  # fmt: skip
        events.append(b"data: [DONE]\n\n")
    return sse_reply(events)


class World:
    """Both planes with model `m` of a scripted upstream, `groq` of one that speaks chat alone, `mocked` of none."""

    def __init__(self, cp, weir, upstream, postgres):
        self.cp, self.weir, self.postgres = cp, weir, postgres
        upstream.reset()
        upstream.on("gpt-up", chat("the answer"))
        for name, params in (("m", {"model": "openai/gpt-up", "api_base": upstream.url + "/v1", "api_key": "sk-upstream"}),
                             ("groq", {"model": "groq/gpt-up", "api_base": upstream.url + "/v1", "api_key": "sk-upstream"}),
                             ("mocked", {"model": "openai/x", "mock_response": "a mocked answer"})):  # fmt: skip
            assert cp.post("/model/new", {"model_name": name, "litellm_params": params, "model_info": {}}).status == 200
        self.upstream = upstream
        self.key = self.new_key()

    def new_key(self, **metadata):
        key = self.cp.post("/key/generate", {"metadata": metadata}).json["key"]
        self.weir.wait(lambda: self.weir.get("/v1/models", key=key).status == 200, 15, "the key is served")
        self.weir.wait(lambda: b'"mocked"' in self.weir.get("/v1/models", key=key).body, 15, "the models are")
        return key

    def say(self, path="/v1/chat/completions", key=None, headers=(), model="m", status=200, **body):
        """The call's id."""
        body = {"model": model, **({"messages": [{"role": "user", "content": PROMPT}]} if "input" not in body else {}), **body}
        reply = self.weir.call("POST", path, json.dumps(body).encode(), key or self.key, headers)
        assert reply.status == status, reply.body
        self.reply = reply
        return reply.header("x-litellm-call-id")

    def sql(self, text, *args):
        return self.postgres.sql(self.cp.database, text, *args)

    def row(self, call):
        """(request, reply) as they stand in its row; None: there is no row yet."""
        rows = self.sql("""SELECT proxy_server_request, response FROM "LiteLLM_SpendLogs" WHERE litellm_call_id = %s""", call)
        assert len(rows) <= 1
        return [json.loads(v) for v in rows[0]] if rows else None

    def stored(self, call):
        self.weir.wait(lambda: (self.row(call) or [{}])[0], 10, f"transcript of {call}")
        return self.row(call)

    def never(self, call):
        """Its row is there, and what came after it is stored; of it nothing is."""
        self.weir.wait(lambda: self.row(call), 10, "its row")
        after = self.say()
        self.stored(after)
        assert self.row(call) == [{}, {}]

    def waiting(self):
        return int(self.sql("SELECT count(*) FROM weir.transcript")[0][0])


@pytest.fixture
def world(start, data, database, upstream, postgres):
    def world_(general=ON, cp=None, **kw):
        cp = cp or start(database, STORE)
        return World(cp, data(cp.plane, general=general, **kw), upstream, postgres)

    return world_


def test_off_by_default(world):
    w = world(general=None)
    w.weir.wait(lambda: w.row(w.say()), 10, "a row")
    call = w.say(stream=False)
    w.weir.wait(lambda: w.row(call), 10, "its row")
    time.sleep(0.5)
    assert w.row(call) == [{}, {}] and w.waiting() == 0
    metrics = w.weir.metrics()
    assert metrics["weir_transcripts_total"] == metrics["weir_transcripts_dropped_total"] == metrics["weir_transcripts_sent_total"] == 0


def test_switched_on_and_off_while_it_runs(world):
    """As a dashboard does it."""
    w = world(general=None)

    def switch(on):
        body = {"field_name": "store_prompts_in_spend_logs", "field_value": on, "config_type": "general_settings"}
        assert w.cp.post("/config/field/update", body).status == 200

    def is_kept():
        before = w.weir.metrics()["weir_transcripts_total"]
        w.say()
        return w.weir.metrics()["weir_transcripts_total"] > before

    assert not is_kept()
    switch(True)
    w.weir.wait(is_kept, 10, "on")
    assert w.stored(w.say())[1]["choices"]
    switch(False)
    w.weir.wait(lambda: not is_kept(), 10, "off")


def test_a_call_is_in_its_row(world):
    w = world()
    w.upstream.on("gpt-up", chat("the answer", '{"a":1}'))
    body = {"temperature": 0.5, "user": "me", "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}
    call = w.say(**body)
    request, reply = w.stored(call)
    assert request == {"model": "m", "messages": [{"role": "user", "content": PROMPT}], **body}
    assert reply == w.reply.json
    assert reply["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a":1}' and reply["model"] == "m"
    request_id = w.sql("""SELECT request_id, "startTime" FROM "LiteLLM_SpendLogs" WHERE litellm_call_id = %s""", call)[0][0]
    detail = w.cp.get(f"/spend/logs/ui/{request_id}").json
    assert (detail["proxy_server_request"], detail["response"], detail["messages"]) == (request, reply, {})
    (listed,) = w.cp.get("/spend/logs?" + urlencode({"request_id": request_id})).json
    assert listed["response"] == reply
    assert w.weir.metrics()["weir_transcripts_sent_total"] == 1 and w.waiting() == 0


@pytest.mark.parametrize(("path", "body", "text"), [
    ("/v1/chat/completions", {}, lambda r: r["choices"][0]["message"]["content"]),
    ("/v1/messages", {"max_tokens": 9}, lambda r: r["content"][0]["text"]),
    ("/v1/responses", {"input": PROMPT}, lambda r: r["output"][0]["content"][0]["text"]),
])  # fmt: skip
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_every_api_whole_and_streamed(world, path, body, text, streams):
    """Of a stream the reply is put together; messages and responses are translated here."""
    w = world()
    if streams:
        w.upstream.on("gpt-up", stream("the ", "ans", "wer"))
        body = {**body, "stream": True}
    else:
        w.upstream.on("gpt-up", chat("the answer"))
    request, reply = w.stored(w.say(path, model="m" if "chat" in path else "groq", **body))
    assert text(reply) == "the answer"
    assert PROMPT in json.dumps(request) and request.get("stream", False) == streams
    if streams and "chat" in path:  # which this client did not ask for
        assert reply["usage"]["total_tokens"] == 10 and reply["object"] == "chat.completion"


def test_embeddings_and_mocks(world):
    w = world()
    w.upstream.on("gpt-up", json_reply({"object": "list", "model": "gpt-up", "data": [{"object": "embedding", "index": 0,
                  "embedding": [0.25, -1.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}}))  # fmt: skip
    assert w.stored(w.say("/v1/embeddings", input="x"))[1]["data"][0]["embedding"] == [0.25, -1.5]
    for streams in (False, True):
        reply = w.stored(w.say(model="mocked", stream=streams))[1]
        assert reply["choices"][0]["message"]["content"] == "a mocked answer"


def test_a_stream_that_is_cut_leaves_the_request(world):
    w = world()
    w.upstream.on("gpt-up", stream("half", end=False))
    request, reply = w.stored(w.say(stream=True))
    assert PROMPT in json.dumps(request) and reply == {}


def test_what_fails_leaves_the_request(world):
    w = world()
    w.upstream.on("gpt-up", json_reply({"error": {"message": "no"}}, status=400))
    request, reply = w.stored(w.say(status=400))
    assert PROMPT in json.dumps(request) and reply == {}


def test_long_texts_and_large_bodies(world):
    w = world(env={"MAX_STRING_LENGTH_PROMPT_IN_DB": "200"})
    w.upstream.on("gpt-up", chat("b" * 1000))
    request, reply = w.stored(w.say(messages=[{"role": "user", "content": "a" * 70 + "x" * 800 + "c" * 130}]))
    assert request["messages"][0]["content"] == "a" * 70 + "... (litellm_truncated skipped 800 chars) ..." + "c" * 130
    assert reply["choices"][0]["message"]["content"].startswith("b" * 70 + "... (litellm_truncated skipped 800")
    call = w.say(messages=[{"role": "user", "content": "a" * (1 << 20)}])
    request, reply = w.stored(call)
    assert list(request) == ["litellm_truncated"] and request["litellm_truncated"].startswith("skipped 10486")
    assert reply["id"] == "chatcmpl-1"
    w.upstream.on("gpt-up", chat("b" * (2 << 20)))
    request, reply = w.stored(w.say())
    assert PROMPT in json.dumps(request) and list(reply) == ["litellm_truncated"]
    w.upstream.on("gpt-up", stream(*["b" * 50000] * 30))
    request, reply = w.stored(w.say(stream=True))
    assert list(reply) == ["litellm_truncated"]


def test_nul_and_odd_numbers(world):
    """What jsonb does not take is left out; a number that no double holds is a text."""
    w = world()
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a\0b"}], "n": 1}).encode()
    call = w.weir.call("POST", "/v1/chat/completions", body, w.key).header("x-litellm-call-id")
    assert w.stored(call)[0]["messages"][0]["content"] == "ab"
    odd = body.replace(b'"n": 1', b'"x": 1e999999')
    call = w.weir.call("POST", "/v1/chat/completions", odd, w.key).header("x-litellm-call-id")
    assert w.stored(call)[0]["x"] == "1e999999"


def test_the_index_of_rows_is_left_alone(world):
    w = world()
    call = w.say()
    w.stored(call)
    assert w.sql("""SELECT l.xmin <> t.xmin FROM weir.log l JOIN "LiteLLM_SpendLogs" t USING (request_id) WHERE t.litellm_call_id = %s""", call) == [("t",)]
    before = w.sql("SELECT count(*), max(xmin::text::bigint) FROM weir.log")
    w.sql("""UPDATE "LiteLLM_SpendLogs" SET spend = 1 WHERE litellm_call_id = %s""", call)  # of any other writer it hears
    after = w.sql("SELECT count(*), max(xmin::text::bigint) FROM weir.log")
    assert after[0][0] == before[0][0] and int(after[0][1]) > int(before[0][1])


@pytest.mark.parametrize("who", ["key", "team"])
def test_a_key_or_team_that_wants_none(world, who):
    w = world()
    off = {"store_prompts_in_spend_logs": False}
    if who == "key":
        key = w.new_key(**off)
    else:
        team = w.cp.post("/team/new", {"metadata": {"store_prompts_in_spend_logs": "False"}}).json["team_id"]
        key = w.cp.post("/key/generate", {"team_id": team}).json["key"]
        w.weir.wait(lambda: w.weir.get("/v1/models", key=key).status == 200, 15, "the key is served")
    w.never(w.say(key=key))


def test_a_request_that_wants_none(world):
    w = world()
    w.never(w.say(**{"no-log": True}))


def test_a_request_may_not_decline_where_it_is_said(world):
    w = world(litellm={"global_disable_no_log_param": True})
    assert w.stored(w.say(**{"no-log": True}))[0]["model"] == "m"


REDACTED = [{"role": "user", "content": HIDDEN}]


@pytest.mark.parametrize(("everywhere", "metadata", "headers", "body", "hidden"), [
    (True, {}, [], {}, True),
    (False, {}, [("x-litellm-enable-message-redaction", "true")], {}, True),
    (False, {"logging": [{"callback_name": "x", "callback_vars": {"turn_off_message_logging": True}}]}, [], {}, True),
    (False, {}, [], {"turn_off_message_logging": True}, True),
    (True, {}, [("litellm-disable-message-redaction", "true")], {}, True),
    (True, {"allow_client_message_redaction_opt_out": True}, [("litellm-disable-message-redaction", "true")], {}, False),
    (True, {"turn_off_message_logging": False}, [], {}, False),
    (False, {}, [], {}, False),
])  # fmt: skip
def test_redaction(world, everywhere, metadata, headers, body, hidden):
    w = world(litellm={"turn_off_message_logging": everywhere})
    w.upstream.on("gpt-up", stream("the ", "answer"))
    request, reply = w.stored(w.say(key=w.new_key(**metadata), headers=headers, stream=True, **body))
    said = reply["choices"][0]["message"]["content"]
    assert (request["messages"] == REDACTED, said) == (hidden, HIDDEN if hidden else "the answer")
    assert (MARKER in json.dumps(request)) != hidden
    assert request["model"] == "m" and reply["usage"]["total_tokens"] == 10


def test_credentials_are_masked(world):
    w = world()
    request, _ = w.stored(w.say(metadata={"api_key": "sk-hidden", "tokens_wanted": "5"}))
    assert request["metadata"] == {"api_key": "REDACTED_BY_LITELM", "tokens_wanted": "5"}


def test_a_row_that_comes_later(world):
    """What is stored waits for its row, which the billing path writes in its own time."""
    w = world()
    first = w.say()
    w.stored(first)
    w.sql("ALTER TABLE weir.spool RENAME TO spool_away")  # usage is not taken any more
    call = w.say()
    w.weir.wait(lambda: w.waiting() == 1, 10, "the transcript waits")
    assert w.row(call) is None
    # and before many that never will have one
    w.sql("INSERT INTO weir.transcript SELECT 'none-' || n, now(), 1, '{}', now() - interval '50 minutes' FROM generate_series(1, 12000) AS n")
    w.sql("ALTER TABLE weir.spool_away RENAME TO spool")
    assert w.stored(call)[1]["choices"][0]["message"]["content"] == "the answer"
    w.weir.wait(lambda: w.waiting() == 12000, 5, "nothing else waits")
    w.sql("DELETE FROM weir.transcript")
    w.sql("INSERT INTO weir.transcript VALUES ('nobody', now(), 1, '{}', now() - interval '2 hours')")
    w.weir.wait(lambda: w.waiting() == 0, 5, "what nobody came for is gone")


def test_a_full_ring_costs_transcripts_and_no_records(world):
    """The control plane takes none for a while: the ring fills, what is dropped is counted, every record is there."""
    w = world(env={"MAX_STRING_LENGTH_PROMPT_IN_DB": "200"})
    w.stored(w.say())
    text = "y" * 900_000
    with locked(w.cp.database, "weir.transcript", "weir.spool"):
        calls = [w.say(model="mocked", messages=[{"role": "user", "content": text}]) for _ in range(40)]
        dropped = w.weir.metrics()["weir_transcripts_dropped_total"]
        assert 10 <= dropped <= 30
    w.weir.wait(lambda: all(w.row(c) for c in calls), 20, "every row")
    w.weir.wait(lambda: sum(bool(w.row(c)[0]) for c in calls) == 40 - dropped, 60, "what was kept is stored")
    w.stored(w.say())


def test_a_link_killed_before_it_was_taken(world):
    w = world()
    w.stored(w.say())
    w.cp.process.send_signal(signal.SIGSTOP)
    calls = [w.say() for _ in range(5)]
    link = w.weir.link()
    os.kill(link, signal.SIGKILL)
    w.weir.wait(lambda: w.weir.link() not in (None, link), 10, "another link")
    calls += [w.say() for _ in range(5)]
    w.cp.process.send_signal(signal.SIGCONT)
    for call in calls:
        assert w.stored(call)[1]["choices"][0]["message"]["content"] == "the answer"


def test_a_worker_killed_after_it_answered(world):
    w = world()
    w.stored(w.say())
    w.cp.process.send_signal(signal.SIGSTOP)
    call = w.say()
    os.kill(w.weir.workers()[0], signal.SIGKILL)
    w.weir.wait(w.weir.is_ready, 10, "another worker")
    w.cp.process.send_signal(signal.SIGCONT)
    assert w.stored(call)[0]["model"] == "m"


def test_a_draining_pod_delivers_the_rest(world):
    w = world()
    w.stored(w.say())
    calls = [w.say() for _ in range(10)]
    assert not w.weir.terminate(10)
    w.weir.inquest(keep=True)
    for call in calls:
        assert w.stored(call)[0]["model"] == "m"


def written(file):
    """What was ever written to a file, which may be mostly holes."""
    out, at = [], 0
    with file.open("rb") as f:
        while at < (size := f.seek(0, os.SEEK_END)):
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing behind it
                break
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            out.append(os.pread(f.fileno(), min(end, size) - at, at))
            at = end
    return b"".join(out)


def test_nothing_of_it_is_plain_on_a_disk_or_in_a_log(world):
    w = world()
    w.stored(w.say())
    w.cp.process.send_signal(signal.SIGSTOP)  # now it stays where it is
    for streams in (False, True):
        w.say(stream=streams)
    time.sleep(0.5)
    searched = {f.name for place in (w.weir.dir, w.cp.dir) for f in place.rglob("*") if f.is_file() and MARKER.encode() not in written(f)}
    assert searched == {f.name for place in (w.weir.dir, w.cp.dir) for f in place.rglob("*") if f.is_file()}
    assert {"shared", "identities", "config.yaml", "access.log", "stderr"} <= searched and (w.weir.state / "spool" / "0000000001.seg").stat().st_size
    w.cp.process.send_signal(signal.SIGCONT)


@pytest.fixture
def played(data):
    """A played control plane and a data plane of it, that serves `mocked` from its file."""
    plane = p.Plane(f"/tmp/weir-tr-{os.getpid()}")
    weir = data(plane.address, general=ON)
    weir.write_config({"model_list": [{"model_name": "mocked", "litellm_params": {"model": "openai/x", "mock_response": MARKER}}],
                       "general_settings": ON, "weir": {"control_plane": [plane.address]}})  # fmt: skip
    os.kill(weir.pid, signal.SIGHUP)

    def say():
        return weir.post("/v1/chat/completions", {"model": "mocked", "messages": [{"role": "user", "content": PROMPT}]})

    weir.wait(lambda: say().status == 200, 15, "served")
    yield plane, weir, say
    plane.close()


def test_sealed_between_the_planes(played):
    """It sees that something came and of which call, and not what."""
    plane, weir, say = played
    call = say().header("x-litellm-call-id").encode()
    weir.wait(lambda: [t for r in plane.asked("transcripts") for t in r["transcripts"] if t[0] == call], 10, "a transcript")
    for r in plane.asked("transcripts"):
        for _, sealed in r["transcripts"]:
            assert sealed.startswith(b"weir1:") and MARKER.encode() not in sealed
            assert MARKER.encode() not in base64.urlsafe_b64decode(sealed[6:] + b"===")


def test_an_older_control_plane_gets_usage_all_the_same(played):
    plane, weir, say = played
    plane.answer = lambda r: p.refusal(p.UNKNOWN_REQUEST) if r["kind"] == "transcripts" else None
    call = say().header("x-litellm-call-id")
    weir.wait(lambda: "transcripts_not_taken" in weir.log(), 10, "told")
    weir.wait(lambda: call in plane.ledger.ids(), 10, "counted")
    for _ in range(20):
        assert say().status == 200
        time.sleep(0.03)
    assert weir.log().count("transcripts_not_taken") <= len(plane.asked("hello"))


def test_another_key_opens_nothing(start, data, database, upstream, postgres):
    cp = start(database, {**STORE, "general_settings": {**STORE["general_settings"]}}, env={"LITELLM_SALT_KEY": "sk-one-salt"})
    w = World(cp, data(cp.plane, general=ON, env={"LITELLM_SALT_KEY": "sk-one-salt"}), upstream, postgres)
    w.stored(w.say())
    other = data(cp.plane, general=ON, env={"LITELLM_SALT_KEY": "sk-another-salt"})
    other.wait(lambda: other.post("/v1/chat/completions", {"model": "mocked", "messages": []}, key=w.key).status == 200, 15, "served")
    cp.wait(lambda: "transcripts_lost" in cp.log(), 10, "told")
    w.stored(w.say())


def test_retention_takes_them_with_their_rows(world, start, database):
    w = world()
    call, other = w.say(), w.say()
    w.stored(call)
    w.stored(other)
    w.sql("""UPDATE "LiteLLM_SpendLogs" SET "startTime" = "startTime" - interval '3 days' WHERE litellm_call_id = %s""", call)
    keeps = start(database, {**STORE, "general_settings": {**STORE["general_settings"], "maximum_spend_logs_retention_period": "1d"}})
    keeps.wait(lambda: w.row(call) is None, 30, "the row goes")
    assert w.row(other)[1]["choices"]
