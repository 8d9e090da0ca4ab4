/* Every refusal with its text, in LiteLLM's order: a request with everything wrong with it, of
 * which one thing after the other is put right. */

#include "dataplane/policy/world.h"
#include "policy/budget_model.h"
#include "policy/checks.h"

enum wrong {
#define WRONG(id, error, text) WRONG_##id,
#define ALL_WRONG                                                                                  \
    WRONG(KEY_BLOCKED, ERROR_KEY_BLOCKED, "")                                                      \
    WRONG(KEY_IP, ERROR_IP_FORBIDDEN, "Access forbidden: IP address 127.0.0.1 not allowed.")       \
    WRONG(KEY_MODELS, ERROR_KEY_MODEL, "The requested model 'gpt' is not available")               \
    WRONG(USER_BLOCKED, ERROR_USER_BLOCKED, "Authentication Error, User=u1 has been deactivated")  \
    WRONG(MEMBER_BUDGET, ERROR_BUDGET, "Budget has been exceeded! TeamMember=u1:t1 Current cost")  \
    WRONG(EXPIRED, ERROR_KEY_EXPIRED, "Authentication Error - Expired Key. Key Expiry time 2026")  \
    WRONG(KEY_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Key=key (sk-...abcd) Current")      \
    WRONG(KEY_MODEL_BUDGET, ERROR_BUDGET, "LiteLLM Virtual Key: ")                                 \
    WRONG(USER_MODEL_BUDGET, ERROR_BUDGET, "LiteLLM User: u1, exceeded budget for model=gpt")      \
    WRONG(ROUTE, ERROR_KEY_ROUTE, "Virtual key is not allowed to call this route. Only allowed")   \
    WRONG(TEAM_BLOCKED, ERROR_TEAM_BLOCKED, "Authentication Error, Team=t1 is blocked. Update")    \
    WRONG(TEAM_MODELS, ERROR_TEAM_MODEL, "The requested model 'gpt'")                              \
    WRONG(MEMBER_MODELS, ERROR_TEAM_MODEL, "The requested model 'gpt'")                            \
    WRONG(TRACE_ID, ERROR_TRACE_ID, "Team 't1' requires a trace ID on every LLM, MCP and agent")   \
    WRONG(END_USER_MODELS, ERROR_END_USER_MODEL, "The requested model 'gpt'")                      \
    WRONG(PROJECT_BLOCKED, ERROR_PROJECT_BLOCKED, "Authentication Error, Project=p1 is blocked")   \
    WRONG(PROJECT_MODELS, ERROR_PROJECT_MODEL, "The requested model 'gpt'")                        \
    WRONG(PROJECT_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Project=p1 Current cost: 0.0")  \
    WRONG(CLIENT_TAGS, ERROR_CLIENT_TAGS, "")                                                      \
    WRONG(TEAM_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Team=t1 Current cost: 0.0, Max")   \
    WRONG(TEAM_WINDOW, ERROR_BUDGET,                                                               \
          "ExceededBudget: Team=t1 over 1d budget. Spend=$0.0000, Limit=$0.00")                    \
    WRONG(KEY_WINDOW, ERROR_BUDGET,                                                                \
          "ExceededBudget: Key over 1d budget. Spend=$0.0000, Limit=$0.00")                        \
    WRONG(ORG_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Organization=o1 Current cost")      \
    WRONG(TAG_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Tag=ads Current cost: 0.0, Max")    \
    WRONG(GROUP_BUDGET, ERROR_BUDGET,                                                              \
          "Budget has been exceeded! Model access group=beta Current cost: 3.0, Max budget: 2.0")  \
    WRONG(USER_BUDGET, ERROR_BUDGET, "ExceededBudget: User=u1 over budget. Spend=0.0, Budget=0.0") \
    WRONG(END_USER_BUDGET, ERROR_BUDGET, "ExceededBudget: End User=eve over budget. Spend=0.0")    \
    WRONG(USER_PARAM, ERROR_NO_USER_PARAM, "")                                                     \
    WRONG(POD_BUDGET, ERROR_BUDGET, "Budget has been exceeded! Current cost: 3.0, Max budget: 2")  \
    WRONG(GUARDRAILS, ERROR_GUARDRAILS, "")                                                        \
    WRONG(ADMIN_ROUTE, ERROR_ADMIN_ROUTE, "user not allowed to access this route. Route=/v1/chat") \
    WRONG(TOOLS, ERROR_TOOL, "Tool(s) ['rm', 'sh'] are not in the allowed tools list for this")    \
    WRONG(TEAM_MODEL_BUDGET, ERROR_BUDGET, "LiteLLM Team: t1, exceeded budget for model=gpt")      \
    WRONG(MEMBER_MODEL_BUDGET, ERROR_BUDGET,                                                       \
          "LiteLLM Team Member: user=u1, team=t1, exceeded budget for model=gpt")                  \
    WRONG(END_USER_MODEL_BUDGET, ERROR_BUDGET, "LiteLLM End User: eve, exceeded budget for model") \
    WRONG(END_USER_BLOCKED, ERROR_END_USER_BLOCKED, "User blocked from making LLM API Calls. Use") \
    WRONG(PARAMS, ERROR_MISSING_PARAM, "BadRequest please pass param=seed in request body.")
    ALL_WRONG
#undef WRONG
        WRONGS
};

static const struct {
    enum client_error error;
    const char *text;
} expected[WRONGS] = {
#define WRONG(id, error, text) [WRONG_##id] = {error, text},
    ALL_WRONG
#undef WRONG
};

static void model_budget(struct bounds *b, const char *model)
{
    b->model = model;
    b->model_budget = 0;
}

/* Everything from `first` on is wrong; before it, all is right. */
static void make_wrong(struct world_of *o, unsigned first)
{
#define IF(id) if (WRONG_##id >= first)
    struct snap_settings *s = &image.h.settings;
    static const unsigned models[][2] = {{W_KEY, WRONG_KEY_MODELS},
                                         {W_TEAM, WRONG_TEAM_MODELS},
                                         {W_MEMBER, WRONG_MEMBER_MODELS},
                                         {W_END_USER, WRONG_END_USER_MODELS},
                                         {W_PROJECT, WRONG_PROJECT_MODELS}};
    static const unsigned budgets[][2] = {
        {W_MEMBER, WRONG_MEMBER_BUDGET},   {W_KEY, WRONG_KEY_BUDGET},
        {W_PROJECT, WRONG_PROJECT_BUDGET}, {W_TEAM, WRONG_TEAM_BUDGET},
        {W_ORG, WRONG_ORG_BUDGET},         {W_TAG, WRONG_TAG_BUDGET},
        {W_USER, WRONG_USER_BUDGET},       {W_END_USER, WRONG_END_USER_BUDGET}};
    static const unsigned blocked[][2] = {{W_KEY, WRONG_KEY_BLOCKED},
                                          {W_USER, WRONG_USER_BLOCKED},
                                          {W_TEAM, WRONG_TEAM_BLOCKED},
                                          {W_PROJECT, WRONG_PROJECT_BLOCKED},
                                          {W_END_USER, WRONG_END_USER_BLOCKED}};
    static const unsigned model_budgets[][2] = {{W_KEY, WRONG_KEY_MODEL_BUDGET},
                                                {W_USER, WRONG_USER_MODEL_BUDGET},
                                                {W_TEAM, WRONG_TEAM_MODEL_BUDGET},
                                                {W_MEMBER, WRONG_MEMBER_MODEL_BUDGET},
                                                {W_END_USER, WRONG_END_USER_MODEL_BUDGET}};

    world_of_nothing(o);
    o->body =
        "{\"model\":\"gpt\",\"metadata\":{\"tags\":[\"ads\"],\"disable_global_guardrails\":1},"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"rm\"}},{\"name\":\"ok\"},"
        "{\"name\":\"s\\u0068\"}]}";
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        o->model[models[i][0]] = models[i][1] >= first ? "claude" : "beta";
    for (size_t i = 0; i < ARRAY_LEN(budgets); i++)
        o->bounds[budgets[i][0]].budget = budgets[i][1] >= first ? 0 : LIMIT_NONE;
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++)
        o->blocked[blocked[i][0]] = blocked[i][1] >= first;
    for (size_t i = 0; i < ARRAY_LEN(model_budgets); i++)
        if (model_budgets[i][1] >= first)
            model_budget(&o->bounds[model_budgets[i][0]], "gpt");
    IF(KEY_IP) o->ip = "10.0.0.1";
    IF(EXPIRED) o->expires_us = NOW_US - 1;
    IF(ROUTE) o->route = "/v1/embeddings";
    IF(TEAM_WINDOW) o->bounds[W_TEAM].window = 0;
    IF(KEY_WINDOW) o->bounds[W_KEY].window = 0;
    IF(GROUP_BUDGET) o->bounds[W_GROUP].budget = INT64_C(2000000000);
    o->metadata[W_TEAM] = WRONG_TRACE_ID >= first ? "{\"require_trace_id\":true,"
                                                    "\"guardrails\":{\"modify_guardrails\":false}}"
                          : WRONG_GUARDRAILS >= first
                              ? "{\"guardrails\":{\"modify_guardrails\":false}}"
                              : "";
    IF(TOOLS) o->metadata[W_KEY] = "{\"allowed_tools\":[\"ok\"]}";
    IF(CLIENT_TAGS) s->flags |= SNAP_REJECT_CLIENT_TAGS;
    IF(USER_BUDGET) s->flags |= SNAP_USER_BUDGET_OF_TEAM_KEYS;
    IF(USER_PARAM) s->flags |= SNAP_ENFORCE_USER;
    IF(POD_BUDGET) s->max_budget_nusd = INT64_C(2000000000);
    IF(ADMIN_ROUTE) s->admin_routes = snap_list(1, "/v1/chat/completions");
    IF(PARAMS) s->enforced_params = snap_list(2, "seed");
#undef IF
}

