-- Reports of a month add up far fewer lines than LiteLLM's daily tables have: of days that are over their rows are summed
-- up once, by a job. Whoever changes a row of such a day takes its sums out of use in the same transaction, and the job
-- makes them anew. LiteLLM's tables stay as they are but for triggers.

-- Days that were summed up, or will be: those that are over, and those that had been when somebody wrote to them.
CREATE TABLE weir.daily_day (
    kind text NOT NULL, -- of weir.daily_kinds()
    date text NOT NULL,
    is_summed boolean NOT NULL DEFAULT false, -- the sums are those of the rows
    PRIMARY KEY (kind, date)
);

-- A column that a grain adds up over is '' there (entity: NULL).
CREATE TABLE weir.daily_sum (
    kind text NOT NULL,
    grain smallint NOT NULL, -- by 1: model, group, provider, endpoint and tool; 2: entity; 3: entity and key
    date text NOT NULL,
    entity text,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    endpoint text,
    mcp_namespaced_tool_name text,
    n bigint NOT NULL, -- rows
    spend double precision NOT NULL,
    compression_savings_spend double precision NOT NULL,
    prompt_caching_savings_spend double precision NOT NULL,
    gateway_injected_caching_savings_spend double precision NOT NULL,
    autorouter_savings_spend double precision NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_creation_input_tokens bigint NOT NULL,
    compression_saved_tokens bigint NOT NULL,
    successful_requests bigint NOT NULL,
    failed_requests bigint NOT NULL,
    api_requests bigint NOT NULL,
    total_response_time_ms bigint NOT NULL,
    timed_requests bigint NOT NULL
);
CREATE INDEX daily_sum_date ON weir.daily_sum (kind, grain, date);

