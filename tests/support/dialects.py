"""Realistic replies of OpenAI, Azure and Anthropic, as a mock's default script.

What is said depends on the request alone: tools are called once and then their result is repeated, a JSON schema is
answered with an object of it, images are counted. Token counts are fixed odd numbers per API (USAGE below).
Models named `err-STATUS…` answer that status in the error shape of the API asked.
"""

import base64
import itertools
import json
import re
import struct
from dataclasses import dataclass

from .mock_provider import Delay, Do, json_reply, sse, sse_reply

TEXT = "Grüße vom Wehr 🌊, said the upstream."  # 2-, 3- and 4-byte characters
PIECES = ["Grüße ", "vom Wehr ", "🌊, ", "said the ", "upstream."]
THOUGHT = "Water flows downhill."
EMBEDDING = [0.25, -1.5, 3.0e-2, 0.0]


@dataclass
class Entry:
    """What the upstream would bill: disjoint buckets."""

    id: str
    api: str
    model: str
    stream: bool
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    told: bool = False  # the usage was handed to the socket


USAGE = {
    "chat": dict(input=16, cache_read=7, output=8, reasoning=3),
    "completions": dict(input=5, output=4),
    "embeddings": dict(input=6),
    "moderations": dict(),
    "responses": dict(input=20, cache_read=16, output=9, reasoning=5),
    "messages": dict(input=9, cache_read=120, cache_write=40, cache_write_1h=8, output=31),
}

_serial = itertools.count(1)


def _entry(request, api, prefix):
    mock = request.conn.mock
    entry = Entry(f"{prefix}{next(_serial):06d}", api, request.model, bool(_stream(request)), **USAGE[api])
    mock.ledger[entry.id] = entry
    return entry


def _stream(request):
    return request.method == "POST" and request.json.get("stream")


def _told(entry):
    return Do(lambda: setattr(entry, "told", True))


# --- errors --------------------------------------------------------------------------------------------------------

OPENAI_ERRORS = {
    400: ("invalid_request_error", "invalid_value"),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}
ANTHROPIC_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


def openai_error(status, message=None, headers=()):
    type_, code = OPENAI_ERRORS.get(status, ("server_error", None))
    body = {"error": {"message": message or f"upstream says {status}", "type": type_, "param": None, "code": code}}
    return json_reply(body, status, headers)


def anthropic_error(status, message=None, headers=()):
    body = {
        "type": "error",
        "error": {"type": ANTHROPIC_ERRORS.get(status, "api_error"), "message": message or f"upstream says {status}"},
        "request_id": "req_mock",
    }
    return json_reply(body, status, headers)


def error(request, status, headers=()):
    make = anthropic_error if "/messages" in request.path else openai_error
    return make(status, headers=headers)


# --- OpenAI --------------------------------------------------------------------------------------------------------


def chat_usage(e):
    prompt, completion = e.input + e.cache_read, e.output + e.reasoning
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": e.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": e.reasoning, "audio_tokens": 0,
                                      "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    }  # fmt: skip


def _user_text(body):
    """What to say, and whether to call a tool first."""
    last = body["messages"][-1] if body["messages"] else {"role": "user", "content": ""}
    if last["role"] == "tool":
        return f"The tool said {last['content']}", False
    images = [p for p in last["content"] if p.get("type") == "image_url"] if isinstance(last["content"], list) else []
    if images:
        return f"I see {len(images)} image(s) of {sum(len(p['image_url']['url']) for p in images)} characters", False
    if (body.get("response_format") or {}).get("type") == "json_schema":
        return '{"name":"Ada","age":36}', False
    return TEXT, bool(body.get("tools"))


def _pieces(text):
    return PIECES if text == TEXT else [text[i : i + 7] for i in range(0, len(text), 7)]


CALL = {"id": "call_weather1", "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Zürich"}'}}  # fmt: skip


def chat(request):
    body = request.json
    e = _entry(request, "chat", "chatcmpl-")
    text, call = _user_text(body)
    common = {"id": e.id, "created": 1700000000, "model": body["model"], "service_tier": "default",
              "system_fingerprint": "fp_mock"}  # fmt: skip
    reasoning = {"reasoning_content": THOUGHT} if "reason" in body["model"] else {}
    finish = "tool_calls" if call else "stop"
    n = body.get("n") or 1
    if not body.get("stream"):
        message = {"role": "assistant", "content": None if call else text, "refusal": None, "annotations": []}
        if call:
            message["tool_calls"] = [CALL]
        choices = [
            {"index": i, "message": {**message, **reasoning}, "logprobs": None, "finish_reason": finish}
            for i in range(n)
        ]
        return [
            *json_reply({**common, "object": "chat.completion", "choices": choices, "usage": chat_usage(e)}, headers=_ids(e)),
            _told(e),
        ]

    wants_usage = (body.get("stream_options") or {}).get("include_usage")

    def event(choices, usage=None):
        extra = {"usage": usage} if wants_usage else {}
        return sse({**common, "object": "chat.completion.chunk", "choices": choices, **extra})

    def choice(i, delta, finish=None):
        return {"index": i, "delta": delta, "logprobs": None, "finish_reason": finish}

    deltas = [{"role": "assistant", "content": None if call else "", "refusal": None}]
    if reasoning:
        deltas += [{"reasoning_content": w + " "} for w in THOUGHT.split()]
    if call:
        function = CALL["function"]
        deltas.append({"tool_calls": [{"index": 0, **CALL, "function": {**function, "arguments": ""}}]})
        args = function["arguments"]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": args[k : k + 6]}}]}
                   for k in range(0, len(args), 6)]  # fmt: skip
    else:
        deltas += [{"content": p} for p in _pieces(text)]
    events = [event([choice(i, d)]) for d in deltas for i in range(n)]  # choices interleave
    events += [event([choice(i, {}, finish)]) for i in range(n)]
    if wants_usage:
        events += [event([], chat_usage(e)), _told(e)]
    pace = Delay(0.05) if "slow" in body["model"] else None
    if pace:
        events = [x for ev in events for x in (ev, pace)]
    return sse_reply([*events, b"data: [DONE]\n\n"], headers=_ids(e))


