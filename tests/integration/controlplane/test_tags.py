"""/tag: every route's happy, forbidden, invalid and not-found cases."""

import itertools

import pytest

names = (f"tag-{i}" for i in itertools.count())


def make(cp, **body):
    reply = cp.post("/tag/new", {"name": next(names), **body})
    assert reply.status == 200, reply.body
    return reply.json["tag"]


def row_of(cp, name):
    return cp.post("/tag/info", {"names": [name]}).json[name]


def test_tag_has_what_was_asked_for(cp, tenants):
    reply = cp.post("/tag/new", {"name": "first", "description": "d", "max_budget": 5, "budget_duration": "7d"})
    assert (reply.status, reply.json["message"]) == (200, "Tag first created successfully")
    tag = reply.json["tag"]
    assert (tag["name"], tag["description"], tag["models"], tag["model_info"], tag["created_by"]) == ("first", "d", [], {}, "default_user_id")
    budget = tag["litellm_budget_table"]
    assert budget["max_budget"] == 5 and budget["budget_reset_at"].endswith("T00:00:00Z")
    assert row_of(cp, "first") == tag
    assert [a for a, *_ in tenants.audits("first")] == ["created"]
    assert [a for a, *_ in tenants.audits(budget["budget_id"])] == ["created"]
    assert make(cp, budget_id=budget["budget_id"])["litellm_budget_table"] == budget
    reply = cp.post("/tag/new", {"name": "first"})
    assert (reply.status, reply.json) == (400, {"detail": "Tag first already exists"})


def test_models_of_the_database_get_the_tag(cp, tenants, postgres):
    for id_, name in (("id-1", "one"), ("id-2", "two"), ("id-3", "two")):
        postgres.sql(cp.database, """INSERT INTO "LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info, created_by, updated_by)
                                     VALUES (%s, %s, '{"model": "sealed", "tags": ["old"]}', '{}', 'x', 'x')""", id_, name)  # fmt: skip
    tag = make(cp, models=["id-1", "two", "none"])
    assert (tag["models"], tag["model_info"]) == (["id-1", "two", "none"], {"id-1": "one"})
    rows = postgres.sql(cp.database, 'SELECT litellm_params::text FROM "LiteLLM_ProxyModelTable" ORDER BY model_id')
    assert all(f'["old", "{tag["name"]}"]' in row and '"sealed"' in row for (row,) in rows) and len(rows) == 3
    assert [(a, after["litellm_params"]) for a, _, _, after in tenants.audits("id-2")] == [("updated", "********")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"max_budget": -1}, {"error": "max_budget must be a non-negative finite number. Received: -1.0"}),
        ({"budget_duration": "x"}, {"error": "Invalid budget_duration 'x'. Use a format like '1h', '24h', '7d', or '30d'."}),
    ],
)
def test_values_that_cannot_be(cp, body, text):
    name = make(cp)["name"]
    for route, named in (("/tag/new", "cannot be"), ("/tag/update", name)):
        reply = cp.post(route, {"name": named, **body})
        assert (reply.status, reply.json) == (400, {"detail": text})
    assert cp.post("/tag/update", {"name": name, "spend": -1}).status == 400
    assert cp.post("/tag/new", {}).status == cp.post("/tag/new", {"name": "x", "models": "m"}).status == 422


def test_update_changes_what_stands_in_the_body(cp, tenants):
    name = make(cp, description="d", models=["m"])["name"]
    tag = cp.post("/tag/update", {"name": name, "max_budget": 5, "spend": 2}).json["tag"]
    assert (tag["description"], tag["models"], tag["litellm_budget_table"]["max_budget"]) == ("d", ["m"], 5)
    budget = tag["litellm_budget_table"]["budget_id"]
    reply = cp.post("/tag/update", {"name": name, "description": None, "models": None, "max_budget": None, "rpm_limit": 1})
    tag = reply.json["tag"]
    assert reply.json["message"] == f"Tag {name} updated successfully"
    assert (tag["description"], tag["models"]) == (None, [])
    assert (tag["litellm_budget_table"]["budget_id"], tag["litellm_budget_table"]["max_budget"]) == (budget, None)
    tag = cp.post("/tag/update", {"name": name, "budget_id": "b"}).json["tag"]
    assert tag["litellm_budget_table"]["budget_id"] == "b"
    assert [a for a, *_ in tenants.audits(name)] == ["created", "updated", "updated", "updated"]
    assert [a for a, *_ in tenants.audits(budget)] == ["created", "updated"]


