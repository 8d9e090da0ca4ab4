/* The records of a batch, without a database. */

#include "../../test.h"
#include "ingest/batch.h"
#include "ingest/ingest.h"
#include "ingest/log_row.h"
#include "ingest/tally.h"

enum { NOW_MS = 1000 };

static struct arena arena;
static uint8_t spool[INGEST_SPOOL_ID] = {0xab};

static ProtobufCBinaryData text(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static Weir__UsageRecord record(void)
{
    Weir__UsageRecord m = WEIR__USAGE_RECORD__INIT;

    m.request_id = text("call");
    m.response_id = text("resp");
    m.key = text("key");
    m.upstream_model = text("gpt-4o");
    m.start_us = INT64_C(1767312000123456);
    m.end_us = INT64_C(1767312001123456);
    m.cost_nusd = 7;
    return m;
}

static size_t put(unsigned char *at, const Weir__UsageRecord *m, uint64_t seq)
{
    size_t n = weir__usage_record__pack(m, at + SPOOL_HEAD);

    return spool_record_seal(at, &(struct spool_id){1, 2, seq}, SPOOL_USAGE, n);
}

static Weir__UsageBatch batch_of(unsigned char *p, size_t n)
{
    Weir__UsageBatch b = WEIR__USAGE_BATCH__INIT;

    b.spool = (ProtobufCBinaryData){sizeof spool, spool};
    b.records = (ProtobufCBinaryData){n, p};
    b.segment = b.next_segment = 3;
    b.from = 1000;
    b.next_offset = 1000 + n;
    return b;
}

static struct batch read_of(const Weir__UsageBatch *b)
{
    struct batch ret;
    struct err e;

    arena_reset(&arena);
    assert_int_equal(batch_read(&ret, b, true, NOW_MS, &arena, &e), ERRC_OK);
    return ret;
}

static struct batch read_one(const Weir__UsageRecord *m)
{
    static unsigned char bytes[SPOOL_RECORD_MOST];
    static Weir__UsageBatch b;

    b = batch_of(bytes, put(bytes, m, 1));
    return read_of(&b);
}

static void test_every_prefix_of_a_batch(void **state)
{
    unsigned char bytes[2048];
    Weir__UsageRecord m = record();
    size_t ends[4] = {0}, n = 0;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        ends[i + 1] = n += put(bytes + n, &m, i);
    for (size_t cut = 0; cut <= n; cut++) {
        Weir__UsageBatch b = batch_of(bytes, cut);
        struct batch got = read_of(&b);
        unsigned whole = 0;
        while (whole < 3 && ends[whole + 1] <= cut)
            whole++;
        assert_int_equal(got.n_spent, whole);
        assert_int_equal(got.damaged, cut != ends[whole]);
        assert_int_equal(got.n_refused, 0);
    }
}

static void test_places_that_cannot_be(void **state)
{
    static const struct spool_place after[] = {{3, 1001}, {4, 0}, {UINT64_MAX, UINT64_MAX}};
    unsigned char bytes[SPOOL_RECORD_MOST];
    Weir__UsageRecord m = record();
    struct batch ret;
    struct err e;

    (void)state;
    Weir__UsageBatch b = batch_of(bytes, put(bytes, &m, 1));
    b.after_segment = 3;
    b.after_offset = 1000;
    assert_int_equal(read_of(&b).after.offset, 1000);
    for (size_t i = 0; i < ARRAY_LEN(after); i++) {
        b.after_segment = after[i].segment;
        b.after_offset = after[i].offset;
        assert_int_equal(batch_read(&ret, &b, true, NOW_MS, &arena, &e), ERRC_INVALID);
    }
}

static void test_every_damaged_byte(void **state)
{
    unsigned char bytes[2048];
    Weir__UsageRecord m = record();
    size_t n = 0, first = put(bytes, &m, 0);

    (void)state;
    n = first;
    size_t second = n += put(bytes + n, &m, 1);
    n += put(bytes + n, &m, 2);
    for (size_t i = first; i < second; i++) {
        bytes[i] ^= 0x40;
        Weir__UsageBatch b = batch_of(bytes, n);
        struct batch got = read_of(&b);
        assert_int_equal(got.n_spent, 2);
        assert_int_equal(got.damaged, 1);
        assert_int_equal(got.spent[1].place.seq, 2);
        assert_int_equal(batch_offset(&got, got.spent[1].raw.p), 1000 + second);
        bytes[i] ^= 0x40;
    }
}

static void test_what_a_record_says(void **state)
{
    Weir__UsageRecord m = record();
    Weir__Usage u = WEIR__USAGE__INIT;

    (void)state;
    u.input = 1;
    u.cache_read = 2;
    u.cache_write = 4;
    u.cache_write_1h = 8;
    u.audio_in = 16;
    u.image_in = 32;
    u.output = 64;
    u.reasoning = 128;
    u.audio_out = 256;
    u.image_out = 512;
    m.usage = &u;
    m.api = 4;
    struct spent *s = read_one(&m).spent;
    assert_int_equal(s->prompt, 63);
    assert_int_equal(s->completion, 960);
    assert_int_equal(s->cache_read, 2);
    assert_int_equal(s->cache_written, 12);
    assert_int_equal(s->nusd, 7);
    assert_int_equal(s->requests, 1);
    assert_int_equal(s->start_ms, INT64_C(1767312000123));
    assert_int_equal(s->first_ms, s->end_ms);
    assert_int_equal(spent_duration_ms(s), 1000);
    assert_str(((struct str){s->date, DATE_TEXT}), "2026-01-02");
    assert_str(spent_call_type(s), "anthropic_messages");
    assert_str(s->spool, "ab000000000000000000000000000000");
    assert_false(s->is_failure);
    m.retried = true;
    assert_int_equal(read_one(&m).spent->requests, 0);
    m.retried = false;
    m.exchanges = 9;
    assert_int_equal(read_one(&m).spent->requests, 9);
}

static void test_dates(void **state)
{
    static const struct {
        int64_t ms;
        const char *date;
    } rows[] = {
        {INT64_C(951782400000), "2000-02-29"},  {INT64_C(951868800000), "2000-03-01"},
        {INT64_C(1709164800000), "2024-02-29"}, {INT64_C(1709251199999), "2024-02-29"},
        {INT64_C(1709251200000), "2024-03-01"}, {INT64_C(1767225599999), "2025-12-31"},
        {INT64_C(1767225600000), "2026-01-01"}, {INT64_C(4107542399999), "2100-02-28"},
        {INT64_C(4107542400000), "2100-03-01"}, {INT64_C(253402214399000), "9999-12-30"},
        {INT64_C(946684800000), "2000-01-01"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Weir__UsageRecord m = record();
        m.start_us = m.end_us = rows[i].ms * 1000;
        struct spent *s = read_one(&m).spent;
        assert_str(((struct str){s->date, DATE_TEXT}), rows[i].date);
        assert_int_equal(s->day, rows[i].ms / 86400000);
    }
}

static void test_times_that_cannot_be(void **state)
{
    static const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, INT64_C(253402300800000000)};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        Weir__UsageRecord m = record();
        m.start_us = bad[i];
        assert_int_equal(read_one(&m).spent->start_ms, INT64_C(1767312001123));
        m.end_us = bad[i];
        assert_int_equal(read_one(&m).spent->start_ms, NOW_MS);
        m = record();
        m.end_us = bad[i];
        m.total_ns = 5000000;
        assert_int_equal(read_one(&m).spent->end_ms, INT64_C(1767312000128));
    }
}

