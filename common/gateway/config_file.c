/* Files to one tree: include, environment_variables, os.environ/NAME, and the hash of it all. */

#include "common/gateway/config_file.h"

#include <unistd.h>

#include "common/crc32c.h"
#include "common/digest.h"
#include "common/log.h"

enum { ARENA_CEILING = 512 * 1024 * 1024, MAX_FILES = 100, MAX_NESTING = 10, MAX_TOLD_ROWS = 20 };

struct str config_environ(void *ctx, struct str name)
{
    char buf[256];

    (void)ctx;
    if (name.n == 0 || name.n >= sizeof buf)
        return (struct str){0};
    memcpy(buf, name.p, name.n);
    buf[name.n] = '\0';
    return str_of(getenv(buf));
}

struct str config_env(void *ctx, struct str name)
{
    const struct config_file *c = ctx;
    const struct conf_node *n = conf_get(c->variables, name);
    struct str text;

    return conf_text(NULL, n, &text) ? text : c->process_env(c->process_ctx, name);
}

static bool has_env(const struct conf_node *n)
{
    if (n->kind == CONF_STR)
        return n->source == CONF_OF_FILE && str_starts(n->text, CONFIG_ENV);
    CONF_FOREACH(n, it)
    if (has_env(it))
        return true;
    return false;
}

/* "true" and "false" of the environment are booleans, an unset variable is null. */
static void resolve_into(struct config_file *c, struct conf_node *to, const struct conf_node *from)
{
    *to = *from;
    if (from->kind == CONF_STR && from->source == CONF_OF_FILE &&
        str_starts(from->text, CONFIG_ENV)) {
        to->text = config_env(c, str_from(from->text, CONFIG_ENV.n));
        to->kind = to->text.n == 0                   ? CONF_NULL
                   : str_ieq(to->text, STR("true"))  ? CONF_BOOL
                   : str_ieq(to->text, STR("false")) ? CONF_BOOL
                                                     : CONF_STR;
        to->truth = to->kind == CONF_BOOL && to->text.n == 4;
    } else if (from->n && has_env(from)) {
        struct conf_node *children = arena_alloc(&c->arena, from->n * sizeof *children);
        if (!children)
            return;
        for (uint32_t i = 0; i < from->n; i++)
            resolve_into(c, &children[i], &from->first[i]);
        to->first = children;
    }
}

const struct conf_node *config_resolve(struct config_file *c, const struct conf_node *n)
{
    if (!n || !has_env(n))
        return n;
    struct conf_node *copy = arena_alloc(&c->arena, sizeof *copy);
    if (!copy)
        return n;
    resolve_into(c, copy, n);
    return copy;
}

const struct conf_node *config_node(struct config_file *c, const struct conf_node *like,
                                    enum conf_kind kind, const struct conf_node *children,
                                    uint32_t n)
{
    struct conf_node *made = arena_alloc(&c->arena, sizeof *made);

    if (!made)
        return like;
    *made = *like;
    made->kind = kind;
    made->first = children;
    made->n = n;
    made->size = 1;
    made->height = 0;
    for (uint32_t i = 0; i < n; i++) {
        made->size += children[i].size;
        made->height = MAX(made->height, children[i].height + 1);
    }
    return made;
}

const struct conf_node *config_under(struct config_file *c, const struct conf_node *own,
                                     const struct conf_node *under)
{
    if (!under || under->kind != CONF_MAP || under->n == 0)
        return own;
    if (!own || own->kind != CONF_MAP)
        return under;
    struct conf_node *children = arena_alloc(&c->arena, (own->n + under->n) * sizeof *children);
    uint32_t n = 0;
    if (!children)
        return own;
    CONF_FOREACH(own, it)
    children[n++] = *it;
    CONF_FOREACH(under, it)
    if (!conf_get(own, it->key))
        children[n++] = *it;
    return config_node(c, own, CONF_MAP, children, n);
}

