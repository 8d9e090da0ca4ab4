"""Reload, death of any process, drain, health, what processes know: under load (threats 12, design 7)."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from support import dialects, standard
from support.http import Client, call
from support.mock_provider import Delay, Mock, json_reply, sse_reply
from support.weir import RELEASE, run

SAY = [{"role": "user", "content": "x"}]
CHAT = {"model": "gpt-pub", "messages": SAY}


@pytest.fixture
def upstream():
    m = Mock()
    yield m
    m.stop()


class Load:
    """Threads that ask without pause. What was not answered is `lost` (no reply, or one that was cut), with its client;
    what was answered wrong is `bad`."""

    def __init__(self, weir, bodies, threads=4, keep_alive=False):
        self.answered, self.lost, self.bad = 0, [], []
        self.clients = [None] * threads
        self._stop, self._lock = threading.Event(), threading.Lock()

        def ask(client, path, body):
            """Whether the connection is good for another request."""
            try:
                client.send(weir.request("POST", path, body))
                reply = client.read_reply()
            except (OSError, EOFError) as e:
                reply = e
            except Exception as e:  # framing that cannot be read
                self.bad.append(e)
                return False
            with self._lock:
                if isinstance(reply, Exception) or (reply.status == 200 and reply.end == "cut"):
                    self.lost.append((client, reply))
                    return False
                if is_right(body, reply):
                    self.answered += 1
                else:
                    self.bad.append((reply.status, reply.end, reply.body))
            return keep_alive and reply.header("connection") != "close"

        def run(i):
            n = i
            while not self._stop.is_set():
                self.clients[i] = self.clients[i] or Client(weir.port, 15)
                if not ask(self.clients[i], *bodies[n % len(bodies)]):
                    self.clients[i].close()
                    self.clients[i] = None
                n += 1
            if self.clients[i]:
                self.clients[i].close()

        self._threads = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
        for t in self._threads:
            t.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        for t in self._threads:
            t.join(20)
        assert not any(t.is_alive() for t in self._threads)


def is_right(body, reply):
    whole = reply.body.endswith(b"data: [DONE]\n\n") if body.get("stream") else reply.end == "length"
    return whole and reply.status == 200 and b"upstream." in reply.body


LOAD = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", {**CHAT, "stream": True}),
    ("/v1/messages", {"model": "claude-pub", "max_tokens": 9, "messages": SAY}),
]


def assert_ledger_is_in_the_spool(weir, mock, lost=0, timeout=20):
    """Every exchange the upstream saw has one record, none has two. The record of one lost with its worker may lack the
    upstream's id, and its request may never have reached the upstream."""
    weir.wait(lambda: len(weir.spool()) >= len(mock.requests), timeout, "all records")
    records = weir.spool()
    ids = [r["response_id"] for r in records if r.get("response_id")]
    assert len(ids) == len(set(ids)), "a record twice"
    missing = {e.id for e in mock.ledger.values() if e.told} - set(ids)
    assert len(missing) <= lost, f"{len(missing)} of {len(mock.ledger)} exchanges have no record"
    assert len(mock.requests) <= len(records) <= len(mock.requests) + lost
    assert len([r for r in records if r.get("died")]) <= lost


@pytest.mark.parametrize("keep_alive", [True, False])
def test_reload_under_load_loses_nothing(start, upstream, keep_alive):
    weir = start(standard.config(upstream.url), workers=2)
    with Load(weir, LOAD, keep_alive=keep_alive) as load:
        for i in range(5):
            time.sleep(0.3)
            config = standard.config(upstream.url)
            config["model_list"].append(standard.openai(f"new-{i}", "gpt-up", upstream.url))
            weir.write_config(config)
            weir.process.send_signal(signal.SIGHUP)
            body = {"model": f"new-{i}", "messages": SAY}
            weir.wait(lambda body=body: weir.post("/v1/chat/completions", body).status == 200, 5, "the new model")
    assert not load.lost and not load.bad, (load.lost[:3], load.bad[:3])
    assert load.answered > 50
    assert_ledger_is_in_the_spool(weir, upstream)


