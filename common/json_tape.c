/*
 * One pass, token by token. Open containers are kept as indices of their entries, whose `next` is
 * filled when they close; nothing else is remembered of the structure but what may follow.
 */

#include "common/json_tape.h"

enum tape_state { T_VALUE, T_VALUE_OR_END, T_KEY, T_KEY_OR_END, T_COLON, T_COMMA_OR_END, T_END };

/* What a token came to. */
enum token { TOKEN_OK, TOKEN_CUT, TOKEN_BAD, TOKEN_FULL };

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

void json_tape_begin(struct json_tape *t)
{
    t->n = t->depth = 0;
    t->pos = t->resume = 0;
    t->state = T_VALUE;
}

static __attribute__((noinline)) bool tape_grow(struct json_tape *t)
{
    size_t want = MAX((size_t)t->n * 2, 64) * sizeof(struct json_val);

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
        .at = (uint32_t)at, .n = (uint32_t)n, .next = t->n, .type = (uint8_t)type};
    return v;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (char_lower(c) >= 'a' && char_lower(c) <= 'f');
}

/* Bytes of the escape at p (a backslash), 0 when it is none, SIZE_MAX when it is cut off. */
static size_t escape_length(const char *p, const char *end)
{
    if (end - p < 2)
        return SIZE_MAX;
    if (p[1] != 'u')
        return strchr("\"\\/bfnrt", p[1]) && p[1] ? 2 : 0;
    for (unsigned i = 2; i < 6; i++) {
        if (p + i == end)
            return SIZE_MAX;
        if (!is_hex(p[i]))
            return 0;
    }
    return 6;
}

/* The string whose opening quote is at t->pos. */
static enum token read_string(struct json_tape *t, const char *text, size_t n)
{
    const char *end = text + n, *p = text + MAX(t->resume, t->pos + 1);
    bool escaped = t->resume && t->resume_escaped;

    for (;;) {
        p = json_string_stop(p, end);
        if (p == end)
            break;
        if (*p == '"') {
            struct json_val *v =
                tape_add(t, JSON_STRING, t->pos + 1, (size_t)(p - text) - t->pos - 1);
            if (!v)
                return TOKEN_FULL;
            v->escaped = escaped;
            t->pos = (size_t)(p - text) + 1;
            t->resume = 0;
            return TOKEN_OK;
        }
        if (*p != '\\')
            return TOKEN_BAD;
        size_t length = escape_length(p, end);
        if (!length)
            return TOKEN_BAD;
        if (length == SIZE_MAX)
            break;
        escaped = true;
        p += length;
    }
    t->resume = (size_t)(p - text);
    t->resume_escaped = escaped;
    return TOKEN_CUT;
}