/* What an included file says joins what is there: lists grow, other values are replaced. */
static const struct conf_node *merge_included(struct config_file *c, const struct conf_node *into,
                                              const struct conf_node *from)
{
    struct conf_node *children = arena_alloc(&c->arena, (into->n + from->n) * sizeof *children);
    uint32_t n = 0;

    if (!children)
        return into;
    CONF_FOREACH(into, it)
    {
        const struct conf_node *other = conf_get(from, it->key);
        if (!other) {
            children[n++] = *it;
        } else if (it->kind == CONF_LIST && other->kind == CONF_LIST) {
            struct conf_node *items =
                arena_alloc(&c->arena, (it->n + other->n + 1) * sizeof *items);
            if (!items)
                return into;
            if (it->n)
                memcpy(items, it->first, it->n * sizeof *items);
            if (other->n)
                memcpy(items + it->n, other->first, other->n * sizeof *items);
            children[n++] = *config_node(c, it, CONF_LIST, items, it->n + other->n);
        } else {
            children[n++] = *other;
        }
    }
    CONF_FOREACH(from, it)
    if (!conf_get(into, it->key))
        children[n++] = *it;
    return config_node(c, into, CONF_MAP, children, n);
}

static const struct conf_node *without(struct config_file *c, const struct conf_node *map,
                                       struct str key)
{
    struct conf_node *children = arena_alloc(&c->arena, map->n * sizeof *children + 1);
    uint32_t n = 0;

    if (!children)
        return map;
    CONF_FOREACH(map, it)
    if (!str_eq(it->key, key))
        children[n++] = *it;
    return config_node(c, map, CONF_MAP, children, n);
}

struct files { /* the chain of files being read, outermost first */
    const char *path[MAX_NESTING];
    unsigned depth, total;
};

/* `name` as seen from the file `from`: beside it unless absolute. */
static const char *beside(struct config_file *c, const char *from, struct str name)
{
    const char *slash = strrchr(from, '/');

    if ((name.n && name.p[0] == '/') || !slash)
        return arena_str(&c->arena, name).p;
    return arena_printf(&c->arena, "%.*s/" STR_FMT, (int)(slash - from), from, STR_ARG(name)).p;
}

/* The same file by whatever name. */
static bool is_same_file(const char *a, const char *b)
{
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    bool same = x && y && strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

static enum errc read_file(struct config_file *c, const struct conf_node **ret, const char *path,
                           struct files *files, struct err *e)
{
    const struct conf_node *root, *include;
    enum errc rc = conf_load(&root, &c->arena, path, e);
    struct str name;

    if (rc)
        return rc;
    if (root->kind == CONF_NULL)
        root = config_node(c, root, CONF_MAP, NULL, 0);
    if (root->kind != CONF_MAP)
        return err_set(e, ERRC_INVALID, 0, "%s:%u: a map of settings is wanted, not %s", path,
                       root->line, conf_kind_name(root->kind));
    include = conf_get(root, STR("include"));
    *ret = include ? without(c, root, STR("include")) : root;
    if (!include)
        return ERRC_OK;
    if (!setting_check(setting_at(SETTING_TOP_include), include, &c->log))
        return ERRC_OK;
    if (files->depth == MAX_NESTING)
        return err_set(e, ERRC_LIMIT, 0, "%s:%u: include: nested deeper than %d", path,
                       include->line, MAX_NESTING);
    files->path[files->depth++] = path;
    for (uint32_t i = 0; setting_name(include, i, &name); i++) {
        const char *other = beside(c, path, name);
        const struct conf_node *from;
        if (!other)
            return err_set(e, ERRC_NOMEM, 0, "%s", path);
        for (unsigned k = 0; k < files->depth; k++)
            if (is_same_file(files->path[k], other))
                return err_set(e, ERRC_INVALID, 0, "%s:%u: include: %s includes itself", path,
                               include->line, other);
        if (++files->total == MAX_FILES)
            return err_set(e, ERRC_LIMIT, 0, "%s:%u: include: more than %d files", path,
                           include->line, MAX_FILES);
        rc = read_file(c, &from, other, files, e);
        if (rc == ERRC_SYS)
            return err_wrap(e, "%s:%u: include", path, include->line);
        if (rc)
            return rc;
        *ret = merge_included(c, *ret, from);
    }
    files->depth--;
    return ERRC_OK;
}

struct str config_deployment_id(struct config_file *c, struct str model_name,
                                const struct conf_node *raw_params, struct str organization)
{
    struct jw w = jw_init(&c->arena);

    jw_arr(&w);
    jw_put_str(&w, model_name);
    jw_put_raw(&w, conf_json(&c->arena, raw_params));
    jw_put_str(&w, organization);
    jw_end(&w);
    return sha256_hex(&c->arena, jw_finish(&w));
}

static enum errc read_files(struct config_file *c, struct err *e)
{
    struct files files = {.total = 0};
    enum errc rc = read_file(c, &c->root, c->path, &files, e);

    if (rc)
        return rc;
    c->hash = sha256_hex(&c->arena, conf_json(&c->arena, c->root));
    /* Their own os.environ/NAME mean the process's environment: c->variables is not set yet. */
    c->variables = config_resolve(c, conf_get(c->root, STR("environment_variables")));
    return arena_ok(&c->arena) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "%s", c->path);
}

