"""The data plane's end of the session with a control plane, which the test plays (support/played.py): what is published is
served, and whatever a control plane does or sends costs no more than the session with it (threats F-CP, F-CH, F-SN)."""

import base64
import json
import os
import signal
import ssl
import time

import pytest

from support import played as p
from support.weir import MASTER_KEY, Weir, run

SALT = "sk-salt-9Qm2Lr7T"
AGAIN = 20  # seconds: longer than two pauses between attempts of the link (5 s) and what they wait for
LOST = "control_plane_lost"


def says(text):
    return {"model": "openai/gpt-4o", "mock_response": text}


def config(*addresses, model_list=(), general=None, weir=None):
    return {"model_list": list(model_list), "general_settings": {"store_model_in_db": True, **(general or {})},
            "weir": {"control_plane": list(addresses), **(weir or {})}}  # fmt: skip


def ask(weir, model):
    reply = weir.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "x"}]})
    if reply.status != 200:
        return reply.status
    return json.loads(reply.body)["choices"][0]["message"]["content"]


def served(weir, model, answer, timeout=10.0):
    """The time it took."""
    begin = time.monotonic()
    weir.wait(lambda: ask(weir, model) == answer, timeout, f"{model} answers {answer!r}")
    return time.monotonic() - begin


def in_sync(weir, plane, timeout=15.0):
    weir.wait(lambda: plane.acknowledged() == plane.now, timeout, f"{plane.now} acknowledged")


# --- what is published is served


def test_a_model_of_the_database_is_served_changed_and_gone(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address, model_list=[{"model_name": "own", "litellm_params": says("file")}]))
    assert ask(weir, "first") == "one"  # ready only once it is known
    assert ask(weir, "own") == "file"
    in_sync(weir, plane)
    time.sleep(0.3)  # generations come at most so often
    plane.put(b=p.model("m2", "second", says("two")))
    assert served(weir, "second", "two") < 0.2
    plane.put(a=p.model("m1", "first", says("uno")))
    served(weir, "first", "uno")
    plane.put(b=None)
    weir.wait(lambda: ask(weir, "second") in (400, 404), 5, "the model is gone")
    assert ask(weir, "own") == "file"
    in_sync(weir, plane)


def test_credentials_and_settings_of_the_database_join(start, plane, mock):
    plane.put(
        m=p.model("m1", "gpt", {"model": "openai/gpt-4o", "litellm_credential_name": "c"}),
        c=p.credential("c", {"api_key": "sk-of-the-row", "api_base": mock.url}),
        s=p.setting("router_settings", {"model_group_alias": {"alias": "gpt"}}),
    )
    weir = start(config(plane.address))
    ask(weir, "alias")
    assert mock.wait_requests(1)[-1].headers["authorization"] == "Bearer sk-of-the-row"


def test_a_bad_row_is_left_out_and_told(start, plane):
    plane.put(
        good=p.model("m1", "good", says("one")),
        unread={10: {1: "m2", 2: "bad", 3: "{", 6: True}},
        unknown=p.model("m3", "bad", {"model": "nobody/knows"}),
        taken=p.model("m4", "bad", {"model": "openai/gpt-4o", "api_key": "os.environ/HOME"}),
    )
    weir = start(config(plane.address))
    assert ask(weir, "good") == "one"
    assert ask(weir, "bad") in (400, 404)
    weir.wait(lambda: any("m2" in s["error"] for s in plane.asked("status")), 10, "a status with the error")
    assert "database model m4: api_key: os.environ/" in weir.log()
    plane.put(unread=None, unknown=None, taken=None)
    weir.wait(lambda: plane.asked("status")[-1]["error"] == "", 20, "a status without one")


def test_what_a_team_may_not_name_stays_secret(start, plane, mock):
    params = {"model": "openai/gpt-4o", "api_base": mock.url}
    plane.put(m=p.model("m1", "team", params, admin=False), n=p.model("m2", "admin", params))
    weir = start(config(plane.address), env={"OPENAI_API_KEY": "sk-of-the-operator"})
    ask(weir, "team")
    ask(weir, "admin")
    assert not [r for r in mock.requests if "sk-of-the-operator" in str(r.header_list)]