static void spend(struct world *w)
{
    struct identity_found beta = identities_named(w->p.view, IDENTITY_GROUP_BUDGET, STR("beta"));

    assert_true(found(&beta));
    counters_at(&w->counters, beta.identity->slot)->known_nusd = INT64_C(3000000000);
    w->counters.header->pod.known_nusd = INT64_C(3000000000);
}

static void test_refusals_come_in_order(void **state)
{
    struct world_of o;
    struct world w;

    (void)state;
    for (unsigned i = 0; i <= WRONGS; i++) {
        snap_make();
        make_wrong(&o, i);
        world_open(&w, &o);
        spend(&w);
        bool ok = checks_all(&w.k);
        enum client_error error = i < WRONGS ? expected[i].error : CLIENT_ERRORS;
        struct str text = w.k.refusal.message;
        if (w.k.refusal.error != error ||
            (i < WRONGS && !str_starts(text, str_of(expected[i].text))))
            print_error("%u: error %d, not %d: " STR_FMT "\n", i, (int)w.k.refusal.error,
                        (int)error, STR_ARG(text));
        assert_int_equal(ok, i == WRONGS);
        assert_int_equal(w.k.refusal.error, error);
        assert_true(i == WRONGS || str_starts(text, str_of(expected[i].text)));
        world_close(&w);
    }
}

