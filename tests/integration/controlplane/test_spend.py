"""Both planes and a database: what is spent through one pod counts in another, exactly, and a reset is felt everywhere."""

import contextlib
import json
import time

import pytest
from support.mock_provider import Mock, json_reply
from support.weir import Weir

CENT = 0.001  # of a token: a request of ten and ten costs two cents


@pytest.fixture(scope="module")
def upstream():
    mock = Mock()
    mock.on("gpt-up", json_reply({"id": "c1", "object": "chat.completion", "model": "gpt-up", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}))  # fmt: skip
    yield mock
    mock.stop()


@pytest.fixture
def pods(start, database, upstream, request):
    """A control plane and two data planes of it."""
    model = {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-up", "api_base": upstream.url, "api_key": "sk-up-1"},
             "model_info": {"input_cost_per_token": CENT, "output_cost_per_token": CENT}}  # fmt: skip
    cp = start(database, {"model_list": [model]})
    with contextlib.ExitStack() as stack:
        two = [Weir({"model_list": [model], "weir": {"control_plane": [cp.plane]}}, workers=2) for _ in range(2)]
        for pod in two:
            stack.callback(lambda pod=pod: pod.kill() if getattr(request.node, "call_failed", False) else pod.stop())
        yield cp, *two


def ask(pod, key):
    return pod.post("/v1/chat/completions", {"model": "gpt", "messages": [{"role": "user", "content": "hello"}]}, key=key)


def shown(reply):
    assert reply.status == 200, reply.body
    return round(float(reply.header("x-litellm-key-spend")), 3)


def test_a_budget_used_up_through_one_pod_refuses_in_the_other(pods, postgres):
    cp, a, b = pods
    made = cp.post("/key/generate", {"max_budget": 0.1, "budget_duration": "1d"}).json
    key, token = made["key"], made["token"]
    assert shown(ask(b, key)) == 0.02
    for _ in range(5):
        assert ask(a, key).status == 200
    began, asked = time.monotonic(), 1
    while (status := ask(b, key).status) == 200:
        asked += 1
        time.sleep(0.45)
    assert status == 422 and time.monotonic() - began < 2
    assert asked < 5  # by itself it would have let five through
    # the period ends: a job that did not run is not waited for, and its column follows
    postgres.sql(cp.database, """UPDATE "LiteLLM_VerificationToken" SET budget_reset_at = now() AT TIME ZONE 'UTC'
        + interval '1 second' WHERE token = %s""", token)
    for pod in (a, b):
        pod.wait(lambda pod=pod: ask(pod, key).status == 200, 5, "reset")
    row = f"""SELECT spend < 0.09, budget_reset_at > now() AT TIME ZONE 'UTC' FROM "LiteLLM_VerificationToken" WHERE token = '{token}'"""
    cp.wait(lambda: postgres.sql(cp.database, row) == [("t", "t")], 5, "the job")


def test_all_pods_come_to_the_same_sum(pods, postgres):
    cp, a, b = pods
    made = cp.post("/key/generate", {"team_id": None}).json
    key, token = made["key"], made["token"]
    n = 0
    for i in range(40):
        assert ask((a, b)[i % 2], key).status == 200
        n += 1
    row = f"""SELECT round(spend * 1e9)::bigint FROM "LiteLLM_VerificationToken" WHERE token = '{token}'"""
    cp.wait(lambda: postgres.sql(cp.database, row) == [(str(n * 20_000_000),)], 10, f"{n} ingested")
    time.sleep(1.5)  # told
    assert shown(ask(a, key)) == 0.82
    assert shown(ask(b, key)) in (0.82, 0.84)  # the other's last one may be known already
    cp.wait(lambda: json.loads(cp.get(f"/key/info?key={token}").body)["info"]["spend"] == 0.84, 5, "in the key")
    b.wait(lambda: shown(ask(b, key)) >= 0.86, 5, "told")
    time.sleep(1.5)
    last = round(shown(ask(a, key)), 3)
    time.sleep(1.5)
    assert shown(ask(b, key)) == round(last + 0.02, 3)
