/* Sections judged by the settings table, and settings resolved over file, environment, default. */

#include "common/gateway/config_file.h"
#include "common/num.h"

/* ---- verdicts ---- */

/* "router_settings.fallbacks", for messages and accept_unenforced. */
static struct str full_name(struct config_file *c, const struct setting *s)
{
    struct str section = setting_section_name(s->section);

    return arena_printf(&c->arena, STR_FMT "%s" STR_FMT, STR_ARG(section), section.n ? "." : "",
                        STR_ARG(s->key));
}

/* Adds `name` to a ", "-separated list unless it is there. */
static void list_add(struct config_file *c, struct str *list, struct str name)
{
    struct str rest = *list, one;

    while (rest.n) {
        (void)str_cut(rest, ',', &one, &rest); /* the last has no comma behind it */
        if (str_eq(str_trim(one), name))
            return;
    }
    *list = arena_printf(&c->arena, STR_FMT "%s" STR_FMT, STR_ARG(*list), list->n ? ", " : "",
                         STR_ARG(name));
}

static bool is_accepted(const struct config_file *c, const struct setting *s, struct str name)
{
    const struct conf_node *accept = c->value[SETTING_WEIR_accept_unenforced];
    struct str one;

    for (uint32_t i = 0; setting_name(accept, i, &one); i++)
        if (str_eq(one, s->key) || str_eq(one, name))
            return true;
    return false;
}

/* A refusal goes to c->log: it stops the start even where a broken entry would be left out. */
static void judge_unbuilt(struct config_file *c, const struct setting *s, const struct conf_node *n)
{
    struct str name = full_name(c, s);

    if (setting_is_default(s, n))
        return;
    if (!setting_enforces(s, n))
        list_add(c, &c->unbuilt, name);
    else if (is_accepted(c, s, name))
        list_add(c, &c->accepted, name);
    else
        conf_note(n->source == CONF_OF_FILE ? &c->log : &c->rows, CONF_ERROR, n,
                  STR_FMT ": %s To start without it: weir: {accept_unenforced: [" STR_FMT "]}",
                  STR_ARG(name), s->sentence, STR_ARG(s->key));
}

static void unknown_key(enum setting_section section, const struct conf_node *n,
                        struct conf_log *log)
{
    struct str where = setting_section_name(section);
    enum setting_id near = setting_nearest(section, n->key);
    const char *dot = where.n ? "." : "";

    for (unsigned id = 0; id < SETTINGS; id++) {
        const struct setting *s = setting_at((enum setting_id)id);
        if (s->section >= SECTION_ROUTER && s->section != SECTION_CREDENTIAL &&
            s->section < SECTION_ENV && str_eq(s->key, n->key)) {
            conf_note(
                log, CONF_ERROR, n, STR_FMT "%s" STR_FMT ": no such key; it belongs into " STR_FMT,
                STR_ARG(where), dot, STR_ARG(n->key), STR_ARG(setting_section_name(s->section)));
            return;
        }
    }
    if (near == SETTINGS)
        conf_note(log, CONF_ERROR, n, STR_FMT "%s" STR_FMT ": no such key", STR_ARG(where), dot,
                  STR_ARG(n->key));
    else
        conf_note(log, CONF_ERROR, n, STR_FMT "%s" STR_FMT ": no such key; the nearest is " STR_FMT,
                  STR_ARG(where), dot, STR_ARG(n->key), STR_ARG(setting_at(near)->key));
}

static bool is_nothing(const struct conf_node *n)
{
    return n->kind == CONF_NULL || (n->kind == CONF_STR && n->text.n == 0);
}

void config_judge(struct config_file *c, enum setting_section section, const struct conf_node *map,
                  struct conf_log *log, bool keep)
{
    if (!map || map->kind == CONF_NULL)
        return;
    if (map->kind != CONF_MAP) {
        if (map->key.n == 0) /* an item of a list; a section's own row says it otherwise */
            conf_note(log, CONF_ERROR, map, STR_FMT ": a map is wanted, not %s",
                      STR_ARG(setting_section_name(section)), conf_kind_name(map->kind));
        return;
    }
    CONF_FOREACH(map, it)
    {
        enum setting_id id = setting_find(section, it->key);
        if (id == SETTINGS) {
            if (setting_section_is_closed(section))
                unknown_key(section, it, log);
            continue;
        }
        const struct setting *s = setting_at(id);
        if (s->verdict != VERDICT_HONOURED)
            judge_unbuilt(c, s, it);
        else if (setting_check(s, it, log) && keep && !is_nothing(it))
            c->value[id] = it;
    }
}

bool config_takes(struct config_file *c, enum setting_section section, const struct conf_node *n)
{
    enum setting_id id = setting_find(section, n->key);
    unsigned errors = c->rows.n_errors;

    if (id == SETTINGS) { /* LiteLLM keeps some of its own there, and newer ones know more */
        conf_note(&c->rows, CONF_WARNING, n, STR_FMT "." STR_FMT ": no such key; it is left out",
                  STR_ARG(setting_section_name(section)), STR_ARG(n->key));
        return false;
    }
    const struct setting *s = setting_at(id);
    if (s->verdict == VERDICT_HONOURED)
        return setting_check(s, n, &c->rows);
    judge_unbuilt(c, s, n);
    return c->rows.n_errors == errors;
}