/* A model that costs nothing is asked for no budget, nor is a route that calls no model. */
static void test_what_costs_nothing_needs_no_budget(void **state)
{
    struct world_of o;
    struct world w;

    (void)state;
    snap_make();
    world_of_nothing(&o);
    for (unsigned i = 0; i < WHOM; i++)
        o.bounds[i].budget = o.bounds[i].window = 0;
    world_open(&w, &o);
    assert_false(checks_all(&w.k));
    w.k.group = &image.g[1];
    assert_true(checks_all(&w.k));
    w.k.group = &image.g[0];
    w.k.is_inference = false;
    w.k.scan = NULL;
    assert_true(checks_all(&w.k));
    world_close(&w);
}

/* ---- which budget of models governs ---- */

static void test_budgets_of_models(void **state)
{
    static const struct {
        const char *entry, *asked;
        bool in_gpt; /* the group serves it */
        bool governs;
    } rows[] = {
        {"gpt", "gpt", true, true},         {"gpt", "openai/gpt", true, true},
        {"gpt", "gpt-2", false, false},     {"g*", "gpt", true, true},
        {"*", "anything", false, true},     {"c*", "gpt", true, false},
        {"beta", "gpt", true, true},        {"beta", "gpt", false, false},
        {"openai/gpt", "gpt", true, false}, {"openai/*", "openai/x", false, true},
    };
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (enum whom who = W_KEY; who <= W_END_USER; who++) {
            if (who == W_ORG || who == W_PROJECT)
                continue;
            snap_make();
            world_of_nothing(&o);
            model_budget(&o.bounds[who], rows[i].entry);
            world_open(&w, &o);
            w.k.model = w.k.dispatched = str_of(rows[i].asked);
            w.k.group = rows[i].in_gpt ? &image.g[0] : NULL;
            bool ok = checks_all(&w.k);
            if (ok == rows[i].governs)
                print_error("row %zu, %d\n", i, (int)who);
            assert_int_equal(ok, !rows[i].governs);
            world_close(&w);
        }
}

