#include "cli/command.h"

#include "cli/members.h"
#include "cli/show.h"

enum {
    ROWS_MAX = 1000, /* of a list, unless all are asked for */
    ROWS_ALL = 1000000,
};

static const struct command commands[] = {
#define COMMAND(group, verb, method, path, take, member, preset, result, columns, sentence)        \
    {STR_INIT(group), STR_INIT(verb), #method, path,    TAKE_##take,                               \
     member,          preset,         result,  columns, sentence},
#include "cli/commands.def"
};

static const struct command_group groups[] = {
#define GROUP(name, sentence) {STR_INIT(name), sentence},
#include "cli/commands.def"
};

size_t command_count(void)
{
    return ARRAY_LEN(commands);
}

const struct command *command_at(size_t i)
{
    return &commands[i];
}

size_t command_group_count(void)
{
    return ARRAY_LEN(groups);
}

const struct command_group *command_group_at(size_t i)
{
    return &groups[i];
}

const struct command_group *command_group_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(groups); i++)
        if (str_eq(groups[i].name, name))
            return &groups[i];
    return NULL;
}

const struct command *command_find(struct str group, struct str verb)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (str_eq(commands[i].group, group) &&
            (!commands[i].verb.n || str_eq(commands[i].verb, verb.n ? verb : STR("list"))))
            return &commands[i];
    return NULL;
}

const struct field *command_field(const struct command *cmd, struct field_walk *w)
{
    enum field_list list;
    const struct field *f;

    (void)members_of_route(cmd->method, cmd->path, &list); /* anything then: none by name */
    do {
        f = field_next(w, list);
    } while (f && str_eq(f->name, str_of(cmd->member)));
    return f;
}

/* ---- help ---- */

static const char *const argument[] = {
    [TAKE_NONE] = "",
    [TAKE_ONE] = " ID",
    [TAKE_MANY] = " ID...",
    [TAKE_PATH] = " ID",
};

void command_help(FILE *f, const struct command *cmd)
{
    struct field_walk w = {0};
    const struct field *m = command_field(cmd, &w);

    (void)fprintf(f, "weirctl " STR_FMT " " STR_FMT "%s%s\n\n%s\n", STR_ARG(cmd->group),
                  STR_ARG(cmd->verb), argument[cmd->take], m ? " [NAME=VALUE...]" : "",
                  cmd->sentence);
    (void)fprintf(f, "Asks %s %s.\n%s", cmd->method, cmd->path, m ? "\n" : "");
    for (; m; m = command_field(cmd, &w))
        (void)fprintf(f, "  " STR_FMT "=%s%s\n      %s\n", STR_ARG(m->name), member_form(m),
                      m->required ? "  (required)" : "", m->sentence);
}

/* ---- the request ---- */

struct request {
    yyjson_mut_doc *doc;
    yyjson_mut_val *members;
    struct str path;
};

/* The members behind '?'. */
static struct str as_query(struct arena *a, struct str path, yyjson_mut_val *members)
{
    yyjson_mut_val *k, *v, *one;
    size_t i, n, j, m;
    char sep = memchr(path.p, '?', path.n) ? '&' : '?';

    yyjson_mut_obj_foreach(members, i, n, k, v)
    {
        bool is_list = yyjson_mut_is_arr(v);
        yyjson_mut_val *list = is_list ? v : NULL;
        m = is_list ? yyjson_mut_arr_size(list) : 1;
        one = is_list ? yyjson_mut_arr_get_first(list) : v;
        for (j = 0; j < m; j++, one = is_list ? one->next : one) {
            size_t len = 0;
            char *raw = yyjson_mut_is_str(one) ? NULL : yyjson_mut_val_write(one, 0, &len);
            struct str text = raw ? (struct str){raw, len}
                                  : (struct str){yyjson_mut_get_str(one), yyjson_mut_get_len(one)};
            struct str value = client_escaped(a, text);
            path = arena_printf(a, STR_FMT "%c%s=" STR_FMT, STR_ARG(path), sep,
                                yyjson_mut_get_str(k), STR_ARG(value));
            free(raw);
            sep = '&';
        }
    }
    return path;
}

static struct str filled_path(struct arena *a, const char *pattern, struct str value)
{
    struct str before, rest = str_of(pattern), name, after;

    if (!str_cut(rest, '{', &before, &rest))
        return before;
    (void)str_cut(rest, '}', &name, &after);
    value = client_escaped(a, value);
    return arena_printf(a, STR_FMT STR_FMT STR_FMT, STR_ARG(before), STR_ARG(value),
                        STR_ARG(after));
}

