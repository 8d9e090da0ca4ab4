-- Our own tables live here: the other schema is LiteLLM's, whose tools may drop what they do not know.
-- The schema itself and its table of migrations exist already (store/migrate.c).

-- What changed, written where it is committed. A reader takes rows older than the oldest running transaction only, so
-- that a late commit with a low id is not skipped.
CREATE TABLE weir.change (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    tbl text NOT NULL,
    key text[] NOT NULL,
    gone boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row into weir.change for each key that a row had and has. The arguments are the columns of the key. Whoever
-- writes the table need not know this schema.
CREATE FUNCTION weir.capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was text[];
    is_now text[];
BEGIN
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

-- Sees to it that changes of a table are captured, those of `ignored` columns aside; again after columns came or went.
-- False: there is no such table, or all is as it should be.
CREATE FUNCTION weir.watch(space text, tbl text, ignored text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    rel regclass := to_regclass(format('%I.%I', space, tbl));
    cols text[];
    keys text[];
    mark text;
BEGIN
    IF rel IS NULL THEN
        RETURN false;
    END IF;
    cols := ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = rel AND attnum > 0 AND NOT attisdropped
                  AND attname <> ALL (ignored) ORDER BY attname);
    keys := ARRAY(SELECT a.attname::text FROM pg_index i
                  CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
                  JOIN pg_attribute a ON a.attrelid = rel AND a.attnum = k.attnum
                  WHERE i.indrelid = rel AND i.indisprimary ORDER BY n);
    mark := 'weir 1 ' || md5(cols::text || keys::text);
    IF (SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgrelid = rel AND tgname = 'weir_changed') = mark
    THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TRIGGER IF EXISTS weir_changed ON %s', rel);
    EXECUTE format('DROP TRIGGER IF EXISTS weir_made_or_gone ON %s', rel);
    EXECUTE format('CREATE TRIGGER weir_made_or_gone AFTER INSERT OR DELETE ON %s FOR EACH ROW'
                   ' EXECUTE FUNCTION weir.capture(%s)', rel,
                   (SELECT string_agg(quote_literal(k), ', ') FROM unnest(keys) AS k));
    EXECUTE format('CREATE TRIGGER weir_changed AFTER UPDATE OF %s ON %s FOR EACH ROW WHEN (ROW(%s) IS DISTINCT FROM'
                   ' ROW(%s)) EXECUTE FUNCTION weir.capture(%s)',
                   (SELECT string_agg(quote_ident(c), ', ') FROM unnest(cols) AS c), rel,
                   (SELECT string_agg('OLD.' || quote_ident(c), ', ') FROM unnest(cols) AS c),
                   (SELECT string_agg('NEW.' || quote_ident(c), ', ') FROM unnest(cols) AS c),
                   (SELECT string_agg(quote_literal(k), ', ') FROM unnest(keys) AS k));
    EXECUTE format('COMMENT ON TRIGGER weir_changed ON %s IS %L', rel, mark);
    RETURN true;
END $$;

-- What an entry of LiteLLM_AuditLog does not say: from where a change came. One row each, in the same transaction.
CREATE TABLE weir.audit_origin (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    audit_id text NOT NULL UNIQUE,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ip text NOT NULL,
    route text NOT NULL,
    request_id text NOT NULL
);
