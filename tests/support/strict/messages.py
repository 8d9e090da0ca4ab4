"""Anthropic Messages, as api.anthropic.com judges a request. The mock's own signatures are known by `seal`."""

import re

from . import jsonschema, media
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
    tagged,
    text,
    unique,
)  # fmt: skip
from .seals import is_redacted, is_sealed

VERSIONS = ("2023-06-01", "2026-10-21")
BETAS = re.compile(
    r"(prompt-caching|token-counting|pdfs|message-batches|extended-cache-ttl|computer-use|output-128k|output-300k"
    r"|token-efficient-tools|mcp-client|interleaved-thinking|dev-full-thinking|fine-grained-tool-streaming|code-execution"
    r"|files-api|skills|context-1m|context-management|model-context-window-exceeded|structured-outputs|compact|fast-mode"
    r"|task-budgets|advisor-tool|cache-diagnosis|thinking-token-count|message-threads|oauth|claude-code|effort"
    r"|tool-examples|advanced-tool-use|mid-conversation-tool-changes)-20\d\d-?\d\d-?\d\d"
)
CACHE = {"cache_control": maybe(tagged({"ephemeral": record({}, {"ttl": one_of("5m", "1h")})}))}
ID = text(1, 64, r"[A-Za-z0-9_-]+")
NAME = text(1, 64, r"[A-Za-z0-9_-]+")


def _base64(allowed):
    def check(v, at):
        record({"media_type": text(), "data": text(1)})(v, at)
        media.check(v["media_type"], v["data"], below(at, "data"), allowed)

    return check


URL = record({"url": text(1, None, r"https?://\S+")})
BY_ID = record({"file_id": text(1)})
TEXT = record({"text": text()}, {"citations": maybe(array(an_object)), **CACHE})
IMAGE = record(
    {"source": tagged({"base64": _base64(media.IMAGES), "url": URL, "file": BY_ID})},
    {"transformations": an_object, **CACHE},
)
PLAIN = record({"media_type": one_of("text/plain"), "data": text()})
IN_DOCUMENT = by_kind(string=text(), array=array(tagged({"text": TEXT, "image": IMAGE})))
DOCUMENT = record(
    {
        "source": tagged(
            {
                "base64": _base64({"application/pdf"}), "text": PLAIN, "url": URL, "file": BY_ID,
                "content": record({"content": IN_DOCUMENT}),
            }
        )
    },
    {"title": maybe(text(0, 500)), "context": maybe(text()), "citations": maybe(record({}, {"enabled": boolean})), **CACHE},
)  # fmt: skip
SEARCH = record(
    {"source": text(), "title": text(), "content": array(tagged({"text": TEXT}))},
    {"citations": maybe(record({}, {"enabled": boolean})), **CACHE},
)
RESULT_CONTENT = by_kind(
    string=text(), array=array(tagged({"text": TEXT, "image": IMAGE, "document": DOCUMENT, "search_result": SEARCH,
                                       "tool_reference": record({"tool_name": NAME})}))
)  # fmt: skip
SERVER_RESULTS = ("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result",
                  "bash_code_execution_tool_result", "text_editor_code_execution_tool_result", "tool_search_tool_result")  # fmt: skip
