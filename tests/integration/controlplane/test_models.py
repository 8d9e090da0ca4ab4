"""/model: deployments of the database, beside those of the configuration."""

import json
import re

import pytest
from support.controlplane import ControlPlane

UUID = r"[0-9a-f-]{36}"
SECRET = "sk-provider-secret-1"


def error(reply):
    return reply.json["error"]


@pytest.fixture(scope="module")
def cp(postgres, empty_schema):
    config = {"model_list": [{"model_name": "file-model", "litellm_params": {"model": "openai/m", "api_key": "sk-of-the-file"},
                              "model_info": {"id": "of-file", "access_groups": ["beta"]}},
                             {"model_name": "unnamed", "litellm_params": {"model": "openai/m2"}}],
              "general_settings": {"store_model_in_db": True}}  # fmt: skip
    with ControlPlane(postgres.database(template=empty_schema), config) as cp:
        yield cp


def new(cp, name, info=None, as_=..., params=None, **body):
    params = {"model": "openai/gpt", "api_key": SECRET, "rpm": 7, **(params or {})}
    return cp.post("/model/new", {"model_name": name, "litellm_params": params, "model_info": info or {}, **body}, key=as_)


def made(*args, **kw):
    reply = new(*args, **kw)
    assert reply.status == 200, reply.body
    return reply.json


def info(cp, id_, **kw):
    reply = cp.get(f"/model/info?litellm_model_id={id_}", **kw)
    return reply.json["data"][0] if reply.status == 200 else None


def team_models(cp, postgres, team):
    ((text,),) = postgres.sql(cp.database, 'SELECT to_json(models) FROM "LiteLLM_TeamTable" WHERE team_id = %s', team)
    return sorted(json.loads(text)) if text else []


# --- new


def test_new_seals_every_text(cp, postgres, tenants):
    row = made(cp, "n1", {"x": 1, "id": "my-id"})
    assert (row["model_id"], row["model_name"], row["blocked"], row["created_by"]) == ("my-id", "n1", False, "default_user_id")
    assert row["model_info"] == {"x": 1, "id": "my-id", "db_model": False} and row["litellm_params"]["rpm"] == 7
    dump = postgres.sql(cp.database, 'SELECT to_jsonb(t)::text FROM "LiteLLM_ProxyModelTable" t UNION ALL '
                                     'SELECT to_jsonb(t)::text FROM "LiteLLM_AuditLog" t')  # fmt: skip
    assert not any(SECRET in r or "openai/gpt" in r for (r,) in dump)
    shown = info(cp, "my-id")
    assert shown["litellm_params"] == {"model": "openai/gpt", "rpm": 7}
    assert shown["model_info"]["db_model"] is True and shown["model_info"]["x"] == 1
    assert [a[0] for a in tenants.audits("my-id")] == ["created"]
    assert ("my-id",) in [k for k, gone in tenants.changes("LiteLLM_ProxyModelTable") if not gone]


def test_an_id_is_made(cp):
    assert re.fullmatch(UUID, made(cp, "n2")["model_id"])


@pytest.mark.parametrize("taken", ["of-file", "taken"])
def test_an_id_is_taken_once(cp, taken):
    new(cp, "first", {"id": "taken"})
    reply = new(cp, "second", {"id": taken})
    assert reply.status == 500 and "Failed to add model to db." in error(reply)["message"]
    assert error(reply)["type"] == "auth_error"


@pytest.mark.parametrize("body", [{}, {"model_name": "x"}, {"model_name": "x", "litellm_params": {}, "model_info": {}},
                                  {"model_name": "x", "litellm_params": [], "model_info": {}},
                                  {"model_name": 1, "litellm_params": {"model": "m"}, "model_info": {}}])  # fmt: skip
def test_types_that_do_not_fit(cp, body):
    assert cp.post("/model/new", body).status == 422


def test_missing_model_does_not_repeat_the_key(cp):
    reply = cp.post("/model/new", {"model_name": "x", "litellm_params": {"api_key": SECRET}, "model_info": {}})
    assert reply.json["detail"][0]["loc"] == ["body", "litellm_params", "model"] and SECRET not in reply.body.decode()


def test_without_store_model_in_db_nothing_is_written(start, database):
    cp = start(database)
    reply = new(cp, "x")
    assert reply.status == 500
    assert "Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature." in error(reply)["message"]
    reply = cp.call("PATCH", "/model/x/update", {"blocked": True})
    assert (reply.status, error(reply)["message"]) == (400, "Model updates only supported for DB-stored models")
    assert start(database, env={"STORE_MODEL_IN_DB": "True"}).get("/model/info").json == {"data": []}


