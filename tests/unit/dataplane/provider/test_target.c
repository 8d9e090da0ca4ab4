/*
 * tests/cases/provider/targets.txt says for each deployment what goes on the wire. `test_target
 * --print` writes the file anew with what the code says, for a person to read and commit.
 */

#include "common/gateway/capability.h"
#include "common/gateway/provider.h"

#include "provider/quirks.h"
#include "provider/target.h"
#include "provider/target_priv.h"
#include "tests/unit/test.h"

#define CASES "tests/cases/provider/targets.txt"

enum { MAX_SETTINGS = 16, ARENA_BYTES = 4 << 20 };

/* One deployment of the file: config keys are in lower case, variables in upper case. */
struct setup {
    struct str name[MAX_SETTINGS], value[MAX_SETTINGS];
    size_t n;
    struct target_header extra[MAX_SETTINGS];
    struct str drop[MAX_SETTINGS], allow[MAX_SETTINGS];
    struct target_config c;
};

static struct str setup_env(void *ctx, struct str name)
{
    const struct setup *s = ctx;

    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->name[i], name))
            return s->value[i];
    return (struct str){0};
}

static void setup_read(struct setup *s, struct str line)
{
    struct str model, rest, word;
    struct {
        struct str key;
        struct str *at;
    } keys[] = {
        {STR("api_key"), &s->c.api_key},
        {STR("api_base"), &s->c.api_base},
        {STR("api_version"), &s->c.api_version},
        {STR("organization"), &s->c.organization},
        {STR("azure_ad_token"), &s->c.azure_ad_token},
        {STR("aws_region_name"), &s->c.aws_region_name},
        {STR("custom_llm_provider"), &s->c.custom_llm_provider},
        {STR("base_model"), &s->c.base_model},
    };

    *s = (struct setup){.c.env = setup_env, .c.env_ctx = s};
    str_cut(line, '|', &model, &rest);
    s->c.model = str_trim(model);
    rest = str_trim(rest);
    s->c.extra_headers = s->extra;
    s->c.additional_drop_params = s->drop;
    s->c.allowed_openai_params = s->allow;
    while (provider_next_word(&rest, &word)) {
        struct str key, value;
        assert_true(str_cut(word, '=', &key, &value));
        if (key.p[0] >= 'A' && key.p[0] <= 'Z') {
            s->name[s->n] = key;
            s->value[s->n++] = value;
        } else if (str_starts(key, STR("extra_headers."))) {
            s->extra[s->c.n_extra_headers++] = (struct target_header){str_from(key, 14), value};
        } else if (str_eq(key, STR("additional_drop_params"))) {
            s->drop[s->c.n_additional_drop_params++] = value;
        } else if (str_eq(key, STR("allowed_openai_params"))) {
            s->allow[s->c.n_allowed_openai_params++] = value;
        } else if (str_eq(key, STR("supported_endpoints"))) {
            s->c.serves_messages = true;
        } else {
            bool known = false;
            for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                if (str_eq(key, keys[i].key)) {
                    *keys[i].at = value;
                    known = true;
                }
            assert_true(known);
        }
    }
}

/* --- what a target looks like in the file ---------------------------------------------------- */

static const char *const op_words[EDIT_OPS] = {
    [EDIT_RENAME] = "rename",
    [EDIT_DROP] = "drop",
    [EDIT_UNSUPPORTED] = "unsupported",
    [EDIT_SET] = "set",
    [EDIT_DEFAULT] = "default",
    [EDIT_MAP] = "map",
    [EDIT_MAX] = "max",
    [EDIT_MIN] = "min",
    [EDIT_STRIP] = "strip",
    [EDIT_STRIP_NULL] = "strip_null",
    [EDIT_FLATTEN] = "flatten",
    [EDIT_ROLE] = "role",
};

static const char *const while_words[] = {
    [EDIT_ALWAYS] = "",
    [EDIT_REASONING] = " while reasoning",
    [EDIT_NOT_REASONING] = " while not reasoning",
};

/* Text growing by doubling; `a` is scratch. */
struct page {
    struct arena *a;
    char *p;
    size_t n, cap;
};

#define PAGE(pg, ...) page_add((pg), arena_printf((pg)->a, __VA_ARGS__))

