/*
 * One function per verb, found by name; each reads its arguments and adds edits. Conditions
 * (" while", " if" and " unless" with a capability, " when models", " on apis") are cut
 * off before and hold for all edits of the clause.
 */

#include "provider/quirks.h"

#include "common/gateway/capability.h"
#include "common/gateway/glob.h"
#include "common/gateway/param.h"
#include "common/jw.h"

#define APIS_ALL (BIT(API_COUNT) - 1)

/* One clause under way. */
struct clause {
    struct quirks *q;
    struct str model; /* upstream name */
    struct str args;
    struct str when; /* globs left for the worker */
    uint32_t apis, has, lacks;
    enum edit_while only_while;
};

/* Where prompt-cache marks stand; only some upstreams know them. */
static const struct str cache_control_paths[] = {
    STR_INIT("messages.cache_control"),
    STR_INIT("messages.content.cache_control"),
    STR_INIT("tools.cache_control"),
    STR_INIT("tools.function.cache_control"),
};

void edits_add(struct edits *l, struct edit edit)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 32;
        struct edit *bigger = arena_alloc(l->arena, cap * sizeof *bigger);
        if (!bigger)
            return;
        if (l->n)
            memcpy(bigger, l->v, l->n * sizeof *bigger);
        l->v = bigger;
        l->cap = cap;
    }
    l->v[l->n++] = edit;
}

static bool listed(struct str list, struct str name)
{
    struct str one;

    while (list.n) {
        str_cut(list, '|', &one, &list);
        if (str_eq(one, name))
            return true;
    }
    return false;
}

static struct str json_string(struct arena *a, struct str s)
{
    struct jw w = jw_init(a);

    jw_put_str(&w, s);
    return jw_finish(&w);
}

static void clause_add(const struct clause *c, enum edit_op op, struct str a, struct str b,
                       struct str third)
{
    edits_add(&c->q->edits, (struct edit){.op = op,
                                          .apis = c->apis,
                                          .a = a,
                                          .b = b,
                                          .c = third,
                                          .when_model = c->when,
                                          .has = c->has,
                                          .lacks = c->lacks,
                                          .only_while = c->only_while});
}

/* An edit with only `a` for each of the '|'-separated names. */
static bool clause_add_each(const struct clause *c, enum edit_op op)
{
    struct str rest = c->args, one;

    while (rest.n) {
        str_cut(rest, '|', &one, &rest);
        if (one.n == 0)
            return false;
        clause_add(c, op, one, (struct str){0}, (struct str){0});
    }
    return true;
}

/* --- verbs: false when the arguments make no sense ------------------------------------------- */

static bool verb_rename(const struct clause *c)
{
    struct str from, to;

    if (!str_cut(c->args, '>', &from, &to) || !from.n || !to.n)
        return false;
    clause_add(c, EDIT_RENAME, from, to, (struct str){0});
    return true;
}

static bool verb_drop(const struct clause *c)
{
    struct str name, plain;

    if (!str_cut(c->args, '=', &name, &plain))
        return clause_add_each(c, EDIT_UNSUPPORTED);
    clause_add(c, EDIT_UNSUPPORTED, name, plain, (struct str){0});
    return name.n && plain.n;
}

static bool verb_remove(const struct clause *c)
{
    if (listed(c->args, STR("stream_options")))
        c->q->takes_stream_options = false;
    return clause_add_each(c, EDIT_DROP);
}

static bool verb_only(const struct clause *c)
{
    for (size_t i = 0; i < param_count(); i++) {
        const struct param *p = param_at(i);
        if (listed(c->args, p->name))
            continue;
        if (str_eq(p->name, STR("stream_options")))
            c->q->takes_stream_options = false;
        clause_add(c, p->silent ? EDIT_DROP : EDIT_UNSUPPORTED, p->name, p->plain, (struct str){0});
    }
    return true;
}

static bool verb_keep(const struct clause *c)
{
    if (str_eq(c->args, STR("developer")))
        return c->q->keeps_developer = true;
    if (c->when.n)
        c->q->keeps_cache_control_of = c->when;
    else
        c->q->keeps_cache_control = true;
    return str_eq(c->args, STR("cache_control"));
}

static bool verb_strip(const struct clause *c)
{
    return clause_add_each(c, EDIT_STRIP);
}

static bool verb_strip_null(const struct clause *c)
{
    return clause_add_each(c, EDIT_STRIP_NULL);
}

static bool verb_map(const struct clause *c)
{
    struct str from, to, member, value;

    if (!str_cut(c->args, '>', &from, &to) || !str_cut(from, '.', &member, &value) || !to.n)
        return false;
    clause_add(c, EDIT_MAP, member, value, json_string(c->q->edits.arena, to));
    return true;
}

