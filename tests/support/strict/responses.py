"""OpenAI Responses, as api.openai.com judges a request. The mock's own secrets are known by `seal`."""

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
    one_of,
    record,
    tagged,
    text,
    unique,
)  # fmt: skip
from .seals import is_sealed

DETAIL = one_of("low", "high", "auto", "original")
INPUT_TEXT = record({"text": text()})
IMAGE = record({}, {"image_url": maybe(media.image_url), "file_id": maybe(text(1)), "detail": DETAIL})
FILE = record(
    {},
    {
        "file_data": media.file_data,
        "file_id": maybe(text(1)),
        "file_url": text(1),
        "filename": text(1),
        "detail": DETAIL,
    },
)
OUTPUT_PARTS = {
    "output_text": record({"text": text()}, {"annotations": array(anything), "logprobs": array(anything)}),
    "refusal": record({"refusal": text()}),
}
RESULT_PARTS = {"input_text": INPUT_TEXT, "input_image": IMAGE, "input_file": FILE}
AUDIO = record({"input_audio": record({"data": lambda v, at: media.decode(v, at), "format": one_of("wav", "mp3")})})


def item_id(prefix):
    return text(1, 64, rf"{prefix}[A-Za-z0-9_-]+")


STATUS = {"status": maybe(one_of("in_progress", "completed", "incomplete"))}
CALL_ID = text(1, 64)


def content(parts):
    return by_kind(string=text(), array=array(tagged(parts)))


def _role(parts, **more):
    return record({"content": content(parts)}, {**STATUS, **more})


ASKING = _role({**RESULT_PARTS, "input_audio": AUDIO}, id=item_id("msg_"))
PHASE = maybe(one_of("commentary", "final_answer"))
MESSAGE = tagged(
    {
        **dict.fromkeys(("user", "system", "developer"), ASKING),
        "assistant": _role(OUTPUT_PARTS, id=item_id("msg_"), phase=PHASE),
    },
    tag="role",
)
OUTPUT = content(RESULT_PARTS)
ITEM = tagged(
    {
        "message": MESSAGE,
        "reasoning": record(
            {"summary": array(tagged({"summary_text": INPUT_TEXT}))},
            {
                "id": item_id("rs_"),
                "encrypted_content": maybe(text()),
                "content": maybe(array(tagged({"reasoning_text": INPUT_TEXT}))),
            },
        ),
        "function_call": record(
            {"call_id": CALL_ID, "name": NAME, "arguments": text()},
            {"id": item_id("fc_"), "namespace": maybe(text()), "caller": anything, **STATUS},
        ),
        "function_call_output": record({"call_id": CALL_ID, "output": OUTPUT}, {"id": maybe(text(1, 64)), **STATUS}),
        "custom_tool_call": record(
            {"call_id": CALL_ID, "name": NAME, "input": text()}, {"id": item_id("ctc_"), "namespace": maybe(text()), **STATUS}
        ),
        "custom_tool_call_output": record({"call_id": CALL_ID, "output": OUTPUT}, {"id": maybe(text(1, 64)), **STATUS}),
        "item_reference": record({"id": text(1, 64)}),
        "additional_tools": an_object,
    },
    default="message",
)  # fmt: skip
FUNCTION = record(
    {"name": NAME},
    {
        "parameters": maybe(an_object), "strict": maybe(boolean), "description": maybe(text()), "output_schema": anything,
        "defer_loading": boolean, "allowed_callers": anything,
    },
)  # fmt: skip
CUSTOM = record(
    {"name": NAME},
    {
        "description": text(),
        "format": tagged(
            {"text": record({}), "grammar": record({"definition": text(1), "syntax": one_of("lark", "regex")})}
        ),
    },
)
HOSTED = ("web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp", "computer",
          "computer_use_preview", "local_shell", "shell", "apply_patch", "tool_search", "programmatic_tool_calling")  # fmt: skip
