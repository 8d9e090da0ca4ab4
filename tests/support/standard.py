"""The configuration most tests share: every API of the mock under public names that differ from the upstream's."""

OPENAI_KEY = "sk-upstream-openai-Qm3x"
ANTHROPIC_KEY = "sk-ant-upstream-Vb8t"
AZURE_KEY = "sk-upstream-azure-Yp5d"
ERRORS = (400, 401, 403, 404, 424, 429, 498, 500, 503, 529)

# pico-dollars per token, as the figures of PRICES say
PRICES = {
    "input_cost_per_token": 1.25e-06,
    "cache_read_input_token_cost": 1.25e-07,
    "output_cost_per_token": 1e-05,
}
CLAUDE_PRICES = {
    "input_cost_per_token": 3e-06,
    "cache_read_input_token_cost": 3e-07,
    "cache_creation_input_token_cost": 3.75e-06,
    "cache_creation_input_token_cost_above_1hr": 6e-06,
    "output_cost_per_token": 1.5e-05,
}


def openai(name, upstream, base, **params):
    info = {"id": f"dep-{name}", **params.pop("model_info", {})}
    return {
        "model_name": name,
        "litellm_params": {"model": f"openai/{upstream}", "api_base": f"{base}/v1", "api_key": OPENAI_KEY, **params},
        "model_info": info,
    }


def anthropic(name, upstream, base, **params):
    info = {"id": f"dep-{name}", **params.pop("model_info", {})}
    return {
        "model_name": name,
        "litellm_params": {"model": f"anthropic/{upstream}", "api_base": base, "api_key": ANTHROPIC_KEY, **params},
        "model_info": info,
    }


def azure(name, deployment, base, **params):
    return {
        "model_name": name,
        "litellm_params": {"model": f"azure/{deployment}", "api_base": base, "api_key": AZURE_KEY,
                           "api_version": "2024-10-21", **params},
        "model_info": {"id": f"dep-{name}"},
    }  # fmt: skip


def models(base):
    return [
        openai("gpt-pub", "gpt-up", base, model_info=PRICES),
        openai("reason-pub", "reason-up", base, model_info=PRICES),
        openai("slow-pub", "slow-up", base, model_info=PRICES),
        openai("instruct-pub", "instruct-up", base, model_info=PRICES),
        openai("emb-pub", "emb-up", base, model_info=PRICES),
        openai("mod-pub", "mod-up", base),
        openai("unpriced-pub", "nobody-knows-this-model", base),
        openai("default-pub", "default-up", base, temperature=0.5, seed=7, model_info=PRICES),
        anthropic("claude-pub", "claude-up", base, model_info=CLAUDE_PRICES),
        anthropic("claude-slow-pub", "claude-slow-up", base, model_info=CLAUDE_PRICES),
        anthropic("claude-fail-pub", "claude-fail-up", base, model_info=CLAUDE_PRICES),
        azure("azure-pub", "azure-dep", base),
        *(openai(f"err-{s}", f"err-{s}", base) for s in ERRORS),
        *(anthropic(f"claude-err-{s}", f"err-{s}", base) for s in ERRORS),
        {"model_name": "mocked-pub", "litellm_params": {"model": "openai/mocked", "mock_response": "Mocked words here."}},
        {
            "model_name": "bedrock-pub",
            "litellm_params": {"model": "bedrock/anthropic.claude-3-haiku-20240307-v1:0", "aws_region_name": "us-east-1"},
        },
        openai("wild/*", "*", base),
        openai("both-pub", "both-up", base, model_info={**PRICES, "supported_endpoints": ["/v1/messages"]}),
        openai("two", "two-a", base, model_info={"id": "dep-two-a"}),
        openai("two", "two-b", base, model_info={"id": "dep-two-b"}),
    ]


def config(base, **more):
    return {
        "model_list": models(base),
        "router_settings": {
            "num_retries": 0,
            "disable_cooldowns": True,  # models that always fail must go on saying why
            "model_group_alias": {"alias-pub": "gpt-pub", "hidden-pub": {"model": "gpt-pub", "hidden": True}},
        },
        **more,
    }