@pytest.mark.parametrize("text", ["model_list: [\n", "model_list: 7\n", "weir: {no_such_key: 1}\n", "\x00\n", ""])
def test_a_bad_file_changes_nothing(start, upstream, text):
    weir = start(standard.config(upstream.url))
    good = weir.config.read_text()
    pids = (weir.link(), weir.workers())
    log = len(weir.log())
    weir.write_config(text)
    weir.process.send_signal(signal.SIGHUP)
    weir.wait(lambda: "nothing changed" in weir.log()[log:], what="a complaint")
    assert not text or "config.yaml" in weir.log()[log:], "it names the file"
    for _ in range(3):
        assert weir.post("/v1/chat/completions", CHAT).status == 200
    assert (weir.link(), weir.workers()) == pids
    weir.write_config(good)
    weir.process.send_signal(signal.SIGHUP)
    assert weir.post("/v1/chat/completions", CHAT).status == 200


def test_a_running_stream_keeps_the_generation_it_began_with(start, upstream):
    weir = start(standard.config(upstream.url))
    with weir.client() as c:
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "slow-pub", "stream": True, "messages": SAY}))
        reply = c.read_head()
        pieces = c.pieces(reply)
        next(pieces)
        weir.write_config({"model_list": [standard.openai("only", "gpt-up", upstream.url)]})
        weir.process.send_signal(signal.SIGHUP)
        weir.wait(lambda: weir.post("/v1/chat/completions", {**CHAT, "model": "only"}).status == 200)
        assert weir.post("/v1/chat/completions", CHAT).status == 400
        rest = b"".join(pieces)
        assert reply.end == "chunked" and rest.endswith(b"data: [DONE]\n\n")


def owner(weir, client):
    """Which worker holds the other end of a client's connection."""
    mine = client.sock.getsockname()[1]
    inode = None
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == weir.port and int(fields[2].split(":")[1], 16) == mine:
            inode = fields[9]
    for pid in weir.workers():
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(fd) == f"socket:[{inode}]":
                    return pid
    raise AssertionError(f"nobody holds {mine}")


def test_worker_killed_costs_its_own_streams_alone(start, upstream):
    """P-01, M-07: the streams of the other worker end well; each exchange has its record, the lost ones flagged."""
    weir = start(standard.config(upstream.url), workers=2)
    first, second = weir.workers()
    go_on, streams = threading.Event(), []

    def held(request):
        *steps, end = dialects.chat(request)
        yield from steps[:3]
        while not go_on.is_set():
            yield Delay(0.05)
        yield from [*steps[3:], end]

    upstream.on("slow-up", held)
    body = {"model": "slow-pub", "stream": True, "messages": SAY}
    for _ in range(60):
        c = Client(weir.port, 20)
        c.send(weir.request("POST", "/v1/chat/completions", body))
        reply = c.read_head()
        pieces = c.pieces(reply)
        next(pieces)
        streams.append((c, reply, pieces, owner(weir, c)))
        if len(streams) >= 12 and {s[3] for s in streams} == {first, second}:
            break
    assert {s[3] for s in streams} == {first, second}, "connections went to one worker only"
    with Load(weir, LOAD, threads=2) as load:
        os.kill(first, signal.SIGKILL)
        go_on.set()
        for c, reply, pieces, pid in streams:
            rest = b"".join(pieces)
            if pid == second:
                assert reply.end == "chunked" and rest.endswith(b"data: [DONE]\n\n")
            else:
                assert reply.end == "cut"
            c.close()
        weir.wait(lambda: len(weir.workers()) == 2 and first not in weir.workers(), what="another worker")
        answered = load.answered
        weir.wait(lambda: load.answered > answered + 20, what="answers after it")
    assert not load.bad, load.bad[:3]
    assert len(load.lost) <= 2, "each thread one, if the dead worker had it"
    lost = len([s for s in streams if s[3] == first])
    assert_ledger_is_in_the_spool(weir, upstream, lost + len(load.lost))
    died = [r for r in weir.spool() if r.get("died")]
    assert lost <= len(died)
    assert all(r["usage"].get("estimated") for r in died if r["upstream_model"] == "slow-up")