CLIENTS = {"function": FUNCTION, "custom": CUSTOM}
TOOL = tagged(
    {
        **CLIENTS,
        "namespace": record({"name": NAME, "tools": array(tagged(CLIENTS), 1)}, {"description": text()}),
        **dict.fromkeys(HOSTED, an_object),
    }
)
NAMED = {"function": record({"name": NAME}), "custom": record({"name": NAME})}
CHOICE = by_kind(
    string=one_of("none", "auto", "required"),
    object=tagged(
        {
            **NAMED,
            "allowed_tools": record({"mode": one_of("auto", "required"), "tools": array(tagged(NAMED), 1)}),
            "mcp": record({"server_label": text(1)}, {"name": maybe(text())}),
            **{name: record({}) for name in HOSTED if name != "mcp"},
        }
    ),
)
FORMAT = tagged(
    {
        "text": record({}),
        "json_object": record({}),
        "json_schema": record(
            {"name": NAME, "schema": an_object}, {"description": maybe(text()), "strict": maybe(boolean)}
        ),
    }
)
INCLUDE = one_of(
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources", "message.input_image.image_url",
    "computer_call_output.output.image_url", "code_interpreter_call.outputs", "reasoning.encrypted_content",
    "message.output_text.logprobs",
)  # fmt: skip
BODY = record(
    {"model": text(1)},
    {
        **COMMON,
        "background": maybe(boolean),
        "client_metadata": an_object,  # of the vendor's own agent
        "context_management": maybe(array(an_object)),
        "conversation": anything,
        "include": maybe(array(INCLUDE)),
        "input": by_kind(string=text(), array=array(ITEM)),
        "instructions": maybe(text()),
        "max_output_tokens": maybe(integer(16)),
        "max_tool_calls": maybe(integer(1)),
        "previous_response_id": maybe(text()),
        "prompt": anything,
        "reasoning": maybe(
            record(
                {},
                {
                    "effort": maybe(EFFORT),
                    "summary": maybe(one_of("auto", "concise", "detailed")),
                    "generate_summary": maybe(one_of("auto", "concise", "detailed")),
                    "context": maybe(one_of("auto", "current_turn", "all_turns")),
                    "mode": maybe(one_of("standard", "pro")),
                },
            )
        ),
        "stream_options": maybe(record({}, {"include_obfuscation": boolean})),
        "text": record({}, {"format": FORMAT, "verbosity": maybe(one_of("low", "medium", "high"))}),
        "tool_choice": CHOICE,
        "tools": array(TOOL),
        "truncation": maybe(one_of("auto", "disabled")),
    },
)
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def check(body, headers, stored=()):
    """`stored`: response id -> its context, a list of items, with what came before them."""
    BODY(body, "")
    items = body.get("input", [])
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    before = body.get("previous_response_id")
    if before is not None and before not in stored:
        raise Refused(
            "previous_response_id", f"previous response with id '{before}' not found", "previous_response_not_found"
        )
    context = list(stored[before]) if before is not None else []
    if not items and not context:
        raise Refused("input", "one of 'input', 'previous_response_id', 'prompt' or 'conversation' must be provided")
    _items(items, context, {i["id"] for c in dict(stored).values() for i in c if i.get("id")})
    _tools(body)
    _format(body)
    _model(body)
    if body.get("background") and body.get("store") is False:
        raise Refused("background", "requires 'store'")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise Refused("stream_options", "only allowed when 'stream' is enabled")


def _items(items, context, known):
    pending, seen = {}, [i.get("call_id") for i in context if i.get("type") in CALLS]
    for i in context:  # those of the history that wait for their outputs
        if i.get("type") in CALLS:
            pending[i["call_id"]] = CALLS[i["type"]]
        elif i.get("type") in CALLS.values():
            pending.pop(i["call_id"], None)
    for n, item in enumerate(items):
        at, type_ = below("input", n), item.get("type", "message")
        if type_ in CALLS:
            pending[item["call_id"]] = CALLS[type_]
            seen.append(item["call_id"])
        elif type_ in CALLS.values():
            if pending.pop(item["call_id"], None) != type_:
                raise Refused(at, f"no tool call found for {type_} with call_id {item['call_id']}")
        elif type_ == "item_reference" and item["id"] not in known:
            raise Refused(at, f"item with id '{item['id']}' not found", status=404)
        elif type_ == "reasoning":
            _reasoning(item, items[n + 1 :], at, known)
    unique(seen, "input", "call_id")
    answered(pending, "input")


def _reasoning(item, rest, at, known):
    follower = next((i.get("type", i.get("role")) for i in rest if i.get("type") != "reasoning"), None)
    if rest and rest[0].get("role") == "assistant":
        follower = "message"
    if follower not in (*CALLS, "message"):
        raise Refused(at, "item of type 'reasoning' was provided without its required following item")
    sealed = item.get("encrypted_content")
    if sealed is not None:
        if not is_sealed(sealed, "".join(p["text"] for p in item["summary"])):
            raise Refused(at, "the encrypted content could not be verified", "invalid_encrypted_content")
    elif item.get("id") not in known:
        raise Refused(
            at, f"item with id '{item.get('id')}' not found; items are not persisted when 'store' is false", status=404
        )


def _flat(tools):
    for t in tools:
        if t["type"] == "namespace":
            yield from _flat(t["tools"])
        elif t["type"] in CLIENTS:
            yield t


def _tools(body):
    tools = list(_flat(body.get("tools", ())))
    unique((t["name"] for t in body.get("tools", ()) if t["type"] in CLIENTS), "tools", "tool name")
    for i, t in enumerate(tools):
        at = f"tools[{i}].parameters"
        if t.get("parameters") is not None:
            jsonschema.parameters(t["parameters"], at)
        if t.get("strict"):
            jsonschema.closed(t.get("parameters") or {}, at, all_required=True)
    choice = body.get("tool_choice")
    if choice == "required" and not body.get("tools"):
        raise Refused("tool_choice", "'required' without 'tools'")
    if isinstance(choice, dict):
        chosen = choice["tools"] if choice["type"] == "allowed_tools" else [choice]
        for c in chosen:
            if c["type"] in CLIENTS:
                known_tool((c["type"], c["name"]), {(t["type"], t["name"]) for t in tools}, "tool_choice")


def _format(body):
    form = body.get("text", {}).get("format", {})
    if form.get("type") == "json_schema" and form.get("strict"):
        jsonschema.parameters(form["schema"], "text.format.schema")
        jsonschema.closed(form["schema"], "text.format.schema", all_required=True)
    if form.get("type") == "json_object" and "json" not in f"{body.get('input')}".lower():
        raise Refused("input", "'input' must contain the word 'json' in some form")


def _model(body):
    model = body["model"]
    if official(model) and not reasons(model):
        if (body.get("reasoning") or {}).get("effort") is not None:
            raise Refused("reasoning.effort", "not supported with this model", "unsupported_parameter")
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            raise Refused("include", "encrypted content is not supported with this model")
    sampling(body, ("temperature", "top_p", "top_logprobs"), (body.get("reasoning") or {}).get("effort"))
