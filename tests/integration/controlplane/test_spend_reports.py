"""/global/..., /spend/tags, keys, users, what requests cost: their numbers are those of the rows, for whoever may ask."""

import csv
import io
import json
from urllib.parse import urlencode

import pytest
from support.controlplane import ControlPlane
from support.tenants import Tenants, sha256

# 400 rows of the last ten days, three of them of today
FILL = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens,
    "startTime", "endTime", model, model_id, model_group, custom_llm_provider, "user", metadata, cache_hit, request_tags, team_id,
    end_user, status)
SELECT 'req-' || i, CASE WHEN i = 400 THEN '/key/info' WHEN i % 9 = 0 THEN '' ELSE 'acompletion' END, {keys}, i * 0.001, 3 * i, i, 2 * i,
    date_trunc('day', now()) - interval '10 days' + i * interval '36 minutes', now(), 'model-' || i % 3,
    CASE i % 3 WHEN 0 THEN 'dep-a' WHEN 1 THEN 'dep-b' ELSE 'gone' END, 'group-' || i % 12, 'openai', {users},
    jsonb_build_object('error_information', CASE WHEN i % 10 = 0 THEN jsonb_build_object('error_code', '429', 'error_class', 'RateLimit') END),
    CASE i % 5 WHEN 0 THEN 'True' ELSE 'None' END, CASE i % 4 WHEN 0 THEN '[]' WHEN 1 THEN '"odd"'::jsonb ELSE jsonb_build_array('t' || i % 2, 'all')
    END, {teams}, CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'customer-' || i % 6 END, CASE WHEN i % 10 = 0 THEN 'failure' ELSE 'success' END
