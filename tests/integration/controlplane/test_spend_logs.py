"""Log rows: /spend/logs in its three forms, a row's bodies, sessions, who sees what; index and sums stay what the rows say."""

import csv
import io
import json
from urllib.parse import urlencode

import pytest
from support.controlplane import ControlPlane
from support.tenants import Tenants, sha256

WINDOW = {"start_date": "2026-03-01 00:00:00", "end_date": "2026-03-31 23:59:59"}
DAYS = {"start_date": "2026-03-01", "end_date": "2026-03-31"}

# 600 rows over 20 days, each of a key, user, team, model as its number says; every tenth failed
FILL = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens,
    "startTime", "endTime", "completionStartTime", model, model_id, model_group, custom_llm_provider, "user", metadata, cache_hit,
    request_tags, team_id, end_user, session_id, status, litellm_call_id, request_duration_ms, messages, response)
SELECT 'req-' || lpad(i::text, 3, '0'), CASE i % 7 WHEN 0 THEN 'call_mcp_tool' ELSE 'acompletion' END, {keys}, i * 0.001, 3 * i, i, 2 * i,
    timestamp '2026-03-02' + i * interval '47 minutes', timestamp '2026-03-02' + i * interval '47 minutes' + i % 11 * interval '1 second',
    NULL, 'model-' || i % 3, 'id-' || i % 3, 'group-' || i % 3, 'openai', {users},
    jsonb_build_object('user_api_key_alias', 'alias_' || i % 4, 'error_information', CASE WHEN i % 10 = 0 THEN
        jsonb_build_object('error_code', '429', 'error_class', 'RateLimit', 'error_message', 'too many of 100%, try ' || i) END),
    CASE i % 5 WHEN 0 THEN 'True' ELSE 'None' END, jsonb_build_array('tag-' || i % 2, 'all'), {teams}, 'customer-' || i % 6,
    'session-' || i / 10, CASE WHEN i % 10 = 0 THEN 'failure' WHEN i % 10 = 1 THEN NULL ELSE 'success' END, 'call-' || i, i % 11 * 1000,
    '{{"kept": true}}', '{{"said": "=1+1"}}'
