"""Plays cases against a gateway and keeps what both sides of it saw."""

import concurrent.futures
import dataclasses
import json

import deployments
import gateways
from support import http
from upstream import Upstream, dialect_of

LANES = [f"L{i}" for i in range(6)]
TIMEOUT = 30
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


class Player:
    """One gateway with an upstream of its own."""

    def __init__(self, which, variants):
        self.upstream = Upstream()
        try:
            config = deployments.config(variants, LANES, self.upstream.url, gateways.KEY)
            self.gateway = gateways.START[which](config)
        except BaseException:
            self.upstream.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gateway.stop()
        self.upstream.stop()

    def play(self, case, lane):
        self.upstream.expect(lane, case.replies)
        body = case.request(lane)
        key = gateways.KEY
        try:
            reply = http.call(self.gateway.port, "POST", case.path, key, body, list(case.headers.items()), TIMEOUT)
            status, headers, end = reply.status, dict(reply.headers), reply.end
            data = reply.body
        except (OSError, EOFError) as e:
            status, headers, data, end = 0, {}, repr(e).encode(), "none"
        asked = [Asked(f"{r.method} {r.target.removeprefix('/' + lane)}",
                       {n: v for n, v in r.headers.items() if n in HEADERS}, r.body)
                 for r in self.upstream.asked(lane)]  # fmt: skip
        return Seen(body, asked, status, headers, data, end)

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
