"""The OpenAI Python SDK's Chat Completions, unmodified, on upstreams of every API: the model of support/plans.py."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

from support.clients import OPENAI_ERRORS, Person, check_abort, check_openai_error, once
from support.dialects import TEXT, THOUGHT
from support.pairs import api_of, billed
from support.pairs import DIRECT, upstreams
from support.plans import BIG, PERSON, REFUSAL, digest
from support.samples import JPEG, PDF, PNG, URL, data_url

EVERY = pytest.mark.parametrize("upstream", upstreams("chat"))
OPTIONAL = {"type": "object", "properties": {"city": {"type": "string"}, "station": {"type": "integer"}}}


def function(name, parameters=OPTIONAL, **more):
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


WEATHER, NOW, COUNT = function("get_weather"), {"type": "function", "function": {"name": "now"}}, function("count")


def ask(plan, *before, content=None):
    return [*before, {"role": "user", "content": content or f"plan:{plan} please"}]


@pytest.fixture
def client(place):
    with openai.OpenAI(base_url=place.url + "/v1", api_key=place.key, max_retries=0, timeout=20) as c:
        yield c


@pytest.fixture
def create(client, place):
    def create_(upstream, messages, **more):
        messages = ask(messages) if isinstance(messages, str) else messages
        return client.chat.completions.create(model=place.name(upstream), messages=messages, **more)

    return create_


@pytest.fixture
def streamed(client, place):
    """By the stream helper: (final completion, events)."""

    def streamed_(upstream, messages, **more):
        messages = ask(messages) if isinstance(messages, str) else messages
        with client.chat.completions.stream(model=place.name(upstream), messages=messages, **more) as stream:
            events = list(stream)
            return stream.get_final_completion(), events

    return streamed_


@pytest.fixture(params=["plain", "streamed"])
def complete(request, create, streamed):
    """A completion, either way."""
    if request.param == "plain":
        return create
    return lambda *a, **kw: streamed(*a, **kw)[0]


def message_of(done):
    return done.choices[0].message


def reported(done):
    return json.loads(message_of(done).content)


# --- text and usage ------------------------------------------------------------------------------------------------


def entry_of(model):
    return list(model.ledger.values())[-1]


def check_usage(usage, model):
    total, read, output = billed(entry_of(model))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (total, output, total + output)
    assert usage.prompt_tokens_details.cached_tokens == read
    if reasoning := entry_of(model).reasoning:
        assert usage.completion_tokens_details.reasoning_tokens == reasoning


@EVERY
def test_plain(upstream, create, place, model):
    done = create(upstream, "say")
    assert (done.object, done.model) == ("chat.completion", place.name(upstream))
    assert done.id.startswith("chatcmpl-")
    assert abs(done.created) < 2**33
    (choice,) = done.choices
    assert (choice.index, choice.finish_reason, choice.message.role) == (0, "stop", "assistant")
    assert (choice.message.content, choice.message.refusal, choice.message.tool_calls) == (TEXT, None, None)
    check_usage(done.usage, model)


@EVERY
@pytest.mark.parametrize("usage", [False, True])
def test_stream(upstream, usage, create, place, model):
    more = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(create(upstream, "say", stream=True, **more))
    assert {c.model for c in chunks} == {place.name(upstream)}
    assert len({c.id for c in chunks}) == len({c.created for c in chunks}) == 1
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    if usage:
        last = chunks.pop()
        assert last.choices == []
        check_usage(last.usage, model)
    assert all(c.usage is None and len(c.choices) == 1 for c in chunks)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == TEXT
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert model.requests[-1].view.stream


@EVERY
def test_stream_helper(upstream, streamed):
    done, events = streamed(upstream, "say", stream_options={"include_usage": True})
    deltas = [e.delta for e in events if e.type == "content.delta"]
    assert len(deltas) > 2 and "".join(deltas) == TEXT
    assert [e.content for e in events if e.type == "content.done"] == [TEXT]
    assert message_of(done).content == TEXT
    assert done.usage.total_tokens > 0


@EVERY
def test_finish_for_length(upstream, complete, client, place):
    done = client.chat.completions.create(model=place.name(upstream), messages=ask("long"), max_tokens=16)
    assert (done.choices[0].finish_reason, message_of(done).content) == ("length", "Once upon a")
    chunks = list(client.chat.completions.create(
        model=place.name(upstream), messages=ask("long"), max_tokens=16, stream=True))  # fmt: skip
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("upstream", upstreams("chat", "chat", "messages", "groq"))
@pytest.mark.parametrize("stop", ["two", ["two", "three"]])
def test_stop(upstream, stop, complete, model):
    done = complete(upstream, "sequence", stop=stop)
    assert (message_of(done).content, done.choices[0].finish_reason) == ("one ", "stop")
    assert model.requests[-1].view.stop == ([stop] if isinstance(stop, str) else stop)


@EVERY
def test_refusal(upstream, create):
    """Anthropic's is of its filters; the SDK's own parser raises for that."""
    reason = "content_filter" if api_of(upstream) == "messages" else "stop"
    done = create(upstream, "refuse")
    assert message_of(done).refusal == REFUSAL
    assert not message_of(done).content
    assert done.choices[0].finish_reason == reason
    chunks = [c.choices[0] for c in create(upstream, "refuse", stream=True)]
    assert "".join(c.delta.refusal or "" for c in chunks) == REFUSAL
    assert chunks[-1].finish_reason == reason


# --- tools ---------------------------------------------------------------------------------------------------------


def loop(complete, upstream, messages, tools, answer, **more):
    """Plays the tools until the model is done: its last message, and how many rounds it took."""
    for turn in range(8):
        done = complete(upstream, messages, tools=tools, **more)
        message = message_of(done)
        if not message.tool_calls:
            assert done.choices[0].finish_reason == "stop"
            return message, turn
        assert done.choices[0].finish_reason == "tool_calls"
        messages = [*messages, message]
        for call in message.tool_calls:
            assert 0 < len(call.id) <= 40
            messages.append({"role": "tool", "tool_call_id": call.id, "content": answer(call)})
    raise AssertionError("no end")


@EVERY
def test_tool_loop(upstream, complete, model):
    def weather(call):
        assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
            "function",
            "get_weather",
            {"city": "Zürich"},
        )
        return "12 °C"

    message, turns = loop(complete, upstream, ask("weather"), [WEATHER], weather)
    assert (message.content, turns) == ("The tool said 12 °C", 1)
    calls = model.requests[-1].view.calls
    assert [(c.name, c.input) for c in calls] == [("get_weather", {"city": "Zürich"})]


@EVERY
def test_parallel_calls_and_a_number_no_double_holds(upstream, complete, model):
    seen = []

    def answer(call):
        seen.append((call.function.name, json.loads(call.function.arguments)))
        return f"from {call.function.name}"

    message, _ = loop(complete, upstream, ask("both"), [WEATHER, NOW], answer)
    assert seen == [("get_weather", {"city": "Genève", "station": BIG}), ("now", {})]
    assert message.content == "from get_weather; from now"
    assert str(BIG).encode() in model.requests[-1].body


@EVERY
def test_three_rounds(upstream, complete, model):
    message, turns = loop(complete, upstream, ask("rounds"), [COUNT], lambda call: call.function.arguments)
    assert (message.content, turns) == ('{"n":0}; {"n":1}; {"n":2}', 3)
    assert len(model.requests[-1].view.parts(object)) > 0


@EVERY
def test_parsed_tools(upstream, client, place):
    """The SDK's own schema of a pydantic model, strict, and its parser."""

    class Weather(BaseModel):
        city: str

    tool = openai.pydantic_function_tool(Weather, name="get_weather")
    done = client.chat.completions.parse(model=place.name(upstream), messages=ask("weather"), tools=[tool])
    assert message_of(done).tool_calls[0].function.parsed_arguments == Weather(city="Zürich")
    with client.chat.completions.stream(model=place.name(upstream), messages=ask("weather"), tools=[tool]) as stream:
        kinds = [e.type for e in stream]
        done = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds
    assert message_of(done).tool_calls[0].function.parsed_arguments == Weather(city="Zürich")