USE = {"id": ID, "name": NAME, "input": an_object}
ASSISTANT = {
    "text": TEXT,
    "thinking": record({"thinking": text(), "signature": text(1)}),
    "redacted_thinking": record({"data": text(1)}),
    "tool_use": record(USE, {"caller": an_object, **CACHE}),
    "server_tool_use": record(USE, {"caller": an_object, **CACHE}),
    **dict.fromkeys(SERVER_RESULTS, record({"tool_use_id": ID, "content": anything}, {"caller": an_object, **CACHE})),
}
USER = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH,
    "tool_result": record(
        {"tool_use_id": ID}, {"content": RESULT_CONTENT, "is_error": boolean, "toolset_name": maybe(text()), **CACHE}
    ),
    "container_upload": BY_ID,
}
TEXTS = by_kind(string=text(), array=array(tagged({"text": TEXT})))
MESSAGE = tagged(
    {
        "user": record({"content": by_kind(string=text(), array=array(tagged(USER)))}),
        "assistant": record({"content": by_kind(string=text(), array=array(tagged(ASSISTANT)))}),
        "system": record({"content": TEXTS}),
    },
    tag="role",
)
SCHEMA = record({"type": one_of("object")}, open=True)
CUSTOM = record(
    {"name": NAME, "input_schema": SCHEMA},
    {
        "type": one_of("custom"), "description": text(), "strict": boolean, "eager_input_streaming": maybe(boolean),
        "input_examples": array(an_object), "defer_loading": boolean, "allowed_callers": array(text()), **CACHE,
    },
)  # fmt: skip
TYPED = re.compile(r"(bash|text_editor|memory|computer_toolset|browser_toolset|computer|web_search|web_fetch|code_execution"
                   r"|tool_search_tool_bm25|tool_search_tool_regex|advisor|mcp_toolset)(_\d{8})?")  # fmt: skip


def _tool(v, at):
    if isinstance(v, dict) and v.get("type", "custom") != "custom":
        text(1, None, TYPED.pattern)(v["type"], below(at, "type"))
        return record({"name": NAME, "type": text()}, open=True)(v, at)
    return CUSTOM(v, at)


SERIAL = {"disable_parallel_tool_use": boolean}
SHOWN = {"display": maybe(one_of("summarized", "omitted", "updates"))}
THINKING = tagged(
    {
        "enabled": record({"budget_tokens": integer(1024)}, SHOWN),
        "adaptive": record({}, SHOWN),
        "disabled": record({}),
        "between_tools": record({}, SHOWN),
    }
)
OUTPUT = record(
    {},
    {
        "effort": maybe(one_of("low", "medium", "high", "xhigh", "max")),
        "format": maybe(tagged({"json_schema": record({"schema": an_object})})),
        "task_budget": anything,
    },
)
COUNTED = {
    "system": TEXTS,
    "thinking": THINKING,
    "tool_choice": tagged(
        {
            "auto": record({}, SERIAL),
            "any": record({}, SERIAL),
            "tool": record({"name": NAME}, SERIAL),
            "none": record({}),
        }
    ),
    "tools": array(_tool),
    "output_config": OUTPUT,
    "speed": maybe(one_of("standard", "fast")),
    **CACHE,
}
BODY = record(
    {"model": text(1), "max_tokens": integer(1), "messages": array(MESSAGE, 1)},
    {
        **COUNTED,
        "container": anything,
        "context_management": an_object,
        "diagnostics": anything,
        "inference_geo": maybe(text()),
        "mcp_servers": array(an_object),
        "metadata": record({}, {"user_id": maybe(text(0, 256))}),
        "service_tier": one_of("auto", "standard_only"),
        "stop_sequences": array(text(1, None, r"(?s).*\S.*")),
        "stream": boolean,
        "temperature": number(0, 1),
        "top_k": integer(0),
        "top_p": number(0, 1),
    },
)
COUNT_BODY = record({"model": text(1), "messages": array(MESSAGE, 1)}, COUNTED)


