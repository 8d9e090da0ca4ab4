/*
 * The cases of tests/cases/dialect/body_edit.txt, and edits of random bodies held against the same
 * edits made on a tree by another JSON library.
 */

#include <yyjson.h>

#include "common/bufpool.h"
#include "common/gateway/capability.h"

#include "dialect/body_edit.h"
#include "dialect/param_list.h"
#include "provider/edit.h"
#include "tests/unit/dataplane/dialect/deployment.h"
#include "tests/unit/test.h"

#define CASES "tests/cases/dialect/body_edit.txt"

static struct bufpool pool = {.ceiling = 64 << 20};

static const char *const op_names[EDIT_OPS] = {
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

static unsigned index_of(const char *const *names, size_t n, struct str name)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_of(names[i]), name))
            return i;
    print_error("no such name: " STR_FMT "\n", STR_ARG(name));
    fail();
    return 0;
}

static void piece_add(void *ctx, const char *p, size_t n)
{
    assert_true(n > 0);
    assert_true(buf_add(&pool, ctx, p, n));
}

/* Scans `body` in pieces of `step` bytes (0: whole), edits it into `out`; the result borrows from
 * a. */
static enum body_edit_result edit_run(struct buf *out, struct str body, size_t step,
                                      const struct test_deployment *t,
                                      const struct body_edit_options *o, struct arena *a,
                                      struct str *ret_refused)
{
    static struct request_scan scan;
    struct body_edit edit;
    enum request_scan_result r = REQUEST_SCAN_MORE;

    out->n = 0;
    request_scan_init(&scan, a);
    for (size_t at = 0, n; at < body.n; at += n) {
        n = step ? MIN(step, body.n - at) : body.n;
        r = request_scan_feed(&scan, body.p + at, n);
    }
    if (r != REQUEST_SCAN_DONE)
        print_error("not scanned: " STR_FMT "\n", STR_ARG(body));
    assert_int_equal(r, REQUEST_SCAN_DONE);
    enum body_edit_result result =
        body_edit_make(&edit, &scan, body.p, body.n, &t->snapshot, &t->d, o, a);
    *ret_refused = edit.refused;
    if (result != BODY_EDIT_OK)
        return result;
    for (uint32_t i = 0; i < edit.n; i++) {
        assert_true(edit.splice[i].at <= edit.splice[i].end && edit.splice[i].end <= body.n);
        assert_true(i == 0 || edit.splice[i - 1].end <= edit.splice[i].at);
    }
    body_edit_emit(&edit, piece_add, out);
    assert_int_equal(out->n, edit.length);
    return result;
}

/* --- cases --- */

struct edit_case {
    struct str name;
    struct test_deployment t;
    struct body_edit_options o;
    struct buf in, out;
    struct str refused;
    struct str drop[PARAM_LIST_MAX], allow[PARAM_LIST_MAX];
    struct arena lists;
};

static void case_begin(struct edit_case *c, struct str name)
{
    c->name = name;
    deployment_init(&c->t);
    c->o = (struct body_edit_options){
        .api = API_CHAT, .model = STR("m"), .drop = c->drop, .allow = c->allow};
    arena_reset(&c->lists);
    arena_init(&c->lists, NULL, 1 << 16);
    c->in.n = c->out.n = 0;
    c->refused = (struct str){0};
}

static void case_edit(struct edit_case *c, struct str line)
{
    struct str op, column[6] = {{0}}, word;

    str_cut(line, ' ', &op, &line);
    for (size_t i = 0; i < ARRAY_LEN(column) && line.n; i++) {
        size_t bar = str_find(line, STR(" |"));
        if (str_starts(line, STR("| ")) || str_eq(line, STR("|")))
            bar = 0;
        column[i] = str_trim((struct str){line.p, MIN(bar, line.n)});
        line =
            bar == SIZE_MAX ? (struct str){0} : str_from(line, bar + (line.p[bar] == '|' ? 2 : 3));
    }
    deployment_edit(&c->t, (enum edit_op)index_of(op_names, EDIT_OPS, op),
                    column[4].n ? BIT(api_named(column[4])) : 0, column[0], column[1], column[2],
                    column[3]);
    struct snap_edit *e = &c->t.edit[c->t.d.edits.n - 1];
    while (column[5].n) {
        str_cut(column[5], ' ', &word, &column[5]);
        if (str_eq(word, STR("reasoning")))
            e->only_while = EDIT_REASONING;
        else if (str_eq(word, STR("!reasoning")))
            e->only_while = EDIT_NOT_REASONING;
        else if (str_eq(word, STR("openai")))
            e->side = EDIT_OPENAI;
        else if (str_eq(word, STR("sent")))
            e->side = EDIT_SENT;
        else if (str_starts(word, STR("!")))
            e->lacks |= capability_called(str_from(word, 1));
        else
            e->has |= capability_called(word);
    }
}

