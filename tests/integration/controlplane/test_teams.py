"""/team: every route's happy, forbidden, invalid and not-found cases."""

import datetime
import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tenants import Tenants, sha256

SETTINGS = {"litellm_settings": {"default_internal_user_params": {"available_teams": ["open"]}}}
numbers = itertools.count()


@pytest.fixture(scope="module")
def cp(postgres, empty_schema):
    from support.controlplane import ControlPlane

    with ControlPlane(postgres.database(template=empty_schema), SETTINGS) as cp:
        yield cp


@pytest.fixture(scope="module")
def tenants(cp, postgres):
    t = Tenants(cp, postgres)
    t.team("open", "two")
    return t


def error(reply):
    """The text of either envelope."""
    body = reply.json
    if "error" in body:
        return body["error"]["message"]
    detail = body["detail"]
    return detail["error"] if isinstance(detail, dict) else detail


def make(cp, **body):
    reply = cp.post("/team/new", body)
    assert reply.status == 200, reply.body
    return reply.json


def info(cp, team_id, **kw):
    reply = cp.get(f"/team/info?team_id={team_id}", **kw)
    assert reply.status == 200, reply.body
    return reply.json


def members(team):
    return {m["user_id"]: m["role"] for m in team["members_with_roles"]}


@pytest.fixture
def team(cp, tenants):
    """A team of organization one, run by ann, with bob."""
    team_id = f"t{next(numbers)}"
    tenants.team(team_id, "one", {"ann": "admin", "bob": "user"})
    for user in ("ann", "bob"):
        tenants._sql('UPDATE "LiteLLM_UserTable" SET teams = array_append(teams, %s) WHERE user_id = %s', team_id, user)
    return team_id


# --- new


@pytest.mark.parametrize(
    ("body", "column", "value"),
    [
        ({"team_alias": "a"}, "team_alias", "a"), ({"models": ["m"]}, "models", ["m"]), ({}, "models", []),
        ({"max_budget": 2, "soft_budget": 1}, "soft_budget", 1), ({"tpm_limit": 5}, "tpm_limit", 5),
        ({"metadata": {"a": 1}}, "metadata", {"a": 1}), ({"tags": ["x"]}, "metadata", {"tags": ["x"]}),
        ({"guardrails": ["g"], "metadata": {"b": 2}}, "metadata", {"b": 2, "guardrails": ["g"]}),
        ({"metadata": {"team_member_budget_id": "b"}}, "metadata", {}), ({"blocked": True}, "blocked", True),
        ({"policies": ["p"]}, "policies", ["p"]), ({"access_group_ids": ["g"]}, "access_group_ids", ["g"]),
        ({"router_settings": {"num_retries": 3, "x": 1}}, "router_settings", {"num_retries": 3}),
        ({"team_member_permissions": ["/key/list"]}, "team_member_permissions", ["/key/list"]),
        ({"default_team_member_models": ["m"]}, "default_team_member_models", ["m"]), ({"unknown": 1}, "spend", 0),
        ({"model_max_budget": {"m": {"max_budget": 1}}}, "model_max_budget", {"m": {"max_budget": 1}}),
    ],
)  # fmt: skip
def test_team_has_what_was_asked_for(cp, tenants, body, column, value):
    made = make(cp, **body)
    assert made[column] == value
    assert info(cp, made["team_id"])["team_info"][column] == value


def test_new_team_with_members_aliases_budgets_and_an_entry(cp, tenants, postgres):
    made = make(cp, team_id="full", team_alias="Full", model_aliases={"a": "b"}, budget_duration="1d", team_member_budget=3,
                team_member_rpm_limit=4, object_permission={"mcp_servers": ["s"]},
                members_with_roles=[{"user_id": "ivy", "role": "user"}, {"user_email": "New@x.org", "role": "admin"}])  # fmt: skip
    assert members(made) | {"?": 0} == {"ivy": "user", "default_user_id": "admin", made["members_with_roles"][1]["user_id"]: "admin", "?": 0}
    assert made["litellm_model_table"]["model_aliases"] == {"a": "b"}
    midnight = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    assert made["budget_reset_at"] == midnight
    shown = info(cp, "full")
    assert shown["team_info"]["object_permission"]["mcp_servers"] == ["s"]
    budget = shown["team_info"]["team_member_budget_table"]
    assert (budget["max_budget"], budget["rpm_limit"]) == (3, 4)
    assert made["metadata"]["team_member_budget_id"] == budget["budget_id"]
    assert {m["budget_source"] for m in shown["team_memberships"]} == {"team_default"} and len(shown["team_memberships"]) == 3
    assert tenants._sql("SELECT array_to_json(teams), user_role FROM \"LiteLLM_UserTable\" WHERE user_email = 'New@x.org'") == [('["full"]', "internal_user")]
    ((action, by, before, after),) = tenants.audits("full")
    assert (action, by, before, after["team_alias"], len(after["members_with_roles"])) == ("created", "default_user_id", None, "Full", 3)


