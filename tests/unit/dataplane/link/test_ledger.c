/* A record's three fates: the message in the spool, the access line, the settling of a dead worker.
 */

#include <sys/mman.h>

#include "link/access.h"
#include "link/settle.h"
#include "link/usage_pack.h"
#include "tests/unit/test.h"
#include "weir.pb-c.h"

union any_record {
    struct record r;
    char bytes[RECORD_MAX];
};

static const struct counters no_counters;

static struct record *example(union any_record *u)
{
    struct record *r = &u->r;

    record_init(r);
    r->flags = RECORD_SPOOL | RECORD_ACCESS | RECORD_STREAM | RECORD_REUSED;
    r->status = 200;
    r->upstream_status = 200;
    r->attempt = 2;
    r->start_us = INT64_C(1795183448123456);
    r->first_us = r->start_us + 210000;
    r->end_us = r->start_us + 1234567;
    r->total_ns = 1234567890;
    r->upstream_ns = 1200000999;
    r->first_byte_ns = 210000000;
    r->connect_ns = 999;
    r->overhead_ns = 84100;
    r->bytes_in = 312;
    r->bytes_out = 4711;
    r->upstream_bytes_in = 4699;
    r->upstream_bytes_out = 290;
    r->usage = (struct usage){.input = 10,
                              .cache_read = 5,
                              .output = 20,
                              .reasoning = 7,
                              .seen = 1,
                              .tier = TIER_FLEX,
                              .web_searches = 3};
    r->cost_nusd = 1234500;
    r->input_nusd = 1000000;
    r->output_nusd = 234500;
    record_set(r, RS_REQUEST_ID, STR("0190-abc"));
    record_set(r, RS_MODEL, STR("gpt \"5\"\n\\"));
    record_set(r, RS_GROUP, STR("gr\xc3\xbcn \xff\xed\xa0\x80"));
    record_set(r, RS_DEPLOYMENT, STR("d-1"));
    record_set(r, RS_PROVIDER, STR("openai"));
    record_set(r, RS_API_BASE, STR("https://api.openai.com/v1"));
    record_set(r, RS_KEY, STR("0123abcd"));
    record_set(r, RS_CLIENT_IP, STR("127.0.0.1"));
    return r;
}

static void test_access_line_is_golden(void **state)
{
    char line[ACCESS_LINE_MAX];
    union any_record u;

    (void)state;
    size_t n = access_format(line, example(&u));
    assert_str(((struct str){line, n}),
               "{\"time\":\"2026-11-20T14:04:09.358023Z\",\"request_id\":\"0190-abc\","
               "\"route\":\"/chat/completions\",\"status\":200,"
               "\"client_ip\":\"127.0.0.1\",\"model\":\"gpt \\\"5\\\"\\u000a\\\\\","
               "\"group\":\"gr\xc3\xbcn \\ufffd\\ufffd\\ufffd\\ufffd\",\"deployment\":\"d-1\","
               "\"provider\":\"openai\",\"api_base\":\"https://api.openai.com/v1\","
               "\"stream\":true,\"attempts\":2,\"bytes_in\":312,\"bytes_out\":4711,"
               "\"total_ms\":1234.567,\"connect_ms\":0.000,\"first_byte_ms\":210.000,"
               "\"upstream_ms\":1200.000,\"overhead_ms\":0.084,\"prompt_tokens\":15,"
               "\"completion_tokens\":27,\"cached_tokens\":5,\"cost_usd\":0.0012345}\n");
}

