#include "link/transcript_text.h"

#include <yyjson.h>

#include "common/jw.h"

enum {
    DEPTH_MAX = JW_DEPTH - 2,
    SEGMENT_MAX = 16,
    NUMBER_MAX = 64,
    EXPONENT_MAX = 3, /* digits */
};

#define REDACTED STR("redacted-by-litellm")

struct writer {
    struct jw w;
    struct arena *a;
    const struct transcript_rules *r;
};

static bool is_one_of(struct str s, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, names[i]))
            return true;
    return false;
}
#define IS_ONE_OF(s, ...)                                                                          \
    is_one_of((s), (const struct str[]){__VA_ARGS__},                                              \
              ARRAY_LEN(((const struct str[]){__VA_ARGS__})))

static struct str text_of(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static struct str member_text(yyjson_val *object, const char *key)
{
    return text_of(yyjson_obj_get(object, key));
}

/* ---- texts ---- */

static bool begins_char(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t count_chars(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += begins_char(s.p[i]);
    return n;
}

/* Where character `n` begins; s.n behind the last. */
static size_t char_at(struct str s, size_t n)
{
    for (size_t i = 0; i < s.n; i++)
        if (begins_char(s.p[i]) && n-- == 0)
            return i;
    return s.n;
}

/* No jsonb takes a NUL. */
static struct str without_nul(struct writer *o, struct str s)
{
    if (!s.n || !memchr(s.p, 0, s.n))
        return s;
    char *p = arena_alloc(o->a, s.n);
    size_t n = 0;

    for (size_t i = 0; p && i < s.n; i++)
        if (s.p[i])
            p[n++] = s.p[i];
    return (struct str){p, n};
}

static void put_text(struct writer *o, struct str s)
{
    size_t max = o->r->string_max, head = max * 35 / 100, tail = max * 65 / 100;

    s = without_nul(o, s);
    size_t n = s.n > max ? count_chars(s) : 0;
    if (n > max) {
        struct str first = {s.p, char_at(s, head)}, last = str_from(s, char_at(s, n - tail));
        s = arena_printf(o->a, STR_FMT "... (litellm_truncated skipped %zu chars) ..." STR_FMT,
                         STR_ARG(first), n - head - tail, STR_ARG(last));
    }
    jw_put_str(&o->w, s);
}

static void put_skipped(struct writer *o, uint64_t bytes)
{
    jw_obj(&o->w);
    if (bytes) {
        jw_key(&o->w, STR("litellm_truncated"));
        jw_put_str(&o->w, arena_printf(o->a, "skipped %llu bytes", (unsigned long long)bytes));
    }
    jw_end(&o->w);
}

/* Of a few bytes no database makes thousands of digits: beyond what a double holds it is a text. */
static void put_number(struct writer *o, struct str s)
{
    size_t at = MIN(str_find(s, STR("e")), str_find(s, STR("E")));
    struct str exponent = at < s.n ? str_from(s, at + 1) : (struct str){0};
    bool is_signed = exponent.n && (exponent.p[0] == '-' || exponent.p[0] == '+');

    if (s.n <= NUMBER_MAX && exponent.n - is_signed <= EXPONENT_MAX)
        jw_put_raw(&o->w, s);
    else
        put_text(o, s);
}

/* ---- credentials ---- */

static bool is_sensitive(struct str segment)
{
    return IS_ONE_OF(segment, STR("password"), STR("secret"), STR("key"), STR("token"), STR("auth"),
                     STR("authorization"), STR("cookie"), STR("credential"), STR("credentials"),
                     STR("access"), STR("private"), STR("certificate"), STR("fingerprint"),
                     STR("tenancy"), STR("apikey"));
}

/* By the words of the name: api_key and x-api-key are, max_tokens is not. */
static bool is_credential(struct str key)
{
    char segment[SEGMENT_MAX];
    bool is = false;
    size_t n = 0;

    for (size_t i = 0; i <= key.n; i++) {
        if (i < key.n && key.p[i] != '_' && key.p[i] != '-') {
            if (n < sizeof segment)
                segment[n] = char_lower(key.p[i]);
            n++;
            continue;
        }
        struct str s = {segment, n <= sizeof segment ? n : 0};
        if (str_eq(s, STR("cost")))
            return false;
        is |= is_sensitive(s);
        n = 0;
    }
    return is;
}

/* What a tool was given or said is content, whatever its members are called. */
static bool is_content(yyjson_val *parent, struct str key)
{
    struct str type = member_text(parent, "type");

    if (IS_ONE_OF(key, STR("arguments"), STR("logprobs")))
        return true;
    if (str_eq(key, STR("input")))
        return IS_ONE_OF(type, STR("tool_use"), STR("server_tool_use"), STR("mcp_tool_use"));
    return IS_ONE_OF(key, STR("content"), STR("output")) &&
           (str_eq(member_text(parent, "role"), STR("tool")) ||
            IS_ONE_OF(type, STR("tool_result"), STR("mcp_tool_result"),
                      STR("function_call_output")));
}

/* ---- values ---- */

enum place { PLAIN, TOOLS, REPLY /* of one that is redacted */ };

/* What a redacted reply has under a name; false: whatever it had. */
static bool put_redacted(struct writer *o, struct str key, yyjson_val *v)
{
    if (yyjson_is_str(v) &&
        IS_ONE_OF(key, STR("content"), STR("reasoning_content"), STR("refusal"), STR("text"),
                  STR("arguments"), STR("input"), STR("output"), STR("encrypted_content"),
                  STR("instructions"), STR("code"), STR("result"), STR("logs"), STR("summary"),
                  STR("revised_prompt")))
        jw_put_str(&o->w, REDACTED);
    else if (IS_ONE_OF(key, STR("thinking_blocks"), STR("reasoning_items"), STR("reasoning"),
                       STR("audio"), STR("logprobs"), STR("token_ids"), STR("action"),
                       STR("provider_specific_fields"), STR("instructions"), STR("annotations"),
                       STR("queries"), STR("prompt"), STR("images")))
        jw_put_null(&o->w);
    else
        return false;
    return true;
}

static void put_value(struct writer *o, yyjson_val *v, enum place place, unsigned depth);

static void put_members(struct writer *o, yyjson_val *object, enum place place, unsigned depth)
{
    yyjson_val *k, *v;
    size_t i, max;

    yyjson_obj_foreach(object, i, max, k, v)
    {
        struct str key = without_nul(o, text_of(k));
        if (str_eq(key, STR("secret_fields")))
            continue;
        jw_key(&o->w, key);
        if (place == REPLY && put_redacted(o, key, v))
            continue;
        if (place != TOOLS && yyjson_is_str(v) && is_credential(key))
            jw_put_str(&o->w, STR("REDACTED_BY_LITELM"));
        else
            put_value(o, v, place == PLAIN && is_content(object, key) ? TOOLS : place, depth + 1);
    }
}

static void put_value(struct writer *o, yyjson_val *v, enum place place, unsigned depth)
{
    yyjson_val *element;
    size_t i, max;

    if (yyjson_is_ctn(v) && depth >= DEPTH_MAX) {
        jw_put_str(&o->w, STR("litellm_truncated"));
    } else if (yyjson_is_obj(v)) {
        jw_obj(&o->w);
        put_members(o, v, place, depth);
        jw_end(&o->w);
    } else if (yyjson_is_arr(v)) {
        jw_arr(&o->w);
        yyjson_arr_foreach(v, i, max, element) put_value(o, element, place, depth + 1);
        jw_end(&o->w);
    } else if (yyjson_is_str(v)) {
        put_text(o, text_of(v));
    } else if (yyjson_is_bool(v)) {
        jw_put_bool(&o->w, yyjson_get_bool(v));
    } else if (yyjson_is_raw(v)) { /* a number */
        put_number(o, (struct str){yyjson_get_raw(v), yyjson_get_len(v)});
    } else {
        jw_put_null(&o->w);
    }
}

/* ---- request and reply ---- */

static void put_redacted_request(struct writer *o, yyjson_val *root)
{
    struct jw *w = &o->w;
    yyjson_val *k, *v;
    size_t i, max;

    jw_obj(w);
    yyjson_obj_foreach(root, i, max, k, v)
    {
        struct str key = without_nul(o, text_of(k));
        if (IS_ONE_OF(key, STR("messages"), STR("prompt"), STR("input"), STR("suffix"),
                      STR("prediction"), STR("secret_fields")))
            continue;
        jw_key(w, key);
        if (IS_ONE_OF(key, STR("instructions"), STR("system")) && !yyjson_is_null(v))
            jw_put_str(w, REDACTED);
        else if (yyjson_is_str(v) && is_credential(key))
            jw_put_str(w, STR("REDACTED_BY_LITELM"));
        else
            put_value(o, v, PLAIN, 2);
    }
    jw_key(w, STR("messages"));
    jw_put_raw(w, STR("[{\"role\":\"user\",\"content\":\"redacted-by-litellm\"}]"));
    jw_key(w, STR("prompt"));
    jw_put_str(w, STR(""));
    jw_key(w, STR("input"));
    jw_put_str(w, STR(""));
    jw_end(w);
}

static void put_redacted_reply(struct writer *o, yyjson_val *root)
{
    if (yyjson_obj_get(root, "choices") || yyjson_obj_get(root, "output")) {
        put_value(o, root, REPLY, 1);
        return;
    }
    jw_obj(&o->w);
    jw_key(&o->w, STR("text"));
    jw_put_str(&o->w, REDACTED);
    jw_end(&o->w);
}

static void put_part(struct writer *o, const struct transcript_part *p,
                     void (*put_redacted_part)(struct writer *o, yyjson_val *root))
{
    yyjson_doc *doc =
        p->text.n ? yyjson_read(p->text.p, p->text.n, YYJSON_READ_NUMBER_AS_RAW) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);

    if (!yyjson_is_obj(root))
        put_skipped(o, p->bytes);
    else if (o->r->redacts)
        put_redacted_part(o, root);
    else
        put_value(o, root, PLAIN, 1);
    yyjson_doc_free(doc);
}

struct str transcript_text(const struct transcript_part *request,
                           const struct transcript_part *reply, const struct transcript_rules *r,
                           struct arena *a)
{
    struct writer o = {.w = jw_init(a), .a = a, .r = r};

    jw_obj(&o.w);
    jw_key(&o.w, STR("proxy_server_request"));
    put_part(&o, request, put_redacted_request);
    jw_key(&o.w, STR("response"));
    put_part(&o, reply, put_redacted_reply);
    jw_end(&o.w);
    return jw_finish(&o.w);
}
