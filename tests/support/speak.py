"""Says a list of parts (parts.py) as a reply of each API, plain or streamed, with its usage and its errors.

    speak.chat(request, [Text("Hello")])              steps for the mock, as all here
    speak.answer(request, [Call("lookup", "{}")])     by the request's path

A Fail as the first part is an error reply, later it is an error in mid-stream. Token counts are fixed odd numbers per
API (USAGE); every reply is in the mock's ledger.
"""

import itertools
import json
from dataclasses import dataclass

from .mock_provider import FIN, LAST_CHUNK, RST, STALL, Delay, Do, chunk, head, json_reply, sse, sse_reply
from .parts import Call, Cut, End, Fail, Pace, Pause, Refusal, Text, Thought, of, text_of
from .strict.openai_common import official
from .strict.seals import seal


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
SPLIT = {"Grüße vom Wehr 🌊, said the upstream.": ["Grüße ", "vom Wehr ", "🌊, ", "said the ", "upstream."]}
_serial = itertools.count(1)


def new_entry(request, api, prefix):
    stream = request.method == "POST" and request.json.get("stream")
    entry = Entry(f"{prefix}{next(_serial):06d}", api, request.model, bool(stream), **USAGE[api])
    request.conn.mock.ledger[entry.id] = entry
    return entry


def told(entry):
    return Do(lambda: setattr(entry, "told", True))


def pieces(text):
    return SPLIT.get(text) or [text[i : i + 7] for i in range(0, len(text), 7)]


def _finish(parts):
    """stop, length, sequence, filter, refusal or calls."""
    if ends := of(End, parts):
        return ends[-1].reason
    return "calls" if of(Call, parts) else "refusal" if of(Refusal, parts) else "stop"


BREAKS = (Fail, Cut, Pause)


def _steps(events, parts, headers, *last):
    """Frames and what is between them, then `last`; a Cut is the end."""
    pace = [Delay(p.seconds) for p in of(Pace, parts)]
    steps = []
    for e in events:
        if isinstance(e, Cut):
            return [*sse_reply(steps, headers, end=RST if e.reset else LAST_CHUNK), FIN]
        if isinstance(e, Pause):
            steps.append(STALL if e.seconds is None else Delay(e.seconds))
        else:
            steps += [e, *pace]
    return sse_reply([*steps, *last], headers)


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


def _openai_fault(status, message):
    type_, code = OPENAI_ERRORS.get(status, ("server_error", None))
    return {"error": {"message": message or f"upstream says {status}", "type": type_, "param": None, "code": code}}


def _anthropic_fault(status, message):
    kind = ANTHROPIC_ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message or f"upstream says {status}"}}


def openai_error(status, message=None, headers=()):
    return json_reply(_openai_fault(status, message), status, headers)


def anthropic_error(status, message=None, headers=()):
    return json_reply({**_anthropic_fault(status, message), "request_id": "req_mock"}, status, headers)


def error(request, status, headers=(), message=None):
    make = anthropic_error if "/messages" in request.path else openai_error
    return make(status, message, headers)


# --- OpenAI Chat Completions ---------------------------------------------------------------------------------------


