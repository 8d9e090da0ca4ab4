"""The Anthropic Python SDK, unmodified, through the gateway to an Anthropic upstream."""

import anthropic
import httpx
import pytest

from support import dialects, standard
from support.dialects import TEXT, THOUGHT
from support.mock_provider import STALL
from support.pairs import DIRECT

SAY = [{"role": "user", "content": "Say something."}]
ASK = dict(model="claude-pub", max_tokens=2048, messages=SAY)
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
def client(endpoint):
    with anthropic.Anthropic(base_url=endpoint.url, api_key=endpoint.key, max_retries=0, timeout=20) as c:
        yield c


def upstream(public):
    return public if DIRECT else public.replace("-pub", "-up")


def test_messages_plain(client, mock):
    done = client.messages.create(**ASK)
    assert done.model == "claude-pub"
    assert done.content[0].text == TEXT
    assert done.stop_reason == "end_turn"
    u = done.usage
    assert (u.input_tokens, u.cache_read_input_tokens, u.cache_creation_input_tokens, u.output_tokens) == (
        9, 120, 48, 31,
    )  # fmt: skip
    assert done.id in mock.ledger


def test_version_and_beta_reach_the_upstream_and_credentials_do_not(client, mock):
    client.messages.create(**ASK, extra_headers={"anthropic-beta": "context-1m-2025-08-07,files-api-2025-04-14"})
    headers = mock.request.headers
    assert headers["anthropic-version"] == "2026-10-21"
    assert headers["anthropic-beta"] == "context-1m-2025-08-07,files-api-2025-04-14"
    if not DIRECT:
        assert headers["x-api-key"] == standard.ANTHROPIC_KEY
        assert "authorization" not in headers
        assert not [n for n in headers if n.startswith("x-stainless")]


def test_messages_stream(client):
    with client.messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == TEXT
        done = stream.get_final_message()
    assert done.model == "claude-pub"
    assert done.usage.output_tokens == 31
    events = list(client.messages.create(**ASK, stream=True))
    assert events[0].message.model == "claude-pub"
    assert [e.type for e in events if e.type != "ping"] == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * 5,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_tool_loop(client, streamed):
    messages = list(SAY)
    for turn in range(2):
        ask = {**ASK, "messages": messages, "tools": [TOOL]}
        if streamed:
            with client.messages.stream(**ask) as stream:
                done = stream.get_final_message()
        else:
            done = client.messages.create(**ask)
        if turn == 0:
            assert done.stop_reason == "tool_use"
            call = done.content[-1]
            assert (call.name, call.input) == ("get_weather", {"city": "Zürich"})
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 °C"}
            messages += [{"role": "assistant", "content": done.content}, {"role": "user", "content": [result]}]
    assert done.content[0].text == "The tool said 12 °C"


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking(client, streamed):
    ask = {**ASK, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    if streamed:
        with client.messages.stream(**ask) as stream:
            done = stream.get_final_message()
    else:
        done = client.messages.create(**ask)
    assert (done.content[0].thinking, done.content[0].signature) == (THOUGHT, "c2lnbmF0dXJl")
    assert done.content[1].text == TEXT


@pytest.mark.parametrize(
    "status,kind,name",
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_sdks_classes(client, status, kind, name, stream):
    with pytest.raises(kind) as e:
        client.messages.create(**{**ASK, "model": f"claude-err-{status}" if not DIRECT else f"err-{status}"}, stream=stream)
    assert e.value.status_code == status
    assert e.value.body["type"] == "error"
    assert e.value.body["error"]["type"] == name
    assert f"upstream says {status}" in e.value.body["error"]["message"]
    if status in (429, 529):
        assert e.value.response.headers["retry-after"] == "7"


def test_error_event_in_mid_stream_raises(client):
    text = ""
    with pytest.raises(anthropic.APIStatusError) as e:
        for event in client.messages.create(**{**ASK, "model": "claude-fail-pub"}, stream=True):
            if event.type == "content_block_delta":
                text += event.delta.text
    assert text == TEXT
    assert e.value.body["error"]["type"] == "overloaded_error"


def test_abort_in_mid_stream_ends_the_upstream_connection(client, mock):
    mock.on(upstream("claude-pub"), lambda r: dialects.messages(r)[:5] + [STALL])
    stream = client.messages.create(**ASK, stream=True)
    for _ in range(3):
        next(stream)
    conn = mock.request.conn
    assert conn.lost_at is None
    stream.close()
    mock.wait(lambda: conn.eof_at or conn.lost_at, 5, "upstream closed")


def test_count_tokens(client, mock):
    assert client.messages.count_tokens(model="claude-pub", messages=SAY).input_tokens == 14
    assert mock.request.path == "/v1/messages/count_tokens"
    assert mock.request.json == {"messages": SAY, "model": upstream("claude-pub")}


def test_beta_namespace(client, mock):
    """The SDK appends ?beta=true, which must not keep the route from being found."""
    done = client.beta.messages.create(**ASK)
    assert done.content[0].text == TEXT
    assert mock.request.path == "/v1/messages"


def test_x_api_key_and_bearer(weir, mock):
    """F.36: the SDK of today sends Bearer, older ones x-api-key."""
    for auth in ({"x-api-key": weir.key}, {"authorization": f"Bearer {weir.key}"}):
        r = httpx.post(
            weir.url + "/v1/messages", json={**ASK}, headers={"anthropic-version": "2023-06-01", **auth}
        )
        assert r.status_code == 200, r.text
    with anthropic.Anthropic(base_url=weir.url, auth_token=weir.key, max_retries=0) as client:
        assert client.messages.create(**ASK).content[0].text == TEXT


def test_bad_key_is_an_authentication_error(weir):
    client = anthropic.Anthropic(base_url=weir.url, api_key="not-a-key", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        client.messages.create(**ASK)
