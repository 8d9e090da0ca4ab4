"""The Anthropic Python SDK, unmodified, on upstreams of every API: the model of support/plans.py."""

import asyncio
import json

import anthropic
import httpx2
import pytest
from anthropic import beta_tool

from support.clients import Person, check_abort, once
from support.dialects import TEXT, THOUGHT
from support.pairs import api_of, billed
from support.pairs import upstreams
from support.parts import Image
from support.plans import BIG, PERSON, REFUSAL, digest
from support.samples import JPEG, PDF, PLAIN, PNG, URL

EVERY = pytest.mark.parametrize("upstream", upstreams("messages"))
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "station": {"type": "integer"}}}
WEATHER = {"name": "get_weather", "description": "The weather", "input_schema": CITY}
NOW = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
COUNT = {
    "name": "count",
    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


def ask(plan, *before, content=None):
    return [*before, {"role": "user", "content": content or f"plan:{plan} please"}]


@pytest.fixture
def client(place):
    with anthropic.Anthropic(base_url=place.url, api_key=place.key, max_retries=0, timeout=20) as c:
        yield c


@pytest.fixture
def create(client, place):
    def create_(upstream, messages, max_tokens=4096, **more):
        messages = ask(messages) if isinstance(messages, str) else messages
        return client.messages.create(model=place.name(upstream), max_tokens=max_tokens, messages=messages, **more)

    return create_


@pytest.fixture
def streamed(client, place):
    """By the stream helper: (final message, events)."""

    def streamed_(upstream, messages, max_tokens=4096, **more):
        messages = ask(messages) if isinstance(messages, str) else messages
        with client.messages.stream(
            model=place.name(upstream), max_tokens=max_tokens, messages=messages, **more
        ) as stream:
            events = list(stream)
            return stream.get_final_message(), events

    return streamed_


@pytest.fixture(params=["plain", "streamed"])
def complete(request, create, streamed):
    """A message, either way."""
    if request.param == "plain":
        return create
    return lambda *a, **kw: streamed(*a, **kw)[0]


def text_of(message):
    return "".join(b.text for b in message.content if b.type == "text")


def calls_of(message):
    return [b for b in message.content if b.type == "tool_use"]


def reported(message):
    return json.loads(text_of(message))


# --- text and usage ------------------------------------------------------------------------------------------------


def check_usage(usage, model):
    total, read, output = billed(list(model.ledger.values())[-1])
    assert usage.output_tokens == output
    assert usage.cache_read_input_tokens == read
    assert usage.input_tokens + usage.cache_read_input_tokens + (usage.cache_creation_input_tokens or 0) == total


@EVERY
def test_plain(upstream, create, place, model):
    done = create(upstream, "say")
    assert (done.type, done.role, done.model) == ("message", "assistant", place.name(upstream))
    assert done.id.startswith("msg_")
    assert [(b.type, b.text) for b in done.content] == [("text", TEXT)]
    assert (done.stop_reason, done.stop_sequence) == ("end_turn", None)
    check_usage(done.usage, model)


@EVERY
def test_stream(upstream, create, place, model):
    events = [e for e in create(upstream, "say", stream=True) if e.type != "ping"]
    assert [e.type for e in events[:2]] == ["message_start", "content_block_start"]
    assert [e.type for e in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    start = events[0].message
    assert (start.model, start.role, start.content, start.stop_reason) == (place.name(upstream), "assistant", [], None)
    deltas = [e.delta.text for e in events if e.type == "content_block_delta"]
    assert len(deltas) > 2 and "".join(deltas) == TEXT
    assert events[-2].delta.stop_reason == "end_turn"
    assert events[-2].usage.output_tokens == billed(list(model.ledger.values())[-1])[2]


@EVERY
def test_stream_helper(upstream, streamed, client, place, model):
    done, events = streamed(upstream, "say")
    assert "".join(e.text for e in events if e.type == "text") == TEXT
    assert [(b.type, b.text) for b in done.content] == [("text", TEXT)]
    check_usage(done.usage, model)
    with client.messages.stream(model=place.name(upstream), max_tokens=64, messages=ask("say")) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_text() == TEXT


@EVERY
def test_stop_for_length(upstream, complete):
    done = complete(upstream, "long", max_tokens=16)
    assert (done.stop_reason, text_of(done)) == ("max_tokens", "Once upon a")


@EVERY
def test_small_limit(upstream, create, model):
    """Responses takes no limit below 16."""
    create(upstream, "say", max_tokens=1)
    assert model.requests[-1].view.max_tokens == (16 if api_of(upstream, "messages") == "responses" else 1)


@pytest.mark.parametrize("upstream", upstreams("messages", "messages", "groq", "kimi"))
def test_stop_sequence(upstream, complete, model):
    done = complete(upstream, "sequence", stop_sequences=["two"])
    assert text_of(done) == "one "
    assert model.requests[-1].view.stop == ["two"]
    assert done.stop_reason in (("stop_sequence",) if upstream == "messages" else ("end_turn", "stop_sequence"))


@EVERY
def test_refusal(upstream, complete):
    done = complete(upstream, "refuse")
    assert done.stop_reason == "refusal"
    if api_of(upstream, "messages") != "messages":
        assert text_of(done) == REFUSAL


# --- tools ---------------------------------------------------------------------------------------------------------


def loop(complete, upstream, messages, tools, answer, **more):
    """Plays the tools until the model is done: its last message, and how many rounds it took."""
    for turn in range(8):
        done = complete(upstream, messages, tools=tools, **more)
        calls = calls_of(done)
        if not calls:
            assert done.stop_reason == "end_turn"
            return done, turn
        assert done.stop_reason == "tool_use"
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": answer(c)} for c in calls]
        messages = [*messages, {"role": "assistant", "content": done.content}, {"role": "user", "content": results}]
    raise AssertionError("no end")


@EVERY
def test_tool_loop(upstream, complete, model):
    def weather(call):
        assert (call.name, call.input) == ("get_weather", {"city": "Zürich"})
        return "12 °C"

    done, turns = loop(complete, upstream, ask("weather"), [WEATHER], weather)
    assert (text_of(done), turns) == ("The tool said 12 °C", 1)
    calls = model.requests[-1].view.calls
    assert [(c.name, c.input) for c in calls] == [("get_weather", {"city": "Zürich"})]


@EVERY
def test_text_stands_before_the_call(upstream, complete):
    done = complete(upstream, "weather", tools=[WEATHER])
    assert [b.type for b in done.content] == ["text", "tool_use"]
    assert done.content[0].text == "Let me look."


@EVERY
def test_parallel_calls_and_a_number_no_double_holds(upstream, complete, model):
    seen = []

    def answer(call):
        seen.append((call.name, call.input))
        return [{"type": "text", "text": f"from {call.name}"}]

    done, _ = loop(complete, upstream, ask("both"), [WEATHER, NOW], answer)
    assert seen == [("get_weather", {"city": "Genève", "station": BIG}), ("now", {})]
    assert text_of(done) == "from get_weather; from now"
    assert str(BIG).encode() in model.requests[-1].body


@EVERY
def test_three_rounds(upstream, complete):
    done, turns = loop(complete, upstream, ask("rounds"), [COUNT], lambda call: json.dumps(call.input))
    assert (text_of(done), turns) == ('{"n":0}; {"n":1}; {"n":2}', 3)


@EVERY
def test_tool_runner(upstream, client, place, model):
    """The SDK's own loop."""
    asked = []

    @beta_tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "12 °C"

    runner = client.beta.messages.tool_runner(
        model=place.name(upstream), max_tokens=1024, messages=ask("weather"), tools=[get_weather]
    )
    assert text_of(runner.until_done()) == "The tool said 12 °C"
    assert asked == ["Zürich"]


@EVERY
def test_failed_tool(upstream, create, model):
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no clock", "is_error": True}
    history = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    done = create(upstream, [*ask("both"), *history], tools=[NOW])
    assert "no clock" in text_of(done) and "error" in text_of(done).lower()


@EVERY
@pytest.mark.parametrize("content", [None, "", []])
def test_empty_result(upstream, content, create):
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", **({} if content is None else {"content": content})}
    history = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert text_of(create(upstream, [*ask("weather"), *history], tools=[NOW])) == "The tool said "


@EVERY
def test_results_and_words_in_one_message(upstream, create, model):
    calls = [{"type": "tool_use", "id": f"toolu_{n}", "name": "now", "input": {}} for n in (1, 2)]
    results = [{"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": f"result {n}"} for n in (2, 1)]
    words = {"type": "text", "text": "And be brief. plan:report"}
    history = [{"role": "assistant", "content": calls}, {"role": "user", "content": [*results, words]}]
    got = reported(create(upstream, [*ask("both"), *history], tools=[NOW]))
    assert sorted(got["results"]) == [["result 1", False], ["result 2", False]]
    assert got["said"].startswith("And be brief.")


@EVERY
def test_image_in_a_result(upstream, create, model):
    call = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "look"}, image]}
    history = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    create(upstream, [*ask("say"), *history], tools=[NOW])
    v = model.requests[-1].view
    assert [(i.mime, i.data) for i in v.parts(Image)] == [("image/png", PNG)]
    assert "look" in v.results[0].text