# --- who

NEW = [
    ("root", {}, 200, None), ("vera", {}, 403, "View-only users cannot manage models."),
    ("ines", {}, 403, "View-only users cannot manage models."),
    ("ivy", {}, 403, "Your role=internal_user. You can only make model calls if you are a PROXY_ADMIN"),
    ("ann", {"team_id": "red"}, 200, None), ("olga", {"team_id": "red"}, 200, None),
    ("bob", {"team_id": "red"}, 403, "OR you are not the admin for this team."),
    ("ann", {"team_id": "blue"}, 400, "Team id=blue does not exist in db"),
    ("root", {"team_id": "none"}, 400, "Team id=none does not exist in db"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "model_info", "status", "text"), NEW)
def test_who_may_make_one(cp, tenants, who, model_info, status, text):
    reply = new(cp, f"who-{who}", model_info, as_=tenants.keys[who])
    assert reply.status == status, reply.body
    assert text is None or text in error(reply)["message"]


@pytest.mark.parametrize(
    ("params", "body", "param"),
    [
        ({"litellm_credential_name": "c"}, {}, "litellm_credential_name"), ({"aws_session_tags": []}, {}, "aws_session_tags"),
        ({"api_key": "os.environ/OPENAI_API_KEY"}, {}, "litellm_params"), ({"extra": {"a": ["os.environ/X"]}}, {}, "litellm_params"),
        ({"api_key": "oidc/google/x"}, {}, "litellm_params"), ({"vertex_credentials": "/etc/passwd"}, {}, "litellm_params"),
        ({}, {"blocked": True}, "blocked"),
    ],
)  # fmt: skip
def test_a_team_admin_reaches_no_secret_of_the_server(cp, tenants, params, body, param):
    reply = new(cp, "x", {"team_id": "red"}, as_=tenants.keys["ann"], params=params, **body)
    assert reply.status == 403 and error(reply)["param"] == param
    mine = made(cp, "mine", {"team_id": "red"}, as_=tenants.keys["ann"])["model_id"]
    reply = cp.call("PATCH", f"/model/{mine}/update", {"litellm_params": params, **body}, key=tenants.keys["ann"])
    assert reply.status == 403 and error(reply)["param"] == param


# --- of a team


def test_team_model(cp, tenants, postgres):
    tenants.team("t1", "one", {"ann": "admin"})
    row = made(cp, "public", {"team_id": "t1"}, as_=tenants.keys["ann"])
    assert re.fullmatch("model_name_t1_" + UUID, row["model_name"]) and row["model_info"]["team_public_model_name"] == "public"
    assert team_models(cp, postgres, "t1") == ["all-proxy-models", "public"]
    id_ = row["model_id"]
    reply = cp.call("PATCH", f"/model/{id_}/update", {"model_name": "renamed"}, key=tenants.keys["ann"])
    assert reply.json["model_info"]["team_public_model_name"] == "renamed" and reply.json["model_name"] == row["model_name"]
    assert team_models(cp, postgres, "t1") == ["all-proxy-models", "renamed"]
    twin = made(cp, "renamed", {"team_id": "t1"}, as_=tenants.keys["ann"])["model_id"]
    for one, left in ((twin, ["all-proxy-models", "renamed"]), (id_, ["all-proxy-models"])):
        assert cp.post("/model/delete", {"id": one}, key=tenants.keys["ann"]).status == 200
        assert team_models(cp, postgres, "t1") == left


def test_model_moves_to_a_team(cp, tenants, postgres):
    tenants.team("t2", "one", {"ann": "admin"})
    id_ = made(cp, "moves")["model_id"]
    row = cp.call("PATCH", f"/model/{id_}/update", {"model_info": {"team_id": "t2"}}).json
    assert row["model_name"].startswith("model_name_t2_") and row["model_info"]["team_public_model_name"] == "moves"
    assert "moves" in team_models(cp, postgres, "t2")


