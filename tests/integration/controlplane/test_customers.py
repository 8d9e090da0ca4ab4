"""/customer and /end_user: every route's happy, forbidden, invalid and not-found cases."""

import itertools

import pytest

ids = (f"customer {i}" for i in itertools.count())


@pytest.fixture(params=["customer", "end_user"])
def family(request):
    return request.param


def make(cp, **body):
    reply = cp.post("/customer/new", {"user_id": next(ids), **body})
    assert reply.status == 200, reply.body
    return reply.json


def test_customer_has_what_was_asked_for(cp, tenants, family):
    user = next(ids)
    made = cp.post(f"/{family}/new", {"user_id": user, "alias": "a", "blocked": True, "allowed_model_region": "eu", "models": ["m"],
                                      "spend": 1.5, "object_permission": {"vector_stores": ["v"]}}).json  # fmt: skip
    assert (made["user_id"], made["alias"], made["blocked"], made["allowed_model_region"]) == (user, "a", True, "eu")
    assert (made["models"], made["spend"], made["budget_id"], made["litellm_budget_table"]) == (["m"], 1.5, None, None)
    assert made["object_permission"]["vector_stores"] == ["v"]
    assert cp.get(f"/{family}/info?end_user_id={user.replace(' ', '%20')}").json == made
    assert [a for a, *_ in tenants.audits(user)] == ["created"]


def test_budget_is_made_of_inline_members(cp):
    made = make(cp, max_budget=5, budget_duration="1d", tpm_limit=6)
    budget = made["litellm_budget_table"]
    assert (budget["budget_id"], budget["max_budget"], budget["tpm_limit"]) == (made["budget_id"], 5, 6)
    assert budget["budget_reset_at"].endswith("T00:00:00Z")
    assert make(cp, budget_id=made["budget_id"])["litellm_budget_table"] == budget


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"max_budget": -1}, 400, "{'error': 'max_budget must be a non-negative finite number. Received: -1.0'}"),
        ({"spend": -1}, 400, "{'error': 'spend must be a non-negative finite number. Received: -1.0'}"),
        ({"budget_duration": "x"}, 400, "{'error': \"Invalid budget_duration 'x'. Use a format like '1h', '24h', '7d', or '30d'.\"}"),
        ({"default_model": "none"}, 422, "{'error': 'Default Model not on proxy. Configure via `/model/new` or config.yaml. Default_model=none'}"),
        ({"budget_id": "none"}, 400, "It refers to an object that does not exist, or one refers to it."),
    ],
)
def test_values_that_cannot_be(cp, body, status, text):
    user = next(ids)
    reply = cp.post("/customer/new", {"user_id": user, **body})
    assert (reply.status, reply.json["error"]["message"]) == (status, text)
    assert cp.get(f"/customer/info?end_user_id={user.replace(' ', '%20')}").status == 404


