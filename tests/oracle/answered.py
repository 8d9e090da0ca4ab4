"""What a reply says, whatever API says it: written as an upstream does, whole or streamed, and read as a client does.

A meaning is a dictionary: thought (text or None), text, calls ((id, name, arguments)...), stop ("end", "length",
"tool"), usage (input, cached, output, reasoning).
"""

from texts import dump, events, load

STOPS = {
    "chat": {"end": "stop", "length": "length", "tool": "tool_calls"},
    "messages": {"end": "end_turn", "length": "max_tokens", "tool": "tool_use"},
}


def _pieces(text, rng):
    """Any cut of a text into pieces, of a surrogate pair never the halves."""
    while text:
        n = rng.randint(1, max(1, len(text) // rng.randint(1, 4)))
        yield text[:n]
        text = text[n:]


def _event(data, rng, name=None):
    end = rng.choice(["\n", "\n", "\r\n"])
    lines = ([f"event: {name}"] if name else []) + [f"data:{rng.choice(['', ' '])}{dump(data)}"]
    return end.join(lines) + end + end


# --- chat ----------------------------------------------------------------------------------------------------


def _chat_usage(u):
    return {"prompt_tokens": u["input"], "completion_tokens": u["output"], "total_tokens": u["input"] + u["output"],
            "prompt_tokens_details": {"cached_tokens": u["cached"]},
            "completion_tokens_details": {"reasoning_tokens": u["reasoning"]}}  # fmt: skip


def chat_whole(m, rng):
    message = {"role": "assistant", "content": m["text"] or None}
    if m["thought"]:
        message["reasoning_content"] = m["thought"]
    if m["calls"]:
        message["tool_calls"] = [{"id": i, "type": "function", "function": {"name": n, "arguments": dump(a, rng)}}
                                 for i, n, a in m["calls"]]  # fmt: skip
    choice = {"index": 0, "message": message, "finish_reason": STOPS["chat"][m["stop"]]}
    return dump({"id": "c", "object": "chat.completion", "created": 1, "model": "up", "choices": [choice],
                 "usage": _chat_usage(m["usage"])}, rng)  # fmt: skip


def chat_events(m, rng):
    def chunk(delta, finish=None):
        return _event({"id": "c", "created": 1, "model": "up",
                       "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, rng)  # fmt: skip

    out = [chunk({"role": "assistant", "content": ""})]
    out += [chunk({"reasoning_content": p}) for p in _pieces(m["thought"] or "", rng)]
    out += [chunk({"content": p}) for p in _pieces(m["text"], rng)]
    started = []
    for k, (i, n, a) in enumerate(m["calls"]):
        out.append(chunk({"tool_calls": [{"index": k, "id": i, "type": "function",
                                          "function": {"name": n, "arguments": ""}}]}))  # fmt: skip
        started.append([chunk({"tool_calls": [{"index": k, "function": {"arguments": p}}]})
                        for p in _pieces(dump(a, rng), rng)])  # fmt: skip
    while any(started):  # their fragments mixed in any way
        out.append(rng.choice([s for s in started if s]).pop(0))
    out.append(chunk({}, STOPS["chat"][m["stop"]]))
    out.append(_event({"id": "c", "created": 1, "model": "up", "choices": [], "usage": _chat_usage(m["usage"])}, rng))
    return "".join(out) + "data: [DONE]\n\n"


# --- messages ------------------------------------------------------------------------------------------------


def _messages_usage(u):
    return {"input_tokens": u["input"] - u["cached"], "cache_read_input_tokens": u["cached"],
            "cache_creation_input_tokens": 0, "output_tokens": u["output"],
            "output_tokens_details": {"thinking_tokens": u["reasoning"]}}  # fmt: skip


def _messages_blocks(m):
    blocks = [{"type": "thinking", "thinking": m["thought"], "signature": "c2ln"}] if m["thought"] else []
    blocks += [{"type": "text", "text": m["text"]}] if m["text"] else []
    return blocks + [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in m["calls"]]


def messages_whole(m, rng):
    return dump({"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": _messages_blocks(m),
                 "stop_reason": STOPS["messages"][m["stop"]], "stop_sequence": None,
                 "usage": _messages_usage(m["usage"])}, rng)  # fmt: skip


def messages_events(m, rng):
    def event(kind, **rest):
        return _event({"type": kind, **rest}, rng, kind)

    usage = _messages_usage(m["usage"])
    out = [event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "up",
                                           "content": [], "usage": usage | {"output_tokens": 1}})]  # fmt: skip
    for k, block in enumerate(_messages_blocks(m)):
        kind = block["type"]
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}[kind]
        out.append(event("content_block_start", index=k, content_block=block | empty))
        name, text = {"text": ("text", block.get("text")), "thinking": ("thinking", block.get("thinking")),
                      "tool_use": ("partial_json", dump(block.get("input"), rng))}[kind]  # fmt: skip
        delta = {"tool_use": "input_json_delta"}.get(kind, kind + "_delta")
        out += [event("content_block_delta", index=k, delta={"type": delta, name: p}) for p in _pieces(text, rng)]
        if kind == "thinking":
            out.append(event("content_block_delta", index=k, delta={"type": "signature_delta", "signature": "c2ln"}))
        if rng.random() < 0.2:
            out.append(event("ping"))
        out.append(event("content_block_stop", index=k))
    out.append(event("message_delta", delta={"stop_reason": STOPS["messages"][m["stop"]], "stop_sequence": None},
                     usage={"output_tokens": m["usage"]["output"]}))  # fmt: skip
    return "".join(out) + event("message_stop")


# --- responses -----------------------------------------------------------------------------------------------


def _responses_items(m, rng):
    items = []
    if m["thought"]:
        items.append({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": m["thought"]}],
                      "encrypted_content": "gAAA"})  # fmt: skip
    if m["text"]:
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                      "content": [{"type": "output_text", "text": m["text"], "annotations": []}]})  # fmt: skip
    for k, (i, n, a) in enumerate(m["calls"]):
        items.append({"id": f"fc_{k}", "type": "function_call", "call_id": i, "name": n, "arguments": dump(a, rng),
                      "status": "completed"})  # fmt: skip
    return items