static void case_option(struct edit_case *c, struct str line)
{
    struct str name, value;

    str_cut(line, '=', &name, &value);
    if (str_eq(name, STR("model")))
        c->o.model = value;
    else if (str_eq(name, STR("response_id")))
        c->o.response_id = value;
    else if (str_eq(name, STR("api")))
        c->o.api = api_named(value);
    else if (str_eq(name, STR("client")))
        c->o.client = api_named(value);
    else if (str_eq(name, STR("upstream")))
        c->o.upstream = api_named(value);
    else if (str_eq(name, STR("can")))
        c->o.can |= capability_called(value);
    else if (str_eq(name, STR("drop")))
        c->o.n_drop = param_list(c->drop, value, true, &c->lists);
    else if (str_eq(name, STR("allow")))
        c->o.n_allow = param_list(c->allow, value, false, &c->lists);
    else if (str_eq(name, STR("model_in_path")))
        c->o.model_in_path = true;
    else if (str_eq(name, STR("inject_usage")))
        c->o.inject_usage = true;
    else if (str_eq(name, STR("drop_params")))
        c->o.drop_params = true;
    else
        fail_msg("no such option: " STR_FMT, STR_ARG(line));
}

static void line_add(struct buf *b, struct str line)
{
    if (b->n)
        assert_true(buf_add(&pool, b, "\n", 1));
    assert_true(buf_add(&pool, b, line.p ? line.p : "", line.n));
}

static bool case_run(struct edit_case *c)
{
    static const char *const results[] = {"ok", "unsupported", "limit"};
    struct str body = {c->in.p, c->in.n}, want = {c->out.p, c->out.n}, refused;
    struct buf got = {0};
    struct arena a;
    bool ok = true;

    deployment_seal(&c->t);
    arena_init(&a, NULL, 1 << 20);
    for (size_t step = 0; step < 3 && ok; step++) {
        enum body_edit_result r = edit_run(&got, body, step, &c->t, &c->o, &a, &refused);
        struct str have = {got.p, got.n};
        ok = c->refused.n ? r == BODY_EDIT_UNSUPPORTED && str_eq(refused, c->refused)
                          : r == BODY_EDIT_OK && str_eq(have, want);
        if (!ok)
            print_error(
                STR_FMT "\n  %s " STR_FMT "\n  got      " STR_FMT "\n  expected " STR_FMT "\n",
                STR_ARG(c->name), results[r], STR_ARG(refused), STR_ARG(have), STR_ARG(want));
        arena_reset(&a);
    }
    buf_free(&pool, &got);
    return ok;
}

static void test_cases(void **state)
{
    static struct edit_case c;
    struct buf file = {0};
    unsigned cases = 0, wrong = 0;
    FILE *f = fopen(CASES, "r");

    (void)state;
    assert_non_null(f);
    assert_true(buf_reserve(&pool, &file, 1 << 20));
    file.n = fread(file.p, 1, file.cap, f);
    assert_int_equal(fclose(f), 0);
    struct str rest = {file.p, file.n}, line, word;
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, STR("#")) || line.n == 0)
            continue;
        struct str text = {0};
        str_cut(line, ' ', &word, &text);
        if (str_eq(word, STR("=="))) {
            wrong += cases && !case_run(&c);
            cases++;
            case_begin(&c, text);
        } else if (str_eq(word, STR("edit"))) {
            case_edit(&c, text);
        } else if (str_eq(word, STR("option"))) {
            case_option(&c, text);
        } else if (str_eq(word, STR("in"))) {
            line_add(&c.in, text);
        } else if (str_eq(word, STR("out"))) {
            line_add(&c.out, text);
        } else if (str_eq(word, STR("refused"))) {
            c.refused = text;
        } else {
            fail_msg("no such line: " STR_FMT, STR_ARG(line));
        }
    }
    wrong += !case_run(&c);
    print_message("%u cases\n", cases);
    assert_true(cases > 60);
    assert_int_equal(wrong, 0);
    buf_free(&pool, &c.in);
    buf_free(&pool, &c.out);
    buf_free(&pool, &file);
}

/* --- random bodies --- */

struct writer {
    uint64_t seed;
    struct buf b;
    size_t model_at, model_end; /* value of the model */
};

