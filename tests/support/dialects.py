"""What the providers say by default: a mock's default script.

What is said depends on the request alone: tools are called once and then their result is repeated, a JSON schema is
answered with an object of it, images are counted. Models named `err-STATUS…` answer that status in the error shape of
the API asked.
"""

import base64
import re
import struct

from . import speak
from .mock_provider import json_reply, sse, sse_reply
from .parts import Call, Fail, Pace, Text, Thought
from .speak import Entry, error, new_entry, openai_error, openai_headers, pieces, told

__all__ = ["EMBEDDING", "Entry", "TEXT", "THOUGHT", "chat", "default", "messages", "openai_error"]

TEXT = "Grüße vom Wehr 🌊, said the upstream."  # 2-, 3- and 4-byte characters
THOUGHT = "Water flows downhill."
EMBEDDING = [0.25, -1.5, 3.0e-2, 0.0]
CITY = '{"city": "Zürich"}'

# --- OpenAI --------------------------------------------------------------------------------------------------------


def _chat_parts(body):
    last = body["messages"][-1] if body["messages"] else {"role": "user", "content": ""}
    if last["role"] == "tool":
        return [Text(f"The tool said {last['content']}")]
    images = [p for p in last["content"] if p.get("type") == "image_url"] if isinstance(last["content"], list) else []
    if images:
        return [Text(f"I see {len(images)} image(s) of {sum(len(p['image_url']['url']) for p in images)} characters")]
    if (body.get("response_format") or {}).get("type") == "json_schema":
        return [Text('{"name":"Ada","age":36}')]
    return [Call("get_weather", CITY, "call_weather1") if body.get("tools") else Text(TEXT)]


def _paced(request, parts):
    return [*parts, Pace(0.05)] if "slow" in request.model else parts


def chat(request):
    thoughts = [Thought(THOUGHT)] if "reason" in request.model else []
    return speak.chat(request, _paced(request, thoughts + _chat_parts(request.json)))


def completions(request):
    body = request.json
    e = new_entry(request, "completions", "cmpl-")
    usage = {"prompt_tokens": e.input, "completion_tokens": e.output, "total_tokens": e.input + e.output}
    common = {"id": e.id, "object": "text_completion", "created": 1700000000, "model": body["model"]}
    if not body.get("stream"):
        choices = [{"text": TEXT, "index": 0, "logprobs": None, "finish_reason": "stop"}]
        return [*json_reply({**common, "choices": choices, "usage": usage}, headers=openai_headers(e)), told(e)]
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    extra = {"usage": None} if wants_usage else {}
    events = [
        sse({**common, "choices": [{"text": p, "index": 0, "logprobs": None, "finish_reason": f}], **extra})
        for p, f in [*((p, None) for p in pieces(TEXT)), ("", "stop")]
    ]
    if wants_usage:
        events += [sse({**common, "choices": [], "usage": usage}), told(e)]
    return sse_reply([*events, b"data: [DONE]\n\n"])


def embeddings(request):
    body = request.json
    e = new_entry(request, "embeddings", "emb-")
    inputs = body["input"] if isinstance(body["input"], list) and not isinstance(body["input"][0], int) else [0]
    value = EMBEDDING
    if body.get("encoding_format") == "base64":
        value = base64.b64encode(struct.pack(f"<{len(EMBEDDING)}f", *EMBEDDING)).decode()
    data = [{"object": "embedding", "index": i, "embedding": value} for i in range(len(inputs))]
    usage = {"prompt_tokens": e.input, "total_tokens": e.input}
    return [*json_reply({"object": "list", "data": data, "model": body["model"], "usage": usage}), told(e)]


def moderations(request):
    e = new_entry(request, "moderations", "modr-")
    categories = {"harassment": False, "violence": True}
    result = {"flagged": True, "categories": categories, "category_scores": {"harassment": 0.1, "violence": 0.98},
              "category_applied_input_types": {"harassment": ["text"], "violence": ["text"]}}  # fmt: skip
    return [*json_reply({"id": e.id, "model": request.model, "results": [result]}), told(e)]


def responses(request):
    return speak.responses(request, [Text(TEXT)])


RESPONSE_PATH = re.compile(r"^/v1/responses/([^/]+)(/cancel|/input_items)?$")


def response_below(request):
    id_, what = RESPONSE_PATH.match(request.path).groups()
    kept = request.conn.mock.kept
    if id_ not in kept:
        return openai_error(404, f"Response with id '{id_}' not found.")
    if what == "/input_items":
        items = [_input_item(i, n) for n, i in enumerate(kept[id_].given)][::-1]
        return json_reply({"object": "list", "data": items, "first_id": items[0]["id"], "last_id": items[-1]["id"],
                           "has_more": False})  # fmt: skip
    if request.method == "DELETE":
        del kept[id_]
        return json_reply({"id": id_, "object": "response", "deleted": True})
    return json_reply({**kept[id_].response, **({"status": "cancelled"} if what == "/cancel" else {})})


def _input_item(item, n):
    if isinstance(item.get("content"), str):
        item = {**item, "content": [{"type": "input_text", "text": item["content"]}]}
    return {"id": f"msg_{n:048d}", "type": "message", "status": "completed", **item}


# --- Anthropic -----------------------------------------------------------------------------------------------------


def messages(request):
    body = request.json
    last = body["messages"][-1]["content"] if body["messages"] else ""
    result = [b for b in last if b.get("type") == "tool_result"] if isinstance(last, list) else []
    parts = []
    if (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        parts.append(Thought(THOUGHT, "c2lnbmF0dXJl"))
    if body.get("tools") and not result:
        parts += [Text("Let me look."), Call("get_weather", CITY, "toolu_1")]
    else:
        parts.append(Text(f"The tool said {result[0]['content']}" if result else TEXT))
    if "fail" in body["model"]:
        parts.append(Fail(529, "Overloaded"))
    return speak.messages(request, _paced(request, parts))


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
