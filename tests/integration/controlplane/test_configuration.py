"""Settings in the database, beside those of the file; and what users and teams are made with."""

import json

import pytest
from support.tenants import Tenants

ON = {"general_settings": {"store_model_in_db": True}}
SECTIONS = ("general_settings", "litellm_settings", "router_settings", "environment_variables")


@pytest.fixture
def cp(database, start):
    return start(database, {"general_settings": {"store_model_in_db": True, "max_request_size_mb": 7}, "router_settings": {"num_retries": 1}})


def stored(cp, postgres, section):
    rows = postgres.sql(cp.database, 'SELECT param_value FROM "LiteLLM_Config" WHERE param_name = %s', section)
    return json.loads(rows[0][0]) if rows else None


def detail(reply):
    return reply.status, reply.json["detail"]["error"]


def set_field(cp, name, value, **kw):
    return cp.post("/config/field/update", {"field_name": name, "field_value": value, "config_type": "general_settings"}, **kw)


def test_update_merges_what_was_sent(cp, postgres):
    assert cp.post("/config/update", {"general_settings": {"completion_model": "a", "embedding_model": "e"}}).json == {
        "message": "Config updated successfully"}  # fmt: skip
    cp.post("/config/update", {"general_settings": {"completion_model": "b", "embedding_model": None},
                               "router_settings": {"timeout": 3.5}, "litellm_settings": {"drop_params": True}})  # fmt: skip
    assert stored(cp, postgres, "general_settings") == {"completion_model": "b", "embedding_model": "e"}
    assert stored(cp, postgres, "router_settings") == {"timeout": 3.5}
    assert stored(cp, postgres, "litellm_settings") == {"drop_params": True}
    assert cp.post("/config/update", {}).status == 200 and cp.post("/config/update", {"model_list": []}).status == 200
    log = cp.get("/audit?object_id=general_settings&sort_order=asc").json["audit_logs"]
    assert [(e["before_value"].get("completion_model"), e["updated_values"]["completion_model"]) for e in log] == [(None, "a"), ("a", "b")]
    assert {e["table_name"] for e in log} == {"LiteLLM_Config"}


def test_callbacks_add_up_and_alerts_turn_on(cp, postgres):
    cp.post("/config/update", {"litellm_settings": {"success_callback": ["Langfuse", "s3"]}})
    cp.post("/config/update", {"litellm_settings": {"success_callback": ["langfuse", "Datadog"]}})
    assert stored(cp, postgres, "litellm_settings")["success_callback"] == ["langfuse", "s3", "datadog"]
    cp.post("/config/update", {"general_settings": {"alert_to_webhook_url": {"budget_alerts": "https://hooks.test/SECRET"}}})
    assert stored(cp, postgres, "general_settings")["alerting"] == ["slack"]
    assert "SECRET" not in str(postgres.sql(cp.database, 'SELECT * FROM "LiteLLM_AuditLog"'))
    info = cp.get("/config/field/info?field_name=alert_to_webhook_url").json
    assert info["field_value"] == {"budget_alerts": "********"}


