/*
 * One pass, token by token. Open containers are kept as indices of their entries, whose `next` is
 * filled when they close; nothing else is remembered of the structure but what may follow.
 */

#include "common/json_tape.h"

enum tape_state { T_VALUE, T_VALUE_OR_END, T_KEY, T_KEY_OR_END, T_COLON, T_COMMA_OR_END, T_END };

void json_tape_init(struct json_tape *t, struct bufpool *pool)
{
    memset(t, 0, offsetof(struct json_tape, open));
    t->pool = pool;
}

void json_tape_deinit(struct json_tape *t)
{
    if (t->pool)
        buf_free(t->pool, &t->mem);
    t->v = NULL;
    t->n = 0;
}

static __attribute__((noinline)) bool tape_grow(struct json_tape *t)
{
    /* as many as there will be if the rest is like what was read: growing step by step takes half
     * as much again */
    size_t rest = t->pos ? (size_t)t->n * (t->end / t->pos) : 0;
    size_t want = MAX(MAX((size_t)t->n * 2, 64), MIN(rest, (size_t)JSON_TAPE_VALUES)) *
                  sizeof(struct json_val);

    if (t->n >= JSON_TAPE_VALUES)
        return false;
    t->mem.n = t->n * sizeof(struct json_val);
    if (!buf_reserve(t->pool, &t->mem, want))
        return false;
    t->v = (struct json_val *)(void *)t->mem.p;
    return true;
}

static struct json_val *tape_add(struct json_tape *t, enum json_type type, size_t at, size_t n)
{
    if (UNLIKELY((t->n + 1) * sizeof(struct json_val) > t->mem.cap || t->n >= JSON_TAPE_VALUES) &&
        !tape_grow(t))
        return NULL;
    struct json_val *v = &t->v[t->n++];
    *v = (struct json_val){
        .at = (uint32_t)at, .n = n & JSON_TAPE_BYTES, .next = t->n, .type = type & 7};
    return v;
}

/* The string whose opening quote is at t->pos. */
static enum json_tape_state read_string(struct json_tape *t, size_t n)
{
    const char *from = t->text + t->pos + 1, *end = t->text + n, *p = from;
    bool escaped = false;

    while ((p = json_string_pass(p, end, &escaped)) < end && *p == '\\') {
        const char *units = p;
        uint32_t before = t->n_lone;
        if ((p = json_units_pass(units, end, &t->n_lone)) == units)
            return JSON_TAPE_BAD;
        if (UNLIKELY(t->n_lone != before)) {
            if (t->n_lone > JSON_TAPE_LONE)
                return JSON_TAPE_BROKEN;
            t->lone_at = before ? t->lone_at : (uint32_t)(units - t->text);
            t->lone_end = (uint32_t)(p - t->text);
        }
        escaped = true;
    }
    if (p == end || *p != '"')
        return JSON_TAPE_BAD;
    struct json_val *v = tape_add(t, JSON_STRING, t->pos + 1, (size_t)(p - from));
    if (!v)
        return JSON_TAPE_LIMIT;
    v->escaped = escaped;
    t->pos = (size_t)(p - t->text) + 1;
    return JSON_TAPE_DONE;
}

