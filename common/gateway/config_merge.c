/*
 * Rows of the database under and beside config.yaml, as LiteLLM 1.110 merges them:
 *
 *   settings      a key of the file belongs to the file; others come from the row, null is none
 *   variables     of the file, then of the row (also in upper case), then of the process
 *   credentials   a row replaces the file's of the same name
 *   models        rows stand behind the file's
 *
 * All of it only with store_model_in_db, of the file, the environment or the database itself. Where
 * LiteLLM lets a row reach what the process was started with, this does not: `guarded` below. A row
 * that cannot be used is left out by itself.
 */

#include "common/gateway/config_file.h"

struct merge {
    struct config_file *f;
    const struct config_row *rows;
    size_t n;
};

/* ---- the top level ---- */

/* The root with `value` as its member `key`. */
static void put_top(struct config_file *f, struct str key, const struct conf_node *value)
{
    const struct conf_node *root = f->root;
    struct conf_node *children = arena_alloc(&f->arena, (root->n + 1) * sizeof *children);
    uint32_t n = 0;

    if (!children)
        return;
    CONF_FOREACH(root, it)
    if (!str_eq(it->key, key))
        children[n++] = *it;
    children[n] = *value;
    children[n++].key = key;
    f->root = config_node(f, root, CONF_MAP, children, n);
}

static const char *place_of(struct config_file *f, const struct config_row *r)
{
    static const char *const kinds[] = {"model", "credential", "setting"};
    struct str name = r->kind == ROW_MODEL ? r->id : r->name;
    const char *place =
        arena_printf(&f->arena, "database %s %.*s", kinds[r->kind], (int)MIN(name.n, 100), name.p)
            .p;

    return place ? place : "database";
}

/* A map of the row's JSON; NULL with a note. */
static const struct conf_node *map_of(struct config_file *f, const struct config_row *r,
                                      struct str json)
{
    const struct conf_node *n;
    struct conf_node at = {.file = place_of(f, r)};
    bool others = r->kind == ROW_MODEL && !r->by_proxy_admin;
    struct err e = {0};

    if (conf_parse_json(&n, &f->arena, at.file, others ? CONF_OF_OTHERS : CONF_OF_ADMIN, json, &e))
        conf_note(&f->rows, CONF_ERROR, NULL, "%s", e.msg);
    else if (n->kind != CONF_MAP)
        conf_note(&f->rows, CONF_ERROR, &at, "a map is wanted, not %s", conf_kind_name(n->kind));
    else
        return n;
    return NULL;
}

static bool holds_env(const struct conf_node *n)
{
    if (n->kind == CONF_STR)
        return str_starts(n->text, CONFIG_ENV);
    CONF_FOREACH(n, it)
    if (holds_env(it))
        return true;
    return false;
}

/* ---- settings ---- */

/* What decides who gets in, or where the process itself stands, is the file's to say. */
static const struct str guarded[] = {
    STR_INIT("master_key"),
    STR_INIT("database_url"),
    STR_INIT("litellm_key_header_name"),
};

static bool is_guarded(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(guarded); i++)
        if (str_eq(guarded[i], key))
            return true;
    return false;
}

static bool may_join(struct config_file *f, enum setting_section section,
                     const struct conf_node *own, const struct conf_node *it)
{
    if (it->kind == CONF_NULL || conf_get(own, it->key))
        return false; /* the file's key is the file's */
    if (is_guarded(it->key)) {
        conf_note(&f->rows, CONF_WARNING, it, STR_FMT ": only config.yaml sets it; it is left out",
                  STR_ARG(it->key));
        return false;
    }
    if (holds_env(it)) {
        conf_note(&f->rows, CONF_ERROR, it,
                  STR_FMT ": os.environ/ is for config.yaml; it is left out", STR_ARG(it->key));
        return false;
    }
    return config_takes(f, section, it);
}

static void merge_section(struct config_file *f, enum setting_section section,
                          const struct config_row *r)
{
    struct str name = setting_section_name(section);
    const struct conf_node *row = map_of(f, r, r->value), *own = conf_get(f->root, name);
    uint32_t n = own ? own->n : 0;

    if (!row || (own && own->kind != CONF_MAP && own->kind != CONF_NULL))
        return; /* of another kind: the judge says so */
    struct conf_node *children = arena_alloc(&f->arena, (n + row->n + 1) * sizeof *children);
    if (!children)
        return;
    if (n)
        memcpy(children, own->first, n * sizeof *children);
    CONF_FOREACH(row, it)
    if (may_join(f, section, own, it))
        children[n++] = *it;
    if (n > (own ? own->n : 0))
        put_top(f, name, config_node(f, own ? own : row, CONF_MAP, children, n));
}