def generation(model):
    """(4, 5) of claude-sonnet-4-5, (5, 0) of claude-opus-5, (3, 7) of claude-3-7-sonnet-…; unknown: the newest."""
    found = re.search(r"claude-(?:[a-z]+-)?(\d)(?:-(\d)(?!\d))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (9, 9)


def check(body, headers):
    _headers(headers)
    if body.get("thread"):  # held for some organizations only; the SDKs' tool runners go on without
        raise Refused("thread", "not supported with this request", "thread_unsupported_request", usual=True)
    BODY({k: v for k, v in body.items() if k != "thread"}, "")
    _messages(body)
    _tools(body)
    _thinking(body)
    _model(body, headers)


def check_count(body, headers):
    _headers(headers)
    COUNT_BODY(body, "")
    _messages(body)
    _tools(body)


def _headers(headers):
    if headers.get("anthropic-version") not in VERSIONS:
        raise Refused("anthropic-version", f"{headers.get('anthropic-version')!r} is not a valid version")
    for flag in filter(None, (f.strip() for f in headers.get("anthropic-beta", "").split(","))):
        if not BETAS.fullmatch(flag):
            raise Refused("anthropic-beta", f"unexpected value {flag!r}")


def blocks_of(content):
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _messages(body):
    messages, uses = body["messages"], {}
    if body["messages"][0]["role"] == "assistant":
        raise Refused("messages", 'first message must use the "user" role')
    if isinstance(body.get("system"), list):
        _texts(body["system"], "system")
    seen = []
    for i, m in enumerate(messages):
        at, last = below("messages", i), i == len(messages) - 1
        blocks = blocks_of(m["content"])
        if not blocks and not (last and m["role"] == "assistant"):
            raise Refused(
                at, "all messages must have non-empty content except for the optional final assistant message"
            )
        if m["content"] != "" or not last:
            _texts(blocks, at)
        if m["role"] == "system" and generation(body["model"]) < (4, 7):
            raise Refused(at, "role 'system' is not supported on this model")
        _results(blocks, uses, at)
        uses = {b["id"]: False for b in blocks if b["type"] == "tool_use"}
        seen += [b["id"] for b in blocks if b["type"] == "tool_use"]
        _thoughts(blocks, at)
    unique(seen, "messages", "`tool_use` id")
    if uses:
        raise Refused(
            "messages", f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(uses)}"
        )
    final = blocks_of(messages[-1]["content"])
    if (
        messages[-1]["role"] == "assistant"
        and final
        and final[-1]["type"] == "text"
        and final[-1]["text"][-1:].isspace()
    ):
        raise Refused("messages", "final assistant content cannot end with trailing whitespace")
    marks = sum(1 for b in _all_blocks(body) if b.get("cache_control"))
    if marks > 4:
        raise Refused("messages", f"a maximum of 4 blocks with cache_control may be provided; found {marks}")


def _all_blocks(body):
    yield from body.get("tools", ())
    system = body.get("system", ())
    yield from () if isinstance(system, str) else system
    for m in body["messages"]:
        for b in blocks_of(m["content"]):
            yield b
            if isinstance(b.get("content"), list):
                yield from b["content"]


def _texts(blocks, at):
    for j, b in enumerate(blocks):
        if b["type"] == "text":
            if not b["text"].strip():
                raise Refused(below(at, j), "text content blocks must contain non-whitespace text")
        elif b["type"] == "tool_result" and isinstance(b.get("content"), list):
            _texts(b["content"], below(at, j))


def _results(blocks, uses, at):
    """All results of one assistant message, in the next one, before anything else there."""
    others = False
    for b in blocks:
        if b["type"] != "tool_result":
            others = True
            continue
        if others and uses:
            raise Refused(at, "`tool_result` blocks must come before any other content")
        if b["tool_use_id"] not in uses:
            raise Refused(at, f"unexpected `tool_use_id` found in `tool_result` blocks: {b['tool_use_id']}")
        if uses[b["tool_use_id"]]:
            raise Refused(at, f"each tool_use must have a single result; found several for {b['tool_use_id']}")
        uses[b["tool_use_id"]] = True
    if missing := [k for k, given in uses.items() if not given]:
        raise Refused(
            at, f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}"
        )


def _thoughts(blocks, at):
    for j, b in enumerate(blocks):
        if b["type"] == "thinking" and not is_sealed(b["signature"], b["thinking"]):
            raise Refused(below(at, j), "invalid `signature` in `thinking` block")
        if b["type"] == "redacted_thinking" and not is_redacted(b["data"]):
            raise Refused(below(at, j), "invalid `data` in `redacted_thinking` block")


