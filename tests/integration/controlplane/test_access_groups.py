"""/v1/access_group: objects that teams and keys hold."""

import json

import pytest

ALIASES = ["/v1/access_group", "/v1/unified_access_group"]


def row(postgres, cp, table, key, column, value):
    ((got,),) = postgres.sql(cp.database, f"SELECT to_json({column}) FROM \"{table}\" WHERE {key} = %s", value)
    return json.loads(got) if got else []


def teams_of(postgres, cp, team):
    return row(postgres, cp, "LiteLLM_TeamTable", "team_id", "access_group_ids", team)


@pytest.fixture
def group(cp, tenants, request):
    made = cp.post("/v1/access_group", {"access_group_name": f"g {request.node.name}"}).json
    yield made
    cp.call("DELETE", f"/v1/access_group/{made['access_group_id']}")


@pytest.mark.parametrize("path", ALIASES)
def test_life(cp, tenants, postgres, path):
    from support.tenants import sha256

    key = sha256(tenants.make_key(user_id="ivy"))
    reply = cp.post(path, {"access_group_name": "life", "description": "d", "access_model_names": ["m"],
                           "mcp_tool_permissions": {"s": ["t"]}, "assigned_team_ids": ["red"], "assigned_key_ids": [key]})  # fmt: skip
    made = reply.json
    gid = made["access_group_id"]
    assert reply.status == 201
    assert (made["access_group_name"], made["description"], made["access_model_names"]) == ("life", "d", ["m"])
    assert made["assigned_teams"] == [{"id": "red", "name": None}] and made["assigned_keys"][0]["id"] == key
    assert (made["access_mcp_server_ids"], made["access_agents"], made["created_by"]) == ([], [], "default_user_id")
    assert teams_of(postgres, cp, "red") == [gid]
    assert row(postgres, cp, "LiteLLM_VerificationToken", "token", "access_group_ids", key) == [gid]
    assert cp.get(f"{path}/{gid}").json == made and made in cp.get(path).json

    reply = cp.call("PUT", f"{path}/{gid}", {"assigned_team_ids": ["blue"], "assigned_key_ids": None, "description": None})
    assert reply.status == 200 and reply.json["assigned_team_ids"] == ["blue"] and reply.json["description"] is None
    assert reply.json["access_model_names"] == ["m"] and reply.json["assigned_key_ids"] == []
    assert (teams_of(postgres, cp, "red"), teams_of(postgres, cp, "blue")) == ([], [gid])
    assert row(postgres, cp, "LiteLLM_VerificationToken", "token", "access_group_ids", key) == []

    reply = cp.call("DELETE", f"{path}/{gid}")
    assert (reply.status, reply.body) == (204, b"")
    assert teams_of(postgres, cp, "blue") == []
    assert [a[0] for a in tenants.audits(gid)] == ["created", "updated", "deleted"]
    assert cp.get(f"{path}/{gid}").status == 404


def test_a_team_that_names_it_has_it(cp, tenants, postgres, group):
    gid = group["access_group_id"]
    postgres.sql(cp.database, 'UPDATE "LiteLLM_TeamTable" SET access_group_ids = ARRAY[%s] WHERE team_id = %s', gid, "red")
    assert cp.get(f"/v1/access_group/{gid}").json["assigned_team_ids"] == ["red"]
    cp.call("DELETE", f"/v1/access_group/{gid}")
    assert teams_of(postgres, cp, "red") == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_there(cp, method):
    reply = cp.call(method, "/v1/access_group/none", {} if method == "PUT" else None)
    assert (reply.status, reply.json) == (404, {"detail": "Access group 'none' not found"})


def test_names_are_unique(cp, group):
    name = group["access_group_name"]
    reply = cp.post("/v1/access_group", {"access_group_name": name})
    assert (reply.status, reply.json) == (409, {"detail": f"Access group '{name}' already exists"})
    other = cp.post("/v1/access_group", {"access_group_name": name + "2"}).json["access_group_id"]
    assert cp.call("PUT", f"/v1/access_group/{other}", {"access_group_name": name}).status == 409
    assert cp.call("PUT", f"/v1/access_group/{other}", {"access_group_name": name + "2"}).status == 200


def test_teams_must_exist(cp, group):
    reply = cp.post("/v1/access_group", {"access_group_name": "x", "assigned_team_ids": ["red", "none"]})
    assert (reply.status, reply.json) == (400, {"detail": "Unknown team ids: none"})
    assert cp.call("PUT", f"/v1/access_group/{group['access_group_id']}", {"assigned_team_ids": ["none"]}).status == 400


@pytest.mark.parametrize("body", [{}, {"access_group_name": 1}, {"access_group_name": "x", "access_model_names": "m"},
                                  {"access_group_name": "x", "assigned_team_ids": [1]}])  # fmt: skip
def test_types_that_do_not_fit(cp, body):
    assert cp.post("/v1/access_group", body).status == 422


@pytest.mark.parametrize("who", ["vera", "ivy", "ines", "ann", "olga", "nobody"])
def test_admins_alone_write_and_viewers_read(cp, tenants, group, who):
    path = f"/v1/access_group/{group['access_group_id']}"
    for method, at in (("POST", "/v1/access_group"), ("PUT", path), ("DELETE", path)):
        assert cp.call(method, at, {"access_group_name": "x"}, key=tenants.keys[who]).status in (401, 403)
    for at in ("/v1/access_group", path):
        assert (cp.get(at, key=tenants.keys[who]).status == 200) == (who == "vera")
