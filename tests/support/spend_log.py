"""Rows of LiteLLM_SpendLogs and of the daily tables, written by SQL: what was spent without anybody asking a model."""

import datetime
import json

DAY = datetime.timedelta(days=1)

PLAIN = """SET search_path = public;
    CREATE TABLE plain_logs (LIKE "LiteLLM_SpendLogs" INCLUDING DEFAULTS);
    DROP TABLE "LiteLLM_SpendLogs" CASCADE;
    ALTER TABLE plain_logs RENAME TO "LiteLLM_SpendLogs";
    ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id);
    CREATE INDEX ON "LiteLLM_SpendLogs" ("startTime", request_id)"""

BY_DAY = """SET search_path = public;
    CREATE TABLE by_day (LIKE "LiteLLM_SpendLogs" INCLUDING DEFAULTS) PARTITION BY RANGE ("startTime");
    DROP TABLE "LiteLLM_SpendLogs" CASCADE;
    ALTER TABLE by_day RENAME TO "LiteLLM_SpendLogs";
    ALTER TABLE "LiteLLM_SpendLogs" ADD PRIMARY KEY (request_id, "startTime");
    CREATE TABLE weir.part_default PARTITION OF "LiteLLM_SpendLogs" DEFAULT;
    DO $$ BEGIN
        FOR n IN -40 .. 1 LOOP
            EXECUTE format('CREATE TABLE weir.%I PARTITION OF "LiteLLM_SpendLogs" FOR VALUES FROM (%L) TO (%L)',
                'part_' || to_char(now() AT TIME ZONE 'UTC' + n * interval '1 day', 'YYYYMMDD'),
                (now() AT TIME ZONE 'UTC')::date + n, (now() AT TIME ZONE 'UTC')::date + n + 1);
        END LOOP;
    END $$"""


def now():
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def day(days_ago=0):
    return (now() - days_ago * DAY).strftime("%Y-%m-%d")


class Log:
    def __init__(self, postgres, url):
        self.postgres, self.url = postgres, url

    def sql(self, text, *args):
        return self.postgres.sql(self.url, text, *args)

    def row(self, request_id, nusd=0, *, ago=datetime.timedelta(), at=None, tokens=(10, 5), key="", user="", team="", org="",
            end_user="", model="m", provider="openai", status="success", tags=(), call=None, session=None, weir=None, **columns):
        """One row, that of an exchange of ours where `weir` says what its metadata holds."""
        at = at or now() - ago
        metadata = {"status": status, "user_api_key_alias": None, "litellm_call_id": call}
        if weir is not None:
            metadata["weir"] = weir
        columns = {
            "request_id": request_id, "call_type": "acompletion", "api_key": key, "spend": repr(nusd / 1e9), "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1], "total_tokens": sum(tokens), '"startTime"': at.isoformat(),
            '"endTime"': (at + datetime.timedelta(seconds=1)).isoformat(), "model": model, "model_group": model,
            "custom_llm_provider": provider, '"user"': user, "team_id": team, "organization_id": org, "end_user": end_user,
            "status": status, "request_tags": json.dumps(list(tags)), "metadata": json.dumps({**metadata, **columns.pop("metadata", {})}),
            "litellm_call_id": call, "session_id": session or call, **columns,
        }  # fmt: skip
        self.sql(f'INSERT INTO "LiteLLM_SpendLogs" ({", ".join(columns)}) VALUES ({", ".join(["%s"] * len(columns))})',
                 *columns.values())  # fmt: skip

    def daily(self, table, column, entity, date, nusd, *, tokens=(10, 5), key="", model="m", provider="openai", requests=1, failed=0):
        self.sql(f"""INSERT INTO "LiteLLM_Daily{table}Spend" (id, {column}, date, api_key, model, model_group, custom_llm_provider,
                mcp_namespaced_tool_name, endpoint, prompt_tokens, completion_tokens, spend, api_requests, successful_requests,
                failed_requests, updated_at) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s, '', '', %s, %s, %s, %s, %s, %s,
                now() AT TIME ZONE 'UTC')""",
                 entity, date, key, model, model, provider, *tokens, repr(nusd / 1e9), requests, requests - failed, failed)  # fmt: skip

    def ids(self):
        return sorted(i for i, in self.sql('SELECT request_id FROM "LiteLLM_SpendLogs"'))
