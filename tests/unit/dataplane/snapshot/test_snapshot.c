/* A configuration through building and mapping: what a worker finds in the generation. */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/gateway/capability.h"

#include "link/config.h"
#include "snapshot/build.h"
#include "snapshot/view.h"
#include "test.h"

/* ---- the environment and the file of a case ---- */

static const char *const no_variables[] = {NULL};

static struct str variable(void *ctx, struct str name)
{
    for (const char *const *v = ctx; *v; v++) {
        struct str one, value;
        (void)str_cut(str_of(*v), '=', &one, &value);
        if (str_eq(one, name))
            return value;
    }
    return (struct str){0};
}

struct made {
    struct config *c;
    struct slots *slots;
    struct snapshot *s;
    int fd;
};

static struct config *config_of(const char *yaml, const char *const *variables)
{
    char path[] = "/tmp/weir-test-snapshot-XXXXXX";
    int fd = mkstemp(path);
    struct config *c = NULL;
    struct err e = {0};

    assert_true(fd >= 0);
    assert_int_equal(write(fd, yaml, strlen(yaml)), (ssize_t)strlen(yaml));
    assert_int_equal(close(fd), 0);
    enum errc rc = config_read(&c, path, variable, (void *)(uintptr_t)variables, &e);
    assert_int_equal(unlink(path), 0);
    if (rc || c->file.log.n_errors)
        fail_msg("%.*s", rc ? (int)strlen(e.msg) : (int)c->file.log.first->text.n,
                 rc ? e.msg : c->file.log.first->text.p);
    return c;
}

static void make(struct made *m, const char *yaml, const char *const *variables)
{
    struct err e = {0};

    m->c = config_of(yaml, variables ? variables : no_variables);
    m->slots = slots_new();
    assert_non_null(m->slots);
    if (snapshot_build(&m->fd, m->c, 1, m->slots, &e) || snapshot_open(&m->s, m->fd, &e))
        fail_msg("%s", e.msg);
}

static void drop(struct made *m)
{
    m->s = snapshot_unref(m->s);
    m->slots = slots_free(m->slots);
    m->c = config_free(m->c);
    assert_int_equal(close(m->fd), 0);
}

/* Element i, which must be there. */
static const void *at(const struct snapshot *s, struct snap_ref r, uint32_t i, size_t size)
{
    const void *p = snap_at(s, r, i, size);

    if (!p) {
        fail_msg("no element %u", i);
        abort(); /* not reached */
    }
    return p;
}

#define AT(s, ref, type, i) ((const type *)at((s), (ref), (i), sizeof(type)))

static const struct snap_deployment *deployment(const struct made *m, uint32_t i)
{
    return AT(m->s, m->s->h->deployments, struct snap_deployment, i);
}

static const struct snap_group *group(const struct made *m, uint32_t i)
{
    return AT(m->s, m->s->h->groups, struct snap_group, i);
}

/* ---- names ---- */

static const char names_yaml[] =
    "model_list:\n"
    "  - {model_name: gpt, litellm_params: {model: openai/gpt-4o}, model_info: {id: one}}\n"
    "  - {model_name: gpt, litellm_params: {model: azure/dep, api_base: 'https://a.example', "
    "api_key: k}, model_info: {id: two}}\n"
    "  - {model_name: '*', litellm_params: {model: openai/*}}\n"
    "  - {model_name: anthropic/*, litellm_params: {model: anthropic/*}}\n"
    "  - {model_name: 'v::*:x:*', litellm_params: {model: 'openrouter/*/*'}}\n"
    "  - {model_name: quiet, litellm_params: {model: groq/m}, model_info: {discoverable: false}}\n"
    "router_settings:\n"
    "  model_group_alias: {four: gpt, hid: {model: gpt, hidden: true}, c: anthropic/claude-x, "
    "by-id: two, quiet: gpt}\n";

static void test_names_are_found_in_order(void **state)
{
    static const struct {
        const char *name, *group, *deployment, *captured;
    } rows[] = {
        {"gpt", "gpt", NULL, ""},
        {"four", "gpt", NULL, ""},
        {"hid", "gpt", NULL, ""},
        {"quiet", "gpt", NULL, ""}, /* the alias comes before the group of that name */
        {"one", NULL, "one", ""},
        {"by-id", NULL, "two", ""},
        {"c", "anthropic/*", NULL, "claude-x"},
        {"anthropic/claude-x", "anthropic/*", NULL, "claude-x"},
        {"anthropic/", "anthropic/*", NULL, ""},
        {"anthropic", "*", NULL, "anthropic"},
        {"v::a:x:b", "v::*:x:*", NULL, "a,b"},
        {"v::a:x:b:x:c", "v::*:x:*", NULL, "a:x:b,c"}, /* the first star takes the most */
        {"v:::x:", "v::*:x:*", NULL, ","},
        {"v::a:x", "*", NULL, "v::a:x"},
        {"openai/gpt-4o", "*", NULL, "openai/gpt-4o"}, /* patterns before litellm_params.model */
        {"", "*", NULL, ""},
    };
    struct made m;

    (void)state;
    make(&m, names_yaml, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snap_found f;
        char captured[100] = "";
        assert_true(snap_find(m.s, str_of(rows[i].name), &f));
        for (unsigned k = 0; k < f.n_captured; k++)
            (void)snprintf(captured + strlen(captured), sizeof captured - strlen(captured),
                           "%s" STR_FMT, k ? "," : "", STR_ARG(f.captured[k]));
        assert_string_equal(captured, rows[i].captured);
        assert_int_equal(f.group != NULL, rows[i].group != NULL);
        if (f.group)
            assert_str(snap_str(m.s, f.group->name), rows[i].group);
        if (f.deployment)
            assert_str(snap_str(m.s, f.deployment->id), rows[i].deployment);
    }
    drop(&m);
}