static const struct conf_node *section(struct config_file *c, enum setting_section s)
{
    return config_resolve(c, conf_get(c->root, setting_section_name(s)));
}

/* Names in accept_unenforced must be such keys: a misspelt one would accept nothing. One that is
 * enforced since stays harmless: who upgrades goes on with more than was asked for. */
static void check_accepted(struct config_file *c)
{
    const struct conf_node *accept = c->value[SETTING_WEIR_accept_unenforced];
    struct str one;

    for (uint32_t i = 0; setting_name(accept, i, &one); i++) {
        bool known = false, honoured = false;
        for (unsigned id = 0; id < SETTINGS && !known; id++) {
            const struct setting *s = setting_at((enum setting_id)id);
            if (!str_eq(one, s->key) && !str_eq(one, full_name(c, s)))
                continue;
            honoured |= s->verdict == VERDICT_HONOURED;
            known = s->verdict == VERDICT_ENFORCES ||
                    (s->verdict == VERDICT_HARMLESS && s->values.n);
        }
        if (!known && honoured)
            conf_note(&c->log, CONF_WARNING, accept,
                      "accept_unenforced: " STR_FMT " is enforced: it need not stand here",
                      STR_ARG(one));
        else if (!known)
            conf_note(&c->log, CONF_ERROR, accept,
                      "accept_unenforced: " STR_FMT " is no key that would be refused",
                      STR_ARG(one));
    }
}

/* Variables of the environment: types of honoured ones, and a mention of the others. */
static void judge_environment(struct config_file *c)
{
    for (unsigned id = 0; id < SETTINGS; id++) {
        const struct setting *s = setting_at((enum setting_id)id);
        if (s->section != SECTION_ENV)
            continue;
        struct str text = config_env(c, s->key);
        if (text.n == 0)
            continue;
        struct conf_node *n = arena_zalloc(&c->arena, sizeof *n);
        if (!n)
            return;
        *n = (struct conf_node){
            .kind = CONF_STR, .file = "environment", .text = text, .key = s->key, .size = 1};
        if (s->verdict == VERDICT_HARMLESS && !setting_is_default(s, n))
            list_add(c, &c->unbuilt, s->key);
        else if (s->verdict == VERDICT_HONOURED && setting_check(s, n, &c->log))
            c->value[id] = n;
    }
}

void config_judge_all(struct config_file *c, const struct config_row *rows, size_t n_rows)
{
    config_judge(c, SECTION_WEIR, section(c, SECTION_WEIR), &c->log, true);
    check_accepted(c);
    config_merge(c, rows, n_rows);
    config_judge(c, SECTION_TOP, c->root, &c->log, true);
    config_judge(c, SECTION_ROUTER, section(c, SECTION_ROUTER), &c->log, true);
    config_judge(c, SECTION_LITELLM, section(c, SECTION_LITELLM), &c->log, true);
    config_judge(c, SECTION_GENERAL, section(c, SECTION_GENERAL), &c->log, true);
    judge_environment(c);
}

/* ---- settings ---- */

enum setting_id config_first(const struct config_file *c, const enum setting_id *ids, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++)
        if (c->value[ids[i]])
            return ids[i];
    return ids[n - 1];
}

static const struct conf_node *value_or_default(const struct config_file *c, enum setting_id id,
                                                struct conf_node *dflt)
{
    if (c->value[id])
        return c->value[id];
    *dflt = (struct conf_node){.kind = CONF_STR, .text = setting_at(id)->dflt};
    return dflt->text.n ? dflt : NULL;
}

struct str config_text(const struct config_file *c, enum setting_id id)
{
    struct conf_node dflt;
    struct str text;

    return conf_text(NULL, value_or_default(c, id, &dflt), &text) ? text : (struct str){0};
}

bool config_bool(const struct config_file *c, enum setting_id id)
{
    struct conf_node dflt;
    bool truth;

    return conf_bool(NULL, value_or_default(c, id, &dflt), &truth) && truth;
}

uint32_t config_u32(const struct config_file *c, enum setting_id id)
{
    struct conf_node dflt;
    uint32_t v;

    return conf_u32(NULL, value_or_default(c, id, &dflt), &v) ? v : 0;
}

uint32_t config_node_ms(const struct conf_node *n)
{
    int64_t ms;

    return conf_scaled(NULL, n, 3, &ms) && ms > 0 && ms <= UINT32_MAX ? (uint32_t)ms : 0;
}

uint32_t config_ms(const struct config_file *c, enum setting_id id)
{
    struct conf_node dflt;

    return config_node_ms(value_or_default(c, id, &dflt));
}

struct str config_file_master_key(const struct config_file *f)
{
    return config_text(f,
                       CONFIG_FIRST(f, SETTING_GENERAL_master_key, SETTING_ENV_LITELLM_MASTER_KEY));
}
