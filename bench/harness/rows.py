"""The rows of the benchmark. Each runs its rounds and puts figures into ctx.figures, and per-gateway medians
into ctx.table[row][gateway]."""

import os
import select
import shutil
import subprocess
import time
from statistics import median

from . import gateways, machine

QUIET = 0.15  # of a core, taken by neither gateway nor load nor mock
BUSY = 0.95  # a saturation round counts only if the gateway's core was at least so busy
STREAM = dict(model="mock-stream-10-7000", stream=1)  # 10 events, 7 ms apart
STREAM_RATE = 300
HELD = "mock-stream-1000000-1000000"  # an event each second, for as long as the stream is held
gateways.MODELS += [STREAM["model"], HELD]


class Spent:
    """CPU seconds since it was made: gateway, mock, what keeps cores awake, the gateway's core, all cores in use."""

    def __init__(self, ctx, gateway):
        self.readers = {
            "gateway": lambda: machine.cpu_ns(gateway.pids()) / 1e9,
            "mock": lambda: machine.cpu_ns([ctx.mock.pid]) / 1e9,
            "awake": lambda: ctx.awake.cpu_ns() / 1e9,
            "core": lambda: machine.busy_seconds([ctx.cores.gateway]),
            "cores": lambda: machine.busy_seconds(ctx.cores.used),
        }
        self.before = {k: read() for k, read in self.readers.items()}

    def since(self):
        return {k: read() - self.before[k] for k, read in self.readers.items()}


def measure(ctx, row, kind, gateway, port, **options):
    """One round: runs the load and charges the gateway's processes for it."""
    spent = Spent(ctx, gateway)
    result = gateways.load(ctx, port, **options)
    spent = spent.since()
    seconds = result["seconds"] or 1
    result |= {
        "row": row,
        "kind": kind,
        "gateway": gateway.name,
        "cpu_us": spent["gateway"] * 1e6 / max(result["ok"], 1),
        "core_busy": min(1, spent["core"] / seconds),
        "others_busy": max(0, spent["cores"] - spent["gateway"] - spent["mock"] - spent["awake"] - result["cpu_s"])
        / seconds,
    }
    ctx.rounds.append(result)
    ctx.say(f"  {row} {kind} {gateway.name}: {result['cpu_us']:.2f} us CPU, {result['rps']:.0f}/s, "
            f"p50 {result['latency_ns']['p50'] / 1000:.0f} us, core {result['core_busy']:.0%} busy, "
            f"others {result['others_busy']:.0%}")
    return result


def note_disturbance(ctx):
    """Says so when the machine was not ours alone (the python of bench/run itself is a few percent)."""
    others = [r["others_busy"] for r in ctx.rounds if r["row"] != "outage"]  # where a control plane is at work
    if others and median(others) > QUIET:
        ctx.note(f"the machine was not quiet: other work took {median(others):.0%} of a core (median of all rounds); "
                 "figures at a fixed rate and latencies suffer most")


def interleave(ctx, names, rounds):
    """Round by round, every gateway in turn, each round beginning with another."""
    present = [ctx.gateways[n] for n in names if n in ctx.gateways]
    for r in range(rounds):
        yield from present[r % len(present):] + present[:r % len(present)]


def chosen(ctx, row, kind, name):
    return [r for r in ctx.rounds if (r["row"], r["kind"], r["gateway"]) == (row, kind, name)]


def saturated(rounds):
    return [r for r in rounds if r["core_busy"] >= BUSY]


def ratio(ctx, key, ours, theirs, field):
    """Median of the rounds' ratios, ours over theirs, and their range: of six rounds it holds the median with 97 %."""
    pairs = [a[field] / b[field] for a, b in zip(ours, theirs) if b[field]]
    if pairs:
        ctx.figures[key] = median(pairs)
        ctx.ranges[key] = (min(pairs), max(pairs))


# ---- small chat relay, in the clear and over TLS ----