static unsigned below(struct writer *w, unsigned n)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(w->seed >> 33) % n;
}

static void put(struct writer *w, const char *s)
{
    assert_true(buf_add(&pool, &w->b, s, strlen(s)));
}

static void put_blanks(struct writer *w)
{
    static const char *const blanks[] = {"", "", "", "", "", " ", "  ", "\n\t", "\r\n ", " \n"};

    put(w, blanks[below(w, ARRAY_LEN(blanks))]);
}

static const char *one_of(struct writer *w, const char *const *values, size_t n)
{
    return values[below(w, (unsigned)n)];
}

static void put_scalar(struct writer *w)
{
    static const char *const scalars[] = {
        "null",
        "true",
        "false",
        "0",
        "1",
        "1.0",
        "-2.5e-3",
        "7",
        "12345678901234567890",
        "3.0E+2",
        "\"\"",
        "\"x\"",
        "\"required\"",
        "\"a \\\"quoted\\\" \\\\ \\u00e9 \\ud83d\\ude00\"",
        "\"cache_control\"",
        "\"text with ] and } and , in it, long enough to leave one block\"",
    };

    put(w, one_of(w, scalars, ARRAY_LEN(scalars)));
}

typedef void (*put_fn)(struct writer *w, const char *key, unsigned depth);

/* An object of some of the keys in any order, with the values `value` writes. */
static void put_object(struct writer *w, const char *const *keys, size_t n, put_fn value,
                       unsigned depth)
{
    unsigned left = (1u << n) - 1;
    bool comma = false;

    put(w, "{");
    put_blanks(w);
    for (size_t tries = 0; tries < n; tries++) {
        unsigned k = below(w, (unsigned)n);
        if (!(left & BIT(k)))
            continue;
        left &= ~BIT(k);
        if (comma) {
            put(w, ",");
            put_blanks(w);
        }
        comma = true;
        put(w, "\"");
        put(w, keys[k]);
        put(w, "\"");
        put_blanks(w);
        put(w, ":");
        put_blanks(w);
        value(w, keys[k], depth);
        put_blanks(w);
    }
    put(w, "}");
}

static void put_array(struct writer *w, put_fn element, unsigned depth)
{
    put(w, "[");
    put_blanks(w);
    for (unsigned i = 0, n = below(w, 4); i < n; i++) {
        if (i) {
            put(w, ",");
            put_blanks(w);
        }
        element(w, "", depth);
        put_blanks(w);
    }
    put(w, "]");
}

static void put_any(struct writer *w, const char *key, unsigned depth)
{
    static const char *const keys[] = {"a", "b", "strict", "cache_control", "$id", "name"};

    (void)key;
    switch (depth > 4 ? 0 : below(w, 5)) {
    case 0:
    case 1:
    case 2:
        put_scalar(w);
        break;
    case 3:
        put_array(w, put_any, depth + 1);
        break;
    default:
        put_object(w, keys, ARRAY_LEN(keys), put_any, depth + 1);
    }
}

static void put_part_member(struct writer *w, const char *key, unsigned depth)
{
    static const char *const texts[] = {"\"\"", "\"one\"", "\"t\\\"w\\\\o\\n\"", "\"dr\xc3\xa9i\""};

    if (below(w, 20) == 0)
        put_any(w, key, depth);
    else if (strcmp(key, "type") == 0)
        put(w, below(w, 20) ? "\"text\"" : "\"image_url\"");
    else if (strcmp(key, "text") == 0)
        put(w, one_of(w, texts, ARRAY_LEN(texts)));
    else
        put_any(w, key, depth);
}

static void put_part(struct writer *w, const char *key, unsigned depth)
{
    static const char *const keys[] = {"type", "text", "cache_control"};
    static const char *const parts[] = {"{\"type\":\"text\",\"text\":\"p\\t1\"}",
                                        "{ \"text\" : \"p2\" , \"type\" : \"text\" }"};

    (void)key;
    if (below(w, 3))
        put(w, one_of(w, parts, ARRAY_LEN(parts)));
    else
        put_object(w, keys, ARRAY_LEN(keys), put_part_member, depth + 1);
}

static void put_message_member(struct writer *w, const char *key, unsigned depth)
{
    static const char *const roles[] = {"\"user\"", "\"assistant\"", "\"tool\"", "\"system\""};

    if (strcmp(key, "role") == 0 && below(w, 10))
        put(w, one_of(w, roles, ARRAY_LEN(roles)));
    else if (strcmp(key, "content") == 0 && below(w, 3))
        put_array(w, put_part, depth + 1);
    else
        put_any(w, key, depth);
}

