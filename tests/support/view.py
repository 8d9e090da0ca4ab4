"""Reads a request of any of the three APIs into one form, so that a test says once what must arrive.

    v = view.read(request)
    v.system, v.said, v.tools["lookup"].schema, v.parts(Image), v.results

An independent reading: nothing here is shared with the gateway. It trusts the request to be valid (strict.py).
"""

import json
from dataclasses import dataclass, field

from .parts import Audio, Call, Document, Image, Refusal, Result, Text, Thought, of, text_of
from .strict.media import DATA_URL


@dataclass
class Tool:
    name: str
    description: str = ""
    schema: dict | None = None
    strict: bool | None = None
    kind: str = "function"  # or custom, or the vendor's type
    cached: bool = False


@dataclass
class Turn:
    role: str  # user, assistant, system, tool
    parts: list


@dataclass
class View:
    api: str
    model: str
    stream: bool
    body: dict = field(repr=False)
    system: list = field(default_factory=list)  # texts, wherever they stood
    turns: list = field(default_factory=list)
    tools: dict = field(default_factory=dict)
    choice: object = None  # auto, none, required, ("tool", name)
    parallel: bool | None = None
    schema: dict | None = None  # of the structured output asked for
    json: bool = False  # any JSON asked for
    effort: str | None = None
    thinking: object = None  # Anthropic's object
    max_tokens: int | None = None
    stop: list = field(default_factory=list)

    def parts(self, kind, role=None):
        found = []
        for t in self.turns:
            if role in (None, t.role):
                for p in t.parts:
                    found += of(kind, [p]) + (of(kind, p.parts) if isinstance(p, Result) else [])
        return found

    @property
    def said(self):
        """The last of the user's texts."""
        return next(
            (text_of(t.parts, "\n") for t in reversed(self.turns) if t.role == "user" and of(Text, t.parts)), ""
        )

    @property
    def all_said(self):
        return "\n".join(text_of(t.parts, "\n") for t in self.turns if t.role == "user")

    @property
    def results(self):
        """Those of the last round of calls: what came after the last word of the assistant."""
        found = []
        for t in reversed(self.turns):
            if t.role == "assistant":
                break
            found = of(Result, t.parts) + found
        return found

    @property
    def rounds(self):
        """How often the model has called tools since the user last spoke. What stands beside results is no speaking."""
        n, before = 0, []
        for t in self.turns:
            if t.role == "assistant":
                n += bool(of(Call, t.parts))
            elif not of(Result, [*before, *t.parts]):
                n = 0
            before = t.parts
        return n

    @property
    def calls(self):
        return self.parts(Call)


def read(request, before=()):
    """`before`: the items that previous_response_id stands for."""
    body = request.json
    if request.path.endswith("/responses"):
        return responses(body, before)
    return messages(body) if "/messages" in request.path else chat(body)