def chat_usage(e):
    prompt, completion = e.input + e.cache_read, e.output + e.reasoning
    return {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": e.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": e.reasoning, "audio_tokens": 0,
                                      "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    }  # fmt: skip


def openai_headers(e):
    return (("x-request-id", "req_" + e.id), ("openai-organization", "org-mock"), ("openai-processing-ms", "17"),
            ("x-ratelimit-remaining-requests", "99"), ("Set-Cookie", "upstream=1"), ("Server", "mock"))  # fmt: skip


CHAT_FINISH = {"stop": "stop", "sequence": "stop", "refusal": "stop", "length": "length", "filter": "content_filter",
               "calls": "tool_calls"}  # fmt: skip


def _chat_call(c):
    id_ = c.id or f"call_{next(_serial):024d}"
    if c.custom:
        return {"id": id_, "type": "custom", "custom": {"name": c.name, "input": c.args}}
    return {"id": id_, "type": "function", "function": {"name": c.name, "arguments": c.args}}


def _logprobs(text):
    """One token a piece."""
    return [{"token": p, "logprob": -0.25, "bytes": list(p.encode()), "top_logprobs": []} for p in pieces(text)]


def chat(request, parts):
    body = request.json
    if fault := _first_fault(request, parts):
        return fault
    if official(body["model"]):  # they keep their reasoning to themselves in this API
        parts = [p for p in parts if not isinstance(p, Thought)]
    e = new_entry(request, "chat", "chatcmpl-")
    common = {"id": e.id, "created": 1700000000, "model": body["model"], "service_tier": "default",
              "system_fingerprint": "fp_mock"}  # fmt: skip
    make = _chat_stream if body.get("stream") else _chat_plain
    return make(body, parts, e, common, CHAT_FINISH[_finish(parts)])


def _chat_plain(body, parts, e, common, finish):
    refusal = "".join(p.text for p in of(Refusal, parts)) or None
    message = {"role": "assistant", "content": text_of(parts) or None, "refusal": refusal, "annotations": []}
    if thoughts := of(Thought, parts):
        message["reasoning_content"] = "".join(t.text for t in thoughts)
    if calls := of(Call, parts):
        message["tool_calls"] = [_chat_call(c) for c in calls]
    logprobs = {"content": _logprobs(text_of(parts)), "refusal": None} if body.get("logprobs") else None
    choices = [{"index": i, "message": message, "logprobs": logprobs, "finish_reason": finish}
               for i in range(body.get("n") or 1)]  # fmt: skip
    whole = {**common, "object": "chat.completion", "choices": choices, "usage": chat_usage(e)}
    return [*json_reply(whole, headers=openai_headers(e)), told(e)]


def _chat_deltas(parts):
    """(delta, logprobs), or a part that is no delta."""
    begins = of(Call, parts) and not of(Text, parts)
    yield {"role": "assistant", "content": None if begins else "", "refusal": None}, None
    calls = 0
    for p in parts:
        match p:
            case Thought():
                for piece in pieces(p.text):
                    yield {"reasoning_content": piece}, None
            case Text():
                for piece in pieces(p.text):
                    yield {"content": piece}, _logprobs(piece)
            case Refusal():
                for piece in pieces(p.text):
                    yield {"refusal": piece}, None
            case Call():
                whole = _chat_call(p)
                inside, key = whole[whole["type"]], "input" if p.custom else "arguments"
                yield {"tool_calls": [{"index": calls, **whole, whole["type"]: {**inside, key: ""}}]}, None
                for k in range(0, len(p.args), 6):
                    yield {"tool_calls": [{"index": calls, whole["type"]: {key: p.args[k : k + 6]}}]}, None
                calls += 1
            case _ if isinstance(p, BREAKS):
                yield p


def _chat_stream(body, parts, e, common, finish):
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    choices = range(body.get("n") or 1)

    def event(choices, usage=None):
        extra = {"usage": usage} if wants_usage else {}
        return sse({**common, "object": "chat.completion.chunk", "choices": choices, **extra})

    def choice(i, delta, logprobs=None, finish=None):
        shown = {"content": logprobs, "refusal": None} if logprobs and body.get("logprobs") else None
        return {"index": i, "delta": delta, "logprobs": shown, "finish_reason": finish}

    def events():
        for d in _chat_deltas(parts):
            if isinstance(d, Fail):
                yield sse(_openai_fault(d.status, d.message))
                return
            if isinstance(d, (Cut, Pause)):
                yield d
            else:
                yield from (event([choice(i, *d)]) for i in choices)  # choices interleave
        yield from (event([choice(i, {}, finish=finish)]) for i in choices)
        if wants_usage:
            yield event([], chat_usage(e))
            yield told(e)
        yield b"data: [DONE]\n\n"

    return _steps(events(), parts, openai_headers(e))


def _first_fault(request, parts):
    """The error reply, when that is all there is to say, or all a plain reply can say."""
    faults = of(Fail, parts)
    if faults and (parts[0] is faults[0] or not request.json.get("stream")):
        return error(request, faults[0].status, faults[0].headers, faults[0].message)
    if of(Cut, parts) and not request.json.get("stream"):
        return [head(200, (("Content-Type", "application/json"),), chunked=True), chunk(b'{"id": '), RST]
    return None


# --- Anthropic Messages --------------------------------------------------------------------------------------------


def messages_usage(e, output):
    return {
        "input_tokens": e.input,
        "cache_creation_input_tokens": e.cache_write + e.cache_write_1h,
        "cache_read_input_tokens": e.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": e.cache_write, "ephemeral_1h_input_tokens": e.cache_write_1h},
        "output_tokens": output, "service_tier": "standard",
    }  # fmt: skip


def anthropic_headers(e):
    return (("request-id", "req_" + e.id), ("anthropic-organization-id", "org-a"),
            ("anthropic-ratelimit-requests-remaining", "98"))  # fmt: skip


MESSAGES_STOP = {"stop": "end_turn", "sequence": "stop_sequence", "length": "max_tokens", "filter": "refusal",
                 "refusal": "refusal", "calls": "tool_use"}  # fmt: skip


def _block(p):
    match p:
        case Text():
            return {"type": "text", "text": p.text, "citations": None}
        case Thought(redacted=True):
            return {"type": "redacted_thinking", "data": p.seal or seal(p.text, redacted=True)}
        case Thought():
            return {"type": "thinking", "thinking": p.text, "signature": p.seal or seal(p.text)}
        case Call():
            return {"type": "tool_use", "id": p.id or f"toolu_01{next(_serial):022d}", "name": p.name, "input": p.input}
    return p if isinstance(p, BREAKS) else None


def messages(request, parts):
    body = request.json
    if fault := _first_fault(request, parts):
        return fault
    e = new_entry(request, "messages", "msg_")
    planned = [b for b in map(_block, parts) if b]
    blocks = [b for b in planned if isinstance(b, dict)]
    stop, refusals = MESSAGES_STOP[_finish(parts)], of(Refusal, parts)
    details = {"type": "refusal", "category": None, "explanation": refusals[0].text} if refusals else None
    end = {"stop_reason": stop, "stop_sequence": next((p.sequence for p in of(End, parts) if p.sequence), None),
           "stop_details": details}  # fmt: skip
    message = {"id": e.id, "type": "message", "role": "assistant", "model": body["model"], "container": None,
               "content": blocks, **end, "usage": messages_usage(e, e.output)}  # fmt: skip
    if not body.get("stream"):
        return [*json_reply(message, headers=anthropic_headers(e)), told(e)]
    frames = (x if not isinstance(x, tuple) else sse({"type": x[0], **x[1]}, x[0])
              for x in _messages_events(message, planned, end, e))  # fmt: skip
    return _steps(frames, parts, anthropic_headers(e), told(e))


def _messages_deltas(block):
    match block["type"]:
        case "text":
            return [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
            return [*deltas, {"type": "signature_delta", "signature": block["signature"]}]
        case "tool_use":
            text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            return [{"type": "input_json_delta", "partial_json": p} for p in ("", *pieces(text))]
    return []


def _messages_events(message, planned, end, e):
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None,
             "usage": messages_usage(e, 1)}  # fmt: skip
    yield "message_start", {"message": start}
    yield "ping", {}
    index = 0
    for b, then in itertools.pairwise([*planned, None]):
        if isinstance(b, Fail):
            yield "error", {k: v for k, v in _anthropic_fault(b.status, b.message).items() if k != "type"}
            return
        if isinstance(b, BREAKS):
            yield b
            continue
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        yield "content_block_start", {"index": index, "content_block": {**b, **empty.get(b["type"], {})}}
        for d in _messages_deltas(b):
            yield "content_block_delta", {"index": index, "delta": d}
        if isinstance(then, BREAKS):
            continue  # inside of the block
        yield "content_block_stop", {"index": index}
        yield "ping", {}
        index += 1
    yield "message_delta", {"delta": end, "usage": {"output_tokens": e.output}}
    yield "message_stop", {}


# --- OpenAI Responses ----------------------------------------------------------------------------------------------


def responses_usage(e):
    return {
        "input_tokens": e.input + e.cache_read, "input_tokens_details": {"cached_tokens": e.cache_read},
        "output_tokens": e.output + e.reasoning, "output_tokens_details": {"reasoning_tokens": e.reasoning},
        "total_tokens": e.input + e.cache_read + e.output + e.reasoning,
    }  # fmt: skip


def response_object(id_, body, output, status="completed", usage=None, reason=None):
    """With what a real one repeats of the request."""
    text = {"format": {"type": "text"}, **(body.get("text") or {})}
    return {
        "id": id_, "object": "response", "created_at": 1700000000, "status": status, "background": False,
        "error": None, "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"), "max_output_tokens": body.get("max_output_tokens"), "model": body["model"],
        "output": output, "parallel_tool_calls": True, "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})}, "store": body.get("store") is not False,
        "temperature": 1.0, "text": text, "tool_choice": body.get("tool_choice") or "auto", "tools": body.get("tools") or [],
        "top_p": 1.0, "truncation": "disabled", "usage": usage, "user": None, "metadata": body.get("metadata") or {},
    }  # fmt: skip


