-- What makes ten million rows of LiteLLM_SpendLogs answer at once, whoever wrote them: a narrow index of them, and sums
-- by day. Triggers of statements keep both in the writer's own transaction; rows from before the triggers are taken by a
-- job (weir.log_backfill). LiteLLM's table, its columns and its indexes stay as they are.
--
-- Everything that rows are filtered and grouped by and that takes few values together is a series; a row's entry names
-- its series by a hash.
CREATE TABLE weir.log_series (
    id bigint PRIMARY KEY,
    api_key text,
    "user" text,
    team_id text,
    organization_id text,
    model text,
    model_group text,
    model_id text,
    custom_llm_provider text,
    call_type text,
    status text,
    cache_hit text,
    key_alias text,
    error_code text,
    error_class text,
    has_error boolean, -- an error message
    level smallint NOT NULL DEFAULT 0, -- 1: without key and user; 2: key, user, team and call_type alone
    by_model bigint, -- the series of level 1 and 2 that this one is part of; NULL: not looked up yet
    by_key bigint
);
CREATE INDEX log_series_new ON weir.log_series (id) WHERE by_key IS NULL AND level = 0;

CREATE TABLE weir.log (
    at timestamp(3) NOT NULL,
    series bigint NOT NULL,
    spend double precision NOT NULL,
    call_id bigint, -- a hash
    total_tokens integer NOT NULL,
    end_user text,
    request_id text NOT NULL,
    error text -- message
);
CREATE INDEX log_at ON weir.log (at);
CREATE INDEX log_series_at ON weir.log (series, at);
CREATE INDEX log_call ON weir.log (call_id) WHERE call_id IS NOT NULL;