def _listed(content):
    """A string as one text part."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _image(url):
    found = DATA_URL.fullmatch(url)
    return Image(found[1], found[2]) if found else Image(url=url)


def _document(data, name):
    found = DATA_URL.fullmatch(data)
    return Document(found[1], found[2], name)


# --- OpenAI Chat Completions -------------------------------------------------------------------------------------


def _chat_part(p):
    match p["type"]:
        case "text":
            return Text(p["text"])
        case "image_url":
            return _image(p["image_url"]["url"])
        case "file":
            return _document(p["file"]["file_data"], p["file"].get("filename", ""))
        case "input_audio":
            return Audio(p["input_audio"]["format"], p["input_audio"]["data"])
        case "refusal":
            return Refusal(p["refusal"])
    raise ValueError(p)


def _chat_call(c):
    if c["type"] == "custom":
        return Call(c["custom"]["name"], c["custom"]["input"], c["id"], custom=True)
    return Call(c["function"]["name"], c["function"]["arguments"], c["id"])


def _chat_tool(t):
    f = t[t["type"]]
    return Tool(f["name"], f.get("description", ""), f.get("parameters"), f.get("strict"), t["type"])


def chat(body):
    v = View("chat", body["model"], bool(body.get("stream")), body)
    for m in body["messages"]:
        parts = [_chat_part(p) for p in _listed(m.get("content"))]
        if m["role"] in ("system", "developer"):
            v.system += [p.text for p in parts]
        elif m["role"] == "tool":
            v.turns.append(Turn("tool", [Result(m["tool_call_id"], parts)]))
        elif m["role"] == "assistant":
            thought = m.get("reasoning_content") or m.get("reasoning")
            parts = [Thought(thought)] * bool(thought) + parts + [_chat_call(c) for c in m.get("tool_calls") or ()]
            v.turns.append(Turn("assistant", parts))
        else:
            v.turns.append(Turn(m["role"], parts))
    v.tools = {t.name: t for t in map(_chat_tool, body.get("tools") or ())}
    choice = body.get("tool_choice")
    v.choice = (
        ("tool", choice[choice["type"]]["name"]) if isinstance(choice, dict) and choice["type"] in choice else choice
    )
    v.parallel = body.get("parallel_tool_calls")
    form = body.get("response_format") or {}
    v.schema = form.get("json_schema", {}).get("schema")
    v.json = form.get("type") in ("json_schema", "json_object")
    v.effort = body.get("reasoning_effort")
    v.max_tokens = body.get("max_completion_tokens") or body.get("max_tokens")
    stop = body.get("stop") or []
    v.stop = [stop] if isinstance(stop, str) else stop
    return v


# --- Anthropic Messages ------------------------------------------------------------------------------------------


def _source(s, name=""):
    match s["type"]:
        case "url":
            return Image(url=s["url"]) if name is None else Document(url=s["url"], name=name)
        case "base64":
            return Image(s["media_type"], s["data"]) if name is None else Document(s["media_type"], s["data"], name)
        case "text":
            return Document("text/plain", s["data"], name)
    raise ValueError(s)


def _messages_part(b):
    match b["type"]:
        case "text":
            return Text(b["text"])
        case "image":
            return _source(b["source"], None)
        case "document":
            return _source(b["source"], b.get("title") or "")
        case "thinking":
            return Thought(b["thinking"], b["signature"])
        case "redacted_thinking":
            return Thought("", b["data"], redacted=True)
        case "tool_use":
            return Call(b["name"], json.dumps(b["input"], ensure_ascii=False), b["id"])
        case "tool_result":
            return Result(
                b["tool_use_id"], [_messages_part(p) for p in _listed(b.get("content"))], bool(b.get("is_error"))
            )
    raise ValueError(b)


def messages(body):
    v = View("messages", body["model"], bool(body.get("stream")), body)
    v.system = [b["text"] for b in _listed(body.get("system"))]
    for m in body["messages"]:
        parts = [_messages_part(b) for b in _listed(m["content"])]
        if m["role"] == "system":
            v.system += [p.text for p in parts]
        else:
            v.turns.append(Turn(m["role"], parts))
    for t in body.get("tools") or ():
        kind = "function" if t.get("type", "custom") == "custom" else t["type"]
        v.tools[t["name"]] = Tool(t["name"], t.get("description", ""), t.get("input_schema"), t.get("strict"), kind,
                                  bool(t.get("cache_control")))  # fmt: skip
    choice = body.get("tool_choice") or {}
    v.choice = {"any": "required", "tool": ("tool", choice.get("name"))}.get(choice.get("type"), choice.get("type"))
    if "disable_parallel_tool_use" in choice:
        v.parallel = not choice["disable_parallel_tool_use"]
    output = body.get("output_config") or {}
    v.schema = (output.get("format") or {}).get("schema")
    v.json = v.schema is not None
    v.effort = output.get("effort")
    v.thinking = body.get("thinking")
    v.max_tokens = body.get("max_tokens")
    v.stop = body.get("stop_sequences") or []
    return v


# --- OpenAI Responses --------------------------------------------------------------------------------------------


def _responses_part(p):
    match p["type"]:
        case "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text":
            return Text(p["text"])
        case "input_image":
            return _image(p["image_url"])
        case "input_file":
            return (
                Document(url=p["file_url"]) if p.get("file_url") else _document(p["file_data"], p.get("filename", ""))
            )
        case "input_audio":
            return Audio(p["input_audio"]["format"], p["input_audio"]["data"])
        case "refusal":
            return Refusal(p["refusal"])
    raise ValueError(p)


def _item(item):
    """(role, parts)"""
    match item.get("type", "message"):
        case "message":
            return item["role"], [_responses_part(p) for p in _listed(item["content"])]
        case "reasoning":
            return "assistant", [
                Thought("".join(p["text"] for p in item["summary"]), item.get("encrypted_content") or "")
            ]
        case "function_call":
            return "assistant", [Call(item["name"], item["arguments"], item["call_id"])]
        case "custom_tool_call":
            return "assistant", [Call(item["name"], item["input"], item["call_id"], custom=True)]
        case "function_call_output" | "custom_tool_call_output":
            return "tool", [Result(item["call_id"], [_responses_part(p) for p in _listed(item["output"])])]
    raise ValueError(item)


def _responses_tools(tools, prefix=""):
    for t in tools:
        if t["type"] == "namespace":
            yield from _responses_tools(t["tools"], t["name"] + "__")
        else:
            kind = t["type"]
            name = t.get("name", kind)
            yield Tool(prefix + name, t.get("description") or "", t.get("parameters"), t.get("strict"), kind)


def responses(body, before=()):
    v = View("responses", body["model"], bool(body.get("stream")), body)
    if body.get("instructions"):
        v.system.append(body["instructions"])
    items = body.get("input", [])
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    for role, parts in map(_item, [*before, *(i for i in items if i.get("type") != "additional_tools")]):
        if role in ("system", "developer"):
            v.system += [p.text for p in parts]
        elif role == "assistant" and v.turns and v.turns[-1].role == "assistant":
            v.turns[-1].parts += parts
        else:
            v.turns.append(Turn(role, parts))
    v.tools = {t.name: t for t in _responses_tools(body.get("tools") or ())}
    choice = body.get("tool_choice")
    v.choice = ("tool", choice["name"]) if isinstance(choice, dict) and "name" in choice else choice
    v.parallel = body.get("parallel_tool_calls")
    form = (body.get("text") or {}).get("format") or {}
    v.schema, v.json = form.get("schema"), form.get("type") in ("json_schema", "json_object")
    v.effort = (body.get("reasoning") or {}).get("effort")
    v.max_tokens = body.get("max_output_tokens")
    return v
