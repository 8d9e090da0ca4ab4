-- Entries that come late, change or go do not take the block they lie in out of use: a line names each, and a page takes
-- what is there now in place of what was packed (analytics/log_blocks.c). Each block knows which entries hold an error or
-- an end user. Blocks are made anew.
TRUNCATE weir.log_block, weir.log_packed, weir.log_touched;

ALTER TABLE weir.log_packed ADD starts bytea NOT NULL; -- the place of each of `marks`
ALTER TABLE weir.log_packed ALTER starts SET STORAGE EXTERNAL;
-- `codes` of a block have 2 bytes each where none of them needs more.

-- Each 32nd entry of a block, by its place. (A page of an older control plane fails, as it must: it knows each 128th.)
DROP TABLE weir.log_mark;
CREATE TABLE weir.log_place (
    block bigint NOT NULL,
    seq integer NOT NULL,
    at timestamp(3) NOT NULL,
    request_id text NOT NULL,
    PRIMARY KEY (block, seq)
);
CREATE INDEX log_place_at ON weir.log_place (block, at, request_id);

-- The places in a block of all entries that hold a value.
CREATE TABLE weir.log_held (
    block bigint NOT NULL,
    kind text NOT NULL, -- 'error', 'end_user'
    value text NOT NULL,
    places bytea NOT NULL
);
CREATE INDEX log_held_block ON weir.log_held (block, kind);
CREATE INDEX log_held_end_user ON weir.log_held (weir.log_hash(value), block) WHERE kind = 'end_user';

-- Entries written since their block was packed, a line each time; at 'infinity': more than are told apart.
ALTER TABLE weir.log_touched RENAME at TO since;
ALTER TABLE weir.log_touched
    ADD at timestamp(3) NOT NULL DEFAULT 'infinity',
    ADD request_id text NOT NULL DEFAULT '',
    ADD seq bigint GENERATED ALWAYS AS IDENTITY,
    ADD was_there boolean NOT NULL DEFAULT false, -- it went; else it came
    ADD PRIMARY KEY (block, at, request_id, seq);

-- Each entry once: what happened to it first tells whether it is packed.
CREATE VIEW weir.log_late AS
SELECT DISTINCT ON (block, at, request_id) block, at, request_id, was_there
FROM weir.log_touched ORDER BY block, at, request_id, seq;

CREATE OR REPLACE FUNCTION weir.log_touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET jit = off AS $$
DECLARE
    most CONSTANT integer := CASE TG_OP WHEN 'UPDATE' THEN 0 ELSE 100 END; -- of a statement, in a block
    newest timestamp := (SELECT max(until) FROM weir.log_block);
BEGIN
    IF EXISTS (SELECT FROM changed WHERE at < newest) THEN
        WITH c AS MATERIALIZED (SELECT at, request_id FROM changed WHERE at < newest),
        x AS (
            SELECT b.id, c.at, c.request_id, count(*) OVER (PARTITION BY b.id) <= most AND octet_length(c.request_id) < 2000 AS is_told
            FROM weir.log_block b JOIN c ON c.at >= b.since AND c.at < b.until
            WHERE b.until > (SELECT min(at) FROM c)
        )
        INSERT INTO weir.log_touched (block, at, request_id, was_there)
        SELECT DISTINCT id, CASE WHEN is_told THEN at ELSE 'infinity' END, CASE WHEN is_told THEN request_id ELSE '' END,
               TG_OP = 'DELETE'
        FROM x;
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION weir.log_unpack() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM weir.log_block;
    DELETE FROM weir.log_packed;
    DELETE FROM weir.log_place;
    DELETE FROM weir.log_held;
    DELETE FROM weir.log_touched;
    RETURN NULL;
END $$;

-- Packs what lies in the time of a block, in place of what was packed of it, in this block or others.
CREATE OR REPLACE FUNCTION weir.log_pack_block(b weir.log_block) RETURNS void LANGUAGE plpgsql SET jit = off SET work_mem = '64MB'
AS $$
DECLARE
    old bigint[] := ARRAY(SELECT id FROM weir.log_block o WHERE o.since >= b.since AND o.until <= b.until);
    elapsed text := '(extract(epoch FROM (t."endTime" - t."startTime")) * 1000)::bigint';
    session text := 'NULL::text'; -- an older LiteLLM has none
    k record;
