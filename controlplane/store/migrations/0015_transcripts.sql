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

CREATE INDEX transcript_taken ON weir.transcript (taken_at);

-- Those into their rows; how many of them there were. However many have none yet, it looks at so many times `most` of
-- the oldest and of the newest.
CREATE FUNCTION weir.settle_transcripts(most bigint) RETURNS bigint
LANGUAGE plpgsql AS $$ -- an older LiteLLM's rows lack columns: it is not asked there
DECLARE
    settled bigint;
BEGIN
    WITH few AS MATERIALIZED (
        (SELECT call_id, started, attempt FROM weir.transcript ORDER BY taken_at LIMIT 50 * most)
        UNION (SELECT call_id, started, attempt FROM weir.transcript ORDER BY taken_at DESC LIMIT 50 * most)
    ),
    due AS MATERIALIZED (
        SELECT b.* FROM few s CROSS JOIN LATERAL (
            SELECT FROM "LiteLLM_SpendLogs" t
            WHERE t."startTime" = s.started AND t.metadata ->> 'litellm_call_id' = s.call_id LIMIT 1
        ) r JOIN weir.transcript b USING (call_id, started, attempt)
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
    SELECT count(*) INTO settled FROM due;
    RETURN settled;
END $$;

-- All that the index of log rows holds stays as it is when texts come: who stores them says SET LOCAL weir.texts = on.
-- After weir.log_watch(), which makes the trigger.
CREATE FUNCTION weir.texts_watch(space text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    rel regclass := to_regclass(format('%I.%I', space, 'LiteLLM_SpendLogs'));
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = rel AND tgname = 'weir_log_changed' AND tgqual IS NULL) THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER weir_log_changed AFTER UPDATE ON %s'
                       ' REFERENCING OLD TABLE AS gone NEW TABLE AS added FOR EACH STATEMENT'
                       ' WHEN (current_setting(''weir.texts'', true) IS DISTINCT FROM ''on'')'
                       ' EXECUTE FUNCTION weir.log_changed()', rel);
    END IF;
END $$;
