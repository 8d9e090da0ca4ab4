/*
 * weir-bench-ingest CONNINFO RECORDS [THREADS [MERGE [KEYS [RECORDS-OF-A-BATCH]]]]: made-up spools
 * through the ingest of the control plane into a database that weir-controlplane --migrate made.
 * Each thread has a spool and a connection of its own, and takes MERGE batches in a transaction.
 * Prints a line of JSON: records a second, and what the process needed.
 *
 * Keys, users and teams are those that bench/harness/ingest.py makes: key-N, user-N, team-N. Keys
 * are chosen unevenly, as they are in life: half of the traffic comes from a tenth of them, each
 * has a client, a few models and a tag or two of its own.
 */

#include "ingest/ingest.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/gateway/spool_record.h"
#include "common/log.h"
#include "common/num.h"

#include "store/catalog.h"

enum { MODELS = 12, MODELS_OF_A_KEY = 3, END_USERS = 5000, TAGS = 8, THREADS_MAX = 8 };

static struct {
    const struct catalog *catalog;
    struct ingest *ingest;
    struct db *db;
    uint64_t records; /* of a thread */
    uint32_t merge, keys, batch;
    int64_t start_us;
} all;

struct maker {
    pthread_t thread;
    unsigned number;
    uint64_t state, made, taken;
    uint8_t spool[INGEST_SPOOL_ID];
    uint64_t offset;
    uint64_t longest_ns;
};

static uint64_t draw(struct maker *m, uint64_t below)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return m->state % below;
}

static ProtobufCBinaryData text(char *out, size_t cap, const char *fmt, ...) PRINTF(3, 4);

static ProtobufCBinaryData text(char *out, size_t cap, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(out, cap, fmt, ap);
    va_end(ap);
    return (ProtobufCBinaryData){(size_t)n, (uint8_t *)out};
}

#define TEXT(...) text(texts[n_texts++], sizeof texts[0], __VA_ARGS__)

static size_t make(struct maker *m, unsigned char *out)
{
    enum { TEXTS = 24 };
    char texts[TEXTS][96];
    unsigned n_texts = 0;
    uint64_t seq = m->made++;
    Weir__UsageRecord r;
    Weir__Usage u;

    weir__usage_record__init(&r);
    weir__usage__init(&u);
    uint64_t key = draw(m, 2) ? draw(m, all.keys / 10 + 1) : draw(m, all.keys);
    uint64_t model = (key + draw(m, MODELS_OF_A_KEY)) % MODELS;
    r.request_id = TEXT("%08llx-0000-4000-8000-%04x%08llx", (unsigned long long)seq, m->number,
                        (unsigned long long)draw(m, UINT32_MAX));
    r.response_id = TEXT("chatcmpl-%016llx%016llx", (unsigned long long)draw(m, UINT64_MAX),
                         (unsigned long long)seq);
    r.model = r.group = TEXT("model-%llu", (unsigned long long)model);
    r.upstream_model = TEXT("gpt-4o-mini-2024-07-18-%llu", (unsigned long long)model);
    r.deployment = TEXT("%064llx", (unsigned long long)model);
    r.provider = TEXT("openai");
    r.api_base = TEXT("https://api.openai.com/v1");
    r.key = TEXT("key-%llu", (unsigned long long)key);
    r.key_alias = TEXT("alias-%llu", (unsigned long long)key);
    r.user = TEXT("user-%llu", (unsigned long long)(key / 2));
    r.team = TEXT("team-%llu", (unsigned long long)(key / 10));
    r.organization = TEXT("org-%llu", (unsigned long long)(key / 100));
    r.end_user = draw(m, 4) ? (ProtobufCBinaryData){0, NULL}
                            : TEXT("end-user-%llu", (unsigned long long)draw(m, END_USERS));
    r.client_ip = TEXT("10.0.%u.%u", (unsigned)draw(m, 256), (unsigned)draw(m, 256));
    r.user_agent = TEXT("OpenAI/Python 1.%u.0", (unsigned)(key % 4));
    ProtobufCBinaryData tags[] = {
        TEXT("tag-%llu", (unsigned long long)((key + draw(m, 2)) % TAGS))};
    r.tags = tags;
    r.n_tags = ARRAY_LEN(tags);
    r.api = 0;
    r.attempt = 1;
    r.stream = true;
    r.status = r.upstream_status = 200;
    r.start_us = all.start_us + (int64_t)seq * 20;
    r.first_us = r.start_us + 300000;
    r.end_us = r.start_us + 900000;
    r.total_ns = 900000000;
    r.upstream_ns = 899000000;
    r.first_byte_ns = 299000000;
    r.overhead_ns = 180000;
    r.bytes_in = 900 + draw(m, 3000);
    r.bytes_out = 9000 + draw(m, 3000);
    u.input = 200 + draw(m, 2000);
    u.cache_read = draw(m, 3) ? 0 : 1024;
    u.output = 10 + draw(m, 500);
    u.reasoning = draw(m, 5) ? 0 : draw(m, 300);
    u.seen = true;
    r.usage = &u;
    r.input_nusd = (int64_t)u.input * 150;
    r.cache_read_nusd = (int64_t)u.cache_read * 75;
    r.output_nusd = (int64_t)(u.output + u.reasoning) * 600;
    r.cost_nusd = r.input_nusd + r.cache_read_nusd + r.output_nusd;

    struct spool_id id = {.epoch = (uint64_t)all.start_us, .region = m->number, .seq = seq};
    size_t n = weir__usage_record__pack(&r, out + SPOOL_HEAD);
    return spool_record_seal(out, &id, SPOOL_USAGE, n);
}

