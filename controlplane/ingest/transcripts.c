#include "ingest/transcripts.h"

#include "common/clock.h"
#include "common/gateway/transcript.h"
#include "common/log.h"

#include "store/tx.h"

enum {
    WAIT_MS = 30 * 1000,
    TRIES = 4, /* of a transaction that met another one */
    ARENA_MAX = 64 * 1024 * 1024,
};

struct opened { /* columns: of each as many */
    struct str call[TRANSCRIPTS_BATCH], start_ms[TRANSCRIPTS_BATCH], attempt[TRANSCRIPTS_BATCH],
        body[TRANSCRIPTS_BATCH];
    size_t n;
    int64_t first_ms, last_ms;
};

static bool is_sound(const Weir__Transcripts *m)
{
    size_t bytes = 0;

    for (size_t i = 0; i < m->n_transcripts && i < TRANSCRIPTS_BATCH; i++)
        bytes += m->transcripts[i]->sealed.len + m->transcripts[i]->call.len;
    return m->n_transcripts <= TRANSCRIPTS_BATCH && bytes <= TRANSCRIPTS_BYTES;
}

static void open_one(struct opened *o, const struct seal_key *key, const Weir__Transcript *t,
                     struct arena *a)
{
    const struct transcript_id id = {
        {(const char *)t->call.data, t->call.len}, t->start_us, t->attempt};
    struct str sealed = {(const char *)t->sealed.data, t->sealed.len};
    int64_t ms = t->start_us / 1000;

    if (!transcript_open(key, &id, sealed, a, &o->body[o->n]))
        return;
    o->call[o->n] = id.call;
    o->start_ms[o->n] = arena_printf(a, "%lld", (long long)ms);
    o->attempt[o->n] = arena_printf(a, "%u", t->attempt);
    o->first_ms = o->n ? MIN(o->first_ms, ms) : ms;
    o->last_ms = o->n ? MAX(o->last_ms, ms) : ms;
    o->n++;
}

static const char store_sql[] =
    "WITH b AS (SELECT call_id, 'epoch'::timestamp + start_ms * interval '1 ms' AS started,"
    "  attempt, body FROM unnest($1::text[], $2::text[]::bigint[], $3::text[]::integer[],"
    "   $4::text[]::jsonb[]) AS u (call_id, start_ms, attempt, body)),"
    " stored AS (UPDATE \"LiteLLM_SpendLogs\" t"
    "  SET proxy_server_request = b.body -> 'proxy_server_request', response = b.body -> 'response'"
    "  FROM b WHERE t.\"startTime\" = b.started AND t.metadata ->> 'litellm_call_id' = b.call_id"
    "  AND (t.metadata -> 'weir' ->> 'attempt')::integer = b.attempt"
    "  AND t.\"startTime\" BETWEEN 'epoch'::timestamp + $5 * interval '1 ms'"
    "  AND 'epoch'::timestamp + $6 * interval '1 ms'"
    "  RETURNING b.call_id, b.started, b.attempt)"
    " INSERT INTO weir.transcript SELECT b.* FROM b WHERE (b.call_id, b.started, b.attempt)"
    "  NOT IN (SELECT s.call_id, s.started, s.attempt FROM stored s) ON CONFLICT DO NOTHING";

static enum db_fault store_once(struct db *db, const struct opened *o, size_t from, size_t n,
                                struct err *e)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct arena a;
    struct tx tx;

    arena_init(&a, NULL, ARENA_MAX);
    tx_init(&tx, db, &a, &w);
    tx_begin(&tx);
    (void)TX_QUERY0(&tx, "SET LOCAL weir.texts = on");
    (void)TX_QUERY(&tx, store_sql, DB_TEXTS(o->call + from, n), DB_TEXTS(o->start_ms + from, n),
                   DB_TEXTS(o->attempt + from, n), DB_TEXTS(o->body + from, n), DB_INT(o->first_ms),
                   DB_INT(o->last_ms));
    (void)tx_commit(&tx); /* the fault sticks */
    enum db_fault fault = tx.fault;
    if (fault)
        (void)err_set(e, fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED, 0, "transcripts: %s: %s",
                      db_fault_name(fault), tx.err.msg);
    tx_end(&tx);
    arena_reset(&a);
    return fault;
}

static enum db_fault store(struct db *db, const struct opened *o, size_t from, size_t n,
                           struct err *e)
{
    enum db_fault fault = DB_RETRY;

    for (unsigned i = 0; i < TRIES && fault == DB_RETRY; i++)
        fault = store_once(db, o, from, n, e);
    return fault;
}

/* Sending it again may help. */
static bool is_passing(enum db_fault f)
{
    return f == DB_AWAY || f == DB_SLOW || f == DB_RETRY || f == DB_CANCELLED || f == DB_NOMEM;
}

/* All at once, or each alone where one is not taken; *lost of them are gone. */
static enum db_fault store_all(struct db *db, const struct opened *o, size_t *lost, struct err *e)
{
    enum db_fault fault = o->n ? store(db, o, 0, o->n, e) : DB_OK;

    if (!fault || is_passing(fault))
        return fault;
    for (size_t i = 0; i < o->n; i++) {
        fault = store(db, o, i, 1, e);
        if (is_passing(fault))
            return fault;
        *lost += fault != DB_OK;
    }
    return DB_OK;
}

enum errc transcripts_take(const struct seal_key *key, struct db *db, const Weir__Transcripts *m,
                           struct err *e)
{
    struct opened o = {.n = 0};
    struct arena a;

    if (!is_sound(m))
        return err_set(e, ERRC_INVALID, 0, "transcripts: too many, or too large");
    arena_init(&a, NULL, ARENA_MAX);
    for (size_t i = 0; i < m->n_transcripts; i++)
        open_one(&o, key, m->transcripts[i], &a);
    size_t lost = m->n_transcripts - o.n;
    if (lost)
        (void)err_set(e, ERRC_INVALID, 0, "transcripts: another key sealed them");
    enum db_fault fault = arena_ok(&a) ? store_all(db, &o, &lost, e)
                                       : (err_set(e, ERRC_NOMEM, 0, "transcripts"), DB_NOMEM);
    arena_reset(&a);
    if (fault)
        return fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED;
    if (lost)
        log_warn("transcripts_lost", "n=%zu why=\"%s\" consequence=\"not in the log\"", lost,
                 e->msg);
    return ERRC_OK;
}