@EVERY
@pytest.mark.parametrize(
    "choice,seen",
    [({"type": "auto"}, "auto"), ({"type": "none"}, "none"), ({"type": "any"}, "required"),
     ({"type": "tool", "name": "now"}, ["tool", "now"])],
)  # fmt: skip
def test_tool_choice(upstream, choice, seen, create):
    got = reported(create(upstream, "report", tools=[WEATHER, NOW], tool_choice=choice))
    assert got["choice"] == seen
    assert got["tools"] == {"get_weather": "function", "now": "function"}


@EVERY
def test_one_call_at_a_time(upstream, create):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert reported(create(upstream, "report", tools=[WEATHER], tool_choice=choice))["parallel"] is False


@EVERY
def test_call_cut_by_the_limit(upstream, complete):
    """Arguments that are no JSON: told as such by the stop reason, and no crash."""
    done = complete(upstream, "cutcall", tools=[WEATHER], max_tokens=32)
    assert done.stop_reason == "max_tokens"


# --- what goes in ----------------------------------------------------------------------------------------------------


@EVERY
def test_images(upstream, create):
    content = [
        {"type": "text", "text": "plan:report"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": URL}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": JPEG}},
    ]
    got = reported(create(upstream, ask("", content=content)))
    assert got["images"] == [["image/png", digest(PNG)], [URL], ["image/jpeg", digest(JPEG)]]


