"""/user: every route's happy, forbidden, invalid and not-found cases."""

import base64
import datetime
import hashlib
import itertools
from urllib.parse import quote

import pytest
from support.tenants import Tenants, sha256

numbers = itertools.count()


def error(reply):
    return reply.json["error"]


def name():
    return f"user-{next(numbers)}"


def make(cp, as_=..., **body):
    reply = cp.post("/user/new", body, key=as_)
    assert reply.status == 200, reply.body
    return reply.json


def row_of(cp, user):
    reply = cp.get(f"/v2/user/info?user_id={quote(user)}")
    assert reply.status == 200, reply.body
    return reply.json


# --- new


def test_user_comes_with_a_key(cp, tenants):
    user = name()
    made = make(cp, user_id=f" {user} ", user_email="A@x.test", user_alias="A", user_role="internal_user", models=["m"], max_budget=5,
                budget_duration="1d", key_alias=user, duration="1h")  # fmt: skip
    midnight = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    assert (made["user_id"], made["user_email"], made["user_alias"], made["user_role"]) == (user, "A@x.test", "A", "internal_user")
    assert (made["models"], made["max_budget"], made["budget_reset_at"], made["key_alias"]) == (["m"], 5, midnight, user)
    assert made["key"].startswith("sk-") and "token" not in made and "password" not in made and made["expires"]
    key = cp.get(f"/key/info?key={made['key']}").json["info"]
    assert (key["user_id"], key["models"], key["max_budget"], key["budget_duration"]) == (user, ["m"], None, None)
    assert row_of(cp, user)["max_budget"] == 5
    assert [a for a, *_ in tenants.audits(user)] == ["created"]
    assert [a for a, *_ in tenants.audits(sha256(made["key"]))] == ["created"]


def test_user_without_key_and_id(cp):
    made = make(cp, auto_create_key=False)
    assert made["key"] == "" and len(made["user_id"]) == 36
    assert cp.get(f"/user/info?user_id={made['user_id']}").json["keys"] == []


@pytest.mark.parametrize(
    ("body", "column", "value"),
    [
        ({"tpm_limit": "7"}, "tpm_limit", 7), ({"metadata": {"a": 1}, "model_rpm_limit": {"m": 2}}, "metadata", {"a": 1, "model_rpm_limit": {"m": 2}}),
        ({"model_max_budget": {"m": 1}}, "model_max_budget", {"m": 1}), ({"spend": 1.5}, "spend", 1.5), ({}, "models", []),
        ({"sso_user_id": "sso"}, "sso_user_id", "sso"), ({"user_alias": "'; DROP TABLE x; --"}, "user_alias", "'; DROP TABLE x; --"),
    ],
)  # fmt: skip
def test_user_has_what_was_asked_for(cp, body, column, value):
    made = make(cp, auto_create_key=False, **body)
    assert made[column] == value and row_of(cp, made["user_id"])[column] == value


def test_object_permission_is_a_row_of_its_own(cp):
    user = make(cp, object_permission={"vector_stores": ["v"]}, auto_create_key=False)["user_id"]
    assert row_of(cp, user)["object_permission"]["vector_stores"] == ["v"]
    cp.post("/user/update", {"user_id": user, "object_permission": {"agents": ["a"]}})
    permission = row_of(cp, user)["object_permission"]
    assert (permission["vector_stores"], permission["agents"]) == (["v"], ["a"])
    cp.post("/user/update", {"user_id": user, "object_permission": {}})
    assert row_of(cp, user)["object_permission"] is None


