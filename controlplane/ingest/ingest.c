/*
 * Batches to transactions.
 *
 *   read all -> partitions -> BEGIN, cursors, ids, COPY of rows and of their entries, daily
 *   rows, spend, COMMIT
 *
 * When the database does not take a record's data the batches go alone, then halves of them, down
 * to the record, which is set aside in weir.spool_refused; each step moves the cursor to its end.
 */

#include "ingest/ingest.h"

#include "common/clock.h"
#include "common/log.h"

#include "ingest/batch.h"
#include "ingest/daily.h"
#include "ingest/days.h"
#include "ingest/entity.h"
#include "ingest/entries.h"
#include "ingest/ids.h"
#include "ingest/log_row.h"
#include "ingest/periods.h"

enum {
    WAIT_MS = 60 * 1000,
    TRIES = 4,        /* of a transaction that met another one */
    REFUSED_MAX = 64, /* of one batch by the database: then it is the database that is wrong */
    ARENA_RECORDS = 64 * 1024 * 1024,
    ARENA_WORK = 32 * 1024 * 1024,
    ARENA_STATEMENTS = 256 * 1024,
    SPARE_BLOCKS = 8,
};

struct ingest {
    struct ingest_options o;
    struct arena statements;
    struct log_rows log_rows;
    bool is_whole; /* no column is missing that triggers of ours look at */
    struct daily_tables daily;
    struct entity_tables entities;
    struct days days;
    struct periods periods;
    atomic_uint_least64_t records, refused, damaged, gaps;
};

/* Some records of a batch, in their order: what one transaction takes of it. */
struct part {
    struct batch *b;
    struct spool_place after, from, to;
    struct spent *spent;
    size_t n;
    bool is_taken, is_behind_gap;
    struct spool_place at; /* where its spool stands afterwards */
};

struct run {
    struct ingest *in;
    struct db *db;
    struct arena records; /* what was read, and the ids */
    struct arena work;    /* of one statement */
    struct arena_pool pool;
    bool is_split; /* something is refused: triggers write entries, which refuse nobody */
    struct copy copy;
};

/* ---- one transaction ---- */

/* Where its spool stands, and whether the part is to be taken. */
static void part_lock(struct tx *tx, struct part *p, const struct part *before, size_t n_before)
{
    struct str spool = batch_spool(p->b);

    p->at = cursor_lock(tx, spool);
    for (size_t i = 0; i < n_before; i++) /* not written yet */
        if (before[i].is_taken && str_eq(batch_spool(before[i].b), spool))
            p->at = before[i].to;
    int order = spool_place_cmp(p->from, p->at);
    bool is_empty = !p->b->b->records.len;
    bool is_next = spool_place_cmp(p->at, p->after) >= 0; /* else older ones may be left */
    p->is_taken = order == 0 || (order > 0 && is_next && !is_empty);
    if (!p->is_taken)
        return;
    bool is_first = !p->at.segment && !p->at.offset && p->from.segment <= 1 && !p->from.offset;
    p->is_behind_gap = order > 0 && !is_first;
    if (p->is_behind_gap)
        cursor_gap(tx, spool, p->at, p->from);
    p->at = p->to;
}

static bool is_within(const struct part *p, struct str raw)
{
    uint64_t at = batch_offset(p->b, raw.p);

    return at >= p->from.offset && (p->to.segment != p->from.segment || at < p->to.offset);
}

/* What could not be read lies in one part of its batch. */
static void part_finish(struct tx *tx, const struct part *p)
{
    const struct batch *b = p->b;
    bool is_last = spool_place_cmp(p->to, b->to) == 0;
    struct spool_counts more = {.records = p->n, .damaged = is_last ? b->damaged : 0};

    for (size_t i = 0; i < b->n_refused; i++) {
        if (!is_within(p, b->refused[i].raw))
            continue;
        struct spool_place at = {b->from.segment, batch_offset(b, b->refused[i].raw.p)};
        cursor_refuse(tx, batch_spool(b), at, b->refused[i].raw, b->refused[i].why);
        more.refused++;
    }
    more.records += more.refused;
    cursor_advance(tx, batch_spool(b), p->to, &more);
}

/* The records that are taken, in one row; *ret_n of them. */
static struct spent **gather(struct run *r, const struct part *parts, size_t n, size_t *ret_n)
{
    size_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += parts[i].is_taken ? parts[i].n : 0;
    struct spent **s = arena_alloc(&r->records, (total + 1) * sizeof(struct spent *));
    *ret_n = 0;
    for (size_t i = 0; s && i < n; i++)
        for (size_t k = 0; parts[i].is_taken && k < parts[i].n; k++)
            s[(*ret_n)++] = &parts[i].spent[k];
    return s;
}

