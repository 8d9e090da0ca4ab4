"""The OpenAI Python SDK, unmodified, through the gateway to an OpenAI upstream."""

import base64
import struct
import threading

import openai
import pytest
from pydantic import BaseModel

from support import dialects
from support.dialects import EMBEDDING, TEXT, THOUGHT
from support.mock_provider import STALL, Delay, chunk
from support.pairs import DIRECT

SAY = [{"role": "user", "content": "Say something."}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def client(endpoint):
    with openai.OpenAI(base_url=endpoint.url + "/v1", api_key=endpoint.key, max_retries=0, timeout=20) as c:
        yield c


def test_chat_plain(client, mock):
    done = client.chat.completions.create(model="gpt-pub", messages=SAY)
    entry = mock.ledger[done.id]
    assert done.model == "gpt-pub"
    assert done.choices[0].message.content == TEXT
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.prompt_tokens == entry.input + entry.cache_read
    assert done.usage.completion_tokens == entry.output + entry.reasoning
    assert done.usage.prompt_tokens_details.cached_tokens == entry.cache_read


def test_chat_stream_shows_no_usage_unasked(client, mock):
    chunks = list(client.chat.completions.create(model="gpt-pub", messages=SAY, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert {c.model for c in chunks} == {"gpt-pub"}
    assert len({c.id for c in chunks}) == 1
    assert all(c.choices for c in chunks)
    assert all(c.usage is None for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_chat_stream_shows_usage_when_asked(client, mock):
    chunks = list(
        client.chat.completions.create(
            model="gpt-pub", messages=SAY, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 34
    assert all(c.usage is None for c in chunks[:-1])


def test_chat_stream_of_two_choices(client):
    texts = {0: "", 1: ""}
    for c in client.chat.completions.create(model="gpt-pub", messages=SAY, stream=True, n=2):
        texts[c.choices[0].index] += c.choices[0].delta.content or ""
    assert texts == {0: TEXT, 1: TEXT}


def test_chat_stream_helper(client):
    with client.chat.completions.stream(model="gpt-pub", messages=SAY) as stream:
        kinds = {e.type for e in stream}
        done = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert done.choices[0].message.content == TEXT
    assert done.model == "gpt-pub"


@pytest.mark.parametrize("streamed", [False, True])
def test_chat_tool_loop(client, streamed):
    messages = list(SAY)
    for turn in range(2):
        if streamed:
            with client.chat.completions.stream(model="gpt-pub", messages=messages, tools=[TOOL]) as stream:
                message = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(model="gpt-pub", messages=messages, tools=[TOOL]).choices[0].message
        if turn == 0:
            (call,) = message.tool_calls
            assert call.id == "call_weather1"
            assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Zürich"}')
            messages += [message, {"role": "tool", "tool_call_id": call.id, "content": "12 °C"}]
    assert message.content == "The tool said 12 °C"


def test_chat_image(client):
    url = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 8).decode()
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    done = client.chat.completions.create(model="gpt-pub", messages=[{"role": "user", "content": content}])
    assert done.choices[0].message.content == f"I see 1 image(s) of {len(url)} characters"


def test_chat_parse_structured_output(client):
    class Person(BaseModel):
        name: str
        age: int

    done = client.chat.completions.parse(model="gpt-pub", messages=SAY, response_format=Person)
    assert done.choices[0].message.parsed == Person(name="Ada", age=36)


def test_chat_reasoning_content(client):
    done = client.chat.completions.create(model="reason-pub", messages=SAY)
    assert done.choices[0].message.reasoning_content == THOUGHT
    deltas = [c.choices[0].delta for c in client.chat.completions.create(model="reason-pub", messages=SAY, stream=True)]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas).strip() == THOUGHT


@pytest.mark.parametrize(
    "status,kind",
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_chat_errors_are_the_sdks_classes(client, status, kind, stream):
    with pytest.raises(kind) as e:
        client.chat.completions.create(model=f"err-{status}", messages=SAY, stream=stream)
    assert e.value.status_code == status
    assert f"upstream says {status}" in e.value.message
    if status in (429, 503):
        assert e.value.response.headers["retry-after"] == "7"


def test_bad_key_is_an_authentication_error(weir):
    client = openai.OpenAI(base_url=weir.url + "/v1", api_key="not-a-key", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        client.chat.completions.create(model="gpt-pub", messages=SAY)


def test_sdk_retries_find_the_second_answer(endpoint, mock):
    client = openai.OpenAI(base_url=endpoint.url + "/v1", api_key=endpoint.key, max_retries=1)
    name = mock_name("gpt-pub", endpoint)
    mock.on(name, lambda r: dialects.openai_error(500, headers=(("retry-after-ms", "1"),)), dialects.chat)
    assert client.chat.completions.create(model="gpt-pub", messages=SAY).choices[0].message.content == TEXT
    assert len(mock.requests) == 2


def mock_name(public, endpoint):
    """The name under which the mock sees a public model."""
    return public if DIRECT else public.replace("-pub", "-up")


def test_abort_in_mid_stream_ends_the_upstream_connection(client, mock, endpoint):
    mock.on(mock_name("gpt-pub", endpoint), lambda r: dialects.chat(r)[:4] + [STALL])
    stream = client.chat.completions.create(model="gpt-pub", messages=SAY, stream=True)
    for _ in range(3):
        next(stream)
    conn = mock.request.conn
    assert conn.lost_at is None
    stream.close()
    mock.wait(lambda: conn.eof_at or conn.lost_at, 5, "upstream closed")


def test_stream_error_after_some_text_raises(client, mock, endpoint):
    """A.10: the SDK raises as soon as an event has an error."""
    error = b'data: {"error":{"message":"it broke","type":"server_error","param":null,"code":null}}\n\n'

    def script(request):
        steps = dialects.chat(request)
        return [*steps[:4], chunk(error), steps[-1]]

    mock.on(mock_name("gpt-pub", endpoint), script)
    with pytest.raises(openai.APIError, match="it broke"):
        list(client.chat.completions.create(model="gpt-pub", messages=SAY, stream=True))


def test_completions(client, mock):
    done = client.completions.create(model="instruct-pub", prompt="Say")
    assert (done.model, done.choices[0].text, done.usage.total_tokens) == ("instruct-pub", TEXT, 9)
    chunks = list(client.completions.create(model="instruct-pub", prompt="Say", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == TEXT
    assert {c.model for c in chunks} == {"instruct-pub"}


def test_embeddings_default_to_base64(client, mock):
    """The SDK asks for base64 silently and decodes it."""
    done = client.embeddings.create(model="emb-pub", input=["a", "b"])
    assert mock.request.json["encoding_format"] == "base64"
    assert done.model == "emb-pub"
    assert [d.embedding for d in done.data] == [list(struct.unpack("<4f", struct.pack("<4f", *EMBEDDING)))] * 2
    done = client.embeddings.create(model="emb-pub", input=[1, 2, 3], encoding_format="float")
    assert done.data[0].embedding == EMBEDDING


def test_moderations(client):
    done = client.moderations.create(model="mod-pub", input="A fight")
    assert done.model == "mod-pub"
    assert done.results[0].flagged and done.results[0].categories.violence


def test_responses_create(client, mock):
    done = client.responses.create(model="gpt-pub", input="Say something.")
    assert done.output_text == TEXT
    assert done.model == "gpt-pub"
    assert (done.usage.input_tokens, done.usage.input_tokens_details.cached_tokens) == (36, 16)


def test_responses_stream(client):
    with client.responses.stream(model="gpt-pub", input="Say something.") as stream:
        events = list(stream)
        done = stream.get_final_response()
    assert done.output_text == TEXT
    assert done.model == "gpt-pub"
    numbers = [e.sequence_number for e in events if hasattr(e, "sequence_number")]
    assert numbers == sorted(numbers) and numbers[0] == 0
    raw = list(client.responses.create(model="gpt-pub", input="Say something.", stream=True))
    assert [e.sequence_number for e in raw] == list(range(13))
    assert {e.response.model for e in raw if hasattr(e, "response")} == {"gpt-pub"}


def test_responses_of_an_id(client, mock):
    made = client.responses.create(model="gpt-pub", input="Say something.")
    got = client.responses.retrieve(made.id)
    assert (got.id, got.output_text) == (made.id, TEXT)
    items = client.responses.input_items.list(made.id)
    assert items.data[0].content[0].text == "Say something."
    assert client.responses.cancel(made.id).status == "cancelled"
    client.responses.delete(made.id)
    upstream_id = next(iter(mock.ledger))
    assert [r.line.rsplit(" ", 1)[0] for r in mock.requests] == [
        "POST /v1/responses",
        f"GET /v1/responses/{upstream_id}",
        f"GET /v1/responses/{upstream_id}/input_items",
        f"POST /v1/responses/{upstream_id}/cancel",
        f"DELETE /v1/responses/{upstream_id}",
    ]


def test_models(weir):
    client = openai.OpenAI(base_url=weir.url + "/v1", api_key=weir.key)
    names = [m.id for m in client.models.list()]
    assert {"gpt-pub", "claude-pub", "alias-pub"} <= set(names)
    assert "hidden-pub" not in names
    assert len(names) == len(set(names))
    one = client.models.retrieve("gpt-pub")
    assert (one.id, one.object, one.created, one.owned_by) == ("gpt-pub", "model", 1677610602, "openai")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_azure_client_and_azure_deployment(endpoint, mock):
    client = openai.AzureOpenAI(
        azure_endpoint=endpoint.url, api_key=endpoint.key, api_version="2024-10-21", max_retries=0
    )
    done = client.chat.completions.create(model="azure-pub", messages=SAY)
    assert done.choices[0].message.content == TEXT
    assert done.model == "azure-pub"
    chunks = list(client.chat.completions.create(model="azure-pub", messages=SAY, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    client.embeddings.create(model="azure-pub", input="x")
    if endpoint.url != mock.url:
        assert [r.target for r in mock.requests] == [
            "/openai/deployments/azure-dep/chat/completions?api-version=2024-10-21",
            "/openai/deployments/azure-dep/chat/completions?api-version=2024-10-21",
            "/openai/deployments/azure-dep/embeddings?api-version=2024-10-21",
        ]
        for r in mock.requests:
            assert r.headers["api-key"] == "sk-upstream-azure-Yp5d"
            assert "authorization" not in r.headers


def test_async_clients_side_by_side(endpoint):
    import asyncio

    async def main():
        async with openai.AsyncOpenAI(base_url=endpoint.url + "/v1", api_key=endpoint.key, max_retries=0) as client:

            async def one(stream):
                if not stream:
                    done = await client.chat.completions.create(model="gpt-pub", messages=SAY)
                    return done.choices[0].message.content
                text = ""
                async for c in await client.chat.completions.create(model="gpt-pub", messages=SAY, stream=True):
                    text += c.choices[0].delta.content or ""
                return text

            return await asyncio.gather(*(one(i % 2) for i in range(40)))

    assert asyncio.run(main()) == [TEXT] * 40


def test_pieces_arrive_as_they_are_sent(client, mock, endpoint):
    """The gateway holds nothing back: each piece is read before the next is sent."""
    read = threading.Semaphore(1)

    def script(request):
        for step in dialects.chat(request):
            if isinstance(step, bytes) and b"data: {" in step:
                for _ in range(500):
                    if read.acquire(blocking=False):
                        break
                    yield Delay(0.01)
                else:
                    raise TimeoutError("the client did not get the event before")
            yield step

    mock.on(mock_name("gpt-pub", endpoint), script)
    text = ""
    for c in client.with_options(timeout=5).chat.completions.create(
        model="gpt-pub", messages=SAY, stream=True, stream_options={"include_usage": True}
    ):
        text += c.choices[0].delta.content or "" if c.choices else ""
        read.release()
    assert text == TEXT
