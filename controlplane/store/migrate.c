/* What is there, what is missing, and the steps between. */

#include "store/migrate.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"

#include "embedded.h"
#include "store/tables.h"
#include "store/tx.h"

enum {
    STATEMENT_MS = 600 * 1000, /* an index over a large table takes its time */
    LOCK_WAIT_S = 60,
    ARENA_MAX = 16 * 1024 * 1024,
};

static const struct {
    const char *name, *ignored;
} tables[TABLES] = {
#define TABLE(id, name, key, ignored) [TABLE_##id] = {name, ignored},
#include "store/tables.def"
#undef TABLE
};

struct state {
    int64_t tables;   /* in LiteLLM's schema, ours aside */
    bool has_litellm; /* its table of keys */
    bool has_weir;    /* weir.migration */
    bool is_adopted;  /* made by LiteLLM: steps outside the schema weir are not taken */
    uint32_t version; /* newest recorded; 0: none */
    unsigned missing; /* steps of ours that are not recorded */
    struct rows done; /* versions */
};

static uint32_t version_of(const struct embedded *m)
{
    uint32_t v = 0;

    return num_u32((struct str){m->name, 4}, &v) ? v : 0;
}

/* Not only what is newer: a step may come with a lower number than others that were taken. */
static bool is_done(const struct state *s, const struct embedded *m)
{
    for (int i = 0; i < s->done.n; i++)
        if (rows_int(s->done, i, 0) == version_of(m))
            return true;
    return false;
}

static struct state look(struct tx *tx, const char *schema)
{
    struct state s = {0};
    struct rows r = TX_QUERY(
        tx,
        "SELECT count(*), coalesce(bool_or(c.relname = 'LiteLLM_VerificationToken'), false),"
        " to_regclass('weir.migration') IS NOT NULL"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')",
        DB_TEXT(str_of(schema)));

    s.tables = rows_int(r, 0, 0);
    s.has_litellm = rows_bool(r, 0, 1);
    s.has_weir = rows_bool(r, 0, 2);
    s.is_adopted = s.has_litellm;
    if (s.has_weir) {
        r = TX_QUERY0(tx, "SELECT max(version), bool_or(adopted) FROM weir.migration");
        s.version = (uint32_t)rows_int(r, 0, 0);
        if (s.version)
            s.is_adopted = rows_bool(r, 0, 1);
        s.done = TX_QUERY0(tx, "SELECT version FROM weir.migration");
    }
    for (const struct embedded *m = migrations; m->name; m++)
        s.missing += !is_done(&s, m);
    return s;
}

/* Of LiteLLM's schema, not ours: "0001_litellm.sql". */
static bool is_litellms(const struct embedded *m)
{
    return str_starts(str_of(m->name + 5), STR("litellm"));
}

static uint32_t newest(void)
{
    uint32_t v = 0;

    for (const struct embedded *m = migrations; m->name; m++)
        v = version_of(m);
    return v;
}

/* One control plane migrates, the others wait for it. */
static enum errc lock(struct tx *tx, struct err *e)
{
    for (unsigned i = 0; tx_ok(tx) && i < LOCK_WAIT_S * 10; i++) {
        struct rows r = TX_QUERY0(tx, "SELECT pg_try_advisory_lock(7311022, 1)");
        if (rows_bool(r, 0, 0))
            return ERRC_OK;
        (void)usleep(100000);
    }
    if (!tx_ok(tx))
        return err_set(e, errc_from_fault(tx->fault), 0, "database: %s", tx->err.msg);
    return err_set(e, ERRC_TIMEOUT, 0, "database: another migration has run for %d s", LOCK_WAIT_S);
}

static void step(struct tx *tx, const struct embedded *m, bool skip)
{
    tx_begin(tx);
    if (!skip)
        tx_script(tx, m->text);
    (void)TX_QUERY(tx, "INSERT INTO weir.migration (version, name, adopted) VALUES ($1, $2, $3)",
                   DB_INT(version_of(m)), DB_TEXT(str_of(m->name)), DB_BOOL(skip));
    (void)tx_commit(tx); /* the fault sticks */
}

static void make_schema(struct tx *tx)
{
    tx_begin(tx);
    tx_script(tx, "CREATE SCHEMA IF NOT EXISTS weir;"
                  "CREATE TABLE IF NOT EXISTS weir.migration ("
                  "version integer PRIMARY KEY, name text NOT NULL, adopted boolean NOT NULL,"
                  "at timestamptz NOT NULL DEFAULT now())");
    (void)tx_commit(tx);
}

