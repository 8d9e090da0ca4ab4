"""What a data plane does with identities: who is let in, to which models, within which budgets and limits, in the words
of LiteLLM. The control plane is the test's own (support/played.py)."""

import contextlib
import json
import os
import signal
import threading
import time

import pytest

from support import http
from support import played as p
from support.mock_provider import Delay, chunk, head, json_reply
from support.policy import (access_group, budget, end_user, error, gateway, get, group_budget, key, limits, member, models,  # noqa: F401
                            organization, plane, post, project, sha, shared, tag, team, told, user)  # fmt: skip
from support.weir import MASTER_KEY

MODEL_TEXT = ("The requested model '{}' is not available for this API key, or the model name is invalid. "
              "Check the models available to you and try again.")  # fmt: skip


# --- who is let in


def test_a_key_is_known_from_when_it_is_published_until_it_is_gone(told, plane, shared):
    w = told()
    assert error(post(w, "sk-alpha-key-1")) == (401, "token_not_found_in_db", "key",
                                                "Authentication Error, Invalid API key provided.")  # fmt: skip
    plane.put(k=key("sk-alpha-key-1"))
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
    reply = post(w, "sk-alpha-key-1")
    assert reply.status == 200, reply.body
    assert post(w, MASTER_KEY).status == 200
    plane.put(k=None)
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
    assert post(w, "sk-alpha-key-1").status == 401


