-- Publishing after a restore, what rows are others' parts, and data planes of all control planes.

-- A control plane that starts leaves a gap before the next revision. So the numbers of a restored database do not run
-- through those that were lost with the one before: who has a lost one is seen to, however many were made since.
ALTER TABLE weir.epoch ADD COLUMN skip bigint NOT NULL DEFAULT 0;

CREATE OR REPLACE FUNCTION weir.advance(known_epoch bigint, known_n bigint, OUT epoch bigint, OUT n bigint) LANGUAGE plpgsql AS $$
DECLARE
    here text := weir.origin();
    last weir.revision;
    gap bigint;
BEGIN
    IF known_epoch = 0 THEN
        UPDATE weir.epoch SET skip = (1::bigint << 32) + floor(random() * (1::bigint << 32))::bigint;
    END IF;
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
        ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, origin = excluded.origin, skip = 0;
        DELETE FROM weir.revision;
    ELSE
        SELECT e.skip INTO gap FROM weir.epoch e;
        epoch := last.epoch;
        n := last.n + 1 + gap;
        IF gap > 0 THEN
            UPDATE weir.epoch SET skip = 0;
        END IF;
    END IF;
    INSERT INTO weir.revision (epoch, n, seen) VALUES (epoch, n, pg_current_snapshot());
END $$;

-- As before, but it counts revisions, which have gaps.
CREATE OR REPLACE FUNCTION weir.prune(keep bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    oldest weir.revision;
    gone bigint;
BEGIN
    DELETE FROM weir.revision r USING weir.epoch e WHERE r.epoch <> e.epoch
    OR r.n <= (SELECT x.n FROM weir.revision x WHERE x.epoch = e.epoch ORDER BY x.n DESC OFFSET keep LIMIT 1);
    SELECT r.* INTO oldest FROM weir.revision r JOIN weir.epoch e ON e.epoch = r.epoch ORDER BY r.n LIMIT 1;
    DELETE FROM weir.change c WHERE c.xid < pg_snapshot_xmax(oldest.seen)
    AND pg_visible_in_snapshot(c.xid, oldest.seen);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- As before; where a part of the row is in others' entities as well and it changed, a second row says so, of
-- '<table>/part'. Else each change of a team or a user would tell of every member or key.
CREATE OR REPLACE FUNCTION weir.capture() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before jsonb;
    after jsonb;
    was text[];
    is_now text[];
    part text[] := CASE TG_TABLE_NAME WHEN 'LiteLLM_TeamTable' THEN '{metadata,team_member_budget_id}'::text[]
                                      WHEN 'LiteLLM_UserTable' THEN '{user_role}' END;
BEGIN
    IF current_setting('weir.quiet', true) = 'on' THEN -- local to ingest's transaction
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        before := to_jsonb(OLD);
        was := ARRAY(SELECT before ->> c FROM unnest(TG_ARGV) WITH ORDINALITY AS a(c, n) ORDER BY n);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        after := to_jsonb(NEW);
        is_now := ARRAY(SELECT after ->> c FROM unnest(TG_ARGV) WITH ORDINALITY AS a(c, n) ORDER BY n);
        INSERT INTO weir.change (tbl, key, gone) VALUES (TG_TABLE_NAME, is_now, false);
    END IF;
    IF was IS DISTINCT FROM is_now AND was IS NOT NULL THEN
        INSERT INTO weir.change (tbl, key, gone) VALUES (TG_TABLE_NAME, was, true);
    END IF;
    IF before #>> part IS DISTINCT FROM after #>> part THEN
        INSERT INTO weir.change (tbl, key, gone) VALUES (TG_TABLE_NAME || '/part', coalesce(is_now, was), false);
    END IF;
    PERFORM pg_notify('weir_change', '');
    RETURN NULL;
END $$;
INSERT INTO weir.change (tbl, key, gone) SELECT DISTINCT tbl || '/part', key, false FROM weir.change
WHERE tbl IN ('LiteLLM_TeamTable', 'LiteLLM_UserTable');

-- Control planes, each with the data planes that are connected to it: written every few seconds, forgotten after minutes.
CREATE TABLE weir.control_plane (
    id text PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    nodes jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
