/* Plays tests/cases/translate: format in its README.md. */

#include <dirent.h>
#include <yyjson.h>

#include "dialect/messages_beta.h"
#include "dialect/translate.h"
#include "tests/unit/test.h"

enum { SECTIONS_MAX = 16 };

struct section {
    struct str name, text;
};

struct text_case {
    char path[512];
    enum api client, upstream;
    char *file;
    struct upstream_model model;
    struct section section[SECTIONS_MAX];
    unsigned n;
};

struct world {
    struct bufpool pool;
    struct arena_pool blocks;
    struct arena arena;
};

static const struct {
    struct str name;
    enum api api;
} apis[] = {
    {STR_INIT("chat"), API_CHAT},
    {STR_INIT("completions"), API_COMPLETIONS},
    {STR_INIT("messages"), API_MESSAGES},
    {STR_INIT("responses"), API_RESPONSES},
};

static enum api api_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(apis); i++)
        if (str_eq(apis[i].name, name))
            return apis[i].api;
    fail_msg("no API is called %.*s", STR_ARG(name));
    return API_COUNT;
}

/* --- reading cases ------------------------------------------------------------------------------
 */

static void set_option(struct text_case *c, struct str line)
{
    struct str name, value;

    if (!line.n || line.p[0] == '#')
        return;
    str_cut(line, ':', &name, &value);
    value = str_trim(value);
    if (str_eq(name, STR("model")))
        c->model.name = value;
    else if (str_eq(name, STR("provider")))
        c->model.provider = value;
    else if (str_eq(name, STR("drop_params")))
        c->model.drop_params = true;
    else if (str_eq(name, STR("modify_params")))
        c->model.modify_params = true;
    else
        fail_msg("%s: no option %.*s", c->path, STR_ARG(name));
}

static void case_load(struct text_case *c)
{
    FILE *f = fopen(c->path, "rb");
    struct str rest, line;

    assert_non_null(f);
    c->file = malloc(1 << 20);
    rest = (struct str){c->file, fread(c->file, 1, 1 << 20, f)};
    (void)fclose(f);
    c->model.provider = c->upstream == API_MESSAGES ? STR("anthropic") : STR("openai");
    c->model.name = c->upstream == API_MESSAGES ? STR("claude-sonnet-4-5") : STR("gpt-4o");
    while (rest.n) {
        const char *begin = rest.p;
        str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, STR("=== "))) {
            assert_true(c->n < SECTIONS_MAX);
            c->section[c->n++] = (struct section){str_from(line, 4), {rest.p, 0}};
        } else if (c->n) {
            c->section[c->n - 1].text.n =
                (size_t)(begin + line.n + 1 - c->section[c->n - 1].text.p);
        } else {
            set_option(c, line);
        }
    }
}

static struct str case_section(const struct text_case *c, struct str name)
{
    for (unsigned i = 0; i < c->n; i++)
        if (str_eq(c->section[i].name, name))
            return c->section[i].text;
    return (struct str){0};
}

/* --- comparing
 * ------------------------------------------------------------------------------------ */

static bool same_json(yyjson_val *want, yyjson_val *got)
{
    size_t i, max;
    yyjson_val *k, *v;

    if (yyjson_is_str(want) && strcmp(yyjson_get_str(want), "<ANY>") == 0)
        return got != NULL;
    if (!got || yyjson_get_type(want) != yyjson_get_type(got))
        return false;
    switch (yyjson_get_type(want)) {
    case YYJSON_TYPE_OBJ:
        if (yyjson_obj_size(want) != yyjson_obj_size(got))
            return false;
        yyjson_obj_foreach(want, i, max, k,
                           v) if (!same_json(v, yyjson_obj_getn(got, yyjson_get_str(k),
                                                                yyjson_get_len(k)))) return false;
        return true;
    case YYJSON_TYPE_ARR:
        if (yyjson_arr_size(want) != yyjson_arr_size(got))
            return false;
        yyjson_arr_foreach(want, i, max, v) if (!same_json(v, yyjson_arr_get(got, i))) return false;
        return true;
    case YYJSON_TYPE_RAW: /* numbers by their digits */
        return yyjson_get_len(want) == yyjson_get_len(got) &&
               memcmp(yyjson_get_raw(want), yyjson_get_raw(got), yyjson_get_len(want)) == 0;
    case YYJSON_TYPE_STR:
        return yyjson_equals_strn(got, yyjson_get_str(want), yyjson_get_len(want));
    default:
        return yyjson_get_tag(want) == yyjson_get_tag(got);
    }
}

