"""The judges of tests/support/strict themselves: what real providers take, they take; what those refuse, they refuse.

That they take the requests of the official SDKs is seen with WEIR_DIRECT=1, where test_pairs_* talk to the mock.
"""

import copy
import json
from types import SimpleNamespace

import pytest

from support import strict
from support.samples import JPEG, PDF, PNG, data_url
from support.strict.seals import seal

ANTHROPIC = [("x-api-key", "k"), ("anthropic-version", "2023-06-01")]
OPENAI = [("authorization", "Bearer k")]


def judge(path, body, headers=None, stored=()):
    """None, or what is wrong."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = headers if headers is not None else ANTHROPIC if "/messages" in path else OPENAI
    pairs = [*headers, ("content-type", "application/json")]
    request = SimpleNamespace(method="POST", path=path, body=body, header_list=pairs, headers=dict(pairs))
    refused = strict.judge(request, dict(stored))
    return refused and str(refused)


def changed(body, changes):
    """A copy with members set by dotted path; DROP removes."""
    body = copy.deepcopy(body)
    for path, value in changes.items():
        *way, last = [int(k) if k.lstrip("-").isdigit() else k for k in path.split(".")]
        target = body
        for k in way:
            target = target[k]
        if value is DROP:
            del target[last]
        else:
            target[last] = value
    return body


DROP = object()
OBJECT = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOSED = {**OBJECT, "additionalProperties": False, "required": ["city"]}

# --- Anthropic Messages --------------------------------------------------------------------------------------------

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": seal("hm")}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Bern"}}
MESSAGES = {
    "model": "claude-haiku-4-5", "max_tokens": 4096, "stream": True,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "tools": [{"name": "f", "description": "d", "input_schema": OBJECT, "strict": False}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["END"],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "title": "a"},
        ]},
        {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "I look."}, USE]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12"}]},
    ],
}  # fmt: skip
BAD_MESSAGES = {
    "no max_tokens": ({"max_tokens": DROP}, "max_tokens"),
    "unknown member": ({"n": 2}, "n: unknown"),
    "member of another API below": ({"messages.0.content.0.cache": 1}, "unknown parameter"),
    "no messages": ({"messages": []}, "too short"),
    "assistant first": ({"messages.0.role": "assistant", "messages.0.content": "x"}, "first message"),
    "empty text": ({"messages.0.content.0.text": ""}, "non-whitespace"),
    "blank text": ({"messages.0.content.0.text": " \n"}, "non-whitespace"),
    "empty content": ({"messages.0.content": []}, "non-empty"),
    "empty system text": ({"system.0.text": ""}, "non-whitespace"),
    "data URL in base64": ({"messages.0.content.1.source.data": data_url("image/png", PNG)}, "base64"),
    "image of another type": ({"messages.0.content.1.source.data": JPEG}, "not image/png"),
    "media type in short": ({"messages.0.content.1.source.media_type": "image/jpg"}, "none of"),
    "id with a dot": ({"messages.1.content.2.id": "f.0", "messages.2.content.0.tool_use_id": "f.0"}, "does not match"),
    "arguments as text": ({"messages.1.content.2.input": "{}"}, "expected object"),
    "result of no call": ({"messages.2.content.0.tool_use_id": "toolu_2"}, "unexpected `tool_use_id`"),
    "no result": ({"messages.2.content": "well"}, "without `tool_result`"),
    "no next message": ({"messages.2": DROP}, "without `tool_result`"),
    "result behind words": (
        {"messages.2.content": [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "toolu_1"}]}, "before"),
    "two results": ({"messages.2.content": [{"type": "tool_result", "tool_use_id": "toolu_1"}] * 2}, "single result"),
    "one id twice": ({"messages.1.content": [THOUGHT, USE, USE]}, "not unique"),
    "no tools but their history": ({"tools": DROP, "tool_choice": DROP}, "must define tools"),
    "choice without tools": ({"tools": DROP, "messages": [{"role": "user", "content": "x"}]}, "while providing tools"),
    "choice of OpenAI": ({"tool_choice": "auto"}, "expected object"),
    "tool of OpenAI": ({"tools.0": {"type": "function", "function": {"name": "f"}}}, "does not match"),
    "schema without type": ({"tools.0.input_schema": {"properties": {}}}, "field required"),
    "schema of alternatives": ({"tools.0.input_schema.anyOf": []}, "top level"),
    "strict schema left open": ({"tools.0.strict": True}, "additionalProperties"),
    "tool name with a dot": ({"tools.0.name": "a.b"}, "does not match"),
    "forged signature": ({"messages.1.content.0.signature": "Zm9v"}, "invalid `signature`"),
    "changed thought": ({"messages.1.content.0.thinking": "ah"}, "invalid `signature`"),
    "forged redacted thought": ({"messages.1.content.0": {"type": "redacted_thinking", "data": "Zm9v"}}, "invalid `data`"),
    "no thought before the call": ({"messages.1.content.0": DROP}, "expected `thinking`"),
    "budget above the limit": ({"max_tokens": 1024}, "greater than"),
    "budget too small": ({"thinking.budget_tokens": 512}, "1024"),
    "forced tool with thinking": ({"tool_choice": {"type": "any"}}, "forces tool use"),
    "warm thinking": ({"temperature": 0.5}, "set to 1"),
    "temperature of OpenAI": ({"thinking": DROP, "temperature": 1.5}, "0..1"),
    "adaptive before its time": ({"thinking": {"type": "adaptive"}}, "not supported on this model"),
    "budget after its time": ({"model": "claude-opus-4-8"}, "use `adaptive`"),
    "effort before its time": ({"output_config": {"effort": "low"}}, "does not support the effort"),
    "sampling after its time": (
        {"model": "claude-opus-5", "thinking": {"type": "adaptive"}, "temperature": 0.5}, "1 when thinking"),
    "schema left open": ({"output_config": {"format": {"type": "json_schema", "schema": OBJECT}}}, "additionalProperties"),
    "schema before its time": (
        {"model": "claude-3-7-sonnet", "output_config": {"format": {"type": "json_schema", "schema": CLOSED}}}, "output format"),
    "five cache marks": (
        {"messages.0.content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 4}, "maximum of 4"),
    "metadata of OpenAI": ({"metadata": {"k": "v"}}, "unknown parameter"),
    "blank stop": ({"stop_sequences": [" "]}, "does not match"),
    "null where none is": ({"stop_sequences": None}, "expected array"),
}  # fmt: skip


def test_messages_of_every_kind_are_taken():
    assert judge("/v1/messages", MESSAGES) is None
    prefill = {"model": "claude-haiku-4-5", "max_tokens": 1,
               "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "{"}]}  # fmt: skip
    assert judge("/v1/messages", prefill) is None
    assert "prefill" in judge("/v1/messages", {**prefill, "model": "claude-sonnet-4-6"})
    assert "whitespace" in judge("/v1/messages", changed(prefill, {"messages.1.content": "{ "}))


@pytest.mark.parametrize("changes,why", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_bad_messages(changes, why):
    assert why in judge("/v1/messages", changed(MESSAGES, changes))


def test_headers_of_anthropic():
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    assert judge("/v1/messages", body) is None
    key, version = ANTHROPIC
    assert "version" in judge("/v1/messages", body, [key])
    assert "credentials" in judge("/v1/messages", body, [version])
    assert "credentials" in judge("/v1/messages", body, [key, version, ("authorization", "Bearer k")])
    assert "beta" in judge("/v1/messages", body, [key, version, ("anthropic-beta", "files-api-2025-04-14,made-up")])
    newer = [key, ("anthropic-version", "2026-10-21")]
    assert "temperature" in judge("/v1/messages", {**body, "temperature": 1}, newer)
    assert "max_tokens" in judge("/v1/messages/count_tokens", body)


# --- OpenAI Chat Completions -----------------------------------------------------------------------------------------

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHAT = {
    "model": "gpt-4.1", "max_tokens": 99, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": OBJECT}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False,
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}},
        ]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12"},
        {"role": "user", "content": ""},
    ],
}  # fmt: skip
BAD_CHAT = {
    "unknown member": ({"top_k": 2}, "unknown parameter"),
    "member of Anthropic below": ({"messages.0.cache_control": {"type": "ephemeral"}}, "unknown parameter"),
    "thoughts to OpenAI": ({"messages.2.reasoning_content": "hm"}, "unknown parameter"),
    "empty parts": ({"messages.1.content": []}, "too short"),
    "no calls": ({"messages.2.tool_calls": []}, "too short"),
    "nothing said": ({"messages.2.tool_calls": DROP, "messages.3": DROP}, "got null"),
    "call left alone": ({"messages.3": DROP}, "no tool output"),
    "result of no call": ({"messages.3.tool_call_id": "call_2"}, "preceding message"),
    "long id": ({"messages.2.tool_calls.0.id": "x" * 41, "messages.3.tool_call_id": "x" * 41}, "at most 40"),
    "arguments as object": ({"messages.2.tool_calls.0.function.arguments": {}}, "expected string"),
    "image in a result": (
        {"messages.3.content": [{"type": "image_url", "image_url": {"url": data_url("image/png", PNG)}}]}, "none of text"),
    "image of another type": ({"messages.1.content.1.image_url.url": data_url("image/png", JPEG)}, "not image/png"),
    "image without data URL": ({"messages.1.content.1.image_url.url": PNG}, "URL"),
    "schema without type": ({"tools.0.function.parameters": {}}, "type"),
    "strict schema with an option": (
        {"tools.0.function": {"name": "f", "strict": True, "parameters": {**CLOSED, "required": []}}}, "every property"),
    "flat tool": ({"tools.0": {"type": "function", "name": "f"}}, "field required"),
    "choice of Anthropic": ({"tool_choice": {"type": "any"}}, "none of"),
    "choice of no tool": ({"tool_choice.function.name": "g"}, "not found"),
    "choice without tools": ({"tools": DROP, "messages": [{"role": "user", "content": "x"}]}, "when 'tools' are specified"),
    "five stops": ({"stop": list("abcde")}, "at most 4"),
    "usage without a stream": ({"stream": False}, "when 'stream' is enabled"),
    "both limits": ({"max_completion_tokens": 9}, "not together"),
    "old limit on a reasoner": ({"model": "o4-mini", "temperature": DROP}, "max_completion_tokens"),
    "sampling on a reasoner": ({"model": "o4-mini", "max_tokens": DROP}, "not supported with this model"),
    "effort on another": ({"reasoning_effort": "low"}, "not supported with this model"),
    "JSON unasked": ({"response_format": {"type": "json_object"}}, "json"),
    "strict format left open": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": OBJECT}}},
        "additionalProperties"),
    "long user": ({"user": "u" * 65}, "at most 64"),
    "metadata of numbers": ({"metadata": {"k": 1}}, "expected string"),
    "metadata without a store": ({"metadata": {"k": "v"}}, "when 'store' is enabled"),
}  # fmt: skip


def test_chat_of_every_kind_is_taken():
    assert judge("/v1/chat/completions", CHAT) is None
    compatible = changed(CHAT, {"model": "qwen", "messages.2.reasoning_content": "hm", "reasoning_effort": "low"})
    assert judge("/v1/chat/completions", compatible) is None


@pytest.mark.parametrize("changes,why", BAD_CHAT.values(), ids=BAD_CHAT)
def test_bad_chat(changes, why):
    assert why in judge("/v1/chat/completions", changed(CHAT, changes))


def test_text_that_is_no_request():
    assert "parse" in judge("/v1/chat/completions", b"{")
    assert "repeated" in judge("/v1/chat/completions", b'{"model":"a","model":"b"}')
    assert "object" in judge("/v1/chat/completions", b"[]")


# --- OpenAI Responses ------------------------------------------------------------------------------------------------

REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": seal("hm"),
}
RESPONSES = {
    "model": "gpt-5-mini", "stream": True, "store": False, "include": ["reasoning.encrypted_content"], "max_output_tokens": 99,
    "reasoning": {"effort": "low", "summary": "auto"}, "instructions": "s",
    "tools": [{"type": "function", "name": "f", "parameters": OBJECT, "strict": False}, {"type": "web_search"},
              {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}],
    "tool_choice": {"type": "function", "name": "f"},
    "input": [
        {"role": "user", "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": data_url("image/png", PNG), "detail": "auto"},
            {"type": "input_file", "filename": "a.pdf", "file_data": data_url("application/pdf", PDF)},
        ]},
        REASONING,
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}", "id": "fc_1"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "12"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
        {"role": "user", "content": "and?"},
    ],
}  # fmt: skip
BAD_RESPONSES = {
    "unknown member": ({"stop": "x"}, "unknown parameter"),
    "messages of chat": ({"messages": []}, "unknown parameter"),
    "nothing to answer": ({"input": []}, "must be provided"),
    "small limit": ({"max_output_tokens": 15}, "16"),
    "input part of an assistant": ({"input.4.content.0.type": "input_text"}, "none of output_text"),
    "output part of a user": ({"input.0.content.0.type": "output_text"}, "none of input_text"),
    "part of chat": ({"input.0.content.0.type": "text"}, "none of input_text"),
    "image as object": ({"input.0.content.1.image_url": {"url": "https://x.example/"}}, "expected string"),
    "item id of another kind": ({"input.2.id": "call_1"}, "does not match"),
    "long call id": ({"input.2.call_id": "x" * 65, "input.3.call_id": "x" * 65}, "at most 64"),
    "arguments as object": ({"input.2.arguments": {}}, "expected string"),
    "result of no call": ({"input.3.call_id": "call_2"}, "no tool call found"),
    "call left alone": ({"input.3": DROP}, "no tool output"),
    "result of a custom call": ({"input.3.type": "custom_tool_call_output"}, "no tool call found"),
    "one call twice": ({"input": [*RESPONSES["input"], *RESPONSES["input"]]}, "not unique"),
    "thought left alone": ({"input": [RESPONSES["input"][0], REASONING]}, "required following item"),
    "thought before a user": ({"input.2": {"role": "user", "content": "x"}, "input.3": DROP}, "required following item"),
    "thought with a status": ({"input.1.status": "completed"}, "unknown parameter"),
    "forged seal": ({"input.1.encrypted_content": "Zm9v"}, "could not be verified"),
    "changed summary": ({"input.1.summary.0.text": "ah"}, "could not be verified"),
    "thought by name alone": ({"input.1.encrypted_content": DROP}, "not persisted"),
    "unknown reference": ({"input.5": {"type": "item_reference", "id": "msg_1"}}, "not found"),
    "unknown previous": ({"previous_response_id": "resp_1"}, "not found"),
    "nested tool": ({"tools.0": {"type": "function", "function": {"name": "f"}}}, "field required"),
    "nested choice": ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "field required"),
    "choice of no tool": ({"tool_choice.name": "g"}, "not found"),
    "strict schema left open": ({"tools.0.strict": True}, "additionalProperties"),
    "nested format": ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "field required"),
    "sampling on a reasoner": ({"temperature": 0.5}, "not supported with this model"),
    "effort on another": ({"model": "gpt-4.1"}, "not supported with this model"),
    "seal from another": ({"model": "gpt-4.1", "reasoning": DROP}, "encrypted content is not supported"),
    "include of nothing": ({"include": ["usage"]}, "none of"),
}  # fmt: skip


def test_responses_of_every_kind_are_taken():
    assert judge("/v1/responses", RESPONSES) is None
    assert judge("/v1/responses", {"model": "gpt-4.1", "input": "x", "temperature": 0.5}) is None
    kept = {"resp_1": [{"role": "user", "content": "x"}, {**RESPONSES["input"][2]}]}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "12"}
    chained = {"model": "gpt-4.1", "input": [output], "previous_response_id": "resp_1"}
    assert judge("/v1/responses", chained, stored=kept) is None
    assert "no tool output" in judge("/v1/responses", {**chained, "input": "x"}, stored=kept)


@pytest.mark.parametrize("changes,why", BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_bad_responses(changes, why):
    assert why in judge("/v1/responses", changed(RESPONSES, changes))