FROM generate_series(1, 400) AS i"""

CONFIG = {
    "model_list": [
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"id": "dep-a"}},
        {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-3-haiku-20240307"}, "model_info": {"id": "dep-b"}},
        {"model_name": "own", "litellm_params": {"model": "openai/x", "input_cost_per_token": 1e-6, "output_cost_per_token": 3e-6}},
    ],
    "litellm_settings": {"max_budget": 70},
}  # fmt: skip


class World:
    def __init__(self, cp, postgres):
        self.cp, self.postgres, self.tenants = cp, postgres, Tenants(cp, postgres)
        names = ["ann", "bob", "zoe", "ivy"]
        self.hashes = [sha256(self.tenants.keys[n]) for n in names]
        pick = lambda values: "(ARRAY[" + ",".join(f"'{v}'" for v in values) + "])[1 + i % 4]"  # noqa: E731
        self.sql(FILL.format(keys=pick(self.hashes), users=pick(names), teams="(ARRAY['red','red','blue',NULL])[1 + i % 4]"))
        self.sql("UPDATE \"LiteLLM_VerificationToken\" SET key_alias = 'alias ' || user_id, key_name = 'sk-' || user_id")
        self.sql("UPDATE \"LiteLLM_TeamTable\" SET team_alias = 'Red' WHERE team_id = 'red'")
        self.tenants.keys["spender"] = self.tenants.make_key(permissions='{"get_spend_routes": true}')
        self.tenants.keys["ivy spends"] = self.tenants.make_key(user_id="ivy", permissions='{"get_spend_routes": true}')
        self.from_, self.to = self.sql("SELECT current_date - 11, current_date")[0]
        self.days = {"start_date": self.from_, "end_date": self.to}

    def sql(self, text, *args):
        return self.postgres.sql(self.cp.database, "SET timezone = 'UTC';" + text, *args)

    def rows(self, text):
        return self.sql(text.replace("LOGS", '"LiteLLM_SpendLogs"'))

    def get(self, path, who="master", **query):
        return self.cp.get(path + "?" + urlencode(query, doseq=True), key=self.tenants.keys[who])

    def json(self, path, who="master", **query):
        reply = self.get(path, who, **query)
        assert reply.status == 200, reply.body
        return reply.json

    def settled(self):
        def done():
            return self.sql("SELECT covered_from = '-infinity' AND NOT EXISTS (SELECT FROM weir.log_delta) FROM weir.log_state") == [("t",)]
        self.cp.wait(done, what="index and sums")


@pytest.fixture(scope="module")
def all_(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema), CONFIG) as cp:
        yield World(cp, postgres)


@pytest.fixture(params=["in the rows", "half and half", "in the sums"])
def world(all_, request):
    """The same numbers, wherever they are read."""
    all_.settled()
    if request.param != "in the sums":
        since = "infinity" if request.param == "in the rows" else all_.sql("SELECT now()::timestamp - interval '5 days 3 hours'")[0][0]
        all_.sql("UPDATE weir.log_state SET covered_from = %s, failures = failures + 1", since)
    return all_


def near(value):
    return pytest.approx(float(value), abs=1e-9)


# --- the whole

def test_spend_of_thirty_days(world):
    assert world.json("/global/spend") == {"spend": near(80.2), "max_budget": 70}
    days = world.json("/global/spend/logs")
    assert [(d["date"], near(d["spend"])) for d in days] == [(d, near(s)) for d, s in world.rows('SELECT * FROM "MonthlyGlobalSpend" ORDER BY 1')]
    days = world.json("/global/spend/logs", api_key=world.hashes[1])
    assert {d["api_key"] for d in days} == {world.hashes[1]} and sum(d["spend"] for d in days) == near(19.9)
    own = world.json("/global/spend/logs", "ivy spends")
    assert {d["user"] for d in own} == {"ivy"} and {d["api_key"] for d in own} == {world.hashes[3]}


def test_keys_and_models(world):
    expected = world.rows('SELECT api_key, key_alias, key_name, total_spend FROM "Last30dKeysBySpend"')
    got = world.json("/global/spend/keys")
    assert [(k["api_key"], k["key_alias"], k["key_name"], near(k["total_spend"])) for k in got] == [(*k[:3], near(k[3])) for k in expected]
    assert world.json("/global/spend/keys", limit=2) == got[:2]
    assert world.get("/global/spend/keys", limit=0).status == 422 and world.get("/global/spend/keys", limit="x").status == 422
    assert [k["key_alias"] for k in world.json("/global/spend/keys", "ivy spends")] == ["alias ivy"]
    expected = world.rows('SELECT model, total_spend FROM "Last30dModelsBySpend"')
    assert [(m["model"], near(m["total_spend"])) for m in world.json("/global/spend/models")] == [(m, near(s)) for m, s in expected]
    assert len(world.json("/global/spend/models", limit=1)) == 1
    assert sum(m["total_tokens"] for m in world.json("/global/spend/models", "ivy spends")) == 3 * sum(range(3, 401, 4))


def test_teams(world):
    got = world.json("/global/spend/teams")
    assert got["teams"] == ["Red", "Unassigned"]
    assert {t["team_id"]: t["total_spend"] for t in got["total_spend_per_team"]} == {
        "Red": pytest.approx(40.1, abs=0.1), "Unassigned": pytest.approx(40.1, abs=0.1)}
    assert len(got["daily_spend"]) == 11 and got["daily_spend"][0].keys() == {"date", "Red", "Unassigned"}
    lines = list(csv.DictReader(io.StringIO(world.get("/global/spend/teams", format="csv").body.decode())))
    assert len(lines) == 21 and lines[0].keys() == {"date", "team", "spend"}


def test_providers(world):
    got = {p["provider"]: p["spend"] for p in world.json("/global/spend/provider", **world.days)}
    sums = dict(world.rows("SELECT model_id, sum(spend) FROM LOGS GROUP BY 1"))
    assert got == {"openai": near(sums["dep-a"]), "anthropic": near(sums["dep-b"])}  # of deployments that are there
    assert world.json("/global/spend/provider", start_date="2001-01-01", end_date="2001-01-02") == []
    assert world.get("/global/spend/provider").json == {"detail": {"error": "Please provide start_date and end_date"}}


def test_tags(world):
    tags = """SELECT tag, count(*), sum(spend) FROM LOGS, jsonb_array_elements_text(CASE jsonb_typeof(request_tags) WHEN 'array'
              THEN request_tags END) AS tag WHERE {} GROUP BY 1 ORDER BY 3 DESC, 1"""
    expected = world.rows(tags.format("true"))
    got = world.json("/global/spend/tags", **world.days)["spend_per_tag"]
    assert [(t["name"], t["log_count"], t["spend"]) for t in got] == [(t, int(n), pytest.approx(float(s), abs=1e-4)) for t, n, s in expected]
    assert world.json("/global/spend/tags", **world.days, tags="t0,all-tags")["spend_per_tag"] == got
    assert [t["name"] for t in world.json("/global/spend/tags", **world.days, tags="t0,none")["spend_per_tag"]] == ["t0"]
    assert world.get("/global/spend/tags").status == 400
    assert world.json("/global/spend/all_tag_names") == {"tag_names": ["all", "t0", "t1"]}
    for who, where in [("master", "true"), ("ivy", "\"user\" = 'ivy'"), ("ann", "\"user\" = 'ann' OR team_id = 'red'"), ("ines", "false")]:
        got = world.json("/spend/tags", who)
        assert [(t["individual_request_tag"], t["log_count"], near(t["total_spend"])) for t in got] == [
            (t, int(n), near(s)) for t, n, s in world.rows(tags.format(where))], who
    assert world.json("/spend/tags", start_date="2001-01-01", end_date="2001-01-02") == []
    assert world.get("/spend/tags", start_date="2001").status == 400


def test_end_users(world):
    def ask(**body):
        reply = world.cp.post("/global/spend/end_users", body)
        assert reply.status == 200, reply.body
        return {r["end_user"]: (r["total_count"], near(r["total_spend"])) for r in reply.json}

    def rows(where="true"):
        return {json.loads(u): (int(n), near(s)) for u, n, s in world.rows(
            f"SELECT coalesce(to_json(end_user)::text, 'null'), count(*), sum(spend) FROM LOGS WHERE {where} GROUP BY 1")}

    assert ask() == rows() and set(rows()) == {None, "", "customer-2", "customer-3", "customer-4", "customer-5"}
    start, end = world.sql("SELECT (now() - interval '7 days 5 hours')::timestamp(0), (now() - interval '2 days 1 hour')::timestamp(0)")[0]
    window = f"\"startTime\" >= '{start}' AND \"startTime\" < '{end}'"
    assert ask(startTime=start + "Z", endTime=end + "Z") == rows(window)
    assert ask(startTime=start + "Z", endTime=end + "Z", api_key=world.hashes[2]) == rows(window + f" AND api_key = '{world.hashes[2]}'")
    short = world.sql("SELECT (now() - interval '3 days 5 hours')::timestamp(0), (now() - interval '3 days 1 hour')::timestamp(0)")[0]
    assert ask(startTime=short[0] + "Z", endTime=short[1] + "Z") == rows(f"\"startTime\" >= '{short[0]}' AND \"startTime\" < '{short[1]}'")
    assert ask(startTime=end + "Z", endTime=start + "Z") == {} and ask(api_key="' OR true --") == {}
    assert world.cp.post("/global/spend/end_users", {"startTime": "soon"}).status == 422
    assert set(world.json("/global/all_end_users")["end_users"]) == set(rows())


# --- activity

@pytest.mark.parametrize("who", ["master", "vera", "ivy"])
def test_activity(world, who):
    where = "\"user\" = 'ivy'" if who == "ivy" else "true"
    days = world.rows(f"""SELECT to_char("startTime", 'Mon DD'), count(*), sum(total_tokens) FROM LOGS WHERE {where} GROUP BY to_char("startTime", 'Mon DD') ORDER BY to_char("startTime", 'Mon DD') COLLATE "C" """)
    got = world.json("/global/activity", who, **world.days)
    assert [(d["date"], d["api_requests"], d["total_tokens"]) for d in got["daily_data"]] == [(d, int(n), int(t)) for d, n, t in days]
    assert (got["sum_api_requests"], got["sum_total_tokens"]) == (sum(int(d[1]) for d in days), sum(int(d[2]) for d in days))
    models = world.json("/global/activity/model", who, **world.days)
    expected = world.rows(f"SELECT model_group, count(*), sum(total_tokens) FROM LOGS WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10")
    assert [(m["model"], m["sum_api_requests"], m["sum_total_tokens"]) for m in models] == [(m, int(n), int(t)) for m, n, t in expected]
    assert sum(d["api_requests"] for d in models[0]["daily_data"]) == models[0]["sum_api_requests"]
    empty = world.json("/global/activity", who, start_date="2001-01-01", end_date="2001-01-02")
    assert empty == {"daily_data": [], "sum_api_requests": 0, "sum_total_tokens": 0}
    assert world.get("/global/activity", who).status == world.get("/global/activity/model", who, start_date="x", end_date="y").status == 400


@pytest.mark.parametrize(("who", "query"), [("master", {}), ("ann", {}), ("master", {"models": ["model-1"]}), ("ivy", {"models": ["model-1", "x"]}),
                                            ("master", {"key_aliases": ["alias bob", "Unnamed Key"]})])  # fmt: skip
def test_caches(world, who, query):
    where = {"master": "true", "ann": "(\"user\" = 'ann' OR team_id = 'red')", "ivy": "\"user\" = 'ivy'"}[who] + " AND call_type <> '/key/info'"
    chosen = where
    if "models" in query:
        chosen += f" AND model = ANY ('{{{','.join(query['models'])}}}')"
    if "key_aliases" in query:
        chosen += f" AND api_key = '{world.hashes[1]}'"
    got = world.json("/global/activity/cache_hits", who, **world.days, **query)
    groups = world.rows(f"""SELECT coalesce(nullif(call_type, ''), 'Unknown'), count(*) FILTER (WHERE cache_hit = 'True'), count(*) FILTER
        (WHERE status = 'failure'), count(*), coalesce(sum(completion_tokens) FILTER (WHERE cache_hit = 'True'), 0),
        coalesce(sum(completion_tokens) FILTER (WHERE cache_hit <> 'True'), 0) FROM LOGS WHERE {chosen} GROUP BY 1 ORDER BY 4 DESC""")
    assert [(g["call_type"], g["cache_hits"], g["failed_requests"], g["cached_completion_tokens"], g["generated_completion_tokens"], g["api_requests"])
            for g in got["groups"]] == [(c, int(h), int(f), int(a), int(m), int(n) - int(h) - int(f)) for c, h, f, n, a, m in groups]
    hits, n = sum(int(g[1]) for g in groups), sum(int(g[3]) for g in groups)
    assert got["totals"]["cache_hits"] == hits and got["totals"]["cache_hit_ratio"] == pytest.approx(100 * hits / n)
    assert got["filter_options"]["models"] == [m for (m,) in world.rows(f"SELECT DISTINCT model FROM LOGS WHERE {where} ORDER BY 1")]
    assert got["filter_options"]["key_aliases"] == {"master": ["alias ann", "alias bob", "alias ivy", "alias zoe"], "ann": ["alias ann", "alias bob"],
                                                    "ivy": ["alias ivy"]}[who]
    assert sum(e["count"] for e in got["error_breakdown"]) == sum(int(g[2]) for g in groups)
    assert {(e["error_code"], e["error_class"]) for e in got["error_breakdown"]} <= {("429", "RateLimit")}
    assert world.get("/global/activity/cache_hits", who).status == 422


# --- the report

def test_report(world):
    teams = world.json("/global/spend/report", **world.days)
    assert len(teams) == 11 and teams[0]["group_by_day"].endswith("T00:00:00+00:00")
    assert {t["team_name"] for d in teams for t in d["teams"]} == {"Red", "Unassigned Team"}
    assert sum(t["total_spend"] for d in teams for t in d["teams"]) == near(80.2)
    assert sum(m["total_tokens"] for d in teams for t in d["teams"] for m in t["metadata"]) == 3 * 400 * 401 // 2
    assert {t["team_name"] for d in world.json("/global/spend/report", **world.days, team_id="red") for t in d["teams"]} == {"Red"}
    customers = world.json("/global/spend/report", **world.days, group_by="customer")
    assert sum(c["total_spend"] for d in customers for c in d["customers"]) == near(80.2)
    expected = dict(world.rows("SELECT end_user, sum(spend) FROM LOGS WHERE end_user <> '' GROUP BY 1"))
    for name, spend in expected.items():
        assert sum(c["total_spend"] for d in customers for c in d["customers"] if c["customer"] == name) == near(spend)
    both = world.json("/global/spend/report", **world.days, team_id="red", customer_id="customer-4")
    assert sum(t["total_spend"] for d in both for t in d["teams_customers"]) == near(
        world.rows("SELECT sum(spend) FROM LOGS WHERE team_id = 'red' AND end_user = 'customer-4'")[0][0])
    keys = world.json("/global/spend/report", **world.days, group_by="api_key")
    assert {k["api_key"]: (near(k["total_cost"]), k["total_input_tokens"], k["total_output_tokens"]) for k in keys} == {
        k: (near(s), int(i), int(o)) for k, s, i, o in world.rows(
            "SELECT api_key, sum(spend), sum(prompt_tokens), sum(completion_tokens) FROM LOGS GROUP BY 1")}
    for query, key in [({"api_key": world.tenants.keys["bob"]}, world.hashes[1]), ({"internal_user_id": "zoe"}, world.hashes[2])]:
        (one,), (among,) = world.json("/global/spend/report", **world.days, **query), [k for k in keys if k["api_key"] == key]
        assert one["total_cost"] == near(among["total_cost"]) and len(one["model_details"]) == len(among["model_details"]) == 3
        assert sum(m["total_cost"] for m in one["model_details"]) == near(one["total_cost"])
    assert world.get("/global/spend/report", **world.days, group_by="planet").status == 422
    assert world.get("/global/spend/report").status == 400 and world.json("/global/spend/report", **world.days, api_key="' OR 1=1 --") == []


# --- who may

SEEN_BY = ["master", "root", "vera", "spender"]
WHOLE = ["/global/spend", "/global/spend/logs", "/global/spend/keys", "/global/spend/teams", "/global/spend/models", "/global/spend/provider",
         "/global/spend/tags", "/global/spend/all_tag_names", "/global/spend/report"]  # fmt: skip


@pytest.mark.parametrize("path", WHOLE)
def test_the_whole_is_for_admins_and_whom_they_let(all_, path):
    for who in ("master", "root", "vera", "spender", "ann", "bob", "ivy", "ines", "olga", "nobody"):
        assert all_.get(path, who, **all_.days).status == (200 if who in SEEN_BY else 401), who
    assert all_.cp.get(path, key=None).status == 401


def test_keys_and_users(all_):
    assert len(all_.json("/spend/keys")) == 11 and "user_id" in all_.json("/spend/keys")[0]
    assert {k["user_id"] for k in all_.json("/spend/keys", "bob")} == {"bob"}
    users = all_.json("/spend/users")
    assert len(users) == 8 and not any("password" in u for u in users)
    assert [u["user_id"] for u in all_.json("/spend/users", "bob")] == ["bob"]
    assert [u["user_id"] for u in all_.json("/spend/users", user_id="zoe")] == ["zoe"]
    assert all_.get("/spend/users", "bob", user_id="zoe").status == all_.get("/spend/users", "bob", user_id="none").status == 403
    lines = list(csv.DictReader(io.StringIO(all_.get("/spend/keys", format="csv").body.decode())))
    assert len(lines) == 11 and "token" in lines[0]


def test_reset(postgres, database, start):
    cp = start(database)
    tenants = Tenants(cp, postgres)
    postgres.sql(database, """UPDATE "LiteLLM_VerificationToken" SET spend = 3; UPDATE "LiteLLM_TeamTable" SET spend = 4""")
    for who in ("root", "vera", "ann"):
        assert cp.post("/global/spend/reset", key=tenants.keys[who]).status == 401
    reply = cp.post("/global/spend/reset")
    assert reply.json == {"message": "Spend for all API Keys and Teams reset successfully", "status": "success"}
    assert postgres.sql(database, """SELECT (SELECT sum(spend) FROM "LiteLLM_VerificationToken"), (SELECT sum(spend) FROM "LiteLLM_TeamTable")""") == [("0", "0")]
    assert [a[3]["rows"] for a in tenants.audits("*")] == [2, 9]


# --- what requests cost

def test_estimate(all_):
    def ask(**body):
        return all_.cp.post("/cost/estimate", body, key=all_.tenants.keys["ivy"])

    got = ask(model="own", input_tokens=1000, output_tokens=500, num_requests_per_day=10, num_requests_per_month=300).json
    assert (got["cost_per_request"], got["input_cost_per_request"], got["output_cost_per_request"]) == (0.0025, 0.001, 0.0015)
    assert (got["daily_cost"], got["monthly_cost"], got["monthly_input_cost"]) == (0.025, 0.75, 0.3)
    assert (got["input_cost_per_token"], got["output_cost_per_token"], got["provider"], got["model"]) == (1e-6, 3e-6, "openai", "own")
    got = ask(model="gpt", input_tokens=1000, output_tokens=100, cache_read_input_tokens=400).json
    assert got["cost_per_request"] == near(600 * 2.5e-6 + 400 * 1.25e-6 + 100 * 1e-5) and got["cache_read_cost_per_request"] == near(0.0005)
    assert got["daily_cost"] is None and got["margin_cost_per_request"] == 0
    assert ask(model="openai/gpt-4o", input_tokens=0, output_tokens=0).json["cost_per_request"] == 0
    assert ask(model="gpt", input_tokens=1, output_tokens=1, reasoning_tokens=2).status == 422
    assert ask(model="gpt", input_tokens=1, output_tokens=1, cache_read_input_tokens=1, cache_creation_input_tokens=1).status == 422
    for bad in ({"input_tokens": -1}, {"input_tokens": 10**18}, {"model": None}, {"num_requests_per_day": 10**18}):
        assert ask(**{"model": "gpt", "input_tokens": 1, "output_tokens": 1, **bad}).status == 422
    reply = ask(model="no-such-model", input_tokens=1, output_tokens=1)
    assert reply.status == 404 and reply.json["detail"]["error"].startswith("Could not calculate cost for model 'no-such-model'")


def test_calculate(all_):
    def ask(**body):
        return all_.cp.post("/spend/calculate", body, key=all_.tenants.keys["ivy"])

    usage = {"prompt_tokens": 1000, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 400}}
    assert ask(completion_response={"model": "gpt-4o", "usage": usage}).json == {"cost": near(600 * 2.5e-6 + 400 * 1.25e-6 + 200 * 1e-5)}
    one = ask(model="own", messages=[{"role": "user", "content": "hello there"}]).json["cost"]
    two = ask(model="own", messages=[{"role": "user", "content": "hello there " * 100}]).json["cost"]
    assert 0 < one < 2e-5 < two < 1e-3
    for body, text in [({"model": "gpt"}, "messages must be provided"), ({}, "Either 'model' or 'completion_response'"),
                       ({"model": "no-such-model", "messages": []}, "isn't mapped yet")]:  # fmt: skip
        reply = ask(**body)
        assert reply.status == 400 and text in reply.json["error"]["message"], reply.body