static void test_access_line_leaves_out_what_is_usual(void **state)
{
    static const struct {
        struct str model, group, upstream_model;
        const char *names;
    } rows[] = {
        {STR_INIT("m"), STR_INIT("m"), STR_INIT("m"), "\"model\":\"m\""},
        {STR_INIT("m"), STR_INIT("m"), STR_INIT("u"), "\"model\":\"m\",\"upstream_model\":\"u\""},
        {STR_INIT("m"), STR_INIT("g"), STR_INIT("g"), "\"model\":\"m\",\"group\":\"g\""},
        {STR_INIT("m"), STR_INIT("g"), STR_INIT("m"),
         "\"model\":\"m\",\"group\":\"g\",\"upstream_model\":\"m\""},
    };
    char line[ACCESS_LINE_MAX], want[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        union any_record u;
        struct record *r = &u.r;

        record_init(r);
        r->status = 502;
        r->upstream_status = 500;
        r->attempt = 1;
        r->end_us = INT64_C(1795183448123456);
        record_set(r, RS_REQUEST_ID, STR("id"));
        record_set(r, RS_MODEL, rows[i].model);
        record_set(r, RS_GROUP, rows[i].group);
        record_set(r, RS_UPSTREAM_MODEL, rows[i].upstream_model);
        (void)snprintf(want, sizeof want,
                       "{\"time\":\"2026-11-20T14:04:08.123456Z\",\"request_id\":\"id\","
                       "\"route\":\"/chat/completions\",\"status\":502,\"upstream_status\":500,%s,"
                       "\"bytes_in\":0,\"bytes_out\":0,\"total_ms\":0.000,\"first_byte_ms\":0.000,"
                       "\"upstream_ms\":0.000,\"overhead_ms\":0.000,\"prompt_tokens\":0,"
                       "\"completion_tokens\":0,\"cost_usd\":0}\n",
                       rows[i].names);
        size_t n = access_format(line, r);
        assert_str(((struct str){line, n}), want);
    }
}

static void test_access_line_has_no_key(void **state)
{
    char line[ACCESS_LINE_MAX];
    union any_record u;

    (void)state;
    size_t n = access_format(line, example(&u));
    assert_int_equal(str_find((struct str){line, n}, STR("0123abcd")), SIZE_MAX);
}

/* Every byte of the record's texts as long as it can get. */
static void test_longest_line_fits(void **state)
{
    char line[ACCESS_LINE_MAX], text[RECORD_MAX];
    union any_record u;

    (void)state;
    memset(&u, 0xff, sizeof u);
    memset(text, 1, sizeof text);
    struct record *r = &u.r;
    r->size = sizeof *r;
    r->route = 255;
    memset(r->at, 0, sizeof r->at);
    memset(r->len, 0, sizeof r->len);
    record_set(r, RS_MODEL, (struct str){text, sizeof text});
    size_t n = access_format(line, r);
    assert_true(n < sizeof line);
    assert_true(n > 6 * (RECORD_MAX - sizeof *r));
    assert_int_equal(line[n - 1], '\n');
}

static void assert_bytes(ProtobufCBinaryData got, struct str want)
{
    assert_true(str_eq((struct str){(const char *)got.data, got.len}, want));
}

static void test_message_holds_the_record(void **state)
{
    unsigned char packed[USAGE_PACK_MAX];
    union any_record u;
    const struct record *r = example(&u);

    (void)state;
    size_t n = usage_pack(packed, r, 0);
    Weir__UsageRecord *m = weir__usage_record__unpack(NULL, n, packed);
    assert_non_null(m);
    assert_bytes(m->request_id, STR("0190-abc"));
    assert_bytes(m->model, record_get(r, RS_MODEL));
    assert_bytes(m->group, record_get(r, RS_GROUP));
    assert_bytes(m->key, STR("0123abcd"));
    assert_bytes(m->error, (struct str){0});
    assert_int_equal(m->status, 200);
    assert_int_equal(m->attempt, 2);
    assert_true(m->stream && m->reused && !m->died && !m->unpriced && !m->client_gone);
    assert_int_equal(m->start_us, r->start_us);
    assert_int_equal(m->end_us, r->end_us);
    assert_int_equal(m->total_ns, r->total_ns);
    assert_int_equal(m->overhead_ns, r->overhead_ns);
    assert_int_equal(m->upstream_bytes_out, 290);
    assert_int_equal(m->usage->input, 10);
    assert_int_equal(m->usage->cache_read, 5);
    assert_int_equal(m->usage->reasoning, 7);
    assert_int_equal(m->usage->web_searches, 3);
    assert_int_equal(m->usage->tier, TIER_FLEX);
    assert_true(m->usage->seen && !m->usage->estimated);
    assert_int_equal(m->cost_nusd, 1234500);
    assert_int_equal(m->output_nusd, 234500);
    weir__usage_record__free_unpacked(m, NULL);
}

