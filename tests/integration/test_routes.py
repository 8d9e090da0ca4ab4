"""Which route does what, for whom, and how it says no (litellm-dataplane 2, 3.1, 3.4, 5.1, 7, 8.4)."""

import json

import pytest

from support import standard
from support.dialects import TEXT
from support.http import Client
from support.mock_provider import json_reply
from support.weir import MASTER_KEY

SAY = [{"role": "user", "content": "Say something."}]
CHAT = {"model": "gpt-pub", "messages": SAY}
MESSAGES = {"model": "claude-pub", "max_tokens": 9, "messages": SAY}
BEARER = f"Bearer {MASTER_KEY}"


def error(reply, status, type_=None, code=None):
    """The OpenAI envelope (7.1): returns its message. `code`: not the status."""
    assert reply.status == status, reply.body
    assert reply.header("content-type") == "application/json"
    assert set(reply.json) == {"error"}
    e = reply.json["error"]
    assert {"message", "type", "param", "code"} <= set(e)
    assert e["code"] == (code or str(status))
    if type_:
        assert e["type"] == type_
    return e["message"]


def anthropic_error(reply, status, type_):
    """The Anthropic envelope (7.4)."""
    assert reply.status == status, reply.body
    assert reply.header("content-type") == "application/json"
    assert reply.json["type"] == "error"
    assert reply.json["error"]["type"] == type_
    return reply.json["error"]["message"]


# --- paths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path,body,upstream",
    [
        ("/v1/chat/completions", CHAT, "/v1/chat/completions"),
        ("/chat/completions", CHAT, "/v1/chat/completions"),
        ("/engines/gpt-pub/chat/completions", {"messages": SAY}, "/v1/chat/completions"),
        ("/openai/deployments/gpt-pub/chat/completions", {"messages": SAY}, "/v1/chat/completions"),
        ("/openai/deployments/gpt-pub/chat/completions?api-version=2024-10-21", CHAT, "/v1/chat/completions"),
        ("/v1/completions", {"model": "instruct-pub", "prompt": "x"}, "/v1/completions"),
        ("/completions", {"model": "instruct-pub", "prompt": "x"}, "/v1/completions"),
        ("/engines/instruct-pub/completions", {"prompt": "x"}, "/v1/completions"),
        ("/openai/deployments/instruct-pub/completions", {"prompt": "x"}, "/v1/completions"),
        ("/v1/embeddings", {"model": "emb-pub", "input": "x"}, "/v1/embeddings"),
        ("/embeddings", {"model": "emb-pub", "input": "x"}, "/v1/embeddings"),
        ("/engines/emb-pub/embeddings", {"input": "x"}, "/v1/embeddings"),
        ("/openai/deployments/emb-pub/embeddings", {"input": "x"}, "/v1/embeddings"),
        ("/v1/moderations", {"model": "mod-pub", "input": "x"}, "/v1/moderations"),
        ("/moderations", {"model": "mod-pub", "input": "x"}, "/v1/moderations"),
        ("/v1/messages", MESSAGES, "/v1/messages"),
        ("/messages", MESSAGES, "/v1/messages"),
        ("/v1/messages?beta=true", MESSAGES, "/v1/messages"),
        ("/v1/messages/count_tokens", {"model": "claude-pub", "messages": SAY}, "/v1/messages/count_tokens"),
        ("/v1/responses", {"model": "gpt-pub", "input": "x"}, "/v1/responses"),
        ("/responses", {"model": "gpt-pub", "input": "x"}, "/v1/responses"),
        ("/v1/chat/completions", {**CHAT, "model": "azure-pub"},
         "/openai/deployments/azure-dep/chat/completions"),
        ("/v1/chat/completions", {**CHAT, "model": "wild/gpt-4.1-nano"}, "/v1/chat/completions"),
        ("/v1/chat/completions", {**CHAT, "model": "alias-pub"}, "/v1/chat/completions"),
        ("/v1/chat/completions", {**CHAT, "model": "hidden-pub"}, "/v1/chat/completions"),
        ("/v1/chat/completions", {**CHAT, "model": "dep-gpt-pub"}, "/v1/chat/completions"),
    ],
)  # fmt: skip
def test_route_reaches_its_upstream_path(weir, mock, path, body, upstream):
    reply = weir.post(path, body)
    assert reply.status == 200, reply.body
    assert mock.request.path == upstream
    if asked := body.get("model"):
        assert reply.json.get("model", asked) == asked