RESPONSES_INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}


def _item(p, body):
    """An output item, of a Text or Refusal a content part."""
    n = next(_serial)
    match p:
        case Text():
            shown = _logprobs(p.text) if "message.output_text.logprobs" in (body.get("include") or ()) else []
            return {"type": "output_text", "text": p.text, "annotations": [], "logprobs": shown}
        case Refusal():
            return {"type": "refusal", "refusal": p.text}
        case Thought():
            item = {"type": "reasoning", "id": f"rs_{n:048d}", "summary": [{"type": "summary_text", "text": p.text}]}
            if "reasoning.encrypted_content" in (body.get("include") or ()):
                item["encrypted_content"] = p.seal or seal(p.text)
            return item
        case Call(custom=True):
            return {"type": "custom_tool_call", "id": f"ctc_{n:048d}", "status": "completed", "name": p.name,
                    "call_id": p.id or f"call_{n:024d}", "input": p.args}  # fmt: skip
        case Call():
            return {"type": "function_call", "id": f"fc_{n:048d}", "status": "completed", "name": p.name,
                    "call_id": p.id or f"call_{n:024d}", "arguments": p.args}  # fmt: skip


def _output(parts, body):
    """Items in order; neighbouring texts and refusals are one message. Between them Fail, Cut and Pause."""
    items = []
    for p in parts:
        if isinstance(p, BREAKS):
            items.append(p)
        elif isinstance(p, (Text, Refusal)):
            if not items or not isinstance(items[-1], dict) or items[-1]["type"] != "message":
                items.append({"type": "message", "id": f"msg_{next(_serial):048d}", "status": "completed",
                              "role": "assistant", "content": []})  # fmt: skip
            items[-1]["content"].append(_item(p, body))
        elif not isinstance(p, (End, Pace)):
            items.append(_item(p, body))
    return items