def relay(ctx, row, names, port_of, prefix):
    duration = ctx.pick(600, 3000)
    slowest = min(measure(ctx, row, "warm-up", g, port_of(g), connections=32, duration=ctx.pick(300, 1000))["rps"]
                  for g in interleave(ctx, names, 1))
    rate = int(slowest * 0.5) // 1000 * 1000 or 500
    for kind, options in (("saturation", {}), ("fixed", {"rate": rate})):
        for g in interleave(ctx, names, ctx.pick(2, 6)):
            measure(ctx, row, kind, g, port_of(g), connections=32, duration=duration, **options)
    for name in names:
        full, fixed = chosen(ctx, row, "saturation", name), chosen(ctx, row, "fixed", name)
        if not full:
            continue
        ctx.table.setdefault(row, {})[name] = {
            "cpu_us_saturated": median(r["cpu_us"] for r in full),
            "cpu_us_fixed": median(r["cpu_us"] for r in fixed),
            "rps": median(r["rps"] for r in full),
            "core_busy": median(r["core_busy"] for r in full),
            "p50_us_fixed": median(r["latency_ns"]["p50"] for r in fixed) / 1000,
            "p99_us_fixed": median(r["latency_ns"]["p99"] for r in fixed) / 1000,
            "lateness_p99_us": median(r["lateness_ns"]["p99"] for r in fixed) / 1000,
        }
        if name != "direct" and len(saturated(full)) < len(full):
            ctx.note(f"{row}: the core of {name} was {BUSY:.0%} busy in {len(saturated(full))} of {len(full)} "
                     f"saturation rounds (median {median(r['core_busy'] for r in full):.0%}); the others do not count")
    ctx.conditions[f"{row}_fixed_rate"] = rate
    ratio(ctx, f"{prefix}_fixed_vs_nginx", chosen(ctx, row, "fixed", "weir"), chosen(ctx, row, "fixed", "nginx"),
          "cpu_us")
    ours, theirs = chosen(ctx, row, "saturation", "weir"), chosen(ctx, row, "saturation", "nginx")
    counted = [(a, b) for a, b in zip(ours, theirs) if saturated([a]) and saturated([b])]
    if counted:
        ours, theirs = zip(*counted)
    elif ours and theirs:
        ctx.note(f"{row}: no saturation round of weir and nginx counts: load and mock, on one core, were the limit; "
                 "the figures of these rounds are given all the same, and requests/s is a lower bound")
    ratio(ctx, f"{prefix}_vs_nginx", ours, theirs, "cpu_us")
    if row == "chat":
        ratio(ctx, "rps_vs_nginx", ours, theirs, "rps")


def chat(ctx):
    """Small JSON chat relay, c=32: CPU per request and requests/s."""
    names = ["nginx", "haproxy", "h2o", "weir"]
    relay(ctx, "chat", names if ctx.quick else ["direct"] + names, lambda g: g.port, "cpu_per_request")


def tls(ctx):
    """The same over kept-alive TLS to the upstream."""
    weir = ctx.gateways.get("weir")
    if weir:
        ctx.gateways["weir"] = gateways.Weir(ctx, tls=True)
    try:
        relay(ctx, "tls", ctx.pick(["nginx", "weir"], ["nginx", "haproxy", "h2o", "weir"]), lambda g: g.port_tls,
              "cpu_per_request_tls")
    finally:
        if weir:
            ctx.gateways["weir"].stop()
            ctx.gateways["weir"] = weir


# ---- large bodies ----

def body(ctx):
    """CPU per request of 100 KB and of 8 MiB."""
    names = ["nginx", "haproxy", "h2o", "weir"]
    for kind, size, connections in (("100k", 100 * 1024, 16), ("8m", 8 << 20, 4)):
        for g in interleave(ctx, names, ctx.pick(2, 6)):
            measure(ctx, "body", kind, g, g.port, connections=connections, body_bytes=size,
                    duration=ctx.pick(400, 2000))
        cpu = {n: median(r["cpu_us"] for r in chosen(ctx, "body", kind, n)) for n in names if n in ctx.gateways}
        for name, us in cpu.items():
            ctx.table.setdefault("body", {}).setdefault(name, {})[f"cpu_us_{kind}"] = us
        best = min((us, n) for n, us in cpu.items() if n != "weir")
        if "weir" in cpu:
            ratio(ctx, f"cpu_{kind}_vs_best", chosen(ctx, "body", kind, "weir"), chosen(ctx, "body", kind, best[1]),
                  "cpu_us")


# ---- streaming ----

def merged_quantile(rounds, measured, q):
    """A quantile of all rounds' histograms together, in microseconds."""
    counts = {}
    for r in rounds:
        for value, n in r[measured]["histogram"]:
            counts[value] = counts.get(value, 0) + n
    want, seen = q * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= want:
            return value / 1000
    return 0


