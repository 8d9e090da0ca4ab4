"""/weir/explain: where what holds for a model or a key comes from."""

import pytest
from support.tenants import ROLES, Tenants

CONFIG = {
    "credential_list": [{"credential_name": "shared", "credential_values": {"api_key": "sk-shared-55555555", "api_base": "https://one.example"},
                         "credential_info": {}}],
    "model_list": [
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/SOME_KEY", "timeout": 30},
         "model_info": {"id": "first", "max_tokens": 9}},
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "litellm_credential_name": "shared"}},
        {"model_name": "wild/*", "litellm_params": {"model": "anthropic/*"}},
    ],
    "router_settings": {"model_group_alias": {"small": "gpt", "hid": {"model": "gpt", "hidden": True}}},
    "general_settings": {"store_model_in_db": True},
}  # fmt: skip


@pytest.fixture
def cp(start, database):
    return start(database, CONFIG, env={"SOME_KEY": "sk-some-99999999"})


def fields(deployment):
    got = {f["field"]: f for f in deployment["fields"]}
    assert len(got) == len(deployment["fields"]), "each field once"
    return got


def explain(cp, what, name):
    reply = cp.get(f"/weir/explain/{what}/{name}")
    assert reply.status == 200, reply.body
    return reply.json


def test_a_configured_model_names_file_and_line(cp):
    got = explain(cp, "model", "gpt")
    first, second = got["deployments"]
    assert (first["id"], first["source"], first["model_name"]) == ("first", "config", "gpt")
    f = fields(first)
    lines = cp.config.read_text().splitlines()
    for name, text in (("litellm_params.model", "model: openai/gpt-4o"), ("litellm_params.timeout", "timeout: 30"),
                       ("model_info.max_tokens", "max_tokens: 9")):  # fmt: skip
        path, _, line = f[name]["from"].rpartition(":")
        assert path == str(cp.config) and text in lines[int(line) - 1]
    assert f["litellm_params.api_key"]["value"] == "os.environ/SOME_KEY"
    assert f["litellm_params.api_base"] == {"field": "litellm_params.api_base", "value": "https://api.openai.com/v1",
                                            "from": "provider openai", "decides": True}  # fmt: skip
    assert f["model_info.input_cost_per_token"]["from"] == "built-in price map"
    assert f["model_info.input_cost_per_token"]["value"] == pytest.approx(2.5e-6)
    s = fields(second)
    assert s["litellm_params.api_base"]["value"] == "https://one.example"
    assert s["litellm_params.api_base"]["from"].startswith("credential shared (")
    assert "sk-shared-55555555" not in str(got)


def test_a_variable_that_is_not_set_leaves_it_to_the_provider(start, database):
    got = explain(start(database, CONFIG), "model", "first")["deployments"][0]
    keys = [(f["value"], f["decides"]) for f in got["fields"] if f["field"] == "litellm_params.api_key"]
    assert keys == [("os.environ/SOME_KEY", False), ("os.environ/OPENAI_API_KEY", True)]


def test_a_model_of_the_database_stands_beside_it(cp):
    made = cp.post("/model/new", {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-db-77777777", "rpm": 3},
                                  "model_info": {"id": "in-db"}})  # fmt: skip
    assert made.status == 200, made.body
    got = explain(cp, "model", "gpt")
    assert [d["source"] for d in got["deployments"]] == ["config", "config", "database"]
    f = fields(got["deployments"][2])
    assert f["litellm_params.rpm"]["value"] == 3 and f["litellm_params.rpm"]["from"] == "database"
    assert f["litellm_params.api_key"]["value"] != "sk-db-77777777"
    assert "sk-db-77777777" not in str(got)
    assert explain(cp, "model", "in-db")["deployments"][0]["id"] == "in-db"


def test_aliases_and_patterns(cp):
    got = explain(cp, "model", "small")
    assert got["alias_of"] == "gpt" and len(got["deployments"]) == 2
    assert explain(cp, "model", "hid")["alias_of"] == "gpt"
    assert explain(cp, "model", "wild/claude/x")["deployments"][0]["model_name"] == "wild/*"
    assert cp.get("/weir/explain/model/nothing").status == 404


