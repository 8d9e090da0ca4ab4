-- Ingest has at hand what triggers would find out of the rows it writes: it says SET LOCAL weir.ingest = on, and writes the
-- entries of log rows (controlplane/ingest/entries.c) and the lines of days (controlplane/ingest/daily.c) itself.

-- Of days that rows of daily tables are written to.
CREATE FUNCTION weir.daily_note(kinds text[], dates text[]) RETURNS void LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO weir.daily_day AS d (kind, date)
    SELECT c.kind, c.date FROM (SELECT DISTINCT n.kind, n.date FROM unnest(kinds, dates) AS n (kind, date)) c
    WHERE (c.date < weir.daily_open() OR EXISTS (SELECT FROM weir.daily_day x WHERE x.kind = c.kind AND x.date = c.date))
    AND EXISTS (SELECT FROM pg_trigger WHERE tgname = 'weir_daily_added' AND tgargs = convert_to(c.kind, 'UTF8') || '\x00') -- watched
    ORDER BY 1, 2 ON CONFLICT (kind, date) DO UPDATE SET is_summed = false WHERE d.is_summed
$$;

-- After weir.log_watch() and weir.daily_watch(), which make the triggers.
CREATE FUNCTION weir.ingest_watch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT tgrelid::regclass AS rel, tgname AS name, CASE tgname WHEN 'weir_daily_changed' THEN 'UPDATE' ELSE 'INSERT' END AS event,
               CASE tgname WHEN 'weir_log_added' THEN 'added' ELSE 'changed' END AS rows,
               CASE tgname WHEN 'weir_log_added' THEN 'weir.log_added()'
               ELSE format('weir.daily_added(%L)', replace(encode(tgargs, 'escape'), '\000', '')) END AS run
        FROM pg_trigger WHERE tgname IN ('weir_log_added', 'weir_daily_added', 'weir_daily_changed') AND tgqual IS NULL
        AND tgrelid <> 'weir.log_old'::regclass
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %s REFERENCING NEW TABLE AS %I FOR EACH STATEMENT'
                       ' WHEN (current_setting(''weir.ingest'', true) IS DISTINCT FROM ''on'') EXECUTE FUNCTION %s',
                       t.name, t.event, t.rel, t.rows, t.run);
    END LOOP;
END $$;

SELECT weir.ingest_watch();