static void test_the_provider_model_is_the_last_name(void **state)
{
    struct snap_found f;
    struct made m;

    (void)state;
    make(&m, "model_list: [{model_name: a, litellm_params: {model: openai/gpt-4o}}]", NULL);
    assert_true(snap_find(m.s, STR("openai/gpt-4o"), &f));
    assert_non_null(f.deployment);
    assert_false(snap_find(m.s, STR("gpt-4o"), &f));
    assert_false(snap_find(m.s, STR(""), &f));
    drop(&m);
}

static void test_listed_names(void **state)
{
    struct made m;
    unsigned expanded = 0;
    char listed[200] = "";

    (void)state;
    make(&m, names_yaml, NULL);
    for (uint32_t i = 0; i < m.s->h->names.n; i++) {
        const struct snap_name *n = AT(m.s, m.s->h->names, struct snap_name, i);
        struct str name = snap_str(m.s, n->name);
        if (n->listed && n->kind == SNAP_NAME_LISTED)
            expanded += str_starts(name, STR("anthropic/claude-"));
        else if (n->listed)
            (void)snprintf(listed + strlen(listed), sizeof listed - strlen(listed), STR_FMT " ",
                           STR_ARG(name));
    }
    assert_string_equal(listed, "gpt four c by-id quiet ");
    assert_true(expanded > 5); /* anthropic/\* stands for what the price table knows */
    drop(&m);
}

/* ---- shares of the load ---- */

static void test_members_and_weights(void **state)
{
    static const struct {
        const char *params[3];
        const char *expected; /* deployment:weight */
    } rows[] = {
        {{"", "", ""}, "0:1 1:1 2:1"},
        {{"rpm: 10", "rpm: 30", ""}, "0:10 1:30"},
        {{"tpm: 5", "rpm: 30, tpm: 1", "tpm: 0"}, "0:5 1:1"},
        {{"weight: 0.9, rpm: 1", "weight: 0.1", "rpm: 7"}, "0:900 1:100"},
        {{"rpm: 1", "weight: 3, rpm: 2", "rpm: 3"}, "0:1 1:2 2:3"},
        {{"weight: 0", "weight: 0", "weight: 0"}, "0:1 1:1 2:1"},
        {{"order: 2", "order: 1", "order: 1"}, "1:1 2:1"},
        {{"order: 1, rpm: 5", "rpm: 6", "order: 3"}, "1:6"},
        {{"weight: 1000000", "weight: 1000000", "weight: 1000000"},
         "0:500000000 1:500000000 2:500000000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[1000], got[200] = "";
        struct made m;
        (void)snprintf(yaml, sizeof yaml,
                       "model_list:\n"
                       "- {model_name: g, litellm_params: {model: openai/a, %s}}\n"
                       "- {model_name: g, litellm_params: {model: openai/b, %s}}\n"
                       "- {model_name: g, litellm_params: {model: openai/c, %s}}\n",
                       rows[i].params[0], rows[i].params[1], rows[i].params[2]);
        make(&m, yaml, NULL);
        for (uint32_t k = 0; k < group(&m, 0)->members.n; k++) {
            const struct snap_member *mb = AT(m.s, group(&m, 0)->members, struct snap_member, k);
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u:%u", k ? " " : "",
                           mb->deployment, mb->weight);
        }
        assert_string_equal(got, rows[i].expected);
        drop(&m);
    }
}

/* ---- timeouts ---- */

