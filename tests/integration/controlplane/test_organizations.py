"""/organization: every route's happy, forbidden, invalid and not-found cases."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tenants import sha256

numbers = itertools.count()


def error(reply):
    body = reply.json
    if "error" in body:
        return body["error"]["message"]
    detail = body["detail"]
    return detail["error"] if isinstance(detail, dict) else detail


def make(cp, **body):
    reply = cp.post("/organization/new", {"organization_alias": "x", **body})
    assert reply.status == 200, reply.body
    return reply.json


def info(cp, org, **kw):
    reply = cp.get(f"/organization/info?organization_id={org}", **kw)
    assert reply.status == 200, reply.body
    return reply.json


@pytest.fixture
def org(cp, tenants):
    """An organization that oskar administers and bob is in."""
    org_id = f"o{next(numbers)}"
    make(cp, organization_id=org_id, max_budget=10, metadata={"a": 1})
    tenants._sql("""INSERT INTO "LiteLLM_UserTable" (user_id, user_role) VALUES ('oskar', 'internal_user') ON CONFLICT DO NOTHING""")
    for user, role in (("oskar", "org_admin"), ("bob", "internal_user")):
        tenants._sql('INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role) VALUES (%s, %s, %s)', user, org_id, role)
    if "oskar" not in tenants.keys:
        tenants.keys["oskar"] = tenants.make_key(user_id="oskar")
    return org_id


def test_new(cp, tenants):
    made = make(cp, organization_id="acme", organization_alias="Acme", models=["m"], max_budget=3, tpm_limit=9, budget_duration="7d",
                model_rpm_limit={"m": 1}, metadata={"k": "v"}, object_permission={"agents": ["a"]})  # fmt: skip
    assert (made["organization_alias"], made["models"], made["metadata"]) == ("Acme", ["m"], {"k": "v", "model_rpm_limit": {"m": 1}})
    budget = made["litellm_budget_table"]
    assert (budget["max_budget"], budget["tpm_limit"], budget["created_by"]) == (3, 9, "default_user_id") and budget["budget_reset_at"]
    shown = info(cp, "acme")
    assert (shown["members"], shown["teams"], shown["object_permission"]["agents"]) == ([], [], ["a"])
    assert [a for a, *_ in tenants.audits("acme")] == ["created"] and tenants.audits(budget["budget_id"])[0][0] == "created"
    assert make(cp, budget_id=budget["budget_id"])["litellm_budget_table"]["max_budget"] == 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "new", {"organization_alias": "x", "max_budget": -1}, 400, "max_budget must be a non-negative finite number. Received: -1.0"),
        ("POST", "new", {"organization_alias": "x", "soft_budget": -1}, 400, "soft_budget must be"), ("POST", "new", {}, 422, None),
        ("POST", "new", {"organization_alias": "x", "organization_id": "one"}, 400, "already exists"),
        ("POST", "new", {"organization_alias": "x", "budget_id": "none"}, 400, "Budget not found for budget_id=none"),
        ("POST", "new", {"organization_alias": "x", "budget_duration": "soon"}, 400, "Invalid budget_duration 'soon'."),
        ("PATCH", "update", {"organization_id": "one", "max_budget": -1}, 400, "max_budget must be"), ("PATCH", "update", {}, 400, "organization_id is required"),
        ("DELETE", "delete", {}, 422, None), ("DELETE", "delete", {"organization_ids": ["nowhere"]}, 404, "Organization=nowhere not found"),
        ("POST", "member_add", {"organization_id": "one", "member": {"user_id": "x", "role": "admin"}}, 422, None),
        ("POST", "member_add", {"organization_id": "one", "member": {"role": "org_admin"}}, 400, "Either user_id or user_email must be provided"),
        ("POST", "member_add", {"organization_id": "one", "member": {"user_id": "olga", "role": "org_admin"}}, 400, "User already in organization."),
        ("POST", "member_add", {"organization_id": "one", "member": [], "max_budget_in_organization": -1}, 400, "max_budget_in_organization must be"),
        ("PATCH", "member_update", {"organization_id": "one"}, 422, None), ("DELETE", "member_delete", {"organization_id": "one"}, 422, None),
        ("PATCH", "member_update", {"organization_id": "one", "user_id": "zoe"}, 404, "Member not found in organization for user_id=zoe"),
        ("DELETE", "member_delete", {"organization_id": "one", "user_email": "no@x.org"}, 400, "Unique user not found for user_email=no@x.org."),
        ("POST", "info", {"organizations": []}, 400, "Specify"),
    ],
)  # fmt: skip
def test_requests_that_cannot_be(cp, tenants, method, path, body, status, text):
    reply = cp.call(method, f"/organization/{path}", body)
    assert reply.status == status, reply.body
    if text:
        assert text in error(reply)


ASK = {
    "info": lambda cp, o, as_: cp.get(f"/organization/info?organization_id={o}", key=as_),
    "update": lambda cp, o, as_: cp.call("PATCH", "/organization/update", {"organization_id": o, "metadata": {"b": 2}}, key=as_),
    "budget": lambda cp, o, as_: cp.call("PATCH", "/organization/update", {"organization_id": o, "max_budget": 99}, key=as_),
    "add": lambda cp, o, as_: cp.post("/organization/member_add", {"organization_id": o, "member": {"user_id": "ivy", "role": "internal_user"}}, key=as_),
    "change": lambda cp, o, as_: cp.call("PATCH", "/organization/member_update", {"organization_id": o, "user_id": "bob", "role": "internal_user_viewer"}, key=as_),
    "remove": lambda cp, o, as_: cp.call("DELETE", "/organization/member_delete", {"organization_id": o, "user_id": "bob"}, key=as_),
    "delete": lambda cp, o, as_: cp.call("DELETE", "/organization/delete", {"organization_ids": [o]}, key=as_),
}  # fmt: skip

# caller: info update budget add change remove delete
MATRIX = """
    master  200 200 200 200 200 200 200
    root    200 200 200 200 200 200 200
    vera    200 403 403 403 403 403 403
    oskar   200 200 403 200 200 200 401
    olga    404 404 404 404 404 404 401
    bob     401 401 401 401 401 401 401
    nobody  401 401 401 401 401 401 401
