/* Cells of rows as members of entities, and entities as the bytes of pages. */

#include "publish/entity.h"
#include "publish/feed.h"
#include "tests/unit/test.h"

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct fixture {
    struct arena a;
    struct str texts[64];
};

static void set(struct fixture *f, enum entity_kind k, const char *expression, const char *text)
{
    size_t n, at = 0;
    const struct cell *c = entity_cells(k, &n);

    for (size_t i = 0; i < n; i++)
        if (strcmp(c[i].expression, expression) == 0) {
            f->texts[i] = str_of(text);
            at++;
        }
    assert_true(at > 0);
}

static const Weir__Entity *read_entity(struct fixture *f, enum entity_kind k)
{
    static const struct seal_key none;

    return entity_read(k, f->texts, &none, &f->a);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    arena_init(&f->a, NULL, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_reset(&f->a);
    free(f);
    return 0;
}

static struct str bytes(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}

static void test_texts(void **state)
{
    static const struct {
        const char *literal, *joined; /* with | between */
    } rows[] = {
        {"{}", ""},
        {"{a}", "a"},
        {"{a,b}", "a|b"},
        {"{\"a b\",c}", "a b|c"},
        {"{\"a\\\"b\\\\c\",\"{,}\"}", "a\"b\\c|{,}"},
        {"{NULL,a,\"NULL\"}", "a|NULL"},
        {"{\"\",a}", "a"},
        {"{", ""},
        {"{\"", ""},
        {"{\"a", "a"},
        {"{a,", "a"},
        {"{\"a\\", "a\\"},
        {"", ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture *f = *state;
        char joined[64] = "";
        memset(f->texts, 0, sizeof f->texts);
        set(f, ENTITY_TAG, "t.models", rows[i].literal);
        const Weir__Entity *en = read_entity(f, ENTITY_TAG);
        assert_non_null(en);
        for (size_t k = 0; k < en->tag->n_models; k++) {
            size_t n = strlen(joined);
            (void)snprintf(joined + n, sizeof joined - n, "%s" STR_FMT, k ? "|" : "",
                           STR_ARG(bytes(en->tag->models[k])));
        }
        assert_string_equal(joined, rows[i].joined);
    }
}

static void test_amounts(void **state)
{
    static const struct {
        const char *text;
        bool is_set;
        int64_t nusd;
    } rows[] = {
        {"0", true, 0},
        {"1", true, 1000000000},
        {"0.1", true, 100000000},
        {"1e-09", true, 1},
        {"4.9e-10", true, 0},
        {"-2.5", true, -2500000000},
        {"123456789.123456789", true, 123456789123456789},
        {"1e+30", false, 0},
        {"NaN", false, 0},
        {"Infinity", false, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture *f = *state;
        memset(f->texts, 0, sizeof f->texts);
        set(f, ENTITY_USER, "t.max_budget", rows[i].text);
        set(f, ENTITY_USER, "t.spend", rows[i].text);
        const Weir__User *u = read_entity(f, ENTITY_USER)->user;
        assert_int_equal(u->limits != NULL && u->limits->max_budget_nusd != NULL, rows[i].is_set);
        if (rows[i].is_set)
            assert_int_equal(u->limits->max_budget_nusd->value, rows[i].nusd);
        assert_int_equal(u->spend_nusd, rows[i].nusd);
    }
}

static void test_metadata(void **state)
{
    static const struct {
        const char *json, *left;
        int64_t extra_nusd, until_us;
        size_t n_tags, n_models;
    } rows[] = {
        {"{}", "", 0, 0, 0, 0},
        {"null", "", 0, 0, 0, 0},
        {"[1]", "", 0, 0, 0, 0},
        {"not JSON", "", 0, 0, 0, 0},
        {"{\"tags\":[\"a\",1,\"b\"],\"x\":{\"y\":null}}", "{\"x\":{\"y\":null}}", 0, 0, 2, 0},
        {"\"{\\\"x\\\":1}\"", "{\"x\":1}", 0, 0, 0, 0}, /* a text that holds JSON */
        {"{\"model_rpm_limit\":{\"a\":1,\"b\":2},\"model_tpm_limit\":{\"b\":3,\"c\":\"x\"}}", "", 0,
         0, 0, 3},
        {"{\"temp_budget_increase\":2.5,\"temp_budget_expiry\":\"2031-01-01T00:00:00Z\"}", "",
         2500000000, 1924992000000000, 0, 0},
        {"{\"temp_budget_increase\":\"1\",\"temp_budget_expiry\":\"2031-01-01 02:30:00.5+02:30\"}",
         "", 1000000000, 1924992000000000, 0, 0},
        {"{\"temp_budget_increase\":1,\"temp_budget_expiry\":\"2031-01-01\"}", "", 1000000000,
         1924992000000000, 0, 0},
        {"{\"temp_budget_increase\":1,\"temp_budget_expiry\":\"soon\"}", "", 1000000000, 0, 0, 0},
        {"{\"temp_budget_increase\":1e300}", "", 0, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture *f = *state;
        memset(f->texts, 0, sizeof f->texts);
        set(f, ENTITY_KEY, "t.token", HEX);
        set(f, ENTITY_KEY, "t.metadata", rows[i].json);
        const Weir__Key *k = read_entity(f, ENTITY_KEY)->key;
        assert_str(bytes(k->metadata), rows[i].left);
        assert_int_equal(k->n_tags, rows[i].n_tags);
        assert_int_equal(k->limits ? k->limits->n_models : 0, rows[i].n_models);
        assert_int_equal(k->limits ? k->limits->extra_budget_nusd : 0, rows[i].extra_nusd);
        assert_int_equal(k->limits ? k->limits->extra_until_us : 0, rows[i].until_us);
    }
}

static void test_budget_windows(void **state)
{
    static const struct {
        const char *json;
        size_t n;
        int64_t nusd, reset_us;
    } rows[] = {
        {"[]", 0, 0, 0},
        {"null", 0, 0, 0},
        {"{}", 0, 0, 0},
        {"[1,{}]", 0, 0, 0},
        {"[{\"budget_duration\":\"1d\"}]", 0, 0, 0},
        {"[{\"max_budget\":1}]", 0, 0, 0},
        {"[{\"budget_duration\":\"1d\",\"max_budget\":2.5}]", 1, 2500000000, 0},
        {"[{\"budget_duration\":\"1d\",\"max_budget\":0,\"reset_at\":\"2031-01-01T00:00:00Z\"},"
         "{\"budget_duration\":\"7d\",\"max_budget\":9}]",
         2, 0, 1924992000000000},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture *f = *state;
        memset(f->texts, 0, sizeof f->texts);
        set(f, ENTITY_KEY, "t.token", HEX);
        set(f, ENTITY_KEY, "t.budget_limits", rows[i].json);
        set(f, ENTITY_KEY, "coalesce(nullif(t.model_max_budget, '{}'), b.model_max_budget)",
            "{\"gpt\":1,\"\":2}");
        const Weir__Key *k = read_entity(f, ENTITY_KEY)->key;
        assert_int_equal(k->limits->n_models, rows[i].n + 1);
        assert_str(bytes(k->limits->models[0]->model), "gpt"); /* what has no name is none */
        if (!rows[i].n)
            continue;
        const Weir__ModelLimit *l = k->limits->models[1];
        assert_int_equal(l->model.len, 0);
        assert_string_equal(l->budget_duration, "1d");
        assert_int_equal(l->max_budget_nusd->value, rows[i].nusd);
        assert_int_equal(l->reset_us, rows[i].reset_us);
    }
}

static void test_many_limits_by_model(void **state)
{
    struct fixture *f = *state;
    char json[32 * 1024] = "{";
    size_t n = 1;

    for (int i = 0; i < 1000; i++)
        n += (size_t)snprintf(json + n, sizeof json - n, "%s\"m%d\":%d", i ? "," : "", i, i);
    (void)snprintf(json + n, sizeof json - n, "}");
    set(f, ENTITY_KEY, "t.token", HEX);
    set(f, ENTITY_KEY, "coalesce(nullif(t.model_max_budget, '{}'), b.model_max_budget)", json);
    const Weir__Key *k = read_entity(f, ENTITY_KEY)->key;
    assert_int_equal(k->limits->n_models, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(k->limits->models[i]->max_budget_nusd->value, i * INT64_C(1000000000));
}

static void test_key_without_a_hash_is_none(void **state)
{
    static const char *const tokens[] = {"", "sk-1234", HEX "0", "0" HEX,
                                         "zz112233445566778899aabbccddeeff00112233445566778899aabb"
                                         "ccddeeff"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        set(f, ENTITY_KEY, "t.token", tokens[i]);
        assert_null(read_entity(f, ENTITY_KEY));
        assert_null(entity_gone(ENTITY_KEY, str_of(tokens[i]), STR(""), &f->a));
    }
}

static void test_gone_holds_what_identifies_it(void **state)
{
    struct fixture *f = *state;
    const Weir__Entity *en = entity_gone(ENTITY_MEMBER, STR("user"), STR("team"), &f->a);

    assert_true(en->gone && en->is_case == WEIR__ENTITY__IS_MEMBER);
    assert_str(bytes(en->member->user), "user");
    assert_str(bytes(en->member->team), "team");
    en = entity_gone(ENTITY_KEY, STR(HEX), STR(""), &f->a);
    assert_true(en->gone && en->is_case == WEIR__ENTITY__IS_KEY);
    assert_int_equal(en->key->hash.len, 32);
    assert_int_equal(en->key->hash.data[31], 0xff);
}

static void test_every_kind_has_its_key_among_its_members(void **state)
{
    struct fixture *f = *state;

    for (enum entity_kind k = 0; k < ENTITY_KINDS; k++) {
        const Weir__Entity *en = entity_gone(k, STR(HEX), STR("b"), &f->a);
        assert_non_null(en);
        assert_true(weir__entity__get_packed_size(en) > 30);
    }
}

/* ---- feed: pages of any size hold everything, in order, each entity whole ---- */

static void collect(void *ctx, struct str piece)
{
    struct packed *all = ctx;

    if (!piece.n)
        return; /* of an empty batch */
    all->p = realloc(all->p, all->n + piece.n);
    memcpy(all->p + all->n, piece.p, piece.n);
    all->n += piece.n;
}

static struct packed batch(struct fixture *f, unsigned n, unsigned from)
{
    struct packed p = {0};
    char id[256];

    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(id, sizeof id, "%0*u", (int)(1 + (from + i) * 37 % 200), from + i);
        packed_entity(&p, entity_gone(ENTITY_TAG, str_of(id), STR(""), &f->a));
    }
    return p;
}

static void test_pages_of_any_size(void **state)
{
    struct fixture *f = *state;
    struct packed want = {0};
    struct feed feed;

    assert_true(feed_init(&feed));
    feed_reset(&feed, 7, 100);
    for (unsigned i = 0; i < 5; i++) {
        struct packed p = batch(f, i * 2, i * 100); /* one of them empty */
        collect(&want, (struct str){p.p, p.n});
        feed_push(&feed, 101 + i, &p);
    }
    assert_int_equal(feed.n, 105);
    for (size_t max = 1; max < want.n + 2; max++) {
        struct packed got = {0};
        struct feed_place at = {0};
        bool is_last = false;
        while (!is_last) {
            size_t before = got.n;
            is_last = feed_page(&feed, 100, &at, max, collect, &got);
            assert_true(is_last || at.to);
            size_t page = got.n - before;
            assert_true(page <= max || packed_step((struct str){got.p + before, page}) == page);
        }
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, want.p, want.n);
        packed_deinit(&got);
    }
    packed_deinit(&want);
    feed_deinit(&feed);
}

static void test_feed_forgets_the_oldest(void **state)
{
    struct fixture *f = *state;
    struct feed feed;
    struct feed_place at = {.to = 5};
    struct packed got = {0};

    assert_true(feed_init(&feed));
    feed_reset(&feed, 1, 0);
    for (unsigned i = 1; i <= FEED_REVISIONS + 10; i++) {
        struct packed p = batch(f, 1, i);
        feed_push(&feed, i, &p);
        arena_reset(&f->a);
    }
    assert_int_equal(feed.base, 10);
    assert_false(feed_has(&feed, 1, 9));
    assert_true(feed_has(&feed, 1, 10));
    assert_false(feed_has(&feed, 2, 10));
    assert_false(feed_page(&feed, 0, &at, 1000, collect, &got)); /* its place is gone */
    assert_int_equal(at.to, 0);
    struct packed huge = {calloc(1, FEED_MAX + 1), FEED_MAX + 1, FEED_MAX + 1, 1, false};
    feed_push(&feed, FEED_REVISIONS + 11, &huge); /* too large to keep */
    assert_false(feed_has(&feed, 1, FEED_REVISIONS + 10));
    assert_true(feed_has(&feed, 1, FEED_REVISIONS + 11));
    packed_deinit(&got);
    feed_deinit(&feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_amounts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_limits_by_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_without_a_hash_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_holds_what_identifies_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_kind_has_its_key_among_its_members, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_pages_of_any_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_feed_forgets_the_oldest, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