static void test_timeouts_by_precedence(void **state)
{
    static const struct {
        const char *params, *rest;
        const char *variables[3];
        uint32_t whole_ms, stream_ms;
    } rows[] = {
        {"", "", {NULL}, 6000000, 6000000},
        {"", "", {"REQUEST_TIMEOUT=30"}, 30000, 30000},
        {"", "litellm_settings: {request_timeout: 20}", {"REQUEST_TIMEOUT=30"}, 20000, 20000},
        {"",
         "litellm_settings: {request_timeout: 20}\nrouter_settings: {timeout: 10}",
         {NULL},
         10000,
         10000},
        {"timeout: 1.5", "router_settings: {timeout: 10}", {NULL}, 1500, 1500},
        {"timeout: 5", "router_settings: {stream_timeout: 7}", {NULL}, 5000, 7000},
        {"stream_timeout: 2",
         "router_settings: {timeout: 10, stream_timeout: 7}",
         {NULL},
         10000,
         2000},
        {"timeout: os.environ/T", "", {"T=4"}, 4000, 4000},
        {"timeout: os.environ/ABSENT", "router_settings: {timeout: 10}", {NULL}, 10000, 10000},
        {"timeout: null", "router_settings: {timeout: 10}", {NULL}, 10000, 10000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[1000];
        struct made m;
        (void)snprintf(yaml, sizeof yaml,
                       "model_list: [{model_name: g, litellm_params: {model: openai/a, %s}}]\n%s\n",
                       rows[i].params, rows[i].rest);
        make(&m, yaml, rows[i].variables);
        assert_int_equal(deployment(&m, 0)->timeout_ms, rows[i].whole_ms);
        assert_int_equal(deployment(&m, 0)->stream_timeout_ms, rows[i].stream_ms);
        drop(&m);
    }
}

/* ---- settings ---- */

static void test_settings_and_their_defaults(void **state)
{
    static const char *const variables[] = {"LITELLM_MASTER_KEY=sk-env", "SERVER_ROOT_PATH=api/",
                                            "DEFAULT_MAX_RETRIES=5", "NUM_WORKERS=3", NULL};
    struct made m;

    (void)state;
    make(&m, "", NULL);
    const struct snap_settings *s = &m.s->h->settings;
    assert_int_equal(s->flags, SNAP_HEALTH_DETAILS);
    assert_int_equal(s->num_retries, 2);
    assert_int_equal(s->port, 4000);
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->max_body_bytes, 32 << 20);
    assert_int_equal(s->max_inflight_bytes, 512 << 20);
    assert_int_equal(s->idle_timeout_ms, 75000);
    assert_int_equal(s->keepalive_ping_ms, 0);
    assert_str(snap_str(m.s, s->access_log), "-");
    assert_int_equal(m.s->h->config_hash.n, 64);
    drop(&m);

    make(&m,
         "general_settings: {max_request_size_mb: 4, always_include_stream_usage: false,\n"
         "  litellm_key_header_name: X-My-Key, completion_model: gpt}\n"
         "litellm_settings: {num_retries: 4, require_auth_for_metrics_endpoint: yes}\n"
         "weir: {client_gone: abort, nameservers: [1.1.1.1, 9.9.9.9], connect_timeout: 1.5}\n",
         variables);
    s = &m.s->h->settings;
    assert_int_equal(s->flags, SNAP_HAS_MASTER_KEY | SNAP_NEVER_STREAM_USAGE | SNAP_METRICS_AUTH |
                                   SNAP_HEALTH_DETAILS);
    assert_str(snap_str(m.s, s->master_key), "sk-env");
    assert_str(snap_str(m.s, s->server_root_path), "/api");
    assert_str(snap_str(m.s, s->key_header), "x-my-key");
    assert_str(snap_str(m.s, s->nameservers), "1.1.1.1,9.9.9.9");
    assert_str(snap_str(m.s, s->default_model[API_CHAT]), "gpt");
    assert_str(snap_str(m.s, s->default_model[API_EMBEDDINGS]), "");
    assert_int_equal(s->num_retries, 4);
    assert_int_equal(s->workers, 3);
    assert_int_equal(s->max_body_bytes, 4 << 20);
    assert_int_equal(s->connect_timeout_ms, 1500);
    drop(&m);
}

/* ---- deployments ---- */

/* The edit `op` of a member for requests of `api`, or NULL. */
static const struct snap_edit *edit_for(const struct made *m, const struct snap_deployment *d,
                                        enum edit_op op, enum api api, const char *member)
{
    for (uint32_t i = 0; i < d->edits.n; i++) {
        const struct snap_edit *ed = AT(m->s, d->edits, struct snap_edit, i);
        if (ed->op == op && (ed->apis & BIT(api)) && str_eq(snap_str(m->s, ed->a), str_of(member)))
            return ed;
    }
    return NULL;
}

/* The value an edit gives a member of chat requests, "" without such an edit. */
static struct str edit_of(const struct made *m, const struct snap_deployment *d, enum edit_op op,
                          const char *member)
{
    const struct snap_edit *ed = edit_for(m, d, op, API_CHAT, member);

    return ed ? snap_str(m->s, ed->b) : (struct str){0};
}

static void test_parameters_become_edits(void **state)
{
    struct made m;

    (void)state;
    make(&m,
         "model_list:\n"
         "- {model_name: a, litellm_params: {model: openai/o3, temperature: 0.50, max_tokens: 9,\n"
         "   stop: [x, 'y'], rpm: 3, input_cost_per_token: 1.0e-6, drop_params: true,\n"
         "   extra_body: {deep: {k: on}}, additional_drop_params: [seed, 'tools[*].x']}}\n"
         "router_settings: {default_litellm_params: {seed: 1, temperature: 1}}\n",
         NULL);
    const struct snap_deployment *d = deployment(&m, 0);
    assert_true(d->flags & SNAP_DROP_PARAMS);
    assert_str(edit_of(&m, d, EDIT_DEFAULT, "temperature"), "0.50");
    assert_str(edit_of(&m, d, EDIT_DEFAULT, "stop"), "[\"x\",\"y\"]");
    assert_str(edit_of(&m, d, EDIT_DEFAULT, "seed"), "1");
    assert_str(edit_of(&m, d, EDIT_DEFAULT, "rpm"), "");
    assert_str(edit_of(&m, d, EDIT_DEFAULT, "input_cost_per_token"), "");
    assert_str(edit_of(&m, d, EDIT_SET, "deep"), "{\"k\":true}");

    /* Defaults come first, then what is dropped in any case, then the provider's rules. */
    const struct snap_edit *edits = AT(m.s, d->edits, struct snap_edit, 0);
    const struct snap_edit *dflt = edit_for(&m, d, EDIT_DEFAULT, API_CHAT, "max_tokens");
    const struct snap_edit *seed = edit_for(&m, d, EDIT_DROP, API_CHAT, "seed");
    const struct snap_edit *strip = edit_for(&m, d, EDIT_STRIP, API_CHAT, "tools.x");
    const struct snap_edit *rename = edit_for(&m, d, EDIT_RENAME, API_CHAT, "max_tokens");
    assert_true(dflt && seed && strip && rename);
    assert_true(edits <= dflt && dflt < seed && seed < strip && strip < rename);
    assert_int_equal(dflt->side, EDIT_OPENAI);
    assert_int_equal(seed->side, EDIT_OPENAI);
    assert_int_equal(rename->side, EDIT_EACH);
    assert_int_equal(edit_for(&m, d, EDIT_SET, API_CHAT, "deep")->side, EDIT_SENT);
    drop(&m);
}