def responses(request, parts):
    body = request.json
    if fault := _first_fault(request, parts):
        return fault
    e = new_entry(request, "responses", "resp_")
    planned = _output(parts, body)
    items = [i for i in planned if isinstance(i, dict)]
    reason = RESPONSES_INCOMPLETE.get(_finish(parts))
    done = response_object(e.id, body, items, "incomplete" if reason else "completed", responses_usage(e), reason)
    _remember(request.conn.mock, body, done)
    if not body.get("stream"):
        return [*json_reply(done, headers=openai_headers(e)), told(e)]
    number = itertools.count()
    frames = (sse({"type": x[0], "sequence_number": next(number), **x[1]}, x[0]) if isinstance(x, tuple) else x
              for x in _responses_events(body, planned, done, e))  # fmt: skip
    return _steps(frames, parts, openai_headers(e), told(e))


@dataclass
class Kept:
    response: dict
    given: list  # the input's items
    context: list  # what a next request continues: all before, given, output


def _remember(mock, body, done):
    """What a provider keeps."""
    if body.get("store") is not False:
        given = body.get("input", [])
        given = [{"role": "user", "content": given}] if isinstance(given, str) else given
        before = mock.kept.get(body.get("previous_response_id"))
        mock.kept[done["id"]] = Kept(done, given, [*(before.context if before else ()), *given, *done["output"]])


