/*
 * Any bytes as a stream and as a reply, behind four that choose options, how often the rest of the
 * first line is repeated (oversized events) and the pieces: pieces give what the whole gives, and
 * the JSON of an edited reply is the upstream's but for model and id.
 */

#include <yyjson.h>

#include "dialect/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 64 << 20};

struct outcome {
    struct relay r;
    struct buf out;
};

static void feed(struct outcome *o, const struct relay_options *opt, const struct buf *in,
                 size_t step, bool is_stream)
{
    *o = (struct outcome){0};
    relay_init(&o->r, &pool, opt);
    for (size_t at = 0; at < in->n; at += step) {
        size_t n = MIN(step, in->n - at);
        char *piece = malloc(n); /* the sanitizer sees a read beyond it */
        ASSERT(piece);
        memcpy(piece, in->p + at, n);
        ASSERT(is_stream ? relay_events(&o->r, piece, n, &o->out)
                         : relay_reply_piece(&o->r, piece, n, &o->out));
        free(piece);
    }
    if (is_stream)
        ASSERT(relay_events_end(&o->r, &o->out));
}

static void outcome_free(struct outcome *o)
{
    relay_deinit(&o->r);
    buf_free(&pool, &o->out);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    const struct reply_scan *s = &a->r.scan, *t = &b->r.scan;

    ASSERT(a->out.n == b->out.n && (!a->out.n || !memcmp(a->out.p, b->out.p, a->out.n)));
    ASSERT(a->r.events == b->r.events && a->r.done == b->r.done && a->r.failed == b->r.failed &&
           a->r.first_failed == b->r.first_failed);
    ASSERT(s->counted == t->counted && !memcmp(s->count, t->count, sizeof s->count));
    ASSERT(s->tier == t->tier && s->finished == t->finished &&
           s->next_sequence == t->next_sequence && s->text_bytes == t->text_bytes);
    ASSERT(s->response_id_n == t->response_id_n &&
           !memcmp(s->response_id, t->response_id, s->response_id_n));
}

/* Without their models and ids, equal. */
static bool but_equal(yyjson_val *a, yyjson_val *b)
{
    size_t i, max;
    yyjson_val *key, *v;

    if (yyjson_get_type(a) != yyjson_get_type(b) || yyjson_get_len(a) != yyjson_get_len(b))
        return yyjson_is_raw(a) && yyjson_is_raw(b);
    if (yyjson_is_arr(a)) {
        yyjson_arr_foreach(a, i, max, v) if (!but_equal(v, yyjson_arr_get(b, i))) return false;
    } else if (yyjson_is_obj(a)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(b);
        yyjson_obj_foreach(a, i, max, key, v)
        {
            yyjson_val *other = yyjson_obj_iter_next(&it);
            if (!yyjson_equals_strn(other, yyjson_get_str(key), yyjson_get_len(key)))
                return false;
            if (yyjson_equals_str(key, "model") || yyjson_equals_str(key, "id"))
                continue;
            if (!but_equal(v, yyjson_obj_iter_get_val(other)))
                return false;
        }
    } else {
        return yyjson_equals(a, b);
    }
    return true;
}

static void assert_json(const char *a, size_t a_n, const char *b, size_t b_n)
{
    yyjson_doc *x = yyjson_read(a, a_n, YYJSON_READ_NUMBER_AS_RAW), *y;

    if (!x)
        return;
    y = yyjson_read(b, b_n, YYJSON_READ_NUMBER_AS_RAW);
    ASSERT(y && but_equal(yyjson_doc_get_root(x), yyjson_doc_get_root(y)));
    yyjson_doc_free(x);
    yyjson_doc_free(y);
}

/* One document as the data line of an event. */
static void event_check(const struct relay_options *opt, const char *p, size_t n)
{
    struct buf in = {0};
    struct outcome o;
    bool ok = buf_add(&pool, &in, "data: ", 6);

    for (size_t i = 0; i < n; i++) /* blanks of other kinds end no line */
        ok = ok && buf_add(&pool, &in, p[i] == '\n' || p[i] == '\r' ? " " : p + i, 1);
    ok = ok && buf_add(&pool, &in, "\n\n", 2);
    ASSERT(ok);
    feed(&o, opt, &in, in.n, true);
    if (o.out.n) {
        ASSERT(o.out.n >= 8 && !memcmp(o.out.p, "data: ", 6));
        assert_json(in.p + 6, in.n - 8, o.out.p + 6, o.out.n - 8);
    }
    outcome_free(&o);
    buf_free(&pool, &in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf in = {0};
    struct outcome whole, pieces;

    if (n < 5)
        return 0;
    const char *body = (const char *)data + 4;
    n -= 4;
    struct relay_options opt = {
        .model = data[0] & 1 ? STR("\"gpt-4o\"") : (struct str){0},
        .id_tag = data[0] & 2 ? STR("litellm:custom_llm_provider:p;model_id:d;response_id:")
                              : (struct str){0},
        .withhold_usage = data[0] & 4,
    };
    const char *fill = memchr(body, 'x', n); /* grows to the edge of what is held */
    size_t at = fill ? (size_t)(fill - body) : 0;
    size_t add = data[0] & 8 ? (size_t)RELAY_HOLD - 64 + data[1] : 0;
    ASSERT(buf_reserve(&pool, &in, n + add));
    memcpy(in.p, body, at);
    memset(in.p + at, 'x', add);
    memcpy(in.p + at + add, body + at, n - at);
    in.n = n + add;

    for (int is_stream = 0; is_stream < 2; is_stream++) {
        feed(&whole, &opt, &in, in.n, is_stream);
        size_t steps[] = {1, 1 + data[2], 1 + (data[2] | (size_t)data[3] << 8)};
        for (size_t i = add ? 1 : 0; i < ARRAY_LEN(steps); i++) {
            feed(&pieces, &opt, &in, steps[i], is_stream);
            assert_same(&whole, &pieces);
            outcome_free(&pieces);
        }
        if (!is_stream)
            assert_json(in.p, in.n, whole.out.p, whole.out.n);
        outcome_free(&whole);
    }
    event_check(&opt, body, n);
    buf_free(&pool, &in);
    ASSERT(pool.lent == 0);
    return 0;
}
