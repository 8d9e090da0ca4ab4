/*
 * weirctl apply: objects as a file declares them. Each is read, compared (diff.c), shown; then made
 * or changed. What is not declared is left alone; nothing is deleted. A second run finds nothing to
 * do.
 *
 *   file ─▶ conf ─▶ checked member by member against api/fields ─▶ one plan ─▶ shown ─▶ asked ─▶
 * done
 */

#include <errno.h>
#include <unistd.h>

#include "common/conf.h"

#include "cli/cli.h"
#include "cli/diff.h"
#include "cli/members.h"
#include "cli/show.h"

struct kind {
    struct str name;
    const char *one, *id;
    const char *read_method, *read_path, *read_key, *read_preset, *result;
    const char *make_method, *make_path;
    const char *change_method, *change_path, *handle, *handle_from;
};

static const struct kind kinds[] = {
#define KIND(name, one, id, read_method, read_path, key, preset, result, make_method, make_path,   \
             change_method, change_path, handle, handle_from)                                      \
    {STR_INIT(name), one,          id,        #read_method,   read_path,   key,    preset,         \
     result,         #make_method, make_path, #change_method, change_path, handle, handle_from},
#include "cli/kinds.def"
};

/* Sent, and never shown again: what stands there cannot be compared. */
static const char *const write_only[] = {
    "duration",
    "password",
    "auto_create_key",
    "send_invite_email",
    "key",
    "key_type",
    "team_member_budget",
    "team_member_budget_duration",
    "team_member_rpm_limit",
    "team_member_tpm_limit",
    "team_member_key_duration",
};

/* Where members are kept that an object's row does not have itself. */
static const char *const places[] = {"", "metadata", "litellm_budget_table"};

enum action { ACTION_KEEP, ACTION_MAKE, ACTION_CHANGE };

struct step {
    const struct kind *kind;
    enum action action;
    struct str id;
    yyjson_val *want;  /* of plan.doc */
    yyjson_doc *reply; /* owned; NULL: there is none */
    yyjson_val *is;    /* of reply */
    struct diff diff;
    struct str kept_back; /* members that differ and can only be given when it is made */
};

struct plan {
    struct cli *c;
    yyjson_doc *doc; /* the file */
    struct step *step;
    size_t n, n_changes;
    bool is_partial; /* something differs that cannot be changed */
};

/* ---- the file ---- */

static enum errc read_file(struct cli *c, const struct conf_node **ret_root, struct err *e)
{
    size_t n = 0, got;
    char *text;

    if (!str_eq(str_of(c->file), STR("-")))
        return conf_load(ret_root, &c->arena, c->file, e);
    text = arena_alloc(&c->arena, CONF_MAX_BYTES + 1);
    if (!text)
        return err_set(e, ERRC_NOMEM, 0, "standard input");
    while (n <= CONF_MAX_BYTES && (got = fread(text + n, 1, CONF_MAX_BYTES + 1 - n, stdin)) > 0)
        n += got;
    return n > CONF_MAX_BYTES ? err_set(e, ERRC_LIMIT, 0, "standard input is too large")
                              : conf_parse(ret_root, &c->arena, "-", (struct str){text, n}, e);
}

static const struct kind *kind_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static const struct conf_node *conf_at(const struct conf_node *n, const char *dotted)
{
    struct str rest = str_of(dotted), name;

    while (rest.n) {
        (void)str_cut(rest, '.', &name, &rest); /* the last one is all of it */
        n = conf_get(n, name);
    }
    return n;
}

/* Every member is one of the routes that make and change it; and it says which object it is. */
static enum cli_exit check_entry(const struct kind *k, const struct conf_node *entry)
{
    enum field_list make, change;
    const struct conf_node *id = conf_at(entry, k->id);

    (void)members_of_route(k->make_method, k->make_path, &make);
    (void)members_of_route(k->change_method, k->change_path, &change); /* both are rows */
    if (entry->kind != CONF_MAP)
        return cli_fail(CLI_USAGE, "%s:%u: a %s is a map of members", entry->file, entry->line,
                        k->one);
    CONF_FOREACH(entry, it)
    {
        if (!field_find(make, it->key) && !field_find(change, it->key))
            return cli_fail(CLI_USAGE, "%s:%u: a %s has no member \"" STR_FMT "\"", it->file,
                            it->key_line, k->one, STR_ARG(it->key));
    }
    if (!id || id->kind != CONF_STR || !id->text.n)
        return cli_fail(CLI_USAGE, "%s:%u: a %s needs %s, a text", entry->file, entry->line, k->one,
                        k->id);
    return CLI_OK;
}

