"""A scripted upstream: sends byte for byte what a test says, and records byte for byte what it receives.

    mock = Mock()                       # or Mock(tls=certs.chain("good"))
    mock.on("gpt-up", json_reply({...}))            # every request for that model
    mock.on("gpt-up", error(500), chat)             # the first request, then all others
    mock.on("gpt-up", [head(200, chunked=True), chunk(b"data: 1\n\n"), Delay(0.5), RST])
    ...
    mock.requests[0].body, mock.ledger["chatcmpl-1"]

A script is a list of steps, or a function of the request that gives one (a generator will do). A step is bytes to
send, or Delay, STALL, FIN, RST, Do. Scripts are chosen by the model of the body or path, else by the exact path; a
request nobody scripted gets the realistic reply of its API from `dialects`. The loop runs in a thread of its own.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

LINGER_NONE = struct.pack("ii", 1, 0)


class Delay:
    def __init__(self, seconds):
        self.seconds = seconds


class Do:
    """Calls fn() on the mock's loop; a coroutine is awaited."""

    def __init__(self, fn):
        self.fn = fn


STALL = object()  # nothing more, until the peer leaves
FIN = object()  # end our direction in an orderly way (TLS: without close_notify)
RST = object()  # reset

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}  # fmt: skip


# --- building replies --------------------------------------------------------------------------------------------


def head(status=200, headers=(), *, length=None, chunked=False, version="1.1"):
    """A reply head. `headers`: pairs. Without `length` and `chunked` the body ends with the connection."""
    lines = [f"HTTP/{version} {status} {REASONS.get(status, 'Whatever')}"]
    lines += [f"{n}: {v}" for n, v in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
JSON = ("Content-Type", "application/json")
SSE = ("Content-Type", "text/event-stream; charset=utf-8")


def reply(body, status=200, headers=(JSON,)):
    return [head(status, headers, length=len(body)) + body]


def json_reply(obj, status=200, headers=()):
    return reply(json.dumps(obj).encode(), status, (JSON, *headers))


def sse_reply(events, headers=(), end=LAST_CHUNK, status=200):
    """Events (bytes) each in a chunk of its own, steps between them as they are; `end` closes."""
    steps = [head(status, (SSE, *headers), chunked=True)]
    steps += [chunk(e) if isinstance(e, bytes) else e for e in events]
    steps.append(end)
    return steps


def sse(obj, event=None):
    """One event."""
    data = obj if isinstance(obj, bytes) else json.dumps(obj, ensure_ascii=False).encode()
    name = b"event: %s\n" % event.encode() if event else b""
    return name + b"data: " + data + b"\n\n"


# --- what is recorded --------------------------------------------------------------------------------------------


@dataclass
class Request:
    """As received. `head` ends with the blank line, `raw_body` is as framed, `body` without the framing."""

    order: int  # over the whole mock, from 0
    connection: int
    nth: int  # on its connection, from 1
    head: bytes
    raw_body: bytes
    body: bytes
    time: float  # complete
    conn: "Connection" = field(repr=False, default=None)
    view: object = field(repr=False, default=None)  # of plans.py: what the model saw

    @property
    def line(self):
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self):
        return self.line.split(" ")[0]

    @property
    def target(self):
        return self.line.split(" ")[1]

    @property
    def path(self):
        return self.target.split("?")[0]

    @property
    def header_list(self):
        lines = self.head.decode("latin-1").split("\r\n")[1:-2]
        return [(n.lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]

    @property
    def headers(self):
        return dict(self.header_list)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def model(self):
        """Of the body, else of the path."""
        with contextlib.suppress(ValueError, AttributeError, UnicodeDecodeError):
            if model := self.json.get("model"):
                return model
        found = re.search(r"/(?:deployments|engines)/([^/]+)/", self.path)
        return found[1] if found else ""


class Connection(asyncio.Protocol):
    """One client of the mock. Times are time.monotonic(), None: not yet."""

    def __init__(self, mock):
        self.mock = mock
        self.received = bytearray()  # not yet consumed
        self.sent = 0  # bytes handed to the transport and not refused
        self.served = 0
        self.opened = time.monotonic()
        self.eof_at = None  # the peer closed its direction
        self.lost_at = None  # gone, either way
        self.task = None
        self._more = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport):
        self.transport = transport
        self.number = len(self.mock.connections)
        self.mock.connections.append(self)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(high=65536)
        self.task = asyncio.ensure_future(self._serve())

    def data_received(self, data):
        self.received += data
        self._more.set()

    def eof_received(self):
        self.eof_at = time.monotonic()
        self._more.set()
        return not self.transport.get_extra_info("sslcontext")  # half-open is not for TLS

    def connection_lost(self, exc):
        self.lost_at = time.monotonic()
        self.mock._note()
        self.task.cancel()

    def pause_writing(self):
        self._may_write.clear()

    def resume_writing(self):
        self._may_write.set()

    async def _until(self, ready):
        """Waits until ready() gives something; EOFError when the peer ends before."""
        while (got := ready()) is None:
            if self.eof_at:
                raise EOFError
            self._more.clear()
            await self._more.wait()
        return got

    def _take(self, n):
        data = bytes(self.received[:n])
        del self.received[:n]
        return data

    async def _take_line(self):
        end = await self._until(lambda: (i := self.received.find(b"\r\n")) >= 0 and i + 2 or None)
        return self._take(end)

    async def _take_bytes(self, n):
        await self._until(lambda: len(self.received) >= n or None)
        return self._take(n)

    async def _read_request(self):
        end = await self._until(lambda: (i := self.received.find(b"\r\n\r\n")) >= 0 and i + 4 or None)
        r = Request(-1, self.number, self.served + 1, self._take(end), b"", b"", 0, self)
        headers = r.headers
        if "chunked" in headers.get("transfer-encoding", ""):
            raw, body = bytearray(), bytearray()
            while True:
                line = await self._take_line()
                data = await self._take_bytes(int(line, 16) + 2)
                raw += line + data
                body += data[:-2]
                if int(line, 16) == 0:
                    break
            r.raw_body, r.body = bytes(raw), bytes(body)
        elif length := int(headers.get("content-length", 0)):
            r.raw_body = r.body = await self._take_bytes(length)
        r.time = time.monotonic()
        self.served += 1
        self.mock._record(r)
        return r

    async def _serve(self):
        try:
            while True:
                request = await self._read_request()
                if not await self._play(self.mock._script_of(request)):
                    return
        except EOFError:
            self.transport.close()
        except Exception as e:  # a script that raises must fail its test, not vanish
            self.mock.failures.append(e)
            self.transport.abort()

    async def _play(self, steps):
        """True when the connection lives on."""
        for step in steps:
            if isinstance(step, (bytes, bytearray)):
                await self._may_write.wait()
                if self.transport.is_closing():
                    return False
                self.transport.write(step)
                self.sent += len(step)
            elif isinstance(step, Delay):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, Do):
                result = step.fn()
                if asyncio.iscoroutine(result):
                    await result
            elif step is STALL:
                await self._until(lambda: None)
            elif step is RST:
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
                self.transport.abort()
                return False
            elif step is FIN:
                await self._may_write.wait()
                if self.transport.get_extra_info("sslcontext"):
                    self.transport.abort()
                else:
                    self.transport.close()
                return False
            else:
                raise TypeError(f"not a step: {step!r}")
        return True


