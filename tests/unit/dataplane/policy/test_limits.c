/* Limits: who is asked in which order, what a refusal gives back, what is written down before it
 * is taken. */

#include "dataplane/policy/world.h"
#include "policy/budget_model.h"
#include "policy/checks.h"
#include "policy/limits.h"

static bool take(struct world *w, struct charges *c, const struct limits **l)
{
    w->k.refusal = (struct refusal){.error = CLIENT_ERRORS};
    assert_true(checks_all(&w->k));
    return limits_take(&w->k, c, l);
}

/* ---- the order ---- */

static const struct {
    const char *text;
    enum whom who;
    bool of_model;
} order[] = {
    {"api_key: ", W_KEY, false},
    {"user: u1", W_USER, false},
    {"team: t1", W_TEAM, false},
    {"team_member: t1:u1", W_MEMBER, false},
    {"end_user: eve", W_END_USER, false},
    {"model_per_key: ", W_KEY, true},
    {"model_per_project: p1:gpt", W_PROJECT, true},
    {"organization: o1", W_ORG, false},
    {"model_per_organization: o1:gpt", W_ORG, true},
    {"tag: ads", W_TAG, false},
};

static void none_from(struct world_of *o, size_t first)
{
    world_of_nothing(o);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct bounds *b = &o->bounds[order[i].who];
        if (order[i].of_model) {
            b->model = "gpt";
            b->model_rpm = i < first ? 5 : 0;
        } else {
            b->rpm = i < first ? 5 : 0;
        }
    }
}

/* One refuses after the other, and what those before it gave comes back. */
static void test_limits_are_asked_in_order(void **state)
{
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i <= ARRAY_LEN(order); i++) {
        snap_make();
        none_from(&o, i);
        world_open(&w, &o);
        bool ok = take(&w, &c, &l);
        assert_int_equal(ok, i == ARRAY_LEN(order));
        if (ok) {
            assert_int_equal(l->n, ARRAY_LEN(order));
            for (unsigned n = 0; n < l->n; n++)
                assert_int_equal(l->status[n].remaining, 4);
        } else {
            struct str text = w.k.refusal.message;
            struct str want = str_from(text, strlen("Rate limit exceeded for "));
            if (!str_starts(want, str_of(order[i].text)))
                print_error("%zu: " STR_FMT "\n", i, STR_ARG(text));
            assert_true(str_starts(want, str_of(order[i].text)));
            assert_true(str_find(text, STR("Limit type: requests. Current limit: 0, Remaining: 0. "
                                           "Limit resets at: 2026-09-21 ")) != SIZE_MAX);
            assert_int_equal(w.k.refusal.error, ERROR_RATE_LIMIT);
            assert_int_equal(w.k.refusal.retry_after_s, WINDOW_S);
            assert_str(str_of(w.k.refusal.limit_type), "requests");
            assert_false(charges_any(&c));
            const struct counter *key = counters_at(&w.counters, w.caller.key.identity->slot);
            assert_int_equal(window_read(&key->requests, NOW_S, WINDOW_S).count, 0);
        }
        world_close(&w);
    }
}

/* What the key does not say of a model the team does. */
static void test_the_team_s_limit_of_a_model(void **state)
{
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    snap_make();
    world_of_nothing(&o);
    o.bounds[W_TEAM].model = "gpt";
    o.bounds[W_TEAM].model_rpm = 1;
    world_open(&w, &o);
    assert_true(take(&w, &c, &l));
    assert_int_equal(l->n, 2);
    assert_int_equal(l->status[0].descriptor, LIMIT_KEY_MODEL);
    assert_int_equal(l->status[1].descriptor, LIMIT_TEAM_MODEL);
    assert_false(take(&w, &c, &l));
    world_close(&w);
}

/* ---- what runs at once ---- */

static struct counter *key_counter(struct world *w)
{
    return counters_at(&w->counters, w->caller.key.identity->slot);
}

static uint32_t running(struct world *w)
{
    return key_counter(w)->parallel;
}

static bool hold_before(void *ctx, const struct charges *c)
{
    struct world *w = ctx;

    assert_int_equal(running(w), 0); /* not taken yet */
    assert_int_equal(w->counters.header->pod.parallel, 0);
    return world_hold(ctx, c);
}