def test_anothers_model_does_not_exist(cp, tenants):
    id_ = made(cp, "blue model", {"team_id": "blue"})["model_id"]
    as_ = {"key": tenants.keys["ann"]}
    assert cp.call("PATCH", f"/model/{id_}/update", {"model_name": "x"}, **as_).status == 404
    replies = [cp.post("/model/delete", {"id": one}, **as_) for one in (id_, "none")]
    assert [r.status for r in replies] == [400, 400]
    assert error(replies[0])["message"].replace(id_, "none") == error(replies[1])["message"]
    replies = [cp.post("/model/update", {"model_info": {"id": one}, "litellm_params": {}}, **as_) for one in (id_, "none")]
    assert [error(r)["message"] for r in replies] == ["model not found"] * 2
    assert info(cp, id_, **as_) is None and info(cp, id_, key=tenants.keys["zoe"]) and info(cp, id_)
    assert id_ not in json.dumps(cp.get("/v2/model/info?size=1000", **as_).json)
    reply = cp.call("PATCH", f"/model/{made(cp, 'r', {'team_id': 'red'})['model_id']}/update",
                    {"model_info": {"team_id": "blue"}}, **as_)  # fmt: skip
    assert (reply.status, "does not exist in db" in error(reply)["message"]) == (400, True)


# --- update


def test_patch_merges(cp, tenants):
    id_ = made(cp, "patched", {"a": 1}, params={"input_cost_per_token": 1e-6, "api_base": "https://x"})["model_id"]
    body = {"litellm_params": {"model": "openai/other", "input_cost_per_token": None, "rpm": None},
            "model_info": {"b": 2, "id": "other", "db_model": True, "created_by": "me"},
            "litellm_params_to_remove": ["api_base", "absent"]}  # fmt: skip
    row = cp.call("PATCH", f"/model/{id_}/update", body).json
    assert row["model_info"] == {"a": 1, "b": 2, "id": id_, "db_model": False}
    assert info(cp, id_)["litellm_params"] == {"model": "openai/other", "rpm": 7}
    assert [a[0] for a in tenants.audits(id_)] == ["created", "updated"]
    reply = cp.call("PATCH", f"/model/{id_}/update", {"litellm_params_to_remove": ["model"]})
    assert reply.status == 422


def test_update_by_the_old_form(cp):
    id_ = made(cp, "put", {"a": 1})["model_id"]
    body = {"model_name": "put2", "litellm_params": {"api_base": "https://y"}, "model_info": {"id": id_, "b": 2}}
    row = cp.post("/model/update", body).json
    assert row["model_name"] == "put2" and row["model_info"] == {"a": 1, "b": 2, "id": id_, "db_model": False}
    assert info(cp, id_)["litellm_params"] == {"model": "openai/gpt", "rpm": 7, "api_base": "https://y"}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "model_info not provided"), ({"model_info": {}}, 400, "model_info.id not provided"),
        ({"model_info": {"id": "none"}}, 400, "model not found"),
        ({"model_info": {"id": "of-file"}}, 400, "Can't edit model. Model in config. Store model in db via `/model/new`. to edit."),
        ({"model_info": {"id": "there"}}, 400, "litellm_params not provided"),
        ({"model_info": {"id": "there", "access_groups": "g"}, "litellm_params": {}}, 400, "must be a list of strings"),
    ],
)
def test_update_refusals(cp, body, status, text):
    new(cp, "there", {"id": "there"})
    reply = cp.post("/model/update", body)
    assert reply.status == status and text in error(reply)["message"] and error(reply)["type"] == "auth_error"


@pytest.mark.parametrize(
    ("id_", "body", "status", "type_", "text"),
    [
        ("none", {}, 404, "not_found_error", "Model none not found on proxy."),
        ("of-file", {}, 400, "validation_error", "Cannot edit config-based model. Store model in DB via /model/new first."),
        ("there", {"litellm_params": {"litellm_credential_name": ""}}, 400, "validation_error", "cannot be an empty string"),
        ("there", {"litellm_params": {"litellm_credential_name": "no"}}, 400, "validation_error", "Credential 'no' not found."),
    ],
)  # fmt: skip
def test_patch_refusals(cp, id_, body, status, type_, text):
    new(cp, "there", {"id": "there"})
    reply = cp.call("PATCH", f"/model/{id_}/update", body)
    assert (reply.status, error(reply)["type"]) == (status, type_) and text in error(reply)["message"]


def test_lists_follow_a_new_name(cp, tenants, postgres):
    id_ = made(cp, "old name")["model_id"]
    key = tenants.make_key(user_id="ivy", models='{"old name",x}')
    group = cp.post("/v1/access_group", {"access_group_name": "follows", "access_model_names": ["old name"]}).json["access_group_id"]
    cp.call("PATCH", f"/model/{id_}/update", {"model_name": "new name"})
    assert cp.get(f"/key/info?key={key}").json["info"]["models"] == ["new name", "x"]
    assert cp.get(f"/v1/access_group/{group}").json["access_model_names"] == ["new name"]
    cp.post("/model/delete", {"id": id_})
    assert cp.get(f"/v1/access_group/{group}").json["access_model_names"] == []