def _response(m, items):
    cut = m["stop"] == "length"
    u = m["usage"]
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": "up", "output": items,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None, "error": None,
            "usage": {"input_tokens": u["input"], "input_tokens_details": {"cached_tokens": u["cached"]},
                      "output_tokens": u["output"], "output_tokens_details": {"reasoning_tokens": u["reasoning"]},
                      "total_tokens": u["input"] + u["output"]}}  # fmt: skip


def responses_whole(m, rng):
    return dump(_response(m, _responses_items(m, rng)), rng)


def responses_events(m, rng):
    out, items = [], _responses_items(m, rng)

    def event(kind, **rest):
        out.append(_event({"type": kind, "sequence_number": len(out), **rest}, rng, kind))

    begun = {"id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress", "output": [], "usage": None}
    event("response.created", response=begun)
    event("response.in_progress", response=begun)
    for k, item in enumerate(items):
        at = {"output_index": k, "item_id": item["id"]}
        empty = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}
        event("response.output_item.added", output_index=k, item=item | empty[item["type"]])
        if item["type"] == "message":
            text, part = item["content"][0]["text"], item["content"][0]
            at["content_index"] = 0
            event("response.content_part.added", **at, part=part | {"text": ""})
            for p in _pieces(text, rng):
                event("response.output_text.delta", **at, delta=p, logprobs=[])
            event("response.output_text.done", **at, text=text, logprobs=[])
            event("response.content_part.done", **at, part=part)
        elif item["type"] == "reasoning":
            text, at["summary_index"] = item["summary"][0]["text"], 0
            event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
            for p in _pieces(text, rng):
                event("response.reasoning_summary_text.delta", **at, delta=p)
            event("response.reasoning_summary_text.done", **at, text=text)
            event("response.reasoning_summary_part.done", **at, part=item["summary"][0])
        else:
            for p in _pieces(item["arguments"], rng):
                event("response.function_call_arguments.delta", **at, delta=p)
            event("response.function_call_arguments.done", **at, arguments=item["arguments"], name=item["name"])
        event("response.output_item.done", output_index=k, item=item)
    event("response.incomplete" if m["stop"] == "length" else "response.completed", response=_response(m, items))
    return "".join(out)


WRITE = {"chat": (chat_whole, chat_events), "messages": (messages_whole, messages_events),
         "responses": (responses_whole, responses_events)}  # fmt: skip


# --- read ----------------------------------------------------------------------------------------------------


def _said(thought, text, calls, stop, usage):
    return {"thought": thought or None, "text": text or "", "calls": calls, "stop": stop,
            "usage": {k: int(v or 0) for k, v in usage.items()}}  # fmt: skip


