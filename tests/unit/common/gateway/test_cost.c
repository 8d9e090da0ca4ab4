/*
 * Costs: tests/cases/cost/vectors.txt holds prices and usages with their cost worked out in exact
 * fractions; the cases here are the ones a person can check by hand.
 */

#include "common/gateway/cost.h"
#include "common/num.h"

#include "tests/unit/test.h"

static const struct {
    struct str name;
    size_t at;
} buckets[] = {
#define BUCKET(id)                                                                                 \
    {                                                                                              \
        STR_INIT(#id), offsetof(struct usage, id)                                                  \
    }
    BUCKET(input),     BUCKET(cache_read), BUCKET(cache_write), BUCKET(cache_write_1h),
    BUCKET(audio_in),  BUCKET(image_in),   BUCKET(output),      BUCKET(reasoning),
    BUCKET(audio_out), BUCKET(image_out),
#undef BUCKET
};

static void usage_read(struct usage *u, struct str name, struct str value)
{
    uint64_t v;

    assert_true(num_u64(value, &v));
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
        if (str_eq(name, buckets[i].name)) {
            memcpy((char *)u + buckets[i].at, &v, sizeof v);
            return;
        }
    if (str_eq(name, STR("tier")))
        u->tier = (uint8_t)v;
    else if (str_eq(name, STR("web_searches")))
        u->web_searches = (uint32_t)v;
    else
        fail_msg(STR_FMT, STR_ARG(name));
}

static void vector_check(struct str line)
{
    struct str price_text, usage_text, want, rest, word, name, value;
    struct usage u = {0};
    struct price p;
    struct cost c;
    int64_t v[6];

    assert_true(str_cut(line, '|', &price_text, &rest) && str_cut(rest, '|', &usage_text, &want));
    price_init(&p);
    for (price_text = str_trim(price_text); price_text.n;) {
        str_cut(price_text, ' ', &word, &price_text);
        assert_true(str_cut(word, '=', &name, &value));
        assert_int_equal(price_set(&p, name, value), PRICE_FIELD_SET);
    }
    for (usage_text = str_trim(usage_text); usage_text.n;) {
        str_cut(usage_text, ' ', &word, &usage_text);
        assert_true(str_cut(word, '=', &name, &value));
        usage_read(&u, name, value);
    }
    want = str_trim(want);
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        str_cut(want, ' ', &word, &want);
        assert_true(num_i64(word, &v[i]));
    }
    cost_of(&c, &p, &u);
    if (c.total_nusd != v[0] || c.input_nusd != v[1] || c.output_nusd != v[2] ||
        c.cache_read_nusd != v[3] || c.cache_write_nusd != v[4] || c.unpriced != v[5])
        fail_msg(STR_FMT ": got %lld %lld %lld %lld %lld %d", STR_ARG(line),
                 (long long)c.total_nusd, (long long)c.input_nusd, (long long)c.output_nusd,
                 (long long)c.cache_read_nusd, (long long)c.cache_write_nusd, c.unpriced);
}

static void test_vectors(void **state)
{
    FILE *f = fopen("tests/cases/cost/vectors.txt", "r");
    char line[4096];
    unsigned n = 0;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct str s = str_of(line);
        if (line[0] == '#')
            continue;
        assert_true(str_ends(s, STR("\n")));
        s.n--;
        vector_check(s);
        n++;
    }
    fclose(f);
    assert_true(n >= 300);
}

/* A price with some fields set. */
static struct price price_with(const char *const *fields)
{
    struct price p;

    price_init(&p);
    for (; fields[0]; fields += 2)
        assert_int_equal(price_set(&p, str_of(fields[0]), str_of(fields[1])), PRICE_FIELD_SET);
    return p;
}

#define PRICE_WITH(...) price_with((const char *const[]){__VA_ARGS__, NULL})

static void test_rounds_once_and_half_up(void **state)
{
    /* 0.0005 nano-dollars a token */
    const struct price p =
        PRICE_WITH("input_cost_per_token", "5e-13", "output_cost_per_token", "1e-12");
    struct cost c;

    (void)state;
    assert_int_equal(p.item[PRICE_INPUT], 1); /* rounded to a pico-dollar when it was read */
    cost_of(&c, &p, &(struct usage){.input = 499});
    assert_int_equal(c.total_nusd, 0);
    cost_of(&c, &p, &(struct usage){.input = 500});
    assert_int_equal(c.total_nusd, 1);
    cost_of(&c, &p, &(struct usage){.input = 300, .output = 300});
    assert_int_equal(c.total_nusd, 1); /* the sum is rounded, not the parts */
    assert_int_equal(c.input_nusd, 0);
    assert_int_equal(c.output_nusd, 0);
}