static bool is_assignment(const char *arg)
{
    return strchr(arg, '=') != NULL;
}

/* Subjects and name=value of the command line; the failure is told. */
static enum cli_exit request_fill(struct cli *c, const struct command *cmd, struct request *q,
                                  char *const *args, int n_args)
{
    struct str preset = str_of(cmd->preset), one;
    yyjson_mut_val *list = cmd->take == TAKE_MANY ? yyjson_mut_arr(q->doc) : NULL;
    enum field_list fields;
    int n_subjects = 0;
    struct err e;

    (void)members_of_route(cmd->method, cmd->path, &fields); /* anything then */
    q->path = str_of(cmd->path);
    while (preset.n) {
        (void)str_cut(preset, ' ', &one, &preset);
        if (member_put(q->doc, q->members, fields, one, &e))
            return cli_fail(CLI_USAGE, "%s", e.msg);
    }
    for (int i = 0; i < n_args; i++) {
        bool is_first_of_one = (cmd->take == TAKE_ONE || cmd->take == TAKE_PATH) && !n_subjects;
        if (is_first_of_one || (cmd->take == TAKE_MANY && !is_assignment(args[i]))) {
            n_subjects++;
            if (cmd->take == TAKE_PATH)
                q->path = filled_path(&c->arena, cmd->path, str_of(args[i]));
            else if (list)
                (void)yyjson_mut_arr_add_strcpy(q->doc, list, args[i]);
            else
                (void)yyjson_mut_obj_add_strcpy(q->doc, q->members, cmd->member, args[i]);
        } else if (member_put(q->doc, q->members, fields, str_of(args[i]), &e)) {
            return cli_fail(CLI_USAGE, "%s; see weirctl " STR_FMT " " STR_FMT " --help", e.msg,
                            STR_ARG(cmd->group), STR_ARG(cmd->verb));
        }
    }
    if (list && n_subjects)
        (void)yyjson_mut_obj_add_val(q->doc, q->members, cmd->member, list);
    bool lacks = cmd->take == TAKE_MANY ? !n_subjects && !yyjson_mut_obj_size(q->members)
                                        : cmd->take != TAKE_NONE && !n_subjects;
    return lacks ? cli_fail(CLI_USAGE, "%s is needed; see weirctl " STR_FMT " " STR_FMT " --help",
                            argument[cmd->take] + 1, STR_ARG(cmd->group), STR_ARG(cmd->verb))
                 : CLI_OK;
}

static enum cli_exit request_send(struct cli *c, const struct command *cmd, struct request *q,
                                  yyjson_doc **ret_doc)
{
    if (str_eq(str_of(cmd->method), STR("GET")))
        return cli_call(c, cmd->method, as_query(&c->arena, q->path, q->members), NULL, ret_doc);
    yyjson_mut_doc_set_root(q->doc, q->members);
    return cli_call(c, cmd->method, q->path, q->doc, ret_doc);
}

/* ---- the reply ---- */

struct rows {
    struct show_row *row;
    size_t n, cap, max;
};

static bool rows_add(struct rows *rows, yyjson_val *v, yyjson_val *parent)
{
    if (!v || rows->n == rows->max)
        return true;
    if (rows->n == rows->cap) {
        size_t cap = MAX(2 * rows->cap, (size_t)64);
        struct show_row *more = reallocarray(rows->row, cap, sizeof *more);
        if (!more)
            return false;
        rows->row = more;
        rows->cap = cap;
    }
    rows->row[rows->n++] = (struct show_row){v, parent};
    return true;
}

/* What stands behind `path` below `v`, each element of a list. False without memory. */
static bool rows_collect(struct rows *rows, yyjson_val *v, yyjson_val *parent, struct str path)
{
    struct str name, rest;
    yyjson_val *one;
    size_t i, n;

    if (!path.n && !yyjson_is_arr(v))
        return rows_add(rows, v, parent);
    (void)str_cut(path, '/', &name, &rest); /* the last one is all of it */
    if (path.n && !str_eq(name, STR("*")))
        return rows_collect(rows, yyjson_obj_getn(v, name.p, name.n), v, rest);
    yyjson_arr_foreach(v, i, n, one)
    {
        if (!(path.n ? rows_collect(rows, one, parent, rest) : rows_add(rows, one, parent)))
            return false;
    }
    return true;
}

