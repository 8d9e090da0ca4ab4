"""A database's content as it was, to come back to, and to compare with.

    kept = Kept(url)
    ...
    kept.restore()
    assert kept.changed() == []     # names of tables
"""

from .postgres import Session

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
CREATE TABLE kept.was AS SELECT * FROM kept.state();
CREATE FUNCTION kept.restore() RETURNS void LANGUAGE plpgsql AS $$ DECLARE t text; BEGIN
    FOR t IN SELECT name FROM kept.tables() AS k(name) JOIN kept.state() s USING (name) JOIN kept.was w USING (name)
             WHERE s.hash <> w.hash LOOP
        EXECUTE format('DELETE FROM public.%I', t);
        EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', t, t);
    END LOOP; END $$;
DO $$ DECLARE t text; BEGIN
    FOR t IN SELECT kept.tables() LOOP EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', t, t); END LOOP; END $$;
"""


class Kept:
    """All tables of LiteLLM but its log, which stays as it is: entries of it are chained."""

    def __init__(self, url):
        self._session = Session(url)
        self._session.sql(SETUP)
        self._was = self.mark()

    def close(self):
        self._session.close()

    def mark(self):
        return dict(self._session.sql("SELECT * FROM kept.state()"))

    def restore(self):
        """Past triggers and references."""
        self._session.sql("SET session_replication_role = replica; DO 'BEGIN PERFORM kept.restore(); END'")
        self._was = self.mark()

    def changed(self, since=None):
        """Names of tables that differ from a mark, or from what was restored."""
        now, was = self.mark(), since or self._was
        return sorted(t for t in now if now[t] != was[t])
