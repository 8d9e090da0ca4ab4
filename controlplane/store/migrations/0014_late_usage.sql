-- Spend belongs to the period in which the exchange ended, whenever its record comes.

-- When the period that ends at `ends` (UTC) began at the latest: the inverse of weir.next_reset(). NULL: it has no end.
CREATE FUNCTION weir.period_began(duration text, ends timestamp, zone text) RETURNS timestamp
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part text[] := regexp_match(CASE lower(btrim(duration)) WHEN 'hourly' THEN '1h' WHEN 'daily' THEN '1d'
        WHEN 'weekly' THEN '7d' WHEN 'monthly' THEN '30d' ELSE duration END, '^(\d{1,9})(mo|[smhdw])');
    n integer := part[1]::integer;
    here timestamp;
BEGIN
    here := ends AT TIME ZONE 'UTC' AT TIME ZONE zone;
    IF n = 0 OR NOT isfinite(ends) THEN
        RETURN NULL;
    ELSIF part[2] = 's' THEN
        RETURN ends - make_interval(secs => n);
    ELSIF part[2] = 'm' THEN
        RETURN ends - make_interval(mins => n);
    ELSIF part[2] = 'h' AND n < 24 THEN -- of a day that n does not divide the first one is shorter
        RETURN ends - make_interval(hours => CASE WHEN extract(hour FROM here) = n
                                                  THEN n - ((23 / n + 1) * n) % 24 ELSE n END);
    END IF;
    RETURN (here - CASE WHEN part[2] = 'mo' OR (part[2] = 'd' AND n = 30) THEN interval '1 month'
                        WHEN part[2] = 'd' THEN make_interval(days => n)
                        WHEN part[2] = 'w' THEN make_interval(days => 7 * n)
                        ELSE interval '1 day' END) AT TIME ZONE zone AT TIME ZONE 'UTC';
EXCEPTION WHEN data_exception THEN -- before all times: usage is counted whatever somebody wrote there
    RETURN NULL;
END $$;

-- When a job last began all periods that were due. What ended after a period is counted once that period is over
-- (ingest/periods.c): so it need not be told from what was spent before.
CREATE TABLE weir.periods_begun (
    job text PRIMARY KEY,
    at timestamptz NOT NULL
);

-- Begins the next period of budget rows, and with them of everybody whose budget they are: how many rows. Of end users
-- without a budget `standard` is theirs.
CREATE OR REPLACE FUNCTION weir.reset_budgets(at timestamp, zone text, of_day time, most integer, standard text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ids text[];
    was timestamp[];
BEGIN
    SELECT array_agg(b.budget_id), array_agg(coalesce(b.budget_reset_at, at)) INTO ids, was FROM (
        SELECT t.budget_id, t.budget_reset_at FROM "LiteLLM_BudgetTable" t WHERE (t.budget_reset_at <= at
        OR (t.budget_reset_at IS NULL AND t.budget_duration IS NOT NULL))
        AND weir.next_reset(t.budget_duration, at, zone, of_day) > at ORDER BY t.budget_id LIMIT most FOR UPDATE) b;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM weir.reset_linked('LiteLLM_OrganizationTable', 't.organization_id', 't.budget_id = d.budget_id',
                              'l.organization_id = t.organization_id', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_TeamMembership', 't.user_id, t.team_id',
        'd.budget_id = coalesce(t.budget_id, (SELECT g.metadata ->> ''team_member_budget_id'' FROM "LiteLLM_TeamTable" g'
        ' WHERE g.team_id = t.team_id))', 'l.team_id = t.team_id AND l."user" = t.user_id', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_VerificationToken', 't.token', -- with one of its own it is not the budget's
        't.budget_id = d.budget_id AND t.budget_duration IS NULL', 'l.api_key = t.token', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_ProjectTable', 't.project_id', 't.budget_id = d.budget_id',
                              'l.metadata ->> ''user_api_key_project_id'' = t.project_id', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_TagTable', 't.tag_name', 't.budget_id = d.budget_id',
                              'l.request_tags ? t.tag_name', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_ModelAccessGroupBudgetTable', 't.access_group_name', 't.budget_id = d.budget_id',
                              'l.metadata #> ''{weir,budget_groups}'' ? t.access_group_name', ids, was, at);
    PERFORM weir.reset_linked('LiteLLM_EndUserTable', 't.user_id',
                              format('d.budget_id = coalesce(t.budget_id, %L)', standard), 'l.end_user = t.user_id',
                              ids, was, at);
    UPDATE "LiteLLM_BudgetTable" t SET budget_reset_at = weir.next_reset(t.budget_duration, at, zone, of_day)
    WHERE t.budget_id = ANY (ids);
    RETURN cardinality(ids);
END $$;

-- What the rows of a day said when it was checked (weir.checked_day), of those who have no daily table: ids are those of
-- weir.total. Dollars of members of teams and organizations, and of projects, are compared by it once the rows are gone.
CREATE TABLE weir.checked_sum (
    day text NOT NULL, -- 2026-01-31
    kind text NOT NULL,
    id text NOT NULL,
    spend_nusd numeric NOT NULL,
    PRIMARY KEY (day, kind, id)
);

-- Days that were checked before there was that: until each has it, nobody is compared by it.
ALTER TABLE weir.checked_day ADD COLUMN is_summed boolean NOT NULL DEFAULT false;

-- The same of any day, now.
CREATE FUNCTION weir.sums_of_day(of text) RETURNS TABLE (kind text, id text, spend_nusd numeric)
LANGUAGE plpgsql STABLE AS $$ -- an older LiteLLM's rows lack columns: it is not asked there
BEGIN
    RETURN QUERY SELECT e.kind, e.id, sum(l.nusd) FROM ( -- few of many rows, before each of them becomes three
        SELECT t.team_id, t."user", t.organization_id, t.metadata ->> 'user_api_key_project_id' AS project,
               sum((least(greatest(t.spend, -9e9), 9e9) * 1e9)::bigint) AS nusd
        FROM "LiteLLM_SpendLogs" t WHERE t."startTime" >= of::date AND t."startTime" < of::date + 1 GROUP BY 1, 2, 3, 4) l
    CROSS JOIN LATERAL (VALUES
        ('member', CASE WHEN l.team_id <> '' AND l."user" <> ''
                   THEN 'team_id::' || l.team_id || '::user_id::' || l."user" END),
        ('organization_member', CASE WHEN l.organization_id <> '' AND l."user" <> ''
                                THEN 'organization_id::' || l.organization_id || '::user_id::' || l."user" END),
        ('project', nullif(l.project, ''))) AS e (kind, id)
    WHERE e.id IS NOT NULL GROUP BY 1, 2;
END $$;