@pytest.mark.parametrize(
    ("body", "type_", "loc"),
    [
        ({}, "missing", ["body", "user_id"]), ({"user_id": "x", "allowed_model_region": "mars"}, "literal_error", ["body", "allowed_model_region"]),
        ({"user_id": "x", "max_budget": 1, "budget_id": "b"}, "value_error", ["body"]),
        ({"user_id": "x", "blocked": None}, "bool_type", ["body", "blocked"]),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_422(cp, body, type_, loc):
    reply = cp.post("/customer/new", body)
    assert (reply.status, reply.json["detail"][0]["type"], reply.json["detail"][0]["loc"]) == (422, type_, loc)


def test_customer_is_made_once(cp):
    user = make(cp)["user_id"]
    reply = cp.post("/customer/new", {"user_id": user})
    assert reply.status == 400
    assert reply.json["error"] == {"message": f"Customer already exists, passed user_id={user}. Please pass a new user_id.",
                                   "type": "bad_request", "param": "user_id", "code": "400"}  # fmt: skip


def test_default_model_is_one_of_the_proxy(database, start, postgres):
    cp = start(database, {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_key": "k"}}]})
    assert cp.post("/customer/new", {"user_id": "u", "default_model": "m"}).json["default_model"] == "m"


def test_update_changes_what_stands_in_the_body(cp, tenants, family):
    user = make(cp, alias="a", blocked=True)["user_id"]
    now = cp.post(f"/{family}/update", {"user_id": user, "blocked": False, "max_budget": 3}).json
    assert (now["alias"], now["blocked"], now["litellm_budget_table"]["max_budget"]) == ("a", False, 3)
    then = cp.post(f"/{family}/update", {"user_id": user, "max_budget": 0, "object_permission": {"models": ["m"]}}).json
    assert (then["budget_id"], then["litellm_budget_table"]["max_budget"]) == (now["budget_id"], 0)
    assert then["object_permission"]["models"] == ["m"]
    assert [a for a, *_ in tenants.audits(user)] == ["created", "updated", "updated"]
    assert [a for a, *_ in tenants.audits(now["budget_id"])] == ["created", "updated"]
    assert cp.post(f"/{family}/update", {"user_id": user, "max_budget": -1}).status == 400


def test_list_is_paged_and_searched(cp, family):
    for name in "xyz":
        make(cp, user_id=f"paged {name}", alias="Findme" if name == "y" else None)
    names = [u["user_id"] for u in cp.get(f"/{family}/list?search=PAGED&page_size=2").json]
    assert names == ["paged x", "paged y"]
    assert [u["user_id"] for u in cp.get(f"/{family}/list?search=paged&page_size=2&page=2").json] == ["paged z"]
    assert [u["user_id"] for u in cp.get(f"/{family}/list?search=findm").json] == ["paged y"]
    assert cp.get(f"/{family}/list?search=%25").json == []
    assert cp.get(f"/{family}/list?page_size=101").status == 422
    cp.post("/customer/delete", {"user_ids": [f"paged {name}" for name in "xyz"]})


def test_block_and_unblock(cp, tenants, family):
    known, new = make(cp)["user_id"], next(ids)
    rows = cp.post(f"/{family}/block", {"user_ids": [known, new]}).json["blocked_users"]
    assert [(r["user_id"], r["blocked"]) for r in rows] == [(known, True), (new, True)]
    left = cp.post(f"/{family}/unblock", {"user_ids": [known]}).json["blocked_users"]
    assert new in left and known not in left
    assert [a for a, *_ in tenants.audits(known)] == ["created", "blocked", "blocked"]
    assert [a for a, *_ in tenants.audits(new)] == ["created"]
    cp.post(f"/{family}/delete", {"user_ids": [new]})


def test_delete_is_all_or_nothing(cp, tenants, family):
    one, two = make(cp)["user_id"], make(cp)["user_id"]
    reply = cp.post(f"/{family}/delete", {"user_ids": [one, "none", "nor this"]})
    assert reply.status == 404
    assert reply.json["error"] == {"message": "End User Id(s)=none, nor this do not exist in db", "type": "not_found",
                                   "param": "user_ids", "code": "404"}  # fmt: skip
    reply = cp.post(f"/{family}/delete", {"user_ids": [one, two]})
    assert reply.json == {"deleted_customers": 2, "message": f"Successfully deleted customers with ids: ['{one}', '{two}']"}
    assert [a for a, *_ in tenants.audits(one)] == ["created", "deleted"]
    assert cp.post(f"/{family}/delete", {"user_ids": []}).status == 400
    assert cp.post(f"/{family}/delete", {"user_ids": ["x"] * 501}).status == 400


@pytest.mark.parametrize(
    ("ask", "param", "text"),
    [
        (lambda cp: cp.get("/customer/info?end_user_id=none"), "end_user_id", "End User Id=none does not exist in db"),
        (lambda cp: cp.post("/customer/update", {"user_id": "none"}), "user_id", "End User Id=none does not exist in db"),
        (lambda cp: cp.post("/customer/unblock", {"user_ids": ["none"]}), "user_ids", "End User Id(s)=none do not exist in db"),
    ],
)
def test_customer_that_is_not_there(cp, ask, param, text):
    reply = ask(cp)
    assert (reply.status, reply.json["error"]["message"]) == (404, text)
    assert (reply.json["error"]["type"], reply.json["error"]["param"]) == ("not_found", param)


CALLS = {
    "new": lambda cp, f, key: cp.post(f"/{f}/new", {"user_id": next(ids)}, key=key),
    "update": lambda cp, f, key: cp.post(f"/{f}/update", {"user_id": "none"}, key=key),
    "info": lambda cp, f, key: cp.get(f"/{f}/info?end_user_id=none", key=key),
    "list": lambda cp, f, key: cp.get(f"/{f}/list", key=key),
    "delete": lambda cp, f, key: cp.post(f"/{f}/delete", {"user_ids": ["none"]}, key=key),
    "block": lambda cp, f, key: cp.post(f"/{f}/block", {"user_ids": ["blocked"]}, key=key),
    "unblock": lambda cp, f, key: cp.post(f"/{f}/unblock", {"user_ids": ["none"]}, key=key),
}

# caller: new update info list delete block unblock
MATRIX = """
    root    200 404 404 200 404 200 404
    vera    403 403 403 200 403 403 403
    ivy     401 401 401 401 401 401 401
    ines    401 401 401 401 401 401 401
    ann     401 401 401 401 401 401 401
    olga    401 401 401 401 401 401 401
    nobody  401 401 401 401 401 401 401
"""


@pytest.mark.parametrize(
    ("who", "call", "status"),
    [(who, call, int(s)) for line in MATRIX.strip().splitlines() for who, *all_ in [line.split()] for call, s in zip(CALLS, all_, strict=True)],
)
def test_who_may(cp, tenants, family, who, call, status):
    assert CALLS[call](cp, family, tenants.keys[who]).status == status