def test_teams_and_organizations_of_a_new_user(cp, tenants, postgres):
    user = name()
    tenants.team(f"budgeted {user}", metadata='{"team_member_budget_id": "b"}')
    made = make(cp, user_id=user, teams=["red", "nowhere", f"budgeted {user}"], organizations=["one", "none"], auto_create_key=False)
    assert made["teams"] == ["red", f"budgeted {user}"]
    (members,) = postgres.sql(cp.database, """SELECT members_with_roles::text FROM "LiteLLM_TeamTable" WHERE team_id = 'red'""")[0]
    assert user in members and "ann" in members
    rows = postgres.sql(cp.database, 'SELECT team_id, budget_id FROM "LiteLLM_TeamMembership" WHERE user_id = %s', user)
    assert rows == [(f"budgeted {user}", "b")]
    rows = postgres.sql(cp.database, 'SELECT organization_id, user_role FROM "LiteLLM_OrganizationMembership" WHERE user_id = %s', user)
    assert rows == [("one", "internal_user")]
    other = make(cp, teams=[{"team_id": "red", "max_budget_in_team": 3, "user_role": "admin"}], auto_create_key=False)["user_id"]
    rows = postgres.sql(cp.database, """SELECT b.max_budget FROM "LiteLLM_TeamMembership" JOIN "LiteLLM_BudgetTable" b USING (budget_id)
                                        WHERE user_id = %s""", other)  # fmt: skip
    assert rows == [("3",)]
    assert cp.post("/user/delete", {"user_ids": [user, other]}).json == 2


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"user_id": "ivy"}, 409, "{'error': 'User with id ivy already exists'}"),
        ({"user_email": "TAKEN@x.test"}, 409, "{'error': 'User with email Taken@x.test already exists'}"),
        ({"sso_user_id": "taken"}, 409, "{'error': 'User with sso_user_id taken already exists'}"),
        ({"max_budget": -1}, 400, "{'error': 'max_budget must be a non-negative finite number. Received: -1.0'}"),
        ({"spend": -1}, 400, "{'error': 'spend must be a non-negative finite number. Received: -1.0'}"),
        ({"rpm_limit": -1}, 400, "{'error': 'rpm_limit must be a non-negative finite number. Received: -1.0'}"),
        ({"teams": [{"team_id": "red", "max_budget_in_team": -1}]}, 400,
         "{'error': 'max_budget_in_team must be a non-negative finite number. Received: -1.0'}"),
        ({"budget_duration": "x"}, 400, "{'error': \"Invalid budget_duration 'x'. Use a format like '1h', '24h', '7d', or '30d'.\"}"),
        ({"team_id": "nowhere"}, 404, "{'error': 'Team not found for team_id=nowhere'}"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(cp, tenants, body, status, text):
    if not cp.get("/user/list?user_email=taken").json["users"]:
        make(cp, user_email="Taken@x.test", sso_user_id="taken", auto_create_key=False)
    reply = cp.post("/user/new", body)
    assert (reply.status, error(reply)["message"]) == (status, text)
    assert error(reply)["type"] == "internal_server_error"


@pytest.mark.parametrize(
    ("body", "type_", "loc"),
    [
        ({"user_role": "king"}, "literal_error", ["body", "user_role"]), ({"user_id": "  "}, "value_error", ["body", "user_id"]),
        ({"password": "x"}, "value_error", ["body", "password"]), ({"auto_create_key": None}, "bool_type", ["body", "auto_create_key"]),
        ({"teams": [{}]}, "missing", ["body", "teams", 0, "team_id"]), ({"teams": [1]}, "model_attributes_type", ["body", "teams", 0]),
        ({"teams": [{"team_id": "red", "user_role": "x"}]}, "literal_error", ["body", "teams", 0, "user_role"]),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_422(cp, body, type_, loc):
    reply = cp.post("/user/new", body)
    (fault,) = reply.json["detail"]
    assert (reply.status, fault["type"], fault["loc"]) == (422, type_, loc)


# caller, body, status, text
NEW = [
    ("root", {"user_role": "proxy_admin"}, 200, None), ("vera", {}, 403, "user not allowed to access this route"),
    ("ivy", {}, 401, "Only proxy admin can be used to generate"), ("ines", {}, 401, "Only proxy admin"), ("ann", {}, 401, "Only proxy admin"),
    ("nobody", {}, 401, "Only proxy admin"), ("olga", {}, 403, "Only proxy admins can create users outside organizations."),
    ("olga", {"organizations": ["one"]}, 200, None), ("olga", {"organizations": ["one"], "teams": ["red"]}, 200, None),
    ("olga", {"organizations": ["one", "two"]}, 404, "Organization not found for organization_id=two"),
    ("olga", {"organizations": ["one"], "team_id": "blue"}, 404, "Team not found for team_id=blue"),
    ("olga", {"organizations": ["one"], "user_role": "proxy_admin"}, 403, "Only proxy admins can create administrative users"),
    ("olga", {"organizations": ["one"], "spend": -5}, 403, "Only proxy admins can set spend."),
    ("olga", {"organizations": ["one"], "permissions": {"a": 1}}, 403, "Only proxy admins can set permissions."),
    ("olga", {"organizations": ["one"], "metadata": {"temp_budget_increase": 1}}, 403, "temp_budget_increase"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "body", "status", "text"), NEW)
def test_who_may_make_a_user(cp, tenants, who, body, status, text):
    reply = cp.post("/user/new", {"auto_create_key": False, **body}, key=tenants.keys[who])
    assert reply.status == status, reply.body
    assert text is None or text in error(reply)["message"]


def test_another_tenants_team_is_passed_over(cp, tenants):
    assert make(cp, tenants.keys["olga"], organizations=["one"], teams=["red", "blue"], auto_create_key=False)["teams"] == ["red"]


def test_nobody_grants_more_than_they_hold(cp, tenants):
    key = tenants.make_key(user_id="olga", max_budget=2)
    reply = cp.post("/user/new", {"organizations": ["one"], "max_budget": 3}, key=key)
    assert reply.status == 400 and "cannot exceed the caller\'s own max_budget" in error(reply)["message"]
    assert cp.post("/user/new", {"organizations": ["one"], "max_budget": 1}, key=key).status == 200


def test_defaults_of_the_configuration(database, start, postgres):
    cp = start(database, {"litellm_settings": {
        "default_internal_user_params": {"user_role": "internal_user", "models": ["m"], "teams": [{"team_id": "red"}]},
        "max_internal_user_budget": 2.5, "internal_user_budget_duration": "7d"}})  # fmt: skip
    Tenants(cp, postgres)
    made = make(cp)
    assert (made["user_role"], made["models"], made["teams"], made["max_budget"]) == ("internal_user", ["m"], ["red"], None)
    made = make(cp, user_role="internal_user")
    assert (made["max_budget"], made["budget_duration"]) == (2.5, "7d") and made["budget_reset_at"]
    made = make(cp, user_role="proxy_admin", max_budget=1)
    assert (made["models"], made["teams"], made["max_budget"]) == ([], [], 1)
    made = cp.post("/user/update", {"user_id": made["user_id"], "user_role": "internal_user"}).json["data"]
    assert (made["max_budget"], made["budget_duration"]) == (2.5, "7d")


# --- update


def test_update_changes_what_stands_in_the_body(cp, tenants):
    user = make(cp, max_budget=5, rpm_limit=3, models=["m"], metadata={"a": 1}, auto_create_key=False)["user_id"]
    reply = cp.post("/user/update", {"user_id": user, "max_budget": None, "tpm_limit": 9, "models": [], "user_role": "proxy_admin_viewer",
                                     "tag_rpm_limit": {"t": 1}})  # fmt: skip
    data = reply.json["data"]
    assert reply.status == 200 and reply.json["user_id"] == user and "password" not in data
    assert (data["max_budget"], data["rpm_limit"], data["tpm_limit"], data["models"]) == (None, 3, 9, ["m"])
    assert (data["user_role"], data["metadata"]) == ("proxy_admin_viewer", {"a": 1, "tag_rpm_limit": {"t": 1}})
    data = cp.post("/user/update", {"user_id": user, "budget_duration": "7d"}).json["data"]
    assert data["budget_duration"] == "7d" and data["budget_reset_at"].endswith("T00:00:00Z")
    data = cp.post("/user/update", {"user_id": user, "budget_duration": None}).json["data"]
    assert (data["budget_duration"], data["budget_reset_at"]) == (None, None)
    audits = tenants.audits(user)
    assert [a for a, *_ in audits] == ["created", "updated", "updated", "updated"]
    assert audits[1][2]["max_budget"] == 5 and audits[1][3]["max_budget"] is None


def test_update_by_address(cp):
    user = make(cp, user_email="By@x.test", auto_create_key=False)["user_id"]
    assert cp.post("/user/update", {"user_email": "by@X.test", "rpm_limit": 4}).json["user_id"] == user
    other = make(cp, auto_create_key=False)["user_id"]
    reply = cp.post("/user/update", {"user_id": other, "user_email": "BY@x.test"})
    assert (reply.status, error(reply)["type"]) == (409, "auth_error")


def test_admin_makes_whom_they_update(cp, tenants):
    user = name()
    assert cp.post("/user/update", {"user_id": user, "rpm_limit": 4}).json["data"]["rpm_limit"] == 4
    made = cp.post("/user/update", {"user_email": f"{user}@x.test", "rpm_limit": 4}).json
    assert made["user_id"] != user and made["data"]["user_email"] == f"{user}@x.test"
    assert [a for a, *_ in tenants.audits(user)] == ["created"]


def test_update_that_cannot_be(cp):
    assert cp.post("/user/update", {"rpm_limit": 4}).json["detail"][0]["msg"] == "Value error, Either user id or user email must be provided"
    assert cp.post("/user/update", {"user_id": "ivy", "max_budget": -1}).status == 400


def test_password_is_kept_as_litellm_keeps_it(cp, tenants, postgres):
    user = make(cp, auto_create_key=False)["user_id"]
    session = tenants.make_key(user_id=user, team_id="litellm-dashboard")
    password = "Pässword long 1!"
    reply = cp.post("/user/update", {"user_id": user, "password": password})
    assert reply.status == 200 and "password" not in reply.json["data"] and b"scrypt" not in reply.body
    ((stored, reset),) = postgres.sql(cp.database, 'SELECT password, password_reset_required FROM "LiteLLM_UserTable" WHERE user_id = %s', user)
    raw = base64.b64decode(stored.removeprefix("scrypt:"))
    assert raw[16:] == hashlib.scrypt(password.encode(), salt=raw[:16], n=16384, r=8, p=1, dklen=32) and reset == "t"
    assert tenants.audits(user)[1][3]["password"] == "********"
    assert cp.get("/key/info", key=session).status == 401, "whoever was logged in is no more"


@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("Short 1!", "must be at least 12 characters long."), ("no upper case 1!", "must include an uppercase letter."),
        ("NO LOWER CASE 1!", "must include a lowercase letter."), ("No digit at all!", "must include a number."),
        ("Nothingspecial1ö", "must include a special character."),
        ("", "must be at least 12 characters long, include an uppercase letter, include a lowercase letter, include a number, "
             "include a special character."),
    ],
)  # fmt: skip
def test_password_meets_the_policy(cp, password, text):
    reply = cp.post("/user/update", {"user_id": "ivy", "password": password})
    assert reply.status == 400
    assert error(reply) == {"message": f"Password does not meet the required policy: {text}", "type": "validation_error",
                            "param": "password", "code": "400"}  # fmt: skip


# caller, whose, body, status, text
UPDATE = [
    ("root", "ivy", {"rpm_limit": 5}, 200, None), ("vera", "ivy", {"rpm_limit": 5}, 403, "Only PROXY_ADMIN can update other users."),
    ("vera", "vera", {"user_email": "vera@x.test"}, 200, None), ("ivy", "ivy", {"user_alias": "I"}, 200, None),
    ("ivy", "ivy", {"max_budget": 9}, 403, "Non-admin users cannot modify 'max_budget' on their own record."),
    ("ivy", "ivy", {"models": ["*"]}, 403, "Non-admin users cannot modify 'models' on their own record."),
    ("ivy", "ivy", {"object_permission": {}}, 403, "Non-admin users cannot modify 'object_permission' on their own record."),
    ("ivy", "ivy", {"spend": 0}, 403, "Non-admin users cannot modify 'spend'|Only proxy admins can set spend."),
    ("ivy", "ivy", {"password": "Long enough 1!"}, 403, "Only proxy admins can set password."),
    ("ivy", "ivy", {"user_role": "proxy_admin"}, 403, "Only proxy admins can modify user roles."),
    ("ivy", "bob", {"user_alias": "B"}, 404, "User not found."), ("ivy", "none", {"user_alias": "B"}, 404, "User not found."),
    ("ann", "bob", {"user_alias": "B"}, 403, "Only PROXY_ADMIN can update other users."),
    ("ann", "zoe", {"user_alias": "Z"}, 404, "User not found."), ("olga", "zoe", {"user_alias": "Z"}, 404, "User not found."),
    ("nobody", "ivy", {"user_alias": "I"}, 401, "Only proxy admin can be used"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "whose", "body", "status", "text"), UPDATE)
def test_who_may_update_whom(cp, tenants, who, whose, body, status, text):
    before = len(tenants.audits(whose))
    reply = cp.post("/user/update", {"user_id": whose, **body}, key=tenants.keys[who])
    assert reply.status == status, reply.body
    assert len(tenants.audits(whose)) == before + (status == 200), "a refusal leaves no trace"
    assert text is None or any(t in error(reply)["message"] for t in text.split("|"))


def test_bulk_update_goes_on_behind_a_failure(cp, tenants):
    one, two = (make(cp, auto_create_key=False)["user_id"] for _ in range(2))
    out = cp.post("/user/bulk_update", {"users": [{"user_id": one, "max_budget": 7}, {"user_id": two, "max_budget": -1},
                                                  {"rpm_limit": 1}, {"user_id": two, "user_alias": "x"}]}).json  # fmt: skip
    assert (out["total_requested"], out["successful_updates"], out["failed_updates"]) == (4, 2, 2)
    assert [(r["user_id"], r["success"], r["error"]) for r in out["results"]] == [
        (one, True, None), (two, False, "max_budget must be a non-negative finite number. Received: -1.0"),
        (None, False, "Either user id or user email must be provided"), (two, True, None),
    ]  # fmt: skip
    assert out["results"][0]["updated_user"]["max_budget"] == 7
    reply = cp.post("/user/bulk_update", {})
    assert (reply.status, reply.json["detail"]["error"].split(" for ")[0]) == (400, "Must specify either 'users'")
    many = cp.post("/user/bulk_update", {"users": [{"user_id": "x"}] * 501})
    assert many.json == {"detail": {"error": "Maximum 500 users can be updated at once. Found 501 users."}}
    assert cp.post("/user/bulk_update", {"users": [{"user_id": one}], "all_users": True, "user_updates": {}}).status == 422
    assert cp.post("/user/bulk_update", {"all_users": True, "user_updates": {"password": "x"}}).status == 400
    for who, status in {"vera": 403, "ivy": 401, "olga": 401, "ann": 401, "nobody": 401}.items():
        assert cp.post("/user/bulk_update", {"users": [{"user_id": who}]}, key=tenants.keys[who]).status == status


def test_bulk_update_of_everybody(database, start, postgres):
    cp = start(database)
    tenants = Tenants(cp, postgres)
    out = cp.post("/user/bulk_update", {"all_users": True, "user_updates": {"tpm_limit": 6}}).json
    assert out["successful_updates"] == out["total_requested"] == 8
    assert {u["tpm_limit"] for u in cp.get("/user/list").json["users"]} == {6}
    assert [a for a, *_ in tenants.audits("ivy")] == ["updated"]


# --- info


def test_info_has_keys_and_teams(cp, tenants):
    info = cp.get("/user/info?user_id=bob").json
    assert (info["user_id"], info["user_info"]["user_id"]) == ("bob", "bob") and "password" not in info["user_info"]
    assert [t["team_id"] for t in info["teams"]] == ["red"]
    key = tenants.make_key(user_id="bob")
    tenants.make_key(user_id="bob", team_id="litellm-dashboard")
    keys = {k["token"]: k for k in cp.get("/user/info", key=key).json["keys"]}
    assert keys[sha256(key)]["team_alias"] == "None" and len(keys) == 2


def test_info_of_everything_for_admins(cp, tenants):
    for key in (cp.key, tenants.keys["vera"]):
        info = cp.get("/user/info", key=key).json
        assert {"red", "blue"} <= {t["team_id"] for t in info["teams"]}
        assert sha256(tenants.keys["zoe"]) in {k["token"] for k in info["keys"]}


def test_plus_in_an_id_is_a_plus(cp):
    user = make(cp, user_id=f"a+{name()}@x.test", auto_create_key=False)["user_id"]
    assert cp.get(f"/user/info?user_id={user}").json["user_id"] == user
    assert cp.get(f"/user/info?user_id={quote(user)}").json["user_id"] == user


INFO = """
    vera   ivy  200 200
    ivy    ivy  200 200
    ines   ines 200 200
    ivy    bob  404 404
    ann    bob  404 200
    bob    ann  404 404
    olga   bob  404 404
    olga   mem  404 200
    ann    zoe  404 404
    zoe    bob  404 404
    nobody ivy  404 404
    root   none 404 404
"""


@pytest.mark.parametrize("line", INFO.strip().splitlines())
def test_who_sees_whom(cp, tenants, line):
    who, whose, v1, v2 = line.split()
    if whose == "mem" and cp.get("/v2/user/info?user_id=mem").status == 404:
        make(cp, user_id="mem", organizations=["one"], auto_create_key=False)
    for route, status in (("/user/info", v1), ("/v2/user/info", v2)):
        reply = cp.get(f"{route}?user_id={whose}", key=tenants.keys[who])
        assert reply.status == int(status), reply.body
        if reply.status == 404:
            assert error(reply)["message"] == (f"User {whose} not found" if route == "/user/info" else f"User not found: {whose}")
    assert cp.get("/v2/user/info", key=tenants.keys["nobody"]).status == 400


# --- list


def test_list_filters_sorts_and_pages(cp, tenants):
    tag = name()
    for i, role in enumerate(["internal_user", "internal_user", "proxy_admin_viewer"]):
        make(cp, user_id=f"{tag}-{i}", user_email=f"{tag}{i}@list.test", user_role=role, sso_user_id=f"{tag}{i}", spend=3 - i,
             max_budget=None if i else 1, auto_create_key=i == 1, teams=["red"] if i == 2 else [])  # fmt: skip

    def ids(query):
        reply = cp.get(f"/user/list?search={tag}&{query}")
        assert reply.status == 200, reply.body
        return [u["user_id"][-1] for u in reply.json["users"]]

    assert ids("sort_by=user_id") == ["0", "1", "2"] and ids("sort_by=user_id&sort_order=DESC") == ["2", "1", "0"]
    assert ids("sort_by=spend") == ["2", "1", "0"] and ids("sort_by=key_count&sort_order=desc") == ["1", "0", "2"]
    assert ids("sort_by=max_budget") == ["0", "1", "2"] and ids("sort_by=status") == ["0", "1", "2"]
    assert ids("role=proxy_admin_viewer") == ["2"] and ids("team=red") == ["2"] and ids(f"sso_user_ids={tag}0,%20{tag}1&sort_by=user_id") == ["0", "1"]
    assert ids(f"user_ids={tag}-1") == ["1"] and ids(f"user_ids={tag}-1,{tag}-2,x&sort_by=user_id") == ["1", "2"]
    assert ids("user_email=0%40LIST") == ["0"] and ids("user_email=%25%25") == []
    page = cp.get(f"/user/list?search={tag}&page=2&page_size=2&sort_by=user_id").json
    assert (page["total"], page["page"], page["page_size"], page["total_pages"]) == (3, 2, 2, 2)
    assert [(u["user_id"], u["key_count"]) for u in page["users"]] == [(f"{tag}-2", 0)] and "password" not in page["users"][0]
    assert cp.get(f"/user/list?user_ids={tag}-1").json["users"][0]["key_count"] == 1


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [("sort_by=password", 400, "Invalid sort column. Must be one of: user_id"), ("sort_by=user_id&sort_order=up", 400, "Invalid sort order.")],
)
def test_lists_that_cannot_be(cp, query, status, text):
    reply = cp.get(f"/user/list?{query}")
    assert reply.status == status and text in reply.json["detail"]["error"]
    assert cp.get("/user/list?page_size=101").status == cp.get("/user/list?page=0").status == 422