static void put_message(struct writer *w, const char *key, unsigned depth)
{
    static const char *const keys[] = {"role", "content", "name", "cache_control", "refusal"};

    if (below(w, 20) == 0)
        put_any(w, key, depth);
    else
        put_object(w, keys, ARRAY_LEN(keys), put_message_member, depth + 1);
}

static void put_tool_member(struct writer *w, const char *key, unsigned depth)
{
    static const char *const keys[] = {"name", "strict", "parameters", "$id", "function"};

    if (strcmp(key, "function") == 0 || strcmp(key, "parameters") == 0)
        put_object(w, keys, ARRAY_LEN(keys), depth > 4 ? put_any : put_tool_member, depth + 1);
    else
        put_any(w, key, depth);
}

static void put_tool(struct writer *w, const char *key, unsigned depth)
{
    static const char *const keys[] = {"type", "function", "strict", "cache_control"};

    (void)key;
    put_object(w, keys, ARRAY_LEN(keys), put_tool_member, depth + 1);
}

static void put_root_member(struct writer *w, const char *key, unsigned depth)
{
    static const char *const models[] = {"\"gpt\"", "null", "\"\\u0061\"", "17"};
    static const char *const options[] = {"null",
                                          "{}",
                                          "{ \n}",
                                          "{\"include_usage\":true}",
                                          "{\"include_usage\" : false}",
                                          "{\"x\":[1], \"include_usage\":null}",
                                          "{\"x\":{\"include_usage\":false}}"};

    if (strcmp(key, "model") == 0) {
        w->model_at = w->b.n;
        put(w, one_of(w, models, ARRAY_LEN(models)));
        w->model_end = w->b.n;
    } else if (strcmp(key, "messages") == 0 && below(w, 10)) {
        put_array(w, put_message, depth);
    } else if (strcmp(key, "tools") == 0 && below(w, 10)) {
        put_array(w, put_tool, depth);
    } else if (strcmp(key, "stream") == 0) {
        put(w, below(w, 2) ? "true" : "false");
    } else if (strcmp(key, "stream_options") == 0) {
        put(w, one_of(w, options, ARRAY_LEN(options)));
    } else {
        put_any(w, key, depth);
    }
}

static struct str put_body(struct writer *w, const char *const *keys, size_t n)
{
    w->b.n = w->model_at = w->model_end = 0;
    put_blanks(w);
    put_object(w, keys, n, put_root_member, 1);
    put_blanks(w);
    return (struct str){w->b.p, w->b.n};
}

static void test_without_edits_only_the_model_changes(void **state)
{
    static const char *const keys[] = {"messages",       "tools", "model", "stream", "max_tokens",
                                       "stream_options", "x",     "n",     "model"};
    static struct test_deployment t;
    struct body_edit_options o = {.model = STR("up/stream"), .model_in_path = true};
    struct writer w = {.seed = 1};
    struct buf got = {0}, want = {0};
    struct str refused;
    struct arena a;

    (void)state;
    deployment_init(&t);
    deployment_seal(&t);
    arena_init(&a, NULL, 1 << 20);
    for (int round = 0; round < 3000; round++) {
        struct str body = put_body(&w, keys, ARRAY_LEN(keys) - 1);
        assert_int_equal(edit_run(&got, body, below(&w, 50), &t, &o, &a, &refused), BODY_EDIT_OK);
        want.n = 0;
        if (w.model_end) {
            piece_add(&want, body.p, w.model_at);
            piece_add(&want, "\"up/stream\"", 11);
            piece_add(&want, body.p + w.model_end, body.n - w.model_end);
        } else {
            piece_add(&want, body.p, body.n);
        }
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.p, want.p, got.n);
        arena_reset(&a);
    }
    buf_free(&pool, &w.b);
    buf_free(&pool, &got);
    buf_free(&pool, &want);
}

/* --- the same edits on a tree --- */

struct tree {
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
    const struct body_edit_options *o;
    char refused[256]; /* as in struct body_edit */
};

static yyjson_mut_val *tree_value(struct tree *t, struct str json)
{
    yyjson_doc *d = yyjson_read(json.p, json.n, 0);
    assert_non_null(d);
    yyjson_mut_val *v = yyjson_val_mut_copy(t->doc, yyjson_doc_get_root(d));
    yyjson_doc_free(d);
    return v;
}

static void tree_put(struct tree *t, const char *key, struct str json)
{
    yyjson_mut_obj_put(t->root, yyjson_mut_strcpy(t->doc, key), tree_value(t, json));
}

