/*
 * Any bytes as a body, behind those that choose both APIs and what the model can. What is written
 * is JSON; read again by the API it was written for and written once more, it does not change any
 * further; nothing stays borrowed.
 */

#include "tests/fuzz/translation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 256 << 20};
static struct arena_pool blocks = {.max_spare = 64};

struct written {
    struct buf body;
    bool ok;
    enum client_error error;
};

static struct written write_as(const struct translation_choice *c, struct str body)
{
    struct buf text = {0};
    struct written w = {0};
    struct jout o = jout_init(&pool, &text);
    struct upstream_model m = c->model;
    struct translate t;
    struct arena a;

    o.lend_min = c->lend_min;
    arena_init(&a, &blocks, 4 << 20);
    translate_init(&t, c->client, c->upstream, &pool, &blocks, &a);
    w.ok = translate_read(&t, body) && translate_write(&t, &o, &m);
    w.error = t.fault.error;
    if (w.ok)
        translation_fill(&pool, &o, &w.body);
    else
        ASSERT(t.fault.error < CLIENT_ERRORS && t.fault.error != ERROR_OVERLOADED);
    for (size_t i = 0; i < t.fault.detail.n; i++)
        ASSERT((unsigned char)t.fault.detail.p[i] >= 0x20 ||
               memchr(body.p, t.fault.detail.p[i], body.n));
    jout_deinit(&o);
    buf_free(&pool, &text);
    translate_deinit(&t);
    arena_reset(&a);
    return w;
}

static void assert_json(struct str body)
{
    yyjson_doc *doc = protocol_json(body);

    if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        (void)fprintf(stderr, STR_FMT "\n", STR_ARG(body));
    ASSERT(yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
}

static void assert_stable(struct translation_choice c, struct str body)
{
    c.client = c.upstream;
    struct written once = write_as(&c, body);
    if (!once.ok) /* what is missing in it the client left out */
        return;
    assert_json((struct str){once.body.p, once.body.n});
    struct written twice = write_as(&c, (struct str){once.body.p, once.body.n});
    bool same =
        twice.ok && twice.body.n == once.body.n && !memcmp(twice.body.p, once.body.p, once.body.n);
    /* the tool that stands for a schema is the client's own when it is read again */
    same |= str_find((struct str){once.body.p, once.body.n}, STR("\"json_tool_call\"")) != SIZE_MAX;
    if (!same)
        (void)fprintf(stderr, "body  " STR_FMT "\nonce  %.*s\ntwice %.*s (error %d)\n",
                      STR_ARG(body), (int)once.body.n, once.body.p, (int)twice.body.n, twice.body.p,
                      twice.error);
    ASSERT(same);
    buf_free(&pool, &once.body);
    buf_free(&pool, &twice.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < CHOICE_BYTES + 2)
        return 0;
    struct translation_choice c = translation_choose(data);
    struct str body = {(const char *)data + CHOICE_BYTES, n - CHOICE_BYTES};
    struct written w = write_as(&c, body);

    if (w.ok) {
        assert_json((struct str){w.body.p, w.body.n});
        assert_stable(c, (struct str){w.body.p, w.body.n});
    }
    buf_free(&pool, &w.body);
    ASSERT(pool.lent == 0);
    return 0;
}