FROM generate_series(1, 600) AS i"""


class World:
    def __init__(self, cp, postgres):
        self.cp, self.postgres, self.tenants = cp, postgres, Tenants(cp, postgres)
        names = ["ann", "bob", "zoe", "ivy"]
        self.hashes = [sha256(self.tenants.keys[n]) for n in names]
        pick = lambda values: "(ARRAY[" + ",".join(f"'{v}'" for v in values) + "])[1 + i % 4]"  # noqa: E731
        self.sql(FILL.format(keys=pick(self.hashes), users=pick(names), teams="(ARRAY['red','red','blue',NULL])[1 + i % 4]"))

    def sql(self, text, *args):
        return self.postgres.sql(self.cp.database, text, *args)

    def count(self, where="true"):
        return int(self.sql(f'SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE {where}')[0][0])

    def get(self, path, who="master", **query):
        return self.cp.get(path + "?" + urlencode(query), key=self.tenants.keys[who])

    def settled(self):
        """Until everything is in index and sums."""
        def done():
            return self.sql("""SELECT covered_from = '-infinity' AND NOT EXISTS (SELECT FROM weir.log_delta) FROM weir.log_state""") == [("t",)]
        self.cp.wait(done, what="index and sums")


@pytest.fixture(scope="module")
def world(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema)) as cp:
        yield World(cp, postgres)


# what is asked for, and the rows that are meant
FILTERS = [
    ({}, "true"), ({"api_key": "K0"}, "api_key = '{0}'"), ({"user_id": "bob"}, "\"user\" = 'bob'"), ({"team_id": "red"}, "team_id = 'red'"),
    ({"model": "model-1"}, "model = 'model-1'"), ({"model_id": "id-2"}, "model_id = 'id-2'"), ({"model_group": "group-0"}, "model_group = 'group-0'"),
    ({"status_filter": "success"}, "status = 'success' OR status IS NULL"), ({"status_filter": "failure"}, "status = 'failure'"),
    ({"cache_hit_filter": "hit"}, "cache_hit = 'True'"), ({"cache_hit_filter": "miss"}, "cache_hit <> 'True'"),
    ({"span_type": "mcp"}, "call_type = 'call_mcp_tool'"), ({"span_type": "llm"}, "call_type = 'acompletion'"), ({"span_type": "batch"}, "false"),
    ({"key_alias": "alias_2"}, "metadata ->> 'user_api_key_alias' = 'alias_2'"), ({"key_alias": "s_"}, "true"), ({"key_alias": "%"}, "false"),
    ({"end_user": "customer-3"}, "end_user = 'customer-3'"), ({"error_code": "429"}, "status = 'failure'"),
    ({"error_message": "100%, try 50"}, "request_id IN ('req-050', 'req-500')"), ({"error_message": "try 5_"}, "false"),
    ({"min_spend": 0.3}, "spend >= 0.3"), ({"max_spend": "0.1", "min_spend": "0.05"}, "spend BETWEEN 0.05 AND 0.1"),
    ({"session_id": "session-12"}, "session_id = 'session-12'"), ({"request_id": "req-077"}, "request_id = 'req-077'"),
    ({"request_id": "call-77"}, "request_id = 'req-077'"), ({"search": "blue"}, "team_id = 'blue'"), ({"search": "call-5"}, "request_id = 'req-005'"),
    ({"search": "customer-1"}, "end_user = 'customer-1'"), ({"search": "session-7"}, "session_id = 'session-7'"),
    ({"api_key": "K1", "model": "model-2", "status_filter": "failure"}, "api_key = '{1}' AND model = 'model-2' AND status = 'failure'"),
    ({"user_id": "ann", "min_spend": 0.2, "error_code": "429"}, "\"user\" = 'ann' AND spend >= 0.2 AND status = 'failure'"),
    ({"start_date": "2026-03-05 12:34:56", "end_date": "2026-03-09 01:02:03"}, "\"startTime\" BETWEEN '2026-03-05 12:34:56' AND '2026-03-09 01:02:03'"),
    ({"start_date": "2026-03-05 12:34:56", "end_date": "2026-03-05 18:00:00", "team_id": "red"},
     "\"startTime\" BETWEEN '2026-03-05 12:34:56' AND '2026-03-05 18:00:00' AND team_id = 'red'"),
    ({"start_date": "2026-03-09 00:00:00", "end_date": "2026-03-05 00:00:00"}, "false"),
    ({"model": "'; DROP TABLE \"LiteLLM_SpendLogs\"; --"}, "false"), ({"api_key": "' OR '1'='1"}, "false"), ({"team_id": "\\"}, "false"),
    ({"exclude_internal_health_checks": "true"}, "true"), ({"used_client_oauth_token": "true"}, "false"),
]  # fmt: skip


def named(world, query):
    return {k: world.hashes[int(v[1:])] if k == "api_key" and v[0] == "K" else v for k, v in query.items()}


@pytest.mark.parametrize("where_it_is", ["in the rows", "in the index"])
@pytest.mark.parametrize(("query", "where"), FILTERS, ids=lambda v: json.dumps(v) if isinstance(v, dict) else "")
def test_a_page_holds_what_its_filter_means(world, query, where, where_it_is):
    world.settled()
    where = where.format(*world.hashes)
    if where_it_is == "in the rows":
        world.sql("UPDATE weir.log_state SET covered_from = 'infinity', failures = failures + 1")
    expected = [r for (r,) in world.sql(f'SELECT request_id FROM "LiteLLM_SpendLogs" WHERE {where} ORDER BY "startTime" DESC')]
    reply = world.get("/spend/logs/v2", **{**WINDOW, **named(world, query), "page_size": 7, "page": 2})
    assert reply.status == 200, reply.body
    page = reply.json
    assert (page["total"], page["total_pages"], page["total_is_capped"]) == (len(expected), -(-len(expected) // 7), False)
    assert [r["request_id"] for r in page["data"]] == expected[7:14]
    all_ = world.get("/spend/logs/v2", **{**WINDOW, **named(world, query), "page_size": 1000}).json["data"]
    assert [r["request_id"] for r in all_] == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["startTime", "endTime", "spend", "total_tokens", "request_duration_ms", "model", "ttft_ms"])
def test_every_order(world, by, order):
    world.settled()
    seen = []
    for page in range(1, 8):
        rows = world.get("/spend/logs/v2", **WINDOW, sort_by=by, sort_order=order, page=page, page_size=100).json["data"]
        assert len(rows) == (100 if page < 7 else 0)
        seen += rows
    assert len({r["request_id"] for r in seen}) == 600
    values = [r.get(by) for r in seen]
    if by != "ttft_ms":
        assert values == sorted(values, reverse=order == "desc")


ORDERED = [({}, "true"), ({"min_spend": 0.1}, "spend >= 0.1"), ({"api_key": "K1"}, "api_key = '{1}'"), ({"end_user": "customer-2"}, "end_user = 'customer-2'"),
           ({"error_message": "too many"}, "status = 'failure'"), ({"team_id": "red", "max_spend": 0.4}, "team_id = 'red' AND spend <= 0.4"),
           ({"status_filter": "success", "min_spend": 0.2}, "(status = 'success' OR status IS NULL) AND spend >= 0.2")]  # fmt: skip


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["startTime", "spend", "total_tokens"])
@pytest.mark.parametrize(("query", "where"), ORDERED, ids=[json.dumps(q) for q, _ in ORDERED])
def test_pages_of_a_filter_in_every_order(world, query, where, by, order):
    world.settled()
    column = f'"{by}" {order}' + ("" if by == "startTime" else f', "startTime" {order}')
    expected = [r for (r,) in world.sql(f"""SELECT request_id FROM "LiteLLM_SpendLogs" WHERE {where.format(*world.hashes)}
                                            ORDER BY {column}, request_id {order}""")]  # fmt: skip
    seen = []
    for page in range(1, len(expected) // 25 + 2):
        reply = world.get("/spend/logs/v2", **WINDOW, **named(world, query), sort_by=by, sort_order=order, page=page, page_size=25)
        assert reply.status == 200 and reply.json["total"] == len(expected), reply.body
        seen += [r["request_id"] for r in reply.json["data"]]
    assert seen == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ["spend", "total_tokens"])
def test_rows_of_one_value_are_each_on_one_page(world, by, order):
    """Hundreds of one value, some at the same moment, on days that have none, few and most of them."""
    world.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, total_tokens, "startTime", "endTime")
                 SELECT 'same-' || i, 'x', CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END, i % 10 / 9,
                        timestamp '2026-02-01' + CASE WHEN i < 700 THEN 1 ELSE 100 END * (i / 3) * interval '1 minute', now()
                 FROM generate_series(1, 900) AS i""")
    try:
        world.settled()
        window = {"start_date": "2026-02-01 00:00:00", "end_date": "2026-02-27 23:59:59"}
        expected = [r for (r,) in world.sql(f"""SELECT request_id FROM "LiteLLM_SpendLogs" WHERE request_id LIKE 'same-%'
                                                ORDER BY {by} {order}, "startTime" {order}, request_id {order}""")]  # fmt: skip
        pages = [world.get("/spend/logs/v2", **window, sort_by=by, sort_order=order, page=page, page_size=40).json for page in range(1, 25)]
        assert [r["request_id"] for p in pages for r in p["data"]] == expected
        assert {p["total"] for p in pages} == {900}
    finally:
        world.sql("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id LIKE 'same-%'""")