static enum cli_exit check_file(const struct conf_node *root, size_t *ret_n)
{
    *ret_n = 0;
    if (root->kind != CONF_MAP)
        return cli_fail(CLI_USAGE,
                        "%s: a map of models, budgets, organizations, users, teams, keys",
                        root->file);
    CONF_FOREACH(root, section)
    {
        const struct kind *k = kind_find(section->key);
        if (!k)
            return cli_fail(CLI_USAGE,
                            "%s:%u: \"" STR_FMT "\" is none of models, budgets, organizations, "
                            "users, teams, keys",
                            section->file, section->key_line, STR_ARG(section->key));
        if (section->kind != CONF_LIST && section->kind != CONF_NULL)
            return cli_fail(CLI_USAGE, "%s:%u: " STR_FMT " is a list", section->file,
                            section->key_line, STR_ARG(k->name));
        CONF_FOREACH(section, entry)
        {
            enum cli_exit rc = check_entry(k, entry);
            if (rc)
                return rc;
            ++*ret_n;
        }
    }
    return CLI_OK;
}

/* ---- what there is ---- */

/* The value of "a.b" below `v`. */
static yyjson_val *dotted(yyjson_val *v, const char *path)
{
    struct str rest = str_of(path), name;

    while (rest.n) {
        (void)str_cut(rest, '.', &name, &rest); /* the last one is all of it */
        v = yyjson_obj_getn(v, name.p, name.n);
    }
    return v;
}

static enum cli_exit step_read(struct plan *p, struct step *s)
{
    const struct kind *k = s->kind;
    struct arena *a = &p->c->arena;
    struct str path = str_of(k->read_path);
    yyjson_mut_doc *body = NULL;
    enum cli_exit rc;

    if (str_eq(str_of(k->read_method), STR("GET"))) {
        struct str id = client_escaped(a, s->id);
        path = arena_printf(a, STR_FMT "?%s=" STR_FMT "%s%s", STR_ARG(path), k->read_key,
                            STR_ARG(id), k->read_preset[0] ? "&" : "", k->read_preset);
    } else {
        body = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *root = yyjson_mut_obj(body), *list = yyjson_mut_arr(body);
        yyjson_mut_doc_set_root(body, root);
        (void)yyjson_mut_arr_add_strn(body, list, s->id.p, s->id.n);
        (void)yyjson_mut_obj_add_val(body, root, k->read_key, list);
    }
    rc = cli_find(p->c, k->read_method, path, body, &s->reply);
    yyjson_mut_doc_free(body);
    if (rc == CLI_OK && s->reply)
        s->is = cli_at(yyjson_doc_get_root(s->reply), k->result);
    /* a list of names may be one of parts of names */
    if (s->is && !str_eq(cli_text(dotted(s->is, k->id)), s->id))
        s->is = NULL;
    return rc;
}

/* What there is of a declared member, wherever it is kept; NULL: nothing. */
static yyjson_val *current(yyjson_val *is, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        yyjson_val *in = places[i][0] ? yyjson_obj_get(is, places[i]) : is;
        yyjson_val *v = yyjson_obj_get(in, name);
        if (v && !yyjson_is_null(v))
            return v;
    }
    return NULL;
}

static bool is_write_only(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(write_only); i++)
        if (str_eq(str_of(write_only[i]), str_of(name)))
            return true;
    return false;
}

/* A secret is left out of what is shown, or masked. */
static bool is_hidden(const struct difference *d)
{
    static const char *const parts[] = {"key", "secret", "token", "password", "credential"};

    if (d->is)
        return yyjson_is_str(d->is) && str_find(cli_text(d->is), STR("****")) != SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (str_starts(d->path, STR("litellm_params.")) &&
            str_find(d->path, str_of(parts[i])) != SIZE_MAX)
            return true;
    return false;
}

static void drop_hidden(struct diff *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->n; i++)
        if (!is_hidden(&d->list[i]))
            d->list[kept++] = d->list[i];
    d->n = kept;
}

static void step_compare(struct plan *p, struct step *s)
{
    enum field_list change;
    yyjson_val *name, *want;
    size_t i, n;

    (void)members_of_route(s->kind->change_method, s->kind->change_path, &change); /* a row */
    s->diff.arena = &p->c->arena;
    yyjson_obj_foreach(s->want, i, n, name, want)
    {
        const char *text = yyjson_get_str(name);
        yyjson_val *is = current(s->is, text);
        if (is_write_only(text) && !p->c->force)
            continue;
        if (field_find(change, str_of(text)))
            diff_add(&s->diff, str_of(text), want, is);
        else if (!diff_within(want, is) && !is_write_only(text))
            s->kept_back = arena_printf(&p->c->arena, STR_FMT "%s%s", STR_ARG(s->kept_back),
                                        s->kept_back.n ? ", " : "", text);
    }
    if (!p->c->force)
        drop_hidden(&s->diff);
    s->action = s->diff.n ? ACTION_CHANGE : ACTION_KEEP;
}

