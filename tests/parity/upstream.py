"""The provider both gateways talk to: one reply for each lane at a time, whole or as a stream of the dialect's events.

A reply is data (replies/DIALECT.yaml). Its stream is made from the whole reply as the provider would, in small
pieces; `events` in the reply replaces it.
"""

import json
import re
import threading

from support.mock_provider import FIN, Mock, json_reply, reply, sse, sse_reply

CREATED = 1700000000
LANE = re.compile(r"^/(L\d+)(/.*)$")


def pieces(text, size=7):
    return [text[i : i + size] for i in range(0, len(text), size)]


# --- OpenAI Chat ---------------------------------------------------------------------------------------------------

CHAT_USAGE = {"prompt_tokens": 16, "completion_tokens": 8, "total_tokens": 24}


def _choice(given, i):
    message = {"role": "assistant", "content": None, "refusal": None, **given.get("message", {})}
    return {"index": i, "message": message, "logprobs": given.get("logprobs"),
            "finish_reason": given.get("finish", "stop")}  # fmt: skip


def chat_whole(given, model):
    choices = [_choice(c, i) for i, c in enumerate(given.get("choices") or [given])]
    return {"id": "chatcmpl-up1", "object": "chat.completion", "created": CREATED, "model": model,
            "choices": choices, "usage": given.get("usage", CHAT_USAGE), "service_tier": "default",
            "system_fingerprint": "fp_up", **given.get("extra", {})}  # fmt: skip


def chat_stream(given, body):
    whole = chat_whole(given, body["model"])
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    common = {k: v for k, v in whole.items() if k not in ("choices", "usage")}
    common["object"] = "chat.completion.chunk"

    def event(choices, usage=None):
        return {**common, "choices": choices, **({"usage": usage} if wants_usage else {})}

    out = []
    for choice in whole["choices"]:
        for delta in _deltas(choice["message"]):
            out.append([{"index": choice["index"], "delta": delta, "logprobs": None, "finish_reason": None}])
        if choice["logprobs"]:
            out[-1][0]["logprobs"] = choice["logprobs"]
    for choice in whole["choices"]:
        out.append([{"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}])
    events = [event(c) for c in out]
    if wants_usage:
        events.append(event([], whole["usage"]))
    return [*(sse(e) for e in events), b"data: [DONE]\n\n"]


def _deltas(message):
    yield {"role": "assistant", "content": "" if message.get("content") is not None else None, "refusal": None}
    first = ("reasoning_content", "reasoning")  # a model thinks before it speaks
    for name, value in sorted(message.items(), key=lambda item: item[0] not in first):
        if name in (*first, "content", "refusal") and value:
            yield from ({name: p} for p in pieces(value))
        elif name == "tool_calls":
            for i, call in enumerate(value or []):
                kind = call["type"]
                field = "input" if kind == "custom" else "arguments"
                yield {"tool_calls": [{"index": i, **call, kind: {**call[kind], field: ""}}]}
                yield from ({"tool_calls": [{"index": i, kind: {field: p}}]} for p in pieces(call[kind][field]))
        elif name not in ("role", "content", "refusal", *first) and value:
            yield {name: value}


# --- OpenAI Completions --------------------------------------------------------------------------------------------


def completions_whole(given, model):
    choices = [{"index": i, "text": c["text"], "logprobs": c.get("logprobs"), "finish_reason": c.get("finish", "stop")}
               for i, c in enumerate(given.get("choices") or [given])]  # fmt: skip
    return {"id": "cmpl-up1", "object": "text_completion", "created": CREATED, "model": model, "choices": choices,
            "usage": given.get("usage", CHAT_USAGE)}  # fmt: skip


def completions_stream(given, body):
    whole = completions_whole(given, body["model"])
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    common = {k: v for k, v in whole.items() if k not in ("choices", "usage")}
    nothing = {"usage": None} if wants_usage else {}
    events = []
    for c in whole["choices"]:
        events += [{**common, "choices": [{**c, "text": p, "finish_reason": None}], **nothing} for p in pieces(c["text"])]
        events.append({**common, "choices": [{**c, "text": "", "logprobs": None}], **nothing})
    if wants_usage:
        events.append({**common, "choices": [], "usage": whole["usage"]})
    return [*(sse(e) for e in events), b"data: [DONE]\n\n"]


# --- Anthropic Messages --------------------------------------------------------------------------------------------

ANTHROPIC_USAGE = {"input_tokens": 9, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                   "output_tokens": 31, "service_tier": "standard"}  # fmt: skip


def anthropic_whole(given, model):
    return {"id": "msg_up1", "type": "message", "role": "assistant", "model": model, "content": given["content"],
            "stop_reason": given.get("stop_reason", "end_turn"), "stop_sequence": given.get("stop_sequence"),
            "usage": given.get("usage", ANTHROPIC_USAGE), **given.get("extra", {})}  # fmt: skip


EMPTY = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}},
         "server_tool_use": {"input": {}}}  # fmt: skip


