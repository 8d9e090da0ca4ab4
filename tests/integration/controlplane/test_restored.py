"""A database restored from an older backup in which nothing says so: no other server, database or timeline. Whatever was
made since, no data plane keeps a thing that is lost (PG-9; threats P-09)."""

import shutil
import subprocess
import threading
import time

import pytest
from support.controlplane import STORE
from support.plane import Plane
from support.postgres import Postgres


@pytest.fixture(scope="module")
def own():
    """A server that may be taken back in time."""
    with Postgres() as pg:
        yield pg


def backup(pg, copy):
    pg.stop("fast")
    subprocess.run(["cp", "-a", pg.data, copy], check=True)
    pg.start()


def restore(pg, copy):
    pg.stop("fast")
    shutil.rmtree(pg.data)
    subprocess.run(["cp", "-a", copy, pg.data], check=True)
    pg.start()


def make(cp, alias):
    def made():
        reply = cp.post("/key/generate", {"key_alias": alias})
        return reply.status == 200 and reply.json["token"]

    return cp.wait(made, 30, what=f"key {alias}")


def connected(cp, before=None):
    p = Plane(cp.plane)
    if before:
        p.have, p.entities = before.have, before.entities
    p.hello()
    return p


@pytest.mark.parametrize("restarted", [False, True], ids=["the control plane lives", "it was restarted"])
@pytest.mark.parametrize("made_since", [0, 9], ids=["nothing was made since", "more was made since than is lost"])
def test_what_is_lost_is_lost_everywhere(own, start, tmp_path, restarted, made_since):
    copy = tmp_path / "copy"
    url = own.database()
    cp = start(url)
    plane = connected(cp)
    kept = make(cp, "kept")
    backup(own, copy)
    lost = [make(cp, f"lost-{i}") for i in range(3)]
    plane.sync()
    assert {kept, *lost} <= set(plane.entities["key"])
    plane.close()
    if restarted:
        cp.stop()
    restore(own, copy)
    if restarted:
        cp = start(url)
    new = [make(cp, f"new-{i}") for i in range(made_since)]
    was = dict(plane.have)
    again = connected(cp, plane)
    cp.wait(lambda: again.sync() is not None and not set(lost) & set(again.entities["key"]), what="what is lost is forgotten")
    assert {kept, *new} <= set(again.entities["key"]) and again.have != was
    after = make(cp, "after")
    again.sync()
    assert after in again.entities["key"]
    again.close()


def test_a_restart_alone_costs_no_resync(own, start):
    """What the gap between revisions must not cost: everything anew at each start of a control plane."""
    url = own.database()
    cp = start(url)
    plane = connected(cp)
    plane.sync()
    make(cp, "one")
    plane.sync()
    plane.close()
    for i in range(3):
        cp.stop()
        cp = start(url)
        again = connected(cp, plane)
        assert again.changes(wait=False) == [] and not again.full
        made = make(cp, f"next-{i}")
        again.sync()
        assert not again.full and made in again.entities["key"]
        plane = again
        again.close()


def ask(weir, key):
    return weir.post("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}, key=key).status


def test_model_traffic_over_a_restore(own, start, data, tmp_path):
    """A key that the backup has is served throughout; one that is lost is 401 once that is known."""
    copy = tmp_path / "copy"
    cp = start(own.database(), STORE)
    model = {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "mock_response": "hello"}, "model_info": {}}
    assert cp.post("/model/new", model).status == 200
    kept = cp.post("/key/generate", {}).json["key"]
    backup(own, copy)
    make(cp, "ready again")
    lost = cp.post("/key/generate", {}).json["key"]
    weir = data(cp.plane)
    weir.wait(lambda: ask(weir, lost) == 200, 20, "the key")
    answers, stop = [], threading.Event()

    def traffic():
        while not stop.is_set():
            answers.append(ask(weir, kept))
            time.sleep(0.01)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        restore(own, copy)
        weir.wait(lambda: ask(weir, lost) == 401, 30, "what is lost is refused")
        new = cp.wait(lambda: (r := cp.post("/key/generate", {})).status == 200 and r.json["key"], 30, "a new key")
        weir.wait(lambda: ask(weir, new) == 200, 20, "the new key")
    finally:
        stop.set()
        thread.join()
    assert len(answers) > 20 and set(answers) == {200}
