/*
 * Writes docs/admin-api.md from proto/routes.def, the policies and the lists of fields: the same
 * tables that dispatch, authorise, validate and describe. `--check FILE` compares instead, for the
 * test.
 */

#include "api/fields.h"
#include "docs/page.h"

static const char intro[] =
    "# Management API\n"
    "\n"
    "<!-- Written by docs/gen_admin_api.c from proto/routes.def and controlplane/api/fields; do "
    "not "
    "edit. -->\n"
    "\n"
    "The routes of `weir-controlplane`, which are LiteLLM's. It listens on port 4001 of loopback; "
    "with\n"
    "`weir.forward_admin` a data plane passes them on, so that port 4000 has them as well. What "
    "the "
    "two\n"
    "planes both have (`/health/*`, `/v1/models`, `/model/info`) is the data plane's there. A "
    "running\n"
    "control plane shows the same at `/` and `/openapi.json`. Where it differs from LiteLLM:\n"
    "[differences.md](differences.md). `weirctl` asks these routes: "
    "[operations.md](operations.md).\n"
    "\n"
    "- A request's body is JSON. Lists and members are named below; what is not named is ignored, "
    "a\n"
    "  wrong type is 422. null is as good as absent, but in an update, where it clears.\n"
    "- The key goes into `Authorization: Bearer`, `x-litellm-api-key`, `api-key`, `x-api-key`,\n"
    "  `x-goog-api-key` or `Ocp-Apim-Subscription-Key`; the first that is there counts.\n"
    "- **audited**: each change has an entry of who, from where, before and after, in its own\n"
    "  transaction.\n"
    "- Errors have the status and the form of LiteLLM: `{\"error\": {...}}` or `{\"detail\": "
    "...}`. "
    "While\n"
    "  the database cannot be reached the answer is 503, within two seconds.\n"
    "- With data planes connected, `x-weir-applied: N/M` says how many of them have a change.\n"
    "\n"
    "## Who may call\n"
    "\n"
    "| | |\n"
    "| --- | --- |\n";

struct route {
    const char *method, *path, *policy, *handler, *sentence;
    enum { QUIET, AUDITED } audit;
    enum field_list input, output;
};

static const struct route routes[] = {
#define ADMIN_ROUTE(id, method, path, policy, lane, audit, envelope, input, output, handler,       \
                    sentence)                                                                      \
    {#method, path, #policy, #handler, sentence, audit, FIELDS_##input, FIELDS_##output},
#include "proto/routes.def"
};

static const struct {
    const char *name, *sentence;
} policies[] = {
#define POLICY(id, who, sentence) {#id, sentence},
#include "auth/policies.def"
};

static bool is_built(const struct route *r)
{
    return !str_eq(str_of(r->handler), STR("not_built"));
}

static bool has_members(enum field_list l)
{
    return l != FIELDS_NONE && l != FIELDS_ANYTHING;
}

/* ---- families: the first part of a path, whatever its version ---- */

static struct str family_of(const struct route *r)
{
    struct str rest = str_from(str_of(r->path), 1), name;

    do
        (void)str_cut(rest, '/', &name, &rest); /* the last one is all of it */
    while (rest.n && name.n == 2 && name.p[0] == 'v' && name.p[1] >= '1' && name.p[1] <= '9');
    return name.n && str_find(name, STR(".")) == SIZE_MAX ? name : STR("service");
}

static bool is_first_of_family(size_t at, bool built)
{
    for (size_t i = 0; i < at; i++)
        if (is_built(&routes[i]) == built && str_eq(family_of(&routes[i]), family_of(&routes[at])))
            return false;
    return is_built(&routes[at]) == built;
}

/* ---- the page ---- */

/* What a title is as a link of this page. */
static void put_list(FILE *f, enum field_list l)
{
    const char *title = field_list_title(l);

    if (!has_members(l)) {
        (void)fputs(l == FIELDS_NONE ? "" : "anything", f);
        return;
    }
    fprintf(f, "[%s](#", title);
    for (const char *p = title; *p; p++)
        (void)fputc(char_lower(*p), f);
    (void)fputc(')', f);
}

