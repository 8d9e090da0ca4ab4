"""weirctl spend and weirctl why, against rows that are known."""

import datetime
import json

import pytest
from support.spend_log import Log, day
from support.tenants import sha256

from test_weirctl import Ctl


@pytest.fixture(scope="module")
def log(cp, postgres):
    return Log(postgres, cp.database)


@pytest.fixture(scope="module")
def ctl(cp):
    return Ctl(cp)


# --- weirctl spend


@pytest.fixture(scope="module")
def spent(log, tenants):
    key = sha256(tenants.keys["ann"])
    log.sql("UPDATE \"LiteLLM_VerificationToken\" SET key_alias = 'anns' WHERE token = %s", key)
    for n, (ago, user, k, nusd) in enumerate([(0, "ann", key, 1), (0, "bob", "k2", 2_000_000_000), (1, "ann", key, 100_000_000), (45, "ann", key, 7)]):
        log.daily("User", "user_id", user, day(ago), nusd, key=k, model=f"m{n % 2}", requests=2, failed=1)
    for n in range(3):  # doubles of these do not add up to 0.3
        log.daily("Team", "team_id", "red", day(n), 100_000_000, key=f"k{n}")
    log.daily("Tag", "tag", "free \x1b[31m", day(), 4)
    return key


def lines(ctl, *args):
    return {x["id"]: x for x in ctl.json("spend", *args)}


def test_spend_by_day(ctl, spent):
    got = ctl.json("spend")
    assert [(x["id"], x["spend"], x["requests"], x["failed"]) for x in got] == [(day(1), 0.1, 2, 1), (day(), 2.000000001, 4, 2)]
    assert lines(ctl, "--from", day(60), "--to", day(40))[day(45)]["spend"] == 7e-9
    assert got == ctl.json("spend", "list", f"from={day(30)}")


def test_spend_by_what(ctl, spent):
    assert [(x["id"], x["alias"], x["spend"]) for x in ctl.json("spend", "keys")] == [("k2", None, 2.0), (spent, "anns", 0.100000001)]
    assert lines(ctl, "users")["ann"]["spend"] == 0.100000001
    assert lines(ctl, "models") == lines(ctl, "by=model") == lines(ctl, "--by", "model") and set(lines(ctl, "models")) == {"m0", "m1"}
    assert ctl.json("spend", "teams")[0]["spend"] == 0.3
    assert ctl.json("spend", "list", "by=organization") == [] and ctl.json("spend", "by=provider")[0]["id"] == "openai"
    table = ctl.ok("spend", "tags")
    assert table.splitlines()[0].split()[:3] == ["ID", "ALIAS", "SPEND"] and "\x1b" not in table and "free" in table


@pytest.mark.parametrize("args", [["by=planet"], ["--from", "yesterday"], ["--from", "2026-02-30"], ["--from", "2026-03-02", "--to", "2026-03-01"], ["limit=0"]])
def test_spend_of_nonsense(ctl, args):
    code, _, err = ctl("spend", *args)
    assert code in (1, 2) and err


def test_who_sees_whose_spend(cp, tenants, spent):
    def asked(who, by):
        reply = cp.get(f"/weir/spend?by={by}", key=tenants.keys[who])
        return [x["id"] for x in reply.json["lines"]] if reply.status == 200 else reply.status

    assert asked("vera", "user") == ["bob", "ann"] and asked("ann", "user") == ["ann"] and asked("zoe", "key") == []
    assert asked("ann", "team") == asked("ann", "tag") == 401 and asked("nobody", "day") in (401, 403)


# --- weirctl why


@pytest.fixture(scope="module")
def told(log, tenants):
    key = sha256(tenants.keys["bob"])
    common = {"key": key, "user": "bob", "team": "red", "org": "one", "call": "call-1", "session": "s-1", "api_base": "https://inner.example"}
    log.row("call-1-attempt-0", 0, tokens=(0, 0), status="failure", model="up-a", model_id="dep-a",
            weir={"attempt": 1, "status": 0, "upstream_status": 503, "error": "upstream_status", "upstream_ms": 12.5, "retried": True}, **common)
    log.row("chatcmpl-1", 1500, tokens=(10, 5), model="up-b", model_id="dep-b", tags=["t"],
            weir={"attempt": 2, "status": 200, "upstream_status": 200, "response_id": "chatcmpl-1", "asked_model": "alias", "upstream_ms": 80, "first_byte_ms": 40, "estimated": True},
            metadata={"usage_object": {"prompt_tokens": 10, "completion_tokens": 5}, "cost_breakdown": {"input_cost": 5e-7, "output_cost": 1e-6, "total_cost": 1.5e-6}},
            **common)  # fmt: skip
    log.row("of-litellm", 9, key="other")
    return log