static void write_rows(struct run *r, struct tx *tx, struct spent *const *s, size_t n, bool by_day)
{
    const struct ingest *in = r->in;
    bool is_ours = in->is_whole && !r->is_split;
    struct arena scratch;

    if (is_ours) {
        (void)TX_QUERY0(tx, "SET LOCAL weir.ingest = on"); /* triggers leave it to us */
        daily_note(tx, s, n);
    }
    arena_init(&scratch, &r->pool, ARENA_WORK);
    log_rows_add(tx, &r->copy, &in->log_rows, s, n, by_day && is_ours, &scratch);
    arena_reset(&scratch);
    if (is_ours)
        entries_add(tx, &r->copy, s, n);
    daily_add(tx, &in->daily, s, n);
    entity_add(tx, &in->entities, s, n); /* last: whoever manages keys waits for these rows */
}

/* Later. */
static void put_off(struct tx *tx, const char *why)
{
    tx->fault = DB_AWAY;
    (void)err_set(&tx->err, ERRC_CLOSED, 0, "%s", why);
}

static enum db_fault attempt(struct run *r, struct part *parts, size_t n,
                             const struct ids_options *ids, struct err *e)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct tx tx;

    tx_init(&tx, r->db, &r->work, &w);
    tx_begin(&tx);
    if (r->in->o.begins_periods && !periods_begun(&r->in->periods, &tx) && tx_ok(&tx))
        put_off(&tx, "periods of budgets are about to begin");
    for (size_t i = 0; i < n && tx_ok(&tx); i++)
        part_lock(&tx, &parts[i], parts, i);
    size_t n_spent = 0;
    struct spent **s = tx_ok(&tx) ? gather(r, parts, n, &n_spent) : NULL;
    if (n_spent) {
        ids_decide(&tx, s, n_spent, ids, &r->records);
        write_rows(r, &tx, s, n_spent, ids->by_day);
    }
    for (size_t i = 0; i < n && tx_ok(&tx); i++)
        if (parts[i].is_taken)
            part_finish(&tx, &parts[i]);
    if (tx_ok(&tx) && (!arena_ok(&r->work) || !arena_ok(&r->records)))
        tx.fault = DB_NOMEM;
    (void)tx_commit(&tx); /* the fault sticks */
    if (tx.fault)
        (void)err_set(e, tx.fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED, 0, "ingest: %s: %s",
                      db_fault_name(tx.fault), tx.err.msg);
    enum db_fault fault = tx.fault;
    tx_end(&tx);
    arena_reset(&r->work);
    return fault;
}

/* A fault of the data itself: sending it again does not help. */
static bool is_data(enum db_fault f)
{
    return f == DB_DATA || f == DB_UNIQUE || f == DB_REFERENCE;
}

static enum db_fault take(struct run *r, struct part *parts, size_t n, struct err *e)
{
    struct ids_options ids = {0};
    enum db_fault fault = DB_RETRY;

    for (size_t i = 0; i < n; i++)
        if (!days_ensure(&r->in->days, r->db, parts[i].spent, parts[i].n, &ids.by_day)) {
            (void)err_set(e, ERRC_CLOSED, 0, "ingest: the database is away");
            return DB_AWAY;
        }
    for (unsigned i = 0; i < TRIES && (fault == DB_RETRY || fault == DB_UNIQUE); i++) {
        fault = attempt(r, parts, n, &ids, e);
        ids.strict |= fault == DB_UNIQUE; /* another plane was faster, or an old id comes back */
    }
    return fault;
}

/* ---- what the database refuses ---- */

static enum db_fault refuse(struct run *r, struct part *p, struct err *e)
{
    struct str raw = p->spent[0].raw;
    char why[sizeof e->msg];

    (void)snprintf(why, sizeof why, "%s", e->msg);
    for (char *c = why; *c; c++)
        if (*c & 0x80)
            *c = '?';
    log_error("spool_refused",
              "spool=" STR_FMT " segment=%llu offset=%llu why=\"%s\""
              " consequence=\"set aside in weir.spool_refused, not counted\"",
              STR_ARG(batch_spool(p->b)), (unsigned long long)p->from.segment,
              (unsigned long long)batch_offset(p->b, raw.p), why);
    p->b->refused[p->b->n_refused++] = (struct refusal){raw, arena_str(&r->records, str_of(why)).p};
    p->b->n_spent--;
    p->spent = NULL;
    p->n = 0;
    return take(r, p, 1, e);
}

/* The same record by record where needed: halves, until what is refused stands alone. */
static enum db_fault take_split(struct run *r, struct part *p, unsigned *budget, struct err *e)
{
    enum db_fault fault = take(r, p, 1, e);

    if (!is_data(fault) || p->n == 0)
        return fault;
    if (p->n == 1) {
        if (*budget == 0) {
            (void)err_set(e, ERRC_CLOSED, 0, "ingest: too many records are refused: %s",
                          db_fault_name(fault));
            return DB_BUG;
        }
        --*budget;
        return refuse(r, p, e);
    }
    size_t half = p->n / 2;
    struct part first = *p, second = *p;
    first.n = half;
    second.spent += half;
    second.n -= half;
    first.to = second.after = second.from =
        (struct spool_place){p->from.segment, batch_offset(p->b, second.spent[0].raw.p)};
    fault = take_split(r, &first, budget, e);
    if (!fault)
        fault = take_split(r, &second, budget, e);
    p->at = fault ? p->at : second.at;
    return fault;
}