NEW = [
    ({"max_budget": -1}, 400, "max_budget must be a non-negative finite number. Received: -1.0"),
    ({"soft_budget": -1}, 400, "soft_budget must be a non-negative finite number."),
    ({"team_member_budget": -2}, 400, "team_member_budget must be a non-negative finite number."),
    ({"soft_budget": 2, "max_budget": 2}, 400, "soft_budget (2.0) must be strictly lower than max_budget (2.0)"),
    ({"budget_duration": "soon"}, 400, "Invalid budget_duration \\'soon\\'. Use a format like"),
    ({"team_id": "red"}, 400, "Team id = red already exists. Please use a different team id."),
    ({"team_id": "litellm-dashboard"}, 400, "is reserved for LiteLLM UI dashboard sessions"),
    ({"organization_id": "nowhere"}, 400, "Organization not found for organization_id=nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "text"), NEW)
def test_teams_that_cannot_be(cp, tenants, body, status, text):
    reply = cp.post("/team/new", body)
    assert reply.status == status and text.replace("\\", "") in error(reply).replace("\\", ""), reply.body
    assert (reply.json["error"]["type"], reply.json["error"]["param"]) == ("internal_server_error", "None")


@pytest.mark.parametrize(
    ("path", "body", "loc"),
    [
        ("/team/new", {"tpm_limit": -1}, ["body", "tpm_limit"]), ("/team/new", {"models": "m"}, ["body", "models"]),
        ("/team/new", {"team_member_permissions": ["/x"]}, ["body", "team_member_permissions", 0]),
        ("/team/new", {"members_with_roles": [{"user_id": "x"}]}, ["body", "members_with_roles", 0, "role"]),
        ("/team/update", {}, ["body", "team_id"]), ("/team/delete", {}, ["body", "team_ids"]), ("/team/block", {}, ["body", "team_id"]),
        ("/team/member_add", {"team_id": "red"}, ["body", "member"]),
        ("/team/member_add", {"team_id": "red", "member": {"user_id": "x", "role": "king"}}, ["body", "member", "role"]),
        ("/team/member_add", {"team_id": "red", "member": [{"role": "user"}, 1]}, ["body", "member", 1]),
        ("/team/member_delete", {"team_id": "red"}, ["body"]), ("/team/member_update", {"team_id": "red"}, ["body"]),
        ("/team/model/add", {"team_id": "red"}, ["body", "models"]),
        ("/team/permissions_update", {"team_id": "red", "team_member_permissions": ["/key/list", "/user/new"]}, ["body", "team_member_permissions", 1]),
    ],
)  # fmt: skip
def test_types_that_do_not_fit_are_422(cp, tenants, path, body, loc):
    reply = cp.post(path, body)
    assert reply.status == 422, reply.body
    assert [d["loc"] for d in reply.json["detail"]] == [loc]


def test_organization_bounds_its_teams(cp, tenants):
    tenants._sql("""INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, tpm_limit, created_by, updated_by) VALUES ('small', 10, 100, 'x', 'x');
        INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, models, created_by, updated_by)
        VALUES ('small', 'Small', 'small', '{a,b}', 'x', 'x')""")
    cases = [
        ({"max_budget": 11}, "Team max_budget (11.0) exceeds organization's max_budget (10.0). Organization: small"),
        ({"tpm_limit": 101}, "Team tpm_limit (101) exceeds organization's tpm_limit (100). Organization: small"),
        ({"models": ["a", "c"]}, "Model 'c' not in organization's allowed models."),
    ]
    made = make(cp, organization_id="small", max_budget=10, models=["a"])
    for body, text in cases:
        for reply in (cp.post("/team/new", {"organization_id": "small", **body}), cp.post("/team/update", {"team_id": made["team_id"], **body})):
            assert reply.status == 400 and text in error(reply).replace("\\'", "'"), reply.body
    for body, text in [({}, "Team has access to all proxy models"), ({"models": ["c"]}, "access to model c"),
                       ({"models": ["a"], "max_budget": 11}, "max_budget 11.0 that is greater")]:  # fmt: skip
        outside = make(cp, **body)
        reply = cp.post("/team/update", {"team_id": outside["team_id"], "organization_id": "small"})
        assert reply.status == 403 and "Cannot move team to organization." in error(reply) and text in error(reply), reply.body


# --- who may do what

ASK = {
    "info": lambda cp, t, as_: cp.get(f"/team/info?team_id={t}", key=as_),
    "update": lambda cp, t, as_: cp.post("/team/update", {"team_id": t, "team_alias": "x"}, key=as_),
    "block": lambda cp, t, as_: cp.post("/team/block", {"team_id": t}, key=as_),
    "unblock": lambda cp, t, as_: cp.post("/team/unblock", {"team_id": t}, key=as_),
    "add": lambda cp, t, as_: cp.post("/team/member_add", {"team_id": t, "member": {"user_id": "ivy", "role": "user"}}, key=as_),
    "bulk": lambda cp, t, as_: cp.post("/team/bulk_member_add", {"team_id": t, "members": [{"user_id": "ines", "role": "user"}]}, key=as_),
    "change": lambda cp, t, as_: cp.post("/team/member_update", {"team_id": t, "user_id": "bob", "rpm_limit": 5}, key=as_),
    "remove": lambda cp, t, as_: cp.post("/team/member_delete", {"team_id": t, "user_id": "bob"}, key=as_),
    "models": lambda cp, t, as_: cp.post("/team/model/add", {"team_id": t, "models": ["m"]}, key=as_),
    "less": lambda cp, t, as_: cp.post("/team/model/delete", {"team_id": t, "models": ["m"]}, key=as_),
    "rights": lambda cp, t, as_: cp.get(f"/team/permissions_list?team_id={t}", key=as_),
    "grant": lambda cp, t, as_: cp.post("/team/permissions_update", {"team_id": t, "team_member_permissions": ["/key/list"]}, key=as_),
    "delete": lambda cp, t, as_: cp.post("/team/delete", {"team_ids": [t]}, key=as_),
}  # fmt: skip

# caller: info update block unblock add bulk change remove models less rights grant delete
MATRIX = """
    master  200 200 200 200 200 200 200 200 200 200 200 200 200
    root    200 200 200 200 200 200 200 200 200 200 200 200 200
    vera    200 403 403 403 403 403 403 403 403 403 200 403 403
    olga    200 200 200 200 200 200 200 200 200 200 200 200 200
    ann     200 401 401 401 200 200 200 200 200 200 200 200 401
    bob     200 401 401 401 403 403 403 403 403 403 403 403 401
    ivy     404 401 401 401 404 404 404 404 404 404 404 404 401
    zoe     404 401 401 401 404 404 404 404 404 404 404 404 401
    pam     404 404 404 404 404 404 404 404 404 404 404 404 404
    ines    404 401 401 401 404 404 404 404 404 404 404 404 401
    nobody  404 401 401 401 401 401 401 401 401 401 401 401 401
"""


@pytest.fixture(scope="module")
def pam(tenants):
    """org_admin of organization two."""
    tenants._sql("""INSERT INTO "LiteLLM_UserTable" (user_id, user_role) VALUES ('pam', 'internal_user');
        INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) VALUES ('pam', 'two', 'org_admin')""")
    tenants.keys["pam"] = tenants.make_key(user_id="pam")


@pytest.mark.parametrize(
    ("who", "ask", "status"),
    [(who, ask, int(s)) for line in MATRIX.strip().splitlines() for who, *all_ in [line.split()]
     for ask, s in zip(ASK, all_, strict=True)],
)  # fmt: skip
def test_who_may_do_what_to_a_team(cp, tenants, pam, team, who, ask, status):
    reply = ASK[ask](cp, team, tenants.keys[who])
    assert reply.status == status, reply.body
    if status != 200:
        assert tenants.audits(team) == [], "a refusal leaves no trace"
    elif ask not in ("info", "rights"):
        assert tenants.audits(team), "a change has its entry"


@pytest.mark.parametrize("ask", ASK)
def test_team_that_is_not_there(cp, tenants, ask):
    reply = ASK[ask](cp, "nowhere", cp.key)
    assert reply.status == 404 and "nowhere" in error(reply), reply.body


NEW_AS = [
    ("olga", {"organization_id": "one"}, 200, None), ("olga", {}, 401, "Only proxy admin can be used"),
    ("olga", {"organization_id": "two"}, 400, "Organization not found for organization_id=two"),
    ("olga", {"organization_id": "one", "disable_global_guardrails": True}, 403, "disable_global_guardrails"),
    ("olga", {"organization_id": "one", "metadata": {"allowed_passthrough_routes": ["/x"]}}, 403, "allowed_passthrough_routes"),
    ("vera", {}, 403, "not allowed to access this route"), ("ann", {"organization_id": "one"}, 401, "Only proxy admin"),
    ("ivy", {}, 401, "Only proxy admin"), ("nobody", {}, 401, "Only proxy admin"), ("root", {}, 200, None),
]  # fmt: skip


@pytest.mark.parametrize(("who", "body", "status", "text"), NEW_AS)
def test_who_may_make_a_team(cp, tenants, who, body, status, text):
    reply = cp.post("/team/new", body, key=tenants.keys[who])
    assert reply.status == status, reply.body
    assert text in error(reply) if text else members(reply.json) == {who: "admin"}


def test_moves_between_organizations(cp, tenants, team):
    move = lambda who, to: cp.post("/team/update", {"team_id": team, "organization_id": to}, key=tenants.keys[who])  # noqa: E731
    assert move("olga", "two").status == 404
    assert move("olga", "").status == 403
    assert move("master", "nowhere").status == 404
    assert move("master", "two").json["data"]["organization_id"] == "two"
    assert move("olga", "one").status == 404, "not hers any more"
    assert tenants._sql("SELECT user_id FROM \"LiteLLM_OrganizationMembership\" WHERE organization_id = 'two' AND user_id = 'bob'") == [("bob",)]
    assert move("master", "").json["data"]["organization_id"] is None


# --- update


def test_update_changes_what_stands_in_the_body(cp, tenants):
    made = make(cp, max_budget=5, soft_budget=1, rpm_limit=3, metadata={"a": 1}, tags=["t"], team_member_budget=2)
    team_id = made["team_id"]
    reply = cp.post("/team/update", {"team_id": team_id, "max_budget": 6, "rpm_limit": None, "guardrails": ["g"], "budget_duration": "7d"})
    assert reply.json["team_id"] == team_id
    now = reply.json["data"]
    budget = made["metadata"]["team_member_budget_id"]
    assert (now["max_budget"], now["rpm_limit"], now["soft_budget"], now["budget_duration"]) == (6, None, 1, "7d") and now["budget_reset_at"]
    assert now["metadata"] == {"a": 1, "tags": ["t"], "guardrails": ["g"], "team_member_budget_id": budget}
    now = cp.post("/team/update", {"team_id": team_id, "metadata": {"b": 2}, "team_member_budget": 9, "budget_duration": None}).json["data"]
    assert now["metadata"] == {"b": 2, "team_member_budget_id": budget} and now["budget_reset_at"] is None
    assert info(cp, team_id)["team_info"]["team_member_budget_table"]["max_budget"] == 9
    audits = tenants.audits(team_id)
    assert [a for a, *_ in audits] == ["created", "updated", "updated"]
    assert audits[1][2]["max_budget"] == 5 and audits[1][3]["max_budget"] == 6 and audits[1][3]["rpm_limit"] is None
    for body, text in [({"soft_budget": 6}, "soft_budget (6.0) must be strictly lower than max_budget (6.0)"),
                       ({"max_budget": 1}, "max_budget (1.0) must be strictly greater than soft_budget (1.0)")]:  # fmt: skip
        reply = cp.post("/team/update", {"team_id": team_id, **body})
        assert reply.status == 400 and text in error(reply)
    aliases = [cp.post("/team/update", {"team_id": team_id, "model_aliases": a}).json["data"]["litellm_model_table"] for a in ({"x": "y"}, {"z": "y"})]
    assert [a["model_aliases"] for a in aliases] == [{"x": "y"}, {"z": "y"}] and aliases[0]["id"] == aliases[1]["id"]


def test_block_and_unblock(cp, tenants, team):
    key = tenants.make_key(user_id="bob", team_id=team)
    assert cp.post("/team/block", {"team_id": team}).json["blocked"] is True
    assert f"Team={team} is blocked." in error(cp.get("/key/info", key=key))
    assert cp.post("/team/unblock", {"team_id": team}).json["blocked"] is False
    assert cp.get("/key/info", key=key).status == 200
    assert [a for a, *_ in tenants.audits(team)] == ["blocked", "blocked"]


def test_access_groups_know_their_teams(cp, tenants):
    tenants._sql("INSERT INTO \"LiteLLM_AccessGroupTable\" (access_group_id, access_group_name, access_model_names) VALUES ('ag', 'ag', '{m1,m2}')")
    groups = lambda: tenants._sql("SELECT array_to_json(assigned_team_ids) FROM \"LiteLLM_AccessGroupTable\" WHERE access_group_id = 'ag'")  # noqa: E731
    made = make(cp, access_group_ids=["ag"])
    assert groups() == [(f'["{made["team_id"]}"]',)]
    assert info(cp, made["team_id"])["team_info"]["access_group_models"] == ["m1", "m2"]
    cp.post("/team/update", {"team_id": made["team_id"], "access_group_ids": []})
    assert groups() == [("[]",)]


# --- delete


def test_delete_takes_keys_and_memberships_and_keeps_rows(cp, tenants, team):
    key = tenants.make_key(user_id="bob", team_id=team)
    cp.post("/team/member_add", {"team_id": team, "member": {"user_id": "ivy", "role": "user"}})
    reply = cp.post("/team/delete", {"team_ids": [team, team]}, headers=[("litellm-changed-by", "boss")])
    assert reply.json == {"deleted_teams": [team]}
    assert cp.get(f"/team/info?team_id={team}").status == 404
    assert tenants._sql('SELECT deleted_by, litellm_changed_by FROM "LiteLLM_DeletedTeamTable" WHERE team_id = %s', team) == [("default_user_id", "boss")]
    assert tenants._sql('SELECT team_id FROM "LiteLLM_DeletedVerificationToken" WHERE token = %s', sha256(key)) == [(team,)]
    assert cp.get("/key/info", key=key).status == 401
    for table, column in [("TeamMembership", "team_id = %s"), ("UserTable", "%s = ANY (teams)")]:
        assert tenants._sql(f'SELECT user_id FROM "LiteLLM_{table}" WHERE {column}', team) == []
    assert tenants.audits(team)[-1][:2] == ("deleted", "boss") and tenants.audits(sha256(key))[-1][0] == "deleted"


def test_delete_is_all_or_nothing(cp, tenants, team):
    assert cp.post("/team/delete", {"team_ids": [team, "nowhere"]}).status == 404
    assert cp.post("/team/delete", {"team_ids": [team, "blue"]}, key=tenants.keys["olga"]).status == 404
    assert info(cp, team)["team_id"] == team


# --- members


def test_member_add_makes_users_and_memberships(cp, tenants, team):
    reply = cp.post("/team/member_add", {"team_id": team, "max_budget_in_team": 2, "budget_duration": "1d", "member": [
        {"user_email": f"{team}@x.org", "role": "user"}, {"user_id": f"u-{team}", "role": "admin"}, {"user_id": "bob", "role": "user"},
        {"user_id": f"u-{team}", "role": "user"}]})  # fmt: skip
    assert reply.status == 200, reply.body
    made = reply.json
    by_mail = next(u["user_id"] for u in made["updated_users"] if u["user_email"] == f"{team}@x.org")
    assert members(made) == {"ann": "admin", "bob": "user", f"u-{team}": "admin", by_mail: "user"} and len(made["members_with_roles"]) == 4
    assert [(m["litellm_budget_table"]["max_budget"], bool(m["litellm_budget_table"]["budget_reset_at"])) for m in made["updated_team_memberships"]] == [(2, True)] * 2
    assert [u["teams"] for u in made["updated_users"]] == [[team], [team]] and not any("password" in u for u in made["updated_users"])
    ((action, _, before, after),) = tenants.audits(team)
    assert action == "updated" and len(before["members_with_roles"]) == 2 and len(after["members_with_roles"]) == 4
    assert tenants.audits(f"u-{team}")[0][0] == "created"


ADD = [
    ("master", {"user_id": "bob", "role": "user"}, 400, "User already in team. Member: user_id=bob, user_email=None. Existing members="),
    ("master", [{"user_id": "bob", "role": "user"}], 400, "All users are already in team. Existing members=['ann', 'bob']"),
    ("master", {"role": "user"}, 400, "Either user_id or user_email must be provided"),
    ("master", {"user_email": "twin@x.org", "role": "user"}, 400, "Multiple users found with email 'twin@x.org'. Please use 'user_id' instead."),
    ("master", {"user_email": "ONE@x.org", "user_id": "ivy", "role": "user"}, 400, "user_email 'ONE@x.org' and user_id 'ivy' do not belong to the same user."),
    ("ann", {"user_id": "unknown", "role": "user"}, 403, "Only proxy admins can add a user_id that does not exist yet: unknown."),
    ("olga", {"user_id": "unknown", "role": "user"}, 403, "Only proxy admins can add a user_id that does not exist yet: unknown."),
    ("bob", {"user_id": "ivy", "role": "user"}, 403, "Call not allowed. User not proxy admin OR team admin. route=/team/member_add, team_id="),
]  # fmt: skip


@pytest.fixture(scope="module")
def mails(tenants):
    tenants._sql("""INSERT INTO "LiteLLM_UserTable" (user_id, user_role, user_email)
                    VALUES ('twin1', 'internal_user', 'twin@x.org'), ('twin2', 'internal_user', 'Twin@x.org'), ('one1', 'internal_user', 'one@x.org')""")


@pytest.mark.parametrize(("who", "member", "status", "text"), ADD)
def test_members_that_cannot_be_added(cp, tenants, mails, team, who, member, status, text):
    reply = cp.post("/team/member_add", {"team_id": team, "member": member}, key=tenants.keys[who])
    assert reply.status == status and text in error(reply), reply.body
    if "already" in text:
        assert (reply.json["error"]["type"], reply.json["error"]["param"]) == ("team_member_already_in_team", "member")
    assert tenants.audits(team) == []


def test_negative_member_budgets_are_refused(cp, tenants, team):
    for path, body in [("member_add", {"member": {"user_id": "ivy", "role": "user"}, "max_budget_in_team": -1}),
                       ("member_update", {"user_id": "bob", "max_budget_in_team": -1}), ("member_update", {"user_id": "bob", "rpm_limit": -1}),
                       ("member_update", {"user_id": "bob", "budget_duration": "soon"})]:  # fmt: skip
        assert cp.post(f"/team/{path}", {"team_id": team, **body}).status == 400, body


def test_others_see_of_a_user_who_they_are(cp, tenants, team):
    reply = cp.post("/team/member_add", {"team_id": team, "member": {"user_id": "zoe", "role": "user"}}, key=tenants.keys["ann"])
    assert reply.json["updated_users"] == [{"user_id": "zoe", "user_email": None, "user_alias": None, "user_role": "internal_user"}]


def test_available_teams_are_joined_by_oneself(cp, tenants):
    key = tenants.keys["ivy"]
    assert [t["team_id"] for t in cp.get("/team/available", key=key).json] == ["open"]
    for body, text in [({"member": {"user_id": "ivy", "role": "admin"}}, "cannot assign 'admin' role"),
                       ({"member": {"user_id": "bob", "role": "user"}}, "can only add the caller"),
                       ({"member": {"user_id": "ivy", "role": "user"}, "max_budget_in_team": 5}, "cannot set per-member budget")]:  # fmt: skip
        reply = cp.post("/team/member_add", {"team_id": "open", **body}, key=key)
        assert reply.status == 403 and text in error(reply), reply.body
    assert cp.post("/team/member_add", {"team_id": "open", "member": {"user_id": "ivy", "role": "user"}}, key=key).status == 200
    assert cp.get("/team/available", key=key).json == []
    assert cp.get("/team/available").status == 404


def test_concurrent_adds_lose_nobody(cp, tenants, team):
    def add(i):
        return cp.post("/team/member_add", {"team_id": team, "member": {"user_id": f"{team}-{i}", "role": "user"}}).status

    def drop(i):
        return cp.post("/team/member_delete", {"team_id": team, "user_id": f"{team}-{i}"}).status

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(add, range(48))) == {200}
        later = [pool.submit(add, i) for i in range(48, 64)] + [pool.submit(drop, i) for i in range(8)]
        assert {f.result() for f in later} == {200}
    there = {"ann", "bob", *(f"{team}-{i}" for i in range(8, 64))}
    assert set(members(info(cp, team)["team_info"])) == there
    assert {u for (u,) in tenants._sql('SELECT user_id FROM "LiteLLM_UserTable" WHERE %s = ANY (teams)', team)} == there
    assert {u for (u,) in tenants._sql('SELECT user_id FROM "LiteLLM_TeamMembership" WHERE team_id = %s', team)} == there - {"ann", "bob"}


def test_bulk_add(cp, tenants, mails, team):
    bulk = lambda **b: cp.post("/team/bulk_member_add", {"team_id": team, **b})  # noqa: E731
    reply = bulk(members=[{"user_id": f"{team}-{i}", "role": "user"} for i in range(3)], max_budget_in_team=1).json
    assert (reply["total_requested"], reply["successful_additions"], reply["failed_additions"]) == (3, 3, 0)
    assert [(r["success"], r["updated_user"]["user_id"], r["updated_team_membership"]["litellm_budget_table"]["max_budget"]) for r in reply["results"]] == [
        (True, f"{team}-{i}", 1) for i in range(3)]  # fmt: skip
    assert len(reply["updated_team"]["members_with_roles"]) == 5
    reply = bulk(members=[{"user_id": f"{team}-new", "role": "user"}, {"user_email": "twin@x.org", "role": "user"}]).json
    assert (reply["successful_additions"], reply["failed_additions"]) == (0, 2) and "Multiple users found" in reply["results"][0]["error"]
    assert f"{team}-new" not in members(info(cp, team)["team_info"]), "all or none"
    assert bulk(members=[]).status == 400 and error(bulk()) == "At least one member is required"
    assert error(bulk(members=[{"user_id": str(i), "role": "user"} for i in range(501)])) == "Maximum 500 members can be added at once"
    assert cp.post("/team/bulk_member_add", {"team_id": team, "all_users": True}, key=tenants.keys["ann"]).status == 403


def test_member_delete_takes_their_keys_in_the_team(cp, tenants, team):
    in_team, elsewhere = tenants.make_key(user_id="bob", team_id=team), tenants.make_key(user_id="bob", team_id="red")
    reply = cp.post("/team/member_delete", {"team_id": team, "user_id": "bob"}, key=tenants.keys["ann"])
    assert members(reply.json) == {"ann": "admin"}
    assert cp.get("/key/info", key=in_team).status == 401 and cp.get("/key/info", key=elsewhere).status == 200
    assert tenants._sql("SELECT %s = ANY (teams) FROM \"LiteLLM_UserTable\" WHERE user_id = 'bob'", team) == [("f",)]
    reply = cp.post("/team/member_delete", {"team_id": team, "user_id": "bob"})
    assert reply.status == 400 and error(reply) == "User not found in team"


def test_member_update_gives_a_budget_of_their_own(cp, tenants):
    team_id = make(cp, team_member_budget=5, members_with_roles=[{"user_id": "bob", "role": "user"}, {"user_id": "ivy", "role": "user"}])["team_id"]
    budgets = lambda: {m["user_id"]: (m["budget_source"], (m["litellm_budget_table"] or {}).get("max_budget"))  # noqa: E731
                       for m in info(cp, team_id)["team_memberships"]}  # fmt: skip
    assert budgets()["bob"] == ("team_default", 5)
    reply = cp.post("/team/member_update", {"team_id": team_id, "user_id": "bob", "max_budget_in_team": 7, "role": "admin"})
    assert (reply.json["user_id"], reply.json["max_budget_in_team"], reply.json["team_id"]) == ("bob", 7, team_id)
    assert budgets() | {"default_user_id": 0} == {"bob": ("member", 7), "ivy": ("team_default", 5), "default_user_id": 0}
    assert members(info(cp, team_id)["team_info"])["bob"] == "admin"
    cp.post("/team/member_update", {"team_id": team_id, "user_id": "bob", "max_budget_in_team": 8})
    assert budgets()["bob"] == ("member", 8)
    cp.post("/team/member_update", {"team_id": team_id, "user_id": "bob", "max_budget_in_team": None})
    assert budgets()["bob"] == (None, None)
    reply = cp.post("/team/member_update", {"team_id": team_id, "user_id": "stranger", "rpm_limit": 1})
    assert reply.status == 404 and error(reply) == f"User stranger is not a member of team {team_id}"
    assert cp.post("/team/member_update", {"team_id": team_id, "user_email": "no@x.org", "rpm_limit": 1}).status == 400


# --- models, permissions


def test_models(cp, tenants, team):
    assert cp.post("/team/model/add", {"team_id": team, "models": ["a", "b", "a"]}).json["models"] == ["all-proxy-models", "a", "b"]
    assert cp.post("/team/model/delete", {"team_id": team, "models": ["all-proxy-models", "b"]}).json["models"] == ["a"]
    reply = cp.post("/team/model/delete", {"team_id": team, "models": ["a"]}, key=tenants.keys["ann"])
    assert reply.status == 403, "a team without any may use all"
    tenants._sql("UPDATE \"LiteLLM_UserTable\" SET models = '{a,b*}' WHERE user_id = 'ann'")
    add = lambda m: cp.post("/team/model/add", {"team_id": team, "models": [m]}, key=tenants.keys["ann"]).status  # noqa: E731
    assert (add("bb"), add("c")) == (200, 403)
    tenants._sql("UPDATE \"LiteLLM_UserTable\" SET models = '{}' WHERE user_id = 'ann'")


def test_permissions(cp, tenants, team):
    rights = lambda: cp.get(f"/team/permissions_list?team_id={team}", key=tenants.keys["ann"]).json  # noqa: E731
    assert rights()["team_member_permissions"] == [] and "/key/generate" in rights()["all_available_permissions"]
    key = tenants.make_key(user_id="bob", team_id=team)
    assert cp.post("/key/generate", {"team_id": team}, key=key).status == 401
    cp.post("/team/permissions_update", {"team_id": team, "team_member_permissions": ["/key/generate"]}, key=tenants.keys["ann"])
    assert rights()["team_member_permissions"] == ["/key/generate"]
    assert cp.post("/key/generate", {"team_id": team}, key=key).status == 200


# --- reading


def test_info_shows_keys_to_those_who_may_list_them(cp, tenants, team):
    for user in ("ann", "bob"):
        tenants.make_key(user_id=user, team_id=team)
    seen = lambda who: sorted(k["user_id"] for k in info(cp, team, key=tenants.keys[who])["keys"])  # noqa: E731
    assert (seen("ann"), seen("bob"), seen("vera")) == (["ann", "bob"], ["bob"], ["ann", "bob"])
    assert not any("token" in k for k in info(cp, team)["keys"])
    assert len(info(cp, f"{team}&key_limit=1")["keys"]) == 1
    reply = cp.get("/team/info?team_id=nowhere")
    assert reply.json["error"] == {"message": "{'message': 'Team not found, passed team id: nowhere.'}", "type": "auth_error", "param": "None", "code": "404"}
    assert cp.get("/team/info").status == 422


def test_list(cp, tenants, team, pam):
    ids = lambda path, who="master": {t["team_id"] for t in cp.get(path, key=tenants.keys[who]).json}  # noqa: E731
    assert {"red", "blue", team} <= ids("/team/list") and ids("/team/list", "vera") == ids("/team/list")
    assert team in ids("/team/list?user_id=bob", "bob") and "blue" not in ids("/team/list?user_id=bob", "bob")
    assert {"red", team} <= ids("/team/list", "olga") and not {"blue", "open"} & ids("/team/list", "olga")
    assert team not in ids("/team/list?organization_id=default_organization") and "blue" in ids("/team/list?organization_id=two")
    for who, path in [("bob", "/team/list"), ("bob", "/team/list?user_id=ann"), ("nobody", "/team/list")]:
        reply = cp.get(path, key=tenants.keys[who])
        assert reply.status == 401 and error(reply).startswith("Only admin users can query all teams/other teams. Your user role=")


def test_list_page_by_page(cp, tenants, team):
    get = lambda q="", who="master": cp.get(f"/v2/team/list?{q}", key=tenants.keys[who])  # noqa: E731
    total = get().json["total"]
    pages = [get(f"page={p}&page_size=5&sort_by=team_id").json for p in range(1, (total + 4) // 5 + 1)]
    ids = [t["team_id"] for p in pages for t in p["teams"]]
    assert len(ids) == len(set(ids)) == total and {p["total_pages"] for p in pages} == {(total + 4) // 5}
    tenants.make_key(user_id="bob", team_id=team)
    (one,) = get(f"team_id={team}").json["teams"]
    assert (one["members_count"], one["keys_count"]) == (2, 1)
    assert {t["team_id"] for t in get("search=re&search_team_id_match=prefix").json["teams"]} >= {"red"}
    sees = lambda who, id_: get(f"team_id={id_}", who).json["total"] == 1  # noqa: E731
    assert sees("bob", team) and sees("olga", "red") and not sees("bob", "blue") and not sees("olga", "blue")
    assert get("user_id=ann", "bob").status == 401 and get("organization_id=two", "olga").status == 403
    assert get("status=new").status == 400 and get("user_id=unknown").status == 404 and get("page_size=101").status == 422
    cp.post("/team/delete", {"team_ids": [team]})
    assert [t["team_id"] for t in get(f"status=deleted&team_id={team}").json["teams"]] == [team]


def test_quotes_and_statements_are_values(cp, tenants):
    nasty = "'; DROP TABLE \"LiteLLM_TeamTable\"; --\\ \" {a,b} $1 %_"
    made = make(cp, team_alias=nasty, models=[nasty], metadata={nasty: nasty})
    assert (made["team_alias"], made["models"], made["metadata"]) == (nasty, [nasty], {nasty: nasty})
    reply = cp.post("/team/member_add", {"team_id": made["team_id"], "member": {"user_id": nasty, "role": "user"}})
    assert nasty in members(reply.json)
    assert cp.get("/v2/team/list?team_alias=%25%5F%27").status == 200


# --- in part, many at once, for forms


def test_patch_merges_metadata(cp):
    cp.post("/team/new", {"team_id": "patched", "team_alias": "was", "metadata": {"a": 1, "deep": {"x": 1, "y": 2}, "gone": True}, "max_budget": 5})
    reply = cp.call("PATCH", "/team/patched", {"metadata": {"a": 2, "deep": {"y": None, "z": [3]}, "gone": None}, "team_alias": "now"})
    assert reply.status == 200 and reply.json["team_id"] == "patched" and reply.json["team_alias"] == "now"
    assert reply.json["metadata"] == {"a": 2, "deep": {"x": 1, "z": [3]}} and reply.json["max_budget"] == 5
    again = cp.call("PATCH", "/team/patched", {"max_budget": 6})
    assert again.json["metadata"] == reply.json["metadata"] and again.json["max_budget"] == 6
    assert cp.call("PATCH", "/team/patched", {"team_id": "patched", "rpm_limit": 1}).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({"team_id": "other"}, 400), ({"max_budget": -1}, 400), ({"max_budget": "x"}, 422), ({"metadata": [1]}, 422), ({"budget_duration": "x"}, 400)],
)
def test_patches_that_do_not_fit(cp, body, status):
    cp.post("/team/new", {"team_id": "whole", "metadata": {"a": 1}})
    assert cp.call("PATCH", "/team/whole", body).status == status
    assert cp.get("/team/info?team_id=whole").json["team_info"]["metadata"] == {"a": 1}
    assert cp.call("PATCH", "/team/none", {"metadata": {}}).status == 404


def test_permissions_of_many(cp, tenants):
    for team in ("p1", "p2", "p3"):
        cp.post("/team/new", {"team_id": team})
    cp.post("/team/permissions_update", {"team_id": "p1", "team_member_permissions": ["/key/generate"]})
    reply = cp.post("/team/permissions_bulk_update", {"permissions": ["/key/generate", "/key/update"], "team_ids": ["p1", "p2"]})
    assert reply.json["teams_updated"] == 2 and reply.json["permissions_appended"] == ["/key/generate", "/key/update"]
    of = {t: cp.get(f"/team/permissions_list?team_id={t}").json["team_member_permissions"] for t in ("p1", "p2", "p3")}
    assert of["p1"] == of["p2"] == ["/key/generate", "/key/update"] and "/key/update" not in of["p3"]
    assert len(tenants.audits("p1")) == 3 and len(tenants.audits("p3")) == 1
    assert cp.post("/team/permissions_bulk_update", {"permissions": ["/key/update"], "team_ids": ["p1"]}).json["teams_updated"] == 0
    everywhere = cp.post("/team/permissions_bulk_update", {"permissions": ["/key/update"], "apply_to_all_teams": True}).json
    assert everywhere["teams_updated"] >= 1
    assert "/key/update" in cp.get("/team/permissions_list?team_id=p3").json["team_member_permissions"]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"permissions": ["/key/update"]}, 400), ({"permissions": ["/key/update"], "team_ids": ["x"], "apply_to_all_teams": True}, 400),
     ({"permissions": ["/key/update"], "team_ids": ["none"]}, 404), ({"permissions": ["/user/new"], "team_ids": ["none"]}, 422),
     ({"permissions": [], "team_ids": ["none"]}, 200), ({}, 422)],
)  # fmt: skip
def test_permissions_of_many_that_do_not_fit(cp, body, status):
    assert cp.post("/team/permissions_bulk_update", body).status == status