def _ids(e):
    return (("x-request-id", "req_" + e.id), ("openai-organization", "org-mock"), ("openai-processing-ms", "17"),
            ("x-ratelimit-remaining-requests", "99"), ("Set-Cookie", "upstream=1"), ("Server", "mock"))  # fmt: skip


def completions(request):
    body = request.json
    e = _entry(request, "completions", "cmpl-")
    usage = {"prompt_tokens": e.input, "completion_tokens": e.output, "total_tokens": e.input + e.output}
    common = {"id": e.id, "object": "text_completion", "created": 1700000000, "model": body["model"]}
    if not body.get("stream"):
        choices = [{"text": TEXT, "index": 0, "logprobs": None, "finish_reason": "stop"}]
        return [*json_reply({**common, "choices": choices, "usage": usage}, headers=_ids(e)), _told(e)]
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    extra = {"usage": None} if wants_usage else {}
    events = [
        sse({**common, "choices": [{"text": p, "index": 0, "logprobs": None, "finish_reason": None}], **extra})
        for p in PIECES
    ]
    events.append(sse({**common, "choices": [{"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}],
                       **extra}))  # fmt: skip
    if wants_usage:
        events += [sse({**common, "choices": [], "usage": usage}), _told(e)]
    return sse_reply([*events, b"data: [DONE]\n\n"])


def embeddings(request):
    body = request.json
    e = _entry(request, "embeddings", "emb-")
    inputs = body["input"] if isinstance(body["input"], list) and not isinstance(body["input"][0], int) else [0]
    value = EMBEDDING
    if body.get("encoding_format") == "base64":
        value = base64.b64encode(struct.pack(f"<{len(EMBEDDING)}f", *EMBEDDING)).decode()
    data = [{"object": "embedding", "index": i, "embedding": value} for i in range(len(inputs))]
    usage = {"prompt_tokens": e.input, "total_tokens": e.input}
    return [*json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage}), _told(e)]


def moderations(request):
    e = _entry(request, "moderations", "modr-")
    categories = {"harassment": False, "violence": True}
    result = {"flagged": True, "categories": categories, "category_scores": {"harassment": 0.1, "violence": 0.98},
              "category_applied_input_types": {"harassment": ["text"], "violence": ["text"]}}  # fmt: skip
    return [*json_reply({"id": e.id, "model": request.model, "results": [result]}), _told(e)]


# --- OpenAI Responses ----------------------------------------------------------------------------------------------


def responses_usage(e):
    return {
        "input_tokens": e.input + e.cache_read, "input_tokens_details": {"cached_tokens": e.cache_read},
        "output_tokens": e.output + e.reasoning, "output_tokens_details": {"reasoning_tokens": e.reasoning},
        "total_tokens": e.input + e.cache_read + e.output + e.reasoning,
    }  # fmt: skip


def response_object(id_, model, status="completed", text=TEXT, usage=None, output=None):
    if output is None:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        output = [{"type": "message", "id": "msg_r1", "status": "completed", "role": "assistant", "content": [part]}]
    return {
        "id": id_, "object": "response", "created_at": 1700000000, "status": status, "background": False,
        "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": model,
        "output": output, "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": usage, "user": None, "metadata": {},
    }  # fmt: skip


def responses(request):
    body = request.json
    e = _entry(request, "responses", "resp_")
    model = body["model"]
    done = response_object(e.id, model, usage=responses_usage(e))
    if not body.get("stream"):
        return [*json_reply(done, headers=_ids(e)), _told(e)]
    item = done["output"][0]
    started = response_object(e.id, model, "in_progress", output=[])
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
        ("response.output_item.added",
         {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**at, "part": empty}),
        *(("response.output_text.delta", {**at, "delta": p, "logprobs": [], "obfuscation": "xY"}) for p in PIECES),
        ("response.output_text.done", {**at, "text": TEXT, "logprobs": []}),
        ("response.content_part.done", {**at, "part": item["content"][0]}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": done}),
    ]  # fmt: skip
    frames = [sse({"type": t, "sequence_number": i, **d}, t) for i, (t, d) in enumerate(events)]
    return sse_reply([*frames, _told(e)], headers=_ids(e))


