"""Several at once: never a 5xx, never half of a change, never a member lost."""

import collections
import concurrent.futures
import itertools
import json

import pytest

AT_ONCE = 8
_names = itertools.count()


@pytest.fixture
def name():
    return f"race-{next(_names)}"


def together(*calls):
    """Replies of calls that start as nearly at once as threads do."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        replies = [f.result() for f in [pool.submit(call) for call in calls]]
    assert all(r.status < 500 for r in replies), [r.body for r in replies if r.status >= 500]
    return replies


def statuses(replies):
    return collections.Counter(r.status for r in replies)


def ok(reply):
    assert reply.status in (200, 201), reply.body
    return reply.json


def team_row(postgres, cp, team):
    rows = postgres.sql(cp.database, 'SELECT members_with_roles, to_json(models) FROM "LiteLLM_TeamTable" WHERE team_id = %s', team)
    return [(sorted(m["user_id"] for m in json.loads(members)), json.loads(models)) for members, models in rows]


def dangling(postgres, cp):
    """What refers to a team or user that is not there."""
    return postgres.sql(cp.database, """
        SELECT 'member', t.team_id, m->>'user_id' FROM "LiteLLM_TeamTable" t, jsonb_array_elements(t.members_with_roles) m
        WHERE m->>'user_id' <> 'default_user_id' AND NOT EXISTS (SELECT FROM "LiteLLM_UserTable" u WHERE u.user_id = m->>'user_id')
        UNION ALL SELECT 'team of user', u.user_id, x FROM "LiteLLM_UserTable" u, unnest(u.teams) x
        WHERE NOT EXISTS (SELECT FROM "LiteLLM_TeamTable" t WHERE t.team_id = x)
        UNION ALL SELECT 'membership', p.team_id, p.user_id FROM "LiteLLM_TeamMembership" p
        WHERE NOT EXISTS (SELECT FROM "LiteLLM_TeamTable" t WHERE t.team_id = p.team_id)
        UNION ALL SELECT 'key', k.token, k.team_id FROM "LiteLLM_VerificationToken" k
        WHERE k.team_id LIKE 'race-%' AND NOT EXISTS (SELECT FROM "LiteLLM_TeamTable" t WHERE t.team_id = k.team_id)""")


# What is made once however many ask; the id is in the body.
MADE_ONCE = [
    ("/key/generate", "key_alias", {}), ("/user/new", "user_id", {"auto_create_key": False}), ("/team/new", "team_id", {}),
    ("/organization/new", "organization_id", {"organization_alias": "o"}), ("/budget/new", "budget_id", {"max_budget": 1}),
    ("/customer/new", "user_id", {}), ("/tag/new", "name", {}), ("/project/new", "project_id", {"team_id": "red"}),
    ("/v1/access_group", "access_group_name", {}), ("/user/new", "user_email", {"auto_create_key": False}),
    ("/credentials", "credential_name", {"credential_info": {}, "credential_values": {"api_key": "k"}}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "member", "body"), MADE_ONCE)
def test_a_name_is_given_once(cp, tenants, name, path, member, body):
    replies = together(*[lambda: cp.post(path, {**body, member: name})] * AT_ONCE)
    assert sum(r.status in (200, 201) for r in replies) == 1, statuses(replies)


def test_an_alias_is_given_once_to_keys_that_are_there(cp, name):
    keys = [ok(cp.post("/key/generate"))["token"] for _ in range(AT_ONCE)]
    replies = together(*[lambda k=k: cp.post("/key/update", {"key": k, "key_alias": name}) for k in keys])
    assert statuses(replies) == {200: 1, 400: AT_ONCE - 1}


def test_no_member_is_lost(cp, tenants, postgres, name):
    ok(cp.post("/team/new", {"team_id": name}))
    users = [f"{name}-{i}" for i in range(AT_ONCE)]
    add = [lambda u=u: cp.post("/team/member_add", {"team_id": name, "member": {"user_id": u, "role": "user"}}) for u in users]
    assert statuses(together(*add)) == {200: AT_ONCE}
    ((members, _),) = team_row(postgres, cp, name)
    assert [m for m in members if m in users] == users
    remove = [lambda u=u: cp.post("/team/member_delete", {"team_id": name, "user_id": u}) for u in users[:4]]
    more = [lambda i=i: cp.post("/team/member_add", {"team_id": name, "member": {"user_id": f"{name}+{i}", "role": "user"}})
            for i in range(4)]  # fmt: skip
    assert statuses(together(*remove, *more)) == {200: 8}
    ((members, _),) = team_row(postgres, cp, name)
    assert [m for m in members if m.startswith(name)] == sorted([f"{name}+{i}" for i in range(4)] + users[4:])
    assert dangling(postgres, cp) == []


def test_a_member_is_added_once(cp, tenants, postgres, name):
    ok(cp.post("/team/new", {"team_id": name}))
    add = [lambda: cp.post("/team/member_add", {"team_id": name, "member": {"user_id": name, "role": "user"}})] * AT_ONCE
    assert statuses(together(*add)) == {200: 1, 400: AT_ONCE - 1}
    ((members, _),) = team_row(postgres, cp, name)
    assert members.count(name) == 1


def test_no_model_is_lost(cp, postgres, name):
    ok(cp.post("/team/new", {"team_id": name, "models": ["m"]}))
    together(*[lambda i=i: cp.post("/team/model/add", {"team_id": name, "models": [f"m{i}"]}) for i in range(AT_ONCE)])
    ((_, models),) = team_row(postgres, cp, name)
    assert sorted(models) == sorted(["m", *(f"m{i}" for i in range(AT_ONCE))])


def test_a_key_is_replaced_once(cp, postgres, name):
    token = ok(cp.post("/key/generate", {"key_alias": name}))["token"]
    replies = together(*[lambda: cp.post("/key/regenerate", {"key": token})] * AT_ONCE)
    assert statuses(replies) == {200: 1, 404: AT_ONCE - 1}
    assert postgres.sql(cp.database, 'SELECT count(*) FROM "LiteLLM_VerificationToken" WHERE key_alias = %s', name) == [("1",)]
    assert postgres.sql(cp.database, 'SELECT count(*) FROM "LiteLLM_DeletedVerificationToken" WHERE key_alias = %s', name) == [("1",)]


def test_a_key_deleted_while_it_changes_is_gone(cp, postgres, name):
    token = ok(cp.post("/key/generate", {"key_alias": name}))["token"]
    calls = [lambda i=i: cp.post("/key/update", {"key": token, "rpm_limit": i}) for i in range(4)]
    replies = together(*calls, *[lambda: cp.post("/key/delete", {"keys": [token]})] * 4)
    assert statuses(replies[4:]) == {200: 1, 404: 3} and set(statuses(replies[:4])) <= {200, 404}
    assert postgres.sql(cp.database, 'SELECT count(*) FROM "LiteLLM_VerificationToken" WHERE token = %s', token) == [("0",)]
    assert postgres.sql(cp.database, 'SELECT count(*) FROM "LiteLLM_DeletedVerificationToken" WHERE token = %s', token) == [("1",)]


@pytest.mark.parametrize("turn", range(4))
def test_nothing_refers_to_a_team_that_went(cp, tenants, postgres, name, turn):
    ok(cp.post("/team/new", {"team_id": name, "members_with_roles": [{"user_id": "ann", "role": "admin"}]}))
    add = [lambda i=i: cp.post("/team/member_add", {"team_id": name, "member": {"user_id": f"{name}{i}", "role": "user"}})
           for i in range(3)]  # fmt: skip
    keys = [lambda: cp.post("/key/generate", {"team_id": name}, key=tenants.keys["ann"])] * 3
    delete = [lambda: cp.post("/team/delete", {"team_ids": [name]})] * 2
    replies = together(*add[:turn], *keys[:2], *delete, *keys[2:], *add[turn:])
    assert 200 in statuses(replies)
    assert team_row(postgres, cp, name) == []
    assert dangling(postgres, cp) == []


@pytest.mark.parametrize("turn", range(4))
def test_nothing_refers_to_a_user_who_went(cp, tenants, postgres, name, turn):
    ok(cp.post("/user/new", {"user_id": name, "auto_create_key": False}))
    teams = [f"{name}-t{i}" for i in range(4)]
    for team in teams:
        ok(cp.post("/team/new", {"team_id": team}))
    add = [lambda t=t: cp.post("/team/member_add", {"team_id": t, "member": {"user_id": name, "role": "user"}}) for t in teams]
    together(*add[:turn], lambda: cp.post("/user/delete", {"user_ids": [name]}), *add[turn:])
    assert dangling(postgres, cp) == []


@pytest.mark.parametrize(
    ("make", "link"),
    [
        (("/customer/new", {"user_id": "$"}), ("/customer/update", {"user_id": "$", "budget_id": "$b"})),
        (("/tag/new", {"name": "$"}), ("/tag/update", {"name": "$", "budget_id": "$b"})),
        (("/key/generate", {"key_alias": "$"}), ("/key/update", {"key_alias": "$", "budget_id": "$b"})),
    ],
)
def test_a_budget_that_goes_while_it_is_linked(cp, postgres, name, make, link):
    def put(body):
        return {k: v.replace("$", name) for k, v in body.items()}

    ok(cp.post(make[0], put(make[1])))
    ok(cp.post("/budget/new", {"budget_id": name + "b", "max_budget": 1}))
    together(*[lambda: cp.post(link[0], put(link[1]))] * 4, *[lambda: cp.post("/budget/delete", {"id": name + "b"})] * 4)
    left = postgres.sql(cp.database, """
        SELECT 1 FROM "LiteLLM_EndUserTable" WHERE budget_id = %s UNION ALL SELECT 1 FROM "LiteLLM_TagTable" WHERE budget_id = %s
        UNION ALL SELECT 1 FROM "LiteLLM_VerificationToken" WHERE budget_id = %s""", *[name + "b"] * 3)  # fmt: skip
    there = postgres.sql(cp.database, 'SELECT 1 FROM "LiteLLM_BudgetTable" WHERE budget_id = %s', name + "b")
    assert not left or there