static void test_defaults_are_for_requests_that_know_them(void **state)
{
    static const struct {
        const char *member;
        enum api knows, does_not;
    } rows[] = {
        {"temperature", API_MESSAGES, API_EMBEDDINGS},
        {"stop", API_CHAT, API_MESSAGES},
        {"reasoning_effort", API_CHAT, API_RESPONSES},
        {"user", API_EMBEDDINGS, API_MESSAGES},
        {"thinking", API_MESSAGES, API_COUNT_TOKENS},
        {"dimensions", API_EMBEDDINGS, API_COUNT_TOKENS},
    };
    struct made m;

    (void)state;
    make(
        &m,
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: anthropic/claude-opus-5, temperature: 1,\n"
        "   stop: x, reasoning_effort: low, user: u, thinking: {type: adaptive}, dimensions: 3}}\n",
        NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct snap_deployment *d = deployment(&m, 0);
        if (!edit_for(&m, d, EDIT_DEFAULT, rows[i].knows, rows[i].member) ||
            edit_for(&m, d, EDIT_DEFAULT, rows[i].does_not, rows[i].member))
            fail_msg("%s", rows[i].member);
    }
    drop(&m);
}

/* A rule that depends on what the model can is there, or is not, unless a wildcard leaves it open.
 */
static void test_rules_by_capability(void **state)
{
    static const struct {
        uint32_t deployment;
        enum edit_op op;
        const char *member;
        bool there;
        uint32_t has, lacks;
    } rows[] = {
        {0, EDIT_RENAME, "max_tokens", true, 0, 0},
        {1, EDIT_RENAME, "max_tokens", false, 0, 0},
        {2, EDIT_RENAME, "max_tokens", true, CAP_MAX_COMPLETION, 0},
        {3, EDIT_UNSUPPORTED, "top_p", true, 0, 0},
        {4, EDIT_UNSUPPORTED, "top_p", false, 0, 0},
        {5, EDIT_UNSUPPORTED, "top_p", true, 0, CAP_SAMPLING},
        {6, EDIT_UNSUPPORTED, "top_p", false, 0, 0},
        {7, EDIT_UNSUPPORTED, "reasoning_effort", true, 0, 0},
        {3, EDIT_UNSUPPORTED, "reasoning_effort", false, 0, 0},
    };
    struct made m;

    (void)state;
    make(&m,
         "model_list:\n"
         "- {model_name: a, litellm_params: {model: openai/o3}}\n"
         "- {model_name: b, litellm_params: {model: openai/gpt-4o}}\n"
         "- {model_name: c/*, litellm_params: {model: openai/*}}\n"
         "- {model_name: d, litellm_params: {model: anthropic/claude-opus-5}}\n"
         "- {model_name: e, litellm_params: {model: anthropic/claude-sonnet-4-5}}\n"
         "- {model_name: f/*, litellm_params: {model: anthropic/*}}\n"
         "- {model_name: g, litellm_params: {model: anthropic/claude-opus-5},\n"
         "   model_info: {supports_sampling_params: true}}\n"
         "- {model_name: h, litellm_params: {model: anthropic/claude-3-haiku-20240307,\n"
         "   modify_params: true}}\n",
         NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct snap_edit *ed =
            edit_for(&m, deployment(&m, rows[i].deployment), rows[i].op, API_CHAT, rows[i].member);
        if ((ed != NULL) != rows[i].there ||
            (ed && (ed->has != rows[i].has || ed->lacks != rows[i].lacks)))
            fail_msg("row %zu", i);
    }
    assert_true(deployment(&m, 2)->by_can & BIT(API_CHAT));
    assert_false(deployment(&m, 5)->by_can & BIT(API_MESSAGES));
    assert_int_equal(deployment(&m, 4)->by_can, 0);
    assert_true(deployment(&m, 7)->flags & SNAP_MODIFY_PARAMS);
    assert_false(deployment(&m, 6)->flags & SNAP_MODIFY_PARAMS);
    drop(&m);
}

/* What chat, completions, messages, responses, embeddings and count_tokens become: an initial each,
 * '-' for none. */
static void assert_vias(const struct made *m, uint32_t i, const char *model, const char *expected)
{
    static const enum api clients[] = {API_CHAT,      API_COMPLETIONS, API_MESSAGES,
                                       API_RESPONSES, API_EMBEDDINGS,  API_COUNT_TOKENS};
    static const char initials[] = {
        [API_CHAT] = 'c',        [API_COMPLETIONS] = 'l',  [API_EMBEDDINGS] = 'e',
        [API_MODERATIONS] = 'o', [API_MESSAGES] = 'm',     [API_COUNT_TOKENS] = 't',
        [API_RESPONSES] = 'r',   [API_INPUT_TOKENS] = 'i', [API_COUNT] = '-'};
    const struct snap_deployment *d = deployment(m, i);
    struct str name = model ? str_of(model) : snap_str(m->s, d->model);
    char got[ARRAY_LEN(clients) + 1] = "";

    for (size_t k = 0; k < ARRAY_LEN(clients); k++)
        got[k] = initials[snap_via(m->s, d, name, clients[k], false)];
    if (strcmp(got, expected) != 0)
        fail_msg("%u " STR_FMT ": %s, not %s", i, STR_ARG(name), got, expected);
}