def test_who_lists_whom(cp, tenants):
    make(cp, user_id=(user := name()), organizations=["one"], auto_create_key=False)
    make(cp, user_id=(other := name()), organizations=["two"], auto_create_key=False)
    for who, status in {"vera": 200, "olga": 200, "ivy": 401, "ann": 401, "nobody": 401, "ines": 401}.items():
        assert cp.get("/user/list", key=tenants.keys[who]).status == status
    seen = {u["user_id"] for u in cp.get("/user/list?page_size=100", key=tenants.keys["olga"]).json["users"]}
    assert user in seen and other not in seen and "zoe" not in seen
    assert cp.get("/user/list?organization_ids=two", key=tenants.keys["olga"]).status == 403
    both = cp.get("/user/list?organization_ids=two,one&page_size=100", key=tenants.keys["olga"]).json["users"]
    assert {u["user_id"] for u in both} == seen


# --- delete


def test_delete_takes_keys_and_memberships(cp, tenants, postgres):
    user = name()
    made = make(cp, user_id=user, teams=["red"], organizations=["one"])
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_InvitationLink" (id, user_id, expires_at, created_at, created_by, updated_at, updated_by)
                                 VALUES (%s, %s, now(), now(), %s, now(), %s)""", user, user, user, user)  # fmt: skip
    assert cp.post("/user/delete", {"user_ids": [user]}).json == 1
    assert cp.get(f"/v2/user/info?user_id={user}").status == 404
    assert cp.get("/key/info", key=made["key"]).status == 401
    assert cp.get(f"/key/info?key={sha256(made['key'])}").json["info"]["status"] == "deleted"
    (members,) = postgres.sql(cp.database, """SELECT members_with_roles::text FROM "LiteLLM_TeamTable" WHERE team_id = 'red'""")[0]
    assert user not in members and "ann" in members
    assert [a for a, *_ in tenants.audits(user)] == ["created", "deleted"]
    assert [a for a, *_ in tenants.audits(sha256(made["key"]))] == ["created", "deleted"]


def test_delete_is_all_or_nothing(cp):
    user = make(cp, auto_create_key=False)["user_id"]
    reply = cp.post("/user/delete", {"user_ids": [user, "none"]})
    assert (reply.status, reply.json) == (404, {"detail": {"error": "User not found, passed user_id=none"}})
    assert row_of(cp, user)
    assert cp.post("/user/delete", {"user_ids": []}).json == {"detail": {"error": "No user id passed in"}}
    assert cp.post("/user/delete", {}).status == 422 and cp.post("/user/delete", {"user_ids": ["x"] * 501}).status == 400


# caller, role of the target, organizations of the target, status
DELETE = [
    ("vera", None, ["one"], 403), ("ivy", None, ["one"], 401), ("ann", None, ["one"], 401), ("nobody", None, [], 401),
    ("olga", None, ["one"], 200), ("olga", None, ["two"], 404), ("olga", None, [], 404), ("olga", None, ["one", "two"], 403),
    ("olga", "proxy_admin", ["one"], 403), ("root", "proxy_admin", ["one", "two"], 200),
]  # fmt: skip


@pytest.mark.parametrize(("who", "role", "orgs", "status"), DELETE)
def test_who_may_delete_whom(cp, tenants, who, role, orgs, status):
    user = make(cp, user_role=role, organizations=orgs, auto_create_key=False)["user_id"]
    assert cp.post("/user/delete", {"user_ids": [user]}, key=tenants.keys[who]).status == status
    assert cp.get(f"/v2/user/info?user_id={user}").status == (404 if status == 200 else 200)


# --- what forms ask


def test_roles_for_a_form(cp, tenants):
    roles = cp.get("/user/available_roles", key=tenants.keys["ivy"]).json
    assert set(roles) == {"proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"}
    assert all(set(r) == {"description", "ui_label"} and all(r.values()) for r in roles.values())


def test_nobody_is_bounded_by_a_licence(cp, tenants, postgres):
    counts = cp.get("/user/available_users").json
    assert counts["total_users"] is None and counts["total_users_remaining"] is None
    assert counts["total_users_used"] == int(postgres.sql(cp.database, 'SELECT count(*) FROM "LiteLLM_UserTable"')[0][0])


@pytest.mark.parametrize(
    ("who", "sees"),
    [("root", {"ann", "bob", "zoe"}), ("vera", {"ann", "bob", "zoe"}), ("ann", {"ann", "bob"}), ("bob", {"bob"}), ("zoe", {"zoe"}),
     ("ivy", set()), ("nobody", set())],
)  # fmt: skip
def test_search_finds_whom_the_caller_may_see(cp, tenants, who, sees):
    found = {u["user_id"] for u in cp.get("/user/filter/ui?page_size=100", key=tenants.keys[who]).json}
    assert found & {"ann", "bob", "zoe"} == sees
    assert who not in ("ann", "bob", "zoe", "ivy") or who in found


def test_search_of_users(cp, tenants, postgres):
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_UserTable" (user_id, user_email) VALUES ('s%_1', 'Some@x.example'), ('sx_1', 'other@y.example')""")

    def found(query):
        return [u["user_id"] for u in cp.get(f"/user/filter/ui?{query}").json]

    assert found("user_id=S%25_") == ["s%_1"] and found("user_email=SOME@") == ["s%_1"] and found("search=y.ex") == ["sx_1"]
    assert set(cp.get("/user/filter/ui?search=y.ex").json[0]) == {"user_id", "user_email"}
    assert len(found("page_size=1")) == 1 and found("page_size=1&page=2") != found("page_size=1") and found("search=nobody-there") == []
    assert cp.get("/user/filter/ui?page_size=101").status == 422 and cp.get("/user/filter/ui?page=0").status == 422
