"""The rows of virtual keys: what their checks cost, and whether a control plane in trouble is felt."""

import contextlib
import os
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
    with Planes(ctx) as p:
        keys = {"master": gateways.KEY, "virtual": p.key}
        for r in range(ctx.pick(2, 8)):
            for kind in list(keys)[::1 if r % 2 else -1]:
                measure(ctx, "policy", kind, p.weir, p.weir.port, key=keys[kind], duration=duration, **LOAD)
    master, virtual = (chosen(ctx, "policy", kind, "weir") for kind in keys)
    added = [(v["cpu_us"] / m["cpu_us"] - 1) * 100 for m, v in zip(master, virtual)]
    ctx.table["policy"] = {kind: {"cpu_us": median(r["cpu_us"] for r in rounds), "rps": median(r["rps"] for r in rounds)}
                           for kind, rounds in (("master", master), ("virtual", virtual))}
    ctx.figures["policy_added_percent"] = median(added)
    ctx.ranges["policy_added_percent"] = min(added), max(added)


ROWS["policy"] = policy