BEGIN
    LOCK TABLE weir.log IN ACCESS SHARE MODE; -- before what TRUNCATE deletes behind it
    DELETE FROM weir.log_packed WHERE block = ANY (old);
    DELETE FROM weir.log_place WHERE block = ANY (old);
    DELETE FROM weir.log_held WHERE block = ANY (old);
    DELETE FROM weir.log_block WHERE id = ANY (old) AND id <> b.id;
    PERFORM weir.log_parts();
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '"LiteLLM_SpendLogs"'::regclass
               AND attname = 'request_duration_ms' AND NOT attisdropped) THEN
        elapsed := 'coalesce(t.request_duration_ms, ' || elapsed || ')';
    END IF;
    IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = '"LiteLLM_SpendLogs"'::regclass AND attname = 'session_id'
               AND NOT attisdropped) THEN
        session := 't.session_id';
    END IF;
    -- lines go and entries are read in one statement: of all that was written either a line stays, or it is packed
    EXECUTE format('
    WITH told AS (DELETE FROM weir.log_touched WHERE block = ANY ($4)),
    e AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY l.at, l.request_id)::integer - 1 AS place, coalesce(c.code, 0) AS code,
               max(c.code) OVER () < 65536 AS is_short, l.at, l.request_id, l.spend, l.total_tokens::float8 AS tokens,
               extract(epoch FROM t."endTime") * 1000 AS ended,
               (%s)::float8 AS elapsed, extract(epoch FROM CASE WHEN t."completionStartTime" <> t."endTime"
                                                THEN t."completionStartTime" - t."startTime" END) * 1000 AS first_token,
               %s AS session, t.metadata ->> ''used_client_oauth_token'' AS token, l.error, nullif(l.end_user, '''') AS end_user
        FROM weir.log l LEFT JOIN weir.log_code c ON c.series = l.series
        LEFT JOIN "LiteLLM_SpendLogs" t ON t.request_id = l.request_id AND t."startTime" = l.at
            AND t."startTime" >= $2 AND t."startTime" < $3
        WHERE l.at >= $2 AND l.at < $3
    ),
    -- of a series that came after log_parts(): read as they are, and soon packed again
    unknown AS (
        INSERT INTO weir.log_touched (block, at, request_id, was_there)
        SELECT $1, CASE WHEN o <= 100 THEN at ELSE ''infinity'' END, CASE WHEN o <= 100 THEN request_id ELSE '''' END, true
        FROM (SELECT at, request_id, row_number() OVER () AS o FROM e WHERE code = 0) x WHERE o <= 101
    ),
    steps AS (INSERT INTO weir.log_place SELECT $1, place / 32, at, request_id FROM e WHERE place %% 32 = 0),
    held AS (
        INSERT INTO weir.log_held
        SELECT $1, kind, value, string_agg(int4send(place), '''' ORDER BY place)
        FROM e CROSS JOIN LATERAL (VALUES (''error'', error), (''end_user'', end_user)) AS x (kind, value)
        WHERE value IS NOT NULL GROUP BY kind, value
    ),
    v AS (
        SELECT sort, place, substring(int4send(code) FROM CASE WHEN is_short THEN 3 ELSE 1 END) AS code,
               coalesce(v, ''Infinity'') AS v, v IS NULL AS is_null,
               row_number() OVER (PARTITION BY sort ORDER BY v, place) - 1 AS o
        FROM e CROSS JOIN LATERAL (VALUES (''spend'', CASE WHEN spend < ''Infinity'' THEN spend ELSE ''Infinity'' END),
            (''total_tokens'', tokens), (''endTime'', ended::float8), (''request_duration_ms'', elapsed),
            (''ttft_ms'', first_token::float8)) AS x (sort, v)
    ),
    packed AS (
        INSERT INTO weir.log_packed (block, sort, n_null, marks, starts, codes, places, vals)
        SELECT $1, sort, count(*) FILTER (WHERE is_null), string_agg(float8send(v), '''') FILTER (WHERE o %% 1024 = 0),
               string_agg(int4send(place), '''') FILTER (WHERE o %% 1024 = 0), string_agg(code, ''''),
               string_agg(int4send(place), ''''), string_agg(float8send(v), '''')
        FROM (SELECT * FROM v ORDER BY sort, o) x GROUP BY sort
    )
    SELECT count(*) AS n, string_agg(DISTINCT session, E''\n'') AS sessions,
           array_agg(DISTINCT token) FILTER (WHERE token IS NOT NULL) AS tokens FROM e', elapsed, session)
    INTO k USING b.id, b.since, b.until, old;
    IF k.n = 0 THEN
        DELETE FROM weir.log_block WHERE id = b.id;
        -- its time is of the next one: what comes there is packed
        INSERT INTO weir.log_block (since, until) SELECT b.since, o.until FROM weir.log_block o WHERE o.since >= b.until
        AND NOT EXISTS (SELECT FROM weir.log_block WHERE n IS NULL) ORDER BY o.since LIMIT 1;
    ELSE
        UPDATE weir.log_block SET n = k.n, sessions = k.sessions, tokens = k.tokens WHERE id = b.id;
    END IF;
END $$;

-- What ingest has taken, when that was looked at, and when it was little. Much of it at once, usage of an outage say, has
-- the machine for itself; not for ever, for it may be what there always is.
CREATE TABLE weir.log_pace (taken bigint NOT NULL, at timestamptz NOT NULL, calm_at timestamptz NOT NULL);
INSERT INTO weir.log_pace VALUES (0, now(), now());

CREATE FUNCTION weir.log_is_busy() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    most CONSTANT integer := 5000; -- records a second
    moment timestamptz := clock_timestamp();
    total bigint := (SELECT coalesce(sum(records), 0) FROM weir.spool);
    was weir.log_pace := (SELECT p FROM weir.log_pace p);
    seconds double precision := greatest(extract(epoch FROM moment - was.at), 1);
    is_busy boolean := total - was.taken > most * seconds;
BEGIN
    IF moment - was.at > interval '1 s' AND total <> was.taken THEN
        UPDATE weir.log_pace SET taken = total, at = moment, calm_at = CASE WHEN is_busy THEN calm_at ELSE moment END;
    END IF;
    RETURN is_busy AND was.calm_at > moment - interval '5 min';
END $$;

-- Of a block that has grown too large to be packed in one step: its first part is left, the rest is another. True: it was.
CREATE FUNCTION weir.log_split(b weir.log_block, most_n integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    cut timestamp;
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM weir.log WHERE at >= b.since AND at < b.until LIMIT 2 * most_n + 1) x) <= 2 * most_n
       OR EXISTS (SELECT FROM weir.log_block o WHERE o.id <> b.id AND o.since < b.until AND o.until > b.since) THEN
        RETURN false;
    END IF;
    SELECT greatest(at, (SELECT min(at) + interval '1 ms' FROM weir.log WHERE at >= b.since)) INTO cut
    FROM weir.log WHERE at >= b.since AND at < b.until ORDER BY at OFFSET most_n LIMIT 1;
    IF cut >= b.until THEN
        RETURN false; -- of one millisecond
    END IF;
    DELETE FROM weir.log_packed WHERE block = b.id;
    DELETE FROM weir.log_place WHERE block = b.id;
    DELETE FROM weir.log_held WHERE block = b.id;
    DELETE FROM weir.log_touched WHERE block = b.id;
    UPDATE weir.log_block SET until = cut, n = NULL, seen = NULL WHERE id = b.id;
    INSERT INTO weir.log_block (since, until) VALUES (cut, b.until);
    RETURN true;
END $$;

-- One step: packs a block, or says which is next. True: there may be more.
CREATE OR REPLACE FUNCTION weir.log_pack(least_n integer, most_n integer) RETURNS boolean LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    b weir.log_block;
    moment timestamp := now() AT TIME ZONE 'UTC';
    rest timestamp := moment - interval '1 minute'; -- most have come
    first timestamp;
    last timestamp;
BEGIN
    IF (SELECT covered_from > '-infinity' FROM weir.log_state) OR weir.log_is_busy() THEN
        RETURN false;
    END IF;
    -- of writers that know of it, or have ended
    SELECT * INTO b FROM weir.log_block WHERE n IS NULL ORDER BY id LIMIT 1;
    IF FOUND AND b.seen IS NULL THEN
        UPDATE weir.log_block SET seen = pg_snapshot_xmax(pg_current_snapshot()) WHERE id = b.id;
        RETURN true;
    ELSIF FOUND AND b.seen <= pg_snapshot_xmin(pg_current_snapshot()) THEN
        IF NOT weir.log_split(b, most_n) THEN
            PERFORM weir.log_pack_block(b);
        END IF;
        RETURN true;
    END IF;
    -- written to, and left alone since; or much, or long ago. Those that are not read at all come first
    SELECT k.* INTO b FROM weir.log_block k JOIN weir.log_touched t ON t.block = k.id WHERE k.n IS NOT NULL
    GROUP BY k.id HAVING max(t.since) < clock_timestamp() - interval '5 s' OR count(*) > 500
        OR min(t.since) < clock_timestamp() - CASE max(t.at) WHEN 'infinity' THEN interval '30 s' ELSE interval '5 min' END
    ORDER BY max(t.at) = 'infinity' DESC, min(t.since) LIMIT 1;
    IF FOUND THEN
        IF NOT weir.log_split(b, most_n) THEN
            PERFORM weir.log_pack_block(b);
        END IF;
        RETURN true;
    ELSIF EXISTS (SELECT FROM weir.log_block WHERE n IS NULL) THEN
        RETURN false;
    END IF;
    -- small ones together, when no more come late
    SELECT min(since), max(until) INTO first, last
    FROM (SELECT * FROM weir.log_block WHERE until < moment - interval '10 min' ORDER BY since DESC LIMIT 8) x
    HAVING count(*) = 8 AND max(n) < most_n / 4;
    IF NOT FOUND THEN -- those that have come since
        first := coalesce((SELECT max(until) FROM weir.log_block), '-infinity');
        SELECT at INTO last FROM weir.log WHERE at >= first AND at < rest ORDER BY at OFFSET most_n LIMIT 1;
        IF NOT FOUND AND (SELECT count(*) FROM (SELECT FROM weir.log WHERE at >= first AND at < rest LIMIT least_n) x) < least_n
        THEN
            DELETE FROM weir.log_touched t WHERE NOT EXISTS (SELECT FROM weir.log_block o WHERE o.id = t.block); -- of blocks that went
            RETURN false;
        END IF;
        -- not up to `rest`: what comes late in the order of time is of the next one
        last := greatest(coalesce(last, (SELECT max(at) + interval '1 ms' FROM weir.log WHERE at >= first AND at < rest)),
                         (SELECT min(at) + interval '1 ms' FROM weir.log WHERE at >= first));
    END IF;
    INSERT INTO weir.log_block (since, until) VALUES (first, last);
    RETURN true;
END $$;