static enum cli_exit step_plan(struct plan *p, struct step *s)
{
    enum cli_exit rc = step_read(p, s);

    if (rc)
        return rc;
    if (s->is)
        step_compare(p, s);
    else
        s->action = ACTION_MAKE;
    p->n_changes += s->action != ACTION_KEEP;
    p->is_partial |= s->kept_back.n != 0;
    return CLI_OK;
}

/* ---- shown ---- */

static void show_value(struct plan *p, yyjson_val *v)
{
    struct str text = show_cell(&p->c->arena, v);

    (void)fwrite(text.p, 1, text.n, stdout);
}

/* As it is declared, but for secrets. */
static void show_new(struct plan *p, yyjson_val *want)
{
    struct diff all = {.arena = &p->c->arena};
    yyjson_doc *empty = yyjson_read("{}", 2, 0);
    yyjson_val *name, *v;
    size_t i, n;

    yyjson_obj_foreach(want, i, n, name, v)
    {
        diff_add(&all, str_of(yyjson_get_str(name)), v,
                 yyjson_is_obj(v) ? yyjson_doc_get_root(empty) : NULL);
    }
    for (i = 0; i < all.n; i++) {
        (void)printf("    " STR_FMT ": ", STR_ARG(all.list[i].path));
        if (is_hidden(&all.list[i]) || str_eq(all.list[i].path, STR("key")) ||
            str_eq(all.list[i].path, STR("password")))
            (void)fputs("****", stdout);
        else
            show_value(p, all.list[i].want);
        (void)fputc('\n', stdout);
    }
    yyjson_doc_free(empty);
}

static void step_show(struct plan *p, const struct step *s)
{
    struct str id = show_harmless(&p->c->arena, s->id);

    if (s->action != ACTION_KEEP)
        (void)printf("%c %s " STR_FMT "\n", s->action == ACTION_MAKE ? '+' : '~', s->kind->one,
                     STR_ARG(id));
    if (s->action == ACTION_MAKE)
        show_new(p, s->want);
    for (size_t i = 0; i < s->diff.n; i++) {
        const struct difference *d = &s->diff.list[i];
        (void)printf("    " STR_FMT ": ", STR_ARG(d->path));
        show_value(p, d->is);
        (void)fputs(" -> ", stdout);
        if (is_hidden(d))
            (void)fputs("****", stdout);
        else
            show_value(p, d->want);
        (void)fputc('\n', stdout);
    }
    if (s->kept_back.n)
        (void)printf("! %s " STR_FMT "\n    " STR_FMT
                     ": differs, and can only be given when it is made\n",
                     s->kind->one, STR_ARG(id), STR_ARG(s->kept_back));
}

/* ---- done ---- */

/* Members that differ, whole: a route changes what stands in its body. */
static void put_changes(yyjson_mut_doc *doc, yyjson_mut_val *out, const struct step *s)
{
    for (size_t i = 0; i < s->diff.n; i++) {
        struct str top, rest;
        (void)str_cut(s->diff.list[i].path, '.', &top, &rest); /* without one: all of it */
        yyjson_val *want = yyjson_obj_getn(s->want, top.p, top.n);
        if (!yyjson_mut_obj_getn(out, top.p, top.n))
            (void)yyjson_mut_obj_add(out, yyjson_mut_strncpy(doc, top.p, top.n),
                                     yyjson_val_mut_copy(doc, want));
    }
}

static struct str change_path(struct plan *p, const struct step *s)
{
    struct str before, rest, name, after, id = client_escaped(&p->c->arena, s->id);

    if (!str_cut(str_of(s->kind->change_path), '{', &before, &rest))
        return before;
    (void)str_cut(rest, '}', &name, &after);
    return arena_printf(&p->c->arena, STR_FMT STR_FMT STR_FMT, STR_ARG(before), STR_ARG(id),
                        STR_ARG(after));
}

static enum cli_exit step_do(struct plan *p, struct step *s)
{
    const struct kind *k = s->kind;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *body =
        s->action == ACTION_MAKE ? yyjson_val_mut_copy(doc, s->want) : yyjson_mut_obj(doc);
    yyjson_doc *reply = NULL;
    enum cli_exit rc;