def test_link_killed_under_load_loses_no_record(start, upstream):
    """Workers go on; the new link takes the rings where the old one left them."""
    weir = start(standard.config(upstream.url), workers=2)
    with Load(weir, LOAD, keep_alive=True) as load:
        for _ in range(3):
            time.sleep(0.4)
            old = weir.link()
            os.kill(old, signal.SIGKILL)
            weir.wait(lambda old=old: weir.link() not in (None, old), what="another link")
        time.sleep(0.4)
    assert not load.lost and not load.bad, (load.lost[:3], load.bad[:3])
    assert load.answered > 50
    assert_ledger_is_in_the_spool(weir, upstream)
    weir.write_config({"model_list": [standard.openai("only", "gpt-up", upstream.url)]})
    weir.process.send_signal(signal.SIGHUP)
    weir.wait(lambda: weir.post("/v1/chat/completions", {**CHAT, "model": "only"}).status == 200, 5, "reload still works")


def test_a_frozen_link_delays_nobody(start, upstream):
    """Design 7.1: no request waits for another process; the records lie in the ring until it goes on."""
    weir = start(standard.config(upstream.url))
    link = weir.link()
    os.kill(link, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(300):
            assert weir.post("/v1/chat/completions", CHAT).status == 200
        assert time.monotonic() - began < 10
    finally:
        os.kill(link, signal.SIGCONT)
    weir.records(300)
    assert_ledger_is_in_the_spool(weir, upstream)


def test_worker_and_link_killed_together(start, upstream):
    """Only connections of the dead worker lose what they asked; each exchange has its record all the same."""
    weir = start(standard.config(upstream.url), workers=2)
    with Load(weir, LOAD, keep_alive=True) as load:
        weir.wait(lambda: all(load.clients) and load.answered > 20, what="load")
        link, owners = weir.link(), {c: owner(weir, c) for c in load.clients}
        worker = owners[load.clients[0]]
        for pid in (link, worker):
            os.kill(pid, signal.SIGKILL)
        weir.wait(lambda: weir.link() not in (None, link), what="another link")
        weir.wait(lambda: len(weir.workers()) == 2 and worker not in weir.workers(), what="another worker")
        answered = load.answered
        weir.wait(lambda: load.answered > answered + 20, what="answers after it")
    assert not load.bad, load.bad[:3]
    lost = [c for c, _ in load.lost]
    assert len(lost) == len(set(lost)) and all(owners.get(c) == worker for c in lost), load.lost
    assert_ledger_is_in_the_spool(weir, upstream, len(lost))


@pytest.mark.slow
def test_a_hung_worker_is_replaced(start, upstream):
    """P-02: silent for 2 s, ended by SIGABRT, at the latest a second later by SIGKILL."""
    weir = start(standard.config(upstream.url), workers=2)
    hung = weir.workers()[0]
    os.kill(hung, signal.SIGSTOP)
    weir.wait(lambda: hung not in weir.workers() and len(weir.workers()) == 2, 8, "a worker in its place")
    for _ in range(20):
        assert weir.post("/v1/chat/completions", CHAT).status == 200


def test_workers_serve_without_their_manager(start, upstream):
    """P-04: nothing of a request needs the manager."""
    weir = start(standard.config(upstream.url), workers=2)
    children = [weir.link(), *weir.workers()]
    try:
        weir.process.kill()
        weir.process.wait()
        for _ in range(20):
            assert weir.post("/v1/chat/completions", CHAT).status == 200
        weir.records(20)
    finally:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        weir.kill()


def test_torn_tail_of_the_spool_is_cut_off(start, upstream):
    """M-03: what was whole before is whole after, and writing goes on."""
    weir = start(standard.config(upstream.url))
    for _ in range(5):
        weir.post("/v1/chat/completions", CHAT)
    weir.records(5)
    old = weir.link()
    os.kill(old, signal.SIGSTOP)
    (segment,) = [p for p in (weir.state / "spool").iterdir() if p.is_file() and p.stat().st_size]
    with segment.open("ab") as f:
        f.write(b"\x40\x01\x00\x00torn record")
    os.kill(old, signal.SIGKILL)
    weir.wait(lambda: weir.link() not in (None, old), what="another link")
    spool = weir.state / "spool"
    weir.wait(lambda: run("weir-link", "--spool", spool)[0] == 0, what="a spool without damage")
    for _ in range(3):
        weir.post("/v1/chat/completions", CHAT)
    weir.records(8)


def test_records_survive_a_restart(start, upstream):
    weir = start(standard.config(upstream.url))
    for _ in range(3):
        weir.post("/v1/chat/completions", CHAT)
    before = weir.records(3)
    weir.stop(keep=True)
    assert weir.spool() == before


# --- drain -------------------------------------------------------------------------------------------------------


def test_term_drains_running_streams(start, upstream):
    """Design 8: readiness 503 at once, still accepting for 5 s, streams finish, exit 0."""
    weir = start(standard.config(upstream.url), workers=2)
    upstream.on("slow-up", sse_reply(
        [b'data: {"model":"slow-up","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', Delay(2.0),
         b'data: {"model":"slow-up","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
         b"data: [DONE]\n\n"]))  # fmt: skip
    with weir.client(timeout=20) as c:
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "slow-pub", "stream": True, "messages": SAY}))
        reply = c.read_head()
        pieces = c.pieces(reply)
        next(pieces)
        weir.workers()
        weir.process.send_signal(signal.SIGTERM)
        weir.wait(lambda: call(weir.port, "GET", "/health/readiness").status == 503, 3, "readiness 503")
        assert call(weir.port, "GET", "/health/liveliness").status == 200
        late = weir.post("/v1/chat/completions", CHAT)
        assert late.status == 200, "requests that still come are served"
        assert late.header("connection") == "close"
        rest = b"".join(pieces)
        assert reply.end == "chunked" and rest.endswith(b"data: [DONE]\n\n")
    weir.inquest(timeout=12)