/* Variables of the settings table are read at start, by LiteLLM as here: a row comes too late. */
static bool is_startup_variable(struct str name)
{
    return setting_find(SECTION_ENV, name) != SETTINGS || str_starts(name, STR("WEIR_"));
}

static struct str upper(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    for (size_t i = 0; p && i < s.n; i++)
        p[i] = s.p[i] >= 'a' && s.p[i] <= 'z' ? (char)(s.p[i] - 0x20) : s.p[i];
    return p ? (struct str){p, s.n} : s;
}

static void merge_variables(struct config_file *f, const struct config_row *r)
{
    const struct conf_node *row = map_of(f, r, r->value), *own = f->variables;
    struct conf_node *children, *grown;
    uint32_t n = 0;

    if (!row)
        return;
    children = arena_alloc(&f->arena, (2 * row->n + 1) * sizeof *children);
    grown = children;
    if (!children)
        return;
    CONF_FOREACH(row, it)
    {
        struct str big = upper(&f->arena, it->key);
        if (it->kind == CONF_NULL)
            continue;
        const char *why = it->kind == CONF_LIST || it->kind == CONF_MAP ? "text is wanted"
                          : is_startup_variable(big)                    ? "it is read at start"
                                                                        : NULL;
        if (why) {
            conf_note(&f->rows, CONF_WARNING, it, STR_FMT ": %s; it is left out", STR_ARG(it->key),
                      why);
            continue;
        }
        grown[n++] = *it;
        if (!str_eq(big, it->key) && !conf_get(row, big)) {
            grown[n] = *it;
            grown[n++].key = big;
        }
    }
    f->variables = config_under(f, own, config_node(f, row, CONF_MAP, children, n));
}

static void merge_setting(struct config_file *f, const struct config_row *r)
{
    static const enum setting_section sections[] = {SECTION_GENERAL, SECTION_LITELLM,
                                                    SECTION_ROUTER};

    if (str_eq(r->name, STR("environment_variables")))
        merge_variables(f, r);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (str_eq(r->name, setting_section_name(sections[i])))
            merge_section(f, sections[i], r);
    /* other rows are LiteLLM's own book-keeping */
}

/* ---- credentials, models ---- */

struct list { /* grows in the arena */
    struct conf_node *items;
    uint32_t n;
};

/* What the file has, with room for one more of each row. */
static bool list_begin(struct merge *m, struct list *l, const struct conf_node *own)
{
    uint32_t n = own ? own->n : 0;

    l->items = arena_zalloc(&m->f->arena, (n + m->n + 1) * sizeof *l->items);
    if (!l->items)
        return false;
    if (n)
        memcpy(l->items, own->first, n * sizeof *l->items);
    l->n = n;
    return true;
}

static void list_end(struct merge *m, const struct list *l, struct str key,
                     const struct conf_node *own)
{
    const struct conf_node row = {.file = "database", .source = CONF_OF_ADMIN};

    if (l->n > 0)
        put_top(m->f, key, config_node(m->f, own ? own : &row, CONF_LIST, l->items, l->n));
}

static struct conf_node named(const struct conf_node *n, const char *key)
{
    struct conf_node copy = *n;

    copy.key = str_of(key);
    return copy;
}

static struct conf_node text_node(const struct conf_node *like, const char *key, struct str text)
{
    return (struct conf_node){.kind = CONF_STR,
                              .source = like->source,
                              .file = like->file,
                              .text = text,
                              .size = 1,
                              .key = str_of(key)};
}

static struct conf_node bool_node(const struct conf_node *like, const char *key, bool truth)
{
    struct conf_node n = text_node(like, key, truth ? STR("true") : STR("false"));

    n.kind = CONF_BOOL;
    n.truth = truth;
    return n;
}

/* A map of these members in place of item `at`. */
static void put_item(struct merge *m, struct list *l, uint32_t at, const struct conf_node *like,
                     const struct conf_node *members, uint32_t n)
{
    struct conf_node *copy = arena_alloc(&m->f->arena, n * sizeof *copy);

    if (!copy)
        return;
    memcpy(copy, members, n * sizeof *copy);
    struct conf_node anonymous = *like;
    anonymous.key = (struct str){0};
    l->items[at] = *config_node(m->f, &anonymous, CONF_MAP, copy, n);
    l->n = MAX(l->n, at + 1);
}

static uint32_t credential_at(const struct list *l, struct str name)
{
    struct str one;
    uint32_t i = 0;

    while (i < l->n && !(conf_text(NULL, conf_get(&l->items[i], STR("credential_name")), &one) &&
                         str_eq(one, name)))
        i++;
    return i;
}

