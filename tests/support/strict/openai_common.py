"""What OpenAI's two APIs refuse alike."""

import re

from .schema import Refused, below, integer, maybe, number, one_of, table, text

NAME = text(1, 64, r"[A-Za-z0-9_-]+")
EFFORT = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")
TIER = one_of("auto", "default", "flex", "scale", "priority", "fast")
COMMON = {
    "metadata": maybe(table(text(0, 512), 16, text(0, 64))),
    "parallel_tool_calls": maybe(one_of(True, False)),
    "prompt_cache_key": maybe(text()),
    "prompt_cache_retention": maybe(one_of("in_memory", "24h")),
    "safety_identifier": maybe(text(1, 64)),
    "service_tier": maybe(TIER),
    "store": maybe(one_of(True, False)),
    "stream": maybe(one_of(True, False)),
    "temperature": maybe(number(0, 2)),
    "top_p": maybe(number(0, 1)),
    "top_logprobs": maybe(integer(0, 20)),
    "user": maybe(text(0, 64)),
}


def reasons(model):
    """Of the official models."""
    return bool(re.match(r"o\d|gpt-[5-9](?!.*-chat)", model))


def official(model):
    return bool(re.match(r"(o\d|gpt-|chatgpt-)", model))


def sampling(body, names, effort):
    """A model that reasons takes no sampling parameter but its default; those since gpt-5.1 do so only when told."""
    if not reasons(body["model"]) or (re.match(r"gpt-5\.\d", body["model"]) and effort in (None, "none")):
        return
    for name in names:
        value = body.get(name)
        if value is not None and not (name in ("temperature", "top_p") and value == 1):
            raise Refused(name, "unsupported parameter: not supported with this model", "unsupported_parameter")


def known_tool(name, names, at):
    if name not in names:
        raise Refused(at, f"tool choice {name!r} not found in 'tools'", "invalid_value")


def answered(pending, at):
    if pending:
        raise Refused(at, f"no tool output found for the calls {', '.join(sorted(pending))}")


__all__ = ["COMMON", "EFFORT", "NAME", "answered", "below", "known_tool", "official", "reasons", "sampling"]
