"""The row of bounds: the worst requests and replies that are translated."""

import subprocess

from .rows import ROWS

TEXTS = ("text", "lines", "escapes", "image")  # mostly one long string
SMALL = 256 * 1024  # bytes of bodies whose memory is that of an empty one


def cases(ctx):
    """Of each line of weir-bench-translate: what it is, the milliseconds of one turn of the loop, memory per byte."""
    argv = [f"{ctx.build}/bench/weir-bench-translate"] + ctx.pick(["--mib", "4"], [])
    kind = "request"
    for line in subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        name, client, upstream, *figures = line.split()
        if name == "case":
            kind = "reply" if "stall" in line else "request"
            continue
        ctx.say(f"  bounds {line}")
        size, first, second, memory = map(float, figures[:4])
        yield {"kind": kind, "name": name, "pair": f"{client} on {upstream}",
               "ms": first if kind == "reply" else first + second,  # of a request: read, then written
               "memory": memory if size >= SMALL else 0}  # fmt: skip


def bounds(ctx):
    """The longest stall and the most memory of the worst requests and replies."""
    if "weir" not in ctx.gateways:
        return
    table = ctx.table.setdefault("bounds", {})
    got = list(cases(ctx))
    for c in got:
        row = table.setdefault(c["name"], {f"{c['kind']}_ms": 0, "memory": 0})
        row[f"{c['kind']}_ms"] = max(row[f"{c['kind']}_ms"], c["ms"])
        row["memory"] = max(row["memory"], c["memory"])
    for kind in ("request", "reply"):
        some = [c for c in got if c["kind"] == kind]
        slowest, largest = (max(some, key=lambda c: c[of]) for of in ("ms", "memory"))
        ctx.figures |= {f"bounds_{kind}_ms": slowest["ms"], f"bounds_{kind}_memory": largest["memory"]}
        ctx.note(f"bounds: the slowest {kind} of bench/translate.c is {slowest['name']} ({slowest['pair']}), "
                 f"the one that takes most memory {largest['name']} ({largest['pair']})")  # fmt: skip
    ctx.figures["bounds_text_memory"] = max(c["memory"] for c in got if c["name"] in TEXTS)


ROWS["bounds"] = bounds
