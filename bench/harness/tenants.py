"""The rows of virtual keys: what their checks cost, and whether a control plane in trouble is felt."""

import contextlib
import os
import shutil
import signal
import threading
import time
from statistics import median

from . import gateways, machine, planes
from .rows import ROWS, chosen, measure

FAR = 10**9  # a limit that is checked and never reached
LIMITS = {"max_budget": FAR, "rpm_limit": FAR, "tpm_limit": FAR}
STATES = ("undisturbed", "saturated", "frozen", "killed")
LOAD = dict(connections=32)
OUTAGE_RATE = 5000
WINDOW_MS = 250  # of an outage's rounds: see README
POLICY_RATE = 40_000  # most of what a core can, and no more: see README


class Planes:
    """PostgreSQL, a control plane on it, and a data plane with a key of a team and a user, all of them limited. What
    is not the data plane shares the core of load and mock and yields to them: what a control plane does to the data
    plane is measured, not that they share a machine."""

    def __init__(self, ctx):
        self.ctx = ctx
        self.ControlPlane, Postgres, _, _ = planes.support(ctx)
        with self.aside():
            self.pg = Postgres()
        try:
            self.url = self.pg.database()
            self.cp = None
            self.run_dir = os.path.join(ctx.dir, "plane")
            os.makedirs(self.run_dir, mode=0o700, exist_ok=True)
            self.made = os.path.join(self.run_dir, "key.json")
            with open(self.made, "w") as f:
                f.write('{"duration": "1h"}')
            self.start_control_plane()
            self.weir = gateways.Weir(ctx, control_plane=self.cp_address())
            self.key = self.make_key()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def aside(self):
        """What starts within runs beside the load and behind it."""
        cores, policy = os.sched_getaffinity(0), os.sched_getscheduler(0)
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        os.sched_setaffinity(0, {self.ctx.cores.load})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            yield
        finally:
            os.sched_setscheduler(0, policy, os.sched_param(0))
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            os.sched_setaffinity(0, cores)

    def cp_address(self):
        return f"ipc://{self.run_dir}/plane.sock"

    def start_control_plane(self):
        with self.aside():
            self.cp = self.ControlPlane(self.url, env={"WEIR_RUN_DIR": self.run_dir})

    def make_key(self):
        team = planes.ask(self.cp, "/team/new", {"team_alias": "bench", **LIMITS})["team_id"]
        planes.ask(self.cp, "/user/new", {"user_id": "bench", "auto_create_key": False, **LIMITS})
        planes.ask(self.cp, "/team/member_add", {"team_id": team, "member": {"user_id": "bench", "role": "user"}})
        key = planes.ask(self.cp, "/key/generate", {
            "team_id": team, "user_id": "bench", "models": ["mock-small"], "max_parallel_requests": 100_000, **LIMITS})
        planes.joined(self.cp)
        return key["key"]

    def close(self):
        if hasattr(self, "weir"):
            self.weir.stop()
        if self.cp:
            with contextlib.suppress(AssertionError):
                self.cp.stop()
        self.pg.__exit__()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- what the checks cost ----

def policy(ctx):
    """CPU per request with a virtual key, team, user, limits and budgets, against the master key's."""
    if "weir" not in ctx.gateways:
        return
    duration = ctx.pick(500, 2500)
    loads = {"fixed": {"rate": POLICY_RATE}, "saturated": {}}
    with Planes(ctx) as p:
        keys = {"master": gateways.KEY, "virtual": p.key}
        for load, options in loads.items():
            for r in range(ctx.pick(2, 8)):
                for kind in list(keys)[::1 if r % 2 else -1]:
                    # a disk that counts what it serves stalls now and then: what is not recorded is refused
                    measure(ctx, "policy", f"{kind}, {load}", p.weir, p.weir.port, key=keys[kind], duration=duration,
                            may_refuse=load == "saturated", **LOAD, **options)
    ctx.table["policy"] = {}
    for load in loads:
        master, virtual = (chosen(ctx, "policy", f"{kind}, {load}", "weir") for kind in keys)
        added = [(v["cpu_us"] / m["cpu_us"] - 1) * 100 for m, v in zip(master, virtual)]
        ctx.table["policy"] |= {f"{kind}, {load}": {"cpu_us": median(r["cpu_us"] for r in rounds),
                                                    "rps": median(r["rps"] for r in rounds)}
                                for kind, rounds in (("master", master), ("virtual", virtual))}
        ctx.figures[f"policy_{load}_percent"] = median(added)
        ctx.ranges[f"policy_{load}_percent"] = min(added), max(added)