def test_a_session_that_there_is_means_itself(world):
    def sessions(text):
        return {r["session_id"] for r in world.get("/spend/logs/v2", **WINDOW, session_id=text, page_size=1000).json["data"]}

    assert sessions("session-1") == {"session-1"} and sessions("session-") == {f"session-{i}" for i in range(61)}
    assert sessions("ion-12") == {"session-12"} and sessions("session%") == set()


def test_what_statements_left_is_given_back(world):
    world.settled()
    world.sql("""BEGIN; INSERT INTO weir.log_delta (hour, day, series, n, spend, prompt_tokens, completion_tokens, total_tokens)
                 SELECT '2026-03-01', '2026-03-01', 1, 0, 0, 0, 0, 0 FROM generate_series(1, 600000);
                 DELETE FROM weir.log_delta WHERE series = 1; COMMIT""")  # fmt: skip
    size = "SELECT pg_relation_size('weir.log_delta')"
    world.cp.wait(lambda: int(world.sql(size)[0][0]) < 1 << 20, timeout=60, what="it is small again")
    agree(world)


def test_entries_go_with_the_rows_of_a_dropped_day(world):
    world.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", metadata, request_tags)
                 SELECT 'old-' || i, 'x', timestamp '2020-05-05' + i * interval '1 second', now(),
                        CASE WHEN i % 2 = 0 THEN '{"error_information": {"error_message": "no"}}' ELSE '{}' END::jsonb, '["a", "b"]'
                 FROM generate_series(1, 100) i""")  # fmt: skip
    world.settled()
    world.sql("SET session_replication_role = replica; DELETE FROM \"LiteLLM_SpendLogs\" WHERE request_id LIKE 'old-%'")
    assert world.sql("SELECT count(*) FROM weir.log WHERE at < '2021-01-01'") == [("100",)]
    while world.sql("SELECT weir.log_forget(30)") == [("t",)]:
        pass
    assert world.sql("SELECT count(*) FROM weir.log WHERE at < '2021-01-01'") == [("0",)]
    agree(world)


def test_a_row_says_all_but_its_bodies(world):
    row = world.get("/spend/logs/v2", **WINDOW, request_id="req-011").json["data"][0]
    assert {k: row[k] for k in ("request_id", "spend", "total_tokens", "model", "user", "status", "request_duration_ms")} == {
        "request_id": "req-011", "spend": 0.011, "total_tokens": 33, "model": "model-2", "user": "ivy", "status": None, "request_duration_ms": 0}
    assert row["startTime"] == "2026-03-02T08:37:00+00:00" and row["metadata"]["user_api_key_alias"] == "alias_3"
    assert row["request_tags"] == ["tag-1", "all"]
    assert not {"messages", "response", "proxy_server_request"} & set(row)


@pytest.mark.parametrize(("query", "status", "text"), [
    ({}, 400, "Start date and end date are required"),
    ({"start_date": "2026-03-01"}, 400, "Start date and end date are required"),
    ({**WINDOW, "start_date": "01.03.2026"}, 400, "Invalid date format: 01.03.2026. Expected: 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'"),
    ({**WINDOW, "end_date": "2026-02-30"}, 400, "Invalid date format"), ({**WINDOW, "end_date": "2026-02-03 24:00:00"}, 400, "Invalid date format"),
    ({**WINDOW, "sort_by": "api_key"}, 400, "Must be one of: endTime, model, request_duration_ms, spend, startTime, total_tokens, ttft_ms"),
    ({**WINDOW, "sort_by": "spend; DROP TABLE x"}, 400, "Invalid sort_by"), ({**WINDOW, "sort_order": "up"}, 400, "Invalid sort_order"),
    ({**WINDOW, "cache_hit_filter": "x"}, 400, "hit, miss"), ({**WINDOW, "span_type": "x"}, 400, "llm, agent, mcp, batch"),
    ({**WINDOW, "page": 0}, 422, "page"), ({**WINDOW, "page_size": 1001}, 422, "page_size"), ({**WINDOW, "page": "x"}, 422, "page"),
    ({**WINDOW, "min_spend": "much"}, 422, "min_spend"),
])  # fmt: skip
def test_what_is_refused(world, query, status, text):
    reply = world.get("/spend/logs/v2", **query)
    assert reply.status == status and text in reply.body.decode(), reply.body


def test_far_pages_and_huge_values(world):
    for query in ({"page": 10**15, "page_size": 1000}, {"page": 10**9}, {"min_spend": "1e308"}, {"team_id": "x" * 5000}):
        reply = world.get("/spend/logs/v2", **WINDOW, **query)
        assert reply.status == 200 and reply.json["data"] == [], reply.body
    assert world.get("/spend/logs/v2", start_date="0001-01-01", end_date="9999-12-31").json["total"] == 600


@pytest.mark.parametrize("path", ["/spend/logs/v2", "/spend/logs/ui"])
@pytest.mark.parametrize("grouped", ["false", "true"])
@pytest.mark.parametrize(("who", "team"), [("ivy", {}), ("master", {"team_id": "none"})])
def test_all_filters_at_once(world, path, grouped, who, team):
    world.settled()
    names = ("api_key", "user_id", "request_id", "session_id", "model", "model_id", "model_group", "key_alias", "end_user", "error_code", "error_message")
    query = {**WINDOW, **team, **{n: "none" for n in names}, "min_spend": 0, "max_spend": 1, "status_filter": "success", "cache_hit_filter": "miss",
             "used_client_oauth_token": "false", "span_type": "llm", "exclude_internal_health_checks": "true", "sort_by": "spend",
             "group_by_session": grouped}  # fmt: skip
    for search in ({}, {"search": "none"}):
        reply = world.get(path, who, **query, **search)
        assert reply.status == (403 if who == "ivy" and path.endswith("ui") and (search or grouped == "false") else 200), reply.body


# --- who sees what

VISIBLE = {"master": 600, "root": 600, "vera": 600, "ann": 300, "bob": 150, "zoe": 150, "ivy": 150, "ines": 0}


@pytest.mark.parametrize("path", ["/spend/logs/v2", "/spend/logs/ui"])
@pytest.mark.parametrize("who", VISIBLE)
def test_users_see_their_own_and_admins_their_teams(world, path, who):
    world.settled()
    page = world.get(path, who, **WINDOW, page_size=1000).json
    assert page["total"] == len(page["data"]) == VISIBLE[who]
    if who not in ("master", "root", "vera"):
        assert {(r["user"], r["team_id"]) for r in page["data"]} <= {(who, None), (who, "red"), (who, "blue")} | (
            {("bob", "red")} if who == "ann" else set())


def test_a_member_sees_the_team_where_it_lets_them(world):
    assert world.get("/spend/logs/v2", "bob", **WINDOW, team_id="red").status == 403
    world.sql("UPDATE \"LiteLLM_TeamTable\" SET team_member_permissions = '{/spend/logs}' WHERE team_id = 'red'")
    try:
        assert world.get("/spend/logs/v2", "bob", **WINDOW).json["total"] == 300
        assert world.get("/spend/logs/v2", "bob", **WINDOW, team_id="red").json["total"] == 300
    finally:
        world.sql("UPDATE \"LiteLLM_TeamTable\" SET team_member_permissions = NULL WHERE team_id = 'red'")


def test_anothers_looks_like_nothing(world):
    for path, query in [("/spend/logs/v2", {**WINDOW, "team_id": "{}"}), ("/spend/logs/ui", {"request_id": "{}"}), ("/spend/logs/ui/{}", {}),
                        ("/spend/logs/session/ui", {"session_id": "{}"}), ("/spend/logs", {"request_id": "{}"})]:  # fmt: skip
        replies = []
        for name in ("blue", "none") if "team_id" in query else ("req-002", "none"):
            r = world.get(path.format(name), "ann", **{k: v.format(name) for k, v in query.items()})
            replies.append((r.status, r.body.replace(name.encode(), b"?")))
        assert replies[0] == replies[1]
    assert world.get("/spend/logs/v2", "ann", **WINDOW, user_id="zoe").json["total"] == 0


def test_bodies(world):
    assert world.get("/spend/logs/ui/req-004").json == {"messages": {"kept": True}, "response": {"said": "=1+1"}, "proxy_server_request": {}}
    assert world.get("/spend/logs/ui/call-4", "ann").status == 200  # ann's, by the call's id
    assert world.get("/spend/logs/ui/none").json is None
    assert world.get("/spend/logs/ui/req-002", "ivy").status == 403 and world.get("/spend/logs/ui/none", "ivy").status == 403


# --- sessions

def test_sessions(world):
    page = world.get("/spend/logs/session/ui", session_id="session-3", page_size=4).json
    assert (page["total"], page["total_pages"]) == (10, 3) and [r["request_id"] for r in page["data"]] == ["req-039", "req-038", "req-037", "req-036"]
    assert world.get("/spend/logs/session/ui", "ivy", session_id="session-3").json["total"] == 3
    assert world.get("/spend/logs/session/ui").status == 422
    assert world.get("/spend/logs/session/ui", session_id="none").json["data"] == []
    row = world.get("/spend/logs/ui", **WINDOW, search="req-039").json["data"][0]
    assert (row["session_total_count"], row["session_total_tokens"], row["session_models"]) == (3, 3 * (31 + 35 + 39), ["model-0", "model-1", "model-2"])
    assert row["mcp_tool_call_count"] == 1 and row["mcp_tool_call_spend"] == 0.035


def test_pages_of_sessions(world):
    seen, cursor = [], {}
    while True:
        page = world.get("/spend/logs/ui", **WINDOW, group_by_session="true", page_size=50, **cursor).json
        assert page["total"] == 241  # of a key and a session each
        seen += [(r["session_id"], r["api_key"]) for r in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"session_cursor": page["next_session_cursor"]}
    assert len(seen) == len(set(seen)) == 241
    second = world.get("/spend/logs/ui", **WINDOW, group_by_session="true", page_size=50, page=2).json["data"]
    assert [(r["session_id"], r["api_key"]) for r in second] == seen[50:100]
    backward = world.get("/spend/logs/ui", **WINDOW, group_by_session="true", page_size=50, sort_order="asc").json["data"]
    assert {(r["session_id"], r["api_key"]) for r in backward} == set(seen[-50:])
    by_spend = world.get("/spend/logs/ui", **WINDOW, group_by_session="true", sort_by="spend").json
    assert by_spend["total"] == 241 and by_spend["data"][0]["request_id"] == "req-600"
    failed = world.get("/spend/logs/ui", **WINDOW, group_by_session="true", status_filter="failure").json
    assert failed["total"] and {r["status"] for r in failed["data"]} == {"failure"}


# --- the old list

def test_days(world):
    world.settled()
    days = world.get("/spend/logs", **DAYS).json
    assert [d["startTime"] for d in days] == [f"2026-03-{d:02}" for d in range(2, 32)]
    assert sum(d["spend"] for d in days) == pytest.approx(0.001 * 600 * 601 / 2, abs=1e-9)
    first = world.sql("""SELECT sum(spend), sum(spend) FILTER (WHERE "user" = 'ann'), sum(spend) FILTER (WHERE model = 'model-1')
                         FROM "LiteLLM_SpendLogs" WHERE "startTime" < '2026-03-03'""")[0]  # fmt: skip
    got = days[0]
    assert [got["spend"], got["users"]["ann"], got["models"]["model-1"]] == pytest.approx([float(v) for v in first], abs=1e-9)
    assert got[world.hashes[0]] == got["users"]["ann"] and days[-1] == {"startTime": "2026-03-31", "spend": 0, "users": {}, "models": {}}
    own = world.get("/spend/logs", "ivy", **DAYS, user_id="zoe").json
    assert all(set(d["users"]) <= {"ivy"} for d in own)
    assert world.get("/spend/logs", start_date="2027-01-01", end_date="2027-02-01").json == []
    assert world.get("/spend/logs", start_date="yesterday", end_date="2027-02-01").status == 400


def test_rows(world):
    rows = world.get("/spend/logs").json
    assert len(rows) == 600 and rows[0]["request_id"] == "req-600" and rows[0]["response"] == {"said": "=1+1"} and rows[0]["startTime"].endswith("Z")
    assert len(world.get("/spend/logs", api_key=world.tenants.keys["ann"]).json) == 150  # by the key itself
    assert [r["request_id"] for r in world.get("/spend/logs", request_id="call-9").json] == ["req-009"]
    assert {r["user"] for r in world.get("/spend/logs", "bob", user_id="zoe").json} == {"bob"}
    assert len(world.get("/spend/logs", start_date="2026-03-03", end_date="2026-03-04", summarize="false").json) == world.count(
        "\"startTime\" BETWEEN '2026-03-03' AND '2026-03-04'")


# --- CSV

def test_csv(world):
    reply = world.get("/spend/logs/v2", **WINDOW, format="csv")
    assert reply.header("content-type").startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert len(rows) == 600 and rows[0]["request_id"] == "req-600" and float(rows[0]["spend"]) == 0.6 and json.loads(rows[0]["request_tags"]) == ["tag-0", "all"]
    paged = world.cp.get("/spend/logs/v2?" + urlencode({**WINDOW, "page": 3, "page_size": 10}), headers=[("Accept", "text/csv")])
    assert len(list(csv.reader(io.StringIO(paged.body.decode())))) == 11


def test_a_cell_is_no_formula(world):
    world.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", model, end_user)
                 VALUES ('formula', 'x', '2020-01-01', '2020-01-01', '=HYPERLINK("x","y")', '@SUM(1)')""")
    try:
        row = list(csv.DictReader(io.StringIO(world.get("/spend/logs/v2", start_date="2020-01-01", end_date="2020-01-02", format="csv").body.decode())))[0]
        assert row["model"] == "'=HYPERLINK(\"x\",\"y\")" and row["end_user"] == "'@SUM(1)"
    finally:
        world.sql("DELETE FROM \"LiteLLM_SpendLogs\" WHERE request_id = 'formula'")