@EVERY
def test_documents(upstream, create, model):
    content = [
        {"type": "text", "text": "plan:report"},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PLAIN}, "title": "b"},
    ]
    got = reported(create(upstream, ask("", content=content)))
    assert got["documents"][0] == ["a.pdf", "application/pdf", digest(PDF)]
    if api_of(upstream, "messages") == "messages":
        assert got["documents"][1] == ["b", "text/plain", digest(PLAIN)]
    else:
        assert PLAIN in got["said"] or len(got["documents"]) == 2


@EVERY
def test_system(upstream, create):
    blocks = [
        {"type": "text", "text": "First."},
        {"type": "text", "text": "Second.", "cache_control": {"type": "ephemeral"}},
    ]
    for system in ("First. Second.", blocks):
        assert "\n".join(reported(create(upstream, "report", system=system))["system"]).split() == ["First.", "Second."]


@EVERY
def test_cache_marks_are_no_fault_elsewhere(upstream, create):
    mark = {"cache_control": {"type": "ephemeral"}}
    content = [{"type": "text", "text": "plan:report", **mark}]
    got = reported(
        create(upstream, ask("", content=content), tools=[{**WEATHER, **mark}], cache_control={"type": "ephemeral"})
    )
    assert got["said"] == "plan:report"


@EVERY
def test_roles_may_repeat(upstream, create):
    messages = [
        {"role": "user", "content": "one"}, {"role": "user", "content": "two"},
        {"role": "assistant", "content": "three"}, {"role": "assistant", "content": [{"type": "text", "text": "four"}]},
        *ask("report"),
    ]  # fmt: skip
    got = reported(create(upstream, messages))
    assert once(got["roles"]) == ["user", "assistant", "user"]


@EVERY
def test_end_user(upstream, create, model):
    """A long one, as Claude Code sends it, fits the other side's 64 characters."""
    for user in ("user-4711", "user_" + "0123456789abcdef" * 8):
        create(upstream, "say", metadata={"user_id": user})
        body = model.requests[-1].json
        seen = body.get("user") or body.get("safety_identifier") or body.get("metadata", {}).get("user_id")
        assert seen == user if len(user) < 64 or api_of(upstream, "messages") == "messages" else seen


@pytest.mark.parametrize("upstream", upstreams("messages", "chat", "messages", "moded"))
def test_sampling_of_the_older_version(upstream, create, model):
    create(upstream, "say", extra_body={"temperature": 0.25}, extra_headers={"anthropic-version": "2023-06-01"})
    assert model.requests[-1].json["temperature"] == 0.25


@EVERY
def test_beta_flags_stay_at_home(upstream, client, place, model):
    done = client.beta.messages.create(
        model=place.name(upstream), max_tokens=64, messages=ask("say"), betas=["context-1m-2025-08-07"]
    )
    assert text_of(done) == TEXT
    assert ("anthropic-beta" in model.requests[-1].headers) == (api_of(upstream, "messages") == "messages")


# --- structured output -----------------------------------------------------------------------------------------------


@EVERY
def test_structured_output(upstream, client, place):
    more = {"model": place.name(upstream), "max_tokens": 1024, "messages": ask("person")}
    assert client.messages.parse(**more, output_format=Person).parsed_output == Person(**PERSON)
    with client.messages.stream(**more, output_format=Person) as stream:
        assert len(list(stream.text_stream)) > 2
        assert stream.get_final_message().parsed_output == Person(**PERSON)


# --- thinking --------------------------------------------------------------------------------------------------------

THINKERS = pytest.mark.parametrize("upstream", upstreams("messages", "kimi", "messages", "responses", "moded"))
BUDGET = {"type": "enabled", "budget_tokens": 2048}