@EVERY
@pytest.mark.parametrize(
    "choice,seen",
    [("auto", "auto"), ("none", "none"), ("required", "required"),
     ({"type": "function", "function": {"name": "now"}}, ["tool", "now"])],
)  # fmt: skip
def test_tool_choice(upstream, choice, seen, create):
    got = reported(create(upstream, "report", tools=[WEATHER, NOW], tool_choice=choice))
    assert got["choice"] == seen
    assert got["tools"] == {"get_weather": "function", "now": "function"}


@EVERY
def test_one_call_at_a_time(upstream, create):
    assert reported(create(upstream, "report", tools=[WEATHER], parallel_tool_calls=False))["parallel"] is False


@EVERY
def test_a_tool_without_parameters_has_an_object_for_them(upstream, create, model):
    create(upstream, "say", tools=[NOW])
    tool = model.requests[-1].view.tools["now"]
    assert tool.schema is None or tool.schema["type"] == "object"


FOREIGN_IDS = ("functions.get_weather:0", "call_" + "x" * 35, "toolu_01A09q90qw90lq917835lq9")


@EVERY
@pytest.mark.parametrize("id_", FOREIGN_IDS)
def test_history_with_ids_of_other_vendors(upstream, id_, create, model):
    """The history was made elsewhere: its ids fit the upstream's rules, and calls and results still match."""
    call = {"id": id_, "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Zürich"}'}}
    history = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id_, "content": "7"},
    ]
    done = create(upstream, [*ask("weather"), *history], tools=[WEATHER])
    assert message_of(done).content == "The tool said 7"


