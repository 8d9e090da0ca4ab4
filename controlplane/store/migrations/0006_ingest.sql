-- Where the control planes stand in the spools of data planes, and what came of the records.

-- Moved in the transaction that writes what the records say: a record counts once.
CREATE TABLE weir.spool (
    id bytea PRIMARY KEY,
    segment bigint NOT NULL,
    "offset" bigint NOT NULL,
    records bigint NOT NULL DEFAULT 0, -- taken so far
    refused bigint NOT NULL DEFAULT 0, -- of these, in weir.spool_refused
    damaged bigint NOT NULL DEFAULT 0, -- places skipped: bit rot
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Parts of a spool that were gone before they came: segments deleted at the cap.
CREATE TABLE weir.spool_gap (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spool bytea NOT NULL,
    from_segment bigint NOT NULL,
    from_offset bigint NOT NULL,
    to_segment bigint NOT NULL,
    to_offset bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Records that could not become rows, as they lay in the segment.
CREATE TABLE weir.spool_refused (
    spool bytea NOT NULL,
    segment bigint NOT NULL,
    "offset" bigint NOT NULL,
    record bytea NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (spool, segment, "offset")
);

-- What was spent ever, exact: LiteLLM's columns are doubles, and set back with each period. Kinds: all (id ''), key,
-- user, team, member (team_id::T::user_id::U), organization, end_user, tag, project.
CREATE TABLE weir.total (
    kind text NOT NULL,
    id text NOT NULL,
    spend_nusd bigint NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (kind, id)
) WITH (fillfactor = 70);

-- As before, but for rows that are nobody's news: end users are made as they are seen, without a limit of their own.
CREATE OR REPLACE FUNCTION weir.capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was text[];
    is_now text[];
BEGIN
    IF current_setting('weir.quiet', true) = 'on' THEN -- local to ingest's transaction
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        was := ARRAY(SELECT to_jsonb(OLD) ->> c FROM unnest(TG_ARGV) WITH ORDINALITY AS a(c, n) ORDER BY n);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        is_now := ARRAY(SELECT to_jsonb(NEW) ->> c FROM unnest(TG_ARGV) WITH ORDINALITY AS a(c, n) ORDER BY n);
        INSERT INTO weir.change (tbl, key, gone) VALUES (TG_TABLE_NAME, is_now, false);
    END IF;
    IF was IS DISTINCT FROM is_now AND was IS NOT NULL THEN
        INSERT INTO weir.change (tbl, key, gone) VALUES (TG_TABLE_NAME, was, true);
    END IF;
    PERFORM pg_notify('weir_change', '');
    RETURN NULL;
END $$;

-- Spend logs by day, in a database of ours: a partition weir.spend_logs_YYYYMMDD each, and one for days that have
-- none. A partition's key must be part of every unique one: so the primary key is (request_id, "startTime") there.

-- Sees to it that a day has its partition. False: it had, or spend logs are not by day. Rows of that day that lie in
-- the default partition move.
CREATE FUNCTION weir.spend_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    logs regclass := to_regclass('"LiteLLM_SpendLogs"');
    part text := 'spend_logs_' || to_char(day, 'YYYYMMDD');
BEGIN
    IF to_regclass('weir.' || part) IS NOT NULL
        OR NOT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = logs) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(7311022, 3);
    IF to_regclass('weir.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE weir.%I (LIKE %s INCLUDING DEFAULTS)', part, logs);
    EXECUTE format('ALTER TABLE weir.%I ADD CONSTRAINT day CHECK ("startTime" >= %L AND "startTime" < %L)',
                   part, day, day + 1);
    EXECUTE format('WITH late AS (DELETE FROM weir.spend_logs_default WHERE "startTime" >= %L AND "startTime" < %L'
                   ' RETURNING *) INSERT INTO weir.%I SELECT * FROM late', day, day + 1, part);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION weir.%I FOR VALUES FROM (%L) TO (%L)', logs, part, day, day + 1);
    EXECUTE format('ALTER TABLE weir.%I DROP CONSTRAINT day', part);
    RETURN true;
END $$;

-- Of today and the days to come.
CREATE FUNCTION weir.spend_partitions(days integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE weir.spend_partition((now() AT TIME ZONE 'UTC')::date + n))
    FROM generate_series(0, days) AS n
$$;

DO $$
DECLARE
    logs regclass := to_regclass('"LiteLLM_SpendLogs"');
    view record;
    views text[] := '{}';
    name text;
BEGIN
    IF logs IS NULL OR (SELECT bool_or(adopted) FROM weir.migration) THEN
        RETURN;
    END IF;
    BEGIN
        FOR view IN
            SELECT DISTINCT v.oid::regclass AS view, pg_get_viewdef(v.oid) AS body FROM pg_depend d
            JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
            WHERE d.refobjid = logs AND d.classid = 'pg_rewrite'::regclass AND v.relkind = 'v'
        LOOP
            views := views || format('CREATE VIEW %s AS %s', view.view, view.body);
            EXECUTE format('DROP VIEW %s', view.view);
        END LOOP;
        ALTER TABLE "LiteLLM_SpendLogs" RENAME TO spend_logs_plain;
        ALTER TABLE spend_logs_plain SET SCHEMA weir;
        CREATE TABLE "LiteLLM_SpendLogs" (LIKE weir.spend_logs_plain INCLUDING DEFAULTS) PARTITION BY RANGE ("startTime");
        CREATE TABLE weir.spend_logs_default PARTITION OF "LiteLLM_SpendLogs" DEFAULT;
        INSERT INTO "LiteLLM_SpendLogs" SELECT * FROM weir.spend_logs_plain;
        DROP TABLE weir.spend_logs_plain;
        ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT "LiteLLM_SpendLogs_pkey" PRIMARY KEY (request_id, "startTime");
        CREATE INDEX "LiteLLM_SpendLogs_end_user_idx" ON "LiteLLM_SpendLogs" (end_user);
        CREATE INDEX "LiteLLM_SpendLogs_session_id_idx" ON "LiteLLM_SpendLogs" (session_id);
        CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime");
        CREATE INDEX "LiteLLM_SpendLogs_startTime_request_id_idx" ON "LiteLLM_SpendLogs" ("startTime", request_id);
        PERFORM weir.spend_partition(day)
        FROM (SELECT DISTINCT "startTime"::date FROM "LiteLLM_SpendLogs") AS d (day) WHERE day > '2020-01-01';
        PERFORM weir.spend_partitions(3);
        FOREACH name IN ARRAY views LOOP
            EXECUTE name;
        END LOOP;
    EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL; -- something of somebody else hangs on it: it stays one table
    END;
    -- rows that are added to again and again stay on their page
    FOREACH name IN ARRAY ARRAY['DailyUserSpend', 'DailyTeamSpend', 'DailyOrganizationSpend', 'DailyEndUserSpend',
                                'DailyTagSpend', 'DailyAgentSpend', 'DailyGlobalSpend', 'DailyModelUsage', 'EndUserTable',
                                'TagTable', 'TeamMembership', 'VerificationToken', 'UserTable', 'TeamTable'] LOOP
        EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', 'LiteLLM_' || name);
    END LOOP;
END $$;
