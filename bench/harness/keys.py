"""A million keys in the link and in a worker: what weir-bench-keys measures, as figures."""

import json
import subprocess

from .rows import ROWS


def keys(ctx):
    """A million keys: built, changed, looked up, saved and loaded."""
    if "weir" not in ctx.gateways:
        return
    argv = [f"{ctx.build}/bench/weir-bench-keys"] + ctx.pick(["100000"], [])
    got = json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout)
    ctx.table["keys"] = {"weir": got}
    ctx.figures |= {
        "keys_build_s": got["build_s"],
        "keys_load_s": got["load_s"],
        "keys_bytes": got["bytes_a_key"],
        "keys_change_ms": got["change_p99_ms"],
        "keys_lookup_ns": got["lookup_random_ns"],
        "keys_lookup_hot_ns": got["lookup_hot_ns"],
    }
    if ctx.quick:
        ctx.note(f"keys: {got['keys']:,} keys instead of a million")


ROWS["keys"] = keys