RESPONSE_PATH = re.compile(r"^/v1/responses/([^/]+)(/cancel|/input_items)?$")


def response_below(request):
    id_, what = RESPONSE_PATH.match(request.path).groups()
    if id_.startswith("resp_unknown"):
        return openai_error(404, f"Response with id '{id_}' not found.")
    if what == "/input_items":
        part = {"type": "input_text", "text": "hello"}
        item = {"id": "msg_i1", "type": "message", "role": "user", "status": "completed", "content": [part]}
        return json_reply({"object": "list", "data": [item], "first_id": "msg_i1", "last_id": "msg_i1",
                           "has_more": False})  # fmt: skip
    if request.method == "DELETE":
        return json_reply({"id": id_, "object": "response", "deleted": True})
    entry = request.conn.mock.ledger.get(id_)
    model = entry.model if entry else "gpt-up"
    status = "cancelled" if what == "/cancel" else "completed"
    return json_reply(response_object(id_, model, status, usage=responses_usage(entry) if entry else None))


# --- Anthropic -----------------------------------------------------------------------------------------------------


def messages_usage(e, output):
    return {
        "input_tokens": e.input,
        "cache_creation_input_tokens": e.cache_write + e.cache_write_1h,
        "cache_read_input_tokens": e.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": e.cache_write, "ephemeral_1h_input_tokens": e.cache_write_1h},
        "output_tokens": output, "service_tier": "standard",
    }  # fmt: skip


def messages(request):
    body = request.json
    e = _entry(request, "messages", "msg_")
    last = body["messages"][-1]["content"] if body["messages"] else ""
    result = [b for b in last if b.get("type") == "tool_result"] if isinstance(last, list) else []
    blocks = []
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmF0dXJl"})
    if body.get("tools") and not result:
        blocks.append({"type": "text", "text": "Let me look.", "citations": None})
        blocks.append({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Zürich"}})
    else:
        said = f"The tool said {result[0]['content']}" if result else TEXT
        blocks.append({"type": "text", "text": said, "citations": None})
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    message = {"id": e.id, "type": "message", "role": "assistant", "model": body["model"], "container": None,
               "content": blocks, "stop_reason": stop, "stop_sequence": None, "stop_details": None,
               "usage": messages_usage(e, e.output)}  # fmt: skip
    ids = (("request-id", "req_" + e.id), ("anthropic-organization-id", "org-a"),
           ("anthropic-ratelimit-requests-remaining", "98"))  # fmt: skip
    if not body.get("stream"):
        return [*json_reply(message, headers=ids), _told(e)]

    start = {**message, "content": [], "stop_reason": None, "usage": messages_usage(e, 1)}
    events = [("message_start", {"message": start}), ("ping", {})]
    for i, block in enumerate(blocks):
        kind = block["type"]
        empty = {"text": {**block, "text": ""}, "thinking": {**block, "thinking": "", "signature": ""},
                 "tool_use": {**block, "input": {}}}[kind]  # fmt: skip
        events.append(("content_block_start", {"index": i, "content_block": empty}))
        if kind == "text":
            deltas = [{"type": "text_delta", "text": p} for p in _pieces(block["text"])]
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": w} for w in ("Water flows", " downhill.")]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            text = json.dumps(block["input"], ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in ("", text[:8], text[8:])]
        events += [("content_block_delta", {"index": i, "delta": d}) for d in deltas]
        events.append(("content_block_stop", {"index": i}))
        events.append(("ping", {}))
    if "fail" in body["model"]:
        events.append(("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}))
    else:
        events.append(("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None},
                                         "usage": {"output_tokens": e.output}}))  # fmt: skip
        events.append(("message_stop", {}))
    frames = [sse({"type": t, **d}, t) for t, d in events]
    if "slow" in body["model"]:
        frames = [x for f in frames for x in (f, Delay(0.05))]
    return sse_reply([*frames, _told(e)], headers=ids)


def count_tokens(request):
    return json_reply({"input_tokens": 14})


# --- by path -------------------------------------------------------------------------------------------------------

ROUTES = [
    (re.compile(r"/chat/completions$"), chat),
    (re.compile(r"/completions$"), completions),
    (re.compile(r"/embeddings$"), embeddings),
    (re.compile(r"/moderations$"), moderations),
    (re.compile(r"/messages/count_tokens$"), count_tokens),
    (re.compile(r"/messages$"), messages),
    (re.compile(r"/responses$"), responses),
]


def default(request):
    if bad := re.match(r"(?:claude-)?err-(\d+)", request.model):
        status = int(bad[1])
        headers = (("retry-after", "7"), ("x-should-retry", "false")) if status in (429, 503, 529) else ()
        return error(request, status, headers)
    if RESPONSE_PATH.match(request.path):
        return response_below(request)
    for pattern, script in ROUTES:
        if request.method == "POST" and pattern.search(request.path):
            return script(request)
    return openai_error(404, f"no route {request.method} {request.path} at the mock")