# ---- a control plane in trouble ----

@contextlib.contextmanager
def saturated(p):
    """Clients that make keys, as many as the control plane can answer and more."""
    with p.aside():
        clients = gateways.start_load(p.ctx, p.cp.port, "/key/generate", key=p.cp.key, body=p.made, connections=64,
                                      duration=60000)
    time.sleep(0.2)
    try:
        yield
    finally:
        clients.terminate()
        got = gateways.load_result(clients, may_refuse=True)
        p.ctx.say(f"  outage: the control plane made {got['ok'] / got['seconds']:.0f} keys/s, "
                  f"refused {sum(got['errors'].values())}")


@contextlib.contextmanager
def frozen(p):
    os.kill(p.cp.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(p.cp.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def killed(p):
    """The control plane ends within; another one is there afterwards."""
    with contextlib.redirect_stdout(None):  # its inquest
        p.cp.kill()
    shutil.rmtree(p.cp.dir)
    time.sleep(1)
    yield
    p.start_control_plane()
    try:
        planes.joined(p.cp)
    except gateways.Failed as e:
        raise gateways.Failed(f"{e}\n{p.weir.process.explain()}") from None


TROUBLE = {"undisturbed": contextlib.nullcontext, "saturated": saturated, "frozen": frozen, "killed": killed}


class Liveness:
    """The longest the data plane's liveness took, asked each 20 ms while the block runs."""

    def __init__(self, port):
        self.port, self.worst_ms, self.done = port, 0, threading.Event()

    def watch(self):
        while not self.done.wait(0.02):
            begin = time.monotonic()
            try:
                alive = gateways.request(self.port, "/health/liveliness")[0] == 200
            except OSError:
                alive = False
            took = (time.monotonic() - begin) * 1000
            self.worst_ms = max(self.worst_ms, took if alive else float("inf"))

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def outage(ctx):
    """Latency of the data plane while its control plane is saturated, frozen and killed, against undisturbed."""
    if "weir" not in ctx.gateways:
        return
    worst = {}
    # the other core's may not be: at bench/run's own priority they would starve PostgreSQL
    with Planes(ctx) as p, machine.Awake({ctx.cores.gateway}), machine.staying_on(ctx.cores.load):
        measure(ctx, "outage", "warm-up", p.weir, p.weir.port, key=p.key, rate=OUTAGE_RATE, duration=500, **LOAD)
        for r in range(ctx.pick(1, 9)):
            for state in STATES if r % 2 == 0 else STATES[::-1]:
                with (TROUBLE[state](*([] if state == "undisturbed" else [p])), Liveness(p.weir.port) as liveness,
                      machine.in_real_time([ctx.mock.child.pid])):
                    measure(ctx, "outage", state, p.weir, p.weir.port, key=p.key, rate=OUTAGE_RATE,
                            duration=1500, window=WINDOW_MS, **LOAD)
                    direct = ctx.gateways["direct"]
                    measure(ctx, "outage", state, direct, direct.port, rate=OUTAGE_RATE, duration=500,
                            window=WINDOW_MS, **LOAD)
                worst[state] = max(worst.get(state, 0), liveness.worst_ms)
    row = ctx.table["outage"] = {}
    for state in STATES:
        weir, direct = (chosen(ctx, "outage", state, name) for name in ("weir", "direct"))
        row[state] = {
            "p50_us": median(r["latency_ns"]["p50"] for r in weir) / 1000,
            "p99_us": median(ns for r in weir for ns in r["windows_p99_ns"]) / 1000,
            "round_p99_us": median(r["latency_ns"]["p99"] for r in weir) / 1000,
            "lateness_p99_us": median(r["lateness_ns"]["p99"] for r in weir) / 1000,
            "direct_p50_us": median(r["latency_ns"]["p50"] for r in direct) / 1000,
            "direct_p99_us": median(ns for r in direct for ns in r["windows_p99_ns"]) / 1000,
            "direct_round_p99_us": median(r["latency_ns"]["p99"] for r in direct) / 1000,
            "liveness_ms": worst[state],
        }
        if state == STATES[0]:
            base = row[state]["p99_us"]
            continue
        ctx.figures[f"outage_{state}_percent"] = (row[state]["p99_us"] / base - 1) * 100
    if len(ctx.cores.used) < 3:
        ctx.note("outage: control plane and PostgreSQL share a core with load and mock, which saturated cost something: "
                 "direct, without Weir, is what they cost alone")
    ctx.figures["outage_liveness_ms"] = max(worst.values())


ROWS |= {f.__name__: f for f in (policy, outage)}