# --- the session


def test_hello_status_and_acknowledgement(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address), workers=2)
    in_sync(weir, plane)
    hello = plane.asked("hello")[0]
    assert (hello["protocol"], hello["oldest"], hello["have"]) == (1, 1, (0, 0))
    assert len(hello["pod"]) == 16 and len(hello["config_hash"]) == 64 and hello["host"] and hello["token"] == ""
    assert (weir.state / "pod").read_bytes() == hello["pod"]
    assert (weir.state / "pod").stat().st_mode & 0o777 == 0o600
    weir.wait(lambda: plane.asked("status")[-1]["entities"] == 1, 10, "a status with the entity")
    status = plane.asked("status")[-1]
    assert status["workers"] == 2 and status["resident_bytes"] > 1 << 20 and not status["draining"]
    assert all(r["wait"] for r in plane.asked("changes") if not r["cursor"])
    metrics = weir.metrics()
    assert metrics["weir_control_plane_up"] == 1
    assert metrics["weir_revision"] == plane.n
    assert metrics["weir_entities"] == 1
    assert metrics["weir_resyncs_total"] == 1


def test_everything_comes_in_pages(start, plane):
    plane.page = 7
    plane.put(**{f"m{i}": p.model(f"m{i}", f"model-{i}", says(str(i))) for i in range(40)})
    weir = start(config(plane.address))
    assert [ask(weir, f"model-{i}") for i in range(40)] == [str(i) for i in range(40)]
    assert len([r for r in plane.asked("changes") if r["cursor"]]) == 5


def test_an_interrupted_full_sync_begins_again(start, plane):
    plane.page = 5
    plane.put(**{f"m{i}": p.model(f"m{i}", f"model-{i}", says(str(i))) for i in range(20)})
    failed = []

    def answer(r):
        if r["kind"] == "changes" and r["cursor"] == b"10" and len(failed) < 2:
            failed.append(r)
            return p.refusal(p.EXPIRED) if len(failed) == 1 else p.changes(r["have"])  # the place is gone
        return None

    plane.answer = answer
    weir = start(config(plane.address))
    assert [ask(weir, f"model-{i}") for i in range(20)] == [str(i) for i in range(20)]
    assert len(failed) == 2