def test_variables_are_sealed(cp, postgres):
    assert cp.post("/config/update", {"environment_variables": {"LANGFUSE_SECRET_KEY": "lf-hidden", "LANGFUSE_HOST": "https://h.test"}}).status == 200
    first = stored(cp, postgres, "environment_variables")
    assert "hidden" not in str(first) and len(first) == 2
    # what comes back as it was read is not sealed twice; others stay byte for byte
    cp.post("/config/update", {"environment_variables": {"LANGFUSE_SECRET_KEY": first["LANGFUSE_SECRET_KEY"], "NEW_ONE": "x"}})
    second = stored(cp, postgres, "environment_variables")
    assert {k: second[k] for k in first} == first and set(second) == {*first, "NEW_ONE"}
    log = str(postgres.sql(cp.database, 'SELECT * FROM "LiteLLM_AuditLog"'))
    assert "lf-hidden" not in log and first["LANGFUSE_SECRET_KEY"] not in log and "LANGFUSE_HOST" in log


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"general_settings": {"nonsense": 1}}, "Invalid field=nonsense passed in."),
        ({"router_settings": {"nonsense": 1}}, "Unsupported router settings: nonsense are not valid router settings"),
        ({"general_settings": {"max_request_size_mb": 8}}, "general_settings key 'max_request_size_mb' is set in the config file and cannot be changed here."),
        ({"router_settings": {"num_retries": 2}}, "router_settings key 'num_retries' is set in the config file and cannot be changed here."),
        ({"general_settings": {"master_key": "sk-mine"}}, "master_key is read when a process starts"),
        ({"general_settings": {"database_url": "postgres://x"}}, "database_url is read when a process starts"),
        ({"general_settings": {"enable_jwt_auth": True}}, "enable_jwt_auth cannot be set: JWT authentication is not built yet."),
        ({"general_settings": {"always_include_stream_usage": "maybe"}}, "Invalid type of field value=<class 'str'> passed in."),
        ({"router_settings": {"timeout": []}}, "Invalid type of field value=<class 'list'> passed in."),
        ({"environment_variables": {"DATABASE_URL": "x"}}, "DATABASE_URL is read when a process starts"),
        ({"environment_variables": {"A-B": "x"}}, "letters, digits and _ make a name"),
        ({"environment_variables": {"A": 1}}, "environment_variables.A: a text is wanted."),
    ],
)  # fmt: skip
def test_what_may_not_be_set(cp, postgres, body, text):
    reply = cp.post("/config/update", {"litellm_settings": {"drop_params": True}, **body})
    assert reply.status == 400 and text in reply.json["error"]["message"] and reply.json["error"]["type"] == "auth_error"
    assert all(not stored(cp, postgres, s) for s in SECTIONS)  # nothing of it was kept


def test_a_value_the_file_says_may_be_said_again(cp):
    assert cp.post("/config/update", {"general_settings": {"max_request_size_mb": 7}}).status == 200


@pytest.mark.parametrize("body", [{"general_settings": []}, {"router_settings": "x"}, [], {"environment_variables": 1}])
def test_types_that_do_not_fit(cp, body):
    assert cp.post("/config/update", body).status == 422


# --- one field


def test_a_field(cp, postgres):
    reply = set_field(cp, "completion_model", "m")
    assert reply.status == 200 and (reply.json["param_name"], reply.json["param_value"]) == ("general_settings", {"completion_model": "m"})
    assert cp.get("/config/field/info?field_name=completion_model").json == {
        "field_name": "completion_model", "field_value": "m", "source": "db", "editable": True}  # fmt: skip
    assert cp.get("/config/field/info?field_name=max_request_size_mb").json == {
        "field_name": "max_request_size_mb", "field_value": 7, "source": "config", "editable": False}  # fmt: skip
    reply = cp.post("/config/field/delete", {"field_name": "completion_model", "config_type": "general_settings"})
    assert reply.status == 200 and reply.json["param_value"] == {}
    assert detail(cp.get("/config/field/info?field_name=completion_model")) == (400, "Field name=completion_model is not set")


def test_the_master_key_is_shown_to_nobody(cp):
    reply = cp.get("/config/field/info?field_name=master_key")
    assert reply.status == 200 and cp.key not in reply.body.decode() and "****" in reply.json["field_value"]


def test_fields_that_are_none(cp):
    assert detail(set_field(cp, "nonsense", 1)) == (400, "Invalid field=nonsense passed in.")
    assert detail(set_field(cp, "max_request_size_mb", 9))[1].startswith("general_settings key 'max_request_size_mb' is set in the config file")
    assert detail(cp.get("/config/field/info?field_name=nonsense")) == (400, "Invalid field=nonsense passed in.")
    delete = {"field_name": "nonsense", "config_type": "general_settings"}
    assert detail(cp.post("/config/field/delete", delete)) == (400, "Invalid field=nonsense passed in.")
    delete["field_name"] = "embedding_model"
    assert detail(cp.post("/config/field/delete", delete)) == (400, "Field name=embedding_model not in config")
    delete["field_name"] = "max_request_size_mb"
    assert "cannot be changed here" in detail(cp.post("/config/field/delete", delete))[1]
    assert cp.post("/config/field/update", {"field_name": "x", "field_value": 1, "config_type": "litellm_settings"}).status == 422
    assert cp.post("/config/field/update", {"field_name": "x", "config_type": "general_settings"}).status == 422