def stream(ctx):
    """Time to the first event and delay of each event, over direct, cores kept awake."""
    names = ctx.pick(["direct", "nginx", "weir"], ["direct", "nginx", "haproxy", "h2o", "weir"])
    with ctx.awake:
        for g in interleave(ctx, names, ctx.pick(2, 6)):
            measure(ctx, "stream", "fixed", g, g.port, connections=128, rate=STREAM_RATE,
                    duration=ctx.pick(700, 4000), **STREAM)
    for name in names:
        rounds = chosen(ctx, "stream", "fixed", name)
        if not rounds:
            continue
        row = ctx.table.setdefault("stream", {})[name] = {
            "first_event_p50_us": merged_quantile(rounds, "first_event_ns", 0.50),
            "first_event_p99_us": merged_quantile(rounds, "first_event_ns", 0.99),
            "event_p50_us": merged_quantile(rounds, "event_ns", 0.50),
            "event_p99_us": merged_quantile(rounds, "event_ns", 0.99),
            "cpu_us_per_stream": median(r["cpu_us"] for r in rounds),
        }
        if name != "direct":
            base = ctx.table["stream"]["direct"]
            row["first_event_added_p99_us"] = row["first_event_p99_us"] - base["first_event_p99_us"]
            row["event_added_p99_us"] = row["event_p99_us"] - base["event_p99_us"]
    ours = ctx.table["stream"].get("weir")
    if ours:
        ctx.figures["stream_ttfe_added_p99_us"] = ours["first_event_added_p99_us"]
        ctx.figures["stream_event_added_p99_us"] = ours["event_added_p99_us"]


# ---- memory ----

def held_streams(ctx, gateway, port, count, after_s):
    """PSS in KB with the gateway idle, with `count` streams open, and after_s after they ended (None: not waited)."""
    time.sleep(ctx.pick(0.5, 2))
    idle = machine.memory_kb(gateway.pids())
    argv = gateways.load_argv(ctx, port, "/v1/chat/completions", dict(streams=count, model=HELD, duration=600000))
    held = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        if not (select.select([held.stdout], [], [], 30)[0] and held.stdout.readline().startswith("ready")):
            raise gateways.LoadFailed(f"{gateway.name}: {count} streams did not open")
        time.sleep(ctx.pick(0.5, 3))
        full = machine.memory_kb(gateway.pids())
    finally:
        held.terminate()
        held.communicate()
    if after_s is None:
        return idle, full, None
    time.sleep(after_s)
    return idle, full, machine.memory_kb(gateway.pids())


def memory(ctx):
    """PSS of all processes: idle, with 1,000 streams open, a minute after; KB per stream with a TLS upstream."""
    after_s = ctx.pick(1, 60)
    for name, kind in ctx.kinds.items():
        if name == "direct" or (ctx.quick and name != "weir"):
            continue
        fresh = kind(ctx)
        try:
            idle, full, after = held_streams(ctx, fresh, fresh.port, 1000, after_s if name == "weir" else None)
        finally:
            fresh.stop()
        fresh = kind(ctx, tls=True) if name == "weir" else kind(ctx)
        try:
            tls_idle, tls_full, _ = held_streams(ctx, fresh, fresh.port_tls, 1000, None)
        finally:
            fresh.stop()
        row = ctx.table.setdefault("memory", {})[name] = {
            "idle_mb": idle / 1024,
            "streams_1000_mb": full / 1024,
            "kb_per_stream": (full - idle) / 1000,
            "kb_per_tls_stream": (tls_full - tls_idle) / 1000,
        }
        ctx.say(f"  memory {name}: {row}")
        if name == "weir":
            row["after_mb"] = after / 1024
            ctx.figures |= {"mem_idle_mb": idle / 1024, "mem_1000_streams_mb": full / 1024,
                            "mem_after_ratio": after / idle, "kb_per_tls_stream": row["kb_per_tls_stream"]}
            ctx.note(f"memory: \"after\" is {after_s} s after the streams ended")


# ---- cold start ----

def start(ctx):
    """From spawn to the first 200 of /health/liveliness and of a chat request, with empty directories."""
    if "weir" not in ctx.gateways:
        return
    live, answered = [], []
    for _ in range(ctx.pick(3, 10)):
        begin = time.monotonic()
        fresh = gateways.Weir(ctx, wait=False)
        try:
            live.append(until_200(fresh, "/health/liveliness", None, begin))
            answered.append(until_200(fresh, "/v1/chat/completions", gateways.CHAT, begin))
        finally:
            fresh.stop()
    ctx.table["start"] = {"weir": {"liveliness_ms": median(live), "chat_ms": median(answered)}}
    ctx.figures["cold_start_ms"] = median(answered)