@pytest.mark.parametrize("name", ["call-1", "chatcmpl-1", "call-1-attempt-0"])
def test_why_by_any_of_its_names(ctl, told, name):
    got = ctl.json("why", name)
    assert (got["request_id"], got["user"], got["team"], got["asked_model"], got["spend"]) == ("call-1", "bob", "red", "m" if name == "call-1-attempt-0" else "alias", 1.5e-6) or name != "chatcmpl-1"
    first, second = got["exchanges"]
    assert (first["attempt"], first["error"], first["retried"], first["reckoning"], first["deployment"]) == (1, "upstream_status", True, "none", "dep-a")
    assert (second["attempt"], second["status"], second["reckoning"], second["usd_per_million_tokens"]) == (2, 200, "estimated", {"input": 0.05, "output": 0.2})
    text = ctl.ok("why", name)
    assert "tried again" in text and "the provider answered 503" in text and "10 tokens in, 5 out, estimated" in text and "$0.0000015" in text


def test_why_of_a_row_of_litellm(ctl, told):
    got = ctl.json("why", "of-litellm")
    assert got["request_id"] == "of-litellm" and len(got["exchanges"]) == 1


@pytest.mark.parametrize(("who", "sees"), [("root", True), ("vera", True), ("bob", True), ("ann", True), ("olga", True), ("zoe", False), ("ivy", False), ("nobody", False)])
def test_whose_requests_are_told(cp, tenants, told, who, sees):
    for name in ("call-1", "chatcmpl-1"):
        reply = cp.get(f"/weir/requests/{name}", key=tenants.keys[who])
        assert reply.status == (200 if sees else 404)
        if sees:
            assert ("inner.example" in reply.body.decode()) is (who in ("root", "vera"))
        else:
            assert reply.body.decode() == cp.get("/weir/requests/none", key=tenants.keys[who]).body.decode().replace("none", name)


def test_why_of_nothing(ctl, told):
    code, _, err = ctl("why", "nothing")
    assert code == 1 and "access log" in err
    assert ctl("why")[0] == 2
    assert "by our id or the provider's" in ctl.ok("why", "--help")


# --- weirctl spend invoice


@pytest.fixture(scope="module")
def billed(log):
    """Rows of a provider of its own."""
    ago = datetime.timedelta(hours=1)
    for n in range(1, 7):
        log.row(f"resp-{n}", n * 1_000_000, tokens=(100 * n, 10 * n), provider="inv", ago=ago, weir={"response_id": f"resp-{n}"})
    log.row("resp-7", 7, tokens=(1, 1), provider="inv", ago=ago, weir={"response_id": "resp-7", "estimated": True})
    log.row("call-x", 0, tokens=(0, 0), provider="inv", ago=ago, status="failure", weir={})  # billed by nobody
    log.row("resp-8", 5, provider="inv", ago=45 * datetime.timedelta(days=1), weir={"response_id": "resp-8"})
    log.row("resp-1-call-9", 3_000, tokens=(7, 7), provider="inv", ago=ago, weir={"response_id": "resp-1"})
    return log


def invoice(ctl, tmp_path, text, *args):
    path = tmp_path / "usage.csv"
    path.write_bytes(text.encode())
    code, out, err = ctl("--json", "spend", "invoice", path, "--provider", "inv", *args)
    assert code in (0, 4), err
    got = json.loads(out)
    return {(d["why"], d["id"]): d for d in got["differences"]}, {s["why"]: s for s in got["summary"]}


LINES = """response_id,model,input_tokens,output_tokens,cost_usd
resp-1,m,100,10,0.001
resp-2,m,200,20,$0.002000000
resp-3,m,301,30,0.003
resp-4,m,400,40,0.0041
"resp-5",m,500,50,0.00500
resp-7,m,3,4,0.000000900
resp-8,m,10,5,0.000000005
resp-2,m,200,20,0.002
ghost,"m, or so",9,9,0.5
"""


