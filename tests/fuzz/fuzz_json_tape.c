/*
 * Any bytes as a document, beside yyjson: taken or refused alike within our bounds, and the same
 * values in the same order.
 */

#include <yyjson.h>

#include "common/json_tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 64 << 20};

static const uint8_t types[] = {
    [YYJSON_TYPE_NULL] = JSON_NULL,  [YYJSON_TYPE_RAW] = JSON_NUMBER,
    [YYJSON_TYPE_STR] = JSON_STRING, [YYJSON_TYPE_ARR] = JSON_ARRAY,
    [YYJSON_TYPE_OBJ] = JSON_OBJECT,
};

static enum json_type type_of(yyjson_val *v)
{
    if (yyjson_is_bool(v))
        return yyjson_get_bool(v) ? JSON_TRUE : JSON_FALSE;
    return (enum json_type)types[yyjson_get_type(v)];
}

static void assert_text(const struct json_tape *t, const struct json_val *v, yyjson_val *y,
                        struct arena *a)
{
    struct jstr j = json_text(t, v);
    struct str mine = jstr_decode(j, a), theirs = {yyjson_get_str(y), yyjson_get_len(y)};
    struct jstr again = jstr_encode(mine, a);

    ASSERT(v->escaped == jstr_has_escapes(j));
    ASSERT(str_eq(mine, theirs));
    ASSERT(str_eq(jstr_decode(again, a), mine));
    ASSERT(jstr_repair(j, a).n == j.n);
    ASSERT(str_eq(jstr_decode(jstr_repair(j, a), a), mine));
    if (mine.n <= 8 && j.n <= 64)
        ASSERT(jstr_is(j, mine));
    (void)jstr_is_blank(j);
    ASSERT(jstr_trim_end(j).n <= j.n);
    size_t half = jstr_half_pair(j);
    ASSERT(half == 0 || half == 6);
}

/* The values of `y` and all that is in it are those of the tape at *at. */
static void assert_value(const struct json_tape *t, uint32_t *at, yyjson_val *y, struct arena *a)
{
    const struct json_val *v = &t->v[(*at)++];
    size_t i, max;
    yyjson_val *key, *value;

    ASSERT(v->type == type_of(y));
    if (v->type == JSON_STRING) {
        assert_text(t, v, y, a);
    } else if (v->type == JSON_NUMBER) {
        ASSERT(str_eq(json_raw(t, v), (struct str){yyjson_get_raw(y), yyjson_get_len(y)}));
    } else if (v->type == JSON_ARRAY) {
        yyjson_arr_foreach(y, i, max, value) assert_value(t, at, value, a);
    } else if (v->type == JSON_OBJECT) {
        yyjson_obj_foreach(y, i, max, key, value)
        {
            assert_value(t, at, key, a);
            assert_value(t, at, value, a);
        }
    }
    ASSERT(v->next == *at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct json_tape t;
    struct arena a;
    uint32_t at = 0;

    arena_init(&a, NULL, 256 << 20);
    json_tape_init(&t, &pool);
    enum json_tape_state s = json_tape_read(&t, (const char *)data, n);
    /* what yyjson is strict about and this is not: UTF-8, and halves of surrogate pairs */
    char *ascii = arena_alloc(&a, n + 1);
    for (size_t i = 0; i < n; i++)
        ascii[i] = (char)(data[i] < 0x80 ? data[i] : '~');
    ASSERT(json_tape_read(&t, ascii, n) == s);
    struct jstr mended = jstr_repair((struct jstr){ascii, n}, &a);
    ASSERT(s != JSON_TAPE_DONE || (t.n_lone > 0) == (mended.p != ascii));
    yyjson_doc *doc = yyjson_read(mended.p, mended.n, YYJSON_READ_NUMBER_AS_RAW);
    if (s == JSON_TAPE_DONE) {
        ASSERT(doc);
        assert_value(&t, &at, yyjson_doc_get_root(doc), &a);
        ASSERT(at == t.n);
    } else if (s == JSON_TAPE_BAD) {
        ASSERT(!doc);
    }
    yyjson_doc_free(doc);
    json_tape_deinit(&t);
    arena_reset(&a);
    ASSERT(pool.lent == 0);
    return 0;
}