def test_a_list_for_forms(cp):
    set_field(cp, "maximum_spend_logs_retention_period", "7d")
    rows = {r["field_name"]: r for r in cp.get("/config/list?config_type=general_settings").json}
    assert len(rows) == 15
    row = rows["maximum_spend_logs_retention_period"]
    assert (row["field_type"], row["field_value"], row["stored_in_db"], row["source"]) == ("String", "7d", True, "db")
    row = rows["max_request_size_mb"]
    assert (row["field_type"], row["field_value"], row["stored_in_db"], row["editable"]) == ("Integer", 7, False, False)
    assert (rows["store_prompts_in_spend_logs"]["stored_in_db"], rows["store_prompts_in_spend_logs"]["field_default_value"]) == (None, False)
    assert cp.get("/config/list").status == 422 and cp.get("/config/list?config_type=router_settings").status == 422


# --- what turns it on


def test_off_until_turned_on(database, start, postgres):
    cp = start(database)
    text = "Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature."
    reply = cp.post("/config/update", {"router_settings": {"timeout": 1}})
    assert reply.status == 500 and text in reply.json["error"]["message"]
    assert detail(set_field(cp, "completion_model", "m")) == (500, text)
    assert set_field(cp, "store_model_in_db", True).status == 200
    assert set_field(cp, "completion_model", "m").status == 200
    new = cp.post("/model/new", {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o", "api_key": "x"}, "model_info": {}})
    assert new.status == 200


def test_stored_settings_hold_where_the_file_is_silent(database, start, postgres):
    cp = start(database, {"general_settings": {"store_model_in_db": True}, "litellm_settings": {"default_key_generate_params": {"max_budget": 5}}})
    body = {"litellm_settings": {"upperbound_key_generate_params": {"tpm_limit": 100, "duration": "7d"}, "max_internal_user_budget": 3,
                                 "internal_user_budget_duration": "7d",
                                 "key_generation_settings": {"personal_key_generation": {"allowed_user_roles": ["proxy_admin"]}}}}  # fmt: skip
    assert cp.post("/config/update", body).status == 200
    made = cp.post("/key/generate", {}).json
    assert (made["max_budget"], made["tpm_limit"]) == (5, 100) and made["expires"]
    reply = cp.post("/key/generate", {"tpm_limit": 101})
    assert reply.status == 400 and "user_value=101.0; max_value=100" in reply.json["error"]["message"]
    assert "max_value=7d" in cp.post("/key/generate", {"duration": "8d"}).json["error"]["message"]
    key = cp.post("/user/new", {"user_id": "u", "user_role": "internal_user"}).json["key"]
    reply = cp.post("/key/generate", {}, key=key)
    assert reply.status == 400 and "Allowed roles=['proxy_admin']. Your role=internal_user" in reply.json["error"]["message"]
    # a member who is made gets what /user/new gives
    cp.post("/team/new", {"team_id": "t"})
    assert cp.post("/team/member_add", {"team_id": "t", "member": {"role": "user", "user_id": "joined"}}).status == 200
    row = cp.get("/user/info?user_id=joined").json["user_info"]
    assert (row["max_budget"], row["budget_duration"], row["user_role"]) == (3, "7d", "internal_user") and row["budget_reset_at"]
    # and without the switch the database is not asked
    other = start(database, {})
    assert other.post("/key/generate", {"tpm_limit": 101}).status == 200


# --- defaults of users and teams


def test_user_defaults(cp, postgres):
    reply = cp.get("/get/internal_user_settings").json
    assert reply["values"] == {"user_role": "internal_user_viewer", "max_budget": None, "budget_duration": None, "models": None, "teams": None}
    assert set(reply["field_schema"]["properties"]) == set(reply["values"])
    cp.post("/team/new", {"team_id": "t"})
    body = {"user_role": "internal_user", "max_budget": 9, "models": ["m"], "teams": [{"team_id": "t", "max_budget_in_team": 2, "user_role": "user"}]}
    reply = cp.call("PATCH", "/update/internal_user_settings", body)
    assert reply.status == 200 and reply.json["message"] == "Internal user settings updated successfully" and reply.json["settings"] == body
    assert stored(cp, postgres, "litellm_settings") == {"default_internal_user_params": body}
    assert cp.get("/get/internal_user_settings").json["values"] == {**body, "budget_duration": None}
    made = cp.post("/user/new", {"user_id": "u"}).json
    assert (made["max_budget"], made["models"], made["user_role"]) == (9, ["m"], "internal_user")
    team = cp.get("/team/info?team_id=t").json
    assert "u" in [m["user_id"] for m in team["team_info"]["members_with_roles"]]
    budget = team["team_info"]["metadata"]["team_member_budget_id"]
    assert cp.post("/budget/info", {"budgets": [budget]}).json[0]["max_budget"] == 2


def test_team_defaults(cp, postgres):
    assert cp.get("/get/default_team_settings").json["values"]["models"] == []
    cp.post("/organization/new", {"organization_id": "o", "organization_alias": "o"})
    body = {"max_budget": 4, "budget_duration": "7d", "tpm_limit": 5, "team_member_permissions": ["/key/generate"], "organization_id": "o"}
    reply = cp.call("PATCH", "/update/default_team_settings", body)
    assert reply.status == 200 and reply.json["settings"] == {"models": [], **body}
    made = cp.post("/team/new", {"team_id": "t"}).json
    assert {k: made[k] for k in body} == body
    assert cp.post("/team/new", {"team_id": "t2", "max_budget": 1}).json["max_budget"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("internal_user", {"teams": ["none"]}, 400, "Team(s) not found: none. A team must exist before it can be set as a default team for new users."),
        ("internal_user", {"teams": ["a", "a"]}, 400, "Duplicate default team id(s): a. List each default team only once."),
        ("internal_user", {"teams": [1]}, 422, ""), ("internal_user", {"user_role": "king"}, 422, ""), ("internal_user", {"max_budget": -1}, 400, "non-negative"),
        ("internal_user", {"budget_duration": "soon"}, 400, "Invalid budget_duration"), ("default_team", {"models": "m"}, 422, ""),
        ("default_team", {"organization_id": "none"}, 400, "Organization not found: none. An organization must exist"),
        ("default_team", {"access_group_ids": ["x", "y"]}, 400, "Access group(s) not found: x, y. Create the access group first"),
        ("default_team", {"team_member_permissions": ["/model/new"]}, 422, ""), ("default_team", {"tpm_limit": -1}, 400, "non-negative"),
    ],
)  # fmt: skip
def test_defaults_that_do_not_fit(cp, postgres, path, body, status, text):
    reply = cp.call("PATCH", f"/update/{path}_settings", body)
    assert reply.status == status and text in str(reply.json), reply.body
    assert stored(cp, postgres, "litellm_settings") is None


def test_defaults_of_the_file_stay(database, start):
    cp = start(database, {**ON, "litellm_settings": {"default_internal_user_params": {"max_budget": 1}}})
    reply = cp.call("PATCH", "/update/internal_user_settings", {"max_budget": 2})
    assert detail(reply)[1].startswith("litellm_settings key 'default_internal_user_params' is set in the config file")
    off = start(database)
    assert detail(off.call("PATCH", "/update/internal_user_settings", {}))[0] == 500


# --- who


@pytest.mark.parametrize(
    ("method", "path", "body", "viewer"),
    [
        ("POST", "/config/update", {}, False), ("POST", "/config/field/update", {"field_name": "completion_model", "field_value": "m", "config_type": "general_settings"}, False),
        ("POST", "/config/field/delete", {"field_name": "completion_model", "config_type": "general_settings"}, False),
        ("GET", "/config/field/info?field_name=max_request_size_mb", None, True), ("GET", "/config/list?config_type=general_settings", None, True),
        ("GET", "/get/internal_user_settings", None, False), ("GET", "/get/default_team_settings", None, False),
        ("PATCH", "/update/internal_user_settings", {}, False), ("PATCH", "/update/default_team_settings", {}, False),
    ],
)  # fmt: skip
def test_who(cp, postgres, method, path, body, viewer):
    tenants = Tenants(cp, postgres)
    for who in ("root", "vera", "ivy", "ines", "ann", "olga", "nobody"):
        status = cp.call(method, path, body, key=tenants.keys[who]).status
        assert (status in (200, 400)) is (who == "root" or (viewer and who == "vera")), (who, status)
