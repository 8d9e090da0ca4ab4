"""A database restored from an older backup in which nothing says so: no other server, database or timeline. Whatever was
made since, no data plane keeps a thing that is lost (PG-9; threats P-09)."""

import shutil
import subprocess

import pytest
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