static void test_what_runs_is_written_down_before_it_is_taken(void **state)
{
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    snap_make();
    image.h.settings.global_parallel = 9;
    world_of_nothing(&o);
    o.bounds[W_KEY].parallel = 2;
    world_open(&w, &o);
    w.k.hold = hold_before;
    assert_true(take(&w, &c, &l));
    assert_int_equal(w.holds, 1);
    assert_int_equal(running(&w), 1);
    assert_int_equal(w.counters.header->pod.parallel, 1);

    /* whoever settles what a dead worker wrote down gives back what it took ... */
    charges_release(&w.held, &w.counters);
    assert_int_equal(running(&w), 0);
    assert_int_equal(w.counters.header->pod.parallel, 0);
    /* ... and where it died before it took anything, nothing goes below 0 */
    charges_release(&w.held, &w.counters);
    assert_int_equal(running(&w), 0);
    assert_int_equal(w.counters.header->pod.parallel, 0);
    world_close(&w);
}

static void test_a_refusal_leaves_nothing_running(void **state)
{
    static const struct {
        int64_t parallel, tpm;
        uint32_t pod, holds;
        bool refuses_holds;
        enum client_error error;
    } rows[] = {
        {0, LIMIT_NONE, 9, 1, false, ERROR_RATE_LIMIT},
        {2, LIMIT_NONE, 0, 1, false, CLIENT_ERRORS}, /* 0: the pod has none */
        {2, 0, 9, 1, false, ERROR_RATE_LIMIT},
        {2, LIMIT_NONE, 9, 1, true, ERROR_OVERLOADED},
        {LIMIT_NONE, LIMIT_NONE, 0, 0, false, CLIENT_ERRORS},
    };
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        image.h.settings.global_parallel = rows[i].pod;
        world_of_nothing(&o);
        o.bounds[W_KEY].parallel = rows[i].parallel;
        o.bounds[W_KEY].tpm = rows[i].tpm;
        o.bounds[W_KEY].rpm = 7;
        world_open(&w, &o);
        w.refuses_holds = rows[i].refuses_holds;
        bool ok = take(&w, &c, &l);
        assert_int_equal(w.k.refusal.error, rows[i].error);
        assert_int_equal(ok, rows[i].error == CLIENT_ERRORS);
        assert_int_equal(w.holds, rows[i].holds);
        assert_int_equal(running(&w), ok && rows[i].parallel != LIMIT_NONE);
        assert_int_equal(w.counters.header->pod.parallel, ok && rows[i].pod);
        assert_int_equal(window_read(&key_counter(&w)->requests, NOW_S, WINDOW_S).count, ok);
        if (ok) {
            charges_undo(&c, &w.counters, NOW_S);
            assert_int_equal(running(&w), 0);
            assert_int_equal(window_read(&key_counter(&w)->requests, NOW_S, WINDOW_S).count, 0);
        }
        world_close(&w);
    }
}

/* The pod is full, the key is not: the key's slot comes back. */
static void test_the_pod_s_refusal_gives_the_key_s_back(void **state)
{
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    snap_make();
    image.h.settings.global_parallel = 1;
    world_of_nothing(&o);
    o.bounds[W_KEY].parallel = 5;
    world_open(&w, &o);
    assert_true(take(&w, &c, &l));
    assert_false(take(&w, &c, &l));
    assert_true(str_find(w.k.refusal.message, STR("global: pod")) != SIZE_MAX);
    assert_int_equal(running(&w), 1);
    assert_int_equal(w.counters.header->pod.parallel, 1);
    world_close(&w);
}

/* ---- tokens ---- */

static void test_tokens_are_estimated(void **state)
{
    static const struct {
        const char *body, *metadata;
        enum api api;
        uint32_t flags;
        int64_t tpm;
        uint64_t tokens;
    } rows[] = {
        {"{\"max_tokens\":7,\"messages\":\"12\"}", "", API_CHAT, 0, 4096, 8},
        {"{\"max_completion_tokens\":9,\"max_tokens\":7,\"messages\":\"12\"}", "", API_CHAT, 0,
         4096, 10},
        {"{\"max_tokens\":7,\"n\":3,\"messages\":\"12\"}", "", API_CHAT, 0, 4096, 22},
        {"{\"max_tokens\":7,\"n\":0,\"messages\":\"12\"}", "", API_CHAT, 0, 4096, 8},
        {"{\"messages\":\"12\"}", "", API_CHAT, 0, 1 << 20, 1025},
        {"{\"messages\":\"12\"}", "", API_CHAT, 0, 40, 11},
        {"{\"messages\":\"12\"}", "{\"default_estimated_output_tokens\":5}", API_CHAT, 0, 4096, 6},
        {"{\"messages\":\"12\"}", "", API_EMBEDDINGS, 0, 4096, 1},
        {"{\"max_output_tokens\":3,\"messages\":\"12\"}", "", API_RESPONSES, 0, 4096, 17},
        {"{\"max_tokens\":7,\"messages\":\"12\"}", "", API_CHAT, SNAP_LIMIT_INPUT, 4096, 1},
        {"{\"max_tokens\":7,\"messages\":\"12\"}", "", API_CHAT, SNAP_LIMIT_OUTPUT, 4096, 7},
        {"{\"max_tokens\":18446744073709551615,\"messages\":\"12\"}", "", API_CHAT, 0, INT64_MAX,
         (UINT64_C(1) << 32) + 1},
    };
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        image.h.settings.flags |= rows[i].flags;
        world_of_nothing(&o);
        o.bounds[W_KEY].tpm = rows[i].tpm;
        o.metadata[W_KEY] = rows[i].metadata;
        o.body = rows[i].body;
        world_open(&w, &o);
        w.k.api = rows[i].api;
        assert_true(take(&w, &c, &l));
        if (c.reserved != rows[i].tokens)
            print_error("row %zu: %llu\n", i, (unsigned long long)c.reserved);
        assert_int_equal(c.reserved, rows[i].tokens);
        charges_tokens(&c, &w.counters, NOW_S, 3); /* what was used stands in its place */
        assert_int_equal(window_read(&key_counter(&w)->tokens, NOW_S, WINDOW_S).count, 3);
        world_close(&w);
    }
}