static bool tree_same(yyjson_mut_val *a, yyjson_mut_val *b)
{
    if (yyjson_mut_is_num(a) && yyjson_mut_is_num(b))
        return !(yyjson_mut_get_num(a) < yyjson_mut_get_num(b)) &&
               !(yyjson_mut_get_num(b) < yyjson_mut_get_num(a));
    return yyjson_mut_equals(a, b);
}

/* Removes what the rest of a path names below v; `nulls`: null members at its end. */
static void tree_strip(yyjson_mut_val *v, char *const *path, size_t n, bool in_tools, bool nulls)
{
    if (yyjson_mut_is_arr(v)) {
        size_t i, max;
        yyjson_mut_val *e;
        yyjson_mut_arr_foreach(v, i, max, e)
        {
            tree_strip(e, path, n, in_tools, nulls);
        }
        return;
    }
    if (!yyjson_mut_is_obj(v))
        return;
    yyjson_mut_obj_iter it = yyjson_mut_obj_iter_with(v);
    yyjson_mut_val *key;
    while ((key = yyjson_mut_obj_iter_next(&it))) {
        yyjson_mut_val *member = yyjson_mut_obj_iter_get_val(key);
        const char *name = yyjson_mut_get_str(key);
        bool any = n && strcmp(path[0], "**") == 0;
        bool gone = false;

        if (n == 0)
            gone = nulls && yyjson_mut_is_null(member);
        else if (any)
            tree_strip(member, path, n, false, nulls);
        else if (strcmp(path[0], name) != 0 && in_tools && strcmp(name, "function") == 0)
            tree_strip(member, path, n, true, nulls);
        for (size_t skip = 0; n && skip <= any && !gone; skip++) {
            if (n == skip || strcmp(path[skip], name) != 0)
                continue;
            if (n == skip + 1 && !nulls)
                gone = true;
            else
                tree_strip(member, path + skip + 1, n - skip - 1, false, nulls);
        }
        if (gone)
            yyjson_mut_obj_iter_remove(&it);
    }
}

static void tree_flatten(struct tree *t, struct str roles, struct str joiner)
{
    yyjson_mut_val *messages = yyjson_mut_obj_get(t->root, "messages"), *message, *part;
    yyjson_mut_arr_iter it, parts;

    if (!yyjson_mut_is_arr(messages))
        return;
    yyjson_mut_arr_iter_init(messages, &it);
    while ((message = yyjson_mut_arr_iter_next(&it))) {
        yyjson_mut_val *content = yyjson_mut_obj_get(message, "content");
        const char *role = yyjson_mut_get_str(yyjson_mut_obj_get(message, "role"));
        struct buf text = {0};
        bool only_text = true;

        if (!yyjson_mut_is_arr(content) || (roles.n && !(role && str_eq(str_of(role), roles))))
            continue;
        yyjson_mut_arr_iter_init(content, &parts);
        while ((part = yyjson_mut_arr_iter_next(&parts))) {
            yyjson_mut_val *s = yyjson_mut_obj_get(part, "text");
            if (!yyjson_mut_is_str(s) ||
                !yyjson_mut_equals_str(yyjson_mut_obj_get(part, "type"), "text"))
                only_text = false;
            else if (text.n || part != yyjson_mut_arr_get_first(content))
                assert_true(buf_add(&pool, &text, joiner.p, joiner.n));
            if (yyjson_mut_is_str(s))
                assert_true(buf_add(&pool, &text, yyjson_mut_get_str(s), yyjson_mut_get_len(s)));
        }
        if (only_text)
            yyjson_mut_obj_put(message, yyjson_mut_str(t->doc, "content"),
                               yyjson_mut_strncpy(t->doc, text.n ? text.p : "", text.n));
        buf_free(&pool, &text);
    }
}

static void tree_role(struct tree *t, struct str from, struct str to)
{
    yyjson_mut_val *messages = yyjson_mut_obj_get(t->root, "messages"), *message;
    yyjson_mut_arr_iter it;

    if (!yyjson_mut_is_arr(messages))
        return;
    yyjson_mut_arr_iter_init(messages, &it);
    while ((message = yyjson_mut_arr_iter_next(&it)))
        if (yyjson_mut_equals_strn(yyjson_mut_obj_get(message, "role"), from.p, from.n))
            yyjson_mut_obj_put(message, yyjson_mut_str(t->doc, "role"), tree_value(t, to));
}

