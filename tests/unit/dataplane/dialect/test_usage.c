/* Usage in every provider's spelling, to nano-dollars: tests/cases/usage/vectors.txt holds replies
 * with their cost worked out in exact fractions, from what was drawn before it was spelled. */

#include "common/gateway/cost.h"
#include "common/num.h"

#include "dialect/reply_scan.h"
#include "tests/unit/test.h"

enum { LEAST = 300 };

static struct str cut(struct str *rest, char at)
{
    struct str head;

    (void)str_cut(*rest, at, &head, rest);
    return head;
}

static void read_price(struct price *p, struct str text)
{
    price_init(p);
    while (text.n) {
        struct str value = cut(&text, ' '), name = cut(&value, '=');
        assert_int_equal(price_set(p, name, value), PRICE_FIELD_SET);
    }
}

/* The documents, some bytes at a time. */
static void read_documents(struct reply_scan *scan, struct str rest, size_t step)
{
    reply_scan_init(scan);
    while (rest.n) {
        struct str doc = cut(&rest, '\t');
        reply_scan_begin(scan);
        for (size_t at = 0; at < doc.n; at += step)
            (void)reply_scan_feed(scan, doc.p + at, MIN(step, doc.n - at));
    }
}

static void check(struct str line)
{
    static const size_t steps[] = {1, 7, 100000};
    struct str rest = line;
    enum dialect dialect =
        str_eq(cut(&rest, '\t'), STR("anthropic")) ? DIALECT_ANTHROPIC : DIALECT_OPENAI;
    struct price p;
    struct cost c;

    read_price(&p, cut(&rest, '\t'));
    struct str what = cut(&rest, '\t'), want = cut(&rest, '\t');
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct reply_scan scan;
        struct usage u;
        char got[160];
        read_documents(&scan, rest, steps[i]);
        reply_usage(&scan, dialect, &u);
        cost_of(&c, &p, &u);
        (void)snprintf(got, sizeof got, "%lld %lld %lld %lld %lld %d", (long long)c.total_nusd,
                       (long long)c.input_nusd, (long long)c.output_nusd,
                       (long long)c.cache_read_nusd, (long long)c.cache_write_nusd, c.unpriced);
        if (!str_eq(str_of(got), want))
            fail_msg(STR_FMT ": got %s, expected " STR_FMT " of " STR_FMT, STR_ARG(what), got,
                     STR_ARG(want), STR_ARG(rest));
    }
}

static void test_what_providers_say_costs_what_was_used(void **state)
{
    FILE *f = fopen("tests/cases/usage/vectors.txt", "r");
    char *line = NULL;
    size_t cap = 0;
    unsigned n_checked = 0;

    (void)state;
    assert_non_null(f);
    for (ssize_t n; (n = getline(&line, &cap, f)) > 0;)
        if (line[0] != '#') {
            check((struct str){line, (size_t)n - 1});
            n_checked++;
        }
    free(line);
    (void)fclose(f);
    assert_true(n_checked >= LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_providers_say_costs_what_was_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
