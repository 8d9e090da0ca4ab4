"""Both planes, on a real database: what an administrator changes is served at once, and nothing that happens to a control
plane is felt by model traffic (threats F-CP, F-CH)."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

import pytest
from support.controlplane import STORE, ControlPlane
from support.played import Fault
from support.mock_provider import Mock, free_port
from support.trouble import TROUBLE, lowly


@pytest.fixture
def short():
    """A directory with a name short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="weir-pl-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def add(cp, name, text, **params):
    reply = cp.post("/model/new", {"model_name": name, "litellm_params": {"model": "openai/gpt-4o", "mock_response": text,
                                                                           **params}, "model_info": {}})  # fmt: skip
    assert reply.status == 200, reply.body
    return reply


def ask(weir, model, key=...):
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    reply = weir.post("/v1/chat/completions", body, key=key)
    return json.loads(reply.body)["choices"][0]["message"]["content"] if reply.status == 200 else reply.status


def served(weir, model, text, timeout=10.0):
    weir.wait(lambda: ask(weir, model) == text, timeout, f"{model} answers {text!r}")


def joined(cp, n=1):
    cp.wait(lambda: [x for x in cp.get("/weir/nodes").json["nodes"] if x["revision"] and not x["lag"]][n - 1 :],
            what=f"{n} data planes in step")  # fmt: skip


@contextlib.contextmanager
def asking(weir, model):
    """Somebody asks all the time; every answer is right."""
    wrong, stop, n = [], threading.Event(), 0

    def run():
        nonlocal n
        while not stop.is_set():
            got = ask(weir, model)
            n += 1
            if not isinstance(got, str):
                wrong.append(got)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()
    assert n > 0 and not wrong, wrong


def test_a_model_is_served_once_its_creator_is_answered(start, database, data):
    cp = start(database, STORE)
    weir = data(cp.plane)
    joined(cp)
    times = []
    for i in range(10):
        begin = time.monotonic()
        reply = add(cp, f"model-{i}", f"text {i}")
        times.append(time.monotonic() - begin)
        assert reply.header("x-weir-applied") == "1/1"
        assert ask(weir, f"model-{i}") == f"text {i}"
        time.sleep(0.26)  # generations come at most so often
    print("seconds:", sorted(times))


def test_what_only_few_keys_have_is_enforced_once_its_creator_is_answered(start, database, data):
    cp = start(database, STORE)
    weir = data(cp.plane, litellm={"max_end_user_budget_id": "usual"})
    joined(cp)
    add(cp, "m", "text", input_cost_per_token=1, output_cost_per_token=1)

    def new(path, **body):
        reply = cp.post(path, body)
        assert reply.status == 200, reply.body
        assert reply.header("x-weir-applied") == "1/1"
        return reply.json

    def why(key, **more):
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **more}
        reply = weir.post("/v1/chat/completions", body, key=key)
        return reply.status, json.loads(reply.body)["error"]["message"] if reply.status != 200 else ""

    weir.wait(lambda: ask(weir, "m") == "text", 10, "served")
    window = [{"budget_duration": "1d", "max_budget": 0}]
    key = new("/key/generate", budget_limits=window)["key"]
    assert why(key) == (422, "ExceededBudget: Key over 1d budget. Spend=$0.0000, Limit=$0.00")
    new("/key/update", key=key, budget_limits=[{"budget_duration": "1d", "max_budget": 100}])
    assert why(key)[0] == 200
    team = new("/team/new", team_id="t1", budget_limits=window)["team_id"]
    key = new("/key/generate", team_id=team)["key"]
    assert why(key) == (422, "ExceededBudget: Team=t1 over 1d budget. Spend=$0.0000, Limit=$0.00")
    new("/team/update", team_id=team, budget_limits=[], metadata={"require_trace_id": True})
    assert why(key)[0] == 400
    assert why(key, metadata={"trace_id": "x"})[0] == 200
    new("/user/new", user_id="u1", model_max_budget={"m": {"budget_limit": 0, "time_period": "1d"}}, auto_create_key=False)
    key = new("/key/generate", user_id="u1")["key"]
    assert why(key) == (422, "LiteLLM User: u1, exceeded budget for model=m")
    new("/user/update", user_id="u1", metadata={"scim_active": False})
    assert why(key)[1].startswith("Authentication Error, User=u1 has been deactivated via SCIM.")
    new("/budget/new", budget_id="usual", max_budget=0)
    key = new("/key/generate")["key"]
    assert why(key, user="ann")[1].startswith("ExceededBudget: End User=ann over budget.")
    assert why(key)[0] == 200
    new("/budget/new", budget_id="more", max_budget=100)
    assert why(new("/key/generate", metadata={"end_user_budget_id": "more"})["key"], user="ann")[0] == 200
    key = new("/key/generate", metadata={"allowed_tools": ["look"]})["key"]
    tool = {"type": "function", "function": {"name": "rm", "parameters": {}}}
    assert why(key, tools=[tool]) == (403, "Tool(s) ['rm'] are not in the allowed tools list for this key/team.")
    refused = cp.post("/key/generate", {"budget_limits": 9 * [{"budget_duration": "1d", "max_budget": 1}]})
    assert refused.status == 400, refused.body