static bool ends_scalar(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A number or literal; at the end of an incomplete text it may go on. */
static enum token read_scalar(struct json_tape *t, const char *text, size_t n, bool complete)
{
    enum { SCALAR_MAX = 4096 };
    size_t at = t->pos, end = at;
    enum json_type type;

    while (end < n && !ends_scalar(text[end]))
        if (++end - at > SCALAR_MAX)
            return TOKEN_BAD;
    if (end == n && !complete)
        return TOKEN_CUT;
    struct str s = {text + at, end - at};
    if (str_eq(s, STR("true")))
        type = JSON_TRUE;
    else if (str_eq(s, STR("false")))
        type = JSON_FALSE;
    else if (str_eq(s, STR("null")))
        type = JSON_NULL;
    else if (json_is_number(s))
        type = JSON_NUMBER;
    else
        return TOKEN_BAD;
    if (!tape_add(t, type, at, s.n))
        return TOKEN_FULL;
    t->pos = end;
    return TOKEN_OK;
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
    return JSON_TAPE_MORE;
}

static void close_container(struct json_tape *t)
{
    struct json_val *v = &t->v[t->open[--t->depth]];

    t->pos++;
    v->n = (uint32_t)(t->pos - v->at);
    v->next = t->n;
    value_done(t);
}

static enum json_tape_state from_token(enum token token)
{
    return token == TOKEN_BAD    ? JSON_TAPE_BAD
           : token == TOKEN_FULL ? JSON_TAPE_LIMIT
                                 : JSON_TAPE_MORE;
}

/* One token; MORE with t->pos unmoved when it is cut off. */
static enum json_tape_state step(struct json_tape *t, const char *text, size_t n, bool complete)
{
    char c = text[t->pos];
    enum token token;

    switch ((enum tape_state)t->state) {
    case T_VALUE_OR_END:
        if (c == ']') {
            close_container(t);
            return JSON_TAPE_MORE;
        }
        FALLTHROUGH;
    case T_VALUE:
        if (c == '{' || c == '[')
            return open_container(t, c == '{');
        token = c == '"' ? read_string(t, text, n) : read_scalar(t, text, n, complete);
        if (token == TOKEN_OK)
            value_done(t);
        return from_token(token);
    case T_KEY_OR_END:
        if (c == '}') {
            close_container(t);
            return JSON_TAPE_MORE;
        }
        FALLTHROUGH;
    case T_KEY:
        if (c != '"')
            return JSON_TAPE_BAD;
        token = read_string(t, text, n);
        if (token == TOKEN_OK)
            t->state = T_COLON;
        return from_token(token);
    case T_COLON:
        if (c != ':')
            return JSON_TAPE_BAD;
        t->pos++;
        t->state = T_VALUE;
        return JSON_TAPE_MORE;
    case T_COMMA_OR_END:
        if (c == ',') {
            t->pos++;
            t->state = in_object(t) ? T_KEY : T_VALUE;
        } else if (c == (in_object(t) ? '}' : ']')) {
            close_container(t);
        } else {
            return JSON_TAPE_BAD;
        }
        return JSON_TAPE_MORE;
    case T_END:
        break;
    }
    return JSON_TAPE_BAD;
}

enum json_tape_state json_tape_read(struct json_tape *t, const char *p, size_t n, bool complete,
                                    size_t budget)
{
    size_t from = MAX(t->pos, t->resume);
    size_t stop = n - MIN(from, n) > budget ? from + budget : n;

    t->text = p;
    if (n > UINT32_MAX)
        return JSON_TAPE_LIMIT;
    while (t->pos < n) {
        char c = p[t->pos];
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
            t->pos++;
            continue;
        }
        size_t at = t->pos;
        if (UNLIKELY(at >= stop))
            return JSON_TAPE_MORE;
        /* a string is read up to `stop` at first and on from there, so that it costs a slice too */
        enum json_tape_state s = step(t, p, t->resume || c == '"' ? stop : n, complete);
        if (s != JSON_TAPE_MORE)
            return s;
        if (t->pos == at) /* cut off */
            return stop < n || !complete ? JSON_TAPE_MORE : JSON_TAPE_BAD;
    }
    if (t->state == T_END)
        return complete ? JSON_TAPE_DONE : JSON_TAPE_MORE;
    return complete ? JSON_TAPE_BAD : JSON_TAPE_MORE;
}

const struct json_val *json_get(const struct json_tape *t, const struct json_val *obj,
                                struct str key)
{
    const struct json_val *found = NULL;

    if (!json_has_type(obj, JSON_OBJECT))
        return NULL;
    JSON_MEMBERS(t, obj, k, v)
    if (k->n == key.n ? memcmp(t->text + k->at, key.p, key.n) == 0
                      : k->escaped && jstr_is(json_text(t, k), key))
        found = v;
    return found && found->type == JSON_NULL ? NULL : found;
}

bool json_u64(const struct json_tape *t, const struct json_val *v, uint64_t *ret)
{
    return json_has_type(v, JSON_NUMBER) && num_u64(json_raw(t, v), ret);
}