static void test_a_plain_chat(void **state)
{
    const struct price p = PRICE_WITH("input_cost_per_token", "2.5e-06", "output_cost_per_token",
                                      "1e-05", "cache_read_input_token_cost", "1.25e-06");
    struct cost c;

    (void)state;
    cost_of(&c, &p, &(struct usage){.input = 1000, .cache_read = 400, .output = 200});
    assert_int_equal(c.input_nusd, 2500000);
    assert_int_equal(c.cache_read_nusd, 500000);
    assert_int_equal(c.output_nusd, 2000000);
    assert_int_equal(c.total_nusd, 5000000);
    assert_false(c.unpriced);
}

static void test_what_has_no_price_shows(void **state)
{
    const struct price p = PRICE_WITH("input_cost_per_token", "1e-06");
    struct price none;
    struct cost c;

    (void)state;
    cost_of(&c, &p, &(struct usage){.input = 10, .output = 1});
    assert_true(c.unpriced);
    assert_int_equal(c.total_nusd, 10000);
    cost_of(&c, &p, &(struct usage){.input = 10, .web_searches = 1});
    assert_true(c.unpriced);
    cost_of(&c, &p, &(struct usage){.input = 10});
    assert_false(c.unpriced);
    price_init(&none);
    cost_of(&c, &none, &(struct usage){.seen = 1});
    assert_false(c.unpriced);
    assert_int_equal(c.total_nusd, 0);
}

static void test_the_band_prices_the_whole_request(void **state)
{
    const struct price p = PRICE_WITH("input_cost_per_token", "1e-06", "output_cost_per_token",
                                      "2e-06", "input_cost_per_token_above_200k_tokens", "2e-06",
                                      "output_cost_per_token_above_200k_tokens", "4e-06",
                                      "input_cost_per_token_priority", "9e-06");
    struct cost c;

    (void)state;
    cost_of(&c, &p, &(struct usage){.input = 150000, .cache_read = 50000, .output = 1});
    assert_int_equal(c.total_nusd, 200002000);
    cost_of(&c, &p, &(struct usage){.input = 150001, .cache_read = 50000, .output = 1});
    assert_int_equal(c.total_nusd, 400006000);
    cost_of(&c, &p, &(struct usage){.input = 200001, .tier = TIER_PRIORITY});
    assert_int_equal(c.total_nusd, 400002000);
}

static void test_a_batch_is_half_price(void **state)
{
    const struct price p = PRICE_WITH("input_cost_per_token", "1e-12", "output_cost_per_token",
                                      "3e-06", "output_cost_per_token_batches", "1e-06");
    struct cost c;

    (void)state;
    cost_of(&c, &p, &(struct usage){.input = 1000, .output = 10, .tier = TIER_BATCH});
    assert_int_equal(c.input_nusd, 1); /* 500 pico-dollars round up */
    assert_int_equal(c.output_nusd, 10000);
    cost_of(&c, &p, &(struct usage){.input = 999, .tier = TIER_BATCH});
    assert_int_equal(c.input_nusd, 0); /* 499.5 */
}

static void test_saturates(void **state)
{
    const struct price p =
        PRICE_WITH("input_cost_per_token", "9000000", "output_cost_per_token", "9000000");
    struct cost c;

    (void)state;
    cost_of(&c, &p, &(struct usage){.input = UINT64_MAX, .output = UINT64_MAX});
    assert_int_equal(c.total_nusd, INT64_MAX);
    assert_int_equal(c.input_nusd, INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_rounds_once_and_half_up),
        cmocka_unit_test(test_a_plain_chat),
        cmocka_unit_test(test_what_has_no_price_shows),
        cmocka_unit_test(test_the_band_prices_the_whole_request),
        cmocka_unit_test(test_a_batch_is_half_price),
        cmocka_unit_test(test_saturates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