def test_ones_own_membership(cp, tenants, postgres):
    me = cp.get("/team/red/members/me", key=tenants.keys["bob"]).json
    assert (me["user_id"], me["team_id"], me["role"], me["spend"], me["budget_id"]) == ("bob", "red", "user", 0, None)
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, created_by, updated_by) VALUES ('mb', 3, 'x', 'x');
        INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, spend, budget_id) VALUES ('ann', 'red', 1.5, 'mb')
        ON CONFLICT (user_id, team_id) DO UPDATE SET spend = 1.5, budget_id = 'mb'""")  # fmt: skip
    me = cp.get("/team/red/members/me", key=tenants.keys["ann"]).json
    assert (me["role"], me["spend"], me["budget_id"], me["litellm_budget_table"]["max_budget"]) == ("admin", 1.5, "mb", 3)
    assert cp.get("/team/red/members/me", key=tenants.keys["zoe"]).status == 404
    assert cp.get("/team/red/members/me").status == 404  # an admin is no member


def test_search_of_teams(cp):
    cp.post("/team/new", {"team_id": "needle-1", "team_alias": "Haystack%"})
    assert [t["team_id"] for t in cp.get("/team/filter/ui?team_id=EEDLE-1").json] == ["needle-1"]
    assert [t["team_id"] for t in cp.get("/team/filter/ui?team_alias=stack%25").json] == ["needle-1"]
    assert cp.get("/team/filter/ui?team_alias=st_ck").json == [] and len(cp.get("/team/filter/ui?page_size=1").json) == 1