    yyjson_mut_doc_set_root(doc, body);
    if (s->action == ACTION_MAKE) {
        if (str_eq(k->name, STR("users")) && !yyjson_mut_obj_get(body, "auto_create_key"))
            (void)yyjson_mut_obj_add_bool(doc, body, "auto_create_key", false);
        rc = cli_call(p->c, k->make_method, str_of(k->make_path), doc, &reply);
    } else {
        put_changes(doc, body, s);
        if (k->handle[0]) {
            struct str handle = cli_text(dotted(s->is, k->handle_from));
            (void)yyjson_mut_obj_remove_key(body, k->handle);
            (void)yyjson_mut_obj_add_strn(doc, body, k->handle, handle.p, handle.n);
        }
        rc = cli_call(p->c, k->change_method, change_path(p, s), doc, &reply);
    }
    if (rc) {
        (void)fprintf(stderr, "That was %s " STR_FMT ".\n", k->one, STR_ARG(s->id));
    } else if (s->action == ACTION_MAKE && str_eq(k->name, STR("keys")) && !p->c->json) {
        struct str key = show_cell(&p->c->arena, yyjson_obj_get(yyjson_doc_get_root(reply), "key"));
        (void)printf("key " STR_FMT " is " STR_FMT "\n", STR_ARG(s->id), STR_ARG(key));
    }
    if (!rc && p->c->json) {
        struct str text = cli_json(&p->c->arena, yyjson_doc_get_root(reply), false);
        (void)printf("{\"kind\":\"%s\",\"action\":\"%s\",\"reply\":" STR_FMT "}\n", k->one,
                     s->action == ACTION_MAKE ? "made" : "changed", STR_ARG(text));
    }
    yyjson_doc_free(reply);
    yyjson_mut_doc_free(doc);
    return rc;
}

static bool agreed(const struct plan *p)
{
    char line[16];

    (void)printf("Make these changes? [y/N] ");
    (void)fflush(stdout);
    return p->c->yes || (fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y'));
}

static enum cli_exit plan_run(struct plan *p)
{
    enum cli_exit rc = CLI_OK;

    for (size_t i = 0; i < p->n && !rc; i++)
        rc = step_plan(p, &p->step[i]);
    if (rc)
        return rc;
    for (size_t i = 0; i < p->n && !p->c->json; i++)
        step_show(p, &p->step[i]);
    if (!p->c->json)
        (void)printf("%zu to make or change, %zu as they are.\n", p->n_changes,
                     p->n - p->n_changes);
    if (p->c->dry_run || !p->n_changes)
        return p->n_changes ? CLI_DIFFERS : p->is_partial ? CLI_REFUSED : CLI_OK;
    if (!p->c->yes && (!isatty(STDIN_FILENO) || str_eq(str_of(p->c->file), STR("-"))))
        return cli_fail(CLI_USAGE, "nobody can be asked here; say --yes to make these changes");
    if (!p->c->yes && !agreed(p))
        return cli_fail(CLI_REFUSED, "nothing was changed");
    for (size_t i = 0; i < p->n && !rc; i++)
        if (p->step[i].action != ACTION_KEEP)
            rc = step_do(p, &p->step[i]);
    return rc ? rc : p->is_partial ? CLI_REFUSED : CLI_OK;
}

/* Steps in the order of kinds, whatever the file's. */
static void plan_fill(struct plan *p)
{
    yyjson_val *root = yyjson_doc_get_root(p->doc), *entry;
    size_t i, n;

    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        yyjson_val *section = yyjson_obj_getn(root, kinds[k].name.p, kinds[k].name.n);
        yyjson_arr_foreach(section, i, n, entry)
        {
            p->step[p->n++] = (struct step){
                .kind = &kinds[k], .want = entry, .id = cli_text(dotted(entry, kinds[k].id))};
        }
    }
}

enum cli_exit cli_apply(struct cli *c)
{
    const struct conf_node *root;
    struct plan p = {.c = c};
    struct err e;
    size_t n;

    if (read_file(c, &root, &e))
        return cli_fail(CLI_USAGE, "%s", e.msg);
    enum cli_exit rc = check_file(root, &n);
    if (rc)
        return rc;
    struct str json = conf_json(&c->arena, root);
    p.doc = yyjson_read(json.n ? json.p : "", json.n, 0);
    p.step = arena_zalloc(&c->arena, (n + 1) * sizeof *p.step);
    if (!p.doc || !p.step) {
        rc = cli_fail(CLI_REFUSED, "%s: too large", c->file);
    } else {
        plan_fill(&p);
        rc = plan_run(&p);
    }
    for (size_t i = 0; i < p.n; i++)
        yyjson_doc_free(p.step[i].reply);
    yyjson_doc_free(p.doc);
    return rc;
}
