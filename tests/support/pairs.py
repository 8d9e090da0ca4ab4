"""Upstreams of every API behind one gateway, for clients of every API: model names and the configuration.

A public model is named by what is behind it: "chat-pub", "messages-pub", ... The names upstream are real ones, because
what a model can do goes by its name, here and in the gateway.
"""

import os

from . import standard

DIRECT = os.environ.get("WEIR_DIRECT") == "1"  # clients are pointed at the mock itself

# public name without -pub -> (API of the upstream, litellm_params.model, mode)
UPSTREAMS = {
    "chat": ("chat", "openai/gpt-4.1", None),
    "reasoner": ("chat", "openai/o4-mini", None),
    "groq": ("chat", "groq/llama-3.3-70b", None),  # has Chat alone
    "kimi": ("chat", "moonshot/kimi-k2-thinking", None),  # wants its thoughts back
    "messages": ("messages", "anthropic/claude-haiku-4-5", None),
    "adaptive": ("messages", "anthropic/claude-opus-4-8", None),
    "older": ("messages", "anthropic/claude-3-7-sonnet-20250219", None),
    "responses": ("responses", "openai/responses/gpt-5-mini", None),
    "moded": ("responses", "openai/gpt-5.2", "responses"),
}
# Where each client API meets all three. The provider OpenAI has Responses beside Chat, for what is no chat client.
KINDS = {
    "chat": ("chat", "messages", "responses", "moded"),
    "messages": ("groq", "messages", "responses", "moded", "chat"),
    "responses": ("groq", "messages", "responses", "moded"),
}
PROVIDERS = {
    "openai": (standard.OPENAI_KEY, "/v1"),
    "anthropic": (standard.ANTHROPIC_KEY, ""),
    "groq": ("sk-upstream-groq-Wn2z", "/v1"),
    "moonshot": ("sk-upstream-moonshot-Hc4w", "/v1"),
}


def api_of(name, client="chat"):
    """What is spoken upstream for a client of that API."""
    api, model, _ = UPSTREAMS[name]
    return "responses" if api == "chat" and client != "chat" and model.startswith("openai/") else api


def upstream_model(name):
    """What the upstream is asked for: without the provider and the way to it."""
    return UPSTREAMS[name][1].split("/", 1)[1].removeprefix("responses/")


def billed(entry):
    """(all input, of it from the cache, all output) of a ledger's entry."""
    read = entry.cache_read
    output = entry.output + (entry.reasoning if entry.api != "messages" else 0)
    return entry.input + read + entry.cache_write + entry.cache_write_1h, read, output


def config(base):
    models = []
    for name, (_, model, mode) in UPSTREAMS.items():
        key, path = PROVIDERS[model.split("/")[0]]
        info = {"id": f"dep-{name}", **({"mode": mode} if mode else {})}
        params = {"model": model, "api_base": base + path, "api_key": key}
        models.append({"model_name": f"{name}-pub", "litellm_params": params, "model_info": info})
        # Codex offers its tools by the name of the model.
        models.append(
            {
                "model_name": f"gpt-5.5-on-{name}",
                "litellm_params": params,
                "model_info": {**info, "id": f"codex-{name}"},
            }
        )
    return {"model_list": models, "router_settings": {"num_retries": 0, "disable_cooldowns": True}}


def upstreams(api, *names):
    """Parameters: those of the names (or KINDS) that a client of the API can be pointed at, in direct mode its own."""
    return [n for n in names or KINDS[api] if not DIRECT or UPSTREAMS[n][0] == api]