static void expect_json(const struct text_case *c, const char *what, struct str want,
                        struct str got)
{
    yyjson_read_flag flags = YYJSON_READ_NUMBER_AS_RAW;
    yyjson_doc *w = yyjson_read(want.p, want.n, flags), *g = yyjson_read(got.p, got.n, flags);

    if (!w)
        fail_msg("%s: what is wanted of %s is no JSON: %.*s", c->path, what, STR_ARG(want));
    if (!same_json(yyjson_doc_get_root(w), yyjson_doc_get_root(g))) {
        /* cmocka cuts long messages */
        (void)fprintf(stderr, "wanted %.*s\ngot    %.*s\n", STR_ARG(want), STR_ARG(got));
        fail_msg("%s: %s", c->path, what);
    }
    yyjson_doc_free(w);
    yyjson_doc_free(g);
}

/* The next event: its lines up to a blank one. */
static bool next_event(struct str *rest, struct str *name, struct str *data)
{
    struct str line, tail;

    *name = *data = (struct str){0};
    while (rest->n) {
        str_cut(*rest, '\n', &line, &tail);
        *rest = tail;
        if (!line.n && data->n)
            return true;
        if (str_starts(line, STR("event: ")))
            *name = str_from(line, 7);
        else if (str_starts(line, STR("data: ")))
            *data = str_from(line, 6);
    }
    return data->n != 0;
}

static void expect_events(const struct text_case *c, struct str want, struct str got)
{
    struct str all = got, wn, wd, gn, gd;

    for (;;) {
        bool more = next_event(&want, &wn, &wd);
        bool has = next_event(&got, &gn, &gd);
        if (!more && !has)
            return;
        if (more != has || !str_eq(wn, gn))
            fail_msg("%s: wanted event %.*s %.*s\ngot %.*s %.*s\nall of it:\n%.*s", c->path,
                     STR_ARG(wn), STR_ARG(wd), STR_ARG(gn), STR_ARG(gd), STR_ARG(all));
        if (str_eq(wd, STR("[DONE]")))
            assert_true(str_eq(gd, wd));
        else
            expect_json(c, "event", wd, gd);
    }
}

static bool is_events(struct str s)
{
    return str_starts(s, STR("data:")) || str_starts(s, STR("event:")) || str_starts(s, STR(":"));
}

/* --- playing
 * ---------------------------------------------------------------------------------------- */

/* False: it was refused, as the case says. */
static bool play_request(const struct text_case *c, struct world *w, struct translate *t)
{
    struct buf body = {0};
    struct jout out = jout_init(&w->pool, &body);
    struct upstream_model m = c->model;
    struct str want_fault = case_section(c, STR("fault")), row, detail;
    struct str want = case_section(c, STR("upstream-request"));

    m.can = capability_of(m.provider, m.name, &m.max_output);
    translate_init(t, c->client, c->upstream, &w->pool, &w->blocks, &w->arena);
    bool ok = translate_read(t, case_section(c, STR("request")));
    m.stream = m.stream_usage = t->request.stream;
    ok = ok && translate_write(t, &out, &m);
    if (ok == (want_fault.n != 0))
        fail_msg("%s: %s (error %d, %.*s)", c->path, ok ? "was not refused" : "was refused",
                 t->fault.error, STR_ARG(t->fault.detail));
    if (want_fault.n) {
        static const char *const rows[] = {
#define ERROR(id, status, type, code, message) #id,
#include "proto/errors.def"
#undef ERROR
        };
        str_cut(want_fault, '\n', &row, &detail);
        if (!str_eq(row, str_of(rows[t->fault.error])))
            fail_msg("%s: refused by %s", c->path, rows[t->fault.error]);
        if (detail.n && !str_eq(str_trim((struct str){detail.p, detail.n - 1}), t->fault.detail))
            fail_msg("%s: wanted %.*s\ngot %.*s", c->path, STR_ARG(detail),
                     STR_ARG(t->fault.detail));
    } else if (want.n) {
        expect_json(c, "upstream-request", want, (struct str){body.p, body.n});
        struct str betas = messages_beta_list((struct str){0}, t->request.betas, &w->arena);
        struct str line = case_section(c, STR("anthropic-beta"));
        if (!str_eq((struct str){line.p, line.n - (line.n != 0)}, betas))
            fail_msg("%s: announces %.*s", c->path, STR_ARG(betas));
    }
    buf_free(&w->pool, &body);
    jout_deinit(&out);
    return ok;
}