@pytest.mark.parametrize(
    "upstream,empty",
    [
        (u, e) for u in upstreams("chat") for e in (None, "", []) if (u, e) != ("chat", [])
    ],  # OpenAI refuses an empty list
)
def test_history_with_empty_texts(upstream, empty, create, model):
    """F.24: none, empty, and an empty list all mean no text beside the calls."""
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}
    history = [
        {"role": "assistant", "content": empty, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": ""},
    ]
    done = create(upstream, [*ask("weather"), *history], tools=[NOW])
    assert message_of(done).content == "The tool said "


@EVERY
def test_history_without_tools_defined(upstream, create, model):
    """Anthropic wants the tools of a history defined."""
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    history = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
    ]
    try:
        done = create(upstream, [*ask("weather"), *history])
    except openai.BadRequestError as e:
        assert api_of(upstream) == "messages" and "tools" in e.message
        model.refused.clear()
    else:
        assert message_of(done).content == "The tool said 7"


@pytest.mark.parametrize("upstream", upstreams("chat", "messages", "responses"))
def test_history_with_the_deprecated_function_call(upstream, create):
    messages = [
        *ask("report"),
        {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "noon"},
    ]
    got = reported(create(upstream, messages, tools=[NOW]))
    assert (got["calls"], got["results"]) == ([["now", "{}"]], [["noon", False]])


@pytest.mark.parametrize("upstream", upstreams("chat", "chat", "messages", "responses"))
def test_custom_tool(upstream, create):
    tool = {"type": "custom", "custom": {"name": "script", "description": "Runs a script"}}
    done = create(upstream, "free", tools=[tool])
    (call,) = message_of(done).tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "script", 'let x = "1\n2";')
    messages = [*ask("free"), message_of(done), {"role": "tool", "tool_call_id": call.id, "content": "ran"}]
    assert message_of(create(upstream, messages, tools=[tool])).content == "It said ran"
    deltas = [
        d for c in create(upstream, "free", tools=[tool], stream=True) for d in c.choices[0].delta.tool_calls or ()
    ]
    assert (deltas[0].type, deltas[0].custom["name"]) == ("custom", "script")
    assert "".join(d.custom["input"] for d in deltas) == 'let x = "1\n2";'


