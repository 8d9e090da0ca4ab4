-- Prompts and replies that came before the rows of LiteLLM_SpendLogs they belong to. A job moves them there once those
-- are written; what has no row within an hour goes.
CREATE TABLE weir.transcript (
    call_id text NOT NULL,
    started timestamp(3) NOT NULL,
    attempt integer NOT NULL,
    body jsonb NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (call_id, started, attempt)
);

-- Those into their rows; how many of them there were.
CREATE FUNCTION weir.settle_transcripts(most bigint) RETURNS bigint LANGUAGE sql AS $$
    WITH due AS MATERIALIZED (
        SELECT b.* FROM weir.transcript b
        WHERE EXISTS (
            SELECT FROM "LiteLLM_SpendLogs" t WHERE t."startTime" = b.started AND t.metadata ->> 'litellm_call_id' = b.call_id
        )
        LIMIT most
    ),
    stored AS (
        UPDATE "LiteLLM_SpendLogs" t
        SET proxy_server_request = b.body -> 'proxy_server_request', response = b.body -> 'response'
        FROM due b
        WHERE t."startTime" = b.started AND t.metadata ->> 'litellm_call_id' = b.call_id
          AND (t.metadata -> 'weir' ->> 'attempt')::integer = b.attempt
          AND t."startTime" BETWEEN (SELECT min(started) FROM due) AND (SELECT max(started) FROM due)
    ),
    gone AS (
        DELETE FROM weir.transcript d USING due b
        WHERE d.call_id = b.call_id AND d.started = b.started AND d.attempt = b.attempt
    )
    SELECT count(*) FROM due
$$;