static void put_family(FILE *f, size_t at)
{
    struct str family = family_of(&routes[at]);

    fprintf(f,
            "\n### Routes: %s" STR_FMT
            "\n\n| | | who | takes | gives |\n| --- | --- | --- | --- | --- |\n",
            str_eq(family, STR("service")) ? "" : "/", STR_ARG(family));
    for (size_t i = at; i < ARRAY_LEN(routes); i++) {
        const struct route *r = &routes[i];
        if (!is_built(r) || !str_eq(family_of(r), family))
            continue;
        fprintf(f, "| %s `%s` | %s%s | %s | ", r->method, r->path, r->sentence,
                r->audit == AUDITED ? " **audited**" : "", r->policy);
        put_list(f, r->input);
        (void)fputs(" | ", f);
        put_list(f, r->output);
        (void)fputs(" |\n", f);
    }
}

static const char *type_name(const struct field *m)
{
    static const char *const names[] = {
#define X(id, json) [FIELD_##id] = json,
        FIELD_TYPES(X)
#undef X
    };

    return m->type == FIELD_TIME    ? "time"
           : m->type == FIELD_TEXTS ? "array of strings"
           : names[m->type][0]      ? names[m->type]
                                    : "any";
}

static void put_type(FILE *f, const struct field *m)
{
    if (m->type == FIELD_CHOICE) {
        struct str rest = str_of(m->values), one;
        bool more;
        do {
            more = str_cut(rest, '|', &one, &rest);
            fprintf(f, "`" STR_FMT "`%s", STR_ARG(one), more ? ", " : "");
        } while (more);
        return;
    }
    (void)fputs(type_name(m), f);
    if (has_members(m->sub)) {
        (void)fputs(m->type == FIELD_LIST ? " of " : ": ", f);
        put_list(f, m->sub);
    }
    if (m->has_min)
        fprintf(f, ", %g %s", m->min, m->has_max ? "to" : "and more");
    if (m->has_max)
        fprintf(f, " %g", m->max);
}

static void put_members(FILE *f, enum field_list l)
{
    const struct field *m;
    bool begun = false;

    fprintf(f, "\n### %s\n", field_list_title(l));
    for (size_t i = 0; (m = field_row(i)); i++) {
        if (m->list != l || m->name.n)
            continue;
        (void)fputs(begun ? ", " : "\nAll of ", f);
        put_list(f, m->sub);
        begun = true;
    }
    if (begun)
        (void)fputs(".\n", f);
    begun = false;
    for (size_t i = 0; (m = field_row(i)); i++) {
        if (m->list != l || !m->name.n)
            continue;
        if (!begun)
            (void)fputs("\n| | | |\n| --- | --- | --- |\n", f);
        begun = true;
        fprintf(f, "| `" STR_FMT "` | ", STR_ARG(m->name));
        put_type(f, m);
        fprintf(f, " | %s%s%s", m->sentence, m->required ? " Required." : "",
                m->admin ? " For a proxy_admin alone." : "");
        if (m->dflt)
            fprintf(f, " Default: `%s`.", m->dflt);
        (void)fputs(" |\n", f);
    }
}

/* Lists that built routes take or give, and those that these are made of. */
static void mark(bool *used, enum field_list l)
{
    const struct field *m;

    if (!has_members(l) || used[l])
        return;
    used[l] = true;
    for (size_t i = 0; (m = field_row(i)); i++)
        if (m->list == l)
            mark(used, m->sub);
}

static void put_not_built(FILE *f)
{
    (void)fputs("\n## Not built\n\nRoutes of LiteLLM that are answered 501, by family.\n\n"
                "| | |\n| --- | --- |\n",
                f);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!is_first_of_family(i, false))
            continue;
        struct str family = family_of(&routes[i]);
        fprintf(f, "| " STR_FMT " |", STR_ARG(family));
        for (size_t k = i; k < ARRAY_LEN(routes); k++)
            if (!is_built(&routes[k]) && str_eq(family_of(&routes[k]), family))
                fprintf(f, " %s `%s`", routes[k].method, routes[k].path);
        (void)fputs(" |\n", f);
    }
}

static void put_page(FILE *f)
{
    bool used[FIELD_LISTS] = {0};

    (void)fputs(intro, f);
    for (size_t i = 0; i < ARRAY_LEN(policies); i++)
        fprintf(f, "| %s | %s |\n", policies[i].name, policies[i].sentence);
    (void)fputs("\n## Routes\n", f);
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (is_first_of_family(i, true))
            put_family(f, i);
        if (is_built(&routes[i])) {
            mark(used, routes[i].input);
            mark(used, routes[i].output);
        }
    }
    (void)fputs("\n## Members\n", f);
    for (unsigned l = 0; l < FIELD_LISTS; l++)
        if (used[l])
            put_members(f, (enum field_list)l);
    put_not_built(f);
}

int main(int argc, char **argv)
{
    return page_main(argc, argv, put_page, "weir-docs-admin-api");
}
