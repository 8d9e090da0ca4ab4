"""/budget: every route's happy, forbidden, invalid and not-found cases."""

import datetime

import pytest


def make(cp, **body):
    reply = cp.post("/budget/new", body)
    assert reply.status == 200, reply.body
    return reply.json


def test_budget_has_what_was_asked_for(cp, tenants):
    made = make(cp, budget_id="first", max_budget=5, soft_budget=2.5, tpm_limit="7", rpm_limit=8, tpd_limit=9,
                max_parallel_requests=2, model_max_budget={"m": {"max_budget": 1}}, budget_duration="1d")  # fmt: skip
    midnight = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    assert (made["budget_id"], made["max_budget"], made["soft_budget"], made["tpm_limit"], made["rpm_limit"]) == ("first", 5, 2.5, 7, 8)
    assert (made["tpd_limit"], made["max_parallel_requests"], made["budget_reset_at"]) == (9, 2, midnight)
    assert (made["model_max_budget"], made["created_by"]) == ({"m": {"max_budget": 1}}, "default_user_id")
    assert cp.post("/budget/info", {"budgets": ["first", "none"]}).json == [made]
    assert [a for a, *_ in tenants.audits("first")] == ["created"]
    reply = cp.post("/budget/new", {"budget_id": "first"})
    assert (reply.status, reply.json) == (400, {"detail": {"error": "Budget with id 'first' already exists."}})


def test_budget_without_id_gets_one(cp):
    assert len(make(cp, max_budget=0)["budget_id"]) == 36


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"max_budget": -1}, "max_budget must be a non-negative finite number. Received: -1.0"),
        ({"soft_budget": -0.5}, "soft_budget must be a non-negative finite number. Received: -0.5"),
        ({"tpd_limit": -1}, "tpd_limit must be a non-negative finite number. Received: -1.0"),
        ({"model_max_budget": {"m": {"max_budget": -1}}}, "max_budget must be a non-negative finite number. Received: -1.0"),
        ({"model_max_budget": {"m": "x"}}, "Invalid model_max_budget: the limit of m is no such number or object."),
        ({"budget_duration": "soon"}, "Invalid budget_duration 'soon'. Use a format like '1h', '24h', '7d', or '30d'."),
        ({"budget_duration": "0d"}, "Invalid budget_duration '0d'. Use a format like '1h', '24h', '7d', or '30d'."),
    ],
)
@pytest.mark.parametrize("route", ["/budget/new", "/budget/update"])
def test_values_that_cannot_be(cp, route, body, text):
    reply = cp.post(route, {"budget_id": "cannot be", **body})
    assert (reply.status, reply.json) == (400, {"detail": {"error": text}})


@pytest.mark.parametrize(("body", "type_"), [({"tpm_limit": -1}, "greater_than_equal"), ({"max_budget": "x"}, "float_parsing"),
                                             ({"budget_reset_at": "x"}, "datetime_from_date_parsing")])  # fmt: skip
def test_types_that_do_not_fit_are_422(cp, body, type_):
    reply = cp.post("/budget/new", body)
    assert (reply.status, reply.json["detail"][0]["type"]) == (422, type_)


def test_update_changes_what_stands_in_the_body(cp, tenants):
    made = make(cp, budget_id="changes", max_budget=5, rpm_limit=3, budget_duration="1h")
    now = cp.post("/budget/update", {"budget_id": "changes", "max_budget": None, "tpm_limit": 4}).json
    assert (now["max_budget"], now["rpm_limit"], now["tpm_limit"], now["budget_reset_at"]) == (None, 3, 4, made["budget_reset_at"])
    now = cp.post("/budget/update", {"budget_id": "changes", "budget_duration": None}).json
    assert (now["budget_duration"], now["budget_reset_at"]) == (None, None)
    audits = tenants.audits("changes")
    assert [a for a, *_ in audits] == ["created", "updated", "updated"]
    assert audits[1][2]["max_budget"] == 5 and audits[1][3]["max_budget"] is None