static void test_an_api_that_is_not_served_is_translated(void **state)
{
    static const char yaml[] =
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
        "- {model_name: a, litellm_params: {model: openai/local, api_base: 'http://h/v1'}}\n"
        "- {model_name: a, litellm_params: {model: openai/responses/gpt-4o}}\n"
        "- {model_name: a, litellm_params: {model: openai/gpt-5-codex}}\n"
        "- {model_name: a, litellm_params: {model: openai/x}, model_info: {mode: responses}}\n"
        "- {model_name: x, litellm_params: {model: openai/gpt-5-codex}, model_info: {mode: chat}}\n"
        "- {model_name: a, litellm_params: {model: openai/chat_completions/gpt-4o}}\n"
        "- {model_name: a, litellm_params: {model: openai/x, use_chat_completions_api: true}}\n"
        "- {model_name: a, litellm_params: {model: anthropic/claude-sonnet-4-5}}\n"
        "- {model_name: a, litellm_params: {model: groq/m}}\n"
        "- {model_name: a, litellm_params: {model: groq/responses/m}}\n"
        "- {model_name: a, litellm_params: {model: azure/mine, api_base: 'https://a.example'}}\n"
        "- {model_name: a, litellm_params: {model: hosted_vllm/m, api_base: 'http://h/v1'}}\n"
        "- {model_name: '*', litellm_params: {model: openai/*}}\n"
        "- {model_name: r/*, litellm_params: {model: openai/responses/*}}\n"
        "- {model_name: b, litellm_params: {model: gemini/x}}\n"
        "- {model_name: a, litellm_params: {model: deepseek/deepseek-chat}}\n"
        "- {model_name: b, litellm_params: {model: openai/local, api_base: 'http://h/v1'},\n"
        "   model_info: {supported_endpoints: [/v1/chat/completions, /v1/messages]}}\n";
    static const char *const expected[] = {"ccrrei", "clrrei", "rrrrei", "rrrrei", "rrrrei",
                                           "rrrrei", "ccccei", "clccei", "mmmm-t", "cccc--",
                                           "cccc--", "cccre-", "clcre-"};
    struct made m;

    (void)state;
    make(&m, yaml, NULL);
    for (uint32_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_vias(&m, i, NULL, expected[i]);
    assert_vias(&m, 13, "gpt-4o", "ccrrei");
    assert_vias(&m, 13, "unheard-of", "clrrei");
    assert_vias(&m, 13, "gpt-5-codex", "rrrrei");
    assert_vias(&m, 14, "gpt-4o", "rrrrei");
    assert_vias(&m, 15, NULL, "------");
    assert_vias(&m, 16, NULL, "clmc--");
    assert_vias(&m, 17, NULL, "clmrei");
    /* What the Responses API has no word for goes by chat, where the model can. */
    assert_int_equal(snap_via(m.s, deployment(&m, 0), STR("gpt-4o"), API_MESSAGES, true), API_CHAT);
    assert_int_equal(snap_via(m.s, deployment(&m, 3), STR("gpt-5-codex"), API_MESSAGES, true),
                     API_RESPONSES);
    assert_int_equal(snap_via(m.s, deployment(&m, 8), STR("claude"), API_MESSAGES, true),
                     API_MESSAGES);
    drop(&m);
}

static void test_settings_choose_the_api_upstream(void **state)
{
    static const char *const by_chat[] = {
        "LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES=true", NULL};
    static const char models[] = "model_list:\n"
                                 "- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
                                 "- {model_name: a, litellm_params: {model: openai/gpt-5-codex}}\n"
                                 "- {model_name: a, litellm_params: {model: groq/m}}\n";
    char yaml[1024];
    struct made m;

    (void)state;
    make(&m, models, by_chat);
    assert_vias(&m, 0, NULL, "cccrei");
    assert_vias(&m, 1, NULL, "rrrrei");
    drop(&m);
    (void)snprintf(yaml, sizeof yaml,
                   "%slitellm_settings: {use_chat_completions_url_for_anthropic_messages: false,\n"
                   "  route_all_chat_openai_to_responses: true}\n",
                   models);
    make(&m, yaml, by_chat);
    assert_vias(&m, 0, NULL, "rrrrei");
    assert_vias(&m, 2, NULL, "cccc--");
    drop(&m);
}

static void test_model_info_overrides_what_a_model_can(void **state)
{
    static const char yaml[] =
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: anthropic/claude-sonnet-4-5}}\n"
        "- {model_name: b, litellm_params: {model: anthropic/claude-opus-5}, model_info:\n"
        "   {max_output_tokens: 7, supports_reasoning: false, supports_assistant_prefill: true}}\n"
        "- {model_name: c, litellm_params: {model: anthropic/claude-3-haiku-20240307},\n"
        "   model_info: {supports_response_schema: true}}\n"
        "- {model_name: d, litellm_params: {model: openai/m, supports_system_message: false},\n"
        "   model_info: {supports_response_schema: false}}\n"
        "- {model_name: e, litellm_params: {model: azure/mine, api_base: 'https://a.example'},\n"
        "   model_info: {base_model: azure/o3}}\n"
        "- {model_name: f/*, litellm_params: {model: anthropic/*}, model_info:\n"
        "   {supports_reasoning: false, supports_native_structured_output: true}}\n"
        "- {model_name: g/*, litellm_params: {model: openai/*}}\n";
    static const struct {
        uint32_t deployment;
        const char *model;
        uint32_t can, cannot, max_output;
    } rows[] = {
        {0, "claude-sonnet-4-5", CAP_THINKING_BUDGET | CAP_PREFILL, CAP_THINKING_ADAPTIVE, 64000},
        {1, "claude-opus-5", CAP_PREFILL | CAP_EFFORT, CAP_REASONING, 7},
        {2, "claude-3-haiku-20240307", CAP_PREFILL, CAP_JSON_SCHEMA | CAP_REASONING, 4096},
        {3, "m", CAP_SAMPLING, CAP_JSON_SCHEMA | CAP_SYSTEM | CAP_SYSTEM_INSIDE, 0},
        {4, "mine", CAP_REASONING | CAP_MAX_COMPLETION, CAP_SAMPLING, 100000},
        {5, "claude-3-haiku-20240307", CAP_JSON_SCHEMA | CAP_PREFILL, CAP_REASONING, 4096},
        {5, "claude-unheard-of", CAP_JSON_SCHEMA | CAP_EFFORT, CAP_REASONING, 64000},
        {6, "gpt-4o", CAP_SAMPLING, CAP_MAX_COMPLETION, 16384},
        {6, "o3", CAP_MAX_COMPLETION | CAP_REASONING, CAP_SAMPLING, 100000},
        {6, "unheard-of", CAP_SAMPLING, CAP_MAX_COMPLETION, 0},
    };
    struct made m;

    (void)state;
    make(&m, yaml, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snap_model got =
            snap_model(m.s, deployment(&m, rows[i].deployment), str_of(rows[i].model));
        if ((got.can & rows[i].can) != rows[i].can || (got.can & rows[i].cannot) ||
            got.max_output != rows[i].max_output)
            fail_msg("row %zu: %x, %u tokens", i, got.can, got.max_output);
    }
    drop(&m);
}

