#include "api/sealed.h"

#include "api/reply.h"
#include "config.h"
#include "daemon.h"

enum { DEPTH_MAX = 20, SHOWN = 2 };

#define MASK  "****"
#define SHORT "*****" /* of a text too short to show a part of */

static struct str text_of(yyjson_mut_val *v)
{
    return (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
}

static void put(struct store *s, yyjson_mut_val *map, yyjson_mut_val *k, yyjson_mut_val *v)
{
    (void)yyjson_mut_obj_put(map, row_copy(s, k), v);
}

yyjson_mut_val *values_seal(struct call *c, const yyjson_mut_val *map)
{
    const struct config *config = c->d->config;
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *k, *v;
    size_t i, n;

    if (!config->seal.is_set) {
        refuse(c, 500, "Set LITELLM_SALT_KEY or a master key: values cannot be sealed without.");
        return NULL;
    }
    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)map, i, n, k, v)
    {
        if (yyjson_mut_is_str(v)) {
            struct str sealed = seal(&config->seal, config->seal_format, text_of(v), &c->arena);
            if (!sealed.n) {
                refuse(c, 400, "The value of " STR_FMT " is too long.", STR_ARG(text_of(k)));
                return NULL;
            }
            put(s, out, k, yyjson_mut_strn(s->doc, sealed.p, sealed.n));
        } else if (!yyjson_mut_is_null(v)) {
            put(s, out, k, row_copy(s, v));
        }
    }
    return out;
}

yyjson_mut_val *values_open(struct call *c, const yyjson_mut_val *map)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *k, *v;
    struct str plain;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)map, i, n, k, v)
    {
        bool opens = yyjson_mut_is_str(v) &&
                     seal_open(&c->d->config->seal, text_of(v), &c->arena, &plain) &&
                     str_is_utf8(plain);
        put(s, out, k, opens ? yyjson_mut_strn(s->doc, plain.p, plain.n) : row_copy(s, v));
    }
    return out;
}

bool value_is_secret(struct str name)
{
    static const struct str words[] = {
        STR_INIT("authorization"), STR_INIT("token"),  STR_INIT("key"),         STR_INIT("secret"),
        STR_INIT("password"),      STR_INIT("passwd"), STR_INIT("credentials"),
    };

    for (size_t w = 0; w < ARRAY_LEN(words); w++)
        for (size_t i = 0; i + words[w].n <= name.n; i++)
            if (str_ieq((struct str){name.p + i, words[w].n}, words[w]))
                return true;
    return false;
}

/* Bytes of the first (or last) characters of `s` that are shown. */
static size_t shown_length(struct str s, bool at_end)
{
    size_t n = 0, left = SHOWN;

    while (n < s.n && left) {
        n++;
        size_t at = at_end ? s.n - n : n;
        if (at_end ? ((unsigned char)s.p[at] & 0xc0) != 0x80
                   : at == s.n || ((unsigned char)s.p[at] & 0xc0) != 0x80)
            left--;
    }
    return n;
}

static struct str masked(struct arena *a, struct str s)
{
    size_t head = shown_length(s, false), tail = shown_length(s, true);

    if (s.n <= 2 * (size_t)SHOWN || head + tail >= s.n)
        return STR(SHORT);
    return arena_printf(a, "%.*s" MASK "%.*s", (int)head, s.p, (int)tail, s.p + s.n - tail);
}

/* A secret that is no text is masked below; beyond the bound nothing of it is shown. */
static yyjson_mut_val *mask(struct call *c, yyjson_mut_val *v, bool is_secret, unsigned depth)
{
    struct store *s = &c->store;
    yyjson_mut_val *out, *k, *one;
    size_t i, n;

    if (is_secret && yyjson_mut_is_str(v)) {
        struct str text = masked(&c->arena, text_of(v));
        return yyjson_mut_strn(s->doc, text.p, text.n);
    }
    if (yyjson_mut_is_ctn(v) && depth >= DEPTH_MAX)
        return yyjson_mut_str(s->doc, SHORT);
    if (yyjson_mut_is_arr(v)) {
        out = row_list(s);
        yyjson_mut_arr_foreach(v, i, n, one)
        {
            (void)yyjson_mut_arr_append(out, mask(c, one, is_secret, depth + 1));
        }
        return out;
    }
    if (!yyjson_mut_is_obj(v))
        return row_copy(s, v);
    out = row_new(s);
    yyjson_mut_obj_foreach(v, i, n, k, one)
    {
        put(s, out, k, mask(c, one, is_secret || value_is_secret(text_of(k)), depth + 1));
    }
    return out;
}

yyjson_mut_val *values_mask(struct call *c, const yyjson_mut_val *map)
{
    return mask(c, (yyjson_mut_val *)(uintptr_t)map, false, 0);
}

bool value_is_masked(struct str text)
{
    struct str middle = STR(MASK);

    if (str_eq(text, STR(SHORT)))
        return true;
    size_t head = text.n ? shown_length(text, false) : 0, tail = shown_length(text, true);
    return text.n == head + tail + middle.n &&
           str_eq((struct str){text.p + head, middle.n}, middle);
}
