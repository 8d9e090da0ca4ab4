"""Reduces what a gateway did to what must agree: names that are made up, times and the like are replaced, JSON inside
strings is read, streams are folded into the message they make plus the order of their kinds of event."""

import decimal
import json
import re

import deployments

MADE_UP = re.compile(r"^(chatcmpl-|cmpl-|msg_|resp_|rs_|fc_|ctc_|ws_)\S+$|^[0-9a-f]{8}-[0-9a-f-]{27}$")
TIMES = {"created", "created_at", "completed_at", "expires_at"}
NESTED = {"arguments"}  # JSON as a string
MESSAGE = re.compile(r"\s+")


def parse(text):
    """JSON with numbers kept apart by their digits, 9007199254740993 from 9007199254740992."""
    return json.loads(text, parse_float=decimal.Decimal)


def number(value):
    """1.0 and 1 are the same number."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 10**30 else f"{value.normalize()}"
    return value


def plain(value, case, lane, key=None):
    """`value` with what differs by nature replaced."""
    if isinstance(value, dict):
        return {k: plain(v, case, lane, k) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v, case, lane, key) for v in value]
    if isinstance(value, str):
        if key in NESTED:
            try:
                return {"as JSON": plain(parse(value), case, lane)}
            except ValueError:
                return value
        if key in ("id", "item_id", "response_id") and MADE_UP.match(value):
            return "<id>"
        return value.replace(deployments.public(case.kind, case.params, lane), "<model>")
    if key in TIMES and value is not None:
        return "<time>"
    return number(value)


# --- errors --------------------------------------------------------------------------------------------------------


def provider_texts(case):
    """What the provider says went wrong, if it says so."""
    found = []

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("message"), str):
                found.append(value["message"])
            for v in value.values():
                walk(v)
        elif isinstance(value, list):
            for v in value:
                walk(v)

    for reply in case.replies.values():
        for part in ("body", "error", "events"):
            walk(reply.get(part))
    return found


def error(value, case):
    """An error envelope with its text replaced by whether it tells what the provider said."""
    if isinstance(value, dict):
        out = {k: error(v, case) for k, v in value.items()}
        if isinstance(out.get("message"), str):
            told = [t for t in provider_texts(case) if t in out["message"] or json.dumps(t)[1:-1] in out["message"]]
            out["message"] = "<the provider's words>" if told else "<words>"
        return out
    return [error(v, case) for v in value] if isinstance(value, list) else value


# --- streams -------------------------------------------------------------------------------------------------------


def events(data):
    """(event name or None, data) of each event."""
    out = []
    for block in re.split(r"\r?\n\r?\n", data.decode("utf-8", "replace")):
        name, lines = None, []
        for line in re.split(r"\r?\n", block):
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                lines.append(value.removeprefix(" "))
        if lines:
            out.append((name, "\n".join(lines)))
    return out


def collapse(names):
    out = []
    for n in names:
        if not out or out[-1] != n:
            out.append(n)
    return out


TEXTS = ("content", "refusal", "reasoning_content", "reasoning", "text")


def _add(into, delta):
    """Adds a chat delta as the SDKs do: texts grow, calls grow by index, anything else replaces."""
    for name, value in delta.items():
        if value is None:
            into.setdefault(name, None)
        elif name in TEXTS and isinstance(value, str):
            into[name] = (into.get(name) or "") + value
        elif name == "tool_calls":
            calls = into.setdefault(name, {})
            for call in value:
                have = calls.setdefault(str(call.get("index")), {"index": call.get("index")})
                for k, v in call.items():
                    if k in ("function", "custom") and isinstance(v, dict):
                        part = have.setdefault(k, {})
                        for kk, vv in v.items():
                            part[kk] = (part.get(kk) or "") + vv if kk in ("arguments", "input") and vv else part.get(kk) or vv
                    elif v is not None:
                        have[k] = have.get(k) or v if k == "id" else v
        elif name == "thinking_blocks":
            into.setdefault(name, []).extend(value)
        else:
            into[name] = value


def fold_chat(parsed):
    """Chunks of chat or completions as one reply, and the kinds of their deltas in order."""
    whole, choices, kinds = {}, {}, []
    for _, data in parsed:
        if data == "[DONE]":
            kinds.append("[DONE]")
            continue
        chunk = parse(data)
        if "error" in chunk:
            kinds.append("error")
            whole["error"] = chunk["error"]
            continue
        for k, v in chunk.items():
            if k not in ("choices", "usage") or (k == "usage" and v):
                whole[k] = v
        for choice in chunk.get("choices", []):
            have = choices.setdefault(choice.get("index"), {"index": choice.get("index")})
            delta = choice.get("delta")
            if delta is None:
                delta = {"text": choice.get("text")} if "text" in choice else {}
            _add(have.setdefault("message", {}), delta)
            kinds += [k for k, v in delta.items() if v and k not in ("role", "provider_specific_fields", "type")]
            if (probs := choice.get("logprobs")) and "content" in probs:
                have.setdefault("logprobs", {"content": []})["content"] += probs["content"] or []
            for k, v in choice.items():
                if k not in ("index", "delta", "text", "logprobs") and v is not None:
                    have[k] = v
            if choice.get("finish_reason"):
                kinds.append("finish")
        if chunk.get("usage"):
            kinds.append("usage")
    for have in choices.values():
        calls = have["message"].get("tool_calls")
        if isinstance(calls, dict):
            have["message"]["tool_calls"] = [calls[k] for k in sorted(calls, key=lambda k: (len(k), k))]
        if "thinking_blocks" in have["message"]:
            have["message"]["thinking_blocks"] = _blocks(have["message"]["thinking_blocks"])
    whole["choices"] = [choices[k] for k in sorted(choices, key=str)]
    return whole, collapse(kinds)


def _blocks(parts):
    """Pieces of thinking blocks joined."""
    out = []
    for p in parts:
        new = p.get("type") == "redacted_thinking" or not out or out[-1].get("signature") or out[-1]["type"] != p["type"]
        if new:
            out.append({k: v for k, v in p.items() if k != "index"})
            continue
        out[-1]["thinking"] = (out[-1].get("thinking") or "") + (p.get("thinking") or "")
        if p.get("signature"):
            out[-1]["signature"] = p["signature"]
    return out


def fold_messages(parsed):
    whole, blocks, kinds = {}, {}, []
    for _, data in parsed:
        event = parse(data)
        kind = event.get("type")
        if kind == "ping":
            continue
        if kind == "message_start":
            whole = dict(event["message"])
        elif kind == "content_block_start":
            block = dict(event["content_block"])
            if block.get("type") in ("tool_use", "server_tool_use"):
                block["input"] = json.dumps(block["input"], default=str) if block.get("input") else ""
            blocks[event["index"]] = block
            kind += f" {block.get('type')}"
        elif kind == "content_block_delta":
            delta = event["delta"]
            kind = delta["type"]
            block = blocks.setdefault(event["index"], {})
            if kind == "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]
            else:
                source = {"input_json_delta": ("partial_json", "input"), "text_delta": ("text", "text"),
                          "thinking_delta": ("thinking", "thinking"), "signature_delta": ("signature", "signature")}  # fmt: skip
                here, there = source.get(kind, (None, None))
                if here:
                    block[there] = (block.get(there) or "") + (delta.get(here) or "")
        elif kind == "message_delta":
            whole |= event["delta"]
            whole["usage"] = {**whole.get("usage", {}), **event.get("usage", {})}
        elif kind == "error" or "error" in event:
            whole["error"] = event.get("error")
            kind = "error"
        kinds.append(kind)
    for block in blocks.values():
        if block.get("type") in ("tool_use", "server_tool_use"):
            try:
                block["input"] = parse(block["input"] or "{}")
            except ValueError:
                pass
    whole["content"] = [blocks[k] for k in sorted(blocks)]
    return whole, collapse(kinds)


def fold_responses(parsed):
    """The last response told, and the kinds of events."""
    whole, kinds = {}, []
    for _, data in parsed:
        if data == "[DONE]":
            kinds.append("[DONE]")
            continue
        event = parse(data)
        kind = event.get("type") or ("error" if "error" in event else "?")
        if "response" in event:
            whole = event["response"]
        elif kind == "error" or "error" in event:
            whole = {"error": event.get("error") or {k: v for k, v in event.items() if k != "sequence_number"}}
        item = event.get("item") or {}
        kinds.append(f"{kind} {item['type']}" if item.get("type") else kind)
    return whole, collapse(kinds)


FOLD = {"chat": fold_chat, "completions": fold_chat, "messages": fold_messages, "responses": fold_responses}


# --- the whole -----------------------------------------------------------------------------------------------------


def body(data, case, lane):
    try:
        return plain(parse(data), case, lane)
    except ValueError:
        return data.decode("utf-8", "replace")


def shape(case, seen, lane):
    """What of an exchange is compared."""
    asked = [{"request": a.line, "headers": a.headers, "body": body(a.body, case, lane)} for a in seen.asked]
    for a in asked:
        if isinstance(a["body"], dict) and a["body"].get("stream") is False:
            del a["body"]["stream"]
        a["headers"] = {n: v for n, v in a["headers"].items() if n != "accept"}
    out = {"upstream": asked, "status": seen.status}
    if seen.is_stream:
        parsed = events(seen.body)
        try:
            whole, kinds = FOLD[case.api](parsed)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            out["reply"] = f"not a stream of this API: {e!r}"
            return out
        out["reply"] = error(plain(whole, case, lane), case) if "error" in whole and whole["error"] else plain(whole, case, lane)
        out["events"] = kinds
        out["end"] = seen.end
        return out
    out["reply"] = body(seen.body, case, lane)
    if seen.status != 200 or isinstance(out["reply"], dict) and out["reply"].get("error"):
        out["reply"] = error(out["reply"], case)
    return out


def differences(a, b, path=""):
    """(path, left, right) of each place that differs; a list of another length is one place."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in [*a, *(k for k in b if k not in a)]:
            if k not in a:
                yield f"{path}/{k}", ABSENT, b[k]
            elif k not in b:
                yield f"{path}/{k}", a[k], ABSENT
            else:
                yield from differences(a[k], b[k], f"{path}/{k}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differences(x, y, f"{path}/{i}")
    elif a != b or type(a) is not type(b) and bool in (type(a), type(b)):
        yield path, a, b


class _Absent:
    def __repr__(self):
        return "absent"


ABSENT = _Absent()