# --- what goes in ----------------------------------------------------------------------------------------------------


@EVERY
def test_images(upstream, create):
    parts = [
        {"type": "text", "text": "plan:report"},
        {"type": "image_url", "image_url": {"url": data_url("image/png", PNG), "detail": "high"}},
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": data_url("image/jpeg", JPEG)}},
    ]
    got = reported(create(upstream, ask("", content=parts)))
    assert got["images"] == [["image/png", digest(PNG)], [URL], ["image/jpeg", digest(JPEG)]]


@pytest.mark.parametrize("upstream", upstreams("chat", "messages", "responses"))
def test_image_of_a_wrong_or_missing_type(upstream, create):
    """F.14: the first bytes decide."""
    urls = [data_url("image/jpg", JPEG), data_url("image/png", JPEG), "data:;base64," + PNG]
    parts = [{"type": "text", "text": "plan:report"}, *({"type": "image_url", "image_url": {"url": u}} for u in urls)]
    got = reported(create(upstream, ask("", content=parts)))
    assert got["images"] == [["image/jpeg", digest(JPEG)]] * 2 + [["image/png", digest(PNG)]]


@EVERY
def test_documents(upstream, create):
    parts = [
        {"type": "text", "text": "plan:report"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}},
    ]
    assert reported(create(upstream, ask("", content=parts)))["documents"] == [
        ["a.pdf", "application/pdf", digest(PDF)]
    ]


@pytest.mark.parametrize("upstream", upstreams("chat", "messages", "responses"))
def test_audio_is_refused_where_there_is_none(upstream, create, model):
    parts = [
        {"type": "text", "text": "plan:report"},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": PNG}},
    ]
    if api_of(upstream) == "responses":
        assert reported(create(upstream, ask("", content=parts)))["audio"] == [["wav", digest(PNG)]]
        return
    with pytest.raises(openai.BadRequestError):
        create(upstream, ask("", content=parts))
    assert model.requests == []


@EVERY
def test_system_messages_keep_their_order(upstream, create):
    messages = [
        {"role": "system", "content": "First."},
        {"role": "developer", "content": [{"type": "text", "text": "Second."}]},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "three"},
        {"role": "assistant", "content": "four"},
        *ask("report"),
    ]
    got = reported(create(upstream, messages))
    assert "\n".join(got["system"]).split() == ["First.", "Second."]
    assert once(got["roles"]) == ["user", "assistant", "user"]


@EVERY
def test_system_message_between_others(upstream, create):
    messages = [
        *ask("say"),
        {"role": "assistant", "content": "yes"},
        {"role": "system", "content": "Be brief."},
        *ask("report"),
    ]
    got = reported(create(upstream, messages))
    assert "Be brief." in "\n".join(got["system"]) + got["said"]


@EVERY
def test_only_a_system_message(upstream, create):
    """Anthropic has no request without a user's message; without modify_params nobody invents one."""
    messages = [{"role": "system", "content": "Say something."}]
    if api_of(upstream) == "messages":
        with pytest.raises(openai.BadRequestError, match="messages"):
            create(upstream, messages)
    else:
        assert message_of(create(upstream, messages)).content == TEXT


@EVERY
@pytest.mark.parametrize("names", [("max_tokens",), ("max_completion_tokens",)])
def test_limit_of_tokens(upstream, names, create):
    got = reported(create(upstream, "report", **dict.fromkeys(names, 333)))
    assert got["max_tokens"] == 333


@pytest.mark.parametrize("upstream", upstreams("chat", "chat", "messages", "moded"))
def test_sampling(upstream, create, model):
    create(upstream, "say", temperature=0.25)
    assert model.requests[-1].json["temperature"] == 0.25


@pytest.mark.parametrize("upstream", upstreams("chat", "messages"))
def test_temperature_above_anthropics_range(upstream, create, model):
    create(upstream, "say", temperature=1.5)
    assert model.requests[-1].json["temperature"] == 1


