"""The OpenAI Python SDK's Responses, unmodified, on upstreams of every API: the model of support/plans.py.

Where the upstream has no such API, the gateway keeps what previous_response_id and the routes below an id need.
"""

import asyncio
import json

import openai
import pytest
from openai.lib.responses_tool_runner import RegisteredFunction, ResponsesToolRunner
from pydantic import BaseModel

from support.clients import OPENAI_ERRORS, Person, check_abort, check_openai_error, once
from support.dialects import TEXT, THOUGHT
from support.pairs import api_of, billed
from support.pairs import DIRECT, upstreams
from support.plans import BIG, PERSON, REFUSAL, digest
from support.samples import JPEG, PDF, PNG, URL, data_url

EVERY = pytest.mark.parametrize("upstream", upstreams("responses"))
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "station": {"type": "integer"}}}
WEATHER = {"type": "function", "name": "get_weather", "description": "The weather", "parameters": CITY, "strict": False}
NOW = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}, "strict": False}
COUNT = {**WEATHER, "name": "count", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}}


def says(content, role="user"):
    return {"role": role, "content": content}


@pytest.fixture
def client(place):
    with openai.OpenAI(base_url=place.url + "/v1", api_key=place.key, max_retries=0, timeout=20) as c:
        yield c


@pytest.fixture
def create(client, place):
    def create_(upstream, given, **more):
        given = f"plan:{given} please" if isinstance(given, str) else given
        return client.responses.create(model=place.name(upstream), input=given, **more)

    return create_


@pytest.fixture
def streamed(client, place):
    """By the stream helper: (final response, events)."""

    def streamed_(upstream, given, **more):
        given = f"plan:{given} please" if isinstance(given, str) else given
        with client.responses.stream(model=place.name(upstream), input=given, **more) as stream:
            events = list(stream)
            return stream.get_final_response(), events

    return streamed_


@pytest.fixture(params=["plain", "streamed"])
def complete(request, create, streamed):
    """A response, either way."""
    if request.param == "plain":
        return create
    return lambda *a, **kw: streamed(*a, **kw)[0]


def calls_of(done):
    return [i for i in done.output if i.type in ("function_call", "custom_tool_call")]


def reported(done):
    return json.loads(done.output_text)


# --- text and usage ------------------------------------------------------------------------------------------------


def check_usage(usage, model):
    total, read, output = billed(list(model.ledger.values())[-1])
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (total, output, total + output)
    assert usage.input_tokens_details.cached_tokens == read
    assert usage.output_tokens_details.reasoning_tokens >= 0


@EVERY
def test_plain(upstream, create, place, model):
    done = create(upstream, "say", instructions="Be brief.", metadata={"k": "v"}, store=False)
    assert (done.object, done.status, done.model) == ("response", "completed", place.name(upstream))
    assert done.id.startswith("resp_")
    assert (done.error, done.incomplete_details) == (None, None)
    (item,) = done.output
    assert (item.type, item.role, item.status) == ("message", "assistant", "completed")
    assert item.id.startswith("msg_") and len(item.id) <= 64
    assert (item.content[0].type, item.content[0].text, item.content[0].annotations) == ("output_text", TEXT, [])
    assert done.output_text == TEXT
    check_usage(done.usage, model)
    assert (done.instructions, done.metadata, done.store) == ("Be brief.", {"k": "v"}, False)
    assert model.requests[-1].view.system == ["Be brief."]


TEXT_EVENTS = ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
               "response.output_text.delta", "response.output_text.done", "response.content_part.done",
               "response.output_item.done", "response.completed"]  # fmt: skip


@EVERY
def test_stream(upstream, create, place, model):
    events = list(create(upstream, "say", stream=True))
    assert once([e.type for e in events]) == TEXT_EVENTS
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert {(e.response.id, e.response.model) for e in events if hasattr(e, "response")} == {
        (events[0].response.id, place.name(upstream))
    }
    deltas = [e for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) > 2 and "".join(e.delta for e in deltas) == TEXT
    assert len({(e.item_id, e.output_index, e.content_index) for e in deltas}) == 1
    assert next(e for e in events if e.type == "response.output_text.done").text == TEXT
    started, done = events[0].response, events[-1].response
    assert (started.status, started.output, started.usage) == ("in_progress", [], None)
    assert done.output_text == TEXT
    assert done.output[0].id == deltas[0].item_id
    check_usage(done.usage, model)