def until_200(gateway, path, body, begin, key=None, timeout=10):
    """Milliseconds from `begin` until it answers with 200."""
    while time.monotonic() - begin < timeout:
        try:
            if gateways.request(gateway.port, path, body, key=key)[0] == 200:
                return (time.monotonic() - begin) * 1000
        except OSError:
            pass
        time.sleep(0.0005)
    raise gateways.Failed(f"no answer from {path}\n{gateway.process.explain()}")


# ---- LiteLLM's own definition ----

def litellm(ctx):
    """Difference of p50 at c=10 over 20,000 requests; requests/s and peak RSS at c=50 on /v1/responses."""
    names = ["direct", "nginx", "weir"]
    for g in interleave(ctx, names, ctx.pick(2, 6)):
        measure(ctx, "litellm", "c10", g, g.port, connections=10, requests=20000, duration=60000)
    for g in interleave(ctx, ["nginx", "weir"], ctx.pick(1, 3)):
        peak = PeakRss(g)
        argv = dict(connections=50, duration=ctx.pick(700, 5000), path="/v1/responses")
        with peak:
            measure(ctx, "litellm", "c50", g, g.port, **argv)
        ctx.rounds[-1]["rss_mb"] = peak.mb
    direct = chosen(ctx, "litellm", "c10", "direct")
    for name in names[1:]:
        c10, c50 = chosen(ctx, "litellm", "c10", name), chosen(ctx, "litellm", "c50", name)
        if not c10:
            continue
        ctx.table.setdefault("litellm", {})[name] = {
            "overhead_p50_ms_c10": median(
                (a["latency_ns"]["p50"] - b["latency_ns"]["p50"]) / 1e6 for a, b in zip(c10, direct)),
            "rps_c50": median(r["rps"] for r in c50),
            "rss_c50_mb": max(r["rss_mb"] for r in c50),
        }
    ctx.figures |= ctx.table["litellm"].get("weir", {})


class PeakRss:
    """Samples the gateway's RSS every 30 ms while the block runs."""

    def __init__(self, gateway):
        self.gateway, self.mb = gateway, 0

    def __enter__(self):
        import threading
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()

    def sample(self):
        pids = self.gateway.pids()
        while not self.done.wait(0.03):
            self.mb = max(self.mb, machine.memory_kb(pids, "Rss") / 1024)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


# ---- allocations ----

TRANSLATED = {"path": "/v1/messages"}


def malloc(ctx):
    """malloc calls per relayed request in steady state, all processes together."""
    if "weir" not in ctx.gateways:
        return
    dir = os.path.join(ctx.dir, "malloc")
    os.makedirs(dir)
    library = shutil.copy(f"{ctx.build}/bench/libmalloc_count.so", dir)
    counter = library + ".count"
    with open(counter, "wb") as f:
        f.write(bytes(8))
    os.chmod(counter, 0o666)
    for entry in os.scandir(os.path.dirname(ctx.weir)):
        if entry.is_file() and os.access(entry.path, os.X_OK) and not entry.name.endswith(".so"):
            copy = shutil.copy(entry.path, dir)
            subprocess.run(["patchelf", "--add-needed", library, copy], check=True)

    def count(requests, **options):
        with open(counter, "rb") as f:
            before = int.from_bytes(f.read(8), "little")
        gateways.load(ctx, weir.port, connections=32, requests=requests, duration=60000, **options)
        time.sleep(0.2)  # the records and access lines of the last requests
        with open(counter, "rb") as f:
            return int.from_bytes(f.read(8), "little") - before

    weir = gateways.Weir(ctx, program=os.path.join(dir, os.path.basename(ctx.weir)))
    row = ctx.table.setdefault("malloc", {}).setdefault("weir", {})
    try:
        with open(counter, "rb") as f:
            if f.read(8) == bytes(8):
                raise gateways.Failed("malloc: the counter is not linked in")
        for name, options, few, many in (("request", {}, 5000, 25000),
                                         ("stream", STREAM | {"model": "mock-stream-10-0"}, 500, 2500),
                                         ("translated", TRANSLATED | {"model": "vllm-mock-small"}, 5000, 25000),
                                         ("translated_stream",
                                          TRANSLATED | STREAM | {"model": "vllm-mock-stream-10-0"}, 500, 2500)):
            count(few, **options)  # warm-up
            few_calls, many_calls = count(few, **options), count(many, **options)
            row[f"malloc_per_{name}"] = max(0, many_calls - few_calls) / (many - few)
    finally:
        weir.stop()
    ctx.figures |= row


gateways.MODELS.append("mock-stream-10-0")

ROWS = {f.__name__: f for f in (chat, tls, body, stream, memory, start, litellm, malloc)}
