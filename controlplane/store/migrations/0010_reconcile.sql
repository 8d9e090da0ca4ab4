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
