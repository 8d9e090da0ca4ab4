"""Rows of LiteLLM's daily tables, as ingest would have left them.

    ledger = Ledger(postgres, cp.database)
    ledger.add("user", "ann", "2026-01-01", key, model="gpt", spend=0.1, prompt_tokens=3)
"""

import itertools

TABLES = {
    "user": ("LiteLLM_DailyUserSpend", "user_id"), "team": ("LiteLLM_DailyTeamSpend", "team_id"),
    "organization": ("LiteLLM_DailyOrganizationSpend", "organization_id"), "customer": ("LiteLLM_DailyEndUserSpend", "end_user_id"),
    "tag": ("LiteLLM_DailyTagSpend", "tag"), "agent": ("LiteLLM_DailyAgentSpend", "agent_id"),
}  # fmt: skip


class Ledger:
    def __init__(self, postgres, database):
        self.postgres, self.database = postgres, database
        self.ids = (f"row-{i:06}" for i in itertools.count())

    def add(self, kind, entity, date, api_key, **columns):
        """A row; what is not said is as of one successful request."""
        table, of = TABLES[kind]
        row = {
            "id": next(self.ids), of: entity, "date": date, "api_key": api_key, "model": "m-1", "model_group": "m",
            "custom_llm_provider": "openai", "mcp_namespaced_tool_name": "", "endpoint": "/chat/completions", "prompt_tokens": 10,
            "completion_tokens": 5, "spend": 0.25, "api_requests": 1, "successful_requests": 1, "failed_requests": 0, **columns,
        }  # fmt: skip
        self.sql(f"""INSERT INTO "{table}" (updated_at, {", ".join(row)})
            VALUES (now(), {", ".join(["%s"] * len(row))})""", *row.values())  # fmt: skip

    def sum_up(self):
        """All days that are over, as the job does; those that have sums then."""
        while self.sql("SELECT weir.daily_sum_up()") == [("t",)]:
            pass
        return set(self.sql("SELECT kind, date FROM weir.daily_day WHERE is_summed"))

    def sql(self, text, *args):
        return self.postgres.sql(self.database, text, *args)

    def clear(self):
        for table, _ in TABLES.values():
            self.sql(f'TRUNCATE "{table}"')
