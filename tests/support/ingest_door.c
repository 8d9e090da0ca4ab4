/*
 * The ingest of the control plane without a control plane, for tests: each line of standard input
 * is batches for one transaction, each answer a line of JSON (tests/support/spool.py).
 *
 *   ingest_door CONNINFO [no_agent_tags] [begins_periods]
 *
 *   [{"spool": hex, "segment", "from", "records": hex, "next_segment", "next_offset",
 *     "after_segment"?, "after_offset"?}, ...]
 *   {"taken": [[segment, offset], ...], "records", "refused", "damaged", "gaps"} or {"error",
 * "why"}
 */

#include <unistd.h>
#include <yyjson.h>

#include "common/clock.h"
#include "common/jw.h"
#include "common/log.h"

#include "ingest/ingest.h"
#include "store/catalog.h"

enum { ARENA_MAX = 64 << 20 };

static void fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "ingest_door: %s: %s\n", what, e->msg);
    _exit(2);
}

static ProtobufCBinaryData unhex(struct arena *a, yyjson_val *v)
{
    const char *s = yyjson_get_str(v);
    size_t n = yyjson_get_len(v) / 2;
    uint8_t *out = arena_alloc(a, n + 1);

    for (size_t i = 0; out && i < 2 * n; i++) {
        uint8_t digit = (uint8_t)(s[i] <= '9' ? s[i] - '0' : s[i] - 'a' + 10);
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
    return (ProtobufCBinaryData){n, out};
}

static uint64_t number(yyjson_val *of, const char *name)
{
    return yyjson_get_uint(yyjson_obj_get(of, name));
}

static void put(struct jw *w, const char *name, uint64_t v)
{
    jw_key(w, str_of(name));
    jw_put_u64(w, v);
}

static struct str answer(struct ingest *in, struct db *db, yyjson_val *root, struct arena *a)
{
    Weir__UsageBatch batches[INGEST_MERGE_MAX];
    const Weir__UsageBatch *refs[INGEST_MERGE_MAX];
    Weir__UsageTaken taken[INGEST_MERGE_MAX];
    struct jw w = jw_init(a);
    struct err e = {0};
    yyjson_val *v;
    size_t i, max;

    yyjson_arr_foreach(root, i, max, v)
    {
        ASSERT(i < INGEST_MERGE_MAX);
        weir__usage_batch__init(&batches[i]);
        batches[i].spool = unhex(a, yyjson_obj_get(v, "spool"));
        batches[i].segment = number(v, "segment");
        batches[i].from = number(v, "from");
        batches[i].records = unhex(a, yyjson_obj_get(v, "records"));
        batches[i].next_segment = number(v, "next_segment");
        batches[i].next_offset = number(v, "next_offset");
        batches[i].after_segment = number(v, "after_segment");
        batches[i].after_offset = number(v, "after_offset");
        refs[i] = &batches[i];
    }
    enum errc rc = ingest_batches(in, db, refs, max, taken, &e);
    struct ingest_totals t = ingest_totals(in);
    jw_obj(&w);
    jw_key(&w, rc ? STR("error") : STR("taken"));
    if (rc) {
        jw_put_str(&w, str_of(errc_name(rc)));
        jw_key(&w, STR("why"));
        jw_put_str(&w, str_of(e.msg));
    } else {
        jw_arr(&w);
        for (i = 0; i < max; i++) {
            jw_arr(&w);
            jw_put_u64(&w, taken[i].segment);
            jw_put_u64(&w, taken[i].offset);
            jw_end(&w);
        }
        jw_end(&w);
    }
    put(&w, "records", t.records);
    put(&w, "refused", t.refused);
    put(&w, "damaged", t.damaged);
    put(&w, "gaps", t.gaps);
    jw_end(&w);
    return jw_finish(&w);
}

int main(int argc, char **argv)
{
    struct db_options o = {.schema = "public",
                           .name = "weir-ingest",
                           .max_conns = 1,
                           .statement_timeout_ms = INGEST_STATEMENT_MS,
                           .writes_much = true};
    struct db_health *health = NULL;
    struct catalog *catalog = NULL;
    struct ingest *in = NULL;
    struct db *db = NULL;
    struct err e = {0};
    struct arena a;
    struct tx tx;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (argc < 2)
        return 2;
    o.conninfo = argv[1];
    if (db_health_new(&health, &e) || db_new(&db, &o, health, &e))
        fail("database", &e);
    struct db_wait w = {.deadline_ns = clock_mono_ns() + UINT64_C(10000000000), .wake_fd = -1};
    arena_init(&a, NULL, ARENA_MAX);
    tx_init(&tx, db, &a, &w);
    if (catalog_load(&catalog, &tx, o.schema, &e))
        fail("catalogue", &e);
    tx_end(&tx);
    struct ingest_options io = {
        .catalog = catalog, .zone = STR("Europe/Berlin"), .standard_budget = STR("standard")};
    for (int i = 2; i < argc; i++) {
        io.no_agent_tags |= !strcmp(argv[i], "no_agent_tags");
        io.begins_periods |= !strcmp(argv[i], "begins_periods");
    }
    if (ingest_new(&in, &io, &e))
        fail("ingest", &e);
    while ((n = getline(&line, &cap, stdin)) > 0) {
        yyjson_doc *doc = yyjson_read(line, (size_t)n, 0);
        arena_reset(&a);
        struct str out = answer(in, db, yyjson_doc_get_root(doc), &a);
        yyjson_doc_free(doc);
        (void)printf(STR_FMT "\n", STR_ARG(out));
        (void)fflush(stdout);
    }
    free(line);
    arena_reset(&a);
    in = ingest_free(in);
    catalog = catalog_free(catalog);
    db = db_free(db);
    health = db_health_free(health);
    return 0;
}