def test_block(cp, tenants):
    id_ = made(cp, "blocks")["model_id"]
    assert cp.post("/model/block", {"model_id": id_}).json["blocked"] is True
    assert info(cp, id_)["model_info"]["blocked"] is True
    assert cp.post("/model/unblock", {"model_id": id_}).json["blocked"] is False
    assert cp.post("/model/block", {"model_id": "none"}).status == 404
    assert cp.post("/model/block", {"model_id": id_}, key=tenants.keys["ann"]).status == 401


def test_delete(cp, tenants):
    id_ = made(cp, "goes")["model_id"]
    assert cp.post("/model/delete", {"id": id_}).json == {"message": f"Model: {id_} deleted successfully"}
    reply = cp.post("/model/delete", {"id": id_})
    assert (reply.status, error(reply)["message"]) == (400, f"{{'error': 'Model with id={id_} not found in db'}}")
    assert [a[0] for a in tenants.audits(id_)] == ["created", "deleted"]
    orphan = made(cp, "orphan", {"team_id": "red"})["model_id"]
    cp_sql = tenants._sql
    cp_sql("UPDATE \"LiteLLM_ProxyModelTable\" SET model_info = jsonb_set(model_info, '{team_id}', '\"gone\"') WHERE model_id = %s", orphan)
    assert cp.post("/model/delete", {"id": orphan}, key=tenants.keys["ann"]).status == 400
    assert cp.post("/model/delete", {"id": orphan}).status == 200


# --- info


def test_info_hides_secrets(cp):
    made(cp, "shown", {"id": "shown"}, params={"aws_secret_access_key": "AKIA-secret", "some_token": "abcdefghij", "api_base": "https://z"})
    assert info(cp, "shown")["litellm_params"] == {"model": "openai/gpt", "rpm": 7, "some_token": "ab****ij", "api_base": "https://z"}
    file_model = info(cp, "of-file")
    assert file_model["litellm_params"] == {"model": "openai/m"} and file_model["model_info"]["db_model"] is False
    (unnamed,) = [m for m in cp.get("/v1/model/info").json["data"] if m["model_name"] == "unnamed"]
    assert re.fullmatch("[0-9a-f]{64}", unnamed["model_info"]["id"])
    reply = cp.get("/model/info?litellm_model_id=none")
    assert (reply.status, error(reply)["message"]) == (400, "{'error': 'Model id = none not found on litellm proxy'}")


@pytest.mark.parametrize(("models", "names"), [("{file-model}", {"file-model"}), ("{beta}", {"file-model"}), ("{file-*}", {"file-model"}),
                                               ("{none}", set())])  # fmt: skip
def test_info_shows_what_a_key_may_use(cp, tenants, models, names):
    key = tenants.make_key(user_id="ivy", models=models)
    assert {m["model_name"] for m in cp.get("/model/info", key=key).json["data"]} == names


def test_info_page_by_page(cp, tenants):
    for i in range(5):
        new(cp, f"page-{i}", {"id": f"page-{i}", "access_groups": ["pages"]}, blocked=i == 0)
    page = cp.get("/v2/model/info?search=PAGE-&size=2&page=2&sortBy=model_name&sortOrder=desc").json
    assert [m["model_name"] for m in page["data"]] == ["page-2", "page-1"]
    assert (page["total_count"], page["current_page"], page["total_pages"], page["size"]) == (5, 2, 3, 2)
    assert cp.get("/v2/model/info?access_group=pages").json["total_count"] == 5
    assert cp.get("/v2/model/info?access_group=pages&blocked=true").json["total_count"] == 1
    assert cp.get("/v2/model/info?modelId=page-3").json["total_count"] == 1
    assert cp.get("/v2/model/info?model=page-3&wildcard_only=true").json["total_count"] == 0
    assert cp.get("/v2/model/info?page=1000000000000&size=1000").json["data"] == []
    assert cp.get("/v2/model/info?sortOrder=up").status == 400 and cp.get("/v2/model/info?sortBy=colour").status == 400
    assert cp.get("/v2/model/info?page=0").status == 422 and cp.get("/v2/model/info?size=0").status == 422
    assert cp.get("/v2/model/info?teamId=blue", key=tenants.keys["ann"]).status == 404
    assert cp.get("/v2/model/info?teamId=red", key=tenants.keys["ann"]).status == 200


