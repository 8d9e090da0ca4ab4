-- Pages in the order of a value, of any filter and however deep: entries that have come to rest are packed. A block is a
-- stretch of time. For each order it has the series, places and values of its entries in that order, some bytes each: the
-- control plane looks through those of ten million at once (analytics/log_packed.c). A job makes the blocks; who writes
-- to the time of one leaves a line that says so, and it is not read until it is packed anew.

-- Of a series: a small number instead of the hash.
CREATE TABLE weir.log_code (
    series bigint PRIMARY KEY,
    code integer NOT NULL GENERATED ALWAYS AS IDENTITY
);
INSERT INTO weir.log_code (series) SELECT id FROM weir.log_series WHERE level = 0 AND by_key IS NOT NULL;

-- As before; a new series gets its code.
CREATE OR REPLACE FUNCTION weir.log_parts() RETURNS void LANGUAGE sql AS $$
    WITH new AS (
        UPDATE weir.log_series
        SET by_model = weir.log_hash(ROW(1, team_id, organization_id, model, model_group, model_id, custom_llm_provider,
                                         call_type, status, cache_hit, error_code, error_class)::text),
            by_key = weir.log_hash(ROW(2, api_key, "user", team_id, organization_id, call_type)::text)
        WHERE by_key IS NULL AND level = 0 RETURNING *
    ),
    codes AS (INSERT INTO weir.log_code (series) SELECT id FROM new ON CONFLICT DO NOTHING),
    models AS (
        INSERT INTO weir.log_series (id, level, team_id, organization_id, model, model_group, model_id, custom_llm_provider,
                                     call_type, status, cache_hit, error_code, error_class)
        SELECT DISTINCT ON (by_model) by_model, 1, team_id, organization_id, model, model_group, model_id,
               custom_llm_provider, call_type, status, cache_hit, error_code, error_class
        FROM new ORDER BY by_model ON CONFLICT DO NOTHING
    )
    INSERT INTO weir.log_series (id, level, api_key, "user", team_id, organization_id, call_type)
    SELECT DISTINCT ON (by_key) by_key, 2, api_key, "user", team_id, organization_id, call_type
    FROM new ORDER BY by_key ON CONFLICT DO NOTHING
$$;

CREATE TABLE weir.log_block (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since timestamp NOT NULL,
    until timestamp NOT NULL, -- not included
    seen xid8, -- whoever began before this one may not know of the block
    n integer, -- entries; NULL: not packed yet
    sessions text, -- their ids, a line each
    tokens text[] -- used_client_oauth_token of their metadata, each value there is
);
ALTER TABLE weir.log_block ALTER sessions SET STORAGE EXTERNAL; -- looked through

-- Numbers as they are sent, big-endian, in the order of (value, place). Places count from 0 in the order of (at,
-- request_id).
CREATE TABLE weir.log_packed (
    block bigint NOT NULL,
    sort text NOT NULL, -- LiteLLM's sort_by
    n_null integer NOT NULL, -- at the end
    marks bytea NOT NULL, -- each 1024th value
    codes bytea NOT NULL,
    places bytea NOT NULL,
    vals bytea NOT NULL, -- 8 bytes each, the others 4; times are milliseconds
    PRIMARY KEY (block, sort)
);
ALTER TABLE weir.log_packed ALTER marks SET STORAGE EXTERNAL, ALTER codes SET STORAGE EXTERNAL,
    ALTER places SET STORAGE EXTERNAL, ALTER vals SET STORAGE EXTERNAL; -- parts of them are read

-- Each 128th entry of a block, by its place.
CREATE TABLE weir.log_mark (
    block bigint NOT NULL,
    seq integer NOT NULL,
    at timestamp(3) NOT NULL,
    request_id text NOT NULL,
    PRIMARY KEY (block, seq)
);