static void merge_credentials(struct merge *m)
{
    const struct conf_node *own = conf_get(m->f->root, STR("credential_list"));
    struct list l;

    if ((own && own->kind != CONF_LIST && own->kind != CONF_NULL) || !list_begin(m, &l, own))
        return;
    for (size_t i = 0; i < m->n; i++) {
        const struct config_row *r = &m->rows[i];
        const struct conf_node *values;
        if (r->kind != ROW_CREDENTIAL || (values = map_of(m->f, r, r->value)) == NULL)
            continue;
        const struct conf_node members[] = {text_node(values, "credential_name", r->name),
                                            named(values, "credential_values")};
        put_item(m, &l, credential_at(&l, r->name), values, members, ARRAY_LEN(members));
    }
    list_end(m, &l, STR("credential_list"), own);
}

/* model_info of a row says which row it is, whatever else it says. */
static const struct conf_node *info_of(struct merge *m, const struct config_row *r,
                                       const struct conf_node *info)
{
    struct conf_node *own = arena_alloc(&m->f->arena, 3 * sizeof *own);

    if (!own)
        return info;
    own[0] = text_node(info, "id", r->id);
    own[1] = bool_node(info, "db_model", true);
    own[2] = bool_node(info, "blocked", r->blocked);
    return config_under(m->f, config_node(m->f, info, CONF_MAP, own, 3), info);
}

static void merge_model(struct merge *m, struct list *l, const struct config_row *r)
{
    const struct conf_node *params = map_of(m->f, r, r->value);
    const struct conf_node *info = r->info.n ? map_of(m->f, r, r->info) : NULL;
    const struct conf_node none = {.kind = CONF_MAP,
                                   .file = params ? params->file : NULL,
                                   .source = params ? params->source : CONF_OF_OTHERS,
                                   .size = 1};

    if (!params || (r->info.n && !info))
        return;
    const struct conf_node *members = (const struct conf_node[]){
        text_node(params, "model_name", r->name), named(params, "litellm_params"),
        named(info_of(m, r, info ? info : &none), "model_info")};
    put_item(m, l, l->n, params, members, 3);
}

/* general_settings.supported_db_objects: a list without models keeps theirs away. */
static bool takes_models(const struct config_file *f)
{
    const struct conf_node *kinds =
        conf_get(conf_get(f->root, STR("general_settings")), STR("supported_db_objects"));

    if (!kinds || kinds->kind != CONF_LIST)
        return true;
    CONF_FOREACH(kinds, it)
    if (str_eq(it->text, STR("models")))
        return true;
    return false;
}

static void merge_models(struct merge *m)
{
    const struct conf_node *own = conf_get(m->f->root, STR("model_list"));
    struct list l;

    if ((own && own->kind != CONF_LIST && own->kind != CONF_NULL) || !takes_models(m->f) ||
        !list_begin(m, &l, own))
        return;
    for (size_t i = 0; i < m->n; i++)
        if (m->rows[i].kind == ROW_MODEL)
            merge_model(m, &l, &m->rows[i]);
    list_end(m, &l, STR("model_list"), own);
}

/* ---- the whole ---- */

static bool is_true(const struct conf_node *n)
{
    bool truth;

    return conf_bool(NULL, n, &truth) && truth;
}

/* store_model_in_db, of whoever says so. */
static bool takes_rows(const struct merge *m)
{
    const struct str key = STR("store_model_in_db");
    const struct conf_node *general = conf_get(m->f->root, STR("general_settings"));
    const struct conf_node *row;

    if (is_true(config_resolve(m->f, conf_get(general, key))) ||
        str_ieq(config_env(m->f, STR("STORE_MODEL_IN_DB")), STR("true")))
        return true;
    for (size_t i = 0; i < m->n; i++)
        if (m->rows[i].kind == ROW_SETTING && str_eq(m->rows[i].name, STR("general_settings")) &&
            (row = map_of(m->f, &m->rows[i], m->rows[i].value)) != NULL &&
            is_true(conf_get(row, key)))
            return true;
    return false;
}

void config_merge(struct config_file *f, const struct config_row *rows, size_t n_rows)
{
    struct merge m = {f, rows, n_rows};

    if (n_rows == 0 || !takes_rows(&m))
        return;
    for (size_t i = 0; i < n_rows; i++)
        if (rows[i].kind == ROW_SETTING)
            merge_setting(f, &rows[i]);
    merge_credentials(&m);
    merge_models(&m);
}