"""


@pytest.mark.parametrize(
    ("who", "ask", "status"),
    [(who, ask, int(s)) for line in MATRIX.strip().splitlines() for who, *all_ in [line.split()]
     for ask, s in zip(ASK, all_, strict=True)],
)  # fmt: skip
def test_who_may_do_what(cp, tenants, org, who, ask, status):
    before = len(tenants.audits(org))
    reply = ASK[ask](cp, org, tenants.keys[who])
    assert reply.status == status, reply.body
    assert (len(tenants.audits(org)) > before) == (status == 200 and ask != "info")


@pytest.mark.parametrize("ask", ASK)
def test_organization_that_is_not_there(cp, tenants, ask):
    assert ASK[ask](cp, "nowhere", cp.key).status == 404


def test_update_adds_to_metadata_and_changes_the_budget(cp, tenants, org):
    reply = cp.call("PATCH", "/organization/update", {"organization_id": org, "organization_alias": "New", "metadata": {"b": 2},
                                                      "litellm_budget_table": {"max_budget": 20}, "rpm_limit": 4, "models": ["m"]})  # fmt: skip
    now = reply.json
    assert (now["organization_alias"], now["metadata"], now["models"]) == ("New", {"a": 1, "b": 2}, ["m"])
    assert (now["litellm_budget_table"]["max_budget"], now["litellm_budget_table"]["rpm_limit"]) == (20, 4)
    assert [m["user_id"] for m in now["members"]] == ["bob", "oskar"]


def test_delete_takes_teams_and_keys(cp, tenants, org):
    tenants.team(f"t-{org}", org, {"bob": "user"})
    keys = [tenants.make_key(user_id="bob", team_id=f"t-{org}"), tenants.make_key(user_id="bob", organization_id=org)]
    (gone,) = cp.call("DELETE", "/organization/delete", {"organization_ids": [org]}).json
    assert (gone["organization_id"], [t["team_id"] for t in gone["teams"]], len(gone["members"])) == (org, [f"t-{org}"], 2)
    assert cp.get(f"/team/info?team_id=t-{org}").status == 404 and ASK["info"](cp, org, cp.key).status == 404
    for key in keys:
        assert cp.get("/key/info", key=key).status == 401
        assert tenants._sql('SELECT count(*) FROM "LiteLLM_DeletedVerificationToken" WHERE token = %s', sha256(key)) == [("1",)]


def test_members(cp, tenants, org):
    reply = cp.post("/organization/member_add", {"organization_id": org, "max_budget_in_organization": 2, "member": [
        {"user_email": f"{org}@x.org", "role": "internal_user"}, {"user_id": "zoe", "role": "org_admin"}]}, key=tenants.keys["oskar"])  # fmt: skip
    assert reply.status == 200 and set(reply.json["updated_users"][1]) == {"user_id", "user_email", "user_alias", "user_role"}
    assert [m["user_role"] for m in reply.json["updated_organization_memberships"]] == ["internal_user", "org_admin"]
    change = lambda **b: cp.call("PATCH", "/organization/member_update", {"organization_id": org, **b})  # noqa: E731
    now = change(user_email=f"{org}@x.org", role="internal_user_viewer", max_budget_in_organization=5).json
    assert (now["user_role"], now["litellm_budget_table"]["max_budget"]) == ("internal_user_viewer", 5)
    assert change(user_id="bob", max_budget_in_organization=1).json["litellm_budget_table"]["max_budget"] == 1
    cp.call("DELETE", "/organization/member_delete", {"organization_id": org, "user_id": "bob"})
    assert "bob" not in [m["user_id"] for m in info(cp, org)["members"]]
    cp.post("/organization/member_add", {"organization_id": org, "member": {"user_id": "root", "role": "internal_user"}})
    reply = cp.call("PATCH", "/organization/member_update", {"organization_id": org, "user_id": "root", "role": "org_admin"}, key=tenants.keys["oskar"])
    assert reply.status == 403 and "global PROXY_ADMIN" in error(reply)


def test_concurrent_adds_lose_nobody(cp, tenants, org):
    def add(i):
        return cp.post("/organization/member_add", {"organization_id": org, "member": {"user_id": f"{org}-{i % 24}", "role": "internal_user"}}).status

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(add, range(48)))
    assert sorted(answers) == [200] * 24 + [400] * 24
    assert {m["user_id"] for m in info(cp, org)["members"]} == {"bob", "oskar", *(f"{org}-{i}" for i in range(24))}


def test_lists(cp, tenants, org):
    ids = lambda q="", who="master": {o["organization_id"] for o in cp.get(f"/organization/list?{q}", key=tenants.keys[who]).json}  # noqa: E731
    assert {"one", "two", org} <= ids() == ids("", "vera")
    assert ids("", "olga") == {"one"} and ids("org_id=two", "olga") == set() and org in ids("", "bob") and ids("", "nobody") == set()
    assert ids("org_alias=ON") >= {"one"} and "two" not in ids("org_alias=ON")
    reply = cp.post("/organization/info", {"organizations": ["one", "two", "nowhere"]}, key=tenants.keys["olga"])
    assert [o["organization_id"] for o in reply.json] == ["one"]