def test_rows_are_merged_as_data_planes_merge_them(cp, postgres):
    """Credentials of the database go before the file's, settings of it join, and what somebody may not have is left out."""
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_CredentialsTable" (credential_id, credential_name, credential_values, created_by, updated_by)
                                 VALUES ('c', 'shared', '{"api_base": "https://two.example"}', 'x', 'x')""")  # fmt: skip
    assert cp.post("/config/update", {"router_settings": {"default_litellm_params": {"timeout": 7}}}).status == 200
    second = explain(cp, "model", "gpt")["deployments"][1]
    f = fields(second)
    assert f["litellm_params.api_base"] == {**f["litellm_params.api_base"], "value": "https://two.example", "from": "credential shared (database)"}
    assert f["litellm_params.api_key"]["value"] == "os.environ/OPENAI_API_KEY"  # the file's credential has no say any more
    assert (f["litellm_params.timeout"]["value"], f["litellm_params.timeout"]["from"]) == (7, "default_litellm_params (database)")
    for ident, params in (("reach", {"api_key": "os.environ/SOME_KEY"}), ("plain", {"api_base": "https://x.example"})):
        cp.post("/model/new", {"model_name": ident, "litellm_params": {"model": "openai/gpt-4o", **params}, "model_info": {"id": ident}})
    postgres.sql(cp.database, """UPDATE "LiteLLM_ProxyModelTable" SET created_by = 'somebody'""")
    (left,) = explain(cp, "model", "reach")["deployments"]
    assert "only a proxy_admin may write it" in left["left_out"] and left["fields"] == []
    (plain,) = explain(cp, "model", "plain")["deployments"]
    assert "left_out" not in plain and "litellm_params.api_key" not in fields(plain)  # the operator's key is not theirs


def test_without_rows_of_the_database(start, database, postgres):
    postgres.sql(database, """INSERT INTO "LiteLLM_ProxyModelTable" (model_id, model_name, litellm_params, created_by, updated_by)
                              VALUES ('m', 'gpt', '{"model": "openai/gpt-4o"}', 'default_user_id', 'default_user_id')""")  # fmt: skip
    cp = start(database, {**CONFIG, "general_settings": {}}, env={"SOME_KEY": "sk-some-99999999"})
    assert [d["source"] for d in explain(cp, "model", "gpt")["deployments"]] == ["config", "config"]


def decided(got, field):
    return [(f["from"], f["value"]) for f in got["fields"] if f["field"] == field and f["decides"]]


def shown(got, field):
    return [(f["from"], f["value"], f["decides"]) for f in got["fields"] if f["field"] == field]


def test_every_limit_of_a_key_with_its_place(cp, postgres):
    sql = lambda text: postgres.sql(cp.database, text)  # noqa: E731
    sql("""INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, rpm_limit, soft_budget, created_by, updated_by)
           VALUES ('kb', 100, 50, 7, 'x', 'x'), ('ob', 3, NULL, NULL, 'x', 'x'), ('mb', 2, 10, NULL, 'x', 'x')""")
    sql("""INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, models, created_by, updated_by)
           VALUES ('org', 'Org', 'ob', '{gpt,b}', 'x', 'x')""")
    cp.post("/user/new", {"user_id": "ann", "max_budget": 1, "auto_create_key": False})
    assert cp.post("/team/new", {"team_id": "red", "max_budget": 20, "tpm_limit": 1000, "models": ["gpt"],
                                 "model_rpm_limit": {"gpt": 4}, "members_with_roles": [{"user_id": "ann", "role": "user"}]}).status == 200
    sql("""UPDATE "LiteLLM_TeamTable" SET organization_id = 'org' WHERE team_id = 'red'""")
    sql("""UPDATE "LiteLLM_TeamMembership" SET budget_id = 'mb' WHERE user_id = 'ann'""")
    key = cp.post("/key/generate", {"team_id": "red", "user_id": "ann", "max_budget": 5, "tpm_limit": 2000, "models": ["gpt"]}).json["key"]
    sql("""UPDATE "LiteLLM_VerificationToken" SET budget_id = 'kb'""")
    got = explain(cp, "key", key)
    assert key not in str(got)
    assert shown(got, "max_budget") == [
        ("key", 5, False), ("key's budget", 100, False), ("team", 20, False), ("team member's budget", 2, True),
        ("user (keys without a team)", 1, False), ("organization's budget", 3, False)]  # fmt: skip
    assert decided(got, "tpm_limit") == [("team", 1000)]
    assert decided(got, "rpm_limit") == [("team member's budget", 10)]
    assert decided(got, "models") == [("key", ["gpt"]), ("team", ["gpt"]), ("organization", ["gpt", "b"])]
    assert decided(got, "model_rpm_limit") == [("team", {"gpt": 4})]
    assert decided(got, "soft_budget") == [("key's budget", 7)]
    assert explain(cp, "key", got["key"]) == got, "by its hash too"
    cp.post("/key/block", {"key": key})
    assert decided(explain(cp, "key", key), "blocked") == [("key", True)]


def test_a_key_without_a_team_is_bound_by_its_user(cp):
    cp.post("/user/new", {"user_id": "ann", "max_budget": 1, "auto_create_key": False})
    key = cp.post("/key/generate", {"user_id": "ann"}).json["key"]
    assert decided(explain(cp, "key", key), "max_budget") == [("user", 1)]


@pytest.mark.parametrize("path", ["/weir/explain/model/gpt", "/weir/explain/key/sk-nobody"])
def test_who_may(cp, postgres, path):
    tenants = Tenants(cp, postgres)
    found = 200 if "model" in path else 404
    for name in ("master", "nobody", *ROLES):
        want = found if name in ("master", "root", "vera") else 401
        assert cp.get(path, key=tenants.keys[name]).status == want, name
    assert cp.get(path, key=None).status == 401