static void test_texts_the_database_takes(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {STR_INIT("plain"), "plain"},
        {STR_INIT("a\0b"), "a?b"},
        {STR_INIT("\xff\xfe"), "??"},
        {STR_INIT("\xc3"), "?"},
        {STR_INIT("\xc3\xbc\xe2\x82\xac\xf0\x9d\x84\x9e"), "\xc3\xbc\xe2\x82\xac\xf0\x9d\x84\x9e"},
        {STR_INIT("\xe2\x82\xac\xe2\x82"), "\xe2\x82\xac??"},
        {STR_INIT("\xed\xa0\x80"), "???"}, /* half a surrogate pair */
        {STR_INIT("\xc0\x80"), "??"},      /* a long NUL */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        Weir__UsageRecord m = record();
        m.end_user = (ProtobufCBinaryData){rows[i].in.n, (uint8_t *)(uintptr_t)rows[i].in.p};
        assert_str(read_one(&m).spent->end_user, rows[i].out);
    }
}

static void test_amounts_no_exchange_has(void **state)
{
    Weir__Usage u = WEIR__USAGE__INIT;
    Weir__UsageRecord m = record();

    (void)state;
    m.usage = &u;
    m.cost_nusd = -1;
    assert_int_equal(read_one(&m).n_refused, 1);
    m.cost_nusd = INT64_MAX;
    assert_int_equal(read_one(&m).n_refused, 1);
    m.cost_nusd = 1;
    u.reasoning = UINT64_MAX;
    assert_int_equal(read_one(&m).n_refused, 1);
    u.reasoning = UINT64_C(1000000000000);
    assert_int_equal(read_one(&m).n_spent, 1);
}

