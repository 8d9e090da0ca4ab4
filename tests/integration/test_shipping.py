"""The spool on its way to a control plane, which the test plays (support/played.py): whatever dies, is lost, comes twice or
is full, each record is counted once (threats M-02 to M-04, F-CH, F-DK)."""

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from support import http
from support import played as p
from support.weir import MASTER_KEY

SAY = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
ASK = json.dumps(SAY).encode()
MOCKED = {"model": "openai/gpt-4o", "mock_response": "ok"}


def config(address, **weir):
    return {"model_list": [{"model_name": "m", "litellm_params": MOCKED}],
            "weir": {"control_plane": [address], **weir}}  # fmt: skip


def call(weir, n=1, key=MASTER_KEY, may_be_full=False):
    """The ids of n requests, one after the other; of those that were let in where there may be no room."""
    ids = []
    with http.Client(weir.port, 10) as c:
        for _ in range(n):
            c.send(http.request("POST", "/v1/chat/completions", key, ASK, ()))
            reply = c.read_reply()
            if reply.status == 503 and may_be_full:
                time.sleep(0.02)
                continue
            assert reply.status == 200, reply.body
            ids.append(reply.header("x-litellm-call-id"))
    return ids


def _json(value):
    import json

def flood(weir, n, key=MASTER_KEY):
    """n requests as fast as one connection takes them; how many were answered 200."""
    one = http.request("POST", "/v1/chat/completions", key, ASK, ())
    with socket.create_connection(("127.0.0.1", weir.port), 30) as s:
        seen, tail, step = 0, b"", 16
        for sent in range(0, n, step):
            s.sendall(one * min(step, n - sent))
            while seen < min(n, sent + step):
                data = s.recv(1 << 20)
                assert data, f"closed after {seen} of {n}"
                tail = tail[-16:] + data
                seen += data.count(b"HTTP/1.1 ") + (tail[: len(tail) - len(data)] + data[:8]).count(b"HTTP/1.1 ")
    return seen


def counted(weir, plane, ids, timeout=15.0):
    """All of them, each once."""
    weir.wait(lambda: len(plane.ledger.records) >= len(ids), timeout, f"{len(ids)} records shipped")
    time.sleep(0.15)  # what came twice would be there by now
    assert sorted(plane.ledger.ids()) == sorted(ids)