def _responses_events(body, planned, done, e):
    started = response_object(e.id, body, [], "in_progress")
    yield "response.created", {"response": started}
    yield "response.in_progress", {"response": started}
    index = 0
    for item, then in itertools.pairwise([*planned, None]):
        if isinstance(item, Fail):
            code = "rate_limit_exceeded" if item.status == 429 else "server_error"
            failed = {
                **started,
                "status": "failed",
                "error": {"code": code, "message": item.message or "upstream failed"},
            }
            yield "response.failed", {"response": failed}
            return
        if isinstance(item, BREAKS):
            yield item
            continue
        at = {"item_id": item["id"], "output_index": index}
        yield "response.output_item.added", {"output_index": index, "item": _begun(item)}
        inside = list(ITEM_EVENTS[item["type"]](item, at))
        if isinstance(then, BREAKS):
            yield from (e for e in inside if not e[0].endswith(".done"))
            continue
        yield from inside
        yield "response.output_item.done", {"output_index": index, "item": item}
        index += 1
    yield f"response.{done['status']}", {"response": done}


def _begun(item):
    empty = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""},
             "custom_tool_call": {"input": ""}}  # fmt: skip
    begun = {**item, **empty[item["type"]]}
    return {**begun, "status": "in_progress"} if "status" in item else begun


def _message_events(item, at):
    for i, part in enumerate(item["content"]):
        here, key = {**at, "content_index": i}, "refusal" if part["type"] == "refusal" else "text"
        more = {} if key == "refusal" else {"logprobs": []}
        yield "response.content_part.added", {**here, "part": {**part, key: "", **more}}
        for p in pieces(part[key]):
            shown = {"logprobs": _logprobs(p)} if part.get("logprobs") else more
            yield f"response.{part['type']}.delta", {**here, "delta": p, **shown, "obfuscation": "xY"}
        yield (
            f"response.{part['type']}.done",
            {**here, key: part[key], **({"logprobs": part["logprobs"]} if more else {})},
        )
        yield "response.content_part.done", {**here, "part": part}


def _reasoning_events(item, at):
    for i, part in enumerate(item["summary"]):
        here = {**at, "summary_index": i}
        yield "response.reasoning_summary_part.added", {**here, "part": {"type": "summary_text", "text": ""}}
        for p in pieces(part["text"]):
            yield "response.reasoning_summary_text.delta", {**here, "delta": p, "obfuscation": "x"}
        yield "response.reasoning_summary_text.done", {**here, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**here, "part": part}


def _function_events(item, at):
    for k in range(0, len(item["arguments"]), 6):
        yield (
            "response.function_call_arguments.delta",
            {**at, "delta": item["arguments"][k : k + 6], "obfuscation": "x"},
        )
    yield "response.function_call_arguments.done", {**at, "arguments": item["arguments"], "name": item["name"]}


def _custom_events(item, at):
    for k in range(0, len(item["input"]), 6):
        yield "response.custom_tool_call_input.delta", {**at, "delta": item["input"][k : k + 6], "obfuscation": "x"}
    yield "response.custom_tool_call_input.done", {**at, "input": item["input"]}


ITEM_EVENTS = {"message": _message_events, "reasoning": _reasoning_events, "function_call": _function_events,
               "custom_tool_call": _custom_events}  # fmt: skip
SPEAKERS = (("/chat/completions", chat), ("/messages", messages), ("/responses", responses))


def answer(request, parts):
    for end, speaker in SPEAKERS:
        if request.path.endswith(end):
            return speaker(request, parts)
    return openai_error(404, f"no route {request.method} {request.path} at the mock")