def _block_deltas(block):
    kind = block["type"]
    if kind == "text":
        yield from ({"type": "citations_delta", "citation": c} for c in block.get("citations") or [])
        yield from ({"type": "text_delta", "text": p} for p in pieces(block["text"]))
    elif kind == "thinking":
        yield from ({"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif kind in ("tool_use", "server_tool_use"):
        yield {"type": "input_json_delta", "partial_json": ""}
        if block["input"]:
            yield from ({"type": "input_json_delta", "partial_json": p} for p in pieces(json.dumps(block["input"], ensure_ascii=False)))


def anthropic_stream(given, body):
    whole = anthropic_whole(given, body["model"])
    usage = whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for i, block in enumerate(whole["content"]):
        empty = {**block, **EMPTY.get(block["type"], {})}
        if "citations" in block:
            empty["citations"] = []
        events.append({"type": "content_block_start", "index": i, "content_block": empty})
        events += [{"type": "content_block_delta", "index": i, "delta": d} for d in _block_deltas(block)]
        events.append({"type": "content_block_stop", "index": i})
    delta = {k: whole[k] for k in ("stop_reason", "stop_sequence")}
    delta |= {k: v for k, v in given.get("extra", {}).items() if k in ("stop_details", "container")}
    events.append({"type": "message_delta", "delta": delta, "usage": usage})
    events.append({"type": "message_stop"})
    return [sse(e, e["type"]) for e in events]


# --- OpenAI Responses ----------------------------------------------------------------------------------------------

RESPONSES_USAGE = {"input_tokens": 16, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 8,
                   "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 24}  # fmt: skip


def responses_whole(given, model):
    return {
        "id": "resp_up1", "object": "response", "created_at": CREATED, "status": given.get("status", "completed"),
        "background": False, "error": given.get("error"), "incomplete_details": given.get("incomplete_details"),
        "instructions": None, "max_output_tokens": None, "model": model, "output": given["output"],
        "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
        "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": 1.0, "truncation": "disabled", "usage": given.get("usage", RESPONSES_USAGE), "user": None,
        "metadata": {}, **given.get("extra", {}),
    }  # fmt: skip


def _item_events(item, at):
    kind = item["type"]
    here = {"item_id": item.get("id"), "output_index": at}
    fields = {"message": {"content": [], "status": "in_progress"}, "reasoning": {"summary": []},
              "function_call": {"arguments": "", "status": "in_progress"},
              "custom_tool_call": {"input": "", "status": "in_progress"}}.get(kind, {})  # fmt: skip
    yield {"type": "response.output_item.added", "output_index": at, "item": {**item, **fields}}
    if kind == "message":
        for k, part in enumerate(item["content"]):
            yield from _part_events({**here, "content_index": k}, part)
    elif kind == "reasoning":
        for k, part in enumerate(item.get("summary", [])):
            here_k = {**here, "summary_index": k}
            yield {"type": "response.reasoning_summary_part.added", **here_k, "part": {**part, "text": ""}}
            for p in pieces(part["text"]):
                yield {"type": "response.reasoning_summary_text.delta", **here_k, "delta": p}
            yield {"type": "response.reasoning_summary_text.done", **here_k, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **here_k, "part": part}
        for k, part in enumerate(item.get("content") or []):
            here_k = {**here, "content_index": k}
            for p in pieces(part["text"]):
                yield {"type": "response.reasoning_text.delta", **here_k, "delta": p}
            yield {"type": "response.reasoning_text.done", **here_k, "text": part["text"]}
    elif kind == "function_call":
        for p in pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **here, "delta": p}
        yield {"type": "response.function_call_arguments.done", **here, "arguments": item["arguments"], "name": item["name"]}
    elif kind == "custom_tool_call":
        for p in pieces(item["input"]):
            yield {"type": "response.custom_tool_call_input.delta", **here, "delta": p}
        yield {"type": "response.custom_tool_call_input.done", **here, "input": item["input"]}
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def _part_events(here, part):
    refusal = part["type"] == "refusal"
    name = "refusal" if refusal else "output_text"
    field = "refusal" if refusal else "text"
    more = {} if refusal else {"logprobs": part.get("logprobs", [])}
    yield {"type": "response.content_part.added", **here,
           "part": {**part, field: "", **({} if refusal else {"annotations": []})}}  # fmt: skip
    for p in pieces(part[field]):
        yield {"type": f"response.{name}.delta", **here, "delta": p, **({} if refusal else {"logprobs": []})}
    for k, a in enumerate(part.get("annotations", [])):
        yield {"type": "response.output_text.annotation.added", **here, "annotation_index": k, "annotation": a}
    yield {"type": f"response.{name}.done", **here, field: part[field], **more}
    yield {"type": "response.content_part.done", **here, "part": part}


def responses_stream(given, body):
    whole = responses_whole(given, body["model"])
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    events = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    for i, item in enumerate(whole["output"]):
        events += _item_events(item, i)
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return [sse({"sequence_number": i, **e}, e["type"]) for i, e in enumerate(events)]


# --- the mock ------------------------------------------------------------------------------------------------------

WHOLE = {"chat": chat_whole, "completions": completions_whole, "anthropic": anthropic_whole, "responses": responses_whole}
STREAM = {"chat": chat_stream, "completions": completions_stream, "anthropic": anthropic_stream,
          "responses": responses_stream}  # fmt: skip
HEADERS = {
    "chat": (("x-request-id", "req_up1"), ("x-ratelimit-remaining-requests", "99")),
    "anthropic": (("request-id", "req_up1"), ("anthropic-ratelimit-requests-remaining", "98")),
    "responses": (("x-request-id", "req_up1"),),
}


ENDINGS = (("/chat/completions", "chat"), ("/completions", "completions"), ("/messages", "anthropic"),
           ("/responses", "responses"))  # fmt: skip


def dialect_of(path):
    for ending, name in ENDINGS:
        if path.endswith(ending):
            return name
    return None


def steps(given, path, body):
    """What the mock sends for a reply, given the path and body of the request."""
    name = dialect_of(path)
    headers = [(k, str(v)) for k, v in given.get("headers", {}).items()]
    if "raw" in given:
        kind = given.get("content_type", "application/json")
        return reply(given["raw"].encode(), given.get("http", 200), [("Content-Type", kind), *headers])
    if "body" in given:
        return json_reply(given["body"], given.get("http", 200), headers)
    headers += HEADERS.get(name, ())
    if body.get("stream"):
        if "events" in given:
            frames = [_frame(e, name) for e in given["events"]]
            return sse_reply(frames, headers, **({"end": FIN} if given.get("cut") else {}))
        return sse_reply(STREAM[name](given, body), headers)
    return json_reply(WHOLE[name](given, body["model"]), headers=headers)


def _frame(event, name):
    if isinstance(event, str):
        return event.encode() + b"\n\n"
    return sse(event, event["type"] if name != "chat" and "type" in event else None)


class Upstream:
    """A mock whose lanes each answer with a reply of their own and remember what they were asked."""

    def __init__(self):
        self._lock = threading.Lock()
        self._replies = {}
        self._asked = {}
        self.mock = Mock(default=self._script)
        self.url = self.mock.url

    def stop(self):
        self.mock.stop()

    def expect(self, lane, replies):
        """`replies`: by dialect."""
        with self._lock:
            self._replies[lane] = replies
            self._asked[lane] = []

    def asked(self, lane):
        with self._lock:
            return list(self._asked[lane])

    def _script(self, request):
        lane, path = LANE.match(request.path).groups()
        if request.method == "GET":  # a look around of a gateway's own
            return json_reply({"object": "list", "data": []})
        with self._lock:
            self._asked[lane].append(request)
            replies = self._replies[lane]
        try:
            body = json.loads(request.body) if request.body else {}
        except ValueError:
            return json_reply({"error": {"message": "the body is no JSON", "type": "invalid_request_error"}}, 400)
        if path.endswith("/messages/count_tokens"):
            return json_reply({"input_tokens": 14})
        if path.endswith("/responses/input_tokens"):
            return json_reply({"object": "response.input_tokens", "input_tokens": 14})
        name = dialect_of(path)
        if name not in replies:
            return json_reply({"error": {"message": f"no route {request.method} {path}"}}, 404)
        return steps(replies[name], path, body)