static void test_largest_message_fits(void **state)
{
    unsigned char packed[USAGE_PACK_MAX];
    union any_record u;

    (void)state;
    memset(&u, 0xff, sizeof u);
    memset(u.r.at, 0, sizeof u.r.at);
    memset(u.r.len, 0, sizeof u.r.len);
    u.r.len[RS_MODEL] = RECORD_MAX - sizeof u.r;
    u.r.at[RS_MODEL] = sizeof u.r;
    assert_true(usage_pack(packed, &u.r, 0) <= sizeof packed);
}

static struct region *region_new(void)
{
    struct region *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(r != MAP_FAILED);
    return r;
}

static void test_dead_worker_is_settled_once_with_estimates(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t settled = 0, next;

    (void)state;
    struct record *open = (struct record *)(void *)r->inflight[2].bytes;
    record_init(open);
    open->attempt = 1;
    open->flags = RECORD_STREAM;
    open->bytes_in = 400;
    open->upstream_bytes_in = 2400;
    record_set(open, RS_REQUEST_ID, STR("lost"));
    inflight_open(r, &r->inflight[2]);
    struct record *told = (struct record *)(void *)r->inflight[0].bytes;
    record_init(told);
    told->attempt = 1;
    told->usage = (struct usage){.input = 9, .output = 3, .seen = 1};
    inflight_open(r, &r->inflight[0]);
    struct record *ended = example((union any_record *)(void *)r->inflight[1].bytes);
    inflight_open(r, &r->inflight[1]);
    int64_t end_us = ended->end_us;

    assert_true(region_settle(r, NULL, &no_counters, &settled));
    assert_int_equal(settled, 3);
    assert_true(region_settle(r, NULL, &no_counters, &settled));
    assert_int_equal(settled, 3);

    assert_int_equal(ring_peek(r, 0, &u.r, &next), RING_RECORD);
    assert_int_equal(u.r.usage.input, 9); /* what the provider said stays */
    assert_int_equal(u.r.usage.estimated, 0);
    assert_int_equal(u.r.flags, RECORD_SPOOL | RECORD_ACCESS | RECORD_UNPRICED | RECORD_DIED);
    assert_int_equal(ring_peek(r, next, &u.r, &next), RING_RECORD);
    assert_int_equal(u.r.end_us, end_us); /* it only waited for room */
    assert_false(u.r.flags & RECORD_DIED);
    assert_int_equal(ring_peek(r, next, &u.r, &next), RING_RECORD);
    assert_str(record_get(&u.r, RS_REQUEST_ID), "lost");
    assert_str(record_get(&u.r, RS_ERROR), "worker_died");
    assert_int_equal(u.r.flags,
                     RECORD_SPOOL | RECORD_ACCESS | RECORD_STREAM | RECORD_UNPRICED | RECORD_DIED);
    assert_int_equal(u.r.usage.input, 100);
    assert_int_equal(u.r.usage.output, 10);
    assert_int_equal(u.r.usage.estimated, 1);
    assert_int_equal(ring_peek(r, next, &u.r, &next), RING_EMPTY);
    assert_int_equal(munmap(r, sizeof *r), 0);
}

static void test_settling_waits_for_room(void **state)
{
    struct region *r = region_new();
    uint64_t settled = 0;
    union any_record u;

    (void)state;
    while (ring_put(r, example(&u)))
        ;
    memcpy(r->inflight[0].bytes, &u, sizeof u);
    inflight_open(r, &r->inflight[0]);
    assert_false(region_settle(r, NULL, &no_counters, &settled));
    assert_int_equal(settled, 0);
    ring_release(r, r->ring_head);
    assert_true(region_settle(r, NULL, &no_counters, &settled));
    assert_int_equal(settled, 1);
    assert_int_equal(munmap(r, sizeof *r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access_line_is_golden),
        cmocka_unit_test(test_access_line_leaves_out_what_is_usual),
        cmocka_unit_test(test_access_line_has_no_key),
        cmocka_unit_test(test_longest_line_fits),
        cmocka_unit_test(test_message_holds_the_record),
        cmocka_unit_test(test_largest_message_fits),
        cmocka_unit_test(test_dead_worker_is_settled_once_with_estimates),
        cmocka_unit_test(test_settling_waits_for_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
