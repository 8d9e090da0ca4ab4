/*
 * weir-bench-spool DIR RECORDS KEYS SECONDS: a spool as a data plane keeps it while its control
 * plane is away, RECORDS over the last SECONDS. Keys are the 64 hex digits of 0 .. KEYS-1, of users
 * user-N and teams team-N. Prints a line of JSON: what all of it costs.
 */

#include "link/spool.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/clock.h"
#include "common/num.h"

#include "weir.pb-c.h"

enum { TEXTS = 16, TEXT_MAX = 96, MODELS = 8 };

struct texts {
    char of[TEXTS][TEXT_MAX];
    unsigned n;
};

static ProtobufCBinaryData text(struct texts *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static ProtobufCBinaryData text(struct texts *t, const char *fmt, ...)
{
    char *out = t->of[t->n++];
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(out, TEXT_MAX, fmt, ap);
    va_end(ap);
    return (ProtobufCBinaryData){(size_t)len, (uint8_t *)out};
}

/* Record `i`, at that time; what it costs. */
static int64_t put(struct spool *s, unsigned char *body, uint64_t i, uint64_t keys, int64_t us)
{
    struct texts t = {.n = 0};
    Weir__UsageRecord r;
    Weir__Usage u;
    uint64_t key = (i * 2654435761u) % keys;

    weir__usage_record__init(&r);
    weir__usage__init(&u);
    r.request_id = text(&t, "%08" PRIx64 "-0000-4000-8000-000000000000", i);
    r.response_id = text(&t, "chatcmpl-%032" PRIx64, i);
    r.model = r.group = text(&t, "model-%" PRIu64, i % MODELS);
    r.upstream_model = text(&t, "gpt-4o-mini-2024-07-18-%" PRIu64, i % MODELS);
    r.deployment = text(&t, "%064" PRIx64, i % MODELS);
    r.provider = text(&t, "openai");
    r.api_base = text(&t, "https://api.openai.com/v1");
    r.key = text(&t, "%064" PRIx64, key);
    r.user = text(&t, "user-%" PRIu64, key / 2);
    r.team = text(&t, "team-%" PRIu64, key / 10);
    r.client_ip = text(&t, "10.0.0.%" PRIu64, i % 250);
    r.attempt = 1;
    r.stream = true;
    r.status = r.upstream_status = 200;
    r.start_us = us - 900000;
    r.first_us = us - 600000;
    r.end_us = us;
    r.total_ns = 900000000;
    r.upstream_ns = 899000000;
    u.input = 200 + i % 2000;
    u.output = 10 + i % 500;
    u.seen = true;
    r.usage = &u;
    r.input_nusd = (int64_t)u.input * 150;
    r.output_nusd = (int64_t)u.output * 600;
    r.cost_nusd = r.input_nusd + r.output_nusd;
    const struct spool_id id = {.epoch = 1, .region = UINT32_MAX, .seq = i};
    spool_end(s, &id, SPOOL_USAGE, weir__usage_record__pack(&r, body));
    return r.cost_nusd;
}

static enum errc fill(struct spool *s, uint64_t records, uint64_t keys, uint64_t seconds,
                      int64_t *ret_nusd, struct err *e)
{
    int64_t from_us = clock_wall_us() - (int64_t)seconds * 1000000;

    *ret_nusd = 0;
    for (uint64_t i = 0; i < records; i++) {
        unsigned char *body = spool_begin(s);
        if (!body) {
            enum errc rc = spool_flush(s, e);
            if (rc)
                return rc;
            body = spool_begin(s);
        }
        int64_t us = from_us + (int64_t)(i * seconds * 1000000 / records);
        *ret_nusd += put(s, body, i, keys, us);
    }
    return spool_flush(s, e);
}

int main(int argc, char **argv)
{
    uint64_t records, keys, seconds;
    struct spool *s;
    struct err e;
    int64_t nusd;

    if (argc != 5 || !num_u64(str_of(argv[2]), &records) || !num_u64(str_of(argv[3]), &keys) ||
        !num_u64(str_of(argv[4]), &seconds) || !records || !keys) {
        (void)fputs("usage: weir-bench-spool DIR RECORDS KEYS SECONDS\n", stderr);
        return 2;
    }
    const struct spool_options o = {.dir = argv[1]};
    enum errc rc = spool_open(&s, &o, NULL, NULL, &e);
    if (!rc)
        rc = fill(s, records, keys, seconds, &nusd, &e);
    if (rc) {
        (void)fprintf(stderr, "weir-bench-spool: %s\n", e.msg);
        return 1;
    }
    (void)printf("{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"nusd\":%" PRIi64 "}\n", records,
                 spool_totals(s).bytes, nusd);
    s = spool_free(s);
    return 0;
}
