"""The rows of translation: clients of one API on upstreams of another."""

import json
import os
import random
from statistics import median

from . import gateways
from .rows import ROWS, chosen, measure, ratio

EVENTS = "mock-stream-100-0"  # 100 events at once: what one costs, not how long it takes
gateways.MODELS.append(EVENTS)

# name, the client's path, the prefix of a model that leads to an upstream of the other API
PAIRS = [("chat_on_messages", "/v1/chat/completions", "claude-"), ("messages_on_chat", "/v1/messages", "vllm-")]


def small(ctx, pair, path, prefix):
    """The small request of row chat, saturated, against nginx as a plain proxy of the same client."""
    for _ in range(ctx.pick(1, 6)):
        measure(ctx, "translate", pair, ctx.gateways["nginx"], ctx.gateways["nginx"].port, path=path, connections=32,
                duration=ctx.pick(300, 2000))
        measure(ctx, "translate", pair, ctx.gateways["weir"], ctx.gateways["weir"].port, path=path, connections=32,
                model=prefix + "mock-small", duration=ctx.pick(300, 2000))
    ratio(ctx, f"cpu_{pair}_vs_nginx", chosen(ctx, "translate", pair, "weir"), chosen(ctx, "translate", pair, "nginx"),
          "cpu_us")


def events(ctx, pair, path, prefix):
    """CPU of streams of 100 events, translated and relayed by turns."""
    weir = ctx.gateways["weir"]
    options = dict(path=path, connections=8, stream=1, duration=ctx.pick(300, 2000))
    relayed = EVENTS if path.endswith("completions") else "claude-" + EVENTS
    for _ in range(ctx.pick(1, 6)):
        measure(ctx, "translate", f"{pair}_events_relayed", weir, weir.port, model=relayed, **options)
        measure(ctx, "translate", f"{pair}_events", weir, weir.port, model=prefix + EVENTS, **options)
    ratio(ctx, f"event_{pair}_vs_relay", chosen(ctx, "translate", f"{pair}_events", "weir"),
          chosen(ctx, "translate", f"{pair}_events_relayed", "weir"), "cpu_us")


def transcript(turns=30):
    """The requests of a coding agent's session: each holds all turns before it. Of one seed."""
    rng = random.Random(30)
    words = "weir river gauge flow notch crest pool bank sluice level".split()

    def prose(n):
        return " ".join(rng.choice(words) for _ in range(n))

    tools = [{"name": name, "description": prose(40), "input_schema": {
        "type": "object", "properties": {"path": {"type": "string", "description": prose(12)},
                                         "text": {"type": "string"}}, "required": ["path"]}}
        for name in ("read_file", "write_file", "run", "search", "list")]
    messages = [{"role": "user", "content": prose(200)}]
    for i in range(turns):
        yield {"max_tokens": 4096, "system": prose(1500), "tools": tools, "messages": list(messages)}
        use = {"type": "tool_use", "id": f"toolu_{i:024d}", "name": rng.choice(tools)["name"],
               "input": {"path": f"src/{prose(1)}.c", "text": prose(rng.randrange(10, 300))}}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": prose(60)}, use]})
        messages.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"],
                                                      "content": prose(rng.randrange(20, 1500)) + "\n"}]})


def replay(ctx):
    """Each of 30 turns on its own connection, whole: what Weir adds to the medians of direct, summed."""
    weir, direct = ctx.gateways["weir"], ctx.gateways["direct"]
    added, size = 0, 0
    for i, body in enumerate(transcript()):
        path = os.path.join(ctx.dir, "turn.json")
        medians = {}
        for gateway, model in ((direct, "mock-small"), (weir, "vllm-mock-small")):
            text = json.dumps(body | {"model": model})
            with open(path, "w") as f:
                f.write(text)
            size = len(text)
            r = measure(ctx, "translate", f"turn_{i}", gateway, gateway.port, path="/v1/messages", connections=1,
                        body=path, requests=ctx.pick(5, 40), duration=10000)
            medians[gateway.name] = r["latency_ns"]["p50"] / 1e6
        added += max(0, medians["weir"] - medians["direct"])
    ctx.figures["transcript_added_ms"] = added
    ctx.conditions["transcript_last_bytes"] = size


def translate(ctx):
    """Small requests and events of both foreign pairings; a coding agent's 30 turns."""
    if "weir" not in ctx.gateways:
        return
    row = ctx.table.setdefault("translate", {})
    for pair, path, prefix in PAIRS:
        small(ctx, pair, path, prefix)
        events(ctx, pair, path, prefix)
        for name in ("nginx", "weir"):
            row.setdefault(name, {})[f"cpu_us_{pair}"] = median(
                r["cpu_us"] for r in chosen(ctx, "translate", pair, name))
        for kind in (f"{pair}_events", f"{pair}_events_relayed"):
            row["weir"][f"cpu_us_{kind}"] = median(r["cpu_us"] for r in chosen(ctx, "translate", kind, "weir")) / 100
    replay(ctx)


ROWS["translate"] = translate