REFUSED = [
    # name, entities, request, (status, type, param, text)
    ("blocked", [key("sk-k", blocked=True)], {},
     (401, "auth_error", None, "Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")),
    ("expired", [key("sk-k-1234", expires=1700000000)], {"key": "sk-k-1234"},
     (401, "expired_key", "sk-...1234",
      "Authentication Error - Expired Key. Key Expiry time 2023-11-14 22:13:20+00:00 and current time ")),
    ("model of a key", [key("sk-k", models=["claude"])], {}, (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("model nobody serves", [key("sk-k", models=["claude"])], {"model": "nope"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("nope"))),
    ("fallback of a client", [key("sk-k", models=["gpt"])], {"fallbacks": ["claude"]},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("claude"))),
    ("alias of a key", [key("sk-k", models=["gpt"], aliases=[("gpt", "claude")])], {},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("model of a team", [key("sk-k", team="t1"), team("t1", models=["claude"])], {},
     (403, "team_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("model of a member", [key("sk-k", team="t1", user="u1"), team("t1"), user("u1"), member("t1", "u1", models=["claude"])], {},
     (403, "team_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("model of a user", [key("sk-k", user="u1"), user("u1", models=["claude"])], {},
     (403, "user_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("no default models", [key("sk-k", user="u1"), user("u1", models=["no-default-models"])], {},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("model of a project", [key("sk-k", team="t1", project="p1"), team("t1"), project("p1", "t1", models=["claude"])], {},
     (403, "project_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("team blocked", [key("sk-k", team="t1"), team("t1", blocked=True)], {},
     (401, "auth_error", None,
      "Authentication Error, Team=t1 is blocked. Update via `/team/unblock` if you're an admin.")),
    ("user deactivated", [key("sk-k", user="u1"), user("u1", blocked=True)], {},
     (401, "auth_error", None, "Authentication Error, User=u1 has been deactivated via SCIM. Keys owned by this user cannot be used.")),
    ("project blocked", [key("sk-k", team="t1", project="p1"), team("t1"), project("p1", "t1", blocked=True)], {},
     (401, "auth_error", None,
      "Authentication Error, Project=p1 is blocked. Update via `/project/update` if you're an admin.")),
    ("end user blocked", [key("sk-k"), end_user("eve", blocked=True)], {"user": "eve"},
     (400, "auth_error", None, "User blocked from making LLM API Calls. User=eve")),
    ("route of a key", [key("sk-k", routes=["/v1/embeddings", "/key/*"])], {},
     (403, "auth_error", None, "Virtual key is not allowed to call this route. Only allowed to call routes: "
      "['/v1/embeddings', '/key/*']. Tried to call route: /v1/chat/completions")),
    ("address of a key", [key("sk-k", ips=["10.1.2.3"])], {},
     (403, "auth_error", None, "Access forbidden: IP address 127.0.0.1 not allowed.")),
    ("budget of a key", [key("sk-k", alias="ci", lim=limits(budget=1.5), spend=1.5)], {},
     (422, "budget_exceeded", None,
      "Budget has been exceeded! Key=ci (sk-...sk-k) Current cost: 1.5, Max budget: 1.5")),
    ("budget of nothing", [key("sk-k", lim=limits(budget=0))], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Key=key (sk-...sk-k) Current cost: 0.0, Max budget: 0.0")),
    ("budget of a team", [key("sk-k", team="t1"), team("t1", lim=limits(budget=2), spend=2.25)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Team=t1 Current cost: 2.25, Max budget: 2.0")),
    ("budget of a user", [key("sk-k", user="u1"), user("u1", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "ExceededBudget: User=u1 over budget. Spend=3.0, Budget=2.0")),
    ("budget of a member",
     [key("sk-k", team="t1", user="u1"), team("t1"), user("u1"), member("t1", "u1", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! TeamMember=u1:t1 Current cost: 3.0, Max budget: 2.0")),
    ("budget of an organization", [key("sk-k", org="o1"), organization("o1", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Organization=o1 Current cost: 3.0, Max budget: 2.0")),
    ("budget of the team's organization",
     [key("sk-k", team="t1"), team("t1", org="o1"), organization("o1", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Organization=o1 Current cost: 3.0, Max budget: 2.0")),
    ("budget of a project",
     [key("sk-k", team="t1", project="p1"), team("t1"), project("p1", "t1", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Project=p1 Current cost: 3.0, Max budget: 2.0")),
    ("budget of a tag", [key("sk-k"), tag("ads", lim=limits(budget=2), spend=3)], {"metadata": {"tags": ["ads"]}},
     (422, "budget_exceeded", None, "Budget has been exceeded! Tag=ads Current cost: 3.0, Max budget: 2.0")),
    ("budget of the key's own tag", [key("sk-k", tags=["ads"]), tag("ads", lim=limits(budget=2), spend=3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Tag=ads Current cost: 3.0, Max budget: 2.0")),
    ("budget of the key's own tag among many of the client", [key("sk-k", tags=["ads"]), tag("ads", lim=limits(budget=2), spend=3)],
     {"metadata": {"tags": [f"t{i}" for i in range(20)]}},
     (422, "budget_exceeded", None, "Budget has been exceeded! Tag=ads Current cost: 3.0, Max budget: 2.0")),
    ("budget at the top of what can be counted", [key("sk-k", lim=limits(budget=9e9), spend=9.2e9), team("t1")], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Key=key (sk-...sk-k) Current cost: 9200000000.0, Max budget: 9000000000.0")),
    ("an alias of the key over the team's",
     [key("sk-k", team="t1", aliases=[("gpt", "claude")]), team("t1", models=["gpt"], aliases=[("ours", "gpt")])], {"model": "ours"},
     (403, "team_model_access_denied", "model", MODEL_TEXT.format("ours"))),
    ("the model of a path", [key("sk-k", models=["claude"])], {"path": "/openai/deployments/gpt/chat/completions"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("the model of a path of engines", [key("sk-k", models=["claude"])], {"path": "/engines/gpt/chat/completions"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("a deployment by its id", [key("sk-k", models=["claude"])], {"model": "id-of-gpt"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("id-of-gpt"))),
    ("counting for a model", [key("sk-k", models=["claude"])], {"path": "/utils/token_counter"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("another case", [key("sk-k", models=["gpt"])], {"model": "GPT"},
     (403, "key_model_access_denied", "model", MODEL_TEXT.format("GPT"))),
    ("budget of a tag in a header", [key("sk-k"), tag("ads", lim=limits(budget=2), spend=3)],
     {"headers": {"x-litellm-tags": "one, ads"}},
     (422, "budget_exceeded", None, "Budget has been exceeded! Tag=ads Current cost: 3.0, Max budget: 2.0")),
    ("budget of an end user", [key("sk-k"), end_user("eve", lim=limits(budget=2), spend=3)],
     {"headers": {"x-litellm-end-user-id": "eve"}, "user": "ann"},
     (422, "budget_exceeded", None, "ExceededBudget: End User=eve over budget. Spend=3.0, Budget=2.0")),
    ("an increase that is over", [key("sk-k", lim=limits(budget=1, extra=(9, 1700000000)), spend=2)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Key=key (sk-...sk-k) Current cost: 2.0, Max budget: 1.0")),
    ("a member of the body", [key("sk-k", metadata={"enforced_params": ["user", "metadata.job"]})], {"user": "ann"},
     (400, "bad_request_error", None,
      "BadRequest please pass param=metadata in request body. This is a required param")),
    ("a member of a member", [key("sk-k", metadata={"enforced_params": ["metadata.job"]})], {"metadata": {"x": 1}},
     (400, "bad_request_error", None,
      "BadRequest please pass param=[metadata][job] in request body. This is a required param")),
    ("window of a key", [key("sk-k", lim=limits(windows=[("1d", 5), ("1h", 0)]))], {},
     (422, "budget_exceeded", None, "ExceededBudget: Key over 1h budget. Spend=$0.0000, Limit=$0.00")),
    ("window of a team", [key("sk-k", team="t1"), team("t1", lim=limits(windows=[("7d", 0)]))], {},
     (422, "budget_exceeded", None, "ExceededBudget: Team=t1 over 7d budget. Spend=$0.0000, Limit=$0.00")),
    ("budget of a group of models", [key("sk-k", models=["beta"]), group_budget("beta", limits(budget=2), 3)], {},
     (422, "budget_exceeded", None, "Budget has been exceeded! Model access group=beta Current cost: 3.0, Max budget: 2.0")),
    ("budget of a model of a user", [key("sk-k", user="u1"), user("u1", lim=limits(models=[("g*", None, None, 0)]))], {},
     (422, "budget_exceeded", None, "LiteLLM User: u1, exceeded budget for model=gpt, budget_model=g*")),
    ("model of an end user", [key("sk-k"), end_user("eve", models=["claude"])], {"user": "eve"},
     (403, "customer_model_access_denied", "model", MODEL_TEXT.format("gpt"))),
    ("no trace id", [key("sk-k", team="t1"), team("t1", metadata={"require_trace_id": True})], {},
     (400, "bad_request_error", "trace_id", "Team 't1' requires a trace ID on every LLM, MCP and agent request. Send an "
      "x-litellm-trace-id header. LLM requests can also send a W3C traceparent header or set metadata.trace_id in the body.")),
    ("a tool", [key("sk-k", metadata={"allowed_tools": ["look"]})],
     {"tools": [{"type": "function", "function": {"name": "rm", "parameters": {}}}]},
     (403, "tool_access_denied", "tools", "Tool(s) ['rm'] are not in the allowed tools list for this key/team.")),
    ("guardrails", [key("sk-k", team="t1"), team("t1", metadata={"guardrails": {"modify_guardrails": False}})],
     {"metadata": {"disable_global_guardrails": True}},
     (403, "auth_error", None, '{"error": "Your team does not have permission to modify guardrails."}')),
    ("no requests", [key("sk-k", lim=limits(rpm=0))], {},
     (429, "rate_limit_error", None, f"Rate limit exceeded for api_key: {sha('sk-k').hex()}. Limit type: requests. "
      "Current limit: 0, Remaining: 0. Limit resets at: ")),
    ("no tokens", [key("sk-k", team="t1"), team("t1", lim=limits(tpm=3))], {"max_tokens": 100},
     (429, "rate_limit_error", None,
      "Rate limit exceeded for team: t1. Limit type: tokens. Current limit: 3, Remaining: 3. Limit resets at: ")),
    ("none at once", [key("sk-k", lim=limits(parallel=0))], {},
     (429, "rate_limit_error", None,
      f"Rate limit exceeded for api_key: {sha('sk-k').hex()}. Limit type: max_parallel_requests. Current limit: 0")),
]  # fmt: skip


@pytest.mark.parametrize("name,entities,request_,expected", REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(told, name, entities, request_, expected):
    w = told(*entities)
    request_ = dict(request_)
    reply = post(w, request_.pop("key", "sk-k"), headers=request_.pop("headers", None), **request_)
    status, kind, param, text = error(reply)
    assert (status, kind, param) == expected[:3], text
    assert text.startswith(expected[3]), text
    if status == 429:
        assert reply.header("retry-after") == "60"
        assert reply.header("rate_limit_type") in text
        assert reply.header("reset_at") in text


ALLOWED = [
    ("everything", [key("sk-k")], {}),
    ("a name", [key("sk-k", models=["gpt"])], {}),
    ("a pattern", [key("sk-k", models=["g*"])], {}),
    ("a provider", [key("sk-k", models=["openai/*"])], {"model": "openai/gpt-x"}),
    ("all of the proxy", [key("sk-k", models=["all-proxy-models"])], {}),
    ("what the team has", [key("sk-k", team="t1", models=["all-team-models"]), team("t1", models=["gpt"])], {}),
    ("a group of models", [key("sk-k", models=["beta"])], {}),
    ("an access group", [key("sk-k", models=["claude"], groups=["g1"]), access_group("g1", ["gpt"])], {}),
    ("an alias of the key", [key("sk-k", models=["gpt"], aliases=[("mine", "gpt")])], {"model": "mine"}),
    ("an alias of the team", [key("sk-k", team="t1", models=["gpt"]), team("t1", models=["gpt"], aliases=[("ours", "gpt")])],
     {"model": "ours"}),
    ("the user's list is not for team keys", [key("sk-k", team="t1", user="u1"), team("t1"), user("u1", models=["claude"])], {}),
    ("the user's budget neither",
     [key("sk-k", team="t1", user="u1"), team("t1"), user("u1", lim=limits(budget=1), spend=2)], {}),
    ("a group of routes", [key("sk-k", routes=["llm_api_routes"])], {}),
    ("its address", [key("sk-k", ips=["10.1.2.3", "127.0.0.1"])], {}),
    ("not yet expired", [key("sk-k", expires=4000000000)], {}),
    ("an increase", [key("sk-k", lim=limits(budget=1, extra=(9, 4000000000)), spend=2)], {}),
    ("a free model costs no budget", [key("sk-k", lim=limits(budget=1), spend=2)], {"model": "free"}),
    ("an end user nobody knows", [key("sk-k")], {"user": "somebody"}),
    ("a group of models by a list without its name", [key("sk-k"), group_budget("beta", limits(budget=2), 3)], {}),
    ("a trace id", [key("sk-k", team="t1"), team("t1", metadata={"require_trace_id": True})],
     {"headers": {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}),
    ("its tool", [key("sk-k", metadata={"allowed_tools": ["look"]})],
     {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]}),
    ("what must be there", [key("sk-k", metadata={"enforced_params": ["user", "metadata.job"]})],
     {"user": "ann", "metadata": {"job": "x"}}),
    ("a rotated key in its grace period",
     [key("sk-k", successor="sk-next", expires=4000000000, models=["claude"]), key("sk-next", models=["gpt"])], {}),
]  # fmt: skip


@pytest.mark.parametrize("name,entities,request_", ALLOWED, ids=[r[0] for r in ALLOWED])
def test_allowed(told, name, entities, request_):
    w = told(*entities)
    reply = post(w, "sk-k", **request_)
    assert reply.status == 200, reply.body


def test_a_rotated_key_ends_with_its_grace_period(told):
    w = told(key("sk-k", successor="sk-next", expires=time.time() + 1), key("sk-next"))
    assert post(w, "sk-k").status == 200
    time.sleep(1.2)
    assert post(w, "sk-k").status == 401
    assert post(w, "sk-next").status == 200


def test_lists_of_models_hold_what_the_key_may_use(told):
    w = told(key("sk-k", models=["gpt"]), key("sk-all"))

    def names(k, path):
        data = json.loads(get(w, k, path).body)["data"]
        return {m.get("id") or m.get("model_name") or m.get("model_group") for m in data}

    for path in ("/v1/models", "/model/info", "/model_group/info"):
        assert names("sk-k", path) == {"gpt"}, path
        assert {"gpt", "claude", "free"} <= names("sk-all", path), path
    assert [get(w, "sk-k", f"/v1/models/{m}").status for m in ("gpt", "claude")] == [200, 404]
    assert get(w, "sk-nobody", "/v1/models").status == 401


# --- money and counts


def test_spend_of_a_request_counts_at_once_and_shows_in_the_reply(told, mock):
    w = told(key("sk-spend", team="t1", lim=limits(budget=0.031), spend=0.01), team("t1", spend=1), tag("ads"))
    mock.on("gpt-up", json_reply({"id": "c1", "object": "chat.completion", "model": "gpt-up", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}))  # fmt: skip
    reply = post(w, "sk-spend")
    assert reply.status == 200
    assert reply.header("x-litellm-key-spend") == "0.03"
    assert reply.header("x-litellm-key-max-budget") == "0.031"
    assert post(w, "sk-spend").status == 200  # still below
    status, kind, _, text = error(post(w, "sk-spend"))
    assert (status, kind) == (422, "budget_exceeded")
    assert "Current cost: 0.05, Max budget: 0.031" in text


def test_a_budget_per_model_of_a_key(told, mock):
    w = told(key("sk-model", alias="ci", lim=limits(models=[("gpt", None, None, 0.01)])))
    assert post(w, "sk-model").status == 200
    status, kind, _, text = error(post(w, "sk-model"))
    assert (status, kind) == (422, "budget_exceeded")
    assert text == f"LiteLLM Virtual Key: {sha('sk-model').hex()}, key_alias: ci, exceeded budget for model=gpt"
    assert post(w, "sk-model", model="claude").status == 200


def test_windows_of_a_budget_fill_and_begin_anew(told):
    """Each by itself; the shorter one is over first."""
    w = told(key("sk-window", lim=limits(windows=[("1d", 1), ("3s", 0.01, time.time() + 3)])))
    assert post(w, "sk-window").status == 200
    status, kind, _, text = error(post(w, "sk-window"))
    assert (status, kind) == (422, "budget_exceeded")
    assert text.startswith("ExceededBudget: Key over 3s budget. Spend=$0.0") and text.endswith(", Limit=$0.01")
    w.wait(lambda: post(w, "sk-window").status == 200, 6, "begun anew")


def test_a_key_with_too_many_windows_is_left_out(told):
    w = told(key("sk-many", lim=limits(windows=[(f"{n}d", 5) for n in range(1, 10)])), key("sk-eight", lim=limits(
        windows=[(f"{n}d", 5) for n in range(1, 9)])))  # fmt: skip
    assert post(w, "sk-many").status == 401
    assert post(w, "sk-eight").status == 200


def test_a_key_over_its_budget_goes_on_slower(mock, plane, start):
    plane.put(slow=key("sk-slow", lim=limits(budget=1, rpm=4), spend=2, metadata={"throttle_on_budget_exceeded": True}),
              none=key("sk-none", lim=limits(budget=1), spend=2, metadata={"throttle_on_budget_exceeded": True}))  # fmt: skip
    w = gateway(start, mock, plane, litellm={"budget_exceeded_throttle_percentage": 0.5})
    replies = [post(w, "sk-slow") for _ in range(3)]
    assert [r.status for r in replies] == [200, 200, 429]
    assert replies[0].header("x-ratelimit-api_key-limit-requests") == "2"
    assert error(post(w, "sk-none"))[0] == 422  # nothing to slow down
    plane.put(slow=None, none=None)


def test_end_users_without_a_budget_have_the_default_one(mock, plane, start):
    plane.put(usual=budget("usual", limits(budget=0.01, rpm=2)), more=budget("more", limits(budget=100)), a=key("sk-a"),
              b=key("sk-b", metadata={"end_user_budget_id": "more"}), own=end_user("own", lim=limits(budget=100)))  # fmt: skip
    w = gateway(start, mock, plane, litellm={"max_end_user_budget_id": "usual"})
    for k, name in (("sk-a", "ann"), (MASTER_KEY, "bob")):
        assert post(w, k, user=name).status == 200
        assert error(post(w, k, user=name))[::3][1].startswith(f"ExceededBudget: End User={name} over budget. Spend=")
        assert post(w, "sk-b", user=name).status == 200  # its key's default says more
        assert post(w, k, user="own").status == 200
    assert [post(w, "sk-a", user="fast", model="free").status for _ in range(3)] == [200, 200, 429]
    plane.put(**dict.fromkeys(["usual", "more", "a", "b", "own"]))


def test_requests_a_minute_hold_over_all_workers_and_connections(told):
    w = told(key("sk-rpm", lim=limits(rpm=20)))
    statuses = []

    def ask():
        for _ in range(10):
            statuses.append(post(w, "sk-rpm").status)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(200) == 20, statuses
    assert statuses.count(429) == 40


def test_limits_show_in_replies(told):
    w = told(key("sk-shown", lim=limits(rpm=9, tpm=100000, models=[("gpt", 5, None, None)])))
    reply = post(w, "sk-shown")
    assert reply.status == 200
    assert reply.header("x-litellm-key-rpm-limit") == "9"
    assert reply.header("x-litellm-key-tpm-limit") == "100000"
    assert reply.header("x-ratelimit-api_key-limit-requests") == "9"
    assert reply.header("x-ratelimit-api_key-remaining-requests") == "8"
    assert reply.header("x-ratelimit-api_key-limit-tokens") == "100000"
    assert int(reply.header("x-ratelimit-api_key-remaining-tokens")) < 100000
    assert reply.header("x-ratelimit-model_per_key-remaining-requests") == "4"
    assert reply.header("x-litellm-key-remaining-requests-gpt") == "4"


LIMITED = [
    ("user", [key("sk-k", user="u1"), user("u1", lim=limits(rpm=1))], {}, "user: u1"),
    ("team", [key("sk-k", team="t1"), team("t1", lim=limits(rpm=1))], {}, "team: t1"),
    ("member", [key("sk-k", team="t1", user="u1"), team("t1"), user("u1"), member("t1", "u1", lim=limits(rpm=1))], {},
     "team_member: t1:u1"),
    ("organization", [key("sk-k", org="o1"), organization("o1", lim=limits(rpm=1))], {}, "organization: o1"),
    ("end user", [key("sk-k"), end_user("eve", lim=limits(rpm=1))], {"user": "eve"}, "end_user: eve"),
    ("tag", [key("sk-k"), tag("ads", lim=limits(rpm=1))], {"metadata": {"tags": ["ads"]}}, "tag: ads"),
    ("model of a key", [key("sk-m1", lim=limits(models=[("gpt", 1, None, None)]))], {"key": "sk-m1"},
     f"model_per_key: {sha('sk-m1').hex()}:gpt"),
    ("model of a team", [key("sk-m2", team="t1"), team("t1", lim=limits(models=[("gpt", 1, None, None)]))], {"key": "sk-m2"},
     "model_per_"),
    ("model of a project", [key("sk-k", team="t1", project="p1"), team("t1"),
                            project("p1", "t1", lim=limits(models=[("gpt", 1, None, None)]))], {}, "model_per_project: p1:gpt"),
    ("tag of a key", [key("sk-k", metadata={"tag_rpm_limit": {"ads": 1}})], {"metadata": {"tags": ["ads"]}},
     f"tag_per_key: {sha('sk-k').hex()}:ads"),
]  # fmt: skip


@pytest.mark.parametrize("name,entities,request_,text", LIMITED, ids=[r[0] for r in LIMITED])
def test_the_second_request_is_one_too_many(told, name, entities, request_, text):
    w = told(*entities)
    request_ = dict(request_)
    text_of = request_.pop("key", "sk-k")
    assert post(w, text_of, **request_).status == 200
    status, _, _, message = error(post(w, text_of, **request_))
    assert status == 429
    assert message.startswith(f"Rate limit exceeded for {text}"), message


def test_tokens_are_settled_by_what_was_used(told, mock):
    """Reserved 4000, used 20: the next one fits; a failure counts nothing."""
    w = told(key("sk-tokens", lim=limits(tpm=4100)))
    mock.on("gpt-up", json_reply({"error": {"message": "no"}}, status=400),
            json_reply({"id": "c1", "object": "chat.completion", "model": "gpt-up", "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}))  # fmt: skip
    assert post(w, "sk-tokens", max_tokens=4000).status == 400
    for left in (4100, 4080, 4060):
        reply = post(w, "sk-tokens", max_tokens=4000)
        assert reply.status == 200, reply.body
        assert 0 <= left - 4000 - int(reply.header("x-ratelimit-api_key-remaining-tokens")) < 60
    assert post(w, "sk-tokens", max_tokens=4090).status == 429


def slow(release):
    return [head(200, [("Content-Type", "text/event-stream")], chunked=True),
            chunk(b'data: {"id":"c","object":"chat.completion.chunk","model":"gpt-up","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'),
            Delay(release), chunk(b"data: [DONE]\n\n"), b"0\r\n\r\n"]  # fmt: skip


def hold(w, key_text, count, **more):
    """`count` streams that run: their sockets."""
    import socket

    open_ = []
    body = json.dumps({"model": "gpt", "stream": True, "messages": [{"role": "user", "content": "x"}], **more}).encode()
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", w.port))
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key_text.encode()
                  + b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
        s.settimeout(10)
        got = b""
        while b"\r\n\r\n" not in got:
            got += s.recv(65536)
        open_.append((s, int(got.split()[1])))
    return open_


def test_requests_at_once_are_given_back_however_they_end(told, mock):
    w = told(key("sk-k", lim=limits(parallel=3)))
    mock.on("gpt-up", slow(60))
    running = hold(w, "sk-k", 3)
    assert [s for _, s in running] == [200] * 3
    assert error(post(w, "sk-k"))[0] == 429
    for s, _ in running:  # the clients go
        s.close()
    mock.on("gpt-up", json_reply({"error": {"message": "no"}}, status=400))
    w.wait(lambda: post(w, "sk-k").status == 400, 5, "given back")
    mock.on("gpt-up", slow(60))
    running = hold(w, "sk-k", 4)
    assert sorted(s for _, s in running) == [200] * 3 + [429]
    for s, _ in running:
        s.close()


CUT = [
    ("key", {"e0": key("sk-cut", team="t1", user="u1", project="p1", blocked=True)}, {}),
    ("key gone", {"e0": None}, {}),
    ("team", {"e1": team("t1", blocked=True)}, {}),
    ("user", {"e2": user("u1", blocked=True)}, {}),
    ("project", {"e3": project("p1", "t1", blocked=True)}, {}),
    ("end user", {"e4": end_user("eve", blocked=True)}, {"user": "eve"}),
]  # fmt: skip


@pytest.mark.parametrize("name,then,more", CUT, ids=[r[0] for r in CUT])
def test_a_stream_of_whoever_is_blocked_is_cut(told, mock, plane, name, then, more):
    w = told(key("sk-cut", team="t1", user="u1", project="p1"), team("t1"), user("u1"), project("p1", "t1"), end_user("eve"),
             key("sk-stay"))  # fmt: skip
    mock.on("gpt-up", slow(3))
    ((cut, _),) = hold(w, "sk-cut", 1, **more)
    ((stay, _),) = hold(w, "sk-stay", 1)
    plane.put(**then)
    begin, got = time.monotonic(), b"x"
    while got:
        got = cut.recv(65536)
    assert time.monotonic() - begin < 2
    got = b""
    while b"[DONE]" not in got:
        more = stay.recv(65536)
        assert more
        got += more
    cut.close()
    stay.close()
    plane.put(**{name: key("sk-cut") for name, entity in then.items() if entity is None})


def test_a_killed_worker_gives_back_what_ran_and_its_cost_is_charged(mock, plane, start):
    plane.put(dead=key("sk-dead", lim=limits(parallel=4)))
    w = gateway(start, mock, plane, workers=2)
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
    mock.on("gpt-up", slow(60))
    running = hold(w, "sk-dead", 4)
    assert [s for _, s in running] == [200] * 4
    assert post(w, "sk-dead").status == 429
    for pid in w.workers():
        os.kill(pid, signal.SIGKILL)
    for s, _ in running:
        s.close()
    w.wait(w.is_ready, 20, "new workers")
    mock.on("gpt-up", slow(60))
    w.wait(lambda: post(w, "sk-dead", model="claude").status == 200, 10, "slots given back")
    running = hold(w, "sk-dead", 5)
    assert sorted(s for _, s in running) == [200] * 4 + [429]
    for s, _ in running:
        s.close()
    mock.reset()
    w.wait(lambda: post(w, "sk-dead").status == 200, 5, "given back")
    spend = float(post(w, "sk-dead").header("x-litellm-key-spend"))
    assert spend > 0
    plane.put(dead=None)


def test_parallel_slots_come_back_after_retries_and_clients_that_left(told, mock):
    w = told(key("sk-retry", lim=limits(parallel=1)))
    fail = json_reply({"error": {"message": "no"}}, status=500)
    mock.on("gpt-up", fail)
    for _ in range(3):
        assert post(w, "sk-retry", num_retries=1).status == 500
    for _ in range(3):  # gone while it waits for the next attempt
        with pytest.raises((TimeoutError, OSError)):
            http.call(w.port, "POST", "/v1/chat/completions", "sk-retry", json.dumps(
                {"model": "gpt", "num_retries": 5, "messages": [{"role": "user", "content": "x"}]}).encode(),
                [("content-type", "application/json")], timeout=0.2)  # fmt: skip
        w.wait(lambda: post(w, "sk-retry", model="claude").status == 200, 5, "given back")
    for _ in range(3):  # refused before an attempt
        assert post(w, "sk-retry", model="nobody").status == 400
    assert post(w, "sk-retry", model="claude").status == 200


# --- settings


def test_settings_that_hold_for_everybody(mock, plane, start):
    w = gateway(start, mock, plane, {"enforce_user_param": True, "reject_clientside_metadata_tags": True,
                                     "enforced_params": ["temperature"], "admin_only_routes": ["/model/info"]})  # fmt: skip
    plane.put(s=key("sk-s"))
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
    assert error(post(w, MASTER_KEY))[::3] == (
        401, "Authentication Error, 'user' param not passed in. 'enforce_user_param'=True")  # fmt: skip
    assert error(post(w, "sk-s", user="a", metadata={"tags": ["x"]}))[:3] == (400, "bad_request_error", "metadata.tags")
    assert error(post(w, "sk-s", user="a"))[::3] == (
        400, "BadRequest please pass param=temperature in request body. This is a required param")  # fmt: skip
    assert post(w, "sk-s", user="a", temperature=0).status == 200
    assert error(get(w, "sk-s", "/model/info"))[::3] == (
        403, "user not allowed to access this route. Route=/model/info is an admin only route")  # fmt: skip
    assert get(w, MASTER_KEY, "/model/info").status == 200
    plane.put(s=None)


def test_addresses_routes_and_requests_at_once_of_the_whole_pod(mock, plane, start):
    w = gateway(start, mock, plane, {"allowed_routes": ["/v1/chat/completions"], "global_max_parallel_requests": 1,
                                     "allowed_ips": ["127.0.0.1", "9.9.9.9"], "use_x_forwarded_for": True})  # fmt: skip
    assert post(w, MASTER_KEY).status == 200
    assert error(post(w, MASTER_KEY, headers={"x-forwarded-for": "8.8.8.8, 9.9.9.9"}))[::3] == (
        403, "Access forbidden: IP address 8.8.8.8 not allowed.")  # fmt: skip
    assert post(w, MASTER_KEY, headers={"x-forwarded-for": "9.9.9.9"}).status == 200
    assert error(post(w, MASTER_KEY, path="/v1/responses"))[::3] == (
        403, "Access forbidden: Route /v1/responses not allowed")  # fmt: skip
    mock.on("gpt-up", slow(60))
    ((s, status),) = hold(w, MASTER_KEY, 1)
    assert status == 200
    assert error(post(w, MASTER_KEY))[::3][1].startswith(
        "Rate limit exceeded for global: pod. Limit type: max_parallel_requests. Current limit: 1")  # fmt: skip
    s.close()
    mock.reset()
    w.wait(lambda: post(w, MASTER_KEY).status == 200, 5, "given back")


def test_budgets_of_the_pod_and_of_end_users_without_one(mock, plane, start):
    w = gateway(start, mock, plane, litellm={"max_end_user_budget": 0.001, "max_budget": 1000})
    assert post(w, MASTER_KEY, user="zoe").status == 200
    status, kind, _, text = error(post(w, MASTER_KEY, user="zoe"))
    assert (status, kind) == (422, "budget_exceeded")
    assert text.startswith("ExceededBudget: End User=zoe over budget. Spend=")
    assert post(w, MASTER_KEY, user="yan").status == 200
    w.stop()
    w = gateway(start, mock, plane, litellm={"max_budget": 0.001})
    assert post(w, MASTER_KEY).status == 200
    assert error(post(w, MASTER_KEY))[3].startswith("Budget has been exceeded! Current cost: ")


def test_an_unknown_key_is_no_ones_fault_while_nobody_can_say(mock, start):
    path = f"/tmp/weir-policy-lost-{os.getpid()}"
    lost = p.Plane(path)
    lost.put(k=key("sk-known"))
    w = gateway(start, mock, lost)
    assert post(w, "sk-known").status == 200
    assert post(w, "sk-unknown").status == 401
    lost.close()
    w.wait(lambda: post(w, "sk-unknown").status == 503, 20, "nobody can say")
    reply = post(w, "sk-unknown")
    assert error(reply)[::3] == (503, "Service Unavailable, the authentication database is temporarily unreachable. "
                                 "Please retry shortly.")  # fmt: skip
    assert int(reply.header("retry-after")) > 0
    assert post(w, "sk-known").status == 200
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def test_who_called_stands_in_the_record(told, mock):
    w = told(key("sk-k", alias="ci", team="t1", user="u1", org="o1", project="p1", tags=["own"]), team("t1"), user("u1"),
             organization("o1"), project("p1", "t1"))  # fmt: skip
    reply = post(w, "sk-k", user="ann", metadata={"tags": ["ads", "q4"]})
    ident = reply.header("x-litellm-call-id")
    w.wait(lambda: ident in w.access_log.read_text(), 5, "access line")
    line = next(json.loads(t) for t in w.access_log.read_text().splitlines() if ident in t)
    assert (line["key_alias"], line["team"], line["user"]) == ("ci", "t1", "u1")
