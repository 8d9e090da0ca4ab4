-- Pages of log rows whose filters or order are of the rows themselves: dollars, tokens, errors, end users.

-- Rows that failed lie apart: a text is looked for in all their messages, and they are few. The others stay where they
-- are, with the indexes they have: nobody who writes waits for millions of them to be written anew.
ALTER TABLE weir.log RENAME TO log_fine;
ALTER INDEX weir.log_at RENAME TO log_fine_at;
ALTER INDEX weir.log_call RENAME TO log_fine_call;
DROP INDEX weir.log_series_at;
CREATE TABLE weir.log (LIKE weir.log_fine INCLUDING DEFAULTS) PARTITION BY LIST ((error IS NULL));
CREATE TABLE weir.log_failed PARTITION OF weir.log FOR VALUES IN (false);
WITH failed AS (DELETE FROM weir.log_fine WHERE error IS NOT NULL RETURNING *)
INSERT INTO weir.log SELECT * FROM failed ORDER BY at;
ALTER TABLE weir.log ATTACH PARTITION weir.log_fine FOR VALUES IN (true);

CREATE INDEX log_at ON weir.log (at);
CREATE INDEX log_call ON weir.log (call_id) WHERE call_id IS NOT NULL;
CREATE INDEX log_series_at ON weir.log (series, at) INCLUDE (spend, total_tokens);
CREATE INDEX log_end_user ON weir.log (end_user, at) WHERE end_user <> '';
-- By day, so that new entries meet in few pages; what a page of other days needs is put together from its days. One of
-- tokens would cost ingest a twentieth: pages in their order sort a day's entries.
CREATE INDEX log_spend ON weir.log ((at::date), spend, at) INCLUDE (series);

-- As before; the entries have no one table any more.
CREATE OR REPLACE FUNCTION weir.log_forget(most integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    oldest timestamp := coalesce((SELECT min("startTime") FROM "LiteLLM_SpendLogs"), 'infinity');
    until timestamp := (SELECT at FROM weir.log WHERE at < oldest ORDER BY at OFFSET most - 1 LIMIT 1);
BEGIN
    DELETE FROM weir.log WHERE at < oldest AND at <= coalesce(until, oldest);
    IF EXISTS (SELECT FROM weir.log_delta WHERE day < oldest::date) OR EXISTS (SELECT FROM weir.log_delta_tag WHERE day < oldest::date) THEN
        RETURN until IS NOT NULL; -- what was deleted is not taken out of the sums yet: later, it would leave less than nothing
    END IF;
    DELETE FROM weir.log_hour WHERE hour < date_trunc('hour', oldest);
    DELETE FROM weir.log_day WHERE day < oldest::date;
    DELETE FROM weir.log_day_model WHERE day < oldest::date;
    DELETE FROM weir.log_day_key WHERE day < oldest::date;
    DELETE FROM weir.log_day_end_user WHERE day < oldest::date;
    DELETE FROM weir.log_day_tag WHERE day < oldest::date;
    RETURN until IS NOT NULL;
END $$;

-- What millions of rows left behind in a table that is read with each page goes when all of it is merged.
CREATE FUNCTION weir.log_shrink() RETURNS void LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    t text;
    is_empty boolean;
BEGIN
    FOREACH t IN ARRAY ARRAY['weir.log_delta', 'weir.log_delta_tag'] LOOP
        IF pg_relation_size(t) > 32 << 20 THEN
            EXECUTE 'LOCK TABLE ' || t || ' IN ACCESS EXCLUSIVE MODE';
            EXECUTE 'SELECT NOT EXISTS (SELECT FROM ' || t || ')' INTO is_empty;
            IF is_empty THEN
                EXECUTE 'TRUNCATE ' || t;
            END IF;
        END IF;
    END LOOP;
EXCEPTION WHEN lock_not_available THEN
    NULL; -- the next time
END $$;