class Mock:
    """`url` is the base without a path. Everything but `run` may be called from the test's thread."""

    def __init__(self, tls=None, default=None):
        from . import dialects

        self._default = default or dialects.default
        self._lock = threading.Condition()
        self._scripts = {}
        self.requests = []
        self.connections = []
        self.failures = []
        self.ledger = {}  # response id -> speak.Entry
        self.kept = {}  # response id -> speak.Kept, of the Responses API
        self.refused = []  # (request, why) of what strict.py would not take
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tls = context
        self.port = 0
        self.listen()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self):
        """Opens the listener, on the same port as before if it was closed."""

        async def open_():
            return await self._loop.create_server(
                lambda: Connection(self), "127.0.0.1", self.port, ssl=self._tls, backlog=1024
            )

        self._server = self.run(open_())
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self):
        """Closes the listener and every connection: further dials are refused."""

        async def close():
            self._server.close()
            for c in self.connections:
                if not c.lost_at:
                    c.transport.abort()

        self.run(close())

    def run(self, coroutine, timeout=60):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def stop(self):
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # --- scripts

    def on(self, key, *scripts):
        """`key`: a model, or "METHOD /path". Scripts are used in order, the last one for ever."""
        with self._lock:
            self._scripts[key] = list(scripts)

    def reset(self):
        """Forgets scripts, requests and what was kept of them; connections stay open."""
        with self._lock:
            for memory in (self._scripts, self.requests, self.ledger, self.kept, self.refused):
                memory.clear()
            failures, self.failures[:] = list(self.failures), []
        if failures:
            raise failures[0]

    def _script_of(self, request):
        with self._lock:
            for key in (request.model, f"{request.method} {request.path}"):
                if queue := self._scripts.get(key):
                    script = queue.pop(0) if len(queue) > 1 else queue[0]
                    break
            else:
                script = self._default
        return script(request) if callable(script) else script

    # --- what happened

    def _record(self, request):
        with self._lock:
            request.order = len(self.requests)
            self.requests.append(request)
            self._lock.notify_all()

    def _note(self):
        with self._lock:
            self._lock.notify_all()

    def wait(self, true, timeout=5.0, what="the mock"):
        """Waits until true() holds; checked whenever something happens, and now and then."""
        end = time.monotonic() + timeout
        while not true():
            with self._lock:
                self._lock.wait(0.02)
            if time.monotonic() > end:
                raise AssertionError(f"{what}: nothing in {timeout} s")

    def wait_requests(self, n, timeout=5.0):
        self.wait(lambda: len(self.requests) >= n, timeout, f"{n} requests at the mock")
        return list(self.requests)

    @property
    def request(self):
        """The only one."""
        assert len(self.requests) == 1, [r.line for r in self.requests]
        return self.requests[0]


class BlackHole:
    """A port that never completes a handshake: its accept queue is full."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._fillers = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                s.connect(("127.0.0.1", self.port))
            self._fillers.append(s)

    def stop(self):
        for s in (self._listener, *self._fillers):
            s.close()


def free_port():
    """A port nobody listens on just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