static enum db_fault take_all(struct run *r, struct part *parts, size_t n, struct err *e)
{
    enum db_fault fault = take(r, parts, n, e);

    if (!is_data(fault))
        return fault;
    fault = DB_OK;
    r->is_split = true;
    for (size_t i = 0; i < n && !fault; i++) {
        unsigned budget = REFUSED_MAX;
        fault = take_split(r, &parts[i], &budget, e);
    }
    return fault;
}

/* ---- from outside ---- */

static void note(struct ingest *in, const struct part *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].is_taken)
            continue;
        const struct batch *b = parts[i].b;
        if (parts[i].is_behind_gap)
            log_error("spool_gap",
                      "spool=" STR_FMT " segment=%llu offset=%llu"
                      " consequence=\"usage before it is missing\"",
                      STR_ARG(batch_spool(b)), (unsigned long long)b->from.segment,
                      (unsigned long long)b->from.offset);
        atomic_fetch_add(&in->gaps, parts[i].is_behind_gap);
        atomic_fetch_add(&in->records, b->n_spent + b->n_refused);
        atomic_fetch_add(&in->refused, b->n_refused);
        atomic_fetch_add(&in->damaged, b->damaged);
        if (b->n_refused || b->damaged)
            log_error("spool_records", "spool=" STR_FMT " refused=%zu damaged=%llu",
                      STR_ARG(batch_spool(b)), b->n_refused, (unsigned long long)b->damaged);
    }
}

static enum errc read_all(struct run *r, struct batch *batches, struct part *parts,
                          const Weir__UsageBatch *const *b, size_t n, struct err *e)
{
    int64_t now_ms = clock_wall_us() / 1000;

    for (size_t i = 0; i < n; i++) {
        enum errc rc =
            batch_read(&batches[i], b[i], !r->in->o.no_agent_tags, now_ms, &r->records, e);
        if (rc)
            return rc;
        parts[i] = (struct part){.b = &batches[i],
                                 .after = batches[i].after,
                                 .from = batches[i].from,
                                 .to = batches[i].to,
                                 .spent = batches[i].spent,
                                 .n = batches[i].n_spent};
    }
    return ERRC_OK;
}

enum errc ingest_batches(struct ingest *in, struct db *db, const Weir__UsageBatch *const *b,
                         size_t n, Weir__UsageTaken *ret, struct err *e)
{
    struct batch batches[INGEST_MERGE_MAX];
    struct part parts[INGEST_MERGE_MAX];
    struct run *r = calloc(1, sizeof *r);

    ASSERT(n <= INGEST_MERGE_MAX);
    if (!r)
        return err_set(e, ERRC_NOMEM, 0, "ingest");
    r->in = in;
    r->db = db;
    r->pool.max_spare = SPARE_BLOCKS;
    arena_init(&r->records, NULL, ARENA_RECORDS);
    arena_init(&r->work, &r->pool, ARENA_WORK);
    enum errc rc = read_all(r, batches, parts, b, n, e);
    if (!rc) {
        enum db_fault fault = take_all(r, parts, n, e);
        if (fault)
            rc = fault == DB_NOMEM ? ERRC_NOMEM : ERRC_CLOSED;
    }
    for (size_t i = 0; !rc && i < n; i++) {
        weir__usage_taken__init(&ret[i]);
        ret[i].segment = parts[i].at.segment;
        ret[i].offset = parts[i].at.offset;
    }
    if (!rc)
        note(in, parts, n);
    arena_reset(&r->work);
    arena_reset(&r->records);
    arena_pool_deinit(&r->pool);
    free(r);
    return rc;
}

enum errc ingest_batch(struct ingest *in, struct db *db, const Weir__UsageBatch *b,
                       Weir__UsageTaken *ret, struct err *e)
{
    return ingest_batches(in, db, &b, 1, ret, e);
}

struct ingest_totals ingest_totals(struct ingest *in)
{
    return (struct ingest_totals){atomic_load(&in->records), atomic_load(&in->refused),
                                  atomic_load(&in->damaged), atomic_load(&in->gaps)};
}

enum errc ingest_new(struct ingest **ret_in, const struct ingest_options *o, struct err *e)
{
    AUTO_FREE(ingest) struct ingest *in = calloc(1, sizeof *in);

    if (!in)
        return err_set(e, ERRC_NOMEM, 0, "ingest");
    in->o = *o;
    days_init(&in->days);
    arena_init(&in->statements, NULL, ARENA_STATEMENTS);
    log_rows_init(&in->log_rows, o->catalog, &in->statements);
    in->is_whole = log_rows_are_whole(o->catalog);
    daily_init(&in->daily, o->catalog, &in->statements);
    entity_init(&in->entities, o->catalog, o->zone, o->standard_budget);
    if (!arena_ok(&in->statements))
        return err_set(e, ERRC_NOMEM, 0, "ingest");
    *ret_in = TAKE(in);
    return ERRC_OK;
}

struct ingest *ingest_free(struct ingest *in)
{
    if (!in)
        return NULL;
    days_deinit(&in->days);
    arena_reset(&in->statements);
    free(in);
    return NULL;
}