@EVERY
def test_stream_helper(upstream, streamed):
    done, events = streamed(upstream, "say")
    assert done.output_text == TEXT
    assert [e.snapshot for e in events if e.type == "response.output_text.delta"][-1] == TEXT


@EVERY
def test_incomplete_for_length(upstream, create):
    done = create(upstream, "long", max_output_tokens=16)
    assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert done.output_text == "Once upon a"
    last = list(create(upstream, "long", max_output_tokens=16, stream=True))[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "incomplete")
    assert last.response.output_text == "Once upon a"


@EVERY
def test_refusal(upstream, create):
    done = create(upstream, "refuse")
    parts = [p for i in done.output if i.type == "message" for p in i.content]
    assert [p.refusal for p in parts if p.type == "refusal"] == [REFUSAL]
    kinds = [e.type for e in create(upstream, "refuse", stream=True)]
    assert "response.refusal.delta" in kinds and "response.refusal.done" in kinds


# --- tools ---------------------------------------------------------------------------------------------------------


def loop(complete, upstream, plan, tools, answer, chained, **more):
    """Plays the tools until the model is done: by previous_response_id, or with the whole history each time."""
    given, before = [says(f"plan:{plan} please")], {}
    for turn in range(8):
        done = complete(upstream, given, tools=tools, **before, **more)
        calls = calls_of(done)
        assert done.status == "completed"
        if not calls:
            return done, turn
        outputs = [{"type": "function_call_output", "call_id": c.call_id, "output": answer(c)} for c in calls]
        if chained:
            given, before = outputs, {"previous_response_id": done.id}
        else:
            given = [*given, *(i.to_dict(exclude_none=True) for i in done.output), *outputs]
    raise AssertionError("no end")


CHAINED = pytest.mark.parametrize("chained", [False, True])


@EVERY
@CHAINED
def test_tool_loop(upstream, chained, complete, model):
    def weather(call):
        assert (call.name, json.loads(call.arguments), call.status) == ("get_weather", {"city": "Zürich"}, "completed")
        assert len(call.call_id) <= 64 and call.id != call.call_id
        return "12 °C"

    done, turns = loop(complete, upstream, "weather", [WEATHER], weather, chained)
    assert (done.output_text, turns) == ("The tool said 12 °C", 1)
    calls = model.requests[-1].view.calls
    assert [(c.name, c.input) for c in calls] == [("get_weather", {"city": "Zürich"})]


@EVERY
@CHAINED
def test_parallel_calls_and_a_number_no_double_holds(upstream, chained, complete, model):
    seen = []

    def answer(call):
        seen.append((call.name, json.loads(call.arguments)))
        return f"from {call.name}"

    done, _ = loop(complete, upstream, "both", [WEATHER, NOW], answer, chained)
    assert seen == [("get_weather", {"city": "Genève", "station": BIG}), ("now", {})]
    assert done.output_text == "from get_weather; from now"
    if not (chained and api_of(upstream) == "responses"):
        assert str(BIG).encode() in model.requests[-1].body


@EVERY
@CHAINED
def test_three_rounds(upstream, chained, complete):
    done, turns = loop(complete, upstream, "rounds", [COUNT], lambda call: call.arguments, chained)
    assert (done.output_text, turns) == ('{"n":0}; {"n":1}; {"n":2}', 3)


@EVERY
def test_stream_of_a_call(upstream, create):
    events = [e for e in create(upstream, "weather", tools=[WEATHER], stream=True)]
    kinds = once([e.type for e in events])
    assert kinds == [
        *TEXT_EVENTS[:-1],
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    added = [e.item for e in events if e.type == "response.output_item.added"][1]
    assert (added.type, added.arguments) == ("function_call", "")
    done = next(e for e in events if e.type == "response.function_call_arguments.done")
    assert json.loads(done.arguments) == {"city": "Zürich"}


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_tool_runner(upstream, stream, client, place):
    """The SDK's own loop."""
    asked = []

    def weather(given):
        asked.append(given["city"])
        return "12 °C"

    runner = ResponsesToolRunner(functions=[RegisteredFunction(WEATHER, weather)])
    done = runner.run(client, {"model": place.name(upstream), "input": "plan:weather please"}, stream=stream)
    assert (done.output_text, asked) == ("The tool said 12 °C", ["Zürich"])


@EVERY
def test_parsed_tools(upstream, client, place):
    class Weather(BaseModel):
        city: str

    tool = {"type": "function", **openai.pydantic_function_tool(Weather, name="get_weather")["function"]}
    done = client.responses.parse(model=place.name(upstream), input="plan:weather", tools=[tool])
    (call,) = calls_of(done)
    assert json.loads(call.arguments) == {"city": "Zürich"}


@EVERY
@pytest.mark.parametrize(
    "choice,seen",
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "now"}, ["tool", "now"]),
    ],
)
def test_tool_choice(upstream, choice, seen, create):
    got = reported(create(upstream, "report", tools=[WEATHER, NOW], tool_choice=choice))
    assert got["choice"] == seen
    assert got["tools"] == {"get_weather": "function", "now": "function"}