def test_list_has_tags_that_only_requests_carried(cp, postgres):
    stored = make(cp)["name"]
    for tag, day in (("seen", "2026-01-02"), ("seen", "2026-01-05"), (stored, "2026-01-02")):
        postgres.sql(cp.database, """INSERT INTO "LiteLLM_DailyTagSpend" (id, tag, date, api_key, updated_at)
                                     VALUES (%s, %s, %s, 'k', '2026-01-06 01:02:03')""", f"{tag}{day}", tag, day)  # fmt: skip
    rows = cp.get("/tag/list").json
    assert [r["name"] for r in rows].count(stored) == 1
    (seen,) = [r for r in rows if r["name"] == "seen"]
    assert seen["models"] is None and seen["description"].startswith("This is just a spend tag") and seen["updated_at"] == "2026-01-06T01:02:03Z"
    for dates, there in {"start_date=2026-01-03&end_date=2026-01-05": True, "start_date=2026-01-03&end_date=2026-01-04": False}.items():
        assert ("seen" in [r["name"] for r in cp.get(f"/tag/list?{dates}").json]) == there


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("start_date=2026-01-03", "start_date and end_date must be provided together"),
        ("start_date=2026-01-03&end_date=2026-01-02", "start_date must be on or before end_date"),
        ("start_date=x&end_date=2026-01-02",
         "Invalid date format, expected YYYY-MM-DD: time data 'x' does not match format '%Y-%m-%d'"),
        ("start_date=2026-13-01&end_date=2026-01-02",
         "Invalid date format, expected YYYY-MM-DD: time data '2026-13-01' does not match format '%Y-%m-%d'"),
    ],
)  # fmt: skip
def test_dates_that_cannot_be(cp, query, text):
    reply = cp.get(f"/tag/list?{query}")
    assert (reply.status, reply.json) == (400, {"detail": text})


def test_delete(cp, tenants):
    name = make(cp)["name"]
    assert cp.post("/tag/delete", {"name": name}).json == {"message": f"Tag {name} deleted successfully"}
    assert [a for a, *_ in tenants.audits(name)] == ["created", "deleted"]


@pytest.mark.parametrize(
    ("route", "body", "text"),
    [
        ("/tag/update", {"name": "none"}, "Tag none not found"), ("/tag/delete", {"name": "none"}, "Tag none not found"),
        ("/tag/info", {"names": ["none", "nor this"]}, "Tags not found: ['none', 'nor this']"),
    ],
)  # fmt: skip
def test_tag_that_is_not_there(cp, route, body, text):
    reply = cp.post(route, body)
    assert (reply.status, reply.json) == (404, {"detail": text})


CALLS = {
    "new": lambda cp, key: cp.post("/tag/new", {"name": next(names)}, key=key),
    "update": lambda cp, key: cp.post("/tag/update", {"name": "none"}, key=key),
    "info": lambda cp, key: cp.post("/tag/info", {"names": ["none"]}, key=key),
    "delete": lambda cp, key: cp.post("/tag/delete", {"name": "none"}, key=key),
    "list": lambda cp, key: cp.get("/tag/list", key=key),
}

# caller: new update info delete list
MATRIX = """
    root    200 404 404 404 200
    vera    403 403 403 403 200
    ivy     401 401 401 401 401
    ines    401 401 401 401 401
    ann     401 401 401 401 401
    olga    401 401 401 401 401
    nobody  401 401 401 401 401
"""


@pytest.mark.parametrize(
    ("who", "call", "status"),
    [(who, call, int(s)) for line in MATRIX.strip().splitlines() for who, *all_ in [line.split()] for call, s in zip(CALLS, all_, strict=True)],
)
def test_who_may(cp, tenants, who, call, status):
    assert CALLS[call](cp, tenants.keys[who]).status == status