static void page_add(struct page *pg, struct str s)
{
    if (pg->cap - pg->n < s.n) {
        pg->cap = 2 * (pg->cap + s.n);
        pg->p = realloc(pg->p, pg->cap);
        assert_non_null(pg->p);
    }
    if (s.n)
        memcpy(pg->p + pg->n, s.p, s.n);
    pg->n += s.n;
}

static void show_paths(struct page *pg, const struct target *t)
{
    const char *open = memchr(t->host.p, ':', t->host.n) ? "[" : "";

    for (size_t api = 0; api < API_COUNT; api++) {
        const struct target_path *path = &t->path[api];
        if (!path->before.n)
            continue;
        PAGE(pg, "    " STR_FMT " %s://%s" STR_FMT "%s:%u" STR_FMT "%s" STR_FMT "\n",
             STR_ARG(api_name((enum api)api)), t->tls ? "https" : "http", open, STR_ARG(t->host),
             *open ? "]" : "", t->port, STR_ARG(path->before),
             api == API_RESPONSES ? "{/id}"
             : t->model_in_path   ? "{model}"
                                  : "",
             (int)path->after.n, path->after.n ? path->after.p : "");
    }
}

/* Every header but the ones that are always the same, which must be there. */
static void show_headers(struct page *pg, const struct target *t)
{
    struct str rest = t->headers, line;
    unsigned constant = 0;
    bool host = false;

    while (rest.n) {
        assert_true(str_cut(rest, '\n', &line, &rest));
        assert_true(str_ends(line, STR("\r")));
        line.n--;
        if (str_eq(line, STR("Content-Type: application/json")) ||
            str_eq(line, STR("Accept-Encoding: identity")) ||
            str_eq(line, STR("User-Agent: weir/" WEIR_VERSION)))
            constant++;
        else if (str_starts(line, STR("Host: ")))
            host = str_find(line, t->host) != SIZE_MAX;
        else
            PAGE(pg, "    " STR_FMT "\n", STR_ARG(line));
    }
    assert_true(host);
    if (constant != 3)
        PAGE(pg, "    (%u of the constant headers)\n", constant);
}

static bool same_rule(const struct edit *x, const struct edit *y)
{
    return x->op == y->op && x->apis == y->apis && str_eq(x->when_model, y->when_model) &&
           x->has == y->has && x->lacks == y->lacks && x->side == y->side &&
           x->only_while == y->only_while;
}

/* " if reasoning": the capabilities in `bits`. */
static void show_capabilities(struct page *pg, const char *word, uint32_t bits)
{
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++)
        if (bits & BIT(i))
            PAGE(pg, " %s %s", word, capability_name((enum capability_bit)i));
}

/* Edits of one kind, under the same conditions, share a line. */
static void show_edits(struct page *pg, const struct target *t)
{
    for (size_t i = 0; i < t->n_edits;) {
        const struct edit *first = &t->edits[i];

        PAGE(pg, "    %s", op_words[first->op]);
        for (; i < t->n_edits && same_rule(first, &t->edits[i]); i++) {
            const struct edit *x = &t->edits[i];
            PAGE(pg, "%s", x == first ? "" : ",");
            if (x->a.n)
                PAGE(pg, " " STR_FMT, STR_ARG(x->a));
            if (x->b.n)
                PAGE(pg, " " STR_FMT, STR_ARG(x->b));
            if (x->c.n)
                PAGE(pg, " " STR_FMT, STR_ARG(x->c));
        }
        PAGE(pg, "%s", while_words[first->only_while]);
        show_capabilities(pg, "if", first->has);
        show_capabilities(pg, "unless", first->lacks);
        if (first->when_model.n)
            PAGE(pg, " when " STR_FMT, STR_ARG(first->when_model));
        for (size_t api = 0; api < API_COUNT; api++)
            if (first->apis != BIT(API_COUNT) - 1 && (first->apis & BIT(api)))
                PAGE(pg, "%s" STR_FMT, first->apis & (BIT(api) - 1) ? "|" : " on ",
                     STR_ARG(api_name((enum api)api)));
        PAGE(pg, "\n");
    }
}