@pytest.mark.parametrize("prefix", ["/engines", "/openai/deployments"])
def test_model_of_the_path_beats_the_bodys(weir, mock, prefix):
    reply = weir.post(f"{prefix}/gpt-pub/chat/completions", {"model": "reason-pub", "messages": SAY})
    assert reply.status == 200, reply.body
    assert mock.request.json["model"] == "gpt-up"


def test_wildcard_fills_in_what_it_caught(weir, mock):
    reply = weir.post("/v1/chat/completions", {**CHAT, "model": "wild/some/deep-name"})
    assert mock.request.json["model"] == "some/deep-name"
    assert reply.json["model"] == "wild/some/deep-name"


def test_a_deployments_defaults_lie_under_the_clients_values(weir, mock):
    weir.post("/v1/chat/completions", {**CHAT, "model": "default-pub", "seed": 9})
    assert mock.request.json == {"model": "default-up", "messages": SAY, "seed": 9, "temperature": 0.5}


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1", "/v1/chat", "/v1/chat/completions/", "/key/generate"])
def test_unknown_route_is_404(weir, mock, path):
    reply = weir.get(path)
    assert reply.status == 404, reply.body
    assert mock.requests == []


@pytest.mark.parametrize(
    "method,path",
    [("GET", "/v1/chat/completions"), ("DELETE", "/v1/embeddings"), ("POST", "/v1/models"), ("PUT", "/v1/messages"),
     ("GET", "/v1/responses"), ("POST", "/health/readiness")],
)  # fmt: skip
def test_wrong_method_is_405(weir, method, path):
    reply = weir.call(method, path, b"" if method != "GET" else None)
    assert reply.status == 405, reply.body
    assert reply.header("allow")


@pytest.mark.parametrize(
    "path,body",
    [
        ("/v1/embeddings", {"model": "claude-pub", "input": "x"}),
        ("/v1/moderations", {"model": "claude-pub", "input": "x"}),
        ("/v1/chat/completions", {**CHAT, "model": "bedrock-pub"}),
    ],
)
def test_an_api_the_upstream_has_nothing_for_is_501(weir, mock, path, body):
    assert error(weir.post(path, body), 501)
    assert mock.requests == []


def test_a_dialect_that_is_not_spoken_is_501_in_anthropics_words(weir, mock):
    assert anthropic_error(weir.post("/v1/messages", {**MESSAGES, "model": "bedrock-pub"}), 501, "api_error")
    assert mock.requests == []


@pytest.mark.parametrize(
    "path,body,upstream",
    [
        ("/v1/chat/completions", {**CHAT, "model": "claude-pub"}, "/v1/messages"),
        ("/v1/completions", {"model": "claude-pub", "prompt": "x"}, "/v1/messages"),
        ("/v1/responses", {"model": "claude-pub", "input": "x"}, "/v1/messages"),
        ("/v1/messages", {**MESSAGES, "model": "gpt-pub"}, "/v1/responses"),
        ("/v1/messages", {**MESSAGES, "model": "gpt-pub", "stop_sequences": ["x"]}, "/v1/chat/completions"),
    ],
)
def test_another_text_api_is_translated(weir, mock, path, body, upstream):
    reply = weir.post(path, body)
    assert reply.status == 200, reply.body
    assert [r.path for r in mock.requests] == [upstream]


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]