static bool verb_clamp(const struct clause *c)
{
    static const struct {
        struct str sign;
        enum edit_op op;
    } signs[] = {{STR_INIT("<="), EDIT_MAX}, {STR_INIT(">="), EDIT_MIN}};

    for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
        size_t at = str_find(c->args, signs[i].sign);
        if (at == SIZE_MAX)
            continue;
        clause_add(c, signs[i].op, (struct str){c->args.p, at}, str_from(c->args, at + 2),
                   (struct str){0});
        return true;
    }
    return false;
}

static bool clause_add_value(const struct clause *c, enum edit_op op)
{
    struct str name, value;

    if (!str_cut(c->args, '=', &name, &value) || !name.n || !value.n)
        return false;
    if (str_eq(value, STR("$model"))) {
        if (memchr(c->model.p, '*', c->model.n))
            return true; /* known per request only */
        value = json_string(c->q->edits.arena, c->model);
    }
    clause_add(c, op, name, value, (struct str){0});
    return true;
}

static bool verb_default(const struct clause *c)
{
    return clause_add_value(c, EDIT_DEFAULT);
}

static bool verb_set(const struct clause *c)
{
    return clause_add_value(c, EDIT_SET);
}

static bool verb_flatten_content(const struct clause *c)
{
    struct str roles, joiner;

    str_cut(c->args, '=', &roles, &joiner);
    clause_add(c, EDIT_FLATTEN, roles, joiner, (struct str){0});
    return true;
}

static bool verb_path(const struct clause *c)
{
    struct str name, path;

    if (!str_cut(c->args, '=', &name, &path) || api_named(name) == API_COUNT)
        return false;
    c->q->path[api_named(name)] = path;
    return str_starts(path, STR("/"));
}

static bool verb_base_suffix(const struct clause *c)
{
    c->q->base_suffix = c->args;
    return str_starts(c->args, STR("/"));
}

static bool verb_header(const struct clause *c)
{
    struct quirks *q = c->q;
    struct str name, sources;

    if (!str_cut(c->args, '=', &name, &sources) || q->n_headers == QUIRK_HEADERS)
        return false;
    q->header[q->n_headers].name = name;
    q->header[q->n_headers++].sources = sources;
    return true;
}

static bool verb_hook(const struct clause *c)
{
    bool first = c->q->hook.n == 0;

    c->q->hook = c->args;
    return first && c->args.n;
}

static bool verb_nothing(const struct clause *c)
{
    return c->args.n != 0;
}

static const struct {
    struct str name;
    bool (*run)(const struct clause *c);
} verbs[] = {
    {STR_INIT("rename"), verb_rename},
    {STR_INIT("drop"), verb_drop},
    {STR_INIT("remove"), verb_remove},
    {STR_INIT("only"), verb_only},
    {STR_INIT("pass"), verb_nothing},
    {STR_INIT("keep"), verb_keep},
    {STR_INIT("strip"), verb_strip},
    {STR_INIT("strip_null"), verb_strip_null},
    {STR_INIT("map"), verb_map},
    {STR_INIT("clamp"), verb_clamp},
    {STR_INIT("default"), verb_default},
    {STR_INIT("set"), verb_set},
    {STR_INIT("flatten_content"), verb_flatten_content},
    {STR_INIT("path"), verb_path},
    {STR_INIT("base_suffix"), verb_base_suffix},
    {STR_INIT("header"), verb_header},
    {STR_INIT("hook"), verb_hook},
    {STR_INIT("lacks"), verb_nothing},
};

/* --- clauses -----------------------------------------------------------------------------------
 */

/* Cuts `word` and what follows off the end of *s. */
static struct str cut_condition(struct str *s, struct str word)
{
    size_t at = str_find(*s, word);
    struct str rest;

    if (at == SIZE_MAX)
        return (struct str){0};
    rest = str_from(*s, at + word.n);
    s->n = at;
    return rest;
}

static bool apis_read(struct str names, uint32_t *ret)
{
    struct str one;

    *ret = 0;
    while (names.n) {
        str_cut(names, '|', &one, &names);
        enum api api = api_named(one);
        if (api == API_COUNT)
            return false;
        *ret |= BIT(api);
    }
    return true;
}

bool quirks_next(struct str *clauses, struct str *ret_verb, struct str *ret_args)
{
    struct str clause = *clauses;
    size_t end = str_find(clause, STR("; "));

    if (clauses->n == 0)
        return false;
    *clauses = str_from(*clauses, end == SIZE_MAX ? clause.n : end + 2);
    if (end != SIZE_MAX)
        clause.n = end;
    str_cut(clause, ':', ret_verb, ret_args);
    return true;
}

