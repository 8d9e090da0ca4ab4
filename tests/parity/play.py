"""Plays cases against a gateway and keeps what both sides of it saw."""

import concurrent.futures
import contextlib
import dataclasses
import json
import subprocess
import threading

import deployments
import gateways
from support import http
from upstream import Upstream, dialect_of

LANES = [f"L{i}" for i in range(6)]
TIMEOUT = 30
LIVES = {"litellm": 3, "weir": 0}
# Of the request to the provider, what a translation decides.
HEADERS = ("content-type", "accept", "authorization", "x-api-key", "anthropic-version", "anthropic-beta", "x-extra")


@dataclasses.dataclass
class Asked:
    """A request as the provider got it."""

    line: str
    headers: dict
    body: bytes


@dataclasses.dataclass
class Seen:
    """What one gateway did with a case."""

    request: bytes
    asked: list
    status: int
    headers: dict
    body: bytes
    end: str

    @property
    def is_stream(self):
        return self.headers.get("content-type", "").startswith("text/event-stream")


def _has_ended(process):
    """Its sockets close a little before it is gone."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return process.returncode is not None


class Player:
    """One gateway with an upstream of its own."""

    def __init__(self, which, variants):
        self.which = which
        self.upstream = Upstream()
        self._lock = threading.Lock()
        self._lives = LIVES[which]
        self._config = deployments.config(variants, LANES, self.upstream.url, gateways.KEY)
        try:
            self.gateway = gateways.START[which](self._config)
        except BaseException:
            self.upstream.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.upstream.stop()

    def play(self, case, lane):
        while True:
            self.upstream.expect(lane, case.replies)
            gateway, body = self.gateway, case.request(lane)
            try:
                reply = http.call(gateway.port, "POST", case.path, gateways.KEY, body, list(case.headers.items()), TIMEOUT)
                got = reply.status, dict(reply.headers), reply.body, reply.end
                break
            except (OSError, EOFError) as e:
                if not _has_ended(gateway.process):
                    got = 0, {}, repr(e).encode(), "none"
                    break
                self._revive(gateway, case)
        asked = [Asked(f"{r.method} {r.target.removeprefix('/' + lane)}",
                       {n: v for n, v in r.headers.items() if n in HEADERS}, r.body)
                 for r in self.upstream.asked(lane)]  # fmt: skip
        return Seen(body, asked, *got)

    def _revive(self, dead, case):
        """LiteLLM's interpreter crashes now and then: another one. Weir's end is a failure."""
        with self._lock:
            if self.gateway is not dead:
                return  # another lane was faster
            self._lives -= 1
            if self._lives < 0:
                raise RuntimeError(f"{self.which} ended with {dead.process.returncode} in {case.name}")
            print(f"{self.which} ended with {dead.process.returncode} in {case.name}; starting it again", flush=True)
            self.gateway = gateways.START[self.which](self._config)

    def play_all(self, cases):
        """(case, lane, Seen) of each, in order."""
        lanes = list(LANES)

        def one(case):
            lane = lanes.pop()
            try:
                return case, lane, self.play(case, lane)
            finally:
                lanes.append(lane)

        with concurrent.futures.ThreadPoolExecutor(len(LANES)) as pool:
            yield from pool.map(one, cases)


def pretty(data):
    """JSON indented, anything else as it is."""
    try:
        return json.dumps(json.loads(data), ensure_ascii=False, indent=2)
    except ValueError:
        return data.decode("utf-8", "replace")


def describe(case, seen):
    """The whole exchange as text."""
    out = [f"# {case.name}", f"# deployment: {deployments.KINDS[case.kind][0]} {case.params or ''}",
           f"=== client request: POST {case.path} {case.headers or ''}", pretty(seen.request)]  # fmt: skip
    for a in seen.asked:
        out += [f"=== upstream request: {a.line}", *(f"{n}: {v}" for n, v in sorted(a.headers.items())), pretty(a.body)]
    if not seen.asked:
        out.append("=== upstream was not asked")
    for name in {dialect_of(a.line.split("?")[0]) for a in seen.asked} & set(case.replies):
        out.append(f"=== upstream reply, {name} (a stream cuts texts in pieces of 7 characters)")
        out.append(json.dumps(case.replies[name], ensure_ascii=False))
    out.append(f"=== client reply: {seen.status} {seen.headers.get('content-type', '')} ({seen.end})")
    out += [f"{n}: {v}" for n, v in seen.headers.items() if n in ("retry-after", "llm_provider-retry-after")]
    out.append(seen.body.decode("utf-8", "replace") if seen.is_stream else pretty(seen.body))
    return "\n".join(out) + "\n"