@THINKERS
def test_thinking(upstream, complete, model):
    done = complete(upstream, "think", thinking=BUDGET)
    assert [b.type for b in done.content] == ["thinking", "text"]
    assert (done.content[0].thinking, done.content[1].text) == (THOUGHT, TEXT)
    assert isinstance(done.content[0].signature, str)
    if api_of(upstream, "messages") == "responses":
        assert model.requests[-1].view.effort == "medium"


@pytest.mark.parametrize("upstream", upstreams("messages", "reasoner", "adaptive", "responses", "moded"))
def test_adaptive_thinking(upstream, create, model):
    create(upstream, "think", thinking={"type": "adaptive"}, output_config={"effort": "high"})
    assert model.requests[-1].view.effort == "high"


@THINKERS
def test_thinking_in_a_tool_loop(upstream, complete):
    """The blocks go back as they came; where the upstream takes its own thoughts back, it gets them."""
    done, _ = loop(complete, upstream, ask("ponder"), [WEATHER], lambda call: "12 °C", thinking=BUDGET)
    assert text_of(done) == "I remember: 12 °C"


@pytest.mark.parametrize("upstream", upstreams("messages", "chat", "responses", "moded", "kimi"))
def test_thoughts_of_another_vendor_are_left_out(upstream, create, model):
    """F.34: a signature goes to none but who made it."""
    blocks = [
        {"type": "thinking", "thinking": "Elsewhere.", "signature": "RWxzZXdoZXJl"},
        {"type": "redacted_thinking", "data": "RWxzZXdoZXJl"},
        {"type": "text", "text": "Yes."},
    ]
    got = reported(create(upstream, [*ask("say"), {"role": "assistant", "content": blocks}, *ask("report")]))
    assert b"RWxzZXdoZXJl" not in model.requests[-1].body
    assert [t for t in got["thoughts"] if t[1] or t[0] != "Elsewhere."] == []


# --- errors ------------------------------------------------------------------------------------------------------------

ERRORS = [
    (400, anthropic.BadRequestError, "invalid_request_error"), (401, anthropic.AuthenticationError, "authentication_error"),
    (404, anthropic.NotFoundError, "not_found_error"), (429, anthropic.RateLimitError, "rate_limit_error"),
    (500, anthropic.InternalServerError, "api_error"), (529, anthropic.InternalServerError, "overloaded_error"),
]  # fmt: skip


@EVERY
@pytest.mark.parametrize("status,kind,name", ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(upstream, status, kind, name, stream, create):
    with pytest.raises(kind) as e:
        create(upstream, f"err-{status}", stream=stream)
    assert e.value.status_code == status
    assert e.value.body["type"] == "error"
    assert e.value.body["error"]["type"] == name
    assert f"upstream says {status}" in e.value.body["error"]["message"]
    if status in (429, 529):
        assert e.value.response.headers["retry-after"] == "7"


@EVERY
def test_error_in_mid_stream(upstream, create):
    text = ""
    with pytest.raises(anthropic.APIStatusError, match="Overloaded") as e:
        for event in create(upstream, "fail", stream=True):
            if event.type == "content_block_delta":
                text += event.delta.text
    assert text == TEXT
    assert e.value.body["error"]["type"] in ("overloaded_error", "api_error")


@EVERY
@pytest.mark.parametrize("plan", ["reset", "cut"])
def test_upstream_gone_in_mid_stream(upstream, plan, create):
    """No end is invented for what was cut: an error, or at the least no stop."""
    seen = []
    try:
        seen += [e.type for e in create(upstream, plan, stream=True)]
    except (anthropic.AnthropicError, httpx2.TransportError):
        return
    assert upstream == "messages" and "message_stop" not in seen


@EVERY
def test_abort(upstream, create, model):
    check_abort(create(upstream, "stall", stream=True), 3, model)


@EVERY
def test_many_at_once(upstream, place):
    async def main():
        async with anthropic.AsyncAnthropic(base_url=place.url, api_key=place.key, max_retries=0) as client:

            async def one(n):
                more = {"model": place.name(upstream), "max_tokens": 64, "messages": ask("say")}
                if not n % 2:
                    return text_of(await client.messages.create(**more))
                async with client.messages.stream(**more) as stream:
                    return await stream.get_final_text()

            return await asyncio.gather(*(one(n) for n in range(24)))

    assert asyncio.run(main()) == [TEXT] * 24


@EVERY
def test_count_tokens(upstream, client, place, model):
    """Counted where the provider counts, else estimated: more for more."""
    small = client.messages.count_tokens(model=place.name(upstream), messages=ask("say")).input_tokens
    large = client.messages.count_tokens(model=place.name(upstream), messages=ask("say" * 200), tools=[WEATHER],
                                         system="Be brief.").input_tokens  # fmt: skip
    assert small > 0
    assert large > small or api_of(upstream, "messages") == "messages"