def test_after_term_new_connections_are_taken_for_a_while(start, upstream):
    """Design 8: 5 s more, so that whoever balances the load can notice; also when nothing is running."""
    weir = start(standard.config(upstream.url))
    weir.workers()
    weir.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert call(weir.port, "GET", "/health/readiness").status == 503
    assert weir.post("/v1/chat/completions", CHAT).status == 200
    assert weir.process.wait(10) == 0
    weir.inquest()


def test_second_term_ends_at_once(start, upstream):
    weir = start(standard.config(upstream.url))
    with weir.client(timeout=20) as c:
        c.send(weir.request("POST", "/v1/chat/completions", {"model": "slow-pub", "stream": True, "messages": SAY}))
        c.read_head()
        weir.workers()
        began = time.monotonic()
        weir.stop()
        assert time.monotonic() - began < 3


def test_requests_in_flight_at_term_finish(start, upstream):
    weir = start(standard.config(upstream.url))
    upstream.on("gpt-up", [Delay(1.0), *json_reply({"id": "c", "model": "gpt-up", "choices": []})])
    with weir.client(timeout=20) as c:
        c.send(weir.request("POST", "/v1/chat/completions", CHAT))
        upstream.wait_requests(1)
        weir.workers()
        weir.process.send_signal(signal.SIGTERM)
        reply = c.read_reply()
        assert reply.status == 200 and reply.json["id"] == "c"
    weir.inquest(timeout=12)