static void tree_own(struct tree *t)
{
    yyjson_mut_val *options = yyjson_mut_obj_get(t->root, "stream_options");
    bool has_model = yyjson_mut_obj_get(t->root, "model") != NULL;

    for (unsigned f = FIELD_NONE + 1; f < FIELD_INCLUDE_USAGE; f++)
        if (field_what((enum field)f, t->o->api) != FIELD_READ)
            yyjson_mut_obj_remove_keyn(t->root, field_name((enum field)f).p,
                                       field_name((enum field)f).n);
    if (has_model || !t->o->model_in_path)
        yyjson_mut_obj_put(t->root, yyjson_mut_str(t->doc, "model"),
                           yyjson_mut_strncpy(t->doc, t->o->model.p, t->o->model.n));
    if (t->o->inject_usage && yyjson_mut_is_obj(options))
        yyjson_mut_obj_put(options, yyjson_mut_str(t->doc, "include_usage"),
                           yyjson_mut_true(t->doc));
    else if (t->o->inject_usage)
        tree_put(t, "stream_options", STR("{\"include_usage\":true}"));
}

struct random_edit {
    enum edit_op op;
    const char *a, *b, *c;
};

static void tree_edit(struct tree *t, const struct random_edit *e)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(t->root, e->a);
    yyjson_mut_val *b = NULL;
    bool gone = false;

    if (!v && e->op != EDIT_SET && e->op != EDIT_DEFAULT)
        return;
    if (e->b && e->op != EDIT_RENAME && e->op != EDIT_MAP && e->op != EDIT_FLATTEN)
        b = tree_value(t, str_of(e->b));
    switch (e->op) {
    case EDIT_RENAME:
        if (strcmp(e->a, e->b) == 0)
            break;
        yyjson_mut_obj_remove_key(t->root, e->b);
        yyjson_mut_obj_rename_key(t->doc, t->root, e->a, e->b);
        break;
    case EDIT_DROP:
        gone = !b || tree_same(v, b);
        break;
    case EDIT_UNSUPPORTED:
        gone = true;
        if (!t->o->drop_params && !yyjson_mut_is_null(v) && !(b && tree_same(v, b))) {
            size_t n = strlen(t->refused);
            (void)snprintf(t->refused + n, sizeof t->refused - n, "%s%s", n ? "', '" : "", e->a);
        }
        break;
    case EDIT_SET:
        tree_put(t, e->a, str_of(e->b));
        break;
    case EDIT_DEFAULT:
        if (!v)
            tree_put(t, e->a, str_of(e->b));
        break;
    case EDIT_MAP:
        if (strcmp(e->b, "object") == 0 ? yyjson_mut_is_obj(v) : yyjson_mut_equals_str(v, e->b))
            tree_put(t, e->a, str_of(e->c));
        break;
    case EDIT_MAX:
        if (yyjson_mut_is_num(v) && yyjson_mut_get_num(v) > yyjson_mut_get_num(b))
            tree_put(t, e->a, str_of(e->b));
        break;
    case EDIT_MIN:
        if (yyjson_mut_is_num(v) && yyjson_mut_get_num(v) < yyjson_mut_get_num(b))
            tree_put(t, e->a, str_of(e->b));
        break;
    case EDIT_STRIP:
    case EDIT_STRIP_NULL:
    case EDIT_FLATTEN:
    case EDIT_ROLE:
    case EDIT_OPS:
        break;
    }
    if (gone)
        yyjson_mut_obj_remove_key(t->root, e->a);
}

static void tree_strip_path(struct tree *t, const char *path, bool nulls)
{
    char copy[128], *name[16], *rest = copy;
    size_t n = 0;

    (void)snprintf(copy, sizeof copy, "%s", path);
    while (rest)
        name[n++] = strsep(&rest, ".");
    yyjson_mut_val *v = yyjson_mut_obj_get(t->root, name[0]);
    if (v)
        tree_strip(v, name + 1, n - 1, strcmp(name[0], "tools") == 0, nulls);
}