static bool ends_scalar(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static enum json_tape_state read_scalar(struct json_tape *t, size_t n)
{
    size_t end = t->pos;
    enum json_type type = JSON_NUMBER;

    while (end < n && !ends_scalar(t->text[end]))
        end++;
    struct str s = {t->text + t->pos, end - t->pos};
    if (str_eq(s, STR("true")))
        type = JSON_TRUE;
    else if (str_eq(s, STR("false")))
        type = JSON_FALSE;
    else if (str_eq(s, STR("null")))
        type = JSON_NULL;
    else if (!json_is_number(s))
        return JSON_TAPE_BAD;
    if (!tape_add(t, type, t->pos, s.n))
        return JSON_TAPE_LIMIT;
    t->pos = end;
    return JSON_TAPE_DONE;
}

static void value_done(struct json_tape *t)
{
    t->state = t->depth ? T_COMMA_OR_END : T_END;
}

static bool in_object(const struct json_tape *t)
{
    return t->v[t->open[t->depth - 1]].type == JSON_OBJECT;
}

static enum json_tape_state open_container(struct json_tape *t, bool object)
{
    if (t->depth == JSON_TAPE_DEPTH)
        return JSON_TAPE_DEEP;
    t->open[t->depth] = t->n;
    if (!tape_add(t, object ? JSON_OBJECT : JSON_ARRAY, t->pos, 0))
        return JSON_TAPE_LIMIT;
    t->depth++;
    t->pos++;
    t->state = object ? T_KEY_OR_END : T_VALUE_OR_END;
    return JSON_TAPE_DONE;
}

static enum json_tape_state close_container(struct json_tape *t)
{
    struct json_val *v = &t->v[t->open[--t->depth]];

    t->pos++;
    v->n = (t->pos - v->at) & JSON_TAPE_BYTES;
    v->next = t->n;
    value_done(t);
    return JSON_TAPE_DONE;
}

static enum json_tape_state read_value(struct json_tape *t, char c, size_t n)
{
    if (c == '{' || c == '[')
        return open_container(t, c == '{');
    enum json_tape_state s = c == '"' ? read_string(t, n) : read_scalar(t, n);
    value_done(t);
    return s;
}

/* One token that begins with c. */
static enum json_tape_state step(struct json_tape *t, char c, size_t n)
{
    switch ((enum tape_state)t->state) {
    case T_VALUE_OR_END:
        if (c == ']')
            return close_container(t);
        FALLTHROUGH;
    case T_VALUE:
        return read_value(t, c, n);
    case T_KEY_OR_END:
        if (c == '}')
            return close_container(t);
        FALLTHROUGH;
    case T_KEY:
        t->state = T_COLON;
        return c == '"' ? read_string(t, n) : JSON_TAPE_BAD;
    case T_COLON:
        t->pos++;
        t->state = T_VALUE;
        return c == ':' ? JSON_TAPE_DONE : JSON_TAPE_BAD;
    case T_COMMA_OR_END:
        if (c == (in_object(t) ? '}' : ']'))
            return close_container(t);
        t->pos++;
        t->state = in_object(t) ? T_KEY : T_VALUE;
        return c == ',' ? JSON_TAPE_DONE : JSON_TAPE_BAD;
    case T_END:
        break;
    }
    return JSON_TAPE_BAD;
}

enum json_tape_state json_tape_read(struct json_tape *t, const char *p, size_t n)
{
    enum json_tape_state s = JSON_TAPE_DONE;

    t->text = p;
    t->end = n;
    t->n = t->depth = 0;
    t->pos = 0;
    t->state = T_VALUE;
    t->n_lone = 0;
    if (n > JSON_TAPE_BYTES)
        return JSON_TAPE_LIMIT;
    while (t->pos < n && s == JSON_TAPE_DONE) {
        char c = p[t->pos];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
            t->pos++;
        else
            s = step(t, c, n);
    }
    return s == JSON_TAPE_DONE && t->state != T_END ? JSON_TAPE_BAD : s;
}

static bool key_is(const struct json_tape *t, const struct json_val *k, struct str name)
{
    return k->n == name.n ? memcmp(t->text + k->at, name.p, name.n) == 0
                          : k->escaped && jstr_is(json_text(t, k), name);
}

const struct json_val *json_get(const struct json_tape *t, const struct json_val *obj,
                                struct str key)
{
    const struct json_val *found = NULL;

    if (!json_has_type(obj, JSON_OBJECT))
        return NULL;
    JSON_MEMBERS(t, obj, k, v)
    if (key_is(t, k, key))
        found = v;
    return found && found->type == JSON_NULL ? NULL : found;
}

void json_members(const struct json_tape *t, const struct json_val *obj, const struct str *names,
                  unsigned n, const struct json_val **ret_found)
{
    memset(ret_found, 0, n * sizeof *ret_found);
    if (!json_has_type(obj, JSON_OBJECT))
        return;
    JSON_MEMBERS(t, obj, k, v)
    for (unsigned i = 0; i < n; i++)
        if (key_is(t, k, names[i])) {
            ret_found[i] = v->type == JSON_NULL ? NULL : v;
            break;
        }
}

bool json_u64(const struct json_tape *t, const struct json_val *v, uint64_t *ret)
{
    return json_has_type(v, JSON_NUMBER) && num_u64(json_raw(t, v), ret);
}
