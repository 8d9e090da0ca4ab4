/* The settings table, look-up, spelling and types. */

#include "common/gateway/settings.h"

#include "common/num.h"

static const struct setting settings[SETTINGS] = {
#define SETTING(section_, key_, type_, dflt_, min_, max_, values_, verdict_, sentence_)            \
    [SETTING_##section_##_##key_] = {                                                              \
        .section = SECTION_##section_,                                                             \
        .key = STR_INIT(#key_),                                                                    \
        .type = TYPE_##type_,                                                                      \
        .dflt = STR_INIT(dflt_),                                                                   \
        .min = (min_),                                                                             \
        .max = (max_),                                                                             \
        .values = STR_INIT(values_),                                                               \
        .verdict = VERDICT_##verdict_,                                                             \
        .sentence = (sentence_),                                                                   \
    },
#include "common/gateway/settings.def"
#undef SETTING
};

const struct setting *setting_at(enum setting_id id)
{
    ASSERT(id < SETTINGS);
    return &settings[id];
}

struct str setting_section_name(enum setting_section s)
{
    static const struct str names[] = {
#define X(id, name, closed) STR_INIT(name),
        SETTING_SECTIONS(X)
#undef X
    };
    return names[s];
}

bool setting_section_is_closed(enum setting_section s)
{
    static const bool closed_sections[] = {
#define X(id, name, closed) closed,
        SETTING_SECTIONS(X)
#undef X
    };
    return closed_sections[s];
}

const char *setting_type_name(enum setting_type t)
{
    static const char *const names[] = {
#define X(id, name) name,
        SETTING_TYPES(X)
#undef X
    };
    return names[t];
}

const char *setting_verdict_name(enum setting_verdict v)
{
    static const char *const names[] = {"honoured", "harmless", "enforces"};
    return names[v];
}

enum setting_id setting_find(enum setting_section section, struct str key)
{
    for (unsigned i = 0; i < SETTINGS; i++)
        if (settings[i].section == section && str_eq(settings[i].key, key))
            return (enum setting_id)i;
    return SETTINGS;
}

/* Edits (insert, remove, replace) that turn a into b; names longer than 63 bytes count as far. */
static unsigned edit_distance(struct str a, struct str b)
{
    unsigned row[64];

    if (a.n >= ARRAY_LEN(row) || b.n >= ARRAY_LEN(row))
        return UINT32_MAX;
    for (unsigned j = 0; j <= b.n; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned replaced = diagonal + (char_lower(a.p[i - 1]) != char_lower(b.p[j - 1]));
            diagonal = row[j];
            row[j] = MIN(replaced, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.n];
}

enum setting_id setting_nearest(enum setting_section section, struct str key)
{
    enum setting_id nearest = SETTINGS;
    unsigned least = MAX(1, (unsigned)MIN(key.n, 30) / 3) + 1;

    for (unsigned i = 0; i < SETTINGS; i++) {
        if (settings[i].section != section)
            continue;
        unsigned d = edit_distance(settings[i].key, key);
        if (d < least) {
            least = d;
            nearest = (enum setting_id)i;
        }
    }
    return nearest;
}

bool setting_is_default(const struct setting *s, const struct conf_node *n)
{
    bool truth;

    if (conf_is_off(n) && !(s->type == TYPE_BOOL && str_eq(s->dflt, STR("true"))))
        return true;
    if (s->type == TYPE_BOOL && conf_bool(NULL, n, &truth))
        return str_eq(s->dflt, truth ? STR("true") : STR("false"));
    return n->kind != CONF_LIST && n->kind != CONF_MAP && s->dflt.n && str_eq(n->text, s->dflt);
}

bool setting_enforces(const struct setting *s, const struct conf_node *n)
{
    struct str name;

    if (s->verdict == VERDICT_ENFORCES)
        return true;
    if (s->verdict == VERDICT_HARMLESS)
        for (uint32_t i = 0; setting_name(n, i, &name); i++)
            if (str_is_among(name, s->values))
                return true;
    return false;
}

bool setting_name(const struct conf_node *n, uint32_t i, struct str *ret)
{
    if (!n)
        return false;
    if (n->kind == CONF_LIST)
        return i < n->n && conf_text(NULL, &n->first[i], ret);
    return i == 0 && conf_text(NULL, n, ret);
}

static bool check_bounds(const struct setting *s, const struct conf_node *n, int64_t v,
                         int64_t unit, struct conf_log *log)
{
    if ((s->min == 0 && s->max == 0) ||
        (v >= (int64_t)s->min * unit && v <= (int64_t)s->max * unit))
        return true;
    conf_note(log, CONF_ERROR, n, STR_FMT ": from %u to %u is allowed", STR_ARG(s->key), s->min,
              s->max);
    return false;
}

static bool check_kind(const struct setting *s, const struct conf_node *n, bool fits,
                       struct conf_log *log)
{
    if (!fits)
        conf_note(log, CONF_ERROR, n, STR_FMT ": %s is wanted, not %s", STR_ARG(s->key),
                  setting_type_name(s->type), conf_kind_name(n->kind));
    return fits;
}

bool setting_check(const struct setting *s, const struct conf_node *n, struct conf_log *log)
{
    bool truth;
    uint64_t whole;
    int64_t scaled;
    struct str text;

    if (n->kind == CONF_NULL)
        return true;
    switch (s->type) {
    case TYPE_BOOL:
        return conf_bool(log, n, &truth);
    case TYPE_COUNT:
    case TYPE_MB:
        return conf_u64(log, n, &whole) &&
               check_bounds(s, n, (int64_t)MIN(whole, (uint64_t)INT64_MAX), 1, log);
    case TYPE_NUMBER:
    case TYPE_SECONDS:
        return conf_scaled(log, n, 3, &scaled) && check_bounds(s, n, scaled, 1000, log);
    case TYPE_TEXT:
        if (!conf_text(log, n, &text))
            return false;
        if (s->values.n == 0 || str_is_among(text, s->values))
            return true;
        conf_note(log, CONF_ERROR, n, STR_FMT ": one of " STR_FMT " is wanted", STR_ARG(s->key),
                  STR_ARG(s->values));
        return false;
    case TYPE_NAMES:
        if (n->kind != CONF_LIST)
            return check_kind(s, n, n->kind != CONF_MAP, log);
        CONF_FOREACH(n, it)
        if (!check_kind(s, it, it->kind != CONF_LIST && it->kind != CONF_MAP, log))
            return false;
        return true;
    case TYPE_LIST:
        return check_kind(s, n, n->kind == CONF_LIST, log);
    case TYPE_MAP:
        return check_kind(s, n, n->kind == CONF_MAP, log);
    case TYPE_ANY:
        return true;
    }
    return true;
}