static void test_tags(void **state)
{
    ProtobufCBinaryData tags[40];
    Weir__UsageRecord m = record();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++)
        tags[i] = text(i % 2 ? "b" : "a");
    m.tags = tags;
    m.n_tags = ARRAY_LEN(tags);
    m.user_agent = text("curl/8.1/x");
    struct spent *s = read_one(&m).spent;
    assert_int_equal(s->n_tags, 4);
    assert_str(s->tags[2], "User-Agent: curl");
    assert_str(s->tags[3], "User-Agent: curl/8.1/x");
}

static void test_sums_by_key(void **state)
{
    struct spent s[3] = {{.nusd = 1, .requests = 1},
                         {.nusd = 10, .requests = 1, .is_failure = true}};
    struct tally t;
    char names[1000][8];

    (void)state;
    arena_reset(&arena);
    tally_init(&t, &arena, 2);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
            unsigned k = (i * 7919) % ARRAY_LEN(names);
            (void)snprintf(names[k], sizeof names[k], "%03u", k);
            tally_add(&t, (const struct str[]){STR("x"), str_of(names[k])}, &s[round == 2]);
        }
    tally_add(&t, (const struct str[]){STR("x0"), STR("00")}, &s[0]); /* not the same as x, 000 */
    tally_sort(&t);
    assert_int_equal(t.n, 1001);
    for (unsigned i = 0; i < 1000; i++) {
        assert_str(t.rows[i].key[1], names[i]);
        assert_int_equal(t.rows[i].sum[SUM_NUSD], 12);
        assert_int_equal(t.rows[i].sum[SUM_FAILED], 1);
    }
    struct db_arg sums = tally_sums(&arena, t.rows + 998, 3, SUM_NUSD);
    static const unsigned char as_sent[] = {0, 0, 0, 1, 0, 0,  0, 0, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0,
                                            0, 1, /* one dimension, bigint */
                                            0, 0, 0, 8, 0, 0,  0, 0, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0,
                                            0, 0, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0,  0, 0, 0, 0, 0, 1};
    assert_int_equal(sums.text.n, sizeof as_sent);
    assert_memory_equal(sums.text.p, as_sent, sizeof as_sent);
    struct db_arg none = tally_keys(&arena, t.rows, 0, 1);
    assert_int_equal(none.text.n, 12);
}

static void test_metadata_of_golden_records(void **state)
{
    Weir__UsageRecord m = record();
    Weir__Usage u = WEIR__USAGE__INIT;

    (void)state;
    m.usage = &u;
    u.input = 3;
    u.output = 4;
    m.attempt = 2;
    m.status = 504;
    m.error = text("upstream_timeout");
    m.provider = text("openai");
    m.cost_nusd = 1500000000;
    m.input_nusd = 1;
    m.overhead_ns = 1234567;
    assert_str(
        log_row_metadata(read_one(&m).spent, &arena),
        "{\"user_api_key\":\"key\",\"user_api_key_alias\":null,\"user_api_key_team_id\":null,"
        "\"user_api_key_user_id\":null,\"user_api_key_org_id\":null,"
        "\"user_api_key_project_id\":null,\"requester_ip_address\":null,\"user_agent\":null,"
        "\"litellm_call_id\":\"call\",\"status\":\"failure\",\"usage_object\":{\"prompt_tokens\":3,"
        "\"completion_tokens\":4,\"total_tokens\":7,\"prompt_tokens_details\":{\"text_tokens\":3},"
        "\"completion_tokens_details\":{\"text_tokens\":4}},\"additional_usage_values\":{},"
        "\"cost_breakdown\":{\"input_cost\":1e-09,\"output_cost\":0,\"total_cost\":1.5},"
        "\"litellm_overhead_time_ms\":1.234,\"attempted_retries\":1,\"error_information\":{"
        "\"error_code\":\"504\",\"error_class\":\"Timeout\",\"llm_provider\":\"openai\","
        "\"error_message\":\"upstream_timeout\",\"traceback\":\"\"},\"weir\":{\"response_id\":"
        "\"resp\",\"error\":\"upstream_timeout\",\"attempt\":2,\"status\":504,"
        "\"upstream_status\":0,\"upstream_ms\":0,\"first_byte_ms\":0,\"connect_ms\":0,"
        "\"bytes_in\":0,\"bytes_out\":0}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_prefix_of_a_batch),
        cmocka_unit_test(test_places_that_cannot_be),
        cmocka_unit_test(test_every_damaged_byte),
        cmocka_unit_test(test_what_a_record_says),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_times_that_cannot_be),
        cmocka_unit_test(test_texts_the_database_takes),
        cmocka_unit_test(test_amounts_no_exchange_has),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_sums_by_key),
        cmocka_unit_test(test_metadata_of_golden_records),
    };

    arena_init(&arena, NULL, 16 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_reset(&arena);
    return failed;
}