static void show_target(struct page *pg, const struct target_config *c)
{
    struct str missing;
    struct target t;
    struct err e;

    if (target_make(&t, c, pg->a, &missing, &e) != ERRC_OK) {
        PAGE(pg, "    error: %s\n", e.msg);
        return;
    }
    PAGE(pg, "    " STR_FMT ": " STR_FMT "%s%s%s" STR_FMT "%s\n", STR_ARG(t.provider),
         STR_ARG(t.model), t.dialect == DIALECT_ANTHROPIC ? " (Anthropic)" : "",
         t.dialect == DIALECT_OPENAI && !t.stream_usage ? " (no stream_options)" : "",
         t.asked < API_COUNT ? " (by " : "",
         STR_ARG(t.asked < API_COUNT ? api_name(t.asked) : (struct str){0}),
         t.asked < API_COUNT ? ")" : "");
    if (t.unsupported.n) {
        PAGE(pg, "    unsupported: " STR_FMT "\n", STR_ARG(t.unsupported));
        return;
    }
    show_paths(pg, &t);
    if (missing.n)
        PAGE(pg, "    no key: " STR_FMT "\n", STR_ARG(missing));
    show_headers(pg, &t);
    show_edits(pg, &t);
}

/* The file as it should be: every line that is not indented is kept. The text is the caller's to
 * free. */
static struct str page_of(struct str cases)
{
    struct arena a;
    struct page pg = {.a = &a};
    struct str line;

    arena_init(&a, NULL, ARENA_BYTES);
    while (cases.n) {
        str_cut(cases, '\n', &line, &cases);
        if (str_starts(line, STR("    ")))
            continue;
        PAGE(&pg, STR_FMT "\n", STR_ARG(line));
        if (line.n && line.p[0] != '#') {
            struct setup s;
            setup_read(&s, line);
            show_target(&pg, &s.c);
        }
        arena_reset(&a);
    }
    return (struct str){pg.p, pg.n};
}

static struct str file_text(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");

    if (!f)
        return (struct str){0};
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return (struct str){text, n};
}

static void test_deployments_become_what_the_file_says(void **state)
{
    struct str want = file_text(CASES), want_line, got_line, heading = {0};
    unsigned wrong = 0;

    (void)state;
    assert_true(want.n != 0);
    struct str page = page_of(want), got = page;
    while (want.n || got.n) {
        str_cut(want, '\n', &want_line, &want);
        str_cut(got, '\n', &got_line, &got);
        if (want_line.n && want_line.p[0] != ' ')
            heading = want_line;
        if (!str_eq(want_line, got_line)) {
            print_error(STR_FMT "\n  file: " STR_FMT "\n  got:  " STR_FMT "\n", STR_ARG(heading),
                        STR_ARG(want_line), STR_ARG(got_line));
            if (++wrong == 10)
                break;
        }
    }
    free((char *)(uintptr_t)page.p);
    assert_int_equal(wrong, 0);
}

/* --- the table ------------------------------------------------------------------------------- */

static bool is_served(const struct provider *p)
{
    return p->adapter == ADAPTER_OPENAI && p->auth <= AUTH_HEADER;
}

static void test_file_has_every_provider_of_the_openai_family(void **state)
{
    struct str cases = file_text(CASES);
    unsigned served = 0;

    (void)state;
    for (size_t i = 0; i < provider_count(); i++) {
        const struct provider *p = provider_at(i);
        char heading[128];

        if (!is_served(p))
            continue;
        served++;
        (void)snprintf(heading, sizeof heading, "\n" STR_FMT "/", STR_ARG(p->id));
        if (str_find(cases, str_of(heading)) == SIZE_MAX)
            fail_msg("%s has no case in " CASES, heading + 1);
    }
    assert_true(served > 100);
}

static void test_every_clause_of_the_table_compiles(void **state)
{
    static const char *const models[] = {"some-model", "*", "gpt-5", "claude-x"};

    (void)state;
    for (size_t i = 0; i < provider_count(); i++)
        for (size_t k = 0; k < ARRAY_LEN(models); k++) {
            struct arena a;
            struct quirks q = {.edits.arena = &a};
            struct err e = {0};

            arena_init(&a, NULL, ARENA_BYTES);
            if (quirks_compile(&q, provider_at(i)->quirks, str_of(models[k]), &e))
                fail_msg("%s: %s", provider_at(i)->id.p, e.msg);
            if (q.hook.n && !hook_exists(q.hook))
                fail_msg("%s: no such hook: " STR_FMT, provider_at(i)->id.p, STR_ARG(q.hook));
            arena_reset(&a);
        }
}

