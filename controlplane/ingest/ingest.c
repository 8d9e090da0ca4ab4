/* Batches to transactions. */

#include "ingest/ingest.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"

#include "ingest/cursor.h"

enum {
    WAIT_MS = 30 * 1000,
    TRIES = 3, /* of a transaction that met another one */
    ARENA_MAX = 32 * 1024 * 1024,
};

struct ingest {
    atomic_uint_least64_t n_batches;
};

struct batch {
    const Weir__UsageBatch *b;
    char spool[2 * INGEST_SPOOL_ID];
    struct spool_place from, to;
};

static struct str spool_of(const struct batch *b)
{
    return (struct str){b->spool, sizeof b->spool};
}

/* bigint holds every place there is. */
static enum errc batch_read(struct batch *out, const Weir__UsageBatch *b, struct err *e)
{
    out->b = b;
    out->from = (struct spool_place){b->segment, b->from};
    out->to = (struct spool_place){b->next_segment, b->next_offset};
    if (b->spool.len != INGEST_SPOOL_ID || b->records.len > INGEST_BATCH_MAX)
        return err_set(e, ERRC_INVALID, 0, "usage batch: spool id or size");
    if (b->segment > INT64_MAX || b->from > INT64_MAX || b->next_segment > INT64_MAX ||
        b->next_offset > INT64_MAX || spool_place_cmp(out->to, out->from) < 0)
        return err_set(e, ERRC_INVALID, 0, "usage batch: place");
    (void)num_put_hex(out->spool, b->spool.data, b->spool.len);
    return ERRC_OK;
}

/* One batch, within the transaction: where its spool stands behind it. */
static struct spool_place take(struct tx *tx, const struct batch *b)
{
    struct spool_place at = cursor_lock(tx, spool_of(b));
    int order = spool_place_cmp(b->from, at);

    if (order < 0)
        return at;
    if (order > 0) {
        log_error("spool_gap", "spool=" STR_FMT " consequence=\"usage is missing\"",
                  STR_ARG(spool_of(b)));
        cursor_gap(tx, spool_of(b), at, b->from);
    }
    cursor_advance(tx, spool_of(b), b->to, 0, 0);
    return b->to;
}

static enum db_fault run(struct db *db, const struct batch *b, size_t n, Weir__UsageTaken *ret,
                         struct err *e)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct spool_place at[INGEST_MERGE_MAX];
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, db, &arena, &w);
    tx_begin(&tx);
    for (size_t i = 0; i < n && tx_ok(&tx); i++)
        at[i] = take(&tx, &b[i]);
    if (tx_ok(&tx) && !arena_ok(&arena))
        tx.fault = DB_NOMEM;
    if (tx_commit(&tx))
        for (size_t i = 0; i < n; i++) {
            weir__usage_taken__init(&ret[i]);
            ret[i].segment = at[i].segment;
            ret[i].offset = at[i].offset;
        }
    enum db_fault fault = tx.fault;
    if (fault)
        (void)err_set(e, fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED, 0, "ingest: %s", tx.err.msg);
    tx_end(&tx);
    arena_reset(&arena);
    return fault;
}

enum errc ingest_batches(struct ingest *in, struct db *db, const Weir__UsageBatch *const *b,
                         size_t n, Weir__UsageTaken *ret, struct err *e)
{
    struct batch batches[INGEST_MERGE_MAX];
    enum db_fault fault = DB_RETRY;

    ASSERT(n <= INGEST_MERGE_MAX);
    for (size_t i = 0; i < n; i++) {
        enum errc rc = batch_read(&batches[i], b[i], e);
        if (rc)
            return rc;
    }
    for (unsigned i = 0; fault == DB_RETRY && i < TRIES; i++)
        fault = run(db, batches, n, ret, e);
    atomic_fetch_add(&in->n_batches, fault ? 0 : n);
    if (!fault)
        return ERRC_OK;
    return fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED;
}

enum errc ingest_batch(struct ingest *in, struct db *db, const Weir__UsageBatch *b,
                       Weir__UsageTaken *ret, struct err *e)
{
    return ingest_batches(in, db, &b, 1, ret, e);
}

enum errc ingest_new(struct ingest **ret_in, struct err *e)
{
    struct ingest *in = calloc(1, sizeof *in);

    if (!in)
        return err_set(e, ERRC_NOMEM, 0, "ingest");
    *ret_in = in;
    return ERRC_OK;
}

struct ingest *ingest_free(struct ingest *in)
{
    free(in);
    return NULL;
}