static void test_prices(void **state)
{
    struct made m;

    (void)state;
    make(&m,
         "model_list:\n"
         "- {model_name: a, litellm_params: {model: openai/gpt-4o}}\n"
         "- {model_name: b, litellm_params: {model: openai/gpt-4o, output_cost_per_token: 2e-5}}\n"
         "- {model_name: c, litellm_params: {model: azure/mine, api_base: 'https://a.example',\n"
         "   api_key: k}, model_info: {base_model: azure/gpt-4o, input_cost_per_token: 0}}\n"
         "- {model_name: d, litellm_params: {model: openai/unheard-of}}\n"
         "- {model_name: e/*, litellm_params: {model: openai/*}}\n",
         NULL);
    assert_int_equal(deployment(&m, 0)->price.item[PRICE_INPUT], 2500000);
    assert_int_equal(deployment(&m, 0)->price.item[PRICE_OUTPUT], 10000000);
    assert_int_equal(deployment(&m, 1)->price.item[PRICE_INPUT], 2500000);
    assert_int_equal(deployment(&m, 1)->price.item[PRICE_OUTPUT], 20000000);
    assert_int_equal(deployment(&m, 2)->price.item[PRICE_INPUT], 0);
    assert_int_equal(deployment(&m, 2)->price.item[PRICE_OUTPUT], 10000000);
    assert_true(deployment(&m, 2)->flags & SNAP_PRICED);
    assert_false(deployment(&m, 3)->flags & SNAP_PRICED);
    assert_int_equal(deployment(&m, 3)->price.item[PRICE_INPUT], PRICE_UNKNOWN);
    assert_false(deployment(&m, 4)->flags & SNAP_PRICED);
    assert_true(deployment(&m, 4)->flags & SNAP_WILDCARD);
    const struct price *p = snap_price(m.s, STR("openai"), STR("gpt-4o"));
    assert_true(p && p->item[PRICE_INPUT] == 2500000);
    assert_null(snap_price(m.s, STR("openai"), STR("unheard-of")));
    drop(&m);
}

static void test_secrets_stay_out_of_what_is_shown(void **state)
{
    static const char *const variables[] = {"K=secret-1", "H=secret-2", NULL};
    struct made m;

    (void)state;
    make(&m,
         "model_list:\n"
         "- model_name: a\n"
         "  litellm_params: {model: openai/gpt-4o, api_key: os.environ/K, x: os.environ/H,\n"
         "    api_base: 'https://a.example/v1?sig=secret-3', aws_secret_access_key: secret-4,\n"
         "    extra_headers: {X-Api: secret-5}, extra_body: {nested: {api_key: secret-6}},\n"
         "    vertex_credentials: {private: secret-7}, azure_ad_token: secret-8, temperature: 1}\n"
         "  model_info: {owner: me, upstream_password: secret-9}\n",
         variables);
    struct str info = snap_str(m.s, deployment(&m, 0)->info_json);
    assert_true(str_find(info, STR("secret-")) == SIZE_MAX);
    assert_true(str_find(info, STR("\"owner\":\"me\"")) != SIZE_MAX);
    assert_true(str_find(info, STR("\"temperature\":1")) != SIZE_MAX);
    assert_true(str_find(info, STR("\"api_base\":\"https://a.example/v1\"")) != SIZE_MAX);
    assert_true(str_find(info, STR("\"input_cost_per_token\":2.5e-06")) != SIZE_MAX);
    assert_true(str_find(snap_str(m.s, deployment(&m, 0)->headers), STR("secret-1")) != SIZE_MAX);
    drop(&m);
}

