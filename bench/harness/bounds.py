"""The row of bounds: the worst requests and replies that are translated."""

import subprocess

from .rows import ROWS

TEXTS = ("text", "lines", "image")  # mostly one long string
SMALL = 256 * 1024  # bytes of bodies whose memory is that of an empty one


def bounds(ctx):
    """The longest stall and the most memory of the worst requests and replies."""
    if "weir" not in ctx.gateways:
        return
    argv = [f"{ctx.build}/bench/weir-bench-translate"] + ctx.pick(["--mib", "4"], [])
    lines = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    table, kind = ctx.table.setdefault("bounds", {}), "request"
    for line in lines:
        name, *words = line.split()
        if name == "case":
            kind = "reply" if "stall" in words else "request"
            continue
        first, second, memory = map(float, words[3:6])
        row = table.setdefault(name, {f"{kind}_ms": 0, "memory": 0})
        row[f"{kind}_ms"] = max(row[f"{kind}_ms"], first if kind == "reply" else first + second)
        row["memory"] = max(row["memory"], memory if int(words[2]) >= SMALL else 0)
        ctx.say(f"  bounds {line}")
    requests = {name: row for name, row in table.items() if "request_ms" in row}
    slowest = max(requests, key=lambda name: requests[name]["request_ms"])
    ctx.figures |= {
        "bounds_request_ms": requests[slowest]["request_ms"],
        "bounds_memory": max(row["memory"] for row in requests.values()),
        "bounds_text_memory": max(requests[name]["memory"] for name in TEXTS),
    }
    ctx.note(f"bounds: the slowest request is \"{slowest}\" of bench/translate.c")


ROWS["bounds"] = bounds