@pytest.mark.parametrize(
    "more,upstream",
    [
        ({"tools": TOOLS, "reasoning_effort": "low"}, "/v1/responses"),
        ({"tools": TOOLS, "reasoning_effort": "none"}, "/v1/chat/completions"),
        ({"tools": TOOLS, "reasoning_effort": None}, "/v1/chat/completions"),  # the upstream is not OpenAI
        ({"tools": TOOLS}, "/v1/chat/completions"),
        ({"reasoning_effort": "low"}, "/v1/chat/completions"),
        ({"tools": TOOLS, "reasoning_effort": "low", "model": "wild/gpt-5.2"}, "/v1/chat/completions"),
    ],
)
def test_function_tools_of_a_model_that_reasons_go_by_responses(weir, mock, more, upstream):
    reply = weir.post("/v1/chat/completions", {**CHAT, "model": "wild/gpt-5.5", **more})
    assert reply.status == 200, reply.body
    assert reply.json["object"] == "chat.completion"
    assert [r.path for r in mock.requests] == [upstream]


def test_messages_beside_openais_apis_pass_natively(weir, mock):
    reply = weir.post("/v1/messages", {**MESSAGES, "model": "both-pub", "cache_control": {"type": "ephemeral"}})
    assert reply.status == 200, reply.body
    assert reply.json["type"] == "message"
    assert float(reply.header("x-litellm-response-cost")) > 0
    (request,) = mock.requests
    assert request.path == "/v1/messages"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["authorization"].startswith("Bearer ")
    assert request.json["model"] == "both-up"
    assert request.json["cache_control"] == {"type": "ephemeral"}


# --- counting ----------------------------------------------------------------------------------------------------


def test_openai_counts_what_it_would_be_given(weir, mock):
    mock.on("gpt-up", json_reply({"object": "response.input_tokens", "input_tokens": 21}))
    body = {"model": "gpt-pub", "messages": SAY, "system": "Be brief.", "tools": []}
    reply = weir.post("/v1/messages/count_tokens", body)
    assert reply.json == {"input_tokens": 21, "litellm_count_source": "provider"}
    (seen,) = mock.requests
    assert seen.path == "/v1/responses/input_tokens"
    assert seen.json.keys() == {"model", "input"}


def test_tokens_are_estimated_where_a_server_of_openais_api_does_not_count(weir, mock):
    mock.on("gpt-up", json_reply({"error": {"message": "Not Found"}}, status=404))
    reply = weir.post("/v1/messages/count_tokens", {"model": "gpt-pub", "messages": SAY})
    assert reply.json["litellm_count_source"] == "local_estimate"


def test_tokens_are_estimated_where_the_provider_does_not_count(weir, mock):
    reply = weir.post("/v1/messages/count_tokens", {"model": "bedrock-pub", "messages": SAY, "system": "Be brief."})
    assert reply.status == 200, reply.body
    assert reply.json.keys() == {"input_tokens", "litellm_count_source"}
    assert 10 < reply.json["input_tokens"] < 30
    assert reply.json["litellm_count_source"] == "local_estimate"
    assert mock.requests == []


def test_counting_needs_messages(weir):
    message = anthropic_error(weir.post("/v1/messages/count_tokens", {"model": "bedrock-pub"}), 400, "invalid_request_error")
    assert "messages parameter is required" in message


@pytest.mark.parametrize(
    "prompt", [{"messages": SAY}, {"prompt": "Say something."}, {"contents": [{"parts": [{"text": "Say something."}]}]}]
)
def test_token_counter(weir, mock, prompt):
    reply = weir.post("/utils/token_counter", {"model": "gpt-pub", **prompt})
    assert reply.status == 200, reply.body
    assert 5 < reply.json["total_tokens"] < 20
    assert reply.json["request_model"] == "gpt-pub"
    assert reply.json["model_used"] == "gpt-up"
    assert reply.json["tokenizer_type"] == reply.json["count_source"] == "local_estimate"
    assert reply.json["error"] is False
    assert mock.requests == []


def test_token_counter_takes_models_nobody_serves(weir):
    reply = weir.post("/utils/token_counter", {"model": "unheard-of", "prompt": "x"})
    assert reply.json["model_used"] == "unheard-of"