def test_a_key_is_accepted_once_its_creator_is_answered(start, database, data):
    cp = start(database, STORE)
    weirs = [data(cp.plane, workers=2), data(cp.plane, workers=2)]
    joined(cp, 2)
    add(cp, "gpt", "hello")
    for weir in weirs:
        served(weir, "gpt", "hello")
    for _ in range(5):
        made = cp.post("/key/generate", {"models": ["gpt"]})
        assert made.header("x-weir-applied") == "2/2"
        key = made.json["key"]
        assert [ask(w, "gpt", key) for w in weirs for _ in range(4)] == ["hello"] * 8
        gone = cp.post("/key/delete", {"keys": [key]})
        assert gone.header("x-weir-applied") == "2/2"
        assert [ask(w, "gpt", key) for w in weirs for _ in range(4)] == [401] * 8


def test_a_role_holds_once_its_change_is_answered(start, database, data):
    """A key may what its user's role is now, though the key itself did not change."""
    cp = start(database, STORE)
    weir = data(cp.plane, general={"admin_only_routes": ["/model/info"]})
    joined(cp)
    made = cp.post("/user/new", {"user_id": "u", "user_role": "internal_user"})
    assert made.status == 200, made.body
    key = made.json["key"]
    weir.wait(lambda: weir.get("/model/info", key=key).status == 403, 10, "only for admins")
    for role, status in (("proxy_admin", 200), ("internal_user", 403), ("proxy_admin", 200), ("proxy_admin_viewer", 403)):
        changed = cp.post("/user/update", {"user_id": "u", "user_role": role})
        assert (changed.status, changed.header("x-weir-applied")) == (200, "1/1")
        assert weir.get("/model/info", key=key).status == status, role
    assert cp.post("/user/update", {"user_id": "u", "user_role": "proxy_admin"}).status == 200
    assert weir.get("/model/info", key=key).status == 200
    assert cp.post("/user/delete", {"user_ids": ["u"]}).header("x-weir-applied") == "1/1"
    assert weir.get("/model/info", key=key).status == 401  # LiteLLM deletes a user's keys with it


def test_a_sealed_credential_reaches_its_provider(start, database, data):
    mock = Mock()
    try:
        cp = start(database, STORE)
        weir = data(cp.plane)
        joined(cp)
        values = {"api_key": "sk-sealed-Zx81", "api_base": mock.url}
        assert cp.post("/credentials", {"credential_name": "c", "credential_values": values, "credential_info": {}}).status == 200
        assert cp.post("/model/new", {"model_name": "gpt", "litellm_params": {
            "model": "openai/gpt-4o", "litellm_credential_name": "c"}, "model_info": {}}).status == 200  # fmt: skip
        weir.wait(lambda: isinstance(ask(weir, "gpt"), str) or mock.requests, 10, "a request upstream")
        assert mock.wait_requests(1)[-1].headers["authorization"] == "Bearer sk-sealed-Zx81"
        weir.assert_no_secret("sk-sealed-Zx81")
    finally:
        mock.stop()


def test_nodes_are_told_of(start, database, data):
    cp = start(database, STORE)
    weir = data(cp.plane)
    joined(cp)
    add(cp, "gpt", "hello")
    served(weir, "gpt", "hello")
    cp.wait(lambda: cp.get("/weir/nodes").json["nodes"][0]["entities"], what="a status")
    (node,) = cp.get("/weir/nodes").json["nodes"]
    assert node["lag"] == 0 and node["workers"] == 1


@pytest.mark.parametrize("trouble", [*TROUBLE, "restarted"])
def test_model_traffic_does_not_notice_the_database(postgres, start, data, trouble):
    """PG-1 to PG-6: known keys are served on, unknown ones are known to be none, and what changes after it arrives."""
    url = lowly(postgres, postgres.database())
    cp = start(url, STORE)
    add(cp, "m", "hello")
    key = cp.post("/key/generate", {}).json["key"]
    weir = data(cp.plane)
    weir.wait(lambda: ask(weir, "m", key) == "hello", 20, "the key")
    answers, stop = [], threading.Event()

    def traffic():
        while not stop.is_set():
            answers.append(ask(weir, "m", key))
            time.sleep(0.01)

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        if trouble == "restarted":
            postgres.stop("fast")
            postgres.start()
        else:
            begin, end = TROUBLE[trouble]
            begin(postgres, url)
            try:
                for _ in range(2):
                    begun = time.monotonic()
                    assert cp.post("/key/generate", {}).status == 503
                    assert time.monotonic() - begun < 4  # two seconds, and the sanitizers
                    assert ask(weir, "m", "sk-nobody-has-this-one") == 401
                    time.sleep(5)  # longer than a heartbeat
            finally:
                end(postgres, url)
        cp.wait(lambda: cp.post("/key/generate", {}).status == 200, 30, "the database back")
        weir.wait(lambda: ask(weir, "m", cp.post("/key/generate", {}).json["key"]) == "hello", 20, "a new key")
    finally:
        stop.set()
        thread.join()
    assert len(answers) > 20 and set(answers) == {"hello"}


