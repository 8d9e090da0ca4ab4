"""A database's content as it was, to come back to, and to compare with.

    kept = Kept(postgres, url)
    ...
    kept.restore()
    assert kept.changed() == []     # names of tables
"""

SETUP = """
CREATE SCHEMA kept;
CREATE FUNCTION kept.tables() RETURNS SETOF text LANGUAGE sql AS
    $$ SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'LiteLLM_AuditLog' ORDER BY 1 $$;
CREATE FUNCTION kept.state() RETURNS TABLE (name text, hash text) LANGUAGE plpgsql AS $$ BEGIN
    FOR name IN SELECT kept.tables() UNION SELECT 'LiteLLM_AuditLog' LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(to_jsonb(r)::text, chr(10) ORDER BY to_jsonb(r)::text), '''')) FROM public.%I r',
                       name) INTO hash;
        RETURN NEXT;
    END LOOP; END $$;
CREATE FUNCTION kept.restore() RETURNS void LANGUAGE plpgsql AS $$ DECLARE t text; BEGIN
    FOR t IN SELECT kept.tables() LOOP
        EXECUTE format('DELETE FROM public.%I', t);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', t, t);
    END LOOP; END $$;
DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT kept.tables() LOOP EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', t, t); END LOOP; END $$;
"""


class Kept:
    """All tables of LiteLLM but its log, which stays as it is: entries of it are chained."""

    def __init__(self, postgres, url):
        self._sql = lambda text: postgres.sql(url, text)
        self._sql(SETUP)
        self._was = self.mark()

    def mark(self):
        return dict(self._sql("SELECT * FROM kept.state()"))

    def restore(self):
        """Past triggers and references."""
        self._sql("SET session_replication_role = replica; SELECT kept.restore()")
        self._was = self.mark()

    def changed(self, since=None):
        """Names of tables that differ from a mark, or from what was restored."""
        now, was = self.mark(), since or self._was
        return sorted(t for t in now if now[t] != was[t])