CREATE FUNCTION weir.daily_kinds() RETURNS TABLE (kind text, tbl text, entity text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('user', 'LiteLLM_DailyUserSpend', 'user_id'), ('team', 'LiteLLM_DailyTeamSpend', 'team_id'),
        ('organization', 'LiteLLM_DailyOrganizationSpend', 'organization_id'),
        ('customer', 'LiteLLM_DailyEndUserSpend', 'end_user_id'), ('tag', 'LiteLLM_DailyTagSpend', 'tag'),
        ('agent', 'LiteLLM_DailyAgentSpend', 'agent_id')
$$;

-- Days before this one are over, for an hour: who still writes to one without a line in weir.daily_day began before that.
CREATE FUNCTION weir.daily_open() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
RETURN to_char(now() AT TIME ZONE 'UTC' - interval '1 hour', 'YYYY-MM-DD');

-- The line of a day is locked until the writer is done: the job waits for it, and sees what was written.
CREATE FUNCTION weir.daily_added() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO weir.daily_day AS d (kind, date)
    SELECT TG_ARGV[0], c.date FROM (SELECT DISTINCT date FROM changed) c
    WHERE c.date < weir.daily_open() OR EXISTS (SELECT FROM weir.daily_day x WHERE x.kind = TG_ARGV[0] AND x.date = c.date)
    ORDER BY 2 ON CONFLICT (kind, date) DO UPDATE SET is_summed = false WHERE d.is_summed;
    RETURN NULL;
END $$;

-- Of a row that went to another day.
CREATE FUNCTION weir.daily_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO weir.daily_day AS d (kind, date) SELECT TG_ARGV[0], OLD.date
    WHERE OLD.date < weir.daily_open() OR EXISTS (SELECT FROM weir.daily_day x WHERE x.kind = TG_ARGV[0] AND x.date = OLD.date)
    ON CONFLICT (kind, date) DO UPDATE SET is_summed = false WHERE d.is_summed;
    RETURN NULL;
END $$;

CREATE FUNCTION weir.daily_emptied() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE weir.daily_day SET is_summed = false WHERE kind = TG_ARGV[0];
    RETURN NULL;
END $$;

-- Sees to it that the daily tables of `space` are watched; a table that lacks what is summed up (an older LiteLLM) is not,
-- and read as it is. True: triggers were made.
CREATE FUNCTION weir.daily_watch(space text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    k record;
    made boolean := false;
BEGIN
    FOR k IN
        SELECT kind, to_regclass(format('%I.%I', space, tbl)) AS rel FROM weir.daily_kinds()
        WHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'weir_daily_added'
                          AND tgrelid = to_regclass(format('%I.%I', space, tbl)))
        AND NOT EXISTS (SELECT attname FROM pg_attribute WHERE attrelid = 'weir.daily_sum'::regclass AND attnum > 0
                        AND attname NOT IN ('kind', 'grain', 'entity', 'n')
                        EXCEPT SELECT attname FROM pg_attribute
                        WHERE attrelid = to_regclass(format('%I.%I', space, tbl)) AND NOT attisdropped)
    LOOP
        DELETE FROM weir.daily_day WHERE kind = k.kind; -- nobody saw what was written since
        EXECUTE format('CREATE TRIGGER weir_daily_added AFTER INSERT ON %s REFERENCING NEW TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.daily_added(%L)', k.rel, k.kind);
        EXECUTE format('CREATE TRIGGER weir_daily_changed AFTER UPDATE ON %s REFERENCING NEW TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.daily_added(%L)', k.rel, k.kind);
        EXECUTE format('CREATE TRIGGER weir_daily_gone AFTER DELETE ON %s REFERENCING OLD TABLE AS changed'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.daily_added(%L)', k.rel, k.kind);
        EXECUTE format('CREATE TRIGGER weir_daily_moved AFTER UPDATE OF date ON %s FOR EACH ROW'
                       ' WHEN (OLD.date IS DISTINCT FROM NEW.date) EXECUTE FUNCTION weir.daily_moved(%L)', k.rel, k.kind);
        EXECUTE format('CREATE TRIGGER weir_daily_emptied AFTER TRUNCATE ON %s'
                       ' FOR EACH STATEMENT EXECUTE FUNCTION weir.daily_emptied(%L)', k.rel, k.kind);
        made := true;
    END LOOP;
    RETURN made;
END $$;

-- The sums of a day whose line is locked by us.
CREATE FUNCTION weir.daily_sum_of(of_kind text, of_date text) RETURNS void LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    k record;
    names text;
    sums text;
    key text;
    grains text[] := ARRAY[
        'NULL, '''', model, model_group, custom_llm_provider, endpoint, mcp_namespaced_tool_name',
        '%s, '''', '''', '''', '''', '''', ''''',
        '%s, api_key, '''', '''', '''', '''', '''''];
BEGIN
    SELECT * INTO k FROM weir.daily_kinds() d WHERE d.kind = of_kind;
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum), string_agg(format('sum(%I)', attname), ', ' ORDER BY attnum)
    INTO names, sums FROM pg_attribute
    WHERE attrelid = 'weir.daily_sum'::regclass AND attnum > (SELECT attnum FROM pg_attribute
        WHERE attrelid = 'weir.daily_sum'::regclass AND attname = 'n') AND NOT attisdropped;
    DELETE FROM weir.daily_sum WHERE kind = of_kind AND date = of_date;
    FOR grain IN 1 .. 3 LOOP
        key := format(grains[grain], k.entity);
        EXECUTE format('INSERT INTO weir.daily_sum (kind, grain, date, entity, api_key, model, model_group,'
                       ' custom_llm_provider, endpoint, mcp_namespaced_tool_name, n, %s)'
                       ' SELECT $1, $2, $3, %s, count(*), %s FROM %I WHERE date = $3 AND api_key <> ''__ptu_flat_cost__'''
                       ' GROUP BY 4, 5, 6, 7, 8, 9, 10', names, key, sums, k.tbl)
        USING of_kind, grain, of_date;
    END LOOP;
END $$;

-- Sums up the newest day that lacks it, or looks for days that are over since. True: there may be more.
CREATE FUNCTION weir.daily_sum_up() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    d weir.daily_day;
    k record;
    new bigint;
    found_new boolean := false;
BEGIN
    SELECT * INTO d FROM weir.daily_day WHERE NOT is_summed ORDER BY date DESC, kind LIMIT 1 FOR UPDATE;
    IF FOUND AND NOT d.is_summed THEN
        PERFORM weir.daily_sum_of(d.kind, d.date); -- sees what whoever held the lock has written
        UPDATE weir.daily_day SET is_summed = true WHERE kind = d.kind AND date = d.date;
        RETURN true;
    END IF;
    FOR k IN
        SELECT * FROM weir.daily_kinds() WHERE EXISTS (SELECT FROM pg_trigger WHERE tgname = 'weir_daily_added'
                                                       AND tgrelid = to_regclass(format('%I', tbl)))
    LOOP
        EXECUTE format('WITH RECURSIVE d AS (SELECT min(date) AS date FROM %1$I UNION ALL'
                       ' SELECT (SELECT min(t.date) FROM %1$I t WHERE t.date > d.date) FROM d WHERE d.date IS NOT NULL)'
                       ' INSERT INTO weir.daily_day (kind, date) SELECT %2$L, date FROM d'
                       ' WHERE date < weir.daily_open() ON CONFLICT DO NOTHING', k.tbl, k.kind);
        GET DIAGNOSTICS new = ROW_COUNT;
        found_new := found_new OR new > 0;
    END LOOP;
    RETURN found_new;
END $$;

-- Days of a report that have rows and no sums.
CREATE FUNCTION weir.daily_live(of_kind text, since text, until text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    tbl text := (SELECT k.tbl FROM weir.daily_kinds() k WHERE k.kind = of_kind);
    live text[];
BEGIN
    EXECUTE format('WITH RECURSIVE d AS (SELECT min(date) AS date FROM %1$I WHERE date >= $2 UNION ALL'
                   ' SELECT (SELECT min(t.date) FROM %1$I t WHERE t.date > d.date) FROM d WHERE d.date <= $3)'
                   ' SELECT array_agg(date) FROM d WHERE date <= $3'
                   ' AND NOT EXISTS (SELECT FROM weir.daily_day x WHERE x.kind = $1 AND x.date = d.date AND x.is_summed)', tbl)
    INTO live USING of_kind, since, until;
    RETURN live;
END $$;
