"""Spend from several places: what the control plane tells, and what this pod has spent and it does not know yet. Nothing
counts twice and nothing is missing, whatever is on its way; and a budget's period ends by itself."""

import contextlib
import os
import signal
import time

import pytest

from support import played as p
from support.mock_provider import json_reply
from support.weir import Weir
from test_policy import end_user, error, gateway, group_budget, key, limits, member, organization, post, project, sha, tag, team, user  # fmt: skip

DAY = 86400


@pytest.fixture(scope="module")
def plane():
    path = f"/tmp/weir-totals-{os.getpid()}"
    played = p.Plane(path)
    yield played
    played.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@pytest.fixture(scope="module")
def pod(mock_server, plane):
    w = gateway(Weir, mock_server, plane, workers=2)
    yield w
    w.stop()


@pytest.fixture
def w(pod, plane, mock):
    """Each request costs two cents."""
    mock.on("gpt-up", json_reply({"id": "c1", "object": "chat.completion", "model": "gpt-up", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}}))  # fmt: skip
    yield pod


def publish(w, plane, **entities):
    plane.put(**entities)
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")


def tell(w, plane, *totals, place=None):
    at = plane.tell(*totals, place=place)
    w.wait(lambda: any(r["totals"] >= at for r in plane.asked("changes")[-3:]), 5, "totals taken")


def spend(w, text, **kw):
    """What the reply says, its own cost taken off: to the tenth of a cent."""
    reply = post(w, text, **kw)
    assert reply.status == 200, reply.body
    return round(float(reply.header("x-litellm-key-spend")) - 0.02, 3)


def spool_end(w, plane, text, records):
    """Where the spool ends once so many records of that key were shipped."""
    mine = sha(text).hex().encode()
    w.wait(lambda: sum(p.first(r, 9) == mine for r in list(plane.ledger.records)) >= records, 10, "shipped")
    return max(plane.ledger.cursors.values())


def test_another_pods_spend_counts_within_two_seconds(w, plane):
    publish(w, plane, a=key("sk-other", lim=limits(budget=1.0), spend=0.5))
    assert post(w, "sk-other").status == 200
    plane.tell(p.total("key", sha("sk-other"), 1.0))
    began = time.monotonic()
    w.wait(lambda: post(w, "sk-other").status == 422, 2, "refused")
    assert time.monotonic() - began < 2
    tell(w, plane, p.total("key", sha("sk-other"), 0.1))
    assert post(w, "sk-other").status == 200
    publish(w, plane, a=None)


def test_what_is_on_its_way_counts_once(w, plane):
    publish(w, plane, a=key("sk-way"))
    assert spend(w, "sk-way") == 0
    assert spend(w, "sk-way") == 0.02
    place = spool_end(w, plane, "sk-way", 2)
    # the control plane has 5 dollars of others, and knows nothing of ours yet
    tell(w, plane, p.total("key", sha("sk-way"), 5), place=(0, 0))
    assert spend(w, "sk-way") == 5.04
    # it has the first two requests of ours, not the third
    tell(w, plane, p.total("key", sha("sk-way"), 5.04), place=place)
    assert spend(w, "sk-way") == 5.06
    # all four, and ten dollars more
    place = spool_end(w, plane, "sk-way", 4)
    tell(w, plane, p.total("key", sha("sk-way"), 15.08), place=place)
    assert spend(w, "sk-way") == 15.08
    # the same again, and an older place: nothing changes
    tell(w, plane, p.total("key", sha("sk-way"), 15.08), place=(1, 0))
    assert spend(w, "sk-way") == 15.1
    publish(w, plane, a=None)