static void fail(const char *what, const struct err *e)
{
    (void)fprintf(stderr, "weir-bench-ingest: %s: %s\n", what, e->msg);
    _exit(2);
}

static void *maker_main(void *arg)
{
    struct maker *m = arg;
    unsigned char *bytes = malloc((size_t)all.merge * INGEST_BATCH_MAX);
    Weir__UsageBatch batches[INGEST_MERGE_MAX];
    const Weir__UsageBatch *refs[INGEST_MERGE_MAX];
    Weir__UsageTaken taken[INGEST_MERGE_MAX];
    struct err e = {0};

    while (bytes && m->made < all.records) {
        size_t n = 0;
        for (; n < all.merge && m->made < all.records; n++) {
            unsigned char *at = bytes + n * INGEST_BATCH_MAX;
            size_t used = 0;
            for (unsigned i = 0; i < all.batch && m->made < all.records &&
                                 used + SPOOL_RECORD_MOST <= INGEST_BATCH_MAX;
                 i++)
                used += make(m, at + used);
            Weir__UsageBatch *b = &batches[n];
            weir__usage_batch__init(b);
            b->spool = (ProtobufCBinaryData){sizeof m->spool, m->spool};
            b->segment = b->next_segment = 1;
            b->from = m->offset;
            b->records = (ProtobufCBinaryData){used, at};
            m->offset += used;
            b->next_offset = m->offset;
            refs[n] = b;
        }
        uint64_t from = clock_mono_ns();
        if (ingest_batches(all.ingest, all.db, refs, n, taken, &e))
            fail("ingest", &e);
        m->longest_ns = MAX(m->longest_ns, clock_mono_ns() - from);
        if (taken[n - 1].offset != m->offset)
            fail("the cursor stands elsewhere", &e);
        m->taken = m->made;
    }
    free(bytes);
    return NULL;
}

static uint32_t argument(int argc, char **argv, int i, uint32_t otherwise)
{
    uint32_t v = otherwise;

    if (i < argc && !num_u32(str_of(argv[i]), &v)) {
        (void)fprintf(stderr, "weir-bench-ingest: %s is no number\n", argv[i]);
        _exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    struct db_options o = {.schema = "public",
                           .name = "weir-ingest",
                           .statement_timeout_ms = INGEST_STATEMENT_MS,
                           .writes_much = true};
    struct maker makers[THREADS_MAX] = {0};
    struct db_health *health = NULL;
    struct catalog *catalog = NULL;
    struct err e = {0};
    struct arena a;
    struct tx tx;

    if (argc < 3)
        return 2;
    uint32_t records = argument(argc, argv, 2, 0);
    uint32_t threads = MIN(argument(argc, argv, 3, 1), (uint32_t)THREADS_MAX);
    all.merge = MIN(argument(argc, argv, 4, 8), (uint32_t)INGEST_MERGE_MAX);
    all.keys = argument(argc, argv, 5, 1000);
    all.batch = argument(argc, argv, 6, UINT32_MAX);
    all.records = records / threads;
    all.start_us = clock_wall_us();
    o.conninfo = argv[1];
    o.max_conns = threads;
    if (db_health_new(&health, &e) || db_new(&all.db, &o, health, &e))
        fail("database", &e);
    struct db_wait w = {.deadline_ns = clock_mono_ns() + UINT64_C(10000000000), .wake_fd = -1};
    arena_init(&a, NULL, 16 << 20);
    tx_init(&tx, all.db, &a, &w);
    if (catalog_load(&catalog, &tx, o.schema, &e))
        fail("catalogue", &e);
    tx_end(&tx);
    arena_reset(&a);
    if (ingest_new(&all.ingest, &(struct ingest_options){.catalog = catalog}, &e))
        fail("ingest", &e);

    uint64_t from = clock_mono_ns(), made = 0, longest = 0;
    for (unsigned i = 0; i < threads; i++) {
        makers[i] = (struct maker){.number = i + 1, .state = (uint64_t)all.start_us + i};
        memcpy(makers[i].spool, &all.start_us, sizeof all.start_us);
        makers[i].spool[15] = (uint8_t)i;
        if (pthread_create(&makers[i].thread, NULL, maker_main, &makers[i]))
            fail("thread", &e);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(makers[i].thread, NULL);
        made += makers[i].taken;
        longest = MAX(longest, makers[i].longest_ns);
    }
    double s = (double)(clock_mono_ns() - from) / 1e9;
    struct rusage ru;
    (void)getrusage(RUSAGE_SELF, &ru);
    (void)printf("{\"records\": %llu, \"seconds\": %.3f, \"per_s\": %.0f, \"longest_ms\": %.1f,"
                 " \"cpu_s\": %.3f, \"peak_kib\": %ld}\n",
                 (unsigned long long)made, s, (double)made / s, (double)longest / 1e6,
                 (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6 +
                     (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6,
                 ru.ru_maxrss);
    all.ingest = ingest_free(all.ingest);
    catalog = catalog_free(catalog);
    all.db = db_free(all.db);
    health = db_health_free(health);
    return 0;
}
