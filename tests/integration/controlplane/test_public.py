"""What anybody may read: providers, routes, prices, and the models an admin shows."""

import json

import pytest
from support.controlplane import ControlPlane


def public(cp, path):
    reply = cp.get(path, key=None)
    assert reply.status == 200, reply.body
    return reply.json


def test_providers(cp):
    names = public(cp, "/public/providers")
    assert names == sorted(names) and {"openai", "anthropic", "bedrock"} <= set(names)


def test_fields_of_providers(cp):
    rows = {r["litellm_provider"]: r for r in public(cp, "/public/providers/fields")}
    assert list(rows) == public(cp, "/public/providers")
    field = {f["key"]: f for f in rows["openai"]["credential_fields"]}
    assert set(field["api_key"]) == {"key", "label", "placeholder", "tooltip", "required", "field_type", "options", "default_value"}
    assert field["api_key"]["field_type"] == "password" and field["api_key"]["required"]
    assert field["api_base"] == {**field["api_base"], "required": False, "placeholder": "https://api.openai.com/v1"}
    assert {"api_version", "api_base"} <= {f["key"] for f in rows["azure"]["credential_fields"]}
    assert "aws_secret_access_key" in {f["key"] for f in rows["bedrock"]["credential_fields"]}
    assert rows["openai"]["provider_display_name"] == "OpenAI"


def test_endpoints(cp):
    rows = {e["key"]: e for e in public(cp, "/public/endpoints")["endpoints"]}
    serve = {key: {p["slug"] for p in e["providers"]} for key, e in rows.items()}
    assert rows["chat_completions"]["endpoint"] == "/chat/completions"
    assert {"openai", "anthropic", "groq"} <= serve["chat_completions"] == serve["messages"] == serve["responses"]
    assert "openai" in serve["embeddings"] and "anthropic" not in serve["embeddings"]
    assert "bedrock" not in serve["chat_completions"]  # its dialect is not spoken yet


def test_prices(cp):
    prices = public(cp, "/public/litellm_model_cost_map")
    assert len(prices) > 500
    model = prices["gpt-4o"]
    assert model["litellm_provider"] == "openai" and model["mode"] == "chat" and model["supports_vision"] is True
    assert model["input_cost_per_token"] == 2.5e-06 and model["output_cost_per_token"] == 1e-05
    assert any("input_cost_per_token_above_200k_tokens" in m for m in prices.values())


def test_prices_of_ones_own(database, start, tmp_path):
    own = tmp_path / "prices.json"
    own.write_text(json.dumps({"mine": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 3e-06},
                               "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 7e-06}}))  # fmt: skip
    cp = start(database, {"weir": {"model_price_map": str(own)}})
    prices = public(cp, "/public/litellm_model_cost_map")
    assert prices["mine"]["input_cost_per_token"] == 3e-06 and prices["gpt-4o"]["input_cost_per_token"] == 7e-06
    assert "gpt-4o-mini" in prices and public(cp, "/public/litellm_blog_posts") == {"posts": []}


def test_bad_prices_are_refused(database, tmp_path):
    own = tmp_path / "prices.json"
    own.write_text('{"mine": {"input_cost_per_token": -1}}')
    cp = ControlPlane(database, {"weir": {"model_price_map": str(own)}}, wait=False)
    assert cp.process.wait(30) == 1
    assert "model_price_map" in cp.log()
    cp.inquest(codes=(1,))


# --- models that are shown

MODELS = [
    {"model_name": "pair", "litellm_params": {"model": "openai/gpt-4o", "rpm": 5}},
    {"model_name": "pair", "litellm_params": {"model": "anthropic/claude-sonnet-4-5", "rpm": 7, "tpm": 100, "input_cost_per_token": 1e-03}},
    {"model_name": "alone", "litellm_params": {"model": "openai/unheard-of"}, "model_info": {"mode": "embedding", "supports_vision": True}},
]


@pytest.fixture
def hub(database, start):
    return start(database, {"model_list": MODELS, "general_settings": {"store_model_in_db": True}})


def test_deployments_of_a_name_are_one(hub):
    rows = {r["model_group"]: r for r in hub.get("/model_group/info").json["data"]}
    assert set(rows) == {"pair", "alone"}
    pair, alone = rows["pair"], rows["alone"]
    assert pair["providers"] == ["openai", "anthropic"] and (pair["rpm"], pair["tpm"]) == (12, 100)
    assert pair["input_cost_per_token"] == 1e-03 and pair["max_input_tokens"] >= 128000 and pair["supports_vision"] is True
    assert pair["mode"] == "chat" and pair["is_public_model_group"] is False
    assert (alone["mode"], alone["supports_vision"], alone["input_cost_per_token"], alone["tpm"]) == ("embedding", True, None, None)
    one = hub.get("/model_group/info?model_group=alone").json["data"]
    assert [r["model_group"] for r in one] == ["alone"]


def test_what_is_shown_to_everybody(hub, postgres):
    assert public(hub, "/public/model_hub") == [] and public(hub, "/public/model_hub/info")["useful_links"] is None
    made = hub.post("/model_group/make_public", {"model_groups": ["pair", "none"]})
    assert made.status == 200 and made.json["public_model_groups"] == ["pair", "none"]
    postgres.sql(hub.database, """INSERT INTO "LiteLLM_HealthCheckTable" (health_check_id, model_name, status, response_time_ms, checked_at, updated_at)
                                  VALUES ('h', 'pair', 'healthy', 12.5, now(), now())""")  # fmt: skip
    (pair,) = public(hub, "/public/model_hub")
    assert (pair["model_group"], pair["is_public_model_group"]) == ("pair", True)
    assert (pair["health_status"], pair["health_response_time"]) == ("healthy", 12.5) and pair["health_checked_at"]
    assert b"api_key" not in hub.get("/public/model_hub", key=None).body
    links = {"Status": {"url": "https://status.example", "index": 0}}
    assert hub.post("/model_hub/update_useful_links", {"useful_links": links}).json["useful_links"] == links
    assert public(hub, "/public/model_hub/info")["useful_links"] == links
    assert hub.post("/model_group/make_public", {"model_groups": []}).status == 200
    assert public(hub, "/public/model_hub") == [] and public(hub, "/public/model_hub/info")["useful_links"] == links
    assert [e["table_name"] for e in hub.get("/audit").json["audit_logs"]] == ["LiteLLM_Config"] * 3


def test_what_the_file_shows_is_the_files(database, start):
    cp = start(database, {"model_list": MODELS, "general_settings": {"store_model_in_db": True},
                          "litellm_settings": {"public_model_groups": ["alone"]}})  # fmt: skip
    assert [r["model_group"] for r in public(cp, "/public/model_hub")] == ["alone"]
    assert cp.post("/model_group/make_public", {"model_groups": ["pair"]}).status == 400


@pytest.mark.parametrize("body", [{}, {"model_groups": "pair"}, {"model_groups": [1]}, {"model_groups": None}])
def test_bodies_that_do_not_fit(hub, body):
    assert hub.post("/model_group/make_public", body).status == 422


def test_without_settings_in_the_database(cp):
    reply = cp.post("/model_group/make_public", {"model_groups": ["x"]})
    assert reply.status == 500 and "STORE_MODEL_IN_DB" in reply.json["detail"]["error"]