def test_everybody_a_request_concerns(w, plane):
    publish(w, plane, k=key("sk-all", team="T", user="U", project="P"), t=team("T", org="O"), u=user("U"),
            m=member("T", "U", lim=limits(budget=100)), o=organization("O"), p=project("P", "T"),
            e=end_user("E", lim=limits(budget=100)), g=tag("G", lim=limits(budget=100)))  # fmt: skip
    body = {"user": "E", "metadata": {"tags": ["G"]}}
    assert spend(w, "sk-all", body=body) == 0
    place = spool_end(w, plane, "sk-all", 1)
    totals = [p.total("key", sha("sk-all"), 1), p.total("team", "T", 2), p.total("user", "U", 3),
              p.total("member", "T", 4, user="U"), p.total("organization", "O", 5), p.total("project", "P", 6),
              p.total("end_user", "E", 7), p.total("tag", "G", 8), p.total("tag", "unknown", 9)]  # fmt: skip
    tell(w, plane, *totals, place=place)
    # a budget of what each has is used up, one of a thousandth more is not: so the sums are exact
    where = {"k": lambda lim: key("sk-all", team="T", user="U", project="P", lim=lim), "t": lambda lim: team("T", org="O", lim=lim),
             "m": lambda lim: member("T", "U", lim=lim), "o": lambda lim: organization("O", lim=lim),
             "p": lambda lim: project("P", "T", lim=lim), "e": lambda lim: end_user("E", lim=lim),
             "g": lambda lim: tag("G", lim=lim)}  # fmt: skip
    for name, has in (("k", 1), ("t", 2), ("m", 4), ("o", 5), ("p", 6), ("e", 7), ("g", 8)):
        publish(w, plane, **{name: where[name](limits(budget=has))})
        assert error(post(w, "sk-all", body=body))[:2] == (422, "budget_exceeded"), name
        publish(w, plane, **{name: where[name](limits(budget=100))})
    for name, has in (("k", 1), ("t", 2), ("m", 4), ("o", 5), ("p", 6), ("e", 7), ("g", 8)):
        publish(w, plane, **{name: where[name](limits(budget=has + 0.001 + 0.02 * "ktmopeg".index(name)))})
        assert post(w, "sk-all", body=body).status == 200, name
        publish(w, plane, **{name: where[name](limits(budget=100))})
    publish(w, plane, **dict.fromkeys("ktumopeg"))


def test_a_group_of_models_with_a_budget(w, plane):
    """What was spent in it is in the record, so that its sum is known, and taken back once it is told."""
    publish(w, plane, a=key("sk-group", models=["beta"]), g=group_budget("beta", limits(budget=100)))
    assert post(w, "sk-group").status == 200
    place = spool_end(w, plane, "sk-group", 1)
    (record,) = [r for r in plane.ledger.records if p.first(r, 9) == sha("sk-group").hex().encode()]
    assert record[67] == [b"beta"]
    tell(w, plane, p.total("group_budget", "beta", 5), place=place)
    publish(w, plane, g=group_budget("beta", limits(budget=5)))
    assert error(post(w, "sk-group"))[:2] == (422, "budget_exceeded")
    publish(w, plane, g=group_budget("beta", limits(budget=5.001)))
    assert post(w, "sk-group").status == 200
    assert error(post(w, "sk-group"))[:2] == (422, "budget_exceeded")
    publish(w, plane, a=None, g=None)


def test_a_change_of_a_row_does_not_count_what_is_on_its_way_twice(w, plane):
    publish(w, plane, a=key("sk-row", spend=1))
    assert spend(w, "sk-row") == 1
    tell(w, plane, p.total("key", sha("sk-row"), 1), place=(0, 0))
    publish(w, plane, a=key("sk-row", alias="renamed", spend=1.02))  # its row has our request, its place is not told
    assert spend(w, "sk-row") == 1.02
    publish(w, plane, a=None)


def test_a_killed_link_takes_nothing_twice(w, plane):
    publish(w, plane, a=key("sk-link"))
    for i in range(5):
        assert spend(w, "sk-link") == round(0.02 * i, 3)
    place = spool_end(w, plane, "sk-link", 5)
    tell(w, plane, p.total("key", sha("sk-link"), 3), place=place)
    assert spend(w, "sk-link") == 3
    os.kill(w.link(), signal.SIGKILL)
    n = len(plane.asked("hello"))
    w.wait(lambda: len(plane.asked("hello")) > n, 20, "another link")
    tell(w, plane, p.total("key", sha("sk-link"), 3), place=place)
    assert spend(w, "sk-link") == 3.02
    place = spool_end(w, plane, "sk-link", 7)
    tell(w, plane, p.total("key", sha("sk-link"), 3.04), place=place)
    assert spend(w, "sk-link") == 3.04
    publish(w, plane, a=None)


