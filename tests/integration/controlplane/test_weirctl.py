"""weirctl as people and scripts use it, against a control plane."""

import json
import os
import pty
import select
import socket
import subprocess
import threading

import pytest
from support.controlplane import PROGRAM, ControlPlane
from support.mock_provider import free_port
from support.weir import MASTER_KEY, SANITIZER

WEIRCTL = PROGRAM.parent / "weirctl"
CONFIG = {
    "model_list": [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "conf"}}],
    "general_settings": {"store_model_in_db": True},
}


def run(*args, env=None, stdin=""):
    """exit status, stdout, stderr"""
    p = subprocess.run([str(WEIRCTL), *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60,
                       env={"PATH": os.environ["PATH"], **{n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")},
                            **(env or {})}, check=False)  # fmt: skip
    assert not SANITIZER.search(p.stderr), p.stderr
    return p.returncode, p.stdout, p.stderr


class Ctl:
    def __init__(self, cp):
        self.cp = cp
        self.env = {"WEIR_URL": f"http://127.0.0.1:{cp.port}", "LITELLM_MASTER_KEY": cp.key}

    def __call__(self, *args, **kw):
        return run(*args, env=kw.pop("env", self.env), **kw)

    def ok(self, *args, **kw):
        code, out, err = self(*args, **kw)
        assert code == 0, (out, err)
        return out

    def json(self, *args):
        return json.loads(self.ok("--json", *args))


@pytest.fixture(scope="module")
def ctl(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema), CONFIG) as cp:
        yield Ctl(cp)


@pytest.fixture
def fresh(start, database):
    return Ctl(start(database, CONFIG))


# ---- commands


def test_a_key_from_its_making_to_its_end(ctl):
    made = ctl.json("keys", "new", "key_alias=ci", "max_budget=5", "models=gpt,conf", 'metadata={"a": 1}', "blocked=false")
    key = made["key"]
    assert made["models"] == ["gpt", "conf"] and made["max_budget"] == 5 and made["metadata"]["a"] == 1
    assert ctl.json("keys", "show", key)["key_alias"] == "ci"
    ctl.ok("keys", "update", key, "max_budget=null", "metadata.b=x")
    shown = ctl.json("keys", "show", key)
    assert shown["max_budget"] is None and shown["metadata"] == {"b": "x"}
    table = ctl.ok("keys", "list", "key_alias=ci").splitlines()
    assert table[0].split()[:3] == ["TOKEN", "KEY", "NAME"] and "ci" in table[1]
    ctl.ok("keys", "block", key)
    assert ctl.json("keys", "show", key)["blocked"] is True
    ctl.ok("keys", "unblock", key)
    again = ctl.json("keys", "regenerate", key)["key"]
    assert again != key
    ctl.ok("keys", "delete", again)
    code, _, err = ctl("keys", "show", "sk-nothing-like-it")
    assert code == 1 and "Key not found" in err and "(404)" in err


def test_teams_users_orgs_budgets(ctl):
    ctl.ok("budgets", "new", "budget_id=small", "max_budget=3")
    assert "small" in ctl.ok("budgets", "list") and "small" in ctl.ok("budgets", "show", "small")
    ctl.ok("budgets", "update", "small", "max_budget=4")
    assert ctl.json("budgets", "show", "small")[0]["max_budget"] == 4
    ctl.ok("orgs", "new", "organization_id=o", "organization_alias=Org", "max_budget=9")
    ctl.ok("orgs", "update", "o", "organization_alias=Other")
    assert ctl.json("orgs", "show", "o")["organization_alias"] == "Other"
    ctl.ok("users", "new", "user_id=ann", "auto_create_key=false", "user_role=internal_user")
    ctl.ok("users", "update", "ann", "max_budget=2.5")
    assert ctl.json("users", "show", "ann")["max_budget"] == 2.5
    assert [u["user_id"] for u in ctl.json("users", "list", "user_ids=ann")] == ["ann"]
    ctl.ok("teams", "new", "team_id=red", "team_alias=Red", "organization_id=o")
    ctl.ok("teams", "add-member", "red", "member.user_id=ann", "member.role=admin")
    assert ctl.json("teams", "show", "red")["members_with_roles"][-1]["user_id"] == "ann"
    ctl.ok("teams", "remove-member", "red", "user_id=ann")
    ctl.ok("teams", "block", "red")
    assert "true" in ctl.ok("teams", "list", "team_id=red")
    ctl.ok("teams", "unblock", "red")
    ctl.ok("teams", "delete", "red")
    ctl.ok("users", "delete", "ann")
    ctl.ok("orgs", "delete", "o")
    ctl.ok("budgets", "delete", "small")


def test_models(ctl):
    made = ctl.json("models", "new", "model_name=db", "litellm_params.model=openai/gpt-4o", "litellm_params.api_key=sk-provider-1234")
    listed = {m["model_info"]["id"]: m for m in ctl.json("models", "list")}
    assert listed["conf"]["model_info"]["db_model"] is False and listed[made["model_id"]]["model_info"]["db_model"] is True
    ctl.ok("models", "update", made["model_id"], "litellm_params.rpm=7")
    assert ctl.json("models", "show", made["model_id"])["litellm_params"]["rpm"] == 7
    ctl.ok("models", "block", made["model_id"])
    ctl.ok("models", "unblock", made["model_id"])
    out = ctl.ok("explain", "model", "db")
    assert "FIELD" in out and "database" in out and "sk-provider-1234" not in out
    assert "config.yaml:" in ctl.ok("explain", "model", "gpt")
    ctl.ok("models", "delete", made["model_id"])


def test_explain_a_key(ctl):
    key = ctl.json("keys", "new", "max_budget=5")["key"]
    assert [f["field"] for f in ctl.json("explain", "key", key) if f["decides"]] == ["max_budget"]
    assert "max_budget" in ctl.ok("explain", "key", key)


def test_long_lists_come_page_by_page(ctl):
    for n in range(120):
        assert ctl.cp.post("/team/new", {"team_id": f"page-{n}"}).status == 200
    assert {t["team_id"] for t in ctl.json("teams", "list")} >= {f"page-{n}" for n in range(120)}


@pytest.mark.parametrize("route", [("nodes",), ("join", "list"), ("audit", "list"), ("audit", "verify")])
def test_routes_that_may_be_missing_say_so(ctl, route):
    code, out, err = ctl(*route)
    assert code in (0, 1) and (code == 0 or err), (out, err)


# ---- errors and usage


@pytest.mark.parametrize(("args", "says"), [
    (["keys", "new", "nonsense=1"], 'no member "nonsense"'),
    (["keys", "new", "max_budget=much"], "needs number"),
    (["keys", "new", "key_alias.x=1"], "has no members"),
    (["keys", "new", "blocked"], "is not name=value"),
    (["keys", "show"], "ID is needed"),
    (["keys", "delete"], "ID... is needed"),
    (["keys", "frobnicate"], "no command keys frobnicate"),
    (["frobnicate"], "no command frobnicate"),
    (["completion", "fish"], "bash"),
    (["apply"], "needs -f"),
    (["apply", "-f", "/nonexistent"], "/nonexistent"),
    (["--key-file", "/nonexistent", "keys", "list"], "/nonexistent"),
])  # fmt: skip
def test_wrong_usage(ctl, args, says):
    code, _, err = ctl(*args)
    assert code == 2 and says in err, err


def test_nobody_there_and_wrong_keys_say_what_to_do(ctl):
    code, _, err = run("keys", "list", env={"WEIR_URL": f"http://127.0.0.1:{free_port()}"})
    assert code == 3 and "WEIR_URL" in err
    code, _, err = ctl("keys", "list", env={**ctl.env, "LITELLM_MASTER_KEY": "sk-wrong-key-000"})
    assert code == 1 and "LITELLM_MASTER_KEY" in err and "sk-wrong-key-000" not in err
    code, _, err = run("keys", "list", env={"WEIR_URL": "ftp://x"})
    assert code == 2


def test_where_the_key_comes_from(ctl, tmp_path):
    url = {"WEIR_URL": ctl.env["WEIR_URL"]}
    (tmp_path / "key").write_text(MASTER_KEY + "\n")
    ctl.ok("--key-file", tmp_path / "key", "keys", "list", env=url)
    ctl.ok("keys", "list", env={**url, "WEIR_API_KEY": MASTER_KEY, "LITELLM_MASTER_KEY": "sk-not-this-one"})
    (tmp_path / "master-key").write_text(MASTER_KEY + "\n")
    (tmp_path / "url").write_text(url["WEIR_URL"] + "\n")
    ctl.ok("--state", tmp_path, "keys", "list", env={})


def test_what_a_server_says_cannot_move_the_cursor(tmp_path):
    body = b'{"error": {"message": "\\u001b[2Jgone\\u009b"}}'
    with socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            conn, _ = s.accept()
            with conn:
                conn.recv(65536)
                conn.sendall(b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

        t = threading.Thread(target=serve)
        t.start()
        code, _, err = run("keys", "list", env={"WEIR_URL": f"http://127.0.0.1:{s.getsockname()[1]}"})
        t.join()
    assert code == 1 and "gone" in err and "\x1b" not in err and "\x9b" not in err


def test_an_answer_that_is_none(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            conn, _ = s.accept()
            with conn:
                conn.recv(65536)
                conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")

        t = threading.Thread(target=serve)
        t.start()
        code, _, err = run("keys", "list", env={"WEIR_URL": f"http://127.0.0.1:{s.getsockname()[1]}"})
        t.join()
    assert code == 3 and "no JSON" in err


def test_help_and_completion(tmp_path):
    code, out, _ = run("--help")
    assert code == 0 and "apply -f FILE" in out
    assert run()[0] == 2
    assert "Make a key" in run("keys", "--help")[1]
    out = run("keys", "new", "--help")[1]
    assert "POST /key/generate" in out and "max_budget=number" in out and "Dollars it may spend." in out
    script = run("completion", "bash")[1]
    ask = """
        source "$1"
        complete_line() { read -ra COMP_WORDS <<<"$1"; [[ $1 != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            COMPREPLY=(); _weirctl 2>/dev/null; echo "${COMPREPLY[*]}"; }
        complete_line 'weirctl ke'; complete_line 'weirctl keys re'; complete_line 'weirctl --json keys new key_al'
        complete_line 'weirctl keys --ur'; complete_line 'weirctl completion '"""
    (tmp_path / "c").write_text(script)
    got = subprocess.run(["bash", "-c", ask, "bash", str(tmp_path / "c")], capture_output=True, text=True, check=True)
    assert got.stdout.splitlines() == ["keys", "regenerate", "key_alias=", "--url", "bash"]


# ---- apply

DECLARED = """
budgets:
  - budget_id: small
    max_budget: 10
organizations:
  - organization_id: org
    organization_alias: Org
    max_budget: 100
    models: [gpt, mine]
teams:
  - team_id: red
    team_alias: Red
    models: [gpt]
    model_rpm_limit: {gpt: 5}
    members_with_roles: [{user_id: ann, role: admin}]
users:
  - user_id: ann
    user_email: ann@example.com
    max_budget: 1.5
keys:
  - key_alias: ci
    team_id: red
    max_budget: 5
    duration: 30d
    tags: [a, b]
models:
  - model_name: mine
    litellm_params: {model: openai/gpt-4o, api_key: sk-secret-of-the-provider, rpm: 3}
    model_info: {id: mine-1}
"""


def test_apply_makes_then_finds_nothing_to_do(fresh, tmp_path):
    f = tmp_path / "all.yaml"
    f.write_text(DECLARED)
    code, out, _ = fresh("apply", "-f", f, "--dry-run")
    assert code == 4 and "+ team red" in out and "6 to make or change" in out
    assert "sk-secret-of-the-provider" not in out
    assert fresh.json("teams", "list") == []
    code, _, err = fresh("apply", "-f", f)
    assert code == 2 and "--yes" in err
    out = fresh.ok("apply", "-f", f, "--yes")
    key = next(line.split(" is ")[1] for line in out.splitlines() if line.startswith("key ci is "))
    assert fresh.json("keys", "show", key)["team_id"] == "red"
    code, out, _ = fresh("apply", "-f", f, "--dry-run")
    assert code == 0 and "0 to make or change, 6 as they are" in out, out
    assert fresh.ok("apply", "-f", f, "--yes").splitlines() == ["0 to make or change, 6 as they are."]


def test_apply_changes_what_differs_and_nothing_else(fresh, tmp_path):
    f = tmp_path / "all.yaml"
    f.write_text(DECLARED)
    fresh.ok("apply", "-f", f, "--yes")
    f.write_text(DECLARED.replace("max_budget: 5", "max_budget: 6").replace("rpm: 3", "rpm: 4").replace("gpt: 5", "gpt: 9")
                 .replace("alias: Org", "alias: Orc").replace("max_budget: 1.5", "max_budget: null").replace("max_budget: 10\n", "max_budget: 11\n"))  # fmt: skip
    out = fresh.ok("apply", "-f", f, "--yes")
    for line in ("~ key ci", "max_budget: 5 -> 6", "litellm_params.rpm: 3 -> 4", "model_rpm_limit.gpt: 5 -> 9",
                 "organization_alias: Org -> Orc", "max_budget: 1.5 -> -", "max_budget: 10 -> 11"):  # fmt: skip
        assert line in out, out
    assert "+ " not in out
    assert fresh("apply", "-f", f, "--dry-run")[0] == 0
    model = fresh.cp.get("/credentials/by_model/mine-1")
    assert model.status == 200, "its credential is still there"


def test_apply_says_what_it_cannot_change(fresh, tmp_path):
    f = tmp_path / "all.yaml"
    f.write_text(DECLARED)
    fresh.ok("apply", "-f", f, "--yes")
    f.write_text(DECLARED.replace("role: admin", "role: user"))
    code, out, _ = fresh("apply", "-f", f, "--yes")
    assert code == 1 and "! team red" in out and "members_with_roles" in out


def test_apply_takes_json_and_standard_input(fresh):
    text = json.dumps({"teams": [{"team_id": "t", "max_budget": 3}]})
    fresh.ok("apply", "-f", "-", "--yes", stdin=text)
    assert fresh.json("teams", "show", "t")["max_budget"] == 3


def test_apply_asks(fresh, tmp_path):
    f = tmp_path / "one.yaml"
    f.write_text("teams:\n  - team_id: t\n")
    for answer, there in ((b"n\n", False), (b"y\n", True)):
        master, slave = pty.openpty()
        p = subprocess.Popen([str(WEIRCTL), "apply", "-f", str(f)], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env={"PATH": os.environ["PATH"], **fresh.env})  # fmt: skip
        seen = b""
        while b"[y/N]" not in seen:
            assert select.select([p.stdout], [], [], 20)[0], seen
            seen += os.read(p.stdout.fileno(), 4096)
        os.write(master, answer)
        p.communicate(timeout=20)
        os.close(master)
        os.close(slave)
        assert (p.returncode == 0) is there
        assert bool(fresh.json("teams", "list")) is there


@pytest.mark.parametrize(("text", "says"), [
    ("teams: {}", "teams is a list"),
    ("nonsense: []", "none of models, budgets"),
    ("- a", "a map of"),
    ("teams:\n  - a", ":2: a team is a map"),
    ("teams:\n  - team_id: x\n    nonsense: 1", ':3: a team has no member "nonsense"'),
    ("teams:\n  - team_alias: x", ":2: a team needs team_id"),
    ("models:\n  - model_name: x\n    litellm_params: {model: openai/x}\n    model_info: {}", "needs model_info.id"),
    ("teams: [", "a.yaml"),
])  # fmt: skip
def test_a_wrong_file_is_refused_by_line(ctl, tmp_path, text, says):
    f = tmp_path / "a.yaml"
    f.write_text(text)
    code, _, err = ctl("apply", "-f", f, "--yes")
    assert code == 2 and says in err, err


def test_apply_stops_at_the_first_refusal(fresh, tmp_path):
    f = tmp_path / "a.yaml"
    f.write_text("teams:\n  - team_id: a\n    max_budget: -1\n  - team_id: b\n")
    code, _, err = fresh("apply", "-f", f, "--yes")
    assert code == 1 and "That was team a." in err
    assert fresh.json("teams", "list") == []