def test_settings_show_members_with_values(cp):
    make(cp, budget_id="shown", max_budget=5)
    fields = {f["field_name"]: f for f in cp.get("/budget/settings?budget_id=shown").json}
    assert set(fields) == {"max_parallel_requests", "tpm_limit", "rpm_limit", "tpd_limit", "budget_duration", "max_budget",
                           "soft_budget", "model_max_budget"}  # fmt: skip
    assert (fields["max_budget"]["field_value"], fields["max_budget"]["field_type"], fields["max_budget"]["stored_in_db"]) == (5, "Float", True)
    assert fields["tpm_limit"]["field_value"] is None
    assert cp.get("/budget/settings").status == 422


def test_list_is_paged(cp):
    for i in range(3):
        make(cp, budget_id=f"page {i}")
    all_ = [b["budget_id"] for b in cp.get("/budget/list").json]
    pages = [b["budget_id"] for p in range(1, len(all_) + 1) for b in cp.get(f"/budget/list?page={p}&page_size=1").json]
    assert pages == all_ == sorted(all_) and {"page 0", "page 1", "page 2"} <= set(all_)
    assert cp.get("/budget/list?page_size=1001").status == 422


def test_deleted_budget_is_gone_where_it_was_referred_to(cp, tenants):
    make(cp, budget_id="to go")
    key = cp.post("/key/generate", {"budget_id": "to go"}).json["token"]
    assert cp.post("/budget/delete", {"id": "to go"}).json["budget_id"] == "to go"
    assert cp.get(f"/key/info?key={key}").json["info"]["budget_id"] is None
    assert [a for a, *_ in tenants.audits("to go")] == ["created", "deleted"]
    reply = cp.post("/budget/delete", {"id": "b"})
    assert reply.status == 400, "an organization cannot be without one"


@pytest.mark.parametrize(("route", "body"), [("/budget/update", {"budget_id": "nowhere"}), ("/budget/delete", {"id": "nowhere"})])
def test_budget_that_is_not_there(cp, route, body):
    reply = cp.post(route, body)
    assert (reply.status, reply.json) == (404, {"detail": {"error": "Budget not found, budget_id=nowhere"}})


def test_empty_requests(cp):
    assert cp.post("/budget/update", {}).json == {"detail": {"error": "budget_id is required"}}
    assert cp.post("/budget/info", {"budgets": []}).json == {"detail": {"error": "Specify list of budget id's to query. Passed in=[]"}}
    assert cp.post("/budget/info", {}).status == cp.post("/budget/delete", {}).status == 422


CALLS = {
    "new": lambda cp, key: cp.post("/budget/new", {}, key=key),
    "update": lambda cp, key: cp.post("/budget/update", {"budget_id": "b"}, key=key),
    "info": lambda cp, key: cp.post("/budget/info", {"budgets": ["b"]}, key=key),
    "delete": lambda cp, key: cp.post("/budget/delete", {"id": "nowhere"}, key=key),
    "settings": lambda cp, key: cp.get("/budget/settings?budget_id=b", key=key),
    "list": lambda cp, key: cp.get("/budget/list", key=key),
}

# caller: new update info delete settings list
MATRIX = """
    root    200 200 200 404 200 200
    vera    403 403 403 403 200 200
    ivy     401 401 401 401 401 401
    ines    401 401 401 401 401 401
    ann     401 401 401 401 401 401
    olga    401 401 401 401 401 401
    nobody  401 401 401 401 401 401
"""


@pytest.mark.parametrize(
    ("who", "call", "status"),
    [(who, call, int(s)) for line in MATRIX.strip().splitlines() for who, *all_ in [line.split()] for call, s in zip(CALLS, all_, strict=True)],
)
def test_who_may(cp, tenants, who, call, status):
    assert CALLS[call](cp, tenants.keys[who]).status == status