def test_litellm_database_opens(start, database, postgres):
    """A row as LiteLLM writes it: sealed by its own functions, JSON put twice into JSON."""
    sealed = next(line.split()[2] for line in open("tests/cases/seal/litellm.txt") if line.startswith("sk-1234 box"))
    params = json.dumps({"model": sealed, "rpm": 1})
    postgres.sql(database, """INSERT INTO "LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, model_info, created_by, updated_by)
        VALUES ('theirs', 'm', to_jsonb(%s::text), '{"id": "theirs"}', 'x', 'x')""", params)  # fmt: skip
    cp = start(database, env={"LITELLM_SALT_KEY": "sk-1234"})
    assert info(cp, "theirs")["litellm_params"] == {"model": "sk-provider-key", "rpm": 1}


# --- access groups as marks on models


def marks(cp, id_):
    return info(cp, id_)["model_info"].get("access_groups", [])


def test_marks(cp, tenants):
    for i in ("a1", "a2", "b1"):
        made(cp, f"mark-{i[0]}", {"id": f"mark-{i}"})
    reply = cp.post("/access_group/new", {"access_group": "g1", "model_names": ["mark-a"]})
    assert reply.json == {"access_group": "g1", "model_names": ["mark-a"], "model_ids": None, "models_updated": 2}
    assert (marks(cp, "mark-a1"), marks(cp, "mark-a2"), marks(cp, "mark-b1")) == (["g1"], ["g1"], [])
    one = {"access_group": "g1", "model_names": ["mark-a"], "deployment_count": 2, "spend": None, "budget": None}
    assert cp.get("/access_group/g1/info").json == one and one in cp.get("/access_group/list").json["access_groups"]
    reply = cp.post("/access_group/new", {"access_group": "g1", "model_ids": ["mark-b1"]})
    assert (reply.status, reply.json["detail"]["error"]) == (
        409, "Access group 'g1' already exists. Use PUT /access_group/g1/update to modify it.")  # fmt: skip
    reply = cp.call("PUT", "/access_group/g1/update", {"model_ids": ["mark-b1", "mark-a1"]})
    assert reply.json == {"access_group": "g1", "model_names": None, "model_ids": ["mark-b1", "mark-a1"], "models_updated": 2}
    assert (marks(cp, "mark-a1"), marks(cp, "mark-a2"), marks(cp, "mark-b1")) == (["g1"], [], ["g1"])
    assert [a[0] for a in tenants.audits("mark-a1")] == ["created", "updated"]
    reply = cp.call("DELETE", "/access_group/g1/delete")
    assert reply.json == {"access_group": "g1", "models_updated": 2, "message": "Access group 'g1' deleted successfully"}
    assert cp.get("/access_group/g1/info").status == 404 and marks(cp, "mark-b1") == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "/access_group/new", {"access_group": " ", "model_names": ["x"]}, 400, "access_group is required and cannot be empty"),
        ("POST", "/access_group/new", {"access_group": "g"}, 400, "Either model_names or model_ids must be provided and non-empty"),
        ("POST", "/access_group/new", {"access_group": "g", "model_names": ["no"]}, 400, "Model(s) not found: no"),
        ("POST", "/access_group/new", {"access_group": "g", "model_names": ["file-model"]}, 400,
         "Can't find model 'file-model' in Database. Access group management is only supported for database models."),
        ("POST", "/access_group/new", {"access_group": "g", "model_ids": ["no"]}, 400,
         "Deployment with model_id 'no' not found in Database."),
        ("PUT", "/access_group/none/update", {}, 400, "Either model_names or model_ids"),
        ("PUT", "/access_group/none/update", {"model_names": ["x"]}, 404, "Access group 'none' not found"),
        ("GET", "/access_group/none/info", None, 404, "Access group 'none' not found"),
        ("DELETE", "/access_group/none/delete", None, 404, "Access group 'none' not found"),
    ],
)  # fmt: skip
def test_mark_refusals(cp, tenants, method, path, body, status, text):
    reply = cp.call(method, path, body)
    assert reply.status == status and text in reply.json["detail"]["error"]
    for who in ("vera", "ivy", "ann", "olga", "nobody"):
        assert cp.call(method, path, body, key=tenants.keys[who]).status in (401, 403)