def test_token_counter_says_no(weir):
    assert "prompt or messages or contents" in error(weir.post("/utils/token_counter", {"model": "gpt-pub"}), 400)
    error(weir.post("/utils/token_counter", {"prompt": "x"}), 400)
    error(weir.call("POST", "/utils/token_counter", b'{"model": "gpt-pub", "prompt": ['), 400)
    error(weir.call("POST", "/utils/token_counter", b"{}", key=None), 401)


# --- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("x-litellm-api-key", MASTER_KEY)],
        [("x-litellm-api-key", BEARER)],
        [("Authorization", BEARER)],
        [("authorization", f"bearer {MASTER_KEY}")],
        [("Authorization", f"Basic {MASTER_KEY}")],
        [("api-key", MASTER_KEY)],
        [("API-Key", MASTER_KEY)],
        [("x-api-key", MASTER_KEY)],
        [("x-goog-api-key", MASTER_KEY)],
        [("Ocp-Apim-Subscription-Key", MASTER_KEY)],
        # the first that is not empty wins, the others are not looked at
        [("x-litellm-api-key", MASTER_KEY), ("Authorization", "Bearer sk-somebody-else")],
        [("Authorization", BEARER), ("x-api-key", "sk-ant-somebody-else")],
        [("api-key", MASTER_KEY), ("x-api-key", "sk-ant-somebody-else")],
    ],
)
def test_where_the_key_may_stand(weir, mock, headers):
    """3.1; and whatever was presented does not go upstream."""
    reply = weir.post("/v1/chat/completions", CHAT, key=None, headers=headers)
    assert reply.status == 200, reply.body
    r = mock.request
    assert r.headers["authorization"] == f"Bearer {standard.OPENAI_KEY}"
    assert MASTER_KEY.encode() not in r.head + r.body
    assert b"somebody-else" not in r.head
    for name in ("x-litellm-api-key", "api-key", "x-api-key", "x-goog-api-key", "ocp-apim-subscription-key"):
        assert name not in r.headers


@pytest.mark.parametrize(
    "headers,status,type_,message",
    [
        ([], 401, "auth_error", "Authentication Error, No api key passed in."),
        ([("Authorization", "")], 401, "auth_error", "Authentication Error, No api key passed in."),
        ([("Authorization", "Digest abc")], 401, "auth_error",
         "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix."),
        ([("Authorization", "Bearer hello-wide-world-out-there")], 401, "auth_error",
         "Authentication Error, LiteLLM Virtual Key expected. Received=hell****here, expected to start with 'sk-'."),
        ([("x-api-key", "hello-wide-world-out-there")], 401, "auth_error",
         "Authentication Error, LiteLLM Virtual Key expected. Received=hell****here, expected to start with 'sk-'."),
        ([("x-api-key", "short")], 401, "auth_error",
         "Authentication Error, LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'."),
        ([("Authorization", "Bearer sk-unknown-Zk4v")], 400, "no_db_connection", "No connected db."),
        # a wrong key in the first place is not healed by a right one further down
        ([("x-litellm-api-key", "sk-unknown-Zk4v"), ("Authorization", BEARER)], 400, "no_db_connection",
         "No connected db."),
        ([("Authorization", BEARER + "x")], 400, "no_db_connection", "No connected db."),
        ([("Authorization", BEARER[:-1])], 400, "no_db_connection", "No connected db."),
    ],
)  # fmt: skip
def test_missing_and_bad_keys(weir, mock, headers, status, type_, message):
    """3.4; there is no database, so an unknown key cannot be looked up."""
    weir.secrets.add("sk-unknown-Zk4v")
    reply = weir.post("/v1/chat/completions", CHAT, key=None, headers=headers)
    assert error(reply, status, type_) == message
    assert mock.requests == []


def test_two_authorizations_are_refused(weir, mock):
    """H-15: one header repeated with different values."""
    reply = weir.post("/v1/chat/completions", CHAT, key=None,
                      headers=[("Authorization", BEARER), ("Authorization", "Bearer sk-other-1234")])  # fmt: skip
    assert reply.status == 400
    assert mock.requests == []


