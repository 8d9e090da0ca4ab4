-- Daily tables without a trigger that is handed a statement's rows: the server would copy each row that ingest writes, to a
-- trigger that it skips (0016_ingest.sql). Triggers of rows remember the days a statement writes to, one of the statement
-- notes them when it ends, all at once and in their order as before.

-- Days are remembered in a setting of the transaction, weir.daily_KIND, which a savepoint takes back together with the rows:
-- lines, each with one before and behind it. What has no place there is noted at once.
CREATE FUNCTION weir.daily_written() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    setting text := 'weir.daily_' || TG_ARGV[0];
    days text := coalesce(nullif(current_setting(setting, true), ''), E'\n');
BEGIN
    IF strpos(days, E'\n' || NEW.date || E'\n') > 0 THEN
        RETURN NULL;
    ELSIF length(days) > 10000 OR strpos(NEW.date, E'\n') > 0 THEN -- thousand days; or no day at all
        PERFORM weir.daily_note(ARRAY[TG_ARGV[0]], ARRAY[NEW.date]);
    ELSE
        PERFORM set_config(setting, days || NEW.date || E'\n', true);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION weir.daily_noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    setting text := 'weir.daily_' || TG_ARGV[0];
    days text := current_setting(setting, true);
BEGIN
    IF days <> '' THEN
        PERFORM set_config(setting, '', true);
        INSERT INTO weir.daily_day AS d (kind, date)
        SELECT TG_ARGV[0], c.date FROM regexp_split_to_table(substr(days, 2, length(days) - 2), E'\n') AS c (date)
        WHERE c.date < weir.daily_open() OR EXISTS (SELECT FROM weir.daily_day x WHERE x.kind = TG_ARGV[0] AND x.date = c.date)
        ORDER BY 2 ON CONFLICT (kind, date) DO UPDATE SET is_summed = false WHERE d.is_summed;
    END IF;
    RETURN NULL;
END $$;

-- As before; triggers of daily tables become those of above.
CREATE OR REPLACE FUNCTION weir.ingest_watch() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    others CONSTANT text := 'WHEN (current_setting(''weir.ingest'', true) IS DISTINCT FROM ''on'')';
    t record;
BEGIN
    FOR t IN SELECT tgrelid::regclass AS rel FROM pg_trigger
             WHERE tgname = 'weir_log_added' AND tgqual IS NULL AND tgrelid <> 'weir.log_old'::regclass
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER weir_log_added AFTER INSERT ON %s REFERENCING NEW TABLE AS added'
                       ' FOR EACH STATEMENT %s EXECUTE FUNCTION weir.log_added()', t.rel, others);
    END LOOP;
    FOR t IN SELECT tgrelid::regclass AS rel, replace(encode(tgargs, 'escape'), '\000', '') AS kind FROM pg_trigger
             WHERE tgname = 'weir_daily_added' AND tgnewtable IS NOT NULL
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER weir_daily_added AFTER INSERT ON %s FOR EACH ROW %s'
                       ' EXECUTE FUNCTION weir.daily_written(%L)', t.rel, others, t.kind);
        EXECUTE format('CREATE OR REPLACE TRIGGER weir_daily_changed AFTER UPDATE ON %s FOR EACH ROW %s'
                       ' EXECUTE FUNCTION weir.daily_written(%L)', t.rel, others, t.kind);
        EXECUTE format('CREATE OR REPLACE TRIGGER weir_daily_written AFTER INSERT OR UPDATE ON %s FOR EACH STATEMENT %s'
                       ' EXECUTE FUNCTION weir.daily_noted(%L)', t.rel, others, t.kind);
    END LOOP;
END $$;

SELECT weir.ingest_watch();
