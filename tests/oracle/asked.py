"""What a request says, whatever API says it: written and read from wire-formats.md sections A, B, C and E.

A meaning is a dictionary: system (texts), turns ((role, items), neighbours of one role made one), tools, choice,
parallel, schema, max_tokens, temperature, top_p, stop, user, stream. Items are tuples: ("text", s),
("image", type, data) or ("image", url), ("call", id, name, arguments), ("result", id, text, is_error).
"""

from texts import Num, dump, load

NO_PARAMETERS = {"type": "object", "properties": {}}


# --- written -------------------------------------------------------------------------------------------------


def _url(item):
    return f"data:{item[1]};base64,{item[2]}" if len(item) == 3 else item[1]


def _chat_parts(items, rng):
    parts = [{"type": "text", "text": i[1]} if i[0] == "text" else
             {"type": "image_url", "image_url": {"url": _url(i)}} for i in items]  # fmt: skip
    plain = len(parts) == 1 and parts[0]["type"] == "text" and rng.random() < 0.7
    return parts[0]["text"] if plain else parts


def chat(m, rng):
    messages = [{"role": rng.choice(["system", "developer"]), "content": s} for s in m["system"]]
    for role, items in m["turns"]:
        if role == "assistant":
            text = "".join(i[1] for i in items if i[0] == "text")
            message = {"role": role, "content": text or None}
            calls = [i for i in items if i[0] == "call"]
            if calls:
                message["tool_calls"] = [{"id": c[1], "type": "function", "function": {
                    "name": c[2], "arguments": dump(c[3], rng)}} for c in calls]  # fmt: skip
            messages.append(message)
            continue
        for i in items:
            if i[0] == "result":
                messages.append({"role": "tool", "tool_call_id": i[1], "content": i[2]})
        said = [i for i in items if i[0] != "result"]
        if said:
            messages.append({"role": "user", "content": _chat_parts(said, rng)})
    body = {"model": "public", "messages": messages}
    for t in m["tools"]:
        function = {"name": t["name"], "description": t["description"], "parameters": t["schema"]}
        body.setdefault("tools", []).append({"type": "function", "function": {k: v for k, v in function.items() if v}})
    if m["choice"]:
        named = m["choice"][1:] if m["choice"][0] == "=" else None
        body["tool_choice"] = {"type": "function", "function": {"name": named}} if named else m["choice"]
    if m["parallel"] is not None:
        body["parallel_tool_calls"] = m["parallel"]
    if m["schema"]:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": m["schema"]}}
    if m["max_tokens"]:
        body[rng.choice(["max_tokens", "max_completion_tokens"])] = m["max_tokens"]
    if m["stop"]:
        body["stop"] = m["stop"] if len(m["stop"]) > 1 or rng.random() < 0.5 else m["stop"][0]
    if m["user"]:
        body["user"] = m["user"]
    return body | {k: m[k] for k in ("temperature", "top_p", "stream") if m[k] is not None}


def _source(item):
    if len(item) == 3:
        return {"type": "base64", "media_type": item[1], "data": item[2]}
    return {"type": "url", "url": item[1]}


def messages(m, rng):
    def block(i):
        if i[0] == "text":
            return {"type": "text", "text": i[1]}
        if i[0] == "image":
            return {"type": "image", "source": _source(i)}
        if i[0] == "call":
            return {"type": "tool_use", "id": i[1], "name": i[2], "input": i[3]}
        content = i[2] if rng.random() < 0.5 else [{"type": "text", "text": i[2]}]
        return {"type": "tool_result", "tool_use_id": i[1], "content": content} | ({"is_error": True} if i[3] else {})

    turns = []
    for role, items in m["turns"]:
        plain = len(items) == 1 and items[0][0] == "text" and rng.random() < 0.7
        turns.append({"role": role, "content": items[0][1] if plain else [block(i) for i in items]})
    body = {"model": "public", "max_tokens": m["max_tokens"], "messages": turns}
    if m["system"]:
        plain = len(m["system"]) == 1 and rng.random() < 0.5
        body["system"] = m["system"][0] if plain else [{"type": "text", "text": s} for s in m["system"]]
    for t in m["tools"]:
        tool = {"name": t["name"], "description": t["description"], "input_schema": t["schema"] or NO_PARAMETERS}
        body.setdefault("tools", []).append({k: v for k, v in tool.items() if v})
    choice = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
    if m["choice"]:
        body["tool_choice"] = dict(choice.get(m["choice"]) or {"type": "tool", "name": m["choice"][1:]})
    if m["parallel"] is False and m["choice"] != "none":
        body.setdefault("tool_choice", {"type": "auto"})["disable_parallel_tool_use"] = True
    if m["schema"]:
        body["output_config"] = {"format": {"type": "json_schema", "schema": m["schema"]}}
    if m["stop"]:
        body["stop_sequences"] = m["stop"]
    if m["user"]:
        body["metadata"] = {"user_id": m["user"]}
    return body | {k: m[k] for k in ("temperature", "top_p", "stream") if m[k] is not None}


