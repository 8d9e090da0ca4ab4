"""OpenAI Chat Completions, as api.openai.com judges a request."""

import json

from . import jsonschema, media
from .openai_common import COMMON, EFFORT, NAME, answered, known_tool, official, reasons, sampling
from .schema import (
    Refused,
    an_object,
    anything,
    array,
    below,
    boolean,
    by_kind,
    integer,
    maybe,
    number,
    one_of,
    record,
    table,
    tagged,
    text,
    unique,
)  # fmt: skip

TEXT_PART = record({"text": text()})
AUDIO = record({"data": lambda v, at: media.decode(v, at), "format": one_of("wav", "mp3")})
FILE = record({}, {"file_data": media.file_data, "file_id": text(), "filename": text()})
USER_PARTS = {
    "text": TEXT_PART,
    "image_url": record({"image_url": record({"url": media.image_url}, {"detail": one_of("auto", "low", "high")})}),
    "input_audio": record({"input_audio": AUDIO}),
    "file": record({"file": FILE}),
}


def content(parts):
    return by_kind(string=text(), array=array(tagged(parts), 1))


TEXTS = content({"text": TEXT_PART})
# `index` and `parsed_arguments` are left there by the Python SDK's own accumulator and parser.
CALL = tagged(
    {
        "function": record(
            {
                "id": text(1, 40),
                "function": record({"name": NAME, "arguments": text()}, {"parsed_arguments": anything}),
            },
            {"index": integer(0)},
        ),
        "custom": record({"id": text(1, 40), "custom": record({"name": NAME, "input": text()})}),
    }
)
PERSON = {"name": text(1, 64, r"[^\s<|\\/>]+")}
MESSAGE = tagged(
    {
        "system": record({"content": TEXTS}, PERSON),
        "developer": record({"content": TEXTS}, PERSON),
        "user": record({"content": content(USER_PARTS)}, PERSON),
        "assistant": record(
            {},
            {
                "content": maybe(content({"text": TEXT_PART, "refusal": record({"refusal": text()})})),
                "refusal": maybe(text()),
                "tool_calls": array(CALL, 1),
                "function_call": maybe(record({"name": NAME, "arguments": text()})),
                "audio": maybe(record({"id": text()})),
                "annotations": maybe(array(anything)),  # replies are sent back whole, as the SDKs make them
                "parsed": anything,
                "reasoning_content": maybe(text()),  # compatible servers only
                **PERSON,
            },
        ),
        "tool": record({"content": TEXTS, "tool_call_id": text(1, 40)}),
        "function": record({"content": maybe(text()), "name": NAME}),
    },
    tag="role",
)
GRAMMAR = tagged(
    {
        "text": record({}),
        "grammar": record({"grammar": record({"definition": text(1), "syntax": one_of("lark", "regex")})}),
    }
)
FUNCTION = record({"name": NAME}, {"description": text(), "parameters": an_object, "strict": maybe(boolean)})
TOOL = tagged(
    {
        "function": record({"function": FUNCTION}),
        "custom": record({"custom": record({"name": NAME}, {"description": text(), "format": GRAMMAR})}),
    }
)
NAMED = {"function": record({"function": record({"name": NAME})}), "custom": record({"custom": record({"name": NAME})})}
ALLOWED = record({"allowed_tools": record({"mode": one_of("auto", "required"), "tools": array(tagged(NAMED), 1)})})
FORMAT = tagged(
    {
        "text": record({}),
        "json_object": record({}),
        "json_schema": record(
            {
                "json_schema": record(
                    {"name": NAME}, {"description": text(), "schema": an_object, "strict": maybe(boolean)}
                )
            }
        ),
    }
)
APPROXIMATE = record({}, {k: text() for k in ("city", "country", "region", "timezone")})
BODY = record(
    {"model": text(1), "messages": array(MESSAGE, 1)},
    {
        **COMMON,
        "audio": maybe(record({"format": text(), "voice": anything})),
        "frequency_penalty": maybe(number(-2, 2)),
        "presence_penalty": maybe(number(-2, 2)),
        "function_call": by_kind(string=one_of("none", "auto"), object=record({"name": NAME})),
        "functions": array(FUNCTION, 1, 128),
        "logit_bias": maybe(table(number(-100, 100))),
        "logprobs": maybe(boolean),
        "max_completion_tokens": maybe(integer(1)),
        "max_tokens": maybe(integer(1)),
        "modalities": maybe(array(one_of("text", "audio"), 1)),
        "n": maybe(integer(1, 128)),
        "prediction": maybe(tagged({"content": record({"content": TEXTS})})),
        "reasoning_effort": maybe(EFFORT),
        "response_format": FORMAT,
        "seed": maybe(integer(-(2**63), 2**63 - 1)),
        "stop": maybe(by_kind(string=text(), array=array(text(), 1, 4))),
        "stream_options": maybe(record({}, {"include_usage": boolean, "include_obfuscation": boolean})),
        "tool_choice": by_kind(string=one_of("none", "auto", "required"), object=tagged({**NAMED, "allowed_tools": ALLOWED})),
        "tools": array(TOOL, 1),
        "verbosity": maybe(one_of("low", "medium", "high")),
        "web_search_options": record(
            {}, {"search_context_size": one_of("low", "medium", "high"),
                 "user_location": maybe(tagged({"approximate": record({"approximate": APPROXIMATE})}))},
        ),
    },
)  # fmt: skip