# --- index and sums

SUMS = """SELECT (SELECT count(*) FROM "LiteLLM_SpendLogs"), (SELECT count(*) FROM weir.log),
    (SELECT round(sum(spend)::numeric, 9) FROM "LiteLLM_SpendLogs"), {}"""
TABLES = ("log_day", "log_day_model", "log_day_key", "log_day_end_user")


def agree(world):
    world.settled()
    sums = world.sql(SUMS.format(", ".join(f"(SELECT sum(n) || ' ' || round(sum(spend)::numeric, 9) FROM weir.{t})" for t in TABLES)))[0]
    rows, entries, spend, *totals = sums
    hours = world.sql("SELECT sum(n) FROM weir.log_hour")[0][0]
    tags = world.sql("SELECT sum(n) FROM weir.log_day_tag")[0][0]
    assert entries == hours == rows and tags == str(2 * int(rows)) and totals == [f"{rows} {spend}"] * len(TABLES)


def test_writers_of_all_kinds_are_counted_once(world):
    agree(world)
    world.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, "startTime", "endTime", request_tags)
                 SELECT 'more-' || i, 'x', 0.5, timestamp '2026-03-01' + i * interval '1 hour', now(), '["a", "b"]'
                 FROM generate_series(1, 50) AS i ON CONFLICT DO NOTHING;
                 INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime") VALUES ('more-1', 'x', '2026-03-01 01:00:00', now())
                 ON CONFLICT DO NOTHING""")
    agree(world)
    world.sql("""UPDATE "LiteLLM_SpendLogs" SET spend = spend + 1, model = 'other' WHERE request_id LIKE 'more-%'""")
    agree(world)
    reply = world.get("/spend/logs/v2", **WINDOW, model="other")
    assert reply.status == 200 and reply.json["total"] == 50, reply.body
    world.sql("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id LIKE 'more-%'""")
    agree(world)
    assert world.get("/spend/logs/v2", **WINDOW, model="other").json["total"] == 0