def test_messages_refuses_a_key_in_anthropics_words(weir, mock):
    anthropic_error(weir.post("/v1/messages", MESSAGES, key=None), 401, "authentication_error")
    assert mock.requests == []


def test_a_bad_body_is_told_only_to_those_with_a_key(weir):
    """3.3"""
    assert weir.post("/v1/chat/completions", b"{", key=None).status == 401
    assert weir.post("/v1/chat/completions", b"{").status == 400


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/v1/models/gpt-pub", "/v1/model/info", "/model/info",
                                  "/model_group/info", "/health"])  # fmt: skip
def test_lists_need_a_key(weir, path):
    assert weir.get(path, key=None).status == 401


def test_key_header_of_ones_own(start, mock):
    """3.1 #0: it replaces everything else, and wants Bearer."""
    weir = start(standard.config(mock.url, general_settings={"litellm_key_header_name": "X-Gate"}))
    assert weir.post("/v1/chat/completions", CHAT, key=None, headers=[("x-gate", BEARER)]).status == 200
    assert weir.post("/v1/chat/completions", CHAT, key=None, headers=[("x-gate", MASTER_KEY)]).status == 401
    assert weir.post("/v1/chat/completions", CHAT).status == 401


# --- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-model", "gpt", "GPT-PUB", "gpt-pub ", "gpt-up", "wild", "é" * 20])
def test_unknown_model_is_400(weir, mock, name):
    """5.1"""
    message = error(weir.post("/v1/chat/completions", {**CHAT, "model": name}), 400)
    assert f"Invalid model name passed in model={name}" in message
    assert "/v1/models" in message
    assert mock.requests == []


def test_unknown_model_of_messages(weir):
    message = anthropic_error(weir.post("/v1/messages", {**MESSAGES, "model": "nobody"}), 400, "invalid_request_error")
    assert "nobody" in message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"model":7}', b'{"model":null}',
                                  b'{"model":"gpt-pub"} x', b'{"model":"gpt-pub",}', b"\xff\xfe",
                                  b'{"model":"gpt-pub",\x00"messages":[]}', b'{"model":"gpt\x00-pub"}'])  # fmt: skip
def test_malformed_body_is_400(weir, mock, body):
    error(weir.post("/v1/chat/completions", body), 400)
    assert mock.requests == []


def test_models(weir):
    for path in ("/v1/models", "/models"):
        reply = weir.get(path)
        assert reply.json["object"] == "list"
        entries = {m["id"]: m for m in reply.json["data"]}
        assert entries["gpt-pub"] == {
            "id": "gpt-pub", "object": "model", "created": 1677610602, "owned_by": "openai"
        }  # fmt: skip
        assert "alias-pub" in entries and "hidden-pub" not in entries
        assert [m["id"] for m in reply.json["data"]].count("two") == 1
    assert weir.get("/v1/models/claude-pub").json["id"] == "claude-pub"
    assert weir.get("/models/gpt-pub").json["object"] == "model"
    assert weir.get("/v1/models/nobody").status == 404


@pytest.mark.parametrize("path", ["/v1/model/info", "/model/info"])
def test_model_info(weir, path):
    reply = weir.get(path)
    assert reply.status == 200
    for secret in weir.secrets:
        assert secret.encode() not in reply.body
    two = [m for m in reply.json["data"] if m["model_name"] == "two"]
    assert {m["model_info"]["id"] for m in two} == {"dep-two-a", "dep-two-b"}
    (gpt,) = [m for m in reply.json["data"] if m["model_name"] == "gpt-pub"]
    assert gpt["litellm_params"]["model"] == "openai/gpt-up"
    assert "api_key" not in gpt["litellm_params"]
    assert gpt["model_info"]["db_model"] is False
    assert gpt["model_info"]["input_cost_per_token"] == 1.25e-06
    one = weir.get(path + "?litellm_model_id=dep-gpt-pub").json["data"]
    assert [m["model_info"]["id"] for m in one] == ["dep-gpt-pub"]