def check(body, headers):
    BODY(body, "")
    _messages(body["messages"])
    _tools(body)
    _format(body)
    _model(body)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused("stream_options", "only allowed when 'stream' is enabled")
    if body.get("metadata") is not None and official(body["model"]) and not body.get("store"):
        raise Refused("metadata", "the 'metadata' parameter is only allowed when 'store' is enabled")
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise Refused("top_logprobs", "only allowed when 'logprobs' is enabled")


def _messages(messages):
    pending = set()
    for i, m in enumerate(messages):
        at = below("messages", i)
        if m["role"] == "tool":
            if m["tool_call_id"] not in pending:
                raise Refused(
                    at, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
                )
            pending.discard(m["tool_call_id"])
            continue
        answered(pending, at)
        if m["role"] != "assistant":
            continue
        calls = [c["id"] for c in m.get("tool_calls", ())]
        unique(calls, at, "tool call id")
        pending = set(calls)
        if m.get("content") is None and not calls and not any(m.get(k) for k in ("function_call", "refusal", "audio")):
            raise Refused(below(at, "content"), "expected a string, got null", "invalid_type")
    answered(pending, "messages")


def _tools(body):
    tools = body.get("tools", ())
    unique((t[t["type"]]["name"] for t in tools), "tools", "tool name")
    for i, t in enumerate(tools):
        f = t.get("function", {})
        at = f"tools[{i}].function.parameters"
        if "parameters" in f:
            jsonschema.parameters(f["parameters"], at)
        if f.get("strict"):
            jsonschema.closed(f.get("parameters", {}), at, all_required=True)
    if not tools:
        for key in ("tool_choice", "parallel_tool_calls"):
            if body.get(key) is not None:
                raise Refused(key, f"'{key}' is only allowed when 'tools' are specified")
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        chosen = choice["allowed_tools"]["tools"] if choice["type"] == "allowed_tools" else [choice]
        for c in chosen:
            known_tool(
                (c["type"], c[c["type"]]["name"]), {(t["type"], t[t["type"]]["name"]) for t in tools}, "tool_choice"
            )


def _format(body):
    form = body.get("response_format", {})
    if form.get("type") == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        raise Refused("messages", "'messages' must contain the word 'json' in some form")
    if form.get("type") == "json_schema":
        at, schema = "response_format.json_schema.schema", form["json_schema"].get("schema")
        if schema is None:
            raise Refused(at, "field required", "missing_required_parameter")
        if form["json_schema"].get("strict"):
            jsonschema.parameters(schema, at)
            jsonschema.closed(schema, at, all_required=True)


def _model(body):
    model = body["model"]
    for i, m in enumerate(body["messages"]):
        if official(model) and "reasoning_content" in m:
            raise Refused(f"messages[{i}].reasoning_content", "unknown parameter", "unknown_parameter")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise Refused("max_tokens", "not together with 'max_completion_tokens'")
    if body.get("max_tokens") is not None and reasons(model):
        raise Refused("max_tokens", "use 'max_completion_tokens' with this model", "unsupported_parameter")
    if body.get("reasoning_effort") is not None and official(model) and not reasons(model):
        raise Refused("reasoning_effort", "not supported with this model", "unsupported_parameter")
    sampling(
        body,
        ("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "stop"),
        body.get("reasoning_effort"),
    )