struct outcome {
    struct buf out;
    bool ok;
};

/* One reply, its bytes cut before `cut` (SIZE_MAX: after each byte). */
static void play_reply(const struct text_case *c, struct world *w, struct translate *t,
                       struct str reply, bool was_cut, size_t cut, struct outcome *o)
{
    static struct reply_scan scan;
    struct translate_reply r = {.scan = &scan,
                                .model = STR("\"public\""),
                                .now_s = 1700000000,
                                .seed = {1, 2},
                                .stream = t->request.stream};
    struct str error = case_section(c, STR("error"));

    reply_scan_init(&scan);
    assert_true(translate_reply_begin(t, &r));
    o->ok = true;
    if (!is_events(reply)) {
        o->ok = translate_whole(t, reply, &o->out);
    } else {
        size_t step = cut == SIZE_MAX ? 1 : cut ? cut : reply.n;
        for (size_t at = 0; o->ok && at < reply.n; at += step, step = cut == SIZE_MAX ? 1 : reply.n)
            o->ok = translate_events(t, reply.p + at, MIN(step, reply.n - at), &o->out);
        o->ok = o->ok && translate_events_end(t, &o->out);
    }
    if (!o->ok)
        fail_msg("%s: the reply could not be read", c->path);
    if (t->done == (was_cut || t->failed))
        fail_msg("%s: done %d, failed %d", c->path, t->done, t->failed);
    if (error.n) {
        struct str got = arena_printf(&w->arena, "%u " STR_FMT " " STR_FMT "\n", t->error.status,
                                      STR_ARG(t->error.type), STR_ARG(t->error.message));
        if (!t->first_failed || !str_eq(got, error))
            fail_msg("%s: wanted error %.*sgot %.*s", c->path, STR_ARG(error), STR_ARG(got));
    } else if (t->first_failed) {
        fail_msg("%s: failed: %u %.*s", c->path, t->error.status, STR_ARG(t->error.message));
    }
    struct usage u;
    struct str want = case_section(c, STR("usage")), line, name, value;
    reply_usage(&scan, c->upstream == API_MESSAGES ? DIALECT_ANTHROPIC : DIALECT_OPENAI, &u);
    const struct {
        struct str name;
        uint64_t v;
    } buckets[] = {
        {STR("input"), u.input},
        {STR("cache_read"), u.cache_read},
        {STR("cache_write"), u.cache_write},
        {STR("output"), u.output},
        {STR("reasoning"), u.reasoning},
    };
    while (want.n) {
        str_cut(want, '\n', &line, &want);
        if (!line.n)
            continue;
        str_cut(line, ':', &name, &value);
        uint64_t v = UINT64_MAX, got = 0;
        assert_true(num_u64(str_trim(value), &v));
        for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
            if (str_eq(buckets[i].name, name))
                got = buckets[i].v;
        if (v != got)
            fail_msg("%s: usage %.*s is %llu", c->path, STR_ARG(line), (unsigned long long)got);
    }
}

static void play(struct text_case *c)
{
    struct world w = {.pool.ceiling = 64 << 20};
    struct translate t;
    struct str reply = case_section(c, STR("upstream")), want = case_section(c, STR("reply"));
    size_t mark = str_find(reply, STR("<CUT>"));
    struct outcome first = {0};

    if (mark != SIZE_MAX)
        reply.n = mark;
    arena_init(&w.arena, &w.blocks, 64 << 20);
    if (play_request(c, &w, &t) && reply.n) {
        play_reply(c, &w, &t, reply, mark != SIZE_MAX, 0, &first);
        struct str got = {first.out.p, first.out.n};
        if (t.request.stream)
            expect_events(c, want, got);
        else if (want.n || !t.first_failed)
            expect_json(c, "reply", want, got);
        size_t cuts = is_events(reply) ? MIN(reply.n, (size_t)4000) : 0;
        for (size_t cut = 1; cut <= cuts; cut++) {
            struct outcome o = {0};
            play_reply(c, &w, &t, reply, mark != SIZE_MAX, cut == cuts ? SIZE_MAX : cut, &o);
            if (o.out.n != first.out.n || (o.out.n && memcmp(o.out.p, first.out.p, o.out.n) != 0))
                fail_msg("%s: cut at %zu\n%.*s\nwhole\n%.*s", c->path, cut, (int)o.out.n, o.out.p,
                         (int)first.out.n, first.out.p);
            buf_free(&w.pool, &o.out);
        }
    }
    buf_free(&w.pool, &first.out);
    translate_deinit(&t);
    assert_int_equal(w.pool.lent, 0);
    arena_reset(&w.arena);
    arena_pool_deinit(&w.blocks);
    bufpool_deinit(&w.pool);
}