@EVERY
def test_one_call_at_a_time(upstream, create):
    assert reported(create(upstream, "report", tools=[WEATHER], parallel_tool_calls=False))["parallel"] is False


@EVERY
def test_custom_tool(upstream, complete):
    """Free text where the upstream has it, one argument of a function where not."""
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /(.|\\n)+/"}
    tool = {"type": "custom", "name": "script", "description": "Runs a script", "format": grammar}
    done = complete(upstream, "free", tools=[tool])
    (call,) = calls_of(done)
    assert (call.type, call.name, call.input) == ("custom_tool_call", "script", 'let x = "1\n2";')
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ran"}
    done = complete(upstream, [output], tools=[tool], previous_response_id=done.id)
    assert done.output_text == "It said ran"


@EVERY
def test_result_of_parts(upstream, create, model):
    call = {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"}
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": data_url("image/png", PNG), "detail": "auto"},
    ]
    output = {"type": "function_call_output", "call_id": "call_1", "output": parts}
    got = reported(create(upstream, [says("plan:report"), call, output], tools=[NOW]))
    assert got["images"] == [["image/png", digest(PNG)]]
    assert "look" in got["results"][0][0]


# --- what goes in ----------------------------------------------------------------------------------------------------


@EVERY
def test_images(upstream, create):
    urls = (data_url("image/png", PNG), URL, data_url("image/jpeg", JPEG))
    content = [{"type": "input_text", "text": "plan:report"},
               *({"type": "input_image", "image_url": u, "detail": "auto"} for u in urls)]  # fmt: skip
    got = reported(create(upstream, [says(content)]))
    assert got["images"] == [["image/png", digest(PNG)], [URL], ["image/jpeg", digest(JPEG)]]


@EVERY
def test_documents(upstream, create):
    file = {"type": "input_file", "filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}
    got = reported(create(upstream, [says([{"type": "input_text", "text": "plan:report"}, file])]))
    assert got["documents"] == [["a.pdf", "application/pdf", digest(PDF)]]


@EVERY
def test_roles(upstream, create):
    given = [
        says("First.", "system"), says("Second.", "developer"), says("one"), says("two"),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "three"}]},
        says("plan:report"),
    ]  # fmt: skip
    got = reported(create(upstream, given))
    assert "\n".join(got["system"]).split() == ["First.", "Second."]
    assert once(got["roles"]) == ["user", "assistant", "user"]


@EVERY
def test_limit_of_tokens(upstream, create):
    assert reported(create(upstream, "report", max_output_tokens=333))["max_tokens"] == 333


@EVERY
def test_end_user(upstream, create, model):
    create(upstream, "say", safety_identifier="user-4711")
    body = model.requests[-1].json
    assert "user-4711" in (body.get("user"), body.get("safety_identifier"), body.get("metadata", {}).get("user_id"))


@pytest.mark.parametrize("upstream", upstreams("responses", "messages"))
def test_hosted_tools_are_refused_where_there_are_none(upstream, create, model):
    with pytest.raises(openai.BadRequestError, match="tools"):
        create(upstream, "say", tools=[{"type": "file_search", "vector_store_ids": ["vs_1"]}])
    assert model.requests == []


# --- state -----------------------------------------------------------------------------------------------------------


