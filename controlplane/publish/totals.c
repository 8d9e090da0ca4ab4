#include "publish/totals.h"

#include "common/clock.h"
#include "common/log.h"

#include "background.h"
#include "publish/changes.h"

enum {
    LOOK_MS = 500,
    KEPT_S = 120, /* rows of weir.spent, and what a control plane that starts looks back on */
    PRUNE_S = 20,
    DEADLINE_MS = 10000,
    CHANGED_MAX = 500000, /* more at once: data planes take everything anew */
    SNAPSHOT_MAX = 16 * 1024,
    ARENA_MAX = 256 * 1024 * 1024,
};

struct totals {
    struct totals_options o;
    struct background thread;

    /* of the thread */
    char seen[SNAPSHOT_MAX]; /* what the last look saw; "": there was none */
    uint64_t at_us;          /* its moment, by the database's clock */
    uint64_t pruned_ns;
    bool failed; /* it was said */
};

/* ---- one look ---- */

/* What changed that the last look did not see; at the first one, in the time that is kept. */
static struct rows changed_rows(struct totals *t, struct tx *tx)
{
    if (!t->seen[0])
        return TX_QUERY(tx,
                        "SELECT DISTINCT s.tbl, k.key1, k.key2 FROM weir.spent s,"
                        " unnest(s.key1, s.key2) AS k(key1, key2)"
                        " WHERE s.at > now() - make_interval(secs => $1) LIMIT $2",
                        DB_INT(KEPT_S), DB_INT(CHANGED_MAX + 1));
    return TX_QUERY(tx,
                    "SELECT DISTINCT s.tbl, k.key1, k.key2 FROM weir.spent s,"
                    " unnest(s.key1, s.key2) AS k(key1, key2)"
                    " WHERE s.xid >= pg_snapshot_xmin($1::pg_snapshot)"
                    " AND NOT pg_visible_in_snapshot(s.xid, $1::pg_snapshot) LIMIT $2",
                    DB_TEXT(str_of(t->seen)), DB_INT(CHANGED_MAX + 1));
}

static struct changed *changed_of(struct tx *tx, struct rows r, size_t *ret_n)
{
    struct changed *out = arena_alloc(tx->arena, ((size_t)r.n + 1) * sizeof *out);

    *ret_n = 0;
    for (int i = 0; out && i < r.n; i++) {
        struct str key2 = rows_text(r, i, 2);
        enum table table = catalog_table(rows_text(r, i, 0));
        if (table < TABLES)
            out[(*ret_n)++] = (struct changed){
                .table = table, .key1 = rows_text(r, i, 1), .key2 = key2.p ? key2 : STR("")};
    }
    return out;
}

static bool spool_name(unsigned char out[16], struct str hex)
{
    for (size_t i = 0; i < 2 * 16; i++) {
        const char *digits = "0123456789abcdef", *d = i < hex.n ? strchr(digits, hex.p[i]) : NULL;
        if (!d || !*d)
            return false;
        out[i / 2] = (unsigned char)(out[i / 2] << 4 | (d - digits));
    }
    return hex.n == 2 * 16;
}

/* Where the spools stand; the caller's. */
static struct hub_spool *read_spools(struct tx *tx, size_t *ret_n)
{
    struct rows r = TX_QUERY0(tx, "SELECT encode(id, 'hex'), segment, \"offset\" FROM weir.spool"
                                  " WHERE length(id) = 16 ORDER BY at DESC LIMIT 10000");
    struct hub_spool *out = r.n ? calloc((size_t)r.n, sizeof *out) : NULL;

    *ret_n = 0;
    for (int i = 0; out && i < r.n; i++) {
        struct hub_spool *s = &out[*ret_n];
        struct str hex = rows_text(r, i, 0);
        if (!spool_name(s->id, hex))
            continue;
        s->place = (struct hub_place){(uint64_t)rows_int(r, i, 1), (uint64_t)rows_int(r, i, 2)};
        ++*ret_n;
    }
    return out;
}

/* Remembers the snapshot of this look. False: it is none that can be. */
static bool see(struct totals *t, struct rows r)
{
    struct str snapshot = rows_text(r, 0, 0);

    if (!snapshot.n || snapshot.n >= sizeof t->seen)
        return false;
    memcpy(t->seen, snapshot.p, snapshot.n);
    t->seen[snapshot.n] = '\0';
    t->at_us = MAX(t->at_us + 1, (uint64_t)rows_int(r, 0, 1));
    return true;
}

static void forget(struct totals *t)
{
    if (t->seen[0])
        hub_totals(t->o.hub, 0, NULL, NULL, 0);
    t->seen[0] = '\0';
}

/* All of one snapshot. */
static void read_all(struct totals *t, struct tx *tx)
{
    struct packed out = {0};
    size_t n, n_spools;

    tx_begin_read_only(tx);
    struct rows now = TX_QUERY0(tx, "SELECT pg_current_snapshot()::text,"
                                    " (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    struct rows r = changed_rows(t, tx);
    struct changed *changed = changed_of(tx, r, &n);
    bool is_first = !t->seen[0];
    bool is_whole = changed && r.n <= CHANGED_MAX &&
                    entities_totals(t->o.entities, tx, changed, n, &out) && !out.failed;
    struct hub_spool *spools = read_spools(tx, &n_spools);
    if (tx_commit(tx) && arena_ok(tx->arena) && see(t, now)) {
        if (is_first)
            hub_totals(t->o.hub, t->at_us - KEPT_S * UINT64_C(1000000), NULL, NULL, 0);
        hub_totals(t->o.hub, t->at_us, is_whole ? &out : NULL, TAKE(spools), n_spools);
    } else {
        forget(t);
    }
    free(spools);
    packed_deinit(&out);
}

static void note(struct totals *t, const struct tx *tx)
{
    bool failed = !tx_ok(tx);

    if (failed && !t->failed && tx->fault != DB_AWAY)
        log_warn("totals", "fault=%s what=\"%s\" consequence=\"data planes know of the last ones\"",
                 db_fault_name(tx->fault), tx->err.msg);
    t->failed = failed;
}

static void look(struct totals *t)
{
    struct db_wait w = background_wait(&t->thread, DEADLINE_MS);
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, t->o.db, &arena, &w);
    if (hub_wants_totals(t->o.hub))
        read_all(t, &tx);
    else
        forget(t);
    if (tx_ok(&tx) && clock_mono_ns() >= t->pruned_ns + PRUNE_S * UINT64_C(1000000000)) {
        (void)TX_QUERY(&tx, "DELETE FROM weir.spent WHERE at < now() - make_interval(secs => $1)",
                       DB_INT(2 * KEPT_S));
        t->pruned_ns = clock_mono_ns();
    }
    note(t, &tx);
    tx_end(&tx);
    arena_reset(&arena);
}

/* ---- the thread ---- */

static void look_on(void *ctx)
{
    struct totals *t = ctx;

    for (; background_goes_on(&t->thread); background_pause(&t->thread, LOOK_MS))
        look(t);
}

enum errc totals_new(struct totals **ret_t, const struct totals_options *o, struct err *e)
{
    struct totals *t = calloc(1, sizeof *t);

    if (!t)
        return err_set(e, ERRC_NOMEM, 0, "totals");
    t->o = *o;
    t->pruned_ns = clock_mono_ns();
    enum errc rc = background_start(&t->thread, "weir-totals", look_on, t, e);
    if (rc) {
        free(t);
        return rc;
    }
    *ret_t = t;
    return ERRC_OK;
}

struct totals *totals_free(struct totals *t)
{
    if (t)
        background_end(&t->thread);
    free(t);
    return NULL;
}
