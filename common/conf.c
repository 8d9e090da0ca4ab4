/* The tree of a YAML file: look-up, typed access, JSON. Reading the file is conf_yaml.c's. */

#include "common/conf.h"

#include "common/num.h"

const struct conf_node *conf_get(const struct conf_node *map, struct str key)
{
    if (!map || map->kind != CONF_MAP)
        return NULL;
    CONF_FOREACH(map, it)
    if (str_eq(it->key, key))
        return it;
    return NULL;
}

bool conf_is_off(const struct conf_node *n)
{
    if (!n)
        return true;
    switch (n->kind) {
    case CONF_NULL:
        return true;
    case CONF_BOOL:
        return !n->truth;
    case CONF_STR:
        return n->text.n == 0;
    case CONF_LIST:
    case CONF_MAP:
        return n->n == 0;
    case CONF_INT:
    case CONF_FLOAT:
        return false;
    }
    return false;
}

const char *conf_kind_name(enum conf_kind k)
{
    static const char *const names[] = {
        [CONF_NULL] = "null",      [CONF_BOOL] = "a boolean", [CONF_INT] = "an integer",
        [CONF_FLOAT] = "a number", [CONF_STR] = "text",       [CONF_LIST] = "a list",
        [CONF_MAP] = "a map",
    };
    return names[k];
}

void conf_put_json(struct jw *w, const struct conf_node *n)
{
    switch (n->kind) {
    case CONF_NULL:
        jw_put_null(w);
        return;
    case CONF_BOOL:
        jw_put_bool(w, n->truth);
        return;
    case CONF_INT:
    case CONF_FLOAT:
        jw_put_raw(w, n->text);
        return;
    case CONF_STR:
        jw_put_str(w, n->text);
        return;
    case CONF_LIST:
        jw_arr(w);
        CONF_FOREACH(n, it)
        conf_put_json(w, it);
        jw_end(w);
        return;
    case CONF_MAP:
        jw_obj(w);
        CONF_FOREACH(n, it)
        {
            jw_key(w, it->key);
            conf_put_json(w, it);
        }
        jw_end(w);
        return;
    }
}

struct str conf_json(struct arena *a, const struct conf_node *n)
{
    struct jw w = jw_init(a);

    conf_put_json(&w, n);
    return jw_finish(&w);
}

void conf_note(struct conf_log *log, enum conf_severity severity, const struct conf_node *at,
               const char *fmt, ...)
{
    char what[1024];
    va_list ap;

    if (!log)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap); /* a longer sentence is cut */
    va_end(ap);
    if (severity == CONF_ERROR)
        log->n_errors++;
    struct conf_note *note = arena_zalloc(log->arena, sizeof *note);
    if (!note)
        return; /* the arena failed: whoever builds in it finds out */
    note->severity = severity;
    uint32_t line = at && at->key_line ? at->key_line : at ? at->line : 0;
    if (line)
        note->text = arena_printf(log->arena, "%s:%u: %s", at->file, line, what);
    else
        note->text = arena_printf(log->arena, "%s%s%s", at ? at->file : "", at ? ": " : "", what);
    if (log->last)
        log->last->next = note;
    else
        log->first = note;
    log->last = note;
}

struct str conf_place(struct arena *a, const struct conf_node *n)
{
    uint32_t line = n->key_line ? n->key_line : n->line;

    return line ? arena_printf(a, "%s:%u", n->file, line) : str_of(n->file);
}

static bool is_set(const struct conf_node *n)
{
    return n && n->kind != CONF_NULL;
}

static bool is_scalar(const struct conf_node *n)
{
    return n->kind != CONF_LIST && n->kind != CONF_MAP;
}

/* Quotes what is short: a longer text may be a secret in the wrong place. */
static bool mismatch(struct conf_log *log, const struct conf_node *n, const char *wanted)
{
    if (is_scalar(n) && n->text.n && n->text.n <= 12)
        conf_note(log, CONF_ERROR, n, STR_FMT ": %s is wanted, not \"" STR_FMT "\"",
                  STR_ARG(n->key), wanted, STR_ARG(n->text));
    else
        conf_note(log, CONF_ERROR, n, STR_FMT ": %s is wanted, not %s", STR_ARG(n->key), wanted,
                  conf_kind_name(n->kind));
    return false;
}

bool conf_bool(struct conf_log *log, const struct conf_node *n, bool *ret)
{
    if (!is_set(n))
        return false;
    if (n->kind == CONF_BOOL)
        *ret = n->truth;
    else if (is_scalar(n) && (str_ieq(n->text, STR("true")) || str_eq(n->text, STR("1"))))
        *ret = true;
    else if (is_scalar(n) && (str_ieq(n->text, STR("false")) || str_eq(n->text, STR("0"))))
        *ret = false;
    else
        return mismatch(log, n, "true or false");
    return true;
}

bool conf_u64(struct conf_log *log, const struct conf_node *n, uint64_t *ret)
{
    int64_t v;

    if (!is_set(n))
        return false;
    if (n->kind == CONF_BOOL || !is_scalar(n))
        return mismatch(log, n, "an integer");
    if (num_u64(n->text, ret))
        return true;
    if (n->kind == CONF_FLOAT && str_ends(n->text, STR(".0")) && num_scaled(n->text, 0, &v) &&
        v >= 0) {
        *ret = (uint64_t)v; /* 3.0 */
        return true;
    }
    return mismatch(log, n, "an integer from 0");
}

bool conf_u32(struct conf_log *log, const struct conf_node *n, uint32_t *ret)
{
    uint64_t v;

    if (!conf_u64(log, n, &v))
        return false;
    if (v > UINT32_MAX) {
        conf_note(log, CONF_ERROR, n, "%.*s: %.*s is too large", STR_ARG(n->key), STR_ARG(n->text));
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

bool conf_scaled(struct conf_log *log, const struct conf_node *n, int scale, int64_t *ret)
{
    if (!is_set(n))
        return false;
    if (n->kind == CONF_BOOL || !is_scalar(n))
        return mismatch(log, n, "a number");
    if (num_scaled(n->text, scale, ret))
        return true;
    return mismatch(log, n, "a number");
}

bool conf_text(struct conf_log *log, const struct conf_node *n, struct str *ret)
{
    if (!is_set(n))
        return false;
    if (!is_scalar(n))
        return mismatch(log, n, "text");
    *ret = n->text;
    return true;
}