def test_every_difference_has_a_reason(ctl, billed, tmp_path):
    found, sums = invoice(ctl, tmp_path, LINES)
    assert set(found) == {("other tokens", "resp-3"), ("other price", "resp-4"), ("estimated here", "resp-7"), ("elsewhere", "resp-8"),
                          ("twice there", "resp-2"), ("missing here", "ghost"), ("missing there", "resp-6"), ("missing there", "resp-1")}  # fmt: skip
    assert sums["same"]["lines"] == 3 and sums["all"]["lines"] == 11
    assert found["other price", "resp-4"]["difference"] == 0.0001
    assert found["missing here", "ghost"]["model"] == "m, or so"
    parts = [s for why, s in sums.items() if why != "all"]
    for name in ("cost_here", "cost_there", "difference", "input_here", "input_there"):
        assert round(sum(p[name] for p in parts), 9) == round(sums["all"][name], 9)
    assert round(sums["all"]["cost_there"] - sums["all"]["cost_here"], 9) == sums["all"]["difference"]


def test_an_invoice_that_agrees(ctl, billed, tmp_path):
    text = "id;input_tokens;output_tokens;cost\r\n" + "".join(f"resp-{n};{100 * n};{10 * n};0.00{n}\r\n" for n in range(1, 7))
    found, sums = invoice(ctl, tmp_path, text + "resp-7;1;1;0.000000007\r\n")
    assert set(found) == {("missing there", "resp-1")} and sums["same"]["lines"] == 7
    rounded = text.replace("0.001", "0.00")  # said to the cent: that is as near as it says
    assert ("other price", "resp-1") not in invoice(ctl, tmp_path, rounded)[0]


def test_columns_by_name(ctl, billed, tmp_path):
    text = "req,in,cached,out\nresp-1,60,40,10\nresp-2,200,,20\n"
    found, sums = invoice(ctl, tmp_path, text, "--columns", "id=req,input=in+cached,output=out")
    assert sums["same"]["lines"] == 2 and not any(why.startswith("other") for why, _ in found)
    out = ctl("spend", "invoice", tmp_path / "usage.csv", "--provider", "inv", "--columns", "id=req,input=in+cached,output=out")[1]
    assert out.splitlines()[-1].startswith("all ") and "the file does not bill it" in out


@pytest.mark.parametrize(
    ("text", "args", "says"),
    [
        ("a,b\n1,2\n", [], "response ids"), ("id,b\n1,2\n", [], "tokens or costs"), ("", [], "column names"), ("id,cost\nx,1e\n", [], "line 2"),
        ('id,cost\n"x,1\n', [], "line 2"), ("id,cost\n,1\n", [], "no response id"), ("id,cost\nx,1\n", ["--columns", "cost=price"], "no column price"),
        ("id,cost\nx,1\n", ["--columns", "size=id"], "not size"), ("id,cost\nx,1\n", ["--from", "never"], "from"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit(ctl, tmp_path, text, args, says):
    path = tmp_path / "usage.csv"
    path.write_text(text)
    code, out, err = ctl("spend", "invoice", path, "--provider", "inv", *args)
    assert code in (1, 2) and says in err and not out
    assert ctl("spend", "invoice", tmp_path / "none", "--provider", "x")[0] == 2
    assert ctl("spend", "invoice", path)[0] == ctl("spend", "invoice", "--provider", "x")[0] == 2


def test_many_pages(ctl, billed, tmp_path):
    billed.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, prompt_tokens, "startTime", "endTime", custom_llm_provider)
                  SELECT 'many-' || i, 'a', i / 1e9, 1, (now() AT TIME ZONE 'UTC') - (i / 50) * interval '1 s',
                  now() AT TIME ZONE 'UTC', 'many' FROM generate_series(1, 12001) AS i""")  # fmt: skip
    path = tmp_path / "usage.csv"
    path.write_text("id,input_tokens,cost\n" + "".join(f"many-{n},1,{n / 1e9:.9f}\n" for n in range(1, 12002)))
    got = ctl.json("spend", "invoice", path, "--provider", "many")
    assert [(s["why"], s["lines"]) for s in got["summary"]] == [("same", 12001), ("all", 12001)] and not got["differences"]


# --- verify: what it finds is in test_reconcile.py


def test_completion_knows_them(ctl):
    script = ctl.ok("completion", "bash")
    assert " invoice" in script and " verify" in script and "why" in script and "--watch" in script