static void test_proxies_and_trust_make_origins(void **state)
{
    static const struct {
        const char *base, *params;
        const char *variables[4];
        const char *proxy, *auth;
        uint16_t proxy_port;
        uint32_t flags;
    } rows[] = {
        {"https://api.openai.com/v1", "", {NULL}, "", "", 0, SNAP_ORIGIN_TLS},
        {"https://a.example/v1", "", {NULL}, "", "", 0, SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK},
        {"https://a.example",
         "ssl_verify: no",
         {NULL},
         "",
         "",
         0,
         SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK | SNAP_ORIGIN_NO_VERIFY},
        {"http://a.example", "ssl_verify: no", {NULL}, "", "", 0, SNAP_ORIGIN_PRIVATE_OK},
        {"https://a.example",
         "",
         {"HTTPS_PROXY=http://p:8080"},
         "p",
         "",
         8080,
         SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK},
        {"https://a.example",
         "",
         {"HTTPS_PROXY=http://P1:1", "https_proxy=http://u:p%40@p2:2/"},
         "p2",
         "Basic dTpwQA==",
         2,
         SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK},
        {"https://a.example",
         "",
         {"HTTP_PROXY=http://p:8080"},
         "",
         "",
         0,
         SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"HTTP_PROXY=[::1]:3128"},
         "::1",
         "",
         3128,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example", "", {"ALL_PROXY=p"}, "p", "", 80, SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"ALL_PROXY=p", "NO_PROXY=b.example, example"},
         "",
         "",
         0,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"ALL_PROXY=p", "no_proxy=.example"},
         "",
         "",
         0,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"ALL_PROXY=p", "NO_PROXY=ample"},
         "p",
         "",
         80,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"ALL_PROXY=p", "NO_PROXY=a.example:81"},
         "p",
         "",
         80,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example",
         "",
         {"ALL_PROXY=p", "NO_PROXY=A.Example:80"},
         "",
         "",
         0,
         SNAP_ORIGIN_PRIVATE_OK},
        {"http://a.example", "", {"ALL_PROXY=p", "NO_PROXY=*"}, "", "", 0, SNAP_ORIGIN_PRIVATE_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char yaml[1000];
        struct made m;
        (void)snprintf(yaml, sizeof yaml,
                       "model_list: [{model_name: g, litellm_params: {model: openai/a, api_key: k, "
                       "api_base: '%s', %s}}]\n",
                       rows[i].base, rows[i].params);
        make(&m, yaml, rows[i].variables);
        const struct snap_origin *o = AT(m.s, m.s->h->origins, struct snap_origin, 0);
        assert_str(snap_str(m.s, o->proxy_host), rows[i].proxy);
        assert_str(snap_str(m.s, o->proxy_auth), rows[i].auth);
        assert_int_equal(o->proxy_port, rows[i].proxy_port);
        assert_int_equal(o->flags, rows[i].flags);
        drop(&m);
    }
}

static void test_origins_are_shared(void **state)
{
    struct made m;

    (void)state;
    make(&m,
         "model_list:\n"
         "- {model_name: a, litellm_params: {model: openai/a, api_base: 'https://x.example/v1'}}\n"
         "- {model_name: b, litellm_params: {model: openai/b, api_base: 'https://X.example/v2'}}\n"
         "- {model_name: c, litellm_params: {model: openai/c, api_base: 'https://x.example:444'}}\n"
         "- {model_name: d, litellm_params: {model: openai/d, mock_response: hi}}\n",
         NULL);
    assert_int_equal(m.s->h->origins.n, 2);
    assert_int_equal(deployment(&m, 0)->origin, deployment(&m, 1)->origin);
    assert_int_not_equal(deployment(&m, 0)->origin, deployment(&m, 2)->origin);
    assert_int_equal(deployment(&m, 3)->origin, SNAP_NONE);
    assert_str(snap_str(m.s, deployment(&m, 3)->mock_response), "hi");
    drop(&m);
}

static void test_ids_keep_over_a_new_key(void **state)
{
    static const char yaml[] = "model_list: [{model_name: a, litellm_params: {model: openai/a, "
                               "api_key: os.environ/K}}]";
    static const char *const first[] = {"K=1", NULL}, *const second[] = {"K=2", NULL};
    struct made a, b;

    (void)state;
    make(&a, yaml, first);
    make(&b, yaml, second);
    assert_int_equal(deployment(&a, 0)->id.n, 64);
    assert_true(str_eq(snap_str(a.s, deployment(&a, 0)->id), snap_str(b.s, deployment(&b, 0)->id)));
    drop(&a);
    drop(&b);
}

/* ---- slots ---- */

static uint32_t slot_of(struct slots *slots, const char *yaml, uint64_t n, const char *id,
                        struct slots *adopt)
{
    struct config *c = config_of(yaml, no_variables);
    struct snapshot *s = NULL;
    struct snap_found f;
    struct err e = {0};
    uint32_t slot = SNAP_NONE;
    int fd;