/* Triggers follow the columns that are there: each start looks whether some came or went. */
static void watch(struct tx *tx, const char *schema, FILE *out)
{
    for (unsigned i = 0; i < TABLES && tx_ok(tx); i++) {
        if (!tables[i].ignored)
            continue;
        tx_begin(tx);
        struct rows r = TX_QUERY(tx, "SELECT weir.watch($1, $2, $3), weir.watch_spend($1, $2)",
                                 DB_TEXT(str_of(schema)), DB_TEXT(str_of(tables[i].name)),
                                 DB_TEXT(str_of(tables[i].ignored)));
        bool made = rows_bool(r, 0, 0) || rows_bool(r, 0, 1);
        if (tx_commit(tx) && made)
            (void)fprintf(out, "  changes of %s are captured\n", tables[i].name);
    }
    if (!tx_ok(tx))
        return;
    tx_begin(tx);
    struct rows r =
        TX_QUERY(tx, "SELECT weir.log_watch($1), weir.daily_watch($1)", DB_TEXT(str_of(schema)));
    (void)TX_QUERY(tx, "SELECT weir.texts_watch($1), weir.ingest_watch()",
                   DB_TEXT(str_of(schema)));
    bool indexed = rows_bool(r, 0, 0), summed = rows_bool(r, 0, 1);
    if (!tx_commit(tx))
        return;
    if (indexed)
        (void)fprintf(out, "  rows of LiteLLM_SpendLogs are indexed\n");
    if (summed)
        (void)fprintf(out, "  rows of LiteLLM_Daily... are summed up\n");
}

static void print_plan(const struct state *s, FILE *out)
{
    (void)fprintf(
        out,
        "database: made by LiteLLM, %lld tables\n"
        "  they stay as they are: no table, column or index of theirs changes\n"
        "  new: schema weir with tables of our own\n"
        "  new: triggers weir_log_... on LiteLLM_SpendLogs, weir_daily_... on LiteLLM_Daily...\n"
        "  new: triggers weir_changed, weir_made_or_gone, weir_spent on",
        (long long)s->tables);
    for (unsigned i = 0; i < TABLES; i++)
        if (tables[i].ignored)
            (void)fprintf(out, " %s", tables[i].name);
    (void)fprintf(out, "\n");
}

static enum errc judge(const struct state *s, enum migrate_mode mode, bool adopt, FILE *out,
                       struct err *e)
{
    if (s->version > newest())
        return err_set(
            e, ERRC_INVALID, 0,
            "database: its schema is of version %u, this program knows %u: start a newer "
            "one",
            s->version, newest());
    if (mode == MIGRATE_VERIFY && s->missing)
        return err_set(e, ERRC_INVALID, 0,
                       "database: steps of its schema are missing (%u, up to version %u): run "
                       "weir-controlplane --migrate",
                       s->missing, newest());
    if (s->has_weir || s->tables == 0)
        return ERRC_OK;
    if (!s->has_litellm)
        return err_set(e, ERRC_INVALID, 0,
                       "database: it holds %lld tables that are not LiteLLM's: name an empty one",
                       (long long)s->tables);
    print_plan(s, out);
    if (!adopt)
        return err_set(e, ERRC_INVALID, 0,
                       "database: made by LiteLLM; to use it start once with --adopt");
    return ERRC_OK;
}

static enum errc run(struct tx *tx, const char *schema, enum migrate_mode mode, bool adopt,
                     FILE *out, struct err *e)
{
    struct state s = look(tx, schema);
    enum errc rc = tx_ok(tx) ? judge(&s, mode, adopt, out, e) : ERRC_OK;

    if (rc || mode == MIGRATE_VERIFY || !tx_ok(tx))
        return rc;
    rc = lock(tx, e);
    if (rc)
        return rc;
    s = look(tx, schema); /* another one may have been faster */
    make_schema(tx);
    for (const struct embedded *m = migrations; m->name && tx_ok(tx); m++) {
        if (is_done(&s, m))
            continue;
        bool skip = s.is_adopted && is_litellms(m);
        (void)fprintf(out, "  %s%s\n", m->name, skip ? ": left as LiteLLM made it" : "");
        step(tx, m, skip);
    }
    watch(tx, schema, out);
    (void)TX_QUERY0(tx, "SELECT pg_advisory_unlock(7311022, 1)");
    return ERRC_OK;
}

enum errc migrate(const struct db_options *o, struct db_health *h, enum migrate_mode mode,
                  bool adopt, const struct db_wait *w, FILE *out, struct err *e)
{
    struct db_options own = *o;
    AUTO_FREE(db) struct db *db = NULL;
    struct arena arena;
    struct tx tx;

    own.max_conns = 1;
    own.statement_timeout_ms = STATEMENT_MS;
    own.no_prepare = true;
    enum errc rc = db_new(&db, &own, h, e);
    if (rc)
        return rc;
    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, db, &arena, w);
    rc = run(&tx, o->schema, mode, adopt, out, e);
    if (!rc && !tx_ok(&tx))
        rc = err_set(e, errc_from_fault(tx.fault), 0, "database: %s", tx.err.msg);
    tx_end(&tx);
    arena_reset(&arena);
    return rc;
}