@EVERY
def test_conversation_by_previous_response_id(upstream, complete, model):
    """All that was said before reaches the model; the instructions do not come along."""
    first = complete(upstream, "say", instructions="Once.")
    second = complete(upstream, [says("and then?")], previous_response_id=first.id)
    third = complete(upstream, "report", previous_response_id=second.id)
    got = reported(third)
    assert got["roles"] == ["user", "assistant"] * 2 + ["user"]
    assert "Once." not in got["system"]
    if api_of(upstream) != "responses":  # there the reply is the upstream's, with its own id of the one before
        assert third.previous_response_id == second.id
    said = [t.parts[0].text for t in model.requests[-1].view.turns]
    assert said == ["plan:say please", TEXT, "and then?", TEXT, "plan:report please"]


@EVERY
def test_image_stays_in_the_conversation(upstream, create, model):
    image = {"type": "input_image", "image_url": data_url("image/png", PNG), "detail": "auto"}
    first = create(upstream, [says([{"type": "input_text", "text": "plan:say"}, image])])
    got = reported(create(upstream, "report", previous_response_id=first.id))
    assert got["images"] == [["image/png", digest(PNG)]]


@EVERY
def test_branches(upstream, create):
    """One response may be continued twice."""
    first = create(upstream, "say")
    for word in ("left", "right"):
        got = reported(create(upstream, [says(f"{word} plan:report")], previous_response_id=first.id))
        assert (got["roles"], got["said"]) == (["user", "assistant", "user"], f"{word} plan:report")


@EVERY
def test_response_of_an_id(upstream, complete, client):
    made = complete(upstream, "say")
    got = client.responses.retrieve(made.id)
    assert (got.id, got.status, got.output_text, got.model) == (made.id, "completed", TEXT, made.model)
    assert got.usage.total_tokens == made.usage.total_tokens
    items = client.responses.input_items.list(made.id)
    assert [(i.role, i.content[0].text) for i in items] == [("user", "plan:say please")]
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.input_items.list(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)


@pytest.mark.parametrize("upstream", upstreams("vllm", "messages"))
def test_items_are_referred_to(upstream, create, client, model):
    """What a client that trusts `store` sends instead of the answer itself."""
    made = create(upstream, "say")
    question, answer = (
        {"type": "item_reference", "id": i.id}
        for i in [*client.responses.input_items.list(made.id), *made.output]
    )
    for given in ([question, answer, says("again")], [says("plan:say"), answer, question]):
        create(upstream, given)
        turns = json.loads(model.requests[-1].body)["messages"]
        assert [t["role"] for t in turns] == ["user", "assistant", "user"]
        assert turns[1]["content"] in (TEXT, [{"type": "text", "text": TEXT}])
        assert "plan:say please" in json.dumps(turns[given.index(question)])
    with pytest.raises(openai.BadRequestError):
        create(upstream, [{"type": "item_reference", "id": "msg_1"}, says("again")])
    model.refused.clear()


@EVERY
def test_deleted_response_is_not_continued(upstream, create, client, model):
    made = create(upstream, "say")
    client.responses.delete(made.id)
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        create(upstream, "say", previous_response_id=made.id)
    model.refused.clear()


@EVERY
def test_what_is_not_stored_is_not_there(upstream, create, client, model):
    made = create(upstream, "say", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        create(upstream, "say", previous_response_id=made.id)
    model.refused.clear()


@EVERY
@pytest.mark.parametrize("id_", ["resp_unknown", "resp_" + "x" * 400, "nonsense"])
def test_unknown_response(upstream, id_, create, model):
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)):
        create(upstream, "say", previous_response_id=id_)
    model.refused.clear()


@pytest.mark.parametrize("upstream", upstreams("responses", "groq", "messages"))
def test_background_is_answered_at_once_where_there_is_none(upstream, create):
    done = create(upstream, "say", background=True)
    assert (done.status, done.output_text) == ("completed", TEXT)
    assert not done.background


@pytest.mark.skipif(DIRECT, reason="of the gateway")
def test_continued_on_another_model(create, model):
    """A stored response goes on wherever the next model lives."""
    first = create("messages", "say")
    got = reported(create("groq", "report", previous_response_id=first.id))
    assert got["roles"] == ["user", "assistant", "user"]