/* What it spends counts in the entry that governs, until its day is over. */
static void test_a_budget_of_models_fills_and_begins_anew(void **state)
{
    enum { DAY = 24 * 3600 };
    struct charges c;
    struct world_of o;
    struct world w;

    (void)state;
    snap_make();
    world_of_nothing(&o);
    o.bounds[W_KEY].model = "g*";
    o.bounds[W_KEY].model_budget = 10;
    o.bounds[W_TEAM].window = 100;
    world_open(&w, &o);
    for (unsigned day = 0; day < 3; day++) {
        w.k.now_us = NOW_US + (int64_t)day * DAY * 1000000;
        for (unsigned i = 0; i < 2; i++) {
            assert_true(checks_all(&w.k));
            memset(&c, 0, sizeof c);
            assert_true(budget_model_charge(&w.k, &c));
            charges_spend(&c, &w.counters, 6, (uint32_t)(w.k.now_us / 1000000));
        }
        assert_false(checks_all(&w.k));
        assert_true(str_ends(w.k.refusal.message, STR("budget for model=gpt, budget_model=g*")));
        w.k.model = w.k.dispatched = STR("claude"); /* it has no budget, but the team's window */
        w.k.group = NULL;
        assert_true(checks_all(&w.k));
        memset(&c, 0, sizeof c);
        assert_true(budget_model_charge(&w.k, &c));
        charges_spend(&c, &w.counters, 88, (uint32_t)(w.k.now_us / 1000000));
        assert_false(checks_all(&w.k));
        assert_true(str_starts(w.k.refusal.message, STR("ExceededBudget: Team=t1 over 1d budget")));
        world_ask(&w, &o);
    }
    world_close(&w);
}

/* ---- end users who have no budget ---- */

static void put_budget(struct world *w, const char *id, int64_t budget, int64_t rpm)
{
    struct bounds b = NO_BOUNDS;
    struct limits_of s;
    Weir__Budget message = WEIR__BUDGET__INIT;

    b.budget = budget;
    b.rpm = rpm;
    message.id = BYTES(id);
    message.limits = limits_of(&s, &b);
    ENTITY(budget, BUDGET, &message);
}

static void test_the_default_budget_of_end_users(void **state)
{
    static const struct {
        const char *metadata, *of_all, *text; /* NULL: let in */
        int64_t own, flat;                    /* budgets of the end user, and max_end_user_budget */
    } rows[] = {
        {"", "all", "End User=eve over budget. Spend=0.0, Budget=0.0", LIMIT_NONE, LIMIT_NONE},
        {"", "nobody", NULL, LIMIT_NONE, LIMIT_NONE},
        {"", "", NULL, LIMIT_NONE, LIMIT_NONE},
        {"", "", "Budget=0.0", LIMIT_NONE, 0},
        {"", "all", NULL, 5, 0}, /* their own counts */
        {"{\"end_user_budget_id\":\"much\"}", "all", NULL, LIMIT_NONE, 0},
        {"{\"end_user_budget_id\":\"all\"}", "", "Budget=0.0", LIMIT_NONE, LIMIT_NONE},
        {"{\"end_user_budget_id\":\"nobody\"}", "all", "Budget=0.0", LIMIT_NONE, LIMIT_NONE},
    };
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        image.h.settings.end_user_budget = snap_text(rows[i].of_all);
        image.h.settings.max_end_user_budget_nusd = rows[i].flat;
        world_of_nothing(&o);
        o.metadata[W_KEY] = rows[i].metadata;
        o.bounds[W_END_USER].budget = rows[i].own;
        world_open(&w, &o);
        put_budget(&w, "all", 0, LIMIT_NONE);
        put_budget(&w, "much", 1000, LIMIT_NONE);
        plane_seal(&w.p, 2);
        world_ask(&w, &o);
        bool ok = checks_all(&w.k);
        if (ok != !rows[i].text)
            print_error("row %zu\n", i);
        assert_int_equal(ok, !rows[i].text);
        assert_true(ok || str_find(w.k.refusal.message, str_of(rows[i].text)) != SIZE_MAX);
        world_close(&w);
    }
}

/* ---- what only few teams ask for ---- */

static const char *header_name, *header_value;

static struct str one_header(const void *ctx, struct str name, bool *ret_repeated)
{
    (void)ctx;
    (void)ret_repeated;
    return header_name && str_eq(name, str_of(header_name)) ? str_of(header_value)
                                                            : (struct str){0};
}