def test_model_group_info(weir):
    groups = {g["model_group"]: g for g in weir.get("/model_group/info").json["data"]}
    assert groups["gpt-pub"]["providers"] == ["openai"]
    assert groups["gpt-pub"]["input_cost_per_token"] == 1.25e-06
    assert groups["claude-pub"]["providers"] == ["anthropic"]
    (one,) = weir.get("/model_group/info?model_group=two").json["data"]
    assert one["model_group"] == "two"


# --- the gateway's own fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name,value", [("api_base", "http://evil.example"), ("base_url", "http://evil.example"),
                                        ("api_key", "sk-client-1234"), ("user_config", {"model_list": []})])  # fmt: skip
@pytest.mark.parametrize("path,body", [("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES),
                                       ("/v1/responses", {"model": "gpt-pub", "input": "x"})])  # fmt: skip
def test_fields_that_steer_are_refused(weir, mock, path, body, name, value):
    """8.4: destination and credentials are the configuration's, even for the master key."""
    reply = weir.post(path, {**body, name: value})
    assert reply.status == 400, reply.body
    assert name in reply.json["error"]["message"]
    assert b"evil.example" not in reply.body and b"sk-client" not in reply.body
    assert mock.requests == []


OWN = {
    "metadata": {"tags": ["a"], "model": "x"}, "litellm_metadata": {"a": 1}, "tags": ["t"], "num_retries": 0,
    "timeout": 60, "stream_timeout": 60, "fallbacks": [], "context_window_fallbacks": [],
    "content_policy_fallbacks": [], "disable_fallbacks": True, "cache": {"no-cache": True}, "guardrails": ["g"],
    "guardrail_config": {}, "policies": [], "no-log": True, "priority": 1, "litellm_session_id": "s",
    "litellm_trace_id": "t", "litellm_call_id": "c", "drop_params": True, "additional_drop_params": ["x"],
    "allowed_openai_params": ["y"], "turn_off_message_logging": True, "proxy_server_request": {},
    "custom_llm_provider": "openai", "mock_testing_fallbacks": False,
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_own_field_is_stripped(weir, mock, name):
    for body in ({name: OWN[name], **CHAT}, {**CHAT, name: OWN[name]}):
        reply = weir.post("/v1/chat/completions", body)
        assert reply.status == 200, reply.body
    for r in mock.requests:
        assert r.json == {"model": "gpt-up", "messages": SAY}


def test_all_own_fields_at_once(weir, mock):
    assert weir.post("/v1/chat/completions", {**OWN, **CHAT, "user": "u"}).status == 200
    assert mock.request.json == {"model": "gpt-up", "messages": SAY, "user": "u"}


@pytest.mark.parametrize("path,body", [("/v1/messages", MESSAGES), ("/v1/responses", {"model": "gpt-pub", "input": "x"})])
def test_metadata_is_the_providers_elsewhere(weir, mock, path, body):
    weir.post(path, {**body, "metadata": {"user_id": "u"}, "litellm_metadata": {"x": 1}})
    assert mock.request.json["metadata"] == {"user_id": "u"}
    assert "litellm_metadata" not in mock.request.json


def test_unknown_fields_pass(weir, mock):
    """A field nobody knows is the provider's."""
    weir.post("/v1/chat/completions", {**CHAT, "min_p": 0.1, "chat_template_kwargs": {"api_base": "x"}})
    assert mock.request.json["min_p"] == 0.1
    assert mock.request.json["chat_template_kwargs"] == {"api_base": "x"}


def test_mock_response_of_the_master_key(weir, mock):
    reply = weir.post("/v1/chat/completions", {**CHAT, "mock_response": "Canned."})
    assert reply.json["choices"][0]["message"]["content"] == "Canned."
    assert mock.requests == []


def test_mock_response_of_anybody_else_is_stripped(start, mock):
    """8.4: without a master key nobody is trusted with it."""
    weir = start(standard.config(mock.url), key=None)
    reply = weir.post("/v1/chat/completions", {**CHAT, "mock_response": "Canned."}, key=None)
    assert reply.json["choices"][0]["message"]["content"] == TEXT
    assert mock.request.json == {**CHAT, "model": "gpt-up"}


def test_mock_response_of_the_configuration(weir, mock):
    """13: default usage 10 and 20."""
    body = {"model": "mocked-pub", "messages": SAY}
    done = weir.post("/v1/chat/completions", body).json
    assert done["model"] == "mocked-pub"
    assert done["object"] == "chat.completion"
    assert done["choices"][0]["message"]["content"] == "Mocked words here."
    assert done["choices"][0]["finish_reason"] == "stop"
    assert (done["usage"]["prompt_tokens"], done["usage"]["completion_tokens"]) == (10, 20)
    reply = weir.post("/v1/chat/completions", {**body, "stream": True})
    assert reply.header("content-type").startswith("text/event-stream")
    *events, last = [e for e in reply.body.split(b"\n\n") if e]
    assert last == b"data: [DONE]"
    chunks = [json.loads(e.removeprefix(b"data: ")) for e in events]
    words = [c["choices"][0]["delta"].get("content") for c in chunks]
    assert "".join(w or "" for w in words) == "Mocked words here."
    assert len([w for w in words if w]) >= 3, "word by word"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {c["model"] for c in chunks} == {"mocked-pub"}
    assert mock.requests == []


# --- upstream errors in the client's words -------------------------------------------------------------------------


@pytest.mark.parametrize("status,expected", [(400, 400), (401, 401), (403, 403), (404, 404), (424, 502), (429, 429),
                                             (500, 500), (503, 503), (529, 503)])  # fmt: skip
def test_openai_errors_keep_their_class(weir, status, expected):
    reply = weir.post("/v1/chat/completions", {**CHAT, "model": f"err-{status}"})
    overloaded = ("service_unavailable_error", "server_is_overloaded") if status == 529 else ()
    message = error(reply, expected, *overloaded)
    if expected == status:
        assert f"upstream says {status}" in message
    assert reply.header("x-litellm-response-cost") in (None, "0", "0.0")
    if status in (429, 503, 529):
        assert reply.header("retry-after") == "7"


def test_anthropic_errors_keep_their_class(weir):
    for status, name in ((400, "invalid_request_error"), (401, "authentication_error"), (404, "not_found_error"),
                         (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")):  # fmt: skip
        reply = weir.post("/v1/messages", {**MESSAGES, "model": f"claude-err-{status}"})
        assert f"upstream says {status}" in anthropic_error(reply, status, name)


# --- health ------------------------------------------------------------------------------------------------------


def test_health(weir, mock):
    for path in ("/health/liveliness", "/health/liveness"):
        reply = weir.get(path, key=None)
        assert (reply.status, reply.json) == (200, "I'm alive!")
        assert weir.call("OPTIONS", path, key=None).status == 200
    ready = weir.get("/health/readiness", key=None)
    assert ready.status == 200
    assert ready.json["status"] in ("healthy", "connected")
    assert ready.json["db"] == "Not connected"
    assert ready.json["litellm_version"]
    assert mock.requests == [], "liveness and readiness ask nobody"


def test_health_of_the_models(weir):
    reply = weir.get("/health")
    assert reply.status == 200
    body = reply.json
    assert body["healthy_count"] == len(body["healthy_endpoints"])
    assert body["unhealthy_count"] == len(body["unhealthy_endpoints"])
    assert body["healthy_count"] + body["unhealthy_count"] >= 1
    for secret in weir.secrets:
        assert secret.encode() not in reply.body


def test_head_and_keep_alive_of_health(weir):
    with Client(weir.port) as c:
        for _ in range(3):
            c.send(weir.request("GET", "/health/liveliness"))
            assert c.read_reply().json == "I'm alive!"


def test_no_cors_by_default(weir):
    """H-20"""
    reply = weir.post("/v1/chat/completions", CHAT, headers=[("Origin", "https://evil.example")])
    assert reply.header("access-control-allow-origin") is None