def test_killed_and_started_again(start, database, data, short):
    env = {"WEIR_RUN_DIR": str(short)}
    cp = ControlPlane(database, STORE, env=env)
    weir = data(f"ipc://{short}/plane.sock")
    joined(cp)
    add(cp, "gpt", "hello")
    served(weir, "gpt", "hello")
    with asking(weir, "gpt"):
        cp.crash()
        weir.wait(lambda: weir.metrics()["weir_control_plane_up"] == 0, 5, "noticed")
        time.sleep(1)
        again = start(database, STORE, env=env)
        joined(again)
        add(again, "second", "two")
        served(weir, "second", "two")
    assert weir.metrics()["weir_resyncs_total"] == 1  # what it had is what it has


def test_frozen(start, database, data):
    cp = start(database, STORE)
    weir = data(cp.plane)
    joined(cp)
    add(cp, "gpt", "hello")
    served(weir, "gpt", "hello")
    with asking(weir, "gpt"):
        os.kill(cp.process.pid, signal.SIGSTOP)
        try:
            weir.wait(lambda: weir.metrics()["weir_control_plane_up"] == 0, 15, "noticed")
        finally:
            os.kill(cp.process.pid, signal.SIGCONT)
        add(cp, "second", "two")
        served(weir, "second", "two", 15)


def test_of_two_one_is_killed(start, database, data):
    one, other = ControlPlane(database, STORE), start(database, STORE)
    weir = data(one.plane, other.plane)
    joined(one)
    add(other, "gpt", "hello")  # seen by both
    served(weir, "gpt", "hello")
    with asking(weir, "gpt"):
        one.crash()
        add(other, "second", "two")
        served(weir, "second", "two", 5)
        joined(other)
    assert weir.metrics()["weir_resyncs_total"] == 1


def test_started_without_a_control_plane(start, database, data, short):
    env = {"WEIR_RUN_DIR": str(short / "run"), "LITELLM_SALT_KEY": "sk-salt-1Lq8vR"}
    state = {"WEIR_STATE_DIR": str(short / "state"), "LITELLM_SALT_KEY": "sk-salt-1Lq8vR"}
    (short / "state").mkdir(mode=0o700)
    address = f"ipc://{short}/run/plane.sock"
    cp = ControlPlane(database, STORE, env=env)
    weir = data(address, env=state)
    joined(cp)
    add(cp, "gpt", "hello")
    served(weir, "gpt", "hello")
    made = cp.post("/key/generate", {"models": ["gpt"]}).json["key"]
    assert ask(weir, "gpt", made) == "hello"
    cp.crash()
    weir.stop()
    weir = data(address, env=state)
    assert ask(weir, "gpt") == "hello"
    assert ask(weir, "gpt", made) == "hello"
    assert ask(weir, "gpt", "sk-nobody-knows") == 503  # it may have been made since
    cp = start(database, STORE, env=env)
    cp.post("/key/delete", {"keys": [made]})
    weir.wait(lambda: ask(weir, "gpt", made) == 401, 15, "the deleted key is refused")
    assert ask(weir, "gpt", "sk-nobody-knows") == 401


def test_joined_across_machines(start, database, data):
    port = free_port()
    address = f"tls+tcp://127.0.0.1:{port}"
    cp = start(database, {**STORE, "weir": {"plane_listen": [address]}}, env={"LITELLM_SALT_KEY": "sk-salt-1Lq8vR"})
    join = cp.post("/weir/join", {"description": "pod"}).json
    weir = data(env={"WEIR_JOIN": join["token"]})
    joined(cp)
    assert add(cp, "gpt", "hello").header("x-weir-applied") == "1/1"
    assert ask(weir, "gpt") == "hello"
    assert cp.call("DELETE", f"/weir/join/{join['id']}").status == 200
    weir.wait(lambda: weir.metrics()["weir_control_plane_up"] == 0, 10, "cut")
    assert ask(weir, "gpt") == "hello"
    weir.wait(lambda: "token is unknown, revoked or expired" in weir.log(), 10, "told why")


@pytest.mark.parametrize("fault", ["cut_at", "twice_at"])
def test_bytes_between_the_planes(start, database, data, short, fault):
    cp = start(database, STORE)
    proxy = Fault(short / "proxy", cp.plane.removeprefix("ipc://"))
    try:
        weir = data(proxy.address)
        joined(cp)
        add(cp, "gpt", "hello")
        served(weir, "gpt", "hello")
        with asking(weir, "gpt"):
            for at in (0, 5, 9, 17, 21, 30, 44, 60, 90, 120, 200):
                hits = proxy.hits
                setattr(proxy, fault, at)
                proxy.cut()
                for _ in range(20):
                    if proxy.hits > hits:
                        break
                    add(cp, f"model-{at}", "more bytes to come")
                    time.sleep(0.2)
                setattr(proxy, fault, None)
                proxy.cut()
                assert proxy.hits > hits, f"no fault at byte {at}"
                add(cp, f"last-{at}", str(at))
                served(weir, f"last-{at}", str(at), 15)
    finally:
        proxy.close()