def _tools(body):
    tools = body.get("tools") or []
    unique((t["name"] for t in tools), "tools", "tool name")
    for i, t in enumerate(tools):
        schema = t.get("input_schema", {})
        at = f"tools[{i}].input_schema"
        if bad := {"oneOf", "anyOf", "allOf"} & schema.keys():
            raise Refused(at, f"does not support {sorted(bad)[0]} at the top level")
        if t.get("strict"):
            jsonschema.closed(schema, at, all_required=False, unsupported=jsonschema.ANTHROPIC_UNSUPPORTED)
    if not tools:
        if "tool_choice" in body:
            raise Refused("tool_choice", "may only be specified while providing tools")
        if any(b["type"] in ("tool_use", "tool_result") for m in body["messages"] for b in blocks_of(m["content"])):
            raise Refused("tools", "requests which have `tool_use` or `tool_result` blocks must define tools")
    choice = body.get("tool_choice", {})
    if choice.get("type") == "tool" and choice["name"] not in [t["name"] for t in tools]:
        raise Refused("tool_choice", f"tool '{choice['name']}' not found in provided tools")


def _thinking(body):
    thinking = body.get("thinking", {}).get("type", "disabled")
    if thinking == "disabled":
        return
    if thinking == "enabled" and body["thinking"]["budget_tokens"] >= body["max_tokens"]:
        raise Refused("max_tokens", "must be greater than `thinking.budget_tokens`")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise Refused("tool_choice", "thinking may not be enabled when tool_choice forces tool use")
    if body.get("temperature", 1) != 1:
        raise Refused("temperature", "may only be set to 1 when thinking is enabled")
    if "top_k" in body:
        raise Refused("top_k", "must be unset when thinking is enabled")
    if body["messages"][-1]["role"] == "assistant":
        raise Refused("messages", "prefill is not supported with thinking")
    if thinking == "enabled":
        _begins_with_thought(body["messages"])


def _begins_with_thought(messages):
    """The assistant turn whose tool calls are being answered."""
    turn = None
    for i, m in enumerate(messages):
        blocks = blocks_of(m["content"])
        if m["role"] == "assistant":
            turn = turn if turn is not None else (i, blocks)
        elif any(b["type"] != "tool_result" for b in blocks):
            turn = None
    if turn and turn[1] and turn[1][0]["type"] not in ("thinking", "redacted_thinking"):
        raise Refused(
            f"messages[{turn[0]}].content[0]",
            f"expected `thinking` or `redacted_thinking`, found `{turn[1][0]['type']}`",
        )


SAMPLING = ("temperature", "top_p", "top_k")


def _model(body, headers):
    model, gen = body["model"], generation(body["model"])
    thinking = body.get("thinking", {}).get("type")
    if headers["anthropic-version"] >= "2026-10-21":
        for key in SAMPLING:
            if key in body:
                raise Refused(key, "not supported by this version of the API")
    if gen > (4, 6):
        if body.get("temperature", 1) != 1 or body.get("top_p", 1) < 0.99 or "top_k" in body:
            raise Refused("temperature", "sampling parameters are not supported on this model")
        if thinking == "enabled":
            raise Refused("thinking", "`enabled` is not supported on this model; use `adaptive`")
    elif "temperature" in body and "top_p" in body and gen >= (4, 1):
        raise Refused("temperature", "`temperature` and `top_p` cannot both be specified for this model")
    if gen < (4, 6) and thinking == "adaptive":
        raise Refused("thinking", "adaptive thinking is not supported on this model")
    if gen < (3, 7) and thinking not in (None, "disabled"):
        raise Refused("thinking", "not supported on this model")
    if gen >= (4, 6) and body["messages"][-1]["role"] == "assistant":
        raise Refused("messages", "this model does not support assistant message prefill")
    output = body.get("output_config", {})
    if output.get("format"):
        if gen < (4, 5) and "claude-opus-4-1" not in model:
            raise Refused("output_config.format", "this model does not support output format")
        schema = output["format"]["schema"]
        jsonschema.closed(schema, "output_config.format.schema", False, jsonschema.ANTHROPIC_UNSUPPORTED)
    effort = output.get("effort")
    if effort and not (gen >= (4, 6) or "opus-4-5" in model):
        raise Refused("output_config.effort", "this model does not support the effort parameter")
    if effort == "xhigh" and gen < (4, 7):
        raise Refused("output_config.effort", "'xhigh' is not supported on this model")