def test_another_epoch_means_everything_again(start, plane):
    plane.put(a=p.model("m1", "first", says("one")), b=p.model("m2", "second", says("two")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    del plane.entities["b"]
    plane.restart_epoch(9)
    in_sync(weir, plane)
    served(weir, "first", "one")
    weir.wait(lambda: ask(weir, "second") in (400, 404), 5, "what the backup lacks is gone")


def test_an_expired_session_begins_again_at_once(start, plane):
    weir = start(config(plane.address))
    in_sync(weir, plane)
    expired = []

    def answer(r):
        if r["kind"] == "changes" and not expired:
            expired.append(r)
            return p.refusal(p.EXPIRED)
        return None

    plane.answer = answer
    weir.wait(lambda: len(plane.asked("hello")) == 2, 5, "another Hello")
    plane.put(a=p.model("m1", "first", says("one")))
    served(weir, "first", "one")
    assert plane.asked("hello")[1]["have"][0] == plane.epoch
    assert LOST not in weir.log()


@pytest.mark.parametrize("why", [p.FORBIDDEN, p.NO_PROTOCOL, p.MALFORMED, p.AWAY, p.UNKNOWN_REQUEST])
def test_a_refusal_is_asked_again_later(start, plane, why):
    plane.put(a=p.model("m1", "first", says("one")))
    plane.answer = lambda r: p.refusal(why, "a reason\nof the other end") if r["kind"] == "hello" else None
    weir = start(config(plane.address, model_list=[{"model_name": "own", "litellm_params": says("file")}]))
    assert ask(weir, "own") == "file"  # starts without
    weir.wait(lambda: len(plane.asked("hello")) >= 3, 10, "asked again")
    assert "a reason?of the other end" in weir.log()
    plane.answer = None
    served(weir, "first", "one", 15)
    assert weir.log().count(LOST) <= 2  # said once


def test_no_database_is_not_the_end_of_the_session(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    plane.answer = lambda r: p.refusal(p.AWAY) if r["kind"] == "changes" else None
    weir.wait(lambda: "control_plane_away" in weir.log(), 5, "told")
    assert ask(weir, "first") == "one"
    plane.answer = None
    plane.put(a=p.model("m1", "first", says("two")))
    served(weir, "first", "two")


def test_protocols_that_differ(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    plane.answer = lambda r: p.welcome(b"s" * 16, protocol=2) if r["kind"] == "hello" else None
    weir = start(config(plane.address))
    weir.wait(lambda: "speaks a protocol" in weir.log(), 10, "refused")
    assert ask(weir, "first") in (400, 404)
    # one that knows more: what is unknown is skipped
    newer = p.message({1: {1: 1, 2: "next", 3: b"s" * 16, 5: 400, 99: "unknown"}, 98: b"unknown"})
    plane.answer = lambda r: newer if r["kind"] == "hello" else None
    served(weir, "first", "one", 15)
    # one that knows less: no Status
    before = len(plane.asked("status"))
    plane.answer = lambda r: p.refusal(p.UNKNOWN_REQUEST) if r["kind"] == "status" else None
    weir.wait(lambda: len(plane.asked("status")) > before, 15, "a status")
    time.sleep(4.5)
    assert len(plane.asked("status")) == before + 1
    plane.put(a=p.model("m1", "first", says("two")))
    served(weir, "first", "two")


# --- a control plane that is gone, frozen, or talks nonsense


def test_a_control_plane_that_died_and_came_back(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    plane.close()
    weir.wait(lambda: LOST in weir.log(), 5, "noticed")
    assert ask(weir, "first") == "one"
    assert weir.metrics()["weir_control_plane_up"] == 0
    again = p.Plane(plane.path, entities=plane.entities)
    again.n, again.log = plane.n, plane.log
    try:
        again.put(b=p.model("m2", "second", says("two")))
        served(weir, "second", "two", 10)
        assert again.asked("hello")[0]["have"] == plane.now and again.asked("hello")[0]["pod"]
        assert again.asked("hello")[0]["pod"] == plane.asked("hello")[0]["pod"]
        assert weir.metrics()["weir_resyncs_total"] == 1  # only what changed
    finally:
        again.close()


def test_a_control_plane_that_stayed_away_is_found_soon(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    plane.close()
    weir.wait(lambda: weir.metrics()["weir_control_plane_failures_total"] >= 9, 15, "asked again and again")
    again = p.Plane(plane.path, entities=plane.entities)
    again.n, again.log = plane.n, plane.log
    try:
        weir.wait(lambda: again.asked("hello"), 2.5, "found within a pause of a second")
        assert weir.log().count(LOST) == 1  # said once a minute
    finally:
        again.close()


def test_a_frozen_control_plane_is_left_for_another(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    other = p.Plane(at("b"), entities=plane.entities)
    other.n, other.log = plane.n, plane.log
    try:
        weir = start(config(plane.address, other.address))
        in_sync(weir, plane)
        plane.answer = lambda r: p.SILENCE
        weir.wait(lambda: other.asked("changes"), 8, "the other one is asked")
        other.put(b=p.model("m2", "second", says("two")))
        served(weir, "second", "two")
        assert ask(weir, "first") == "one"
    finally:
        other.close()


def test_of_two_control_planes_one_dies(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    other = p.Plane(at("b"), entities=plane.entities)
    other.n, other.log = plane.n, plane.log
    try:
        weir = start(config(plane.address, other.address))
        in_sync(weir, plane)
        assert not other.seen
        plane.close()
        other.put(b=p.model("m2", "second", says("two")))
        served(weir, "second", "two", 30)
        assert other.asked("hello")[0]["have"] == plane.now  # from where it was
    finally:
        other.close()


NONSENSE = {
    "no message": b"\xff\xff\xff\xff",
    "empty": b"",
    "a reply without a kind": p.message({9: b"x"}),
    "status taken": p.STATUS_TAKEN,
    "a welcome": p.welcome(b"x" * 16),
    "changes without a revision": p.message({2: {2: True}}),
    "changes of another epoch": p.changes((99, 5)),
    "changes of an older revision": p.changes((7, 1)),
    "a cursor without end": p.changes((7, 1000), cursor=b"c"),
    "a cursor too long": p.changes((7, 1000), cursor=b"c" * 70000),
    "a length beyond the message": b"\x12\xff\xff\x03\x00",
    "a huge message": p.message({2: {1: {1: 7, 2: 9}, 77: b"x" * (17 << 20)}}),
    "entities that unpack to much": p.message({2: {1: {1: 7, 2: 9}, 3: [b""] * 2_000_000}}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_costs_the_session_alone(start, plane, name):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    link = weir.link()
    bad = []

    def answer(r):
        if r["kind"] == "changes" and len(bad) < 2:
            bad.append(r)
            return NONSENSE[name]
        return None

    plane.answer = answer
    weir.wait(lambda: len(bad) == 2, AGAIN, "asked again after nonsense")
    weir.wait(lambda: LOST in weir.log(), 10, "lost")
    assert ask(weir, "first") == "one"
    plane.put(a=p.model("m1", "first", says("two")))
    served(weir, "first", "two", AGAIN)
    assert weir.link() == link


def test_an_entity_that_makes_no_sense_leaves_the_others(start, plane):
    plane.put(a=p.model("m1", "first", says("one")), b={1: {1: b"short", 2: "sk-...x"}}, c={99: b"of a newer one"})
    weir = start(config(plane.address))
    assert ask(weir, "first") == "one"
    in_sync(weir, plane)
    assert "entity_left_out" in weir.log()
    weir.wait(lambda: plane.asked("status")[-1]["error"] != "", 10, "told")


def test_bytes_cut_at_every_place(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    proxy = p.Fault(at("proxy"), plane.path)
    try:
        weir = start(config(proxy.address))
        in_sync(weir, plane)
        for cut_at in (*range(0, 36, 3), *range(36, 160, 16)):
            proxy.cut_at, hits = cut_at, proxy.hits
            plane.cut()
            weir.wait(lambda hits=hits: proxy.hits > hits, 10, f"cut after {cut_at} bytes")
            proxy.cut_at = None
            plane.put(a=p.model("m1", "first", says(str(cut_at))))
            served(weir, "first", str(cut_at), AGAIN)
        assert weir.metrics()["weir_resyncs_total"] == 1
    finally:
        proxy.close()


def test_bytes_twice_at_every_place(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    proxy = p.Fault(at("proxy"), plane.path)
    try:
        weir = start(config(proxy.address))
        in_sync(weir, plane)
        for twice_at in (*range(0, 24, 2), *range(24, 160, 16)):
            proxy.twice_at, hits = twice_at, proxy.hits
            plane.cut()
            weir.wait(lambda hits=hits: proxy.hits > hits, 10, f"byte {twice_at} twice")
            proxy.twice_at = None
            plane.cut()
            plane.put(a=p.model("m1", "first", says(str(twice_at))))
            served(weir, "first", str(twice_at), AGAIN)
    finally:
        proxy.close()


def test_slow_bytes(start, plane, at):
    plane.put(a=p.model("m1", "first", says("one")))
    proxy = p.Fault(at("proxy"), plane.path)
    proxy.delay = 0.3
    try:
        weir = start(config(proxy.address))
        in_sync(weir, plane)
        plane.put(a=p.model("m1", "first", says("two")))
        served(weir, "first", "two", 10)
        assert LOST not in weir.log()
    finally:
        proxy.close()


# --- no control plane: the last good state


def last_good(weir):
    return weir.state / "identities"


def lives_on(weir, cfg, *, env=None, edit=None):
    """Another data plane over the state of one that ended."""
    state = weir.dir.parent / (weir.dir.name + "-kept")
    weir.stop(keep=True)
    (weir.dir / "state").rename(state)
    if edit:
        edit(state)
    return Weir(cfg, env={"WEIR_STATE_DIR": str(state), **(env or {})}), state


def test_a_start_without_a_control_plane(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    cfg = config(plane.address)
    weir = start(cfg, env={"LITELLM_SALT_KEY": SALT})
    in_sync(weir, plane)
    weir.wait(lambda: last_good(weir).exists(), 5, "saved after the full sync")
    assert last_good(weir).stat().st_mode & 0o777 == 0o600
    assert b"gpt-4o" not in last_good(weir).read_bytes()
    plane.put(b=p.model("m2", "second", says("two")))
    in_sync(weir, plane)
    plane.close()
    again, state = lives_on(weir, cfg, env={"LITELLM_SALT_KEY": SALT})
    try:
        assert ask(again, "first") == "one"
        assert ask(again, "second") == "two"  # saved at the end
        assert "last_good_loaded" in again.log()
        back = p.Plane(plane.path, entities=plane.entities)
        back.n, back.log = plane.n, plane.log
        try:
            again.wait(lambda: back.asked("hello"), 10, "hello")
            assert back.asked("hello")[0]["have"] == plane.now
            back.put(a=p.model("m1", "first", says("uno")))
            served(again, "first", "uno")
            assert again.metrics()["weir_resyncs_total"] == 0
        finally:
            back.close()
    finally:
        again.stop()
        for f in state.rglob("*"):
            if f.is_file():
                f.unlink()


@pytest.mark.parametrize("fault", ["another key", "damaged", "cut", "another version"])
def test_a_last_good_state_that_is_not_ours_is_ignored(start, plane, fault):
    plane.put(a=p.model("m1", "first", says("one")))
    cfg = config(plane.address, model_list=[{"model_name": "own", "litellm_params": says("file")}])
    weir = start(cfg, env={"LITELLM_SALT_KEY": SALT})
    in_sync(weir, plane)
    plane.close()

    def edit(state):
        path = state / "identities"
        data = bytearray(path.read_bytes())
        if fault == "damaged":
            data[len(data) // 2] ^= 1
        elif fault == "cut":
            del data[-10:]
        elif fault == "another version":
            data[8] ^= 0x55
        path.write_bytes(data)

    key = "sk-another-4Hq" if fault == "another key" else SALT
    again, state = lives_on(weir, cfg, env={"LITELLM_SALT_KEY": key}, edit=edit)
    try:
        assert ask(again, "own") == "file"
        assert ask(again, "first") in (400, 404)
        assert again.log().count("last_good_unusable") == 1
        back = p.Plane(plane.path, entities=plane.entities)
        try:
            served(again, "first", "one", 15)
        finally:
            back.close()
    finally:
        again.stop()
        for f in state.rglob("*"):
            if f.is_file():
                f.unlink()


def test_a_link_that_died_goes_on_from_what_is_served(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    plane.put(b=p.model("m2", "second", says("two")))
    served(weir, "second", "two")
    in_sync(weir, plane)
    plane.answer = lambda r: p.SILENCE  # nobody tells the next one anything
    os.kill(weir.link(), signal.SIGKILL)
    weir.wait(lambda: weir.metrics()["weir_link_deaths_total"] == 1, 5, "the death is seen")
    weir.wait(lambda: len(plane.asked("hello")) >= 2, 10, "another link asks")
    assert ask(weir, "second") == "two"
    plane.answer = None
    plane.put(c=p.model("m3", "third", says("three")))
    served(weir, "third", "three", 20)
    assert ask(weir, "second") == "two"


def test_a_reload_keeps_what_the_database_has(start, plane):
    plane.put(a=p.model("m1", "first", says("one")))
    weir = start(config(plane.address))
    in_sync(weir, plane)
    before = plane.asked("hello")[0]["config_hash"]
    weir.write_config(config(plane.address, model_list=[{"model_name": "own", "litellm_params": says("file")}]))
    os.kill(weir.pid, signal.SIGHUP)
    served(weir, "own", "file")
    assert ask(weir, "first") == "one"
    weir.wait(lambda: plane.asked("hello")[-1]["config_hash"] != before, 10, "another hash is told")


# --- across machines


@pytest.fixture
def secure(certs):
    """(context of the plane, join of a data plane)."""

    def make(server="plane", client="pod", authority=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certs.chain(server))
        context.load_verify_locations(certs.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        cert, key = certs.chain(client)
        join = {"ca": (authority or certs.ca).read_text(), "cert": cert.read_text(), "key": key.read_text(),
                "token": "wt-join-token-1"}  # fmt: skip
        return context, join

    return make


def join_text(join, *addresses):
    return base64.urlsafe_b64encode(json.dumps({"addresses": addresses, **join}).encode()).decode().rstrip("=")


def test_joined_over_tls(start, secure):
    context, join = secure()
    plane = p.Plane(tls=context)
    try:
        plane.put(a=p.model("m1", "first", says("one")))
        cfg = {"model_list": [], "general_settings": {"store_model_in_db": True}}
        weir = start(cfg, env={"WEIR_JOIN": join_text(join, plane.address)})
        assert ask(weir, "first") == "one"
        assert plane.asked("hello")[0]["token"] == "wt-join-token-1"
        assert "wt-join-token-1" not in weir.log()
    finally:
        plane.close()


@pytest.mark.parametrize("server, client", [("good", "pod"), ("stranger", "pod"), ("expired", "pod"), ("plane", "stranger")])
def test_certificates_that_do_not_fit(start, secure, server, client):
    context, join = secure(server, client)
    plane = p.Plane(tls=context)
    try:
        cfg = {"model_list": [{"model_name": "own", "litellm_params": says("file")}]}
        weir = start(cfg, env={"WEIR_JOIN": join_text(join, plane.address)})
        assert ask(weir, "own") == "file"
        weir.wait(lambda: LOST in weir.log(), 10, "told")
        assert not plane.seen
    finally:
        plane.close()


# --- configuration


def check(tmp_path, text, **env):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    code, out, _ = run("weir-link", "--check", path, env={"LITELLM_MASTER_KEY": MASTER_KEY, **env})
    return code, out


def test_check_says_which_control_plane(tmp_path):
    code, out = check(tmp_path, "weir: {control_plane: 'ipc:///run/weir/plane.sock'}\n")
    assert code == 0 and "control plane: ipc:///run/weir/plane.sock\n" in out
    code, out = check(tmp_path, "{}\n", WEIR_CONTROL_PLANE="ipc:///a, ipc:///b")
    assert code == 0 and "control plane: ipc:///a\ncontrol plane: ipc:///b\n" in out
    code, out = check(tmp_path, "{}\n")
    assert code == 0 and "control plane" not in out


@pytest.mark.parametrize(
    "text, env, told",
    [
        ("weir: {control_plane: 'http://x'}\n", {}, "control_plane: an address of a control plane begins with"),
        ("weir: {control_plane: 'tls+tcp://h:1'}\n", {}, "control_plane: tls+tcp needs the certificates of WEIR_JOIN"),
        ("weir: {control_plane: 'ipc:///" + "x" * 120 + "'}\n", {}, "control_plane: the path of a socket has at most"),
        ("{}\n", {"WEIR_JOIN": "%%%"}, "WEIR_JOIN: it is not what weirctl join new printed"),
    ],
)
def test_check_refuses_what_cannot_be_asked(tmp_path, text, env, told):
    code, out = check(tmp_path, text, **env)
    assert code == 1 and told in out


def test_without_a_control_plane_there_is_no_session(start):
    weir = start({"model_list": [{"model_name": "own", "litellm_params": says("file")}]})
    threads = os.listdir(f"/proc/{weir.link()}/task")
    names = {open(f"/proc/{weir.link()}/task/{t}/comm").read().strip() for t in threads}
    assert "weir-session" not in names and not any(n.startswith("nng") for n in names)
    assert not (weir.state / "pod").exists() and not last_good(weir).exists()