def _stop(api, word):
    return next((k for k, v in STOPS[api].items() if v == word), word)


def _read_chat(text, calls, thought, finish, usage):
    usage = usage or {}
    details = usage.get("completion_tokens_details") or {}
    return _said(
        thought, text, [(c["id"], c["name"], load(c["arguments"])) for c in calls], _stop("chat", finish),
        {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens"),
         "cached": (usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
         "reasoning": details.get("reasoning_tokens")})  # fmt: skip


def read_chat_whole(body):
    choice = body["choices"][0]
    message = choice["message"]
    calls = [{"id": c["id"], **c["function"]} for c in message.get("tool_calls", [])]
    return _read_chat(message["content"], calls, message.get("reasoning_content"), choice["finish_reason"], body["usage"])


def read_chat_events(stream):
    text = thought = ""
    calls, finish, usage = [], None, None
    for _, data in events(stream):
        if data == "[DONE]":
            break
        body = load(data)
        usage = body.get("usage") or usage
        for choice in body["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            thought += delta.get("reasoning_content") or ""
            for c in delta.get("tool_calls", []):
                k = int(c["index"])
                if k == len(calls):
                    calls.append({"id": c["id"], "name": c["function"]["name"], "arguments": ""})
                calls[k]["arguments"] += c["function"].get("arguments", "")
            finish = choice["finish_reason"] or finish
    return _read_chat(text, calls, thought, finish, usage)


def _read_messages(blocks, stop, usage):
    thought = "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
    text = "".join(b["text"] for b in blocks if b["type"] == "text")
    calls = [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
    cached = int(usage.get("cache_read_input_tokens") or 0) + int(usage.get("cache_creation_input_tokens") or 0)
    details = usage.get("output_tokens_details") or {}
    return _said(thought, text, calls, _stop("messages", stop), {
        "input": int(usage["input_tokens"]) + cached, "cached": usage.get("cache_read_input_tokens"),
        "output": usage["output_tokens"], "reasoning": details.get("thinking_tokens")})  # fmt: skip


def read_messages_whole(body):
    return _read_messages(body["content"], body["stop_reason"], body["usage"])


def read_messages_events(stream):
    blocks, stop, usage = [], None, {}
    for _, data in events(stream):
        body = load(data)
        if body["type"] == "content_block_start":
            blocks.append(dict(body["content_block"], json=""))
        elif body["type"] == "content_block_delta":
            block, delta = blocks[int(body["index"])], body["delta"]
            for name in ("text", "thinking"):
                if name in delta:
                    block[name] += delta[name]
            block["json"] += delta.get("partial_json", "")
        elif body["type"] == "content_block_stop" and blocks[int(body["index"])]["json"]:
            blocks[int(body["index"])]["input"] = load(blocks[int(body["index"])]["json"])
        elif body["type"] == "message_delta":
            stop, usage = body["delta"]["stop_reason"], body["usage"]
    return _read_messages(blocks, stop, usage)


def read_responses_whole(body):
    thought = text = ""
    calls, usage = [], body["usage"] or {}
    for i in body["output"]:
        if i["type"] == "reasoning":
            thought += "".join(p["text"] for p in i["summary"])
        elif i["type"] == "message":
            text += "".join(p["text"] for p in i["content"])
        elif i["type"] == "function_call":
            calls.append((i["call_id"], i["name"], load(i["arguments"])))
    cut = body["status"] == "incomplete"
    return _said(thought, text, calls, "length" if cut else "tool" if calls else "end", {
        "input": usage.get("input_tokens"), "output": usage.get("output_tokens"),
        "cached": (usage.get("input_tokens_details") or {}).get("cached_tokens"),
        "reasoning": (usage.get("output_tokens_details") or {}).get("reasoning_tokens")})  # fmt: skip


def read_responses_events(stream):
    name, data = list(events(stream))[-1]
    return read_responses_whole(load(data)["response"])


READ = {"chat": (read_chat_whole, read_chat_events), "messages": (read_messages_whole, read_messages_events),
        "responses": (read_responses_whole, read_responses_events)}  # fmt: skip


def differences(want, got):
    """Ids by the order in which they come."""
    def plain(m):
        return dict(m, calls=[(k,) + tuple(c[1:]) for k, c in enumerate(m["calls"])])

    want, got = plain(want), plain(got)
    return [f"{k}: wanted {want[k]!r}\n     got    {got[k]!r}" for k in want if want[k] != got[k]]
