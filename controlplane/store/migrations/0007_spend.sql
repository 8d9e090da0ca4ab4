-- Spend on its way to the data planes, periods of budgets, and alerts.

-- Whose spend was written, whoever wrote it: in the transaction that did, one row for up to a thousand of a table.
-- Read by each control plane (publish/totals.c), and kept for minutes.
CREATE TABLE weir.spent (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tbl text NOT NULL,
    key1 text[] NOT NULL,
    key2 text[] NOT NULL, -- as many; none where the key is one column
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX spent_xid ON weir.spent (xid);

-- After each UPDATE; the arguments are the one or two columns of the key.
CREATE FUNCTION weir.note_spent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('INSERT INTO weir.spent (tbl, key1, key2) SELECT %L, array_agg(r.k1), %s FROM (SELECT n.%I AS k1, %s'
                   ' row_number() OVER () / 1000 AS part FROM now_rows n) AS r GROUP BY r.part', TG_TABLE_NAME,
                   CASE WHEN TG_NARGS > 1 THEN 'array_agg(r.k2)' ELSE '''{}''::text[]' END, TG_ARGV[0],
                   CASE WHEN TG_NARGS > 1 THEN format('n.%I AS k2,', TG_ARGV[1]) END);
    RETURN NULL;
END $$;

-- Sees to it that of a table with a column `spend` it is noted whose was written; as weir.watch().
CREATE FUNCTION weir.watch_spend(space text, tbl text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    rel regclass := to_regclass(format('%I.%I', space, tbl));
    keys text;
    mark CONSTANT text := 'weir 1';
BEGIN
    IF rel IS NULL OR NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = rel AND attname = 'spend'
                                  AND NOT attisdropped)
        OR (SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgrelid = rel
            AND tgname = 'weir_spent') = mark
    THEN
        RETURN false;
    END IF;
    keys := (SELECT string_agg(quote_literal(a.attname), ', ' ORDER BY k.n) FROM pg_index i
             CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
             JOIN pg_attribute a ON a.attrelid = rel AND a.attnum = k.attnum
             WHERE i.indrelid = rel AND i.indisprimary AND k.n <= 2);
    EXECUTE format('DROP TRIGGER IF EXISTS weir_spent ON %s', rel);
    EXECUTE format('CREATE TRIGGER weir_spent AFTER UPDATE ON %s REFERENCING NEW TABLE AS now_rows FOR EACH STATEMENT'
                   ' EXECUTE FUNCTION weir.note_spent(%s)', rel, keys);
    EXECUTE format('COMMENT ON TRIGGER weir_spent ON %s IS %L', rel, mark);
    RETURN true;
END $$;

-- ---- periods ----

-- When a budget of that duration next begins anew after `at` (both UTC), as LiteLLM has it: by the calendar of `zone`,
-- days, weeks and months at `of_day` there. NULL: never, for it lasts no time.
CREATE FUNCTION weir.next_reset(duration text, at timestamp, zone text, of_day time) RETURNS timestamp
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part text[] := regexp_match(CASE lower(btrim(duration)) WHEN 'hourly' THEN '1h' WHEN 'daily' THEN '24h'
        WHEN 'weekly' THEN '7d' WHEN 'monthly' THEN '30d' ELSE duration END, '^(\d{1,9})(mo|[smhdw])');
    n integer := part[1]::integer;
    here timestamp := at AT TIME ZONE 'UTC' AT TIME ZONE zone;
    day timestamp := date_trunc('day', here);
    ends timestamp;
BEGIN
    IF n = 0 THEN
        RETURN NULL;
    END IF;
    IF part[2] = 'w' THEN
        part[2] := 'd';
        n := n * 7;
    END IF;
    IF part IS NULL THEN
        ends := day + interval '1 day';
    ELSIF part[2] = 'mo' OR (part[2] = 'd' AND n = 30) THEN
        ends := date_trunc('month', here) + of_day;
        IF ends <= here THEN
            ends := date_trunc('month', here) + interval '1 month' + of_day;
        END IF;
    ELSIF part[2] = 'd' AND n = 1 THEN
        ends := day + of_day;
        IF ends <= here THEN
            ends := ends + interval '1 day';
        END IF;
    ELSIF part[2] = 'd' AND n = 7 THEN
        ends := day + of_day + make_interval(days => (8 - extract(isodow FROM here)::integer) % 7);
        IF ends <= here THEN
            ends := ends + interval '7 days';
        END IF;
    ELSIF part[2] = 'd' THEN
        ends := day + of_day + make_interval(days => n);
    ELSIF part[2] = 'h' THEN
        n := extract(hour FROM here)::integer / n * n + n;
        ends := CASE WHEN n < 24 THEN day ELSE day + interval '1 day' END + make_interval(hours => n % 24);
    ELSIF part[2] = 'm' THEN
        n := extract(minute FROM here)::integer / n * n + n;
        ends := date_trunc('hour', here) + make_interval(mins => n);
    ELSE
        n := floor(extract(second FROM here))::integer / n * n + n;
        ends := date_trunc('minute', here) + make_interval(secs => n);
    END IF;
    ends := ends AT TIME ZONE zone AT TIME ZONE 'UTC';
    IF ends <= at THEN -- an hour that comes twice: behind its second time
        ends := ends + interval '1 hour';
    END IF;
    RETURN ends;
EXCEPTION WHEN data_exception THEN -- beyond all times: one such row is nobody else's end
    RETURN NULL;
END $$;

-- `zone` if it is one, else UTC, as LiteLLM does.
CREATE FUNCTION weir.zone(zone text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM now() AT TIME ZONE zone;
    RETURN zone;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'UTC';
END $$;

-- Begins the next period of rows of `tbl` whose own is over at `at`, `most` at a time: how many. What was spent since it
-- ended stays, if that is not long ago: `log` is the column of the spend logs that names them. `due` is the condition, of
-- t and $1.
CREATE FUNCTION weir.reset_rows(tbl text, key text, log text, due text, at timestamp, zone text, of_day time,
                                most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    done bigint;
BEGIN
    IF to_regclass(quote_ident(tbl)) IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I t WHERE %s AND weir.next_reset(t.budget_duration, $1, $2, $3)'
                   ' > $1 ORDER BY t.%I LIMIT $4 FOR UPDATE) l', tbl, due, key)
    INTO done USING at, zone, of_day, most;
    IF done = 0 THEN
        RETURN 0;
    END IF;
    -- a statement later: it sees what whoever held the rows has written
    EXECUTE format($s$
        WITH due AS MATERIALIZED (
            SELECT t.%2$I AS id, t.budget_reset_at AS was,
                   weir.next_reset(t.budget_duration, $1, $2, $3) AS next
            FROM %1$I t WHERE %3$s AND weir.next_reset(t.budget_duration, $1, $2, $3) > $1
            ORDER BY t.%2$I LIMIT $4),
        late AS (SELECT min(was) AS since FROM due WHERE was > $1 - interval '1 hour'),
        spent AS (
            SELECT d.id, sum(l.spend) AS spend FROM "LiteLLM_SpendLogs" l JOIN due d ON l.%4$I = d.id
            AND l."endTime" >= d.was AND d.was > $1 - interval '1 hour'
            WHERE l."startTime" >= (SELECT since FROM late) - interval '1 minute' GROUP BY d.id)
        UPDATE %1$I t SET spend = coalesce(round(s.spend * 1e9) / 1e9, 0), budget_reset_at = d.next
        FROM due d LEFT JOIN spent s ON s.id = d.id WHERE t.%2$I = d.id
        $s$, tbl, key, due, log)
    USING at, zone, of_day, most;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END $$;

-- The same of rows whose budget is one of `budgets`, over since `was`. `log` joins rows l of the spend logs.
CREATE FUNCTION weir.reset_linked(tbl text, key text, linked text, log text, budgets text[], was timestamp[],
                                  at timestamp) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    done bigint;
BEGIN
    IF to_regclass(quote_ident(tbl)) IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I t JOIN unnest($1, $2) AS d(budget_id, was) ON %s'
                   ' WHERE t.spend <> 0 ORDER BY %s FOR UPDATE OF t) l', tbl, linked, key)
    INTO done USING budgets, was;
    IF done = 0 THEN
        RETURN 0;
    END IF;
    EXECUTE format($s$
        WITH due AS MATERIALIZED (
            SELECT t.*, d.was FROM %1$I t JOIN unnest($1, $2) AS d(budget_id, was) ON %3$s WHERE t.spend <> 0),
        late AS (SELECT min(was) AS since FROM due WHERE was > $3 - interval '1 hour'),
        spent AS (
            SELECT %2$s, sum(l.spend) AS since FROM "LiteLLM_SpendLogs" l JOIN due t ON l."endTime" >= t.was
            AND t.was > $3 - interval '1 hour' AND %4$s
            WHERE l."startTime" >= (SELECT since FROM late) - interval '1 minute' GROUP BY %2$s)
        UPDATE %1$I u SET spend = coalesce(round(s.since * 1e9) / 1e9, 0)
        FROM due t LEFT JOIN spent s USING (%5$s) WHERE (%6$s) = (%2$s)
        $s$, tbl, key, linked, log, replace(key, 't.', ''), replace(key, 't.', 'u.'))
    USING budgets, was, at;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END $$;

-- ---- alerts ----

-- Raised once for each period of a budget; of one without a period, again once its spend was set back.
CREATE TABLE weir.alert (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event text NOT NULL,
    kind text NOT NULL,
    entity text NOT NULL,
    period timestamp NOT NULL, -- its end
    body json NOT NULL,        -- as LiteLLM's webhook has it
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (event, kind, entity, period)
);

-- Whom it is sent to, until it was or there were tries enough.
CREATE TABLE weir.alert_send (
    alert bigint NOT NULL REFERENCES weir.alert ON DELETE CASCADE,
    channel text NOT NULL,
    receiver text NOT NULL, -- of an e-mail: its address
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    error text,
    PRIMARY KEY (alert, channel, receiver)
);
CREATE INDEX alert_due ON weir.alert_send (due_at) WHERE done_at IS NULL;

-- Addresses in a list, or in a text with commas between.
CREATE FUNCTION weir.addresses(v jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT a), '{}') FROM (
        SELECT btrim(e) FROM jsonb_array_elements_text(CASE jsonb_typeof(v) WHEN 'array' THEN v ELSE '[]' END) e
        UNION ALL SELECT btrim(e) FROM regexp_split_to_table(CASE jsonb_typeof(v) WHEN 'string' THEN v #>> '{}' ELSE ''
                                                             END, ',') e) AS x(a)
    WHERE a ~ '^[^\s<>,;"@[:cntrl:]]{1,128}@[^\s<>,;"@[:cntrl:]]{1,250}$'
$$;

-- Alerts of soft budgets that keys and teams reached, of those whose spend was written lately: how many. `channels` are
-- sent all of them; `mails`: those that name receivers go to these, and with `to_users` to a key's user.
CREATE FUNCTION weir.raise_alerts(channels text[], mails boolean, to_users boolean) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    today timestamp := now() AT TIME ZONE 'UTC';
    raised bigint;
BEGIN
    DELETE FROM weir.alert a USING "LiteLLM_VerificationToken" t JOIN "LiteLLM_BudgetTable" b ON b.budget_id = t.budget_id
    WHERE a.kind = 'key' AND a.period = 'infinity' AND t.token = a.entity AND t.spend < b.soft_budget;
    DELETE FROM weir.alert a USING "LiteLLM_TeamTable" t
    WHERE a.kind = 'team' AND a.period = 'infinity' AND t.team_id = a.entity AND t.spend < t.soft_budget;
    WITH recent AS MATERIALIZED (
        SELECT DISTINCT s.tbl, k.id FROM weir.spent s, unnest(s.key1) AS k(id)
        WHERE s.at > now() - interval '1 minute' AND s.tbl IN ('LiteLLM_VerificationToken', 'LiteLLM_TeamTable')),
    reached AS (
        SELECT 'key' AS kind, t.token AS entity, coalesce(t.budget_reset_at, b.budget_reset_at, 'infinity') AS period,
               t.spend, t.max_budget, b.soft_budget, t.token, t.user_id, t.team_id, g.team_alias, t.organization_id,
               u.user_email, t.key_alias, CASE WHEN to_users THEN weir.addresses(to_jsonb(u.user_email)) ELSE '{}' END
               AS receivers
        FROM recent r JOIN "LiteLLM_VerificationToken" t ON t.token = r.id
        JOIN "LiteLLM_BudgetTable" b ON b.budget_id = t.budget_id AND b.soft_budget > 0 AND t.spend >= b.soft_budget
        LEFT JOIN "LiteLLM_UserTable" u ON u.user_id = t.user_id LEFT JOIN "LiteLLM_TeamTable" g ON g.team_id = t.team_id
        WHERE r.tbl = 'LiteLLM_VerificationToken'
        UNION ALL
        SELECT 'team', t.team_id, coalesce(t.budget_reset_at, 'infinity'), t.spend, t.max_budget, t.soft_budget, NULL, NULL,
               t.team_id, t.team_alias, t.organization_id, NULL, NULL, m.receivers
        FROM recent r JOIN "LiteLLM_TeamTable" t ON t.team_id = r.id AND t.spend >= t.soft_budget
        CROSS JOIN weir.addresses(t.metadata -> 'soft_budget_alerting_emails') AS m(receivers)
        WHERE r.tbl = 'LiteLLM_TeamTable' AND m.receivers <> '{}'), -- without receivers LiteLLM says nothing of teams
    made AS (
        INSERT INTO weir.alert (event, kind, entity, period, body)
        SELECT 'soft_budget_crossed', c.kind, c.entity, c.period, json_build_object(
            'spend', c.spend, 'max_budget', c.max_budget, 'soft_budget', c.soft_budget, 'token', c.token,
            'customer_id', NULL, 'user_id', c.user_id, 'team_id', c.team_id, 'team_alias', c.team_alias,
            'organization_id', c.organization_id, 'user_email', c.user_email, 'key_alias', c.key_alias,
            'projected_exceeded_date', NULL, 'projected_spend', NULL, 'event_group', c.kind,
            'alert_emails', CASE WHEN c.kind = 'team' THEN to_json(c.receivers) END, 'max_budget_alert_emails', NULL,
            'event', 'soft_budget_crossed',
            'event_message', format('Soft Budget Crossed: Total Soft Budget:`%s`', c.soft_budget))
        FROM reached c WHERE c.period > today ON CONFLICT DO NOTHING RETURNING id, kind, entity)
    INSERT INTO weir.alert_send (alert, channel, receiver)
    SELECT m.id, c.channel, '' FROM made m, unnest(channels) AS c(channel)
    UNION ALL SELECT m.id, 'email', a.address FROM made m JOIN reached r ON r.kind = m.kind AND r.entity = m.entity,
    unnest(r.receivers) AS a(address) WHERE mails;
    GET DIAGNOSTICS raised = ROW_COUNT;
    RETURN raised;
END $$;
