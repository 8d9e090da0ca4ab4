-- What the data planes are told: revisions of what weir.change captured.

-- A revision is (epoch, n). It holds every change that its snapshot saw and that of the one before did not: so a late
-- commit with a low id is not skipped, and a long transaction elsewhere delays nobody but itself.
CREATE TABLE weir.revision (
    epoch bigint NOT NULL,
    n bigint NOT NULL,
    seen pg_snapshot NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (epoch, n)
);

-- The epoch in force, and the database it was begun on.
CREATE TABLE weir.epoch (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    origin text NOT NULL
);

CREATE INDEX change_xid ON weir.change (xid);

-- Another one after a restore: a new server, database or timeline.
CREATE FUNCTION weir.origin() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_control_system()) || ':' ||
           (SELECT oid FROM pg_database WHERE datname = current_database()) || ':' ||
           left(pg_walfile_name(pg_current_wal_lsn()), 8);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR object_not_in_prerequisite_state THEN
    RETURN (SELECT oid FROM pg_database WHERE datname = current_database())::text;
END $$;

-- The newest revision, made when something changed since the last one. Whoever calls knows of a revision (0, 0: of none):
-- one above the newest means that the database came from a backup, and a new epoch begins.
CREATE FUNCTION weir.advance(known_epoch bigint, known_n bigint, OUT epoch bigint, OUT n bigint) LANGUAGE plpgsql AS $$
DECLARE
    here text := weir.origin();
    last weir.revision;
BEGIN
    FOR i IN 1..2 LOOP
        SELECT r.* INTO last FROM weir.epoch e JOIN weir.revision r ON r.epoch = e.epoch
        WHERE e.origin = here ORDER BY r.n DESC LIMIT 1;
        IF last.n IS NOT NULL AND (known_epoch <> last.epoch OR known_n <= last.n) AND NOT EXISTS (
            SELECT FROM weir.change c WHERE c.xid >= pg_snapshot_xmin(last.seen)
            AND NOT pg_visible_in_snapshot(c.xid, last.seen))
        THEN
            epoch := last.epoch;
            n := last.n;
            RETURN;
        END IF;
        IF i = 1 THEN -- look again once nobody else assigns
            PERFORM pg_advisory_xact_lock(7311022, 2);
        END IF;
    END LOOP;
    IF last.n IS NULL OR (known_epoch = last.epoch AND known_n > last.n) THEN
        epoch := greatest((SELECT e.epoch FROM weir.epoch e) + 1, (extract(epoch FROM clock_timestamp()) * 1e6)::bigint);
        n := 1;
        DELETE FROM weir.change; -- everything comes again, and their transactions may be another server's
        INSERT INTO weir.epoch (epoch, origin) VALUES (epoch, here)
        ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, origin = excluded.origin;
        DELETE FROM weir.revision;
    ELSE
        epoch := last.epoch;
        n := last.n + 1;
    END IF;
    INSERT INTO weir.revision (epoch, n, seen) VALUES (epoch, n, pg_current_snapshot());
END $$;

-- Forgets all but the newest revisions, and the changes that they need not tell of.
CREATE FUNCTION weir.prune(keep bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    oldest weir.revision;
    gone bigint;
BEGIN
    DELETE FROM weir.revision r USING weir.epoch e WHERE r.epoch <> e.epoch
    OR r.n <= (SELECT max(x.n) FROM weir.revision x WHERE x.epoch = e.epoch) - keep;
    SELECT r.* INTO oldest FROM weir.revision r JOIN weir.epoch e ON e.epoch = r.epoch ORDER BY r.n LIMIT 1;
    DELETE FROM weir.change c WHERE c.xid < pg_snapshot_xmax(oldest.seen)
    AND pg_visible_in_snapshot(c.xid, oldest.seen);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Tables whose rows data planes know by something else than their primary key.
CREATE TABLE weir.known_by (
    tbl text PRIMARY KEY,
    columns text[] NOT NULL
);
INSERT INTO weir.known_by VALUES
    ('LiteLLM_DeprecatedVerificationToken', '{token}'),
    ('LiteLLM_CredentialsTable', '{credential_name}');

-- As before, but for weir.known_by.
CREATE OR REPLACE FUNCTION weir.watch(space text, tbl text, ignored text[]) RETURNS boolean LANGUAGE plpgsql AS $$
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
    keys := coalesce((SELECT k.columns FROM weir.known_by k WHERE k.tbl = watch.tbl),
                     ARRAY(SELECT a.attname::text FROM pg_index i
                           CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, n)
                           JOIN pg_attribute a ON a.attrelid = rel AND a.attnum = k.attnum
                           WHERE i.indrelid = rel AND i.indisprimary ORDER BY n));
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

-- The authority that signs the certificates of both planes. Its key is sealed by the salt key.
CREATE TABLE weir.authority (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    certificate text NOT NULL,
    sealed_key text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who may join from another machine. The token itself is told once and not kept.
CREATE TABLE weir."join" (
    id text PRIMARY KEY,
    hash text NOT NULL UNIQUE, -- hex SHA-256 of the token
    description text,
    addresses text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE TRIGGER weir_changed AFTER INSERT OR DELETE OR UPDATE ON weir."join" FOR EACH ROW
EXECUTE FUNCTION weir.capture('id');