-- Sums, merged by a job out of what statements leave behind them (weir.log_merge). The truth is both together.
CREATE TABLE weir.log_day (
    day date NOT NULL,
    series bigint NOT NULL,
    n bigint NOT NULL,
    spend double precision NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    total_tokens bigint NOT NULL,
    PRIMARY KEY (series, day)
) WITH (fillfactor = 80);
CREATE INDEX log_day_day ON weir.log_day (day);
-- Of level 1 and 2: reports of the whole read these, which are far smaller.
CREATE TABLE weir.log_day_model (LIKE weir.log_day INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE weir.log_day_key (LIKE weir.log_day INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE weir.log_day_end_user (
    day date NOT NULL,
    id bigint NOT NULL, -- a hash
    end_user text,
    n bigint NOT NULL,
    spend double precision NOT NULL,
    PRIMARY KEY (day, id)
) WITH (fillfactor = 80);
CREATE TABLE weir.log_day_tag (
    day date NOT NULL,
    id bigint NOT NULL, -- a hash
    tag text NOT NULL,
    "user" text,
    team_id text,
    n bigint NOT NULL,
    spend double precision NOT NULL,
    PRIMARY KEY (day, id)
) WITH (fillfactor = 80);

CREATE TABLE weir.log_hour (
    hour timestamp PRIMARY KEY,
    n bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE weir.log_delta (
    hour timestamp NOT NULL,
    day date NOT NULL,
    series bigint NOT NULL,
    end_user text,
    n bigint NOT NULL,
    spend double precision NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    total_tokens bigint NOT NULL
);
CREATE TABLE weir.log_delta_tag (
    day date NOT NULL,
    tag text NOT NULL,
    "user" text,
    team_id text,
    n bigint NOT NULL,
    spend double precision NOT NULL
);

-- Rows from this moment on have entries; older ones may not yet.
CREATE TABLE weir.log_state (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    covered_from timestamp NOT NULL,
    failures bigint NOT NULL DEFAULT 0 -- statements whose rows were left to the job
);
INSERT INTO weir.log_state (covered_from) VALUES ('infinity');

-- Through this table old rows take the way of new ones; it is empty between transactions.
CREATE UNLOGGED TABLE weir.log_old (
    request_id text, call_type text, api_key text, spend double precision, total_tokens integer, prompt_tokens integer,
    completion_tokens integer, "startTime" timestamp(3), model text, model_id text, model_group text,
    custom_llm_provider text, "user" text, metadata jsonb, cache_hit text, request_tags jsonb, team_id text, end_user text,
    status text, organization_id text, litellm_call_id text
);

CREATE FUNCTION weir.log_hash(text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || left(md5($1), 16))::bit(64)::bigint;

-- Sees to it that rows of `space`.LiteLLM_SpendLogs are taken; again after columns came or went: an older LiteLLM lacks
-- some. A writer never fails here: what cannot be taken is left to the job, and until then rows are read as they are.
-- False: there is no such table, or all is as it should be.
CREATE FUNCTION weir.log_watch(space text) RETURNS boolean LANGUAGE plpgsql AS $make$
DECLARE
    rel regclass := to_regclass(format('%I.%I', space, 'LiteLLM_SpendLogs'));
    own regclass := 'weir.log_old'::regclass;
    cols text;
    rows_of text; -- out of `added` or `gone`
    head text := ' RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $body$
BEGIN';
    tail text := '
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    UPDATE weir.log_state SET covered_from = ''infinity'', failures = failures + 1;
    RETURN NULL;
END $body$';
    sums text := ',
    day AS (
        INSERT INTO weir.log_delta
        SELECT date_trunc(''hour'', "startTime"), "startTime"::date, series, end_user, %1$scount(*), %1$ssum(spend),
               %1$ssum(prompt_tokens), %1$ssum(completion_tokens), %1$ssum(total_tokens)
        FROM %2$s GROUP BY 1, 2, 3, 4
    )
    INSERT INTO weir.log_delta_tag
    SELECT "startTime"::date, tag, "user", team_id, %1$scount(*), %1$ssum(spend)
    FROM %2$s, jsonb_array_elements_text(CASE jsonb_typeof(request_tags) WHEN ''array'' THEN request_tags END) AS tag
    WHERE tag IS NOT NULL GROUP BY 1, 2, 3, 4;';
    add_rows text := '
    WITH r AS MATERIALIZED (%1$s),
    s AS (
        INSERT INTO weir.log_series
        SELECT DISTINCT ON (series) series, %2$s FROM r ORDER BY series ON CONFLICT DO NOTHING
    ),
    l AS (
        INSERT INTO weir.log
        SELECT "startTime", series, spend, weir.log_hash(litellm_call_id), total_tokens, end_user, request_id,
               metadata -> ''error_information'' ->> ''error_message''
        FROM r
    )';
    drop_rows text := '
    WITH r AS (%1$s),
    was AS (
        DELETE FROM weir.log l USING r WHERE l.at = r."startTime" AND l.request_id = r.request_id AND l.series = r.series
        RETURNING r.*
    )';
    dims text := 'api_key, "user", team_id, organization_id, model, model_group, model_id, custom_llm_provider, call_type,
        status, cache_hit, key_alias, error_code, error_class, has_error';
    add_code text;
    drop_code text;
    t regclass;
BEGIN
    IF rel IS NULL THEN
        RETURN false;
    END IF;
    SELECT string_agg(CASE WHEN t.attname IS NOT NULL THEN quote_ident(a.attname)
                      ELSE format('NULL::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname) END, ', ' ORDER BY a.attnum)
    INTO cols FROM pg_attribute a
    LEFT JOIN pg_attribute t ON t.attrelid = rel AND t.attname = a.attname AND NOT t.attisdropped
    WHERE a.attrelid = own AND a.attnum > 0 AND NOT a.attisdropped;
    IF (SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgrelid = rel AND tgname = 'weir_log_added')
       = 'weir 1 ' || md5(cols) THEN
        RETURN false;
    END IF;
    rows_of := format('
        SELECT *, weir.log_hash(ROW(%s)::text) AS series
        FROM (SELECT *, metadata ->> ''user_api_key_alias'' AS key_alias,
                     metadata -> ''error_information'' ->> ''error_code'' AS error_code,
                     metadata -> ''error_information'' ->> ''error_class'' AS error_class,
                     metadata -> ''error_information'' ->> ''error_message'' IS NOT NULL AS has_error
              FROM (SELECT %s FROM %%s) a) b', dims, cols);
    add_code := format(add_rows, format(rows_of, 'added'), dims) || format(sums, '', 'r');
    drop_code := format(drop_rows, format(rows_of, 'gone')) || format(sums, '-', 'was');
    EXECUTE 'CREATE OR REPLACE FUNCTION weir.log_added()' || head || add_code || tail;
    EXECUTE 'CREATE OR REPLACE FUNCTION weir.log_gone()' || head || drop_code || tail;
    EXECUTE 'CREATE OR REPLACE FUNCTION weir.log_changed()' || head || drop_code || add_code || tail;
    EXECUTE 'CREATE OR REPLACE FUNCTION weir.log_emptied()' || head || '
    TRUNCATE weir.log, weir.log_hour, weir.log_day, weir.log_day_model, weir.log_day_key, weir.log_day_end_user,
             weir.log_day_tag, weir.log_delta, weir.log_delta_tag,
             weir.log_series;' || tail;
    EXECUTE format('CREATE OR REPLACE FUNCTION weir.log_take(since timestamp, until timestamp) RETURNS void LANGUAGE sql AS $body$
        INSERT INTO weir.log_old SELECT %s FROM %s s WHERE "startTime" >= since AND "startTime" < until
        AND NOT EXISTS (SELECT FROM weir.log l WHERE l.at = s."startTime" AND l.request_id = s.request_id);
        DELETE FROM weir.log_old $body$', cols, rel);
    FOREACH t IN ARRAY ARRAY[rel, own] LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS weir_log_added ON %s', t);
        EXECUTE format('CREATE TRIGGER weir_log_added AFTER INSERT ON %s REFERENCING NEW TABLE AS added'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_added()', t);
    END LOOP;
    EXECUTE format('DROP TRIGGER IF EXISTS weir_log_gone ON %s', rel);
    EXECUTE format('DROP TRIGGER IF EXISTS weir_log_changed ON %s', rel);
    EXECUTE format('DROP TRIGGER IF EXISTS weir_log_emptied ON %s', rel);
    EXECUTE format('CREATE TRIGGER weir_log_gone AFTER DELETE ON %s REFERENCING OLD TABLE AS gone'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_gone()', rel);
    EXECUTE format('CREATE TRIGGER weir_log_changed AFTER UPDATE ON %s REFERENCING OLD TABLE AS gone NEW TABLE AS added'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_changed()', rel);
    EXECUTE format('CREATE TRIGGER weir_log_emptied AFTER TRUNCATE ON %s'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION weir.log_emptied()', rel);
    EXECUTE format('COMMENT ON TRIGGER weir_log_added ON %s IS %L', rel, 'weir 1 ' || md5(cols));
    RETURN true;
END $make$;

-- Takes about `most` rows from before, the newest first, each once: those that have an entry came by the triggers. True:
-- there is more to do.
CREATE FUNCTION weir.log_backfill(most integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    was weir.log_state;
    since timestamp;
BEGIN
    IF (SELECT covered_from = '-infinity' FROM weir.log_state) THEN
        RETURN false;
    END IF;
    SELECT * INTO was FROM weir.log_state FOR UPDATE;
    SELECT "startTime" INTO since FROM "LiteLLM_SpendLogs" WHERE "startTime" < was.covered_from
    ORDER BY "startTime" DESC OFFSET most - 1 LIMIT 1;
    since := coalesce(since, '-infinity');
    PERFORM weir.log_take(since, was.covered_from);
    UPDATE weir.log_state SET covered_from = since WHERE failures = was.failures;
    RETURN FOUND AND since > '-infinity';
END $$;

-- Finds for new series those that they are part of.
CREATE FUNCTION weir.log_parts() RETURNS void LANGUAGE sql AS $$
    WITH new AS (
        UPDATE weir.log_series
        SET by_model = weir.log_hash(ROW(1, team_id, organization_id, model, model_group, model_id, custom_llm_provider,
                                         call_type, status, cache_hit, error_code, error_class)::text),
            by_key = weir.log_hash(ROW(2, api_key, "user", team_id, organization_id, call_type)::text)
        WHERE by_key IS NULL AND level = 0 RETURNING *
    ),
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

-- What statements left behind them goes into the sums. True: there may be more.
CREATE FUNCTION weir.log_merge(most integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM weir.log_parts();
    WITH d AS (
        DELETE FROM weir.log_delta WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM weir.log_delta d
            JOIN weir.log_series s ON s.id = d.series AND s.by_key IS NOT NULL LIMIT most))
        RETURNING *
    ),
    series AS (
        INSERT INTO weir.log_day AS t
        SELECT day, series, sum(n), sum(spend), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens)
        FROM d GROUP BY 1, 2 ORDER BY 2, 1
        ON CONFLICT (series, day) DO UPDATE SET n = t.n + excluded.n, spend = t.spend + excluded.spend,
            prompt_tokens = t.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = t.completion_tokens + excluded.completion_tokens,
            total_tokens = t.total_tokens + excluded.total_tokens
    ),
    models AS (
        INSERT INTO weir.log_day_model AS t
        SELECT day, by_model, sum(n), sum(spend), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens)
        FROM d JOIN weir.log_series s ON s.id = series GROUP BY 1, 2 ORDER BY 2, 1
        ON CONFLICT (series, day) DO UPDATE SET n = t.n + excluded.n, spend = t.spend + excluded.spend,
            prompt_tokens = t.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = t.completion_tokens + excluded.completion_tokens,
            total_tokens = t.total_tokens + excluded.total_tokens
    ),
    keys AS (
        INSERT INTO weir.log_day_key AS t
        SELECT day, by_key, sum(n), sum(spend), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens)
        FROM d JOIN weir.log_series s ON s.id = series GROUP BY 1, 2 ORDER BY 2, 1
        ON CONFLICT (series, day) DO UPDATE SET n = t.n + excluded.n, spend = t.spend + excluded.spend,
            prompt_tokens = t.prompt_tokens + excluded.prompt_tokens,
            completion_tokens = t.completion_tokens + excluded.completion_tokens,
            total_tokens = t.total_tokens + excluded.total_tokens
    ),
    end_users AS (
        INSERT INTO weir.log_day_end_user AS t
        SELECT day, weir.log_hash(ROW(end_user)::text), end_user, sum(n), sum(spend) FROM d GROUP BY 1, 2, 3 ORDER BY 1, 2
        ON CONFLICT (day, id) DO UPDATE SET n = t.n + excluded.n, spend = t.spend + excluded.spend
    ),
    hours AS (
        INSERT INTO weir.log_hour AS t SELECT hour, sum(n) FROM d GROUP BY 1 ORDER BY 1
        ON CONFLICT (hour) DO UPDATE SET n = t.n + excluded.n
    )
    SELECT count(*) INTO taken FROM d;
    WITH d AS (
        DELETE FROM weir.log_delta_tag WHERE ctid = ANY (ARRAY(SELECT ctid FROM weir.log_delta_tag LIMIT most)) RETURNING *
    )
    INSERT INTO weir.log_day_tag AS t
    SELECT day, weir.log_hash(ROW(tag, "user", team_id)::text), tag, "user", team_id, sum(n), sum(spend)
    FROM d GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2
    ON CONFLICT (day, id) DO UPDATE SET n = t.n + excluded.n, spend = t.spend + excluded.spend;
    RETURN taken = most;
END $$;

-- Entries of rows whose partition is gone: no trigger speaks of them. True: there may be more.
CREATE FUNCTION weir.log_forget(most integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    oldest timestamp := coalesce((SELECT min("startTime") FROM "LiteLLM_SpendLogs"), 'infinity');
    gone bigint;
BEGIN
    DELETE FROM weir.log WHERE ctid = ANY (ARRAY(SELECT ctid FROM weir.log WHERE at < oldest ORDER BY at LIMIT most));
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM weir.log_hour WHERE hour < date_trunc('hour', oldest);
    DELETE FROM weir.log_day WHERE day < oldest::date;
    DELETE FROM weir.log_day_model WHERE day < oldest::date;
    DELETE FROM weir.log_day_key WHERE day < oldest::date;
    DELETE FROM weir.log_day_end_user WHERE day < oldest::date;
    DELETE FROM weir.log_day_tag WHERE day < oldest::date;
    RETURN gone = most;
END $$;

-- The days whose sums are whole: from this one on.
CREATE FUNCTION weir.log_summed_from() RETURNS date LANGUAGE sql STABLE
RETURN (SELECT (covered_from + interval '1 day' - interval '1 microsecond')::date FROM weir.log_state);

ALTER TABLE weir.log_delta SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
ALTER TABLE weir.log_delta_tag SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