def responses(m, rng):
    items = [{"type": "message", "role": rng.choice(["system", "developer"]), "content": s} for s in m["system"]]
    body = {"model": "public"}
    if items and rng.random() < 0.5:
        body["instructions"] = items.pop(0)["content"]
    for role, turn in m["turns"]:
        for i in turn:
            if i[0] == "result":
                items.append({"type": "function_call_output", "call_id": i[1], "output": i[2]})
        said = [i for i in turn if i[0] in ("text", "image")]
        if said:
            kind = "output_text" if role == "assistant" else "input_text"
            parts = [{"type": kind, "text": i[1]} if i[0] == "text" else
                     {"type": "input_image", "image_url": _url(i)} for i in said]  # fmt: skip
            plain = len(parts) == 1 and "text" in parts[0] and rng.random() < 0.5
            items.append({"type": "message", "role": role, "content": parts[0]["text"] if plain else parts})
        for i in turn:
            if i[0] == "call":
                items.append({"type": "function_call", "call_id": i[1], "name": i[2], "arguments": dump(i[3], rng)})
    body["input"] = items
    for t in m["tools"]:
        tool = {"type": "function", "name": t["name"], "description": t["description"], "parameters": t["schema"]}
        body.setdefault("tools", []).append({k: v for k, v in tool.items() if v})
    if m["choice"]:
        named = m["choice"][1:] if m["choice"][0] == "=" else None
        body["tool_choice"] = {"type": "function", "name": named} if named else m["choice"]
    if m["parallel"] is not None:
        body["parallel_tool_calls"] = m["parallel"]
    if m["schema"]:
        body["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": m["schema"]}}
    if m["max_tokens"]:
        body["max_output_tokens"] = m["max_tokens"]
    if m["user"]:
        body["user"] = m["user"]
    return body | {k: m[k] for k in ("temperature", "top_p", "stream") if m[k] is not None}


WRITE = {"chat": chat, "messages": messages, "responses": responses}


# --- read ----------------------------------------------------------------------------------------------------


def _image(url):
    if url.startswith("data:"):
        head, data = url[5:].split(",", 1)
        return ("image", head.split(";")[0], data)
    return ("image", url)


def _texts(content):
    """A string, or a list of parts with text in them."""
    return [content] if isinstance(content, str) else [p["text"] for p in content]


def _merged(turns):
    """Neighbours of one role as one; of a user the results first, of an assistant one text before its calls."""
    merged = []
    for role, items in turns:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(items)
        elif items:
            merged.append((role, list(items)))
    out = []
    for role, items in merged:
        if role == "assistant":
            text = "".join(i[1] for i in items if i[0] == "text")
            items = ([("text", text)] if text else []) + [i for i in items if i[0] != "text"]
        out.append((role, [i for i in items if i[0] == "result"] + [i for i in items if i[0] != "result"]))
    return out


def _meaning(system, turns, **rest):
    m = dict.fromkeys(("choice", "parallel", "schema", "max_tokens", "temperature", "top_p", "user", "stream"))
    m |= {"system": system, "turns": _merged(turns), "tools": [], "stop": []}
    return m | {k: v for k, v in rest.items() if v is not None}


def _read_tools(tools, inside, schema):
    out = []
    for t in tools or []:
        f = t[inside] if inside else t
        out.append({"name": f["name"], "description": f.get("description"), "schema": f.get(schema)})
    return out


def _read_choice(v, inside):
    return v if v is None or isinstance(v, str) else "=" + (v[inside] if inside else v)["name"]


def read_chat(body):
    system, turns = [], []
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        if role in ("system", "developer"):
            if turns:
                raise AssertionError("a system message behind others")
            system += _texts(content)
        elif role == "tool":
            turns.append(("user", [("result", message["tool_call_id"], "".join(_texts(content)), False)]))
        else:
            items = []
            for p in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
                items.append(("text", p["text"]) if p["type"] == "text" else _image(p["image_url"]["url"]))
            for c in message.get("tool_calls", []):
                items.append(("call", c["id"], c["function"]["name"], load(c["function"]["arguments"])))
            turns.append((role, items))
    fmt = body.get("response_format", {}).get("json_schema", {})
    stop = body.get("stop")
    return _meaning(
        system, turns, tools=_read_tools(body.get("tools"), "function", "parameters"),
        choice=_read_choice(body.get("tool_choice"), "function"), parallel=body.get("parallel_tool_calls"),
        schema=fmt.get("schema"), max_tokens=body.get("max_tokens", body.get("max_completion_tokens")),
        temperature=body.get("temperature"), top_p=body.get("top_p"), stop=[stop] if isinstance(stop, str) else stop,
        user=body.get("user", body.get("safety_identifier")), stream=body.get("stream"))  # fmt: skip