/* The number of the next page; 0: this was the last. */
static uint64_t next_page(yyjson_val *root)
{
    yyjson_val *page = yyjson_obj_get(root, "current_page");
    uint64_t at = yyjson_get_uint(page ? page : yyjson_obj_get(root, "page"));
    uint64_t last = yyjson_get_uint(yyjson_obj_get(root, "total_pages"));

    return at && at < last ? at + 1 : 0;
}

static void put_json_rows(struct cli *c, const struct rows *rows)
{
    (void)fputs("[", stdout);
    for (size_t i = 0; i < rows->n; i++) {
        struct str text = cli_json(&c->arena, rows->row[i].v, false);
        (void)printf("%s\n" STR_FMT, i ? "," : "", STR_ARG(text));
    }
    (void)fputs(rows->n ? "\n]\n" : "]\n", stdout);
}

enum { PAGES_MAX = 10000 };

/* A list page by page, until its end or as much as is wanted. */
static enum cli_exit run_list(struct cli *c, const struct command *cmd, struct request *q)
{
    struct rows rows = {.max = c->all ? ROWS_ALL : ROWS_MAX};
    yyjson_doc **docs = calloc(PAGES_MAX, sizeof *docs);
    enum cli_exit rc = docs ? CLI_OK : cli_fail(CLI_REFUSED, "no memory");
    uint64_t page = 1;
    size_t n_docs = 0;

    while (rc == CLI_OK && page && n_docs < PAGES_MAX && rows.n < rows.max) {
        if (n_docs) {
            (void)yyjson_mut_obj_remove_key(q->members, "page");
            (void)yyjson_mut_obj_add_uint(q->doc, q->members, "page", page);
        }
        rc = request_send(c, cmd, q, &docs[n_docs]);
        if (rc)
            break;
        yyjson_val *root = yyjson_doc_get_root(docs[n_docs++]);
        if (!rows_collect(&rows, root, NULL, str_of(cmd->result)))
            rc = cli_fail(CLI_REFUSED, "no memory");
        page = next_page(root);
    }
    if (rc == CLI_OK && c->json)
        put_json_rows(c, &rows);
    else if (rc == CLI_OK)
        show_table(stdout, &c->arena, rows.row, rows.n, cmd->columns);
    if (rc == CLI_OK && page && !c->json)
        (void)fprintf(stderr, "The first %zu are shown; --all shows the others.\n", rows.n);
    for (size_t i = 0; i < n_docs; i++)
        yyjson_doc_free(docs[i]);
    free(docs);
    free(rows.row);
    return rc;
}

static enum cli_exit run_object(struct cli *c, const struct command *cmd, struct request *q)
{
    yyjson_doc *doc = NULL;
    enum cli_exit rc = request_send(c, cmd, q, &doc);

    if (rc)
        return rc;
    yyjson_val *v = cli_at(yyjson_doc_get_root(doc), cmd->result);
    if (!v) {
        rc = cli_fail(CLI_REFUSED, "there is none");
    } else if (c->json) {
        struct str text = cli_json(&c->arena, v, true);
        (void)printf(STR_FMT "\n", STR_ARG(text));
    } else {
        show_object(stdout, &c->arena, v);
    }
    yyjson_doc_free(doc);
    return rc;
}

enum cli_exit command_ask(struct cli *c, const struct command *cmd, char *const *args, int n_args,
                          yyjson_doc **ret_doc)
{
    struct request q = {.doc = yyjson_mut_doc_new(NULL)};
    enum cli_exit rc;

    q.members = yyjson_mut_obj(q.doc);
    rc = q.members ? request_fill(c, cmd, &q, args, n_args) : cli_fail(CLI_REFUSED, "no memory");
    if (rc == CLI_OK)
        rc = request_send(c, cmd, &q, ret_doc);
    yyjson_mut_doc_free(q.doc);
    return rc;
}

enum cli_exit command_run(struct cli *c, const struct command *cmd, char *const *args, int n_args)
{
    struct request q = {.doc = yyjson_mut_doc_new(NULL)};
    enum cli_exit rc;

    q.members = yyjson_mut_obj(q.doc);
    rc = q.members ? request_fill(c, cmd, &q, args, n_args) : cli_fail(CLI_REFUSED, "no memory");
    if (rc == CLI_OK)
        rc = cmd->columns[0] ? run_list(c, cmd, &q) : run_object(c, cmd, &q);
    yyjson_mut_doc_free(q.doc);
    return rc;
}