static void test_trace_ids(void **state)
{
    static const struct {
        const char *name, *value, *body;
        bool ok;
    } rows[] = {
        {NULL, NULL, "{}", false},
        {"x-litellm-trace-id", "a", "{}", true},
        {"x-litellm-trace-id", " ", "{}", false},
        {"x-litellm-session-id", "a", "{}", true},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "{}", true},
        {"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "{}", false},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e473z-00f067aa0ba902b7-01", "{}", false},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
         "{\"litellm_trace_id\":\"\"}", false},
        {NULL, NULL, "{\"litellm_trace_id\":\"x\"}", true},
        {NULL, NULL, "{\"litellm_trace_id\":1}", false},
        {NULL, NULL, "{\"metadata\":{\"trace_id\":\"x\"}}", true},
        {NULL, NULL, "{\"metadata\":{\"trace_id\":\"\"}}", false},
        {NULL, NULL, "{\"litellm_metadata\":{\"trace_id\":\"x\"}}", true},
        {NULL, NULL, "{\"metadata\":{\"trace\":{\"trace_id\":\"x\"}}}", false},
    };
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        world_of_nothing(&o);
        o.metadata[W_TEAM] = "{\"require_trace_id\":true}";
        o.body = rows[i].body;
        world_open(&w, &o);
        header_name = rows[i].name;
        header_value = rows[i].value;
        w.k.header = one_header;
        if (checks_all(&w.k) != rows[i].ok)
            print_error("row %zu\n", i);
        assert_int_equal(w.k.refusal.error, rows[i].ok ? CLIENT_ERRORS : ERROR_TRACE_ID);
        world_close(&w);
    }
}

static void test_tools(void **state)
{
    static const struct {
        const char *key, *team, *body;
        bool ok;
    } rows[] = {
        {"", "", "{\"tools\":[{\"name\":\"x\"}]}", true},
        {"{\"allowed_tools\":[]}", "", "{\"tools\":[{\"name\":\"x\"}]}", true},
        {"{\"allowed_tools\":[\"x\"]}", "", "{\"tools\":[{\"name\":\"x\"}]}", true},
        {"{\"allowed_tools\":[\"x\"]}", "", "{\"tools\":[{\"name\":\"y\"}]}", false},
        {"{\"allowed_tools\":[\"x\"]}", "", "{}", true},
        {"{\"allowed_tools\":[]}", "{\"allowed_tools\":[\"x\"]}",
         "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"y\"}}]}", false},
        {"{\"allowed_tools\":[\"y\"]}", "{\"allowed_tools\":[\"x\"]}",
         "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"y\"}}]}", true},
        {"{\"allowed_tools\":[\"x\"]}", "", "{\"functions\":[{\"name\":\"y\"}]}", false},
        {"{\"allowed_tools\":[\"x\"]}", "", "{\"tools\":[{\"type\":\"web_search\"}]}", true},
        {"{\"allowed_tools\":[\"x\"]}", "",
         "{\"tools\":[{\"type\":\"mcp\",\"server_label\":\"y\"}]}", false},
        {"{\"allowed_tools\":[\"x\"]}", "",
         "{\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"y\"}}]}", false},
        {"{\"allowed_tools\":[\"x\"]}", "",
         "{\"input\":[{\"type\":\"additional_tools\",\"tools\":[{\"name\":\"y\"}]}]}", false},
        {"{\"allowed_tools\":[\"\\u0078\"]}", "", "{\"tools\":[{\"n\\u0061me\":\"\\u0078\"}]}",
         true},
        {"{\"allowed_tools\":[\"x\"]}", "", "{\"tools\":[{\"name\":\"x\",\"name\":\"y\"}]}", false},
    };
    struct world_of o;
    struct world w;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snap_make();
        world_of_nothing(&o);
        o.metadata[W_KEY] = rows[i].key;
        o.metadata[W_TEAM] = rows[i].team;
        o.body = rows[i].body;
        world_open(&w, &o);
        if (checks_all(&w.k) != rows[i].ok)
            print_error("row %zu\n", i);
        assert_int_equal(w.k.refusal.error, rows[i].ok ? CLIENT_ERRORS : ERROR_TOOL);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals_come_in_order),
        cmocka_unit_test(test_what_costs_nothing_needs_no_budget),
        cmocka_unit_test(test_budgets_of_models),
        cmocka_unit_test(test_a_budget_of_models_fills_and_begins_anew),
        cmocka_unit_test(test_the_default_budget_of_end_users),
        cmocka_unit_test(test_trace_ids),
        cmocka_unit_test(test_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
