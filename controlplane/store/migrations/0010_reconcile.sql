-- What is kept of the rows of spend, and what was found not to agree.

-- Rows of LiteLLM_SpendLogs that began before `kept_from` are gone, or may be.
CREATE TABLE weir.retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    kept_from timestamp NOT NULL,
    done_at timestamptz -- the last time nothing older was left
);

-- Drops the oldest partition of a table that ends at `before` or earlier; its name, or NULL: there is none. A busy
-- table is left for the next time, so that nobody queues behind us.
CREATE FUNCTION weir.drop_partition(tbl regclass, before timestamp) RETURNS text LANGUAGE plpgsql
SET lock_timeout = '2s' AS $$
DECLARE
    part text;
BEGIN
    SELECT p.name INTO part FROM (
        SELECT c.oid::regclass::text AS name,
               substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamp AS ends
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = tbl) p
    WHERE p.ends <= before ORDER BY p.ends LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE %s', part);
    END IF;
    RETURN part;
END $$;

-- Days whose rows were compared with the daily tables. `at` is when it began.
CREATE TABLE weir.checked_day (
    day text PRIMARY KEY, -- 2026-01-31
    at timestamptz NOT NULL,
    rows bigint NOT NULL
);

-- What the daily tables held before weir.total was kept: where LiteLLM had made the database.
CREATE TABLE weir.total_before (
    kind text NOT NULL,
    id text NOT NULL,
    spend_nusd numeric NOT NULL,
    requests numeric NOT NULL,
    PRIMARY KEY (kind, id)
);
DO $$
DECLARE
    d record;
BEGIN
    FOR d IN SELECT * FROM (VALUES ('key', 'UserSpend', 'api_key'),
        ('user', 'UserSpend', 'user_id'), ('team', 'TeamSpend', 'team_id'),
        ('organization', 'OrganizationSpend', 'organization_id'), ('end_user', 'EndUserSpend', 'end_user_id'),
        ('tag', 'TagSpend', 'tag')) AS v (kind, tbl, id)
        WHERE to_regclass(format('%I', 'LiteLLM_Daily' || tbl)) IS NOT NULL AND to_regclass('weir.total') IS NOT NULL
    LOOP
        EXECUTE format('INSERT INTO weir.total_before SELECT d.kind, d.id, d.nusd - coalesce(t.spend_nusd, 0),'
            ' d.requests - coalesce(t.requests, 0) FROM (SELECT %L AS kind, %s AS id,'
            ' sum((least(greatest(spend, -9e9), 9e9) * 1e9)::bigint) AS nusd, sum(api_requests) AS requests FROM %I'
            ' GROUP BY 2) AS d LEFT JOIN weir.total t ON t.kind = d.kind AND t.id = d.id WHERE d.id <> %L'
            ' AND (d.nusd <> coalesce(t.spend_nusd, 0) OR d.requests <> coalesce(t.requests, 0))',
            d.kind, d.id, 'LiteLLM_Daily' || d.tbl, '');
    END LOOP;
END $$;

-- What did not agree, once each; nothing of it is put right by itself. `day` is '' for what is of no day.
CREATE TABLE weir.difference (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "check" text NOT NULL,
    day text NOT NULL,
    kind text NOT NULL,
    entity text NOT NULL,
    field text NOT NULL,
    expected numeric NOT NULL,
    found numeric NOT NULL,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    gone_at timestamptz, -- looked for again, and not there any more
    UNIQUE ("check", day, kind, entity, field)
);