static enum edit_while while_read(struct str s)
{
    return str_eq(s, STR("reasoning"))       ? EDIT_REASONING
           : str_eq(s, STR("not reasoning")) ? EDIT_NOT_REASONING
                                             : EDIT_ALWAYS;
}

/* Conditions stand in the order while, if or unless, when, on; false: one that makes no sense. */
static bool conditions_read(struct clause *c)
{
    struct str apis = cut_condition(&c->args, STR(" on "));
    struct str has, lacks, while_;

    c->when = cut_condition(&c->args, STR(" when "));
    lacks = cut_condition(&c->args, STR(" unless "));
    has = cut_condition(&c->args, STR(" if "));
    while_ = cut_condition(&c->args, STR(" while "));
    c->has = has.n ? capability_called(has) : 0;
    c->lacks = lacks.n ? capability_called(lacks) : 0;
    c->only_while = while_read(while_);
    c->apis = BIT(API_CHAT);
    return (!apis.n || apis_read(apis, &c->apis)) && (!has.n || c->has) && (!lacks.n || c->lacks) &&
           (!while_.n || c->only_while);
}

static bool clause_compile(struct clause *c, struct str verb)
{
    c->when = (struct str){0};
    if (!str_eq(verb, STR("lacks")) && !conditions_read(c))
        return false;
    if (c->when.n && !memchr(c->model.p, '*', c->model.n)) {
        if (!globs_match(c->when, c->model))
            return true;
        c->when = (struct str){0};
    }
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (str_eq(verb, verbs[i].name))
            return verbs[i].run(c);
    return false;
}

enum errc quirks_compile(struct quirks *q, struct str clauses, struct str model, struct err *e)
{
    struct clause c = {.q = q, .model = model};
    struct str verb;

    q->takes_stream_options = true;
    if (!model.n)
        c.model = STR("*");
    while (quirks_next(&clauses, &verb, &c.args)) {
        const struct str args = c.args;
        if (!clause_compile(&c, verb))
            return err_set(e, ERRC_INVALID, 0,
                           "table of providers: no such clause: " STR_FMT ":" STR_FMT,
                           STR_ARG(verb), STR_ARG(args));
    }
    return ERRC_OK;
}

void quirks_add_defaults(struct quirks *q)
{
    struct edit edit = {.op = EDIT_STRIP, .apis = BIT(API_CHAT)};

    if (q->keeps_cache_control_of.n)
        edit.when_model =
            arena_printf(q->edits.arena, "!" STR_FMT, STR_ARG(q->keeps_cache_control_of));
    for (size_t i = 0; i < ARRAY_LEN(cache_control_paths) && !q->keeps_cache_control; i++) {
        edit.a = cache_control_paths[i];
        edits_add(&q->edits, edit);
    }
    edits_add(
        &q->edits,
        (struct edit){.op = EDIT_DROP, .apis = BIT(API_CHAT), .a = STR("tools"), .b = STR("[]")});
    if (!q->keeps_developer)
        edits_add(&q->edits, (struct edit){.op = EDIT_ROLE,
                                           .apis = BIT(API_CHAT),
                                           .a = STR("developer"),
                                           .b = STR("\"system\"")});
}

void quirks_allow(struct quirks *q, const struct str *params, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->edits.n; i++) {
        const struct edit *edit = &q->edits.v[i];
        bool allowed = false;

        for (size_t k = 0; k < n; k++)
            allowed = allowed || str_eq(params[k], edit->a);
        if (!allowed || (edit->op != EDIT_UNSUPPORTED && (edit->op != EDIT_DROP || edit->b.n)))
            q->edits.v[kept++] = *edit;
    }
    q->edits.n = kept;
}

enum errc quirks_drop(struct quirks *q, const struct str *params, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct str path = param_path(params[i], q->edits.arena);
        bool nested = path.n && memchr(path.p, '.', path.n);

        if (path.n == 0 && arena_ok(q->edits.arena))
            return err_set(e, ERRC_INVALID, 0,
                           "additional_drop_params: " STR_FMT
                           ": single elements cannot be dropped; [*] is all of them",
                           (int)MIN(params[i].n, 100), params[i].p);
        edits_add(&q->edits, (struct edit){.op = nested ? EDIT_STRIP : EDIT_DROP,
                                           .apis = APIS_ALL,
                                           .a = path,
                                           .side = EDIT_OPENAI});
    }
    return ERRC_OK;
}