    assert_int_equal(snapshot_build(&fd, c, n, slots, &e), ERRC_OK);
    assert_int_equal(snapshot_open(&s, fd, &e), ERRC_OK);
    if (snap_find(s, str_of(id), &f) && f.deployment)
        slot = f.deployment->slot;
    if (adopt)
        slots_adopt(adopt, s);
    s = snapshot_unref(s);
    assert_int_equal(close(fd), 0);
    c = config_free(c);
    return slot;
}

#define DEPLOYMENT(id)                                                                             \
    "- {model_name: m, litellm_params: {model: openai/" id "}, model_info: {id: " id "}}\n"

static void test_slots_are_stable_and_not_reused_at_once(void **state)
{
    static const char both[] = "model_list:\n" DEPLOYMENT("a") DEPLOYMENT("b");
    static const char b_first[] = "model_list:\n" DEPLOYMENT("b") DEPLOYMENT("a");
    static const char only_b[] = "model_list:\n" DEPLOYMENT("b");
    static const char b_and_c[] = "model_list:\n" DEPLOYMENT("b") DEPLOYMENT("c");
    struct slots *s = slots_new(), *other = slots_new();

    (void)state;
    uint32_t a = slot_of(s, both, 1, "a", NULL), b = slot_of(s, both, 2, "b", NULL);
    assert_int_not_equal(a, b);
    assert_int_equal(slot_of(s, b_first, 3, "a", NULL), a);
    assert_int_equal(slot_of(s, only_b, 4, "b", NULL), b);
    assert_int_not_equal(slot_of(s, b_and_c, 5, "c", NULL), a); /* a may still be served */
    assert_int_equal(slot_of(s, only_b, 6, "b", NULL), b);
    assert_int_equal(slot_of(s, both, 6, "a", NULL), a);
    assert_int_equal(slot_of(s, b_first, 7, "b", other), b);
    /* Another process of the link goes on from the generation it finds. */
    assert_int_equal(slot_of(other, b_and_c, 8, "b", NULL), b);
    s = slots_free(s);
    other = slots_free(other);
}

/* ---- the file ---- */

static void test_a_generation_cannot_be_changed(void **state)
{
    struct made m;
    char byte = 0;

    (void)state;
    make(&m, names_yaml, NULL);
    assert_true(mmap(NULL, m.s->size, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0) == MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(m.fd, &byte, 1, 0), -1);
    assert_int_equal(ftruncate(m.fd, 0), -1);
    assert_int_equal(ftruncate(m.fd, 1 << 30), -1);
    assert_int_equal(fcntl(m.fd, F_ADD_SEALS, F_SEAL_SEAL), -1);
    drop(&m);
}

static void test_what_is_no_generation_is_refused(void **state)
{
    struct snapshot *s = NULL;
    struct err e = {0};
    struct made m;

    (void)state;
    int fd = memfd_create("test", MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_int_equal(snapshot_open(&s, fd, &e), ERRC_INVALID);
    assert_non_null(strstr(e.msg, "not sealed"));
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), 0);
    assert_int_equal(snapshot_open(&s, fd, &e), ERRC_INVALID);
    assert_int_equal(close(fd), 0);
    assert_null(s);

    make(&m, names_yaml, NULL);
    struct snapshot bytes;
    char *copy = calloc(1, m.s->size);
    struct snap_header *h = (void *)copy;
    if (!copy)
        abort();
    memcpy(copy, m.s->base, m.s->size);
    assert_int_equal(snapshot_check(&bytes, copy, m.s->size, &e), ERRC_OK);
    assert_int_equal(snapshot_check(&bytes, copy, m.s->size - 8, &e), ERRC_INVALID);
    h->version++;
    assert_int_equal(snapshot_check(&bytes, copy, m.s->size, &e), ERRC_INVALID);
    h->version--;
    h->names.n += 1u << 20;
    assert_int_equal(snapshot_check(&bytes, copy, m.s->size, &e), ERRC_INVALID);
    h->names.n -= 1u << 20;
    h->name_index.n--;
    assert_int_equal(snapshot_check(&bytes, copy, m.s->size, &e), ERRC_INVALID);
    free(copy);
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_found_in_order),
        cmocka_unit_test(test_the_provider_model_is_the_last_name),
        cmocka_unit_test(test_listed_names),
        cmocka_unit_test(test_members_and_weights),
        cmocka_unit_test(test_timeouts_by_precedence),
        cmocka_unit_test(test_settings_and_their_defaults),
        cmocka_unit_test(test_parameters_become_edits),
        cmocka_unit_test(test_defaults_are_for_requests_that_know_them),
        cmocka_unit_test(test_rules_by_capability),
        cmocka_unit_test(test_an_api_that_is_not_served_is_translated),
        cmocka_unit_test(test_settings_choose_the_api_upstream),
        cmocka_unit_test(test_model_info_overrides_what_a_model_can),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_secrets_stay_out_of_what_is_shown),
        cmocka_unit_test(test_proxies_and_trust_make_origins),
        cmocka_unit_test(test_origins_are_shared),
        cmocka_unit_test(test_ids_keep_over_a_new_key),
        cmocka_unit_test(test_slots_are_stable_and_not_reused_at_once),
        cmocka_unit_test(test_a_generation_cannot_be_changed),
        cmocka_unit_test(test_what_is_no_generation_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