@EVERY
def test_end_user(upstream, create, model):
    create(upstream, "say", user="user-4711")
    body = model.requests[-1].json
    assert "user-4711" in (body.get("user"), body.get("safety_identifier"), body.get("metadata", {}).get("user_id"))


@pytest.mark.parametrize(
    "upstream,more",
    [
        *((u, {"n": 2}) for u in upstreams("chat", "messages")),
        *((u, {"frequency_penalty": 0.5}) for u in upstreams("chat", "messages", "responses")),
        *((u, {"logit_bias": {"50256": -100}}) for u in upstreams("chat", "messages", "responses")),
        *((u, {"seed": 7}) for u in upstreams("chat", "messages")),
    ],
)
def test_what_the_other_side_lacks_is_refused_by_name(upstream, more, create, model):
    """LiteLLM's rule without drop_params."""
    with pytest.raises(openai.BadRequestError) as e:
        create(upstream, "say", **more)
    assert next(iter(more)) in e.value.message
    assert model.requests == []


# --- structured output -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", upstreams("chat", "chat", "messages", "older", "responses", "moded"))
def test_structured_output(upstream, client, place, model):
    """Natively, or emulated on a model without."""
    done = client.chat.completions.parse(model=place.name(upstream), messages=ask("person"), response_format=Person)
    assert message_of(done).parsed == Person(**PERSON)
    assert (done.choices[0].finish_reason, message_of(done).tool_calls or None) == ("stop", None)
    with client.chat.completions.stream(
        model=place.name(upstream), messages=ask("person"), response_format=Person
    ) as stream:
        kinds = [e.type for e in stream]
        done = stream.get_final_completion()
    assert kinds.count("content.delta") > 2
    assert message_of(done).parsed == Person(**PERSON)
    assert done.choices[0].finish_reason == "stop"


@EVERY
def test_structured_refusal(upstream, client, place):
    ask_ = {"model": place.name(upstream), "messages": ask("refuse"), "response_format": Person}
    if api_of(upstream) == "messages":
        with pytest.raises(openai.ContentFilterFinishReasonError):
            client.chat.completions.parse(**ask_)
    else:
        done = client.chat.completions.parse(**ask_)
        assert (message_of(done).parsed, message_of(done).refusal) == (None, REFUSAL)


@EVERY
def test_json_mode(upstream, complete):
    messages = [{"role": "system", "content": "Answer in JSON."}, *ask("person")]
    done = complete(upstream, messages, response_format={"type": "json_object"})
    assert json.loads(message_of(done).content) == PERSON


# --- reasoning -------------------------------------------------------------------------------------------------------

REASONERS = pytest.mark.parametrize("upstream", upstreams("chat", "kimi", "messages", "adaptive", "responses", "moded"))


@REASONERS
def test_reasoning(upstream, create, model):
    done = create(upstream, "think", reasoning_effort="high")
    assert message_of(done).reasoning_content == THOUGHT
    assert message_of(done).content == TEXT
    chunks = [c.choices[0].delta for c in create(upstream, "think", reasoning_effort="high", stream=True)]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in chunks) == THOUGHT
    assert "".join(d.content or "" for d in chunks) == TEXT
    v = model.requests[-1].view
    match upstream:
        case "messages":
            assert v.thinking["type"] == "enabled" and 1024 <= v.thinking["budget_tokens"] < v.max_tokens
        case "adaptive":
            assert (v.thinking["type"], v.effort) == ("adaptive", "high")
        case _:
            assert v.effort == "high"


@REASONERS
def test_reasoning_in_a_tool_loop(upstream, complete, model):
    """The message goes back whole, as the SDK gave it; where the upstream takes its own thoughts back, it gets them."""
    message, _ = loop(complete, upstream, ask("ponder"), [WEATHER], lambda call: "12 °C", reasoning_effort="low")
    assert message.content == "I remember: 12 °C"