static const struct random_edit random_edits[] = {
    {EDIT_RENAME, "max_completion_tokens", "max_tokens", NULL},
    {EDIT_RENAME, "max_tokens", "n", NULL},
    {EDIT_RENAME, "tools", "functions", NULL},
    {EDIT_RENAME, "x", "y", NULL},
    {EDIT_RENAME, "y", "x", NULL},
    {EDIT_DROP, "x", NULL, NULL},
    {EDIT_DROP, "messages", NULL, NULL},
    {EDIT_DROP, "n", "1", NULL},
    {EDIT_DROP, "y", "\"x\"", NULL},
    {EDIT_UNSUPPORTED, "y", NULL, NULL},
    {EDIT_UNSUPPORTED, "n", "1", NULL},
    {EDIT_SET, "x", "{\"a\":[1,null]}", NULL},
    {EDIT_SET, "tools", "[]", NULL},
    {EDIT_SET, "max_tokens", "5", NULL},
    {EDIT_DEFAULT, "max_tokens", "4096", NULL},
    {EDIT_DEFAULT, "z", "\"d\"", NULL},
    {EDIT_MAP, "x", "required", "\"any\""},
    {EDIT_MAP, "y", "object", "\"any\""},
    {EDIT_MAX, "n", "0.5", NULL},
    {EDIT_MAX, "max_tokens", "6", NULL},
    {EDIT_MIN, "n", "0.5", NULL},
    {EDIT_MIN, "x", "2", NULL},
    {EDIT_STRIP, "messages.cache_control", NULL, NULL},
    {EDIT_STRIP, "messages.content.cache_control", NULL, NULL},
    {EDIT_STRIP, "messages.content", NULL, NULL},
    {EDIT_STRIP, "messages.name", NULL, NULL},
    {EDIT_STRIP, "messages.role", NULL, NULL},
    {EDIT_STRIP, "tools.strict", NULL, NULL},
    {EDIT_STRIP, "tools.cache_control", NULL, NULL},
    {EDIT_STRIP, "tools.function.parameters.strict", NULL, NULL},
    {EDIT_STRIP, "tools.**.$id", NULL, NULL},
    {EDIT_STRIP, "tools.**.parameters.**.a", NULL, NULL},
    {EDIT_STRIP, "x.a.b", NULL, NULL},
    {EDIT_STRIP, "y.a", NULL, NULL},
    {EDIT_STRIP_NULL, "messages", NULL, NULL},
    {EDIT_STRIP_NULL, "x", NULL, NULL},
    {EDIT_FLATTEN, "", "", NULL},
    {EDIT_FLATTEN, "user", "\\n", NULL},
    {EDIT_FLATTEN, "tool", "+", NULL},
    {EDIT_ROLE, "user", "\"tool\"", NULL},
};

static struct str str_of_null(const char *s)
{
    return s ? str_of(s) : (struct str){0};
}

/*
 * What stands below the top level is edited in the client's own members: on a tree that comes
 * first. Lists that become strings come before that, for what else they hold goes with them.
 */
static void tree_edits(struct tree *t, const struct random_edit *const *edit, unsigned n)
{
    bool later = false;

    for (unsigned i = 0; i < n && !later; i++)
        if (edit[i]->op == EDIT_FLATTEN) {
            tree_flatten(t, str_of(edit[i]->a),
                         str_of(strcmp(edit[i]->b, "\\n") == 0 ? "\n" : edit[i]->b));
            later = !edit[i]->a[0]; /* the edits behind one for every role never come to a turn */
        }
    for (unsigned i = 0; i < n; i++)
        if (edit[i]->op == EDIT_ROLE)
            tree_role(t, str_of(edit[i]->a), str_of(edit[i]->b));
    for (unsigned i = 0; i < n; i++)
        if (edit[i]->op == EDIT_STRIP || edit[i]->op == EDIT_STRIP_NULL)
            tree_strip_path(t, edit[i]->a, edit[i]->op == EDIT_STRIP_NULL);
    tree_own(t);
    for (unsigned i = 0; i < n; i++)
        tree_edit(t, edit[i]);
}

