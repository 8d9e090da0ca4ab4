-- Who commits with a notification holds a lock of all databases until it is on the disk: such commits are written one by
-- one. The control planes' own changes are told of by the revision they are in, one for many, and by the process itself.

-- As before, but for the notification of those: application_name is the one setting that a pooler keeps for each client.
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
    IF current_setting('application_name') <> 'weir admin' THEN
        PERFORM pg_notify('weir_change', '');
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION weir.tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('weir_change', '');
    RETURN NULL;
END $$;
CREATE TRIGGER weir_told AFTER INSERT ON weir.revision FOR EACH STATEMENT EXECUTE FUNCTION weir.tell();