def read_messages(body):
    turns = []
    for message in body["messages"]:
        content, items = message["content"], []
        for b in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if b["type"] == "text":
                items.append(("text", b["text"]))
            elif b["type"] == "image":
                s = b["source"]
                items.append(("image", s["media_type"], s["data"]) if s["type"] == "base64" else ("image", s["url"]))
            elif b["type"] == "tool_use":
                items.append(("call", b["id"], b["name"], b["input"]))
            elif b["type"] == "tool_result":
                items.append(("result", b["tool_use_id"], "".join(_texts(b["content"])), b.get("is_error", False)))
            else:
                raise AssertionError(b)
        turns.append((message["role"], items))
    kinds = {"auto": "auto", "none": "none", "any": "required"}
    chosen = body.get("tool_choice")
    return _meaning(
        _texts(body.get("system", [])), turns, tools=_read_tools(body.get("tools"), None, "input_schema"),
        choice=chosen and (kinds.get(chosen["type"]) or "=" + chosen["name"]),
        parallel=False if chosen and chosen.get("disable_parallel_tool_use") else None,
        schema=body.get("output_config", {}).get("format", {}).get("schema"), max_tokens=body["max_tokens"],
        temperature=body.get("temperature"), top_p=body.get("top_p"), stop=body.get("stop_sequences"),
        user=body.get("metadata", {}).get("user_id"), stream=body.get("stream"))  # fmt: skip


def read_responses(body):
    system, turns = _texts(body.get("instructions") or []), []
    items = body["input"]
    for i in [{"type": "message", "role": "user", "content": items}] if isinstance(items, str) else items:
        kind = i.get("type", "message")
        if kind == "function_call":
            turns.append(("assistant", [("call", i["call_id"], i["name"], load(i["arguments"]))]))
        elif kind == "function_call_output":
            turns.append(("user", [("result", i["call_id"], "".join(_texts(i["output"])), False)]))
        elif i["role"] in ("system", "developer"):
            if turns:
                raise AssertionError("a system message behind others")
            system += _texts(i["content"])
        else:
            content = [{"type": "input_text", "text": i["content"]}] if isinstance(i["content"], str) else i["content"]
            turns.append((i["role"], [("text", p["text"]) if "text" in p else _image(p["image_url"]) for p in content]))
    return _meaning(
        system, turns, tools=_read_tools(body.get("tools"), None, "parameters"),
        choice=_read_choice(body.get("tool_choice"), None), parallel=body.get("parallel_tool_calls"),
        schema=body.get("text", {}).get("format", {}).get("schema"), max_tokens=body.get("max_output_tokens"),
        temperature=body.get("temperature"), top_p=body.get("top_p"),
        user=body.get("user", body.get("safety_identifier")), stream=body.get("stream"))  # fmt: skip


READ = {"chat": read_chat, "messages": read_messages, "responses": read_responses}


# --- compared ------------------------------------------------------------------------------------------------


def expected(m, client, upstream):
    """What the upstream should be told of what the client said: the tables E.1.1, E.1.2, E.2, E.3 and their losses."""
    out = dict(m, turns=_merged(m["turns"]))
    out["tools"] = [dict(t, schema=t["schema"] or NO_PARAMETERS) for t in m["tools"]]
    out["parallel"] = None if m["parallel"] else m["parallel"]  # true is everybody's default
    out["stream"] = m["stream"] or None
    if client == "responses":
        out["stop"] = []
    if upstream != "messages":  # nobody else has a place for it
        out["turns"] = [(role, [i[:2] + ("ERROR: " + i[2], False) if i[0] == "result" and i[3] else i for i in items])
                        for role, items in out["turns"]]  # fmt: skip
    if upstream == "responses":
        out["stop"] = []
        out["max_tokens"] = Num(max(int(m["max_tokens"]), 16)) if m["max_tokens"] else None
    if upstream == "messages":
        out["max_tokens"] = m["max_tokens"] or ...  # some
        if m["temperature"] and float(m["temperature"]) > 1:
            out["temperature"] = Num("1")
        if m["parallel"] is not None and m["choice"] is None:
            out["choice"] = "auto"
        if m["choice"] == "none":
            out["parallel"] = None
    return out


def comparable(m):
    """Ids and names by the order in which they come: each API has its own alphabet for them."""
    ids, names = {}, {}

    def number(seen, key):
        return seen.setdefault(key, len(seen))

    out = dict(m, stream=m["stream"] or None, parallel=m["parallel"] or (None if m["parallel"] is None else False))
    out["parallel"] = None if m["parallel"] else m["parallel"]
    out["tools"] = [dict(t, name=number(names, t["name"])) for t in m["tools"]]
    turns = []
    for role, items in m["turns"]:
        said = []
        for i in items:
            if i[0] == "call":
                i = ("call", number(ids, i[1]), number(names, i[2]), i[3])
            elif i[0] == "result":
                i = ("result", number(ids, i[1])) + tuple(i[2:])
            said.append(i)
        turns.append((role, said))
    out["turns"] = turns
    if m["choice"] and m["choice"][0] == "=":
        out["choice"] = number(names, m["choice"][1:])
    return out


def differences(want, got):
    want, got = comparable(want), comparable(got)
    return [f"{k}: wanted {want[k]!r}\n     got    {got[k]!r}" for k in want
            if want[k] != got[k] and not (want[k] is ... and got[k])]  # fmt: skip