static void play_dir(const char *dir, enum api client, enum api upstream, unsigned *n)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    assert_non_null(d);
    while ((e = readdir(d))) {
        if (!str_ends(str_of(e->d_name), STR(".txt")))
            continue;
        struct text_case c = {.client = client, .upstream = upstream};
        (void)snprintf(c.path, sizeof c.path, "%s/%s", dir, e->d_name);
        case_load(&c);
        play(&c);
        free(c.file);
        (*n)++;
    }
    (void)closedir(d);
}

static void test_cases(void **state)
{
    const char *root = "tests/cases/translate";
    DIR *d = opendir(root);
    struct dirent *e;
    unsigned n = 0;

    (void)state;
    assert_non_null(d);
    while ((e = readdir(d))) {
        struct str client, upstream;
        char path[400];
        if (!str_cut(str_of(e->d_name), '-', &client, &upstream))
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", root, e->d_name);
        play_dir(path, api_of(client), api_of(upstream), &n);
    }
    (void)closedir(d);
    assert_true(n > 0);
}

/* --- streams that break -------------------------------------------------------------------------
 */

#define CHUNK(delta) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "}}]}\n\n"
#define CALL(i)                                                                                    \
    "data: {\"type\":\"response.output_item.added\",\"output_index\":" i                           \
    ",\"item\":{\"type\":\"function_call\",\"call_id\":\"c" i "\",\"name\":\"f\"}}\n\n"
#define ARGUMENTS(i, delta)                                                                        \
    "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":" i               \
    ",\"delta\":\"" delta "\"}\n\n"

static void test_a_broken_stream_ends_behind_a_whole_event(void **state)
{
    static const struct {
        enum api client, upstream;
        const char *stream, *last; /* what the client's last event says */
    } rows[] = {
        {API_RESPONSES, API_CHAT, CHUNK("\"content\":\"said\"") "data: {\n\n",
         "\"delta\":\"said\""},
        {API_CHAT, API_CHAT, CHUNK("\"content\":\"said\"") "data: {\n\n", "\"content\":\"said\""},
        {API_MESSAGES, API_RESPONSES, /* a block that cannot be opened again */
         CALL("0") CALL("1") ARGUMENTS("0", "{}") ARGUMENTS("1", "{") ARGUMENTS("0", "x"),
         "\"partial_json\":\"{\""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 2000; step += 1999) {
            struct world w = {.pool.ceiling = 64 << 20};
            struct translate t;
            struct reply_scan scan;
            struct buf out = {0};
            struct translate_reply r = {.scan = &scan, .model = STR("\"public\""), .stream = true};
            struct str stream = str_of(rows[i].stream);
            bool ok = true;
            arena_init(&w.arena, &w.blocks, 64 << 20);
            translate_init(&t, rows[i].client, rows[i].upstream, &w.pool, &w.blocks, &w.arena);
            reply_scan_init(&scan);
            assert_true(translate_reply_begin(&t, &r));
            for (size_t at = 0; ok && at < stream.n; at += step)
                ok = translate_events(&t, stream.p + at, MIN(step, stream.n - at), &out);
            assert_false(ok || t.done || t.failed);
            struct str text = {out.p, out.n};
            assert_true(str_ends(text, STR("\n\n")));
            size_t at = str_find(text, str_of(rows[i].last));
            assert_true(at != SIZE_MAX);
            assert_true(str_find(str_from(text, at), STR("\n\n")) + 2 == text.n - at);
            buf_free(&w.pool, &out);
            translate_deinit(&t);
            assert_int_equal(w.pool.lent, 0);
            arena_reset(&w.arena);
            arena_pool_deinit(&w.blocks);
            bufpool_deinit(&w.pool);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_a_broken_stream_ends_behind_a_whole_event),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
