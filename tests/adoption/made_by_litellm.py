"""Rows as LiteLLM's own functions make them, as JSON on standard output; run by its Python, with its keys in the environment.

    {"LiteLLM_VerificationToken": [row, ...], ..., "keys": {name: the key itself}, "plain": what was sealed}
"""

import asyncio
import json
import os
import sys

from litellm.proxy import proxy_server
from litellm.proxy._types import LiteLLM_UserTable, hash_token
from litellm.proxy.common_utils.encrypt_decrypt_utils import encrypt_value_helper
from litellm.proxy.credential_endpoints.endpoints import CredentialHelperUtils
from litellm.proxy.management_endpoints.key_management_endpoints import generate_key_helper_fn
from litellm.proxy.management_helpers.utils import get_new_internal_user_defaults
from litellm.types.utils import CredentialItem

JSON_COLUMNS = {"aliases", "config", "permissions", "metadata", "model_max_budget", "budget_fallbacks", "router_settings", "budget_limits"}
rows, keys = {}, {}


class Recorder:
    """Stands where the client of the database does, and keeps what would be written."""

    def __getattr__(self, name):
        raise AssertionError(f"the database was asked for {name}")

    async def insert_data(self, data, table_name, **_):
        row = {k: v for k, v in data.items() if v is not None}
        if table_name == "key":
            row["token"] = hash_token(row["token"])
            rows.setdefault("LiteLLM_VerificationToken", []).append(
                {k: json.loads(v) if k in JSON_COLUMNS else v for k, v in row.items()}
            )
            return None
        rows.setdefault("LiteLLM_UserTable", []).append(row)
        return LiteLLM_UserTable(user_id=row["user_id"])


async def make_key(name, **wanted):
    keys[name] = (await generate_key_helper_fn(request_type="key", table_name="key", **wanted))["token"]


async def make():
    proxy_server.prisma_client = Recorder()
    proxy_server.master_key = os.environ["LITELLM_MASTER_KEY"]
    rows["LiteLLM_UserTable"] = [
        {**get_new_internal_user_defaults(user_id="ann", user_email="ann@example.com"), "teams": ["red"]},
        {"user_id": "root", "user_role": "proxy_admin"},
    ]
    rows["LiteLLM_TeamTable"] = [
        {"team_id": "red", "team_alias": "Red", "members_with_roles": [{"user_id": "ann", "role": "admin"}], "models": ["gpt-4o"], "max_budget": 7}
    ]
    await make_key("plain", key_alias="plain", metadata={"a": 1}, models=["gpt-4o"])
    await make_key("limited", user_id="ann", team_id="red", tpm_limit=5, key_max_budget=2.5, key_budget_duration="30d", duration="7d",
                   budget_limits=[{"budget_duration": "24h", "max_budget": 1}], created_by="ann")  # fmt: skip
    await make_key("admin", user_id="root")
    await make_key("gone", duration="1s")

    plain = {"api_key": "sk-provider-secret", "api_base": "https://api.example.com"}
    for algorithm in ("xsalsa20-poly1305", "aes-256-gcm"):
        proxy_server.general_settings = {"encryption_algorithm": algorithm}
        item = CredentialItem(credential_name=algorithm, credential_values=plain, credential_info={"custom_llm_provider": "openai"})
        sealed = CredentialHelperUtils.encrypt_credential_values(item)
        rows.setdefault("LiteLLM_CredentialsTable", []).append(
            {"credential_id": algorithm, "credential_name": algorithm, "credential_values": sealed.credential_values,
             "credential_info": sealed.credential_info, "created_by": "root", "updated_by": "root"}  # fmt: skip
        )
        params = {"model": "openai/gpt-4o", **plain}
        rows.setdefault("LiteLLM_ProxyModelTable", []).append(
            {"model_id": f"m-{algorithm}", "model_name": "gpt-4o", "model_info": {"id": f"m-{algorithm}"}, "created_by": "root", "updated_by": "root",
             "litellm_params": {k: encrypt_value_helper(v) for k, v in params.items()}}  # fmt: skip
        )
    rows["LiteLLM_Config"] = [
        {"param_name": "litellm_settings", "param_value": {"default_key_generate_params": {"max_budget": 11}}},
        {"param_name": "environment_variables", "param_value": {"LANGFUSE_SECRET_KEY": encrypt_value_helper("lf-secret")}},
    ]
    return {**rows, "keys": keys, "plain": plain}


json.dump(asyncio.run(make()), sys.stdout, default=str)