-- Written to since it was packed.
CREATE TABLE weir.log_touched (
    block bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE weir.log_touched SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

CREATE FUNCTION weir.log_touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    oldest timestamp := (SELECT min(at) FROM changed);
BEGIN
    IF EXISTS (SELECT FROM weir.log_block WHERE until > oldest) THEN
        INSERT INTO weir.log_touched (block) SELECT id FROM weir.log_block b
        WHERE b.until > oldest AND EXISTS (SELECT FROM changed c WHERE c.at >= b.since AND c.at < b.until);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION weir.log_unpack() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM weir.log_block;
    DELETE FROM weir.log_packed;
    DELETE FROM weir.log_mark;
    RETURN NULL;
END $$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['log', 'log_fine', 'log_failed'] LOOP -- a statement is that of the table it names
        EXECUTE format('CREATE TRIGGER log_added AFTER INSERT ON weir.%I REFERENCING NEW TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_touch()', t);
        EXECUTE format('CREATE TRIGGER log_changed AFTER UPDATE ON weir.%I REFERENCING NEW TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_touch()', t);
        EXECUTE format('CREATE TRIGGER log_gone AFTER DELETE ON weir.%I REFERENCING OLD TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_touch()', t);
        EXECUTE format('CREATE TRIGGER log_emptied AFTER TRUNCATE ON weir.%I'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_unpack()', t);
    END LOOP;
END $$;

-- Packs what lies in the time of a block, in place of what was packed of it, in this block or others.
CREATE FUNCTION weir.log_pack_block(b weir.log_block) RETURNS void LANGUAGE plpgsql SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
    old bigint[] := ARRAY(SELECT id FROM weir.log_block o WHERE o.since >= b.since AND o.until <= b.until);
    elapsed text := '(extract(epoch FROM (t."endTime" - t."startTime")) * 1000)::bigint';
    session text := 'NULL::text'; -- an older LiteLLM has none
    k record;
BEGIN
    DELETE FROM weir.log_touched WHERE block = ANY (old); -- what comes from now on leaves another line
    DELETE FROM weir.log_packed WHERE block = ANY (old);
    DELETE FROM weir.log_mark WHERE block = ANY (old);
    DELETE FROM weir.log_block WHERE id = ANY (old) AND id <> b.id;
    PERFORM weir.log_parts();
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '"LiteLLM_SpendLogs"'::regclass
               AND attname = 'request_duration_ms' AND NOT attisdropped) THEN
        elapsed := 'coalesce(t.request_duration_ms, ' || elapsed || ')';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '"LiteLLM_SpendLogs"'::regclass AND attname = 'session_id'
               AND NOT attisdropped) THEN
        session := 't.session_id';
    END IF;
    EXECUTE format('
    WITH e AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY l.at, l.request_id)::integer - 1 AS place, coalesce(c.code, 0) AS code, l.at,
               l.request_id, l.spend, l.total_tokens::float8 AS tokens, extract(epoch FROM t."endTime") * 1000 AS ended,
               (%s)::float8 AS elapsed, extract(epoch FROM CASE WHEN t."completionStartTime" <> t."endTime"
                                                THEN t."completionStartTime" - t."startTime" END) * 1000 AS first_token,
               %s AS session, t.metadata ->> ''used_client_oauth_token'' AS token
        FROM weir.log l LEFT JOIN weir.log_code c ON c.series = l.series
        LEFT JOIN "LiteLLM_SpendLogs" t ON t.request_id = l.request_id AND t."startTime" = l.at
            AND t."startTime" >= $2 AND t."startTime" < $3
        WHERE l.at >= $2 AND l.at < $3
    ),
    marks AS (INSERT INTO weir.log_mark SELECT $1, place / 128, at, request_id FROM e WHERE place %% 128 = 0),
    v AS (
        SELECT sort, place, code, coalesce(v, ''Infinity'') AS v, v IS NULL AS is_null,
               row_number() OVER (PARTITION BY sort ORDER BY v, place) - 1 AS o
        FROM e CROSS JOIN LATERAL (VALUES (''spend'', CASE WHEN spend < ''Infinity'' THEN spend ELSE ''Infinity'' END),
            (''total_tokens'', tokens), (''endTime'', ended::float8), (''request_duration_ms'', elapsed),
            (''ttft_ms'', first_token::float8)) AS x (sort, v)
    ),
    packed AS (
        INSERT INTO weir.log_packed
        SELECT $1, sort, count(*) FILTER (WHERE is_null), string_agg(float8send(v), '''') FILTER (WHERE o %% 1024 = 0),
               string_agg(int4send(code), ''''), string_agg(int4send(place), ''''), string_agg(float8send(v), '''')
        FROM (SELECT * FROM v ORDER BY sort, o) x GROUP BY sort
    )
    SELECT count(*) AS n, string_agg(DISTINCT session, E''\n'') AS sessions,
           array_agg(DISTINCT token) FILTER (WHERE token IS NOT NULL) AS tokens FROM e', elapsed, session)
    INTO k USING b.id, b.since, b.until;
    IF k.n = 0 THEN
        DELETE FROM weir.log_block WHERE id = b.id;
    ELSE
        UPDATE weir.log_block SET n = k.n, sessions = k.sessions, tokens = k.tokens WHERE id = b.id;
    END IF;
END $$;

-- One step: packs a block, or says which is next. True: there may be more.
CREATE FUNCTION weir.log_pack(least_n integer, most_n integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    b weir.log_block;
    rest timestamp := now() AT TIME ZONE 'UTC' - interval '1 minute'; -- younger ones still come
    first timestamp;
    last timestamp;
BEGIN
    IF (SELECT covered_from > '-infinity' FROM weir.log_state) THEN
        RETURN false;
    END IF;
    -- of writers that know of it, or have ended
    SELECT * INTO b FROM weir.log_block WHERE n IS NULL ORDER BY id LIMIT 1;
    IF FOUND AND b.seen IS NULL THEN
        UPDATE weir.log_block SET seen = pg_snapshot_xmax(pg_current_snapshot()) WHERE id = b.id;
        RETURN true;
    ELSIF FOUND AND b.seen <= pg_snapshot_xmin(pg_current_snapshot()) THEN
        PERFORM weir.log_pack_block(b);
        RETURN true;
    END IF;
    -- written to, and left alone since; or for long
    SELECT k.* INTO b FROM weir.log_block k JOIN weir.log_touched t ON t.block = k.id WHERE k.n IS NOT NULL
    GROUP BY k.id HAVING max(t.at) < clock_timestamp() - interval '5 s' OR min(t.at) < clock_timestamp() - interval '5 min'
    ORDER BY k.since DESC LIMIT 1;
    IF FOUND THEN
        PERFORM weir.log_pack_block(b);
        RETURN true;
    ELSIF EXISTS (SELECT FROM weir.log_block WHERE n IS NULL) THEN
        RETURN false;
    END IF;
    -- small ones together
    SELECT min(since), max(until) INTO first, last
    FROM (SELECT * FROM weir.log_block ORDER BY since DESC LIMIT 8) x HAVING count(*) = 8 AND max(n) < most_n / 4;
    IF NOT FOUND THEN -- those that have come since
        first := coalesce((SELECT max(until) FROM weir.log_block), '-infinity');
        SELECT at INTO last FROM weir.log WHERE at >= first AND at < rest ORDER BY at OFFSET most_n LIMIT 1;
        IF NOT FOUND AND (SELECT count(*) FROM (SELECT FROM weir.log WHERE at >= first AND at < rest LIMIT least_n) x) < least_n
        THEN
            RETURN false;
        END IF;
        last := greatest(coalesce(last, rest), (SELECT min(at) + interval '1 ms' FROM weir.log WHERE at >= first));
    END IF;
    INSERT INTO weir.log_block (since, until) VALUES (first, last);
    RETURN true;
END $$;

-- As before; the way of old rows as well.
CREATE OR REPLACE FUNCTION weir.log_shrink() RETURNS void LANGUAGE plpgsql SET lock_timeout = '100ms' AS $$
DECLARE
    t text;
    is_empty boolean;
BEGIN
    FOREACH t IN ARRAY ARRAY['weir.log_delta', 'weir.log_delta_tag', 'weir.log_old', 'weir.log_touched'] LOOP
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