@contextlib.contextmanager
def stopped(pid):
    """The process does nothing meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# --- what is sent


def test_every_record_is_shipped_once(start, plane):
    weir = start(config(plane.address), workers=2)
    ids = call(weir, 30)
    counted(weir, plane, ids)
    assert sorted(ids) == sorted(r["request_id"] for r in weir.spool())
    assert plane.ledger.gaps == []
    (spool,) = plane.ledger.cursors
    assert spool == (weir.state / "spool" / "name").read_bytes()
    weir.wait(lambda: weir.metrics()["weir_usage_unshipped_bytes"] == 0, 5, "nothing waits")
    metrics = weir.metrics()
    assert metrics["weir_usage_shipped_records_total"] == 30
    assert metrics["weir_usage_unshipped_age_milliseconds"] == 0
    assert metrics["weir_usage_ship_failures_total"] == 0


def test_batches_are_contiguous_and_bounded(start, plane):
    weir = start(config(plane.address))
    plane.answer = lambda r: p.refusal(p.AWAY) if r["kind"] == "usage" else None
    n = flood(weir, 4000)
    plane.answer = None
    weir.wait(lambda: len(plane.ledger.records) == n, 30, "all of them")
    sizes = [len(b["records"]) for b in plane.ledger.batches]
    assert max(sizes) > 256 * 1024 and max(sizes) <= 512 * 1024
    place = (0, 0)
    for b in plane.ledger.batches:
        assert b["from"] == place
        place = b["next"]


def test_what_a_start_finds_is_shipped(start, plane, at):
    """A pod whose control plane is away when it starts, and comes later."""
    weir = start(config(f"ipc://{at('late')}"))
    ids = call(weir, 10)
    weir.wait(lambda: weir.metrics()["weir_usage_unshipped_bytes"] > 0, 5, "what waits is told")
    weir.wait(lambda: weir.metrics()["weir_usage_unshipped_age_milliseconds"] > 1500, 10, "and for how long")
    late = p.Plane(f"{weir.config.read_text().split('ipc://')[1].split()[0].strip(chr(34))}")
    try:
        counted(weir, late, ids)
        weir.wait(lambda: late.asked("status")[-1]["unshipped_bytes"] == 0, 15, "a status that says so")
    finally:
        late.close()


def test_a_draining_pod_delivers_the_rest(start, plane):
    """Its disk may be gone with it."""
    weir = start(config(plane.address))
    ids = call(weir, 5)
    counted(weir, plane, ids)
    away = [True]
    plane.answer = lambda r: p.refusal(p.AWAY) if r["kind"] == "usage" and away[0] else None
    ids += call(weir, 5)
    away[0] = False
    assert not weir.terminate(10)
    weir.inquest(keep=True)
    assert sorted(plane.ledger.ids()) == sorted(ids)


# --- what goes wrong


def test_an_answer_that_is_lost_changes_nothing(start, plane):
    """The control plane dies between the commit and the answer."""
    lost = []

    def answer(r):
        if r["kind"] == "usage" and r["records"] and len(lost) < 6:
            lost.append(plane.ledger.take(r))
            plane.cut()
            return p.SILENCE
        return None

    plane.answer = answer
    weir = start(config(plane.address))
    ids = []
    for _ in range(6):
        ids += call(weir, 3)
        time.sleep(0.2)
    counted(weir, plane, ids)
    assert len(lost) == 6 or len(lost) >= 2
    assert plane.ledger.gaps == []


def test_a_batch_that_was_not_counted_comes_again(start, plane):
    """It dies before the commit."""
    dropped = []

    def answer(r):
        if r["kind"] == "usage" and r["records"] and len(dropped) < 4:
            dropped.append(r)
            plane.cut()
            return p.SILENCE
        return None

    plane.answer = answer
    weir = start(config(plane.address))
    counted(weir, plane, call(weir, 20))
    assert len(dropped) == 4


@pytest.mark.parametrize("why", [p.AWAY, p.MALFORMED])
def test_no_database_costs_nothing_but_time(start, plane, why):
    away = [True]
    plane.answer = lambda r: p.refusal(why) if r["kind"] == "usage" and away[0] else None
    weir = start(config(plane.address))
    ids = call(weir, 20)
    weir.wait(lambda: weir.metrics()["weir_usage_ship_failures_total"] >= 3, 10, "it is tried again")
    before = len(plane.asked("usage"))
    time.sleep(1)
    assert len(plane.asked("usage")) - before <= 6, "not in a hurry"
    ids += call(weir, 20)
    away[0] = False
    counted(weir, plane, ids)


def test_an_older_control_plane_is_not_asked_again(start, plane):
    plane.answer = lambda r: p.refusal(p.UNKNOWN_REQUEST) if r["kind"] == "usage" else None
    weir = start(config(plane.address))
    ids = call(weir, 5)
    weir.wait(lambda: plane.asked("usage"), 5, "it was asked")
    time.sleep(1)
    assert len(plane.asked("usage")) == 1 and weir.metrics()["weir_control_plane_up"] == 1
    plane.answer = None
    plane.cut()  # a newer one took its place
    counted(weir, plane, ids)


@pytest.mark.parametrize("nonsense", ["future", "past", "other", "garbage"])
def test_nonsense_is_not_believed(start, plane, nonsense):
    def answer(r):
        if r["kind"] != "usage" or not r["records"] or not wrong[0]:
            return None
        wrong[0] -= 1
        return {"future": p.usage_taken((9, 9)), "past": p.usage_taken(r["from"]), "other": p.STATUS_TAKEN,
                "garbage": b"\xff\xff\xff"}[nonsense]  # fmt: skip

    wrong = [3]
    plane.answer = answer
    weir = start(config(plane.address))
    counted(weir, plane, call(weir, 10))
    assert wrong == [0]
    assert weir.metrics()["weir_usage_ship_failures_total"] >= 3


def test_link_killed_at_any_moment(start, plane):
    weir = start(config(plane.address), workers=2)
    ids, rng = [], random.Random(7)
    threads_end = threading.Event()
    lock = threading.Lock()

    def load():
        while not threads_end.is_set():
            got = call(weir, 5, may_be_full=True)  # rings fill while there is no link
            with lock:
                ids.extend(got)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    for _ in range(8):
        time.sleep(rng.uniform(0.02, 0.4))
        pid = weir.wait(weir.link, 10, "a link")
        os.kill(pid, signal.SIGKILL)
        weir.wait(lambda pid=pid: weir.link() not in (None, pid), 15, "another link")
    threads_end.set()
    for t in threads:
        t.join()
    counted(weir, plane, ids, 30)
    assert plane.ledger.gaps == []


def test_connections_cut_and_bytes_doubled(start, plane, at):
    fault = p.Fault(at("f"), plane.path)
    rng, ids = random.Random(3), []
    try:
        weir = start(config(fault.address))
        for i in range(16):
            fault.cut_at = fault.twice_at = None
            if i % 2:
                fault.cut_at = rng.randrange(8, 400)
            else:
                fault.twice_at = rng.randrange(8, 400)
            fault.cut()
            ids += call(weir, 10)
            time.sleep(0.1)
        fault.cut_at = fault.twice_at = None
        fault.cut()
        counted(weir, plane, ids, 30)
        assert plane.ledger.gaps == []
    finally:
        fault.close()


def test_a_spool_that_came_back_from_a_copy_takes_another_name(start, plane):
    """What the control plane has counted of it lies beyond what is here."""
    weir = start(config(plane.address))
    ids = call(weir, 5)
    counted(weir, plane, ids)
    (name,) = plane.ledger.cursors
    plane.ledger.cursors[name] = (5, 123)
    os.kill(weir.link(), signal.SIGKILL)
    plane.cut()
    weir.wait(lambda: weir.log().count("spool_replaced") >= 1, 15, "it is told")
    ids += call(weir, 5)
    counted(weir, plane, ids)
    assert len(plane.ledger.cursors) == 2 and "spool_replaced" in weir.log()


@pytest.mark.parametrize("after", ["none", "some", "a cut"])
def test_a_cursor_that_fell_back_is_gone_back_to(start, plane, after):
    """The database lost what it had committed: it is sent again, in the same session or in the next one."""
    weir = start(config(plane.address))
    ids = []
    for _ in range(4):
        ids += call(weir, 5)
        counted(weir, plane, ids)
    plane.ledger.fall_back(0 if after == "none" else len(plane.ledger.batches) // 2)
    assert len(plane.ledger.records) < len(ids)
    if after == "a cut":
        plane.cut()
    counted(weir, plane, ids + call(weir, 5))
    assert plane.ledger.gaps == [] and "usage_fell_back" in weir.log()
    assert weir.metrics()["weir_spool_gaps_total"] == 0


def test_what_is_not_kept_when_a_cursor_falls_back_is_a_gap(start, plane):
    weir = start(config(plane.address, spool_max_mb=1))
    for _ in range(4):
        n = len(plane.ledger.records) + flood(weir, 1500)
        weir.wait(lambda n=n: len(plane.ledger.records) == n, 20, "all of them")
    weir.wait(lambda: weir.metrics()["weir_spool_bytes"] <= 512 * 1024, 10, "half the cap at most stays")
    first = int(segments(weir)[0].split(".")[0])
    plane.ledger.fall_back(0)
    n = len(weir.spool())
    ids = call(weir, 1)
    weir.wait(lambda: set(ids) <= set(plane.ledger.ids()), 15, "it goes on")
    weir.wait(lambda: weir.metrics()["weir_spool_gaps_total"] == 1, 5, "it says so")
    assert [g[1] for g in plane.ledger.gaps] == [(first, 0)]
    assert len(plane.ledger.records) == n + 1
    assert "spool_gap" in weir.log()


def test_damage_on_disk_costs_what_is_damaged(start, plane, at):
    """M-03"""
    address = f"ipc://{at('later')}"
    weir = start(config(address))
    ids = call(weir, 20)
    weir.records(20)
    segment = weir.state / "spool" / "0000000001.seg"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x10
    with segment.open("r+b") as f:
        f.write(data)
    later = p.Plane(address.removeprefix("ipc://"))
    try:
        weir.wait(lambda: len(later.ledger.records) == 19, 15, "all others")
        assert set(later.ledger.ids()) < set(ids)
        assert len(later.ledger.gaps) == 1
        weir.wait(lambda: weir.metrics()["weir_spool_gaps_total"] == 1, 10, "the gap is told")
        more = call(weir, 3)
        weir.wait(lambda: set(more) <= set(later.ledger.ids()), 10, "it goes on")
    finally:
        later.close()


# --- room


def segments(weir):
    return sorted(f.name for f in (weir.state / "spool").glob("*.seg"))


def test_segments_go_once_they_are_counted(start, plane):
    weir = start(config(plane.address, spool_max_mb=1))
    for _ in range(4):
        n = len(plane.ledger.records) + flood(weir, 1500)
        weir.wait(lambda n=n: len(plane.ledger.records) == n, 20, "all of them")
    weir.wait(lambda: weir.metrics()["weir_spool_bytes"] <= 512 * 1024, 10, "half the cap at most stays")
    assert "0000000001.seg" not in segments(weir)
    assert plane.ledger.gaps == []


def budgeted(key, dollars):
    return {1: {1: hashlib.sha256(key.encode()).digest(), 2: "sk-...test", 15: {1: {1: int(dollars * 1e9)}}}}


def refused(weir, key):
    reply = weir.post("/v1/chat/completions", SAY, key=key)
    return reply.status == 503 and b"spool_full" not in reply.body and reply.header("retry-after") == "5"


@pytest.mark.slow
def test_a_full_spool_refuses_budgets_and_sums_up_the_others(start, plane):
    """M-04: the cap, while the control plane takes nothing."""
    rich, poor = "sk-has-a-budget-1", "sk-has-none-22"
    plane.put(k=budgeted(rich, 100.0), l=p.key(hashlib.sha256(poor.encode()).digest()))
    away = [True]
    plane.answer = lambda r: p.refusal(p.AWAY) if r["kind"] == "usage" and away[0] else None
    weir = start(config(plane.address, spool_max_mb=1))
    n = len(call(weir, 1, rich)) + len(call(weir, 1, poor))
    n += flood(weir, 4000)
    weir.wait(lambda: weir.metrics()["weir_spool_full"] == 1, 10, "the cap is reached")
    assert "spool_nearly_full" in weir.log()
    weir.wait(lambda: refused(weir, rich), 5, "who has a budget is refused")
    n += len(call(weir, 3, poor))
    n += flood(weir, 16000)  # more than the rings hold
    weir.wait(lambda: weir.metrics()["weir_usage_summed_records_total"] > 0, 10, "what they do not hold is added up")
    n += len(call(weir, 3, poor))
    assert weir.metrics()["weir_spool_dropped_segments_total"] == 0
    away[0] = False
    weir.wait(lambda: weir.metrics()["weir_spool_full"] == 0, 60, "it recovers by itself")
    assert len(call(weir, 1, rich)) == 1
    n += 1

    def total():
        with plane.ledger.lock:
            return sum(p.first(r, 66, 1) for r in plane.ledger.records)

    weir.wait(lambda: total() == n, 30, "every exchange is counted")
    sums = [r for r in plane.ledger.records if 66 in r]
    assert sums and all(p.first(r, 1).startswith(b"sum-") for r in sums)
    assert len({p.first(r, 1) for r in sums}) == len(sums)
    assert sum(p.first(p.parse(p.first(r, 50)), 1, 0) for r in plane.ledger.records) == 10 * n  # its input tokens
    assert plane.ledger.gaps == []


@pytest.mark.parametrize("fill", [180, 256])
def test_a_full_disk_is_waited_for(start, plane, fill):
    """M-04, F-DK-1: a file system of its own that is full, in the middle of a record or from the first on. The rings
    hold them all: none is added up, also where the first makes the ring begin anew."""
    weir = start(config(plane.address))
    n = len(call(weir, 5))
    with stopped(weir.link()):
        n += flood(weir, 300)  # more than RING_REWIND
    weir.wait(lambda: len(plane.ledger.records) == n, 20, "all shipped")
    spool = weir.state / "spool"
    pid = weir.link()
    with stopped(weir.process.pid):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(spool)], check=False,
                                 capture_output=True)  # fmt: skip
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        os.kill(pid, signal.SIGKILL)  # the next link begins a spool there
        weir.wait(lambda: weir.link() not in (None, pid), 15, "another link")
        weir.wait(lambda: (spool / "name").exists(), 15, "a spool in it")
        away = [True]
        plane.answer = lambda r: p.refusal(p.AWAY) if r["kind"] == "usage" and away[0] else None
        with contextlib.suppress(OSError), open(spool / "fill", "wb", 0) as f:
            for _ in range(fill):
                f.write(b"x" * 1024)
        with stopped(weir.link()):
            n += flood(weir, 600)
        weir.wait(lambda: weir.metrics()["weir_spool_full"] == 1, 10, "no room")
        ids_more = call(weir, 5)
        (spool / "fill").unlink()
        weir.wait(lambda: weir.metrics()["weir_spool_full"] == 0, 10, "room again")
        away[0] = False
        weir.wait(lambda: len(plane.ledger.records) == n + len(ids_more), 20, "nothing is lost")
        assert weir.metrics()["weir_usage_summed_records_total"] == 0
        assert set(ids_more) <= set(plane.ledger.ids())
        assert len(set(plane.ledger.ids())) == len(plane.ledger.records)
        weir.stop(keep=True)
    finally:
        subprocess.run(["umount", "-l", str(spool)], check=True)