enum errc config_file_read_with(struct config_file *f, const char *path,
                                const struct config_row *rows, size_t n_rows, config_env_fn env,
                                void *ctx, struct err *e)
{
    arena_init(&f->arena, NULL, ARENA_CEILING);
    f->log.arena = &f->arena;
    f->rows.arena = &f->arena;
    f->path = arena_str(&f->arena, str_of(path)).p;
    f->process_env = env;
    f->process_ctx = ctx;
    if (!f->path)
        return err_set(e, ERRC_NOMEM, 0, "%s", path);
    enum errc rc = read_files(f, e);
    if (!rc)
        config_judge_all(f, rows, n_rows);
    return rc;
}

enum errc config_file_read(struct config_file *f, const char *path, config_env_fn env, void *ctx,
                           struct err *e)
{
    return config_file_read_with(f, path, NULL, 0, env, ctx, e);
}

void config_file_merge(struct config_file *f, const struct config_file *of,
                       const struct config_row *rows, size_t n_rows)
{
    *f = (struct config_file){.path = of->path,
                              .hash = of->hash,
                              .root = of->root,
                              .is_told = true,
                              .process_env = of->process_env,
                              .process_ctx = of->process_ctx,
                              .variables = of->variables};
    arena_init(&f->arena, NULL, ARENA_CEILING);
    f->log.arena = &f->arena;
    f->rows.arena = &f->arena;
    config_judge_all(f, rows, n_rows);
}

void config_file_deinit(struct config_file *f)
{
    arena_reset(&f->arena);
}

void config_file_mention_unbuilt(struct config_file *f)
{
    if (f->unbuilt.n)
        conf_note(&f->log, CONF_WARNING, NULL, "without effect in this release: " STR_FMT,
                  STR_ARG(f->unbuilt));
    if (f->accepted.n)
        conf_note(&f->log, CONF_WARNING, NULL, "not enforced, as accepted: " STR_FMT,
                  STR_ARG(f->accepted));
}

uint32_t config_file_notes(const struct config_file *f)
{
    const struct conf_log *const logs[] = {&f->log, &f->rows};
    uint32_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(logs); i++)
        for (const struct conf_note *n = logs[i]->first; n; n = n->next)
            sum = crc32c(sum, n->text.p, n->text.n);
    return sum;
}

/* What is wrong with rows stops nothing: each was left out. */
static void tell_rows(const struct config_file *f)
{
    unsigned told = 0, all = 0;

    for (const struct conf_note *n = f->rows.first; n; n = n->next, all++)
        if (told < MAX_TOLD_ROWS) {
            log_warn("config_row", "what=\"" STR_FMT "\"", STR_ARG(n->text));
            told++;
        }
    if (all > told)
        log_warn("config_row", "what=\"%u more\"", all - told);
}

enum errc config_file_verdict(const struct config_file *f, struct err *e)
{
    for (const struct conf_note *n = f->log.first; n; n = n->next) {
        if (n->severity == CONF_WARNING && !f->is_told)
            log_warn("config", "what=\"" STR_FMT "\"", STR_ARG(n->text));
        if (n->severity == CONF_WARNING)
            continue;
        if (f->log.n_errors > 1)
            return err_set(e, ERRC_INVALID, 0, STR_FMT " (and %u more: see --check)",
                           STR_ARG(n->text), f->log.n_errors - 1);
        return err_set(e, ERRC_INVALID, 0, STR_FMT, STR_ARG(n->text));
    }
    if (!f->is_told)
        tell_rows(f);
    return ERRC_OK;
}