def test_rows_from_before_are_taken_once_and_in_pieces(world):
    world.settled()
    more = world.sql("""BEGIN; TRUNCATE weir.log, weir.log_hour, weir.log_day, weir.log_day_model, weir.log_day_key, weir.log_day_end_user, weir.log_day_tag;
                        UPDATE weir.log_state SET covered_from = 'infinity'; SELECT weir.log_backfill(100); COMMIT""")
    assert more == [("t",)]  # the job does the rest
    agree(world)


def test_a_row_that_cannot_be_taken_never_fails_its_writer(world):
    world.settled()
    world.sql("ALTER TABLE weir.log ADD CONSTRAINT none CHECK (request_id <> 'odd')")
    world.sql("""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, "startTime", "endTime", request_tags)
                 VALUES ('odd', 'x', '2026-03-03', '2026-03-03', '["a", "b"]')""")
    assert world.sql("SELECT covered_from, failures > 0 FROM weir.log_state")[0] == ("infinity", "t")
    assert world.get("/spend/logs/v2", **WINDOW).json["total"] == 601  # out of the rows
    world.sql("ALTER TABLE weir.log DROP CONSTRAINT none")
    agree(world)
    world.sql("""DELETE FROM "LiteLLM_SpendLogs" WHERE request_id = 'odd'""")
    agree(world)


def test_more_statements_than_a_connection_keeps_prepared(start, database):
    """Each set of filters is a statement; a connection prepares some hundred of them."""
    cp = start(database, {"weir": {"report_threads": 1}})
    names = ["api_key", "user_id", "team_id", "model", "model_id", "model_group", "key_alias", "end_user", "session_id", "request_id"]
    for again in range(2):
        for n in range(600):
            filters = "&".join(f"{name}=x" for i, name in enumerate(names) if n >> i & 1)
            reply = cp.get(f"/spend/logs/v2?start_date=2026-01-01&end_date=2026-01-02&{filters}")
            assert reply.status == 200, (again, n, reply.body)