/* ---- a key over its budget that goes on slower ---- */

static void test_throttled_keys(void **state)
{
    static const struct {
        const char *metadata;
        uint32_t part;      /* millionths */
        int64_t rpm, limit; /* LIMIT_NONE: refused by its budget */
    } rows[] = {
        {"{\"throttle_on_budget_exceeded\":true}", 250000, 100, 25},
        {"{\"throttle_on_budget_exceeded\":true}", 250000, 3, 1}, /* a trickle remains */
        {"{\"throttle_on_budget_exceeded\":true}", 1000000, 100, 100},
        {"{\"throttle_on_budget_exceeded\":true}", 0, 100, LIMIT_NONE},
        {"{\"throttle_on_budget_exceeded\":true}", 250000, LIMIT_NONE, LIMIT_NONE},
        {"{\"throttle_on_budget_exceeded\":\"true\"}", 250000, 100, LIMIT_NONE},
        {"", 250000, 100, LIMIT_NONE},
    };
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        image.h.settings.throttle_millionths = rows[i].part;
        world_of_nothing(&o);
        o.bounds[W_KEY].budget = 0;
        o.bounds[W_KEY].rpm = rows[i].rpm;
        o.metadata[W_KEY] = rows[i].metadata;
        world_open(&w, &o);
        bool ok = checks_all(&w.k);
        if (ok != (rows[i].limit != LIMIT_NONE))
            print_error("row %zu\n", i);
        assert_int_equal(ok, rows[i].limit != LIMIT_NONE);
        if (ok) {
            assert_true(limits_take(&w.k, &c, &l));
            assert_int_equal(l->status[0].limit, rows[i].limit);
        }
        world_close(&w);
    }
}

/* An end user without limits has those of the default budget, counted by name. */
static void test_limits_of_the_default_budget(void **state)
{
    struct limits_of s;
    struct bounds b = NO_BOUNDS;
    Weir__Budget message = WEIR__BUDGET__INIT;
    const struct limits *l;
    struct charges c;
    struct world_of o;
    struct world world, *w = &world;

    (void)state;
    snap_make();
    image.h.settings.end_user_budget = snap_text("all");
    world_of_nothing(&o);
    o.end_user = "ann"; /* nobody knows her */
    world_open(w, &o);
    b.rpm = 2;
    message.id = BYTES("all");
    message.limits = limits_of(&s, &b);
    ENTITY(budget, BUDGET, &message);
    plane_seal(&w->p, 2);
    world_ask(w, &o);
    assert_true(take(w, &c, &l));
    assert_true(take(w, &c, &l));
    assert_false(take(w, &c, &l));
    assert_true(str_starts(w->k.refusal.message, STR("Rate limit exceeded for end_user: ann.")));
    o.end_user = "bob";
    world_ask(w, &o);
    assert_true(take(w, &c, &l));
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_are_asked_in_order),
        cmocka_unit_test(test_the_team_s_limit_of_a_model),
        cmocka_unit_test(test_what_runs_is_written_down_before_it_is_taken),
        cmocka_unit_test(test_a_refusal_leaves_nothing_running),
        cmocka_unit_test(test_the_pod_s_refusal_gives_the_key_s_back),
        cmocka_unit_test(test_tokens_are_estimated),
        cmocka_unit_test(test_throttled_keys),
        cmocka_unit_test(test_limits_of_the_default_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