@pytest.mark.parametrize("upstream", upstreams("chat", "messages", "adaptive", "responses", "moded"))
def test_two_thoughts_in_one_answer(upstream, complete):
    """Both survive the SDK's accumulator and go back."""
    message, _ = loop(complete, upstream, ask("muse"), [WEATHER, NOW], lambda call: "yes", reasoning_effort="low")
    assert message.content == "2 thoughts, 2 results"


@pytest.mark.parametrize("upstream", upstreams("chat", "messages", "adaptive"))
def test_hidden_reasoning_in_the_answer_hurts_nobody(upstream, complete):
    done = complete(upstream, "hidden", reasoning_effort="low")
    assert (message_of(done).content, message_of(done).reasoning_content) == (TEXT, THOUGHT)


@pytest.mark.parametrize("upstream", upstreams("chat", "messages"))
def test_forced_tool_with_reasoning(upstream, create):
    """Anthropic takes one or the other."""
    choice = {"type": "function", "function": {"name": "get_weather"}}
    done = create(upstream, "weather", tools=[WEATHER], tool_choice=choice, reasoning_effort="high")
    assert message_of(done).tool_calls[0].function.name == "get_weather"


# --- errors ------------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("status,kind,seen", OPENAI_ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(upstream, status, kind, seen, stream, create, model):
    with pytest.raises(kind) as e:
        create(upstream, f"err-{status}", stream=stream)
    check_openai_error(e.value, status, seen)


@EVERY
def test_error_in_mid_stream(upstream, create):
    text = ""
    with pytest.raises(openai.APIError, match="Overloaded"):
        for c in create(upstream, "fail", stream=True):
            text += c.choices[0].delta.content or ""
    assert text == TEXT


@EVERY
@pytest.mark.parametrize("plan", ["reset"] if DIRECT else ["cut", "reset"])
def test_upstream_gone_in_mid_stream(upstream, plan, create):
    """No finish is invented for what was cut."""
    finished = []
    with pytest.raises(openai.OpenAIError):
        finished += [c.choices[0].finish_reason for c in create(upstream, plan, stream=True)]
    assert not any(finished)


@EVERY
def test_abort(upstream, create, model):
    check_abort(create(upstream, "stall", stream=True), 3, model)


@EVERY
def test_many_at_once(upstream, place):
    async def main():
        async with openai.AsyncOpenAI(base_url=place.url + "/v1", api_key=place.key, max_retries=0) as client:

            async def one(n):
                more = {"model": place.name(upstream), "messages": ask("say"), "stream": bool(n % 2)}
                got = await client.chat.completions.create(**more)
                if not n % 2:
                    return got.choices[0].message.content
                return "".join([c.choices[0].delta.content or "" async for c in got])

            return await asyncio.gather(*(one(n) for n in range(24)))

    assert asyncio.run(main()) == [TEXT] * 24


# --- legacy completions ------------------------------------------------------------------------------------------------

TEXT_COMPLETION = pytest.mark.parametrize("upstream", [] if DIRECT else ["groq", "messages", "responses"])


@TEXT_COMPLETION
def test_completions(upstream, client, place, model):
    done = client.completions.create(model=place.name(upstream), prompt="plan:say", max_tokens=64)
    assert (done.object, done.model, done.choices[0].text) == ("text_completion", place.name(upstream), TEXT)
    assert done.choices[0].finish_reason == "stop"
    total, _, output = billed(entry_of(model))
    assert (done.usage.prompt_tokens, done.usage.completion_tokens) == (total, output)
    chunks = list(client.completions.create(model=place.name(upstream), prompt="plan:say", max_tokens=64, stream=True))
    assert "".join(c.choices[0].text for c in chunks) == TEXT
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert {c.object for c in chunks} == {"text_completion"}


@TEXT_COMPLETION
def test_completions_errors(upstream, client, place):
    for status, kind, _ in OPENAI_ERRORS:
        with pytest.raises(kind):
            client.completions.create(model=place.name(upstream), prompt=f"plan:err-{status}", max_tokens=64)
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(client.completions.create(model=place.name(upstream), prompt="plan:fail", max_tokens=64, stream=True))