static void test_wrong_clauses_are_named(void **state)
{
    static const char *const bad[] = {
        "renam:a>b",
        "rename:a",
        "rename:>b",
        "clamp:temperature=1",
        "map:a>b",
        "default:a",
        "set:=1",
        "path:chat=x",
        "path:nothing=/x",
        "keep:tools",
        "drop:a on nowhere",
        "drop:a if no_such",
        "drop:a unless no_such",
        "drop:a while sleeping",
        "hook:",
        "remove:a||b",
        "base_suffix:v1",
        "lacks:",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        struct quirks q = {.edits.arena = &a};
        struct err e = {0};

        arena_init(&a, NULL, ARENA_BYTES);
        if (quirks_compile(&q, str_of(bad[i]), STR("m"), &e) != ERRC_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_non_null(strstr(e.msg, "no such clause"));
        arena_reset(&a);
    }
}

/* --- what must not be sent ------------------------------------------------------------------ */

static enum errc make_with(const struct target_config *c, struct err *e)
{
    struct str missing;
    struct target t;
    struct arena a;

    arena_init(&a, NULL, ARENA_BYTES);
    enum errc rc = target_make(&t, c, &a, &missing, e);
    arena_reset(&a);
    return rc;
}

static void test_header_bytes_that_split_a_message_are_refused(void **state)
{
    static const struct target_header bad[] = {
        {STR_INIT("X-A"), STR_INIT("a\r\nX-B: b")},  {STR_INIT("X-A"), STR_INIT("a\nb")},
        {STR_INIT("X-A"), STR_INIT("a\0b")},         {STR_INIT("X A"), STR_INIT("a")},
        {STR_INIT("X-A:"), STR_INIT("a")},           {STR_INIT(""), STR_INIT("a")},
        {STR_INIT("X\r\n"), STR_INIT("a")},          {STR_INIT("Host"), STR_INIT("evil")},
        {STR_INIT("content-LENGTH"), STR_INIT("0")}, {STR_INIT("Transfer-Encoding"), STR_INIT("x")},
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct target_config c = {.model = STR("openai/m"),
                                  .api_key = STR("k"),
                                  .extra_headers = &bad[i],
                                  .n_extra_headers = 1};
        e.msg[0] = 0;
        if (make_with(&c, &e) != ERRC_INVALID || !strstr(e.msg, "extra_headers"))
            fail_msg("row %zu was taken: %s", i, e.msg);
    }
}

static void test_a_bad_key_is_refused_and_not_shown(void **state)
{
    struct target_config c = {.model = STR("openai/m"), .api_key = STR("sk-secret\r\nX: y")};
    struct err e = {0};

    (void)state;
    assert_int_equal(make_with(&c, &e), ERRC_INVALID);
    assert_non_null(strstr(e.msg, "api_key"));
    assert_null(strstr(e.msg, "secret"));
}

static void test_memory_that_ends_is_an_error(void **state)
{
    struct target_config c = {.model = STR("openai/*"), .api_key = STR("k")};
    struct str missing;
    struct target t;
    struct arena a;
    struct err e;

    (void)state;
    arena_init(&a, NULL, 0);
    assert_int_equal(target_make(&t, &c, &a, &missing, &e), ERRC_NOMEM);
    arena_reset(&a);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deployments_become_what_the_file_says),
        cmocka_unit_test(test_file_has_every_provider_of_the_openai_family),
        cmocka_unit_test(test_every_clause_of_the_table_compiles),
        cmocka_unit_test(test_wrong_clauses_are_named),
        cmocka_unit_test(test_header_bytes_that_split_a_message_are_refused),
        cmocka_unit_test(test_a_bad_key_is_refused_and_not_shown),
        cmocka_unit_test(test_memory_that_ends_is_an_error),
    };

    if (argc > 1 && strcmp(argv[1], "--print") == 0) {
        struct str page = page_of(file_text(CASES));

        fwrite(page.p, 1, page.n, stdout);
        free((char *)(uintptr_t)page.p);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