# --- structured output -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", upstreams("responses", "groq", "messages", "older", "responses", "moded"))
def test_structured_output(upstream, client, place):
    done = client.responses.parse(model=place.name(upstream), input="plan:person", text_format=Person)
    assert done.output_parsed == Person(**PERSON)
    assert [i.type for i in done.output] == ["message"]
    with client.responses.stream(model=place.name(upstream), input="plan:person", text_format=Person) as stream:
        kinds = [e.type for e in stream]
        assert stream.get_final_response().output_parsed == Person(**PERSON)
    assert kinds.count("response.output_text.delta") > 2
    assert "response.function_call_arguments.delta" not in kinds


@EVERY
def test_json_mode(upstream, complete):
    given = [says("Answer in JSON. plan:person")]
    done = complete(upstream, given, instructions="Answer in JSON.", text={"format": {"type": "json_object"}})
    assert json.loads(done.output_text) == PERSON


# --- reasoning -------------------------------------------------------------------------------------------------------

REASONERS = pytest.mark.parametrize(
    "upstream", upstreams("responses", "kimi", "messages", "adaptive", "responses", "moded")
)
EFFORT = {"effort": "high", "summary": "auto"}


@REASONERS
def test_reasoning(upstream, complete, model):
    done = complete(upstream, "think", reasoning=EFFORT)
    assert [i.type for i in done.output] == ["reasoning", "message"]
    assert "".join(s.text for s in done.output[0].summary) == THOUGHT
    assert done.output[0].id.startswith("rs_")
    assert done.output_text == TEXT
    v = model.requests[-1].view
    match upstream:
        case "messages":
            assert v.thinking["type"] == "enabled" and 1024 <= v.thinking["budget_tokens"] < v.max_tokens
        case "adaptive":
            assert (v.thinking["type"], v.effort) == ("adaptive", "high")
        case "kimi":
            assert v.effort is None  # it thinks unasked
        case _:
            assert v.effort == "high"


@REASONERS
def test_stream_of_reasoning(upstream, create):
    kinds = once([e.type for e in create(upstream, "think", reasoning=EFFORT, stream=True)])
    assert kinds == [
        *TEXT_EVENTS[:2],
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        *TEXT_EVENTS[2:],
    ]


@REASONERS
@CHAINED
def test_reasoning_in_a_tool_loop(upstream, chained, complete):
    """Kept by the server, or by the client in encrypted form: the model gets its own thoughts back."""
    more = {} if chained else {"store": False, "include": ["reasoning.encrypted_content"]}
    done, _ = loop(complete, upstream, "ponder", [WEATHER], lambda call: "12 °C", chained, reasoning=EFFORT, **more)
    assert done.output_text == "I remember: 12 °C"


# --- errors ------------------------------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("status,kind,seen", OPENAI_ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_errors(upstream, status, kind, seen, stream, create):
    with pytest.raises(kind) as e:
        create(upstream, f"err-{status}", stream=stream)
    check_openai_error(e.value, status, seen)


@EVERY
def test_failure_in_mid_stream(upstream, create):
    """The event of this API; its text reaches the client."""
    events = list(create(upstream, "fail", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == TEXT
    assert (events[-1].type, events[-1].response.status) == ("response.failed", "failed")
    assert "Overloaded" in events[-1].response.error.message
    assert [e.sequence_number for e in events] == list(range(len(events)))


@EVERY
@pytest.mark.parametrize("plan", ["reset"] if DIRECT else ["cut", "reset"])
def test_upstream_gone_in_mid_stream(upstream, plan, create):
    """No end is invented for what was cut."""
    seen = []
    try:
        for e in create(upstream, plan, stream=True):
            seen.append(e.type)
    except Exception as e:
        assert "httpx" in type(e).__module__ or isinstance(e, openai.OpenAIError), e
    else:
        assert seen[-1] in ("response.failed", "error")
    assert "response.completed" not in seen


@EVERY
def test_abort(upstream, create, model):
    check_abort(create(upstream, "stall", stream=True), 5, model)


@EVERY
def test_many_at_once(upstream, place):
    async def main():
        async with openai.AsyncOpenAI(base_url=place.url + "/v1", api_key=place.key, max_retries=0) as client:

            async def one(n):
                more = {"model": place.name(upstream), "input": "plan:say"}
                if not n % 2:
                    return (await client.responses.create(**more)).output_text
                async with client.responses.stream(**more) as stream:
                    return (await stream.get_final_response()).output_text

            return await asyncio.gather(*(one(n) for n in range(24)))

    assert asyncio.run(main()) == [TEXT] * 24