@pytest.mark.slow
def test_links_killed_at_any_moment_lose_and_double_nothing(w, plane):
    """The control plane has what was shipped, told with its place again and again, while links die. A link killed
    between two words has one record count twice, which is as rare as that."""
    publish(w, plane, a=key("sk-kill"))
    mine = sha("sk-kill").hex().encode()
    sent, end = 0, time.monotonic() + 8

    def shipped():
        return [r for r in list(plane.ledger.records) if p.first(r, 9) == mine]

    def tell_now():
        with plane.ledger.lock:
            place = max(plane.ledger.cursors.values())
            records = sum(p.first(r, 9) == mine for r in plane.ledger.records)
        plane.tell(p.total("key", sha("sk-kill"), records * 0.02), place=place)

    kill_at = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert post(w, "sk-kill").status == 200
        sent += 1
        if sent % 7 == 0:
            tell_now()
        if time.monotonic() > kill_at and (link := w.link()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(link, signal.SIGKILL)
            kill_at += 1.1
    w.wait(lambda: len(shipped()) == sent, 30, "all shipped")
    tell_now()
    at = plane.told[-1][0]
    w.wait(lambda: any(r["totals"] >= at for r in plane.asked("changes")[-3:]), 20, "totals taken")
    assert spend(w, "sk-kill") == round(sent * 0.02, 3)
    publish(w, plane, a=None)


def test_an_older_control_plane_tells_no_totals(mock_server, w, start):
    """The spend of a row is all there is: what was added is in it as far as it can be."""
    path = f"/tmp/weir-totals-old-{os.getpid()}"
    with p.Plane(path) as old:
        old.answer = lambda r: p.welcome(b"0123456789abcdef", totals=False) if r["kind"] == "hello" else None
        pod = gateway(start, mock_server, old)
        publish(pod, old, a=key("sk-old", spend=1))
        assert spend(pod, "sk-old") == 1
        publish(pod, old, a=key("sk-old", alias="b", spend=1.5))
        assert spend(pod, "sk-old") == 1.5
        publish(pod, old, a=key("sk-old", spend=0))
        assert spend(pod, "sk-old") == 0


# --- periods


def period(budget, ends, duration="1d"):
    return {**limits(budget=budget), 6: duration, 7: int(ends * 1e6)}


def test_a_reset_lets_it_through(w, plane):
    ends = time.time() + DAY
    publish(w, plane, a=key("sk-reset", lim=period(1, ends), spend=2))
    assert post(w, "sk-reset").status == 422
    # the job ran: the row moves on, and its sum is told
    publish(w, plane, a=key("sk-reset", lim=period(1, ends + DAY), spend=0))
    tell(w, plane, p.total("key", sha("sk-reset"), 0, reset=ends + DAY))
    assert spend(w, "sk-reset") == 0
    publish(w, plane, a=None)


@pytest.mark.parametrize("ago", [1, 3600, DAY + 1, 400 * DAY])
def test_a_period_that_is_over_counts_nothing_even_if_no_job_ran(w, plane, ago):
    text = f"sk-over-{ago}"
    publish(w, plane, a=key(text, lim=period(1, time.time() - ago), spend=2))
    assert spend(w, text) == 0
    tell(w, plane, p.total("key", sha(text), 2, reset=time.time() - ago), place=(0, 0))
    assert spend(w, text) == 0.02
    publish(w, plane, a=None)


def test_a_period_ends_while_it_is_spent(w, plane):
    ends = int(time.time()) + 3
    publish(w, plane, a=key("sk-ends", lim=period(1, ends, "1h"), spend=0.99))
    assert post(w, "sk-ends").status == 200
    assert post(w, "sk-ends").status == 422
    w.wait(lambda: time.time() >= ends, 5, "the end of the period")
    assert spend(w, "sk-ends") == 0  # the old one's two cents are not of this
    tell(w, plane, p.total("key", sha("sk-ends"), 1.01, reset=ends), place=(0, 0))
    assert spend(w, "sk-ends") == 0.02
    tell(w, plane, p.total("key", sha("sk-ends"), 0, reset=ends + 3600), place=(0, 0))
    assert spend(w, "sk-ends") == 0.04
    publish(w, plane, a=None)


def test_another_duration_keeps_what_was_spent(w, plane):
    now = time.time()
    publish(w, plane, a=key("sk-longer", lim=period(1, now + DAY), spend=0.5))
    assert spend(w, "sk-longer") == 0.5
    publish(w, plane, a=key("sk-longer", lim=period(1, now + 30 * DAY, "30d"), spend=0.5))
    assert spend(w, "sk-longer") >= 0.5
    publish(w, plane, a=None)


def test_a_temporary_increase_holds_until_its_time(w, plane):
    until = time.time() + 2
    publish(w, plane, a=key("sk-extra", lim=limits(budget=1, extra=(1, until)), spend=1.5))
    assert spend(w, "sk-extra") == 1.5
    w.wait(lambda: time.time() > until, 5, "the end of the increase")
    assert post(w, "sk-extra").status == 422
    publish(w, plane, a=None)