static void test_equals_the_edit_of_a_tree(void **state)
{
    static const char *const keys[] = {
        "messages",       "tools", "model", "stream", "max_tokens", "max_completion_tokens",
        "stream_options", "x",     "y",     "n",      "metadata",   "timeout",
        "tags",           "user"};
    static struct test_deployment d;
    struct writer w = {.seed = 2};
    struct buf got = {0};
    struct str refused;
    unsigned edited = 0, stopped = 0;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        const struct random_edit *edit[12];
        unsigned n = below(&w, ARRAY_LEN(edit));
        struct str body = put_body(&w, keys, ARRAY_LEN(keys));
        struct body_edit_options o = {
            .model = STR("m\"1"),
            .model_in_path = below(&w, 2),
            .inject_usage = below(&w, 2),
            .drop_params = below(&w, 4),
        };
        struct arena a;
        arena_init(&a, NULL, 1 << 22);
        deployment_init(&d);
        for (unsigned i = 0; i < n; i++) {
            edit[i] = &random_edits[below(&w, ARRAY_LEN(random_edits))];
            deployment_edit(&d, edit[i]->op, 0, str_of(edit[i]->a), str_of_null(edit[i]->b),
                            str_of_null(edit[i]->c), (struct str){0});
        }
        deployment_seal(&d);

        yyjson_doc *in = yyjson_read(body.p, body.n, 0);
        assert_non_null(in);
        struct tree t = {.doc = yyjson_doc_mut_copy(in, NULL), .o = &o};
        t.root = yyjson_mut_doc_get_root(t.doc);
        tree_edits(&t, edit, n);
        enum body_edit_result r = edit_run(&got, body, below(&w, 70), &d, &o, &a, &refused);
        if (*t.refused) {
            assert_int_equal(r, BODY_EDIT_UNSUPPORTED);
            assert_str(refused, t.refused);
            stopped++;
        } else {
            assert_int_equal(r, BODY_EDIT_OK);
            yyjson_doc *out = yyjson_read(got.p, got.n, 0);
            yyjson_mut_doc *mut = out ? yyjson_doc_mut_copy(out, NULL) : NULL;
            if (!mut || !yyjson_mut_equals(t.root, yyjson_mut_doc_get_root(mut))) {
                print_error("round %d\nbody " STR_FMT "\n", round, STR_ARG(body));
                for (unsigned i = 0; i < n; i++)
                    print_error("  %s %s %s %s\n", op_names[edit[i]->op], edit[i]->a,
                                edit[i]->b ? edit[i]->b : "", edit[i]->c ? edit[i]->c : "");
                print_error("got  " STR_FMT "\ntree %s\n", (int)got.n, got.p,
                            yyjson_mut_write(t.doc, 0, NULL));
                fail();
            }
            yyjson_mut_doc_free(mut);
            yyjson_doc_free(out);
            edited++;
        }
        yyjson_mut_doc_free(t.doc);
        yyjson_doc_free(in);
        arena_reset(&a);
    }
    print_message("%u edited, %u refused\n", edited, stopped);
    assert_true(edited > 1000 && stopped > 100);
    buf_free(&pool, &w.b);
    buf_free(&pool, &got);
}

/* --- bounds --- */

static void test_too_many_splices_are_refused(void **state)
{
    static struct test_deployment t;
    struct body_edit_options o = {.model = STR("m")};
    struct buf body = {0}, got = {0};
    struct str refused;
    struct arena a;

    (void)state;
    deployment_init(&t);
    deployment_edit(&t, EDIT_STRIP, 0, STR("tools.a"), (struct str){0}, (struct str){0},
                    (struct str){0});
    deployment_seal(&t);
    for (unsigned n = SPLICES_MAX - 2; n <= SPLICES_MAX + 1; n++) {
        arena_init(&a, NULL, 1 << 22);
        body.n = 0;
        piece_add(&body, "{\"model\":1,\"tools\":[0", 21);
        for (unsigned i = 0; i < n; i++)
            piece_add(&body, ",{\"a\":1}", 8);
        piece_add(&body, "]}", 2);
        assert_int_equal(edit_run(&got, (struct str){body.p, body.n}, 0, &t, &o, &a, &refused),
                         n < SPLICES_MAX ? BODY_EDIT_OK : BODY_EDIT_LIMIT);
        arena_reset(&a);
    }
    buf_free(&pool, &body);
    buf_free(&pool, &got);
}

static void test_no_memory_is_a_limit(void **state)
{
    static struct test_deployment t;
    static struct request_scan scan;
    static const char body[] = "{\"model\":\"gpt\",\"tools\":[{\"strict\":1}]}";
    struct body_edit_options o = {.model = STR("m")};
    struct body_edit edit;
    struct arena whole, none;

    (void)state;
    deployment_init(&t);
    deployment_edit(&t, EDIT_STRIP, 0, STR("tools.strict"), (struct str){0}, (struct str){0},
                    (struct str){0});
    deployment_seal(&t);
    arena_init(&whole, NULL, 1 << 20);
    arena_init(&none, NULL, 100);
    request_scan_init(&scan, &whole);
    assert_int_equal(request_scan_feed(&scan, body, sizeof body - 1), REQUEST_SCAN_DONE);
    assert_int_equal(
        body_edit_make(&edit, &scan, body, sizeof body - 1, &t.snapshot, &t.d, &o, &none),
        BODY_EDIT_LIMIT);
    arena_reset(&none);
    arena_reset(&whole);
}

static int pool_end(void **state)
{
    (void)state;
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_without_edits_only_the_model_changes),
        cmocka_unit_test(test_equals_the_edit_of_a_tree),
        cmocka_unit_test(test_too_many_splices_are_refused),
        cmocka_unit_test(test_no_memory_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, pool_end);
}