# --- who may know what ---------------------------------------------------------------------------------------------


def test_processes_hold_no_secret_in_the_open(start, upstream):
    """S-06, design 1: environments of workers are empty, no command line or environment shows a secret."""
    weir = start(standard.config(upstream.url, general_settings={"master_key": "os.environ/LITELLM_MASTER_KEY"}),
                 workers=2, env={"LITELLM_MASTER_KEY": "sk-env-canary-Rt6y", "OPENAI_API_KEY": "sk-env-openai-Hj2k"})  # fmt: skip
    weir.key = "sk-env-canary-Rt6y"
    assert weir.post("/v1/chat/completions", CHAT).status == 200
    link = weir.link()
    for pid in (weir.pid, link, *weir.workers()):
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"sk-" not in environ + cmdline, pid
        if pid in weir.workers():
            assert environ.strip(b"\0") == b"", environ
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert [line for line in limits.splitlines() if line.startswith("Max core file size")][0].split()[4] == "0"


def test_files_are_private(start, upstream):
    weir = start(standard.config(upstream.url))
    weir.post("/v1/chat/completions", CHAT)
    weir.records(1)
    weir.access(1)
    for path in [*weir.state.rglob("*"), *weir.run_dir.rglob("*"), weir.access_log]:
        assert path.stat().st_mode & 0o077 == 0, f"{path} {oct(path.stat().st_mode)}"


def listeners(port):
    lines = [f.split() for name in ("tcp", "tcp6") for f in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {f[1].split(":")[0] for f in lines if f[3] == "0A" and int(f[1].split(":")[1], 16) == port}


def test_no_master_key_is_loopback_only_and_says_so(start, upstream):
    weir = start(standard.config(upstream.url), key=None)
    assert listeners(weir.port) <= {"0100007F", "00000000000000000000000001000000"}
    assert "no_master_key" in weir.log() and "only this machine may connect" in weir.log()
    assert weir.post("/v1/chat/completions", CHAT, key=None).status == 200
    assert weir.post("/v1/chat/completions", CHAT, key="sk-anything-12").status == 200
    weir.secrets.add("sk-anything-12")


def test_health_while_everything_behind_is_down(start):
    """P-07"""
    mock = Mock()
    weir = start(standard.config(mock.url))
    mock.stop()
    for path in ("/health/liveliness", "/health/readiness"):
        assert call(weir.port, "GET", path).status == 200


def test_reopen_of_the_access_log(start, upstream):
    """USR1 after the file was moved away."""
    weir = start(standard.config(upstream.url))
    weir.post("/v1/chat/completions", CHAT)
    weir.access(1)
    moved = weir.access_log.rename(weir.access_log.with_suffix(".1"))
    weir.process.send_signal(signal.SIGUSR1)
    weir.wait(lambda: weir.post("/v1/chat/completions", CHAT) and weir.access_log.exists(), what="a new access log")
    assert weir.access()
    before = moved.read_text()
    weir.post("/v1/chat/completions", CHAT)
    time.sleep(0.2)
    assert moved.read_text() == before, "the old file is let go"


@pytest.mark.slow
def test_memory_given_back_after_quiet_is_used_again(start, upstream):
    """After ten seconds without a request buffers of worker and link go to the system; what follows is whole."""
    weir = start(standard.config(upstream.url))
    for n in (1, 2):
        assert is_right(CHAT, weir.post("/v1/chat/completions", CHAT))
        weir.records(n)
        assert {line["model"] for line in weir.access(n)} == {"gpt-pub"}
        time.sleep(12)
    assert_ledger_is_in_the_spool(weir, upstream)


def test_cold_start(start, upstream):
    """The release build answers well within the budget of quickstart's second start (bench/run measures it)."""
    began = time.monotonic()
    start(standard.config(upstream.url), build=RELEASE)
    assert time.monotonic() - began < 3.0
