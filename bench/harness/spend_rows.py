"""Fills a control plane's database with rows of LiteLLM_SpendLogs, as a LiteLLM would have written them.

    fill(sql, 10_000_000)     sql(text): runs statements, gives rows

Rows are spread over `days` up to now; of each day's rows the order in time is the order of their numbers. Keys, users and
teams hang together as they do in life: a key has one user and one team. What follows from a row's number follows from it
alone, so that a test can say what is there.
"""

DAYS, KEYS, USERS, TEAMS, MODELS, END_USERS, TAGS = 30, 1000, 300, 50, 20, 2000, 12

# of row i, hashed to h
ROW = """
SELECT 'chatcmpl-' || md5(i::text), 'acompletion', encode(sha256(('bench-' || k)::bytea), 'hex'),
       CASE WHEN failed THEN 0 ELSE (1000 + h % 900000) / 1e9 END, p + o, p, o, at, at + (200 + h % 5000) * interval '1 ms',
       at + (100 + h % 100) * interval '1 ms', 'model-' || m, md5('deployment' || m), 'group-' || m / 2,
       (ARRAY['openai', 'anthropic', 'bedrock', 'vertex_ai'])[1 + m % 4], 'https://api.example.com/v1', 'user-' || k % {users},
       jsonb_build_object('user_api_key', encode(sha256(('bench-' || k)::bytea), 'hex'), 'user_api_key_alias', 'alias-' || k,
           'user_api_key_user_id', 'user-' || k % {users}, 'user_api_key_team_id', 'team-' || k % {teams}, 'status',
           CASE WHEN failed THEN 'failure' ELSE 'success' END, 'usage_object', jsonb_build_object('prompt_tokens', p,
           'completion_tokens', o, 'total_tokens', p + o), 'additional_usage_values', '{{}}'::jsonb, 'error_information',
           CASE WHEN failed THEN jsonb_build_object('error_code', (ARRAY['429', '500', '400'])[1 + h % 3], 'error_class',
           'UpstreamError', 'error_message', 'upstream said no, ' || h % 100) END),
       'None', 'Cache OFF', jsonb_build_array('tag-' || h % {tags}, 'User-Agent: client/' || k % 3), 'team-' || k % {teams},
       CASE WHEN h % 3 = 0 THEN 'customer-' || h / 7 % {end_users} ELSE '' END, '{{}}', '{{}}', '{{}}', md5('session' || i / 5),
       CASE WHEN failed THEN 'failure' ELSE 'success' END, md5('call' || i), 200 + h % 5000
FROM (SELECT i, h, h / 17 % {keys} AS k, h / 31 % {models} AS m, 10 + h / 3 % 3000 AS p, 1 + h / 11 % 800 AS o, h % 50 = 0 AS failed,
             timestamp '{until}' - ({rows} - i) * interval '{step} us' AS at
      FROM (SELECT i, (i * 2654435761 % 4294967291) AS h FROM generate_series({first}::bigint, {last}) AS i) a) b
"""

COLUMNS = """request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime",
    "completionStartTime", model, model_id, model_group, custom_llm_provider, api_base, "user", metadata, cache_hit, cache_key,
    request_tags, team_id, end_user, messages, response, proxy_server_request, session_id, status, litellm_call_id,
    request_duration_ms"""

PARENTS = """
INSERT INTO "LiteLLM_TeamTable" (team_id, team_alias) SELECT 'team-' || i, 'Team ' || i FROM generate_series(0, {teams} - 1) AS i
ON CONFLICT DO NOTHING;
INSERT INTO "LiteLLM_UserTable" (user_id, user_role) SELECT 'user-' || i, 'internal_user' FROM generate_series(0, {users} - 1) AS i
ON CONFLICT DO NOTHING;
INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, key_name, user_id, team_id)
SELECT encode(sha256(('bench-' || i)::bytea), 'hex'), 'alias-' || i, 'sk-...' || i, 'user-' || i % {users}, 'team-' || i % {teams}
FROM generate_series(0, {keys} - 1) AS i ON CONFLICT DO NOTHING;
"""


def fill(sql, rows, *, until, days=DAYS, keys=KEYS, users=USERS, teams=TEAMS, models=MODELS, end_users=END_USERS, tags=TAGS,
         batch=250_000, triggers=False):  # fmt: skip
    """`until`: ISO time behind the last row. Without triggers and indexes, which are made anew: as if rows had been there
    before we came."""
    values = dict(rows=rows, until=until, step=days * 86_400_000_000 // rows, keys=keys, users=users, teams=teams, models=models,
                  end_users=end_users, tags=tags)
    sql(PARENTS.format(**values))
    indexes = []
    if not triggers:
        found = sql("""SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes
                       WHERE tablename = 'LiteLLM_SpendLogs' AND indexname NOT LIKE '%_pkey' AND schemaname = 'public'""")
        names, indexes = [n for n, _ in found], [d for _, d in found]
        for name in names:
            sql(f'DROP INDEX "{name}"')
    for first in range(1, rows + 1, batch):
        values.update(first=first, last=min(first + batch - 1, rows))
        sql(("" if triggers else "SET session_replication_role = replica; ") +
            f'INSERT INTO "LiteLLM_SpendLogs" ({COLUMNS}) {ROW.format(**values)}')
    for definition in indexes:
        sql(definition)
    sql('ANALYZE "LiteLLM_SpendLogs"')
