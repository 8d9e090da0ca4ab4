/*
 * Any bytes as a request, behind four that choose options and edits: pieces give what the whole
 * gives, and what is sent upstream is JSON whenever the client's body was.
 */

#include <yyjson.h>

#include "common/bufpool.h"

#include "dialect/body_edit.h"
#include "dialect/param_list.h"
#include "tests/unit/dataplane/dialect/deployment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct {
    enum edit_op op;
    const char *a, *b, *c;
} edits[24] = {
    {EDIT_RENAME, "max_completion_tokens", "max_tokens", ""},
    {EDIT_RENAME, "x", "y", ""},
    {EDIT_DROP, "x", "", ""},
    {EDIT_DROP, "tools", "[]", ""},
    {EDIT_UNSUPPORTED, "y", "1", ""},
    {EDIT_SET, "x", "{\"a\":1}", ""},
    {EDIT_DEFAULT, "max_tokens", "4096", ""},
    {EDIT_MAP, "x", "required", "\"any\""},
    {EDIT_MAP, "x", "object", "\"any\""},
    {EDIT_MAX, "x", "1", ""},
    {EDIT_MIN, "y", "0.5", ""},
    {EDIT_STRIP, "messages.cache_control", "", ""},
    {EDIT_STRIP, "messages.content.cache_control", "", ""},
    {EDIT_STRIP, "messages.content", "", ""},
    {EDIT_STRIP, "tools.strict", "", ""},
    {EDIT_STRIP, "tools.**.$id", "", ""},
    {EDIT_STRIP, "x.**.a.**.b", "", ""},
    {EDIT_STRIP, "stream_options.include_usage", "", ""},
    {EDIT_STRIP, "metadata.user_id", "", ""},
    {EDIT_STRIP_NULL, "messages", "", ""},
    {EDIT_FLATTEN, "", "", ""},
    {EDIT_FLATTEN, "tool|user", "\\n", ""},
    {EDIT_ROLE, "user", "\"tool\"", ""},
    {EDIT_SET, "stream_options", "{}", ""},
};

static struct bufpool pool = {.ceiling = 64 << 20};

static void piece_add(void *ctx, const char *p, size_t n)
{
    ASSERT(n && buf_add(&pool, ctx, p, n));
}

static enum request_scan_result scan(struct request_scan *s, struct arena *a, const char *body,
                                     size_t n, size_t step)
{
    enum request_scan_result r = REQUEST_SCAN_MORE;

    request_scan_init(s, a);
    for (size_t at = 0; at < n; at += step)
        r = request_scan_feed(s, body + at, MIN(step, n - at));
    return r;
}

static void assert_same(const struct request_scan *a, const struct request_scan *b)
{
    ASSERT(a->n_members == b->n_members);
    for (uint32_t i = 0; i < a->n_members; i++) {
        const struct member *m = &a->member[i], *k = &b->member[i];
        ASSERT(m->key_at == k->key_at && m->key_end == k->key_end && m->at == k->at &&
               m->end == k->end && m->prev_end == k->prev_end && m->field == k->field &&
               m->type == k->type);
    }
    ASSERT(memcmp(a->at, b->at, sizeof a->at) == 0);
    ASSERT(str_eq(a->model, b->model) && str_eq(a->user, b->user));
    ASSERT(a->stream == b->stream && a->include_usage == b->include_usage);
    ASSERT(a->repeated == b->repeated && a->bad_value == b->bad_value);
    ASSERT(a->json.word_seen == b->json.word_seen);
}

static bool is_json(const char *p, size_t n)
{
    yyjson_doc *doc = yyjson_read(p, n, 0);
    bool is = doc != NULL;

    yyjson_doc_free(doc);
    return is;
}

static void edit(const struct request_scan *s, const char *body, size_t n, const uint8_t *choice,
                 struct arena *a)
{
    static struct test_deployment t;
    struct body_edit e;
    struct buf out = {0};
    struct str drop[PARAM_LIST_MAX];
    const char *list = memchr(body, '[', n); /* the first one serves as additional_drop_params */
    uint32_t chosen = choice[1] | (uint32_t)choice[2] << 8 | (uint32_t)choice[3] << 16;
    struct body_edit_options o = {
        .api = (enum api)((choice[0] >> 4) % API_COUNT),
        .model = STR("a\"b"),
        .response_id = choice[0] & 1 ? STR("resp_1") : (struct str){0},
        .model_in_path = choice[0] & 2,
        .inject_usage = choice[0] & 4,
        .client = (enum api)(choice[3] % API_COUNT),
        .upstream = (enum api)(choice[3] / API_COUNT % API_COUNT),
        .can = choice[2],
        .drop_params = choice[0] & 8,
        .drop = drop,
        .n_drop =
            list ? param_list(drop, (struct str){list, n - (size_t)(list - body)}, true, a) : 0,
    };

    deployment_init(&t);
    for (unsigned i = 0; i < ARRAY_LEN(edits); i++)
        if (chosen & BIT(i))
            deployment_edit(&t, edits[i].op, 0, str_of(edits[i].a), str_of(edits[i].b),
                            str_of(edits[i].c), (struct str){0});
    deployment_seal(&t);
    if (body_edit_make(&e, s, body, n, &t.snapshot, &t.d, &o, a) == BODY_EDIT_OK) {
        for (uint32_t i = 0; i < e.n; i++)
            ASSERT(e.splice[i].at <= e.splice[i].end && e.splice[i].end <= n &&
                   (i == 0 || e.splice[i - 1].end <= e.splice[i].at));
        body_edit_emit(&e, piece_add, &out);
        ASSERT(out.n == e.length);
        if (!is_json(out.p, out.n))
            ASSERT(!is_json(body, n));
        buf_free(&pool, &out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct request_scan whole, pieces;
    struct arena a;

    if (n < 5)
        return 0;
    const char *body = (const char *)data + 4;
    n -= 4;
    arena_init(&a, NULL, 16 << 20);
    enum request_scan_result r = scan(&whole, &a, body, n, n);
    for (size_t step = 1; step < 100; step += 29) {
        ASSERT(scan(&pieces, &a, body, n, step) == r);
        if (r == REQUEST_SCAN_DONE)
            assert_same(&whole, &pieces);
    }
    if (r == REQUEST_SCAN_DONE && !whole.too_many && !request_scan_repeats(&whole, body))
        edit(&whole, body, n, data, &a);
    arena_reset(&a);
    return 0;
}
