"""The models both gateways are configured with.

A kind is a provider and a model whose capabilities differ from the others'; a variant is a kind with more
litellm_params. Each lane has deployments of its own, so that lanes run side by side: the path below the mock says
whose request it is.
"""

import json
import zlib

OPENAI_KEY = "sk-parity-openai-Qm3x77"
ANTHROPIC_KEY = "sk-ant-parity-Vb8t41"

# kind: (model, dialect of the upstream)
KINDS = {
    "gpt": ("openai/gpt-4o", "chat"),
    "gpt5": ("openai/gpt-5.2", "chat"),
    "o3": ("openai/o3", "chat"),
    "vllm": ("hosted_vllm/qwen3-32b", "chat"),
    "deepseek": ("deepseek/deepseek-chat", "chat"),
    "claude": ("anthropic/claude-sonnet-4-5", "anthropic"),
    "claude46": ("anthropic/claude-opus-4-6", "anthropic"),
    "claude5": ("anthropic/claude-opus-5", "anthropic"),
    "haiku3": ("anthropic/claude-3-haiku-20240307", "anthropic"),
    "resp": ("openai/responses/gpt-4o", "responses"),
    "codex": ("openai/gpt-5.2-codex", "responses"),
}
BASIC = ("gpt", "vllm", "claude", "resp")  # where a row goes that names no kind


def dialect(kind):
    return KINDS[kind][1]


def public(kind, params, lane):
    """The model's name as clients say it."""
    variant = f"-{zlib.crc32(json.dumps(params, sort_keys=True).encode()):08x}" if params else ""
    return f"{kind}{variant}.{lane}"


def deployment(kind, params, lane, base):
    model, dialect_ = KINDS[kind]
    below = f"{base}/{lane}"
    where = {"api_base": below, "api_key": ANTHROPIC_KEY}
    if dialect_ != "anthropic":
        where = {"api_base": f"{below}/v1", "api_key": OPENAI_KEY}
    name = public(kind, params, lane)
    return {"model_name": name, "litellm_params": {"model": model, **where, **params}}


def config(variants, lanes, base, key):
    """`variants`: (kind, params) pairs."""
    return {
        "model_list": [deployment(kind, params, lane, base) for kind, params in variants for lane in lanes],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": key},
    }
