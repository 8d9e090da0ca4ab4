/* A request and what became of it, told to people. */

#include "common/num.h"

#include "cli/cli.h"
#include "cli/show.h"

enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...)
{
    va_list args;

    (void)fflush(stdout);
    (void)fputs("weirctl: ", stderr);
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return code;
}

yyjson_val *cli_at(yyjson_val *v, const char *path)
{
    struct str rest = str_of(path), name;
    uint32_t index;

    while (v && rest.n) {
        (void)str_cut(rest, '/', &name, &rest); /* the last one is all of it */
        v = num_u32(name, &index) ? yyjson_arr_get(v, index) : yyjson_obj_getn(v, name.p, name.n);
    }
    return v;
}

struct str cli_json(struct arena *a, const yyjson_val *v, bool pretty)
{
    size_t n = 0;
    char *text = yyjson_val_write(v, pretty ? YYJSON_WRITE_PRETTY_TWO_SPACES : 0, &n);
    struct str out = arena_str(a, (struct str){text, text ? n : 0});

    free(text);
    return out;
}

/* ---- refusals ---- */

/* The list of a 422: where, and why not. */
static struct str faults(struct arena *a, yyjson_val *list)
{
    struct str out = {0};
    yyjson_val *one;
    size_t i, n;

    yyjson_arr_foreach(list, i, n, one)
    {
        yyjson_val *loc = yyjson_obj_get(one, "loc"), *name = yyjson_arr_get_last(loc);
        struct str where = yyjson_is_str(name) ? cli_text(name) : STR("body");
        struct str why = cli_text(yyjson_obj_get(one, "msg"));
        out = arena_printf(a, STR_FMT "%s" STR_FMT ": " STR_FMT, STR_ARG(out), i ? "; " : "",
                           STR_ARG(where), STR_ARG(why));
    }
    return out;
}

/* Both envelopes (controlplane/api/reply.h); else the body itself. */
static struct str reason(struct arena *a, const struct client_reply *r)
{
    static const char *const places[] = {"error/message", "detail/error", "detail/message",
                                         "detail", "error"};
    yyjson_doc *doc = yyjson_read(r->body.n ? r->body.p : "", r->body.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct str out = {0};

    for (size_t i = 0; i < ARRAY_LEN(places) && !out.n; i++)
        out = arena_str(a, cli_text(cli_at(root, places[i])));
    if (!out.n)
        out = faults(a, yyjson_obj_get(root, "detail"));
    yyjson_doc_free(doc);
    return out.n ? out : (struct str){r->body.p, MIN(r->body.n, (size_t)300)};
}

static const struct {
    unsigned status;
    const char *text;
} advice[] = {
    {401, "Set LITELLM_MASTER_KEY or WEIR_API_KEY, or give --key-file FILE."},
    {403, "The key may not do this: use the master key, or that of an admin."},
    {501, "This release does not have it."},
    {503, "Is the database reachable? The log of weir-controlplane says more."},
};

enum cli_exit cli_refused(struct cli *c, const struct client_reply *r)
{
    struct str why = show_harmless(&c->arena, reason(&c->arena, r));

    (void)cli_fail(CLI_REFUSED, STR_FMT " (%u)", STR_ARG(why), r->status);
    for (size_t i = 0; i < ARRAY_LEN(advice); i++)
        if (advice[i].status == r->status)
            (void)fprintf(stderr, "%s\n", advice[i].text);
    return CLI_REFUSED;
}

/* ---- requests ---- */

static enum cli_exit call(struct cli *c, const char *method, struct str path,
                          const yyjson_mut_doc *body, struct client_reply *ret)
{
    char *text = NULL;
    size_t n = 0;
    struct err e;

    if (body && !(text = yyjson_mut_write(body, 0, &n)))
        return cli_fail(CLI_REFUSED, "no memory");
    enum errc rc = client_call(c->client, &c->arena, method, path, (struct str){text, n}, ret, &e);
    free(text);
    if (!rc)
        return CLI_OK;
    (void)cli_fail(CLI_UNREACHABLE, "%s: %s", client_url(c->client), e.msg);
    if (rc == ERRC_CLOSED)
        (void)fputs("Does weir-controlplane run there? Say where with --url or WEIR_URL.\n",
                    stderr);
    return rc == ERRC_INVALID ? CLI_USAGE : CLI_UNREACHABLE;
}

static enum cli_exit take(struct cli *c, const struct client_reply *r, yyjson_doc **ret_doc)
{
    if (r->status < 200 || r->status > 299)
        return cli_refused(c, r);
    *ret_doc = yyjson_read(r->body.n ? r->body.p : "null", r->body.n ? r->body.n : 4, 0);
    if (!*ret_doc)
        return cli_fail(CLI_UNREACHABLE, "%s: the answer is no JSON: is this Weir?",
                        client_url(c->client));
    if (r->applied.n && !c->json)
        (void)fprintf(stderr, "Data planes that have it: " STR_FMT "\n", STR_ARG(r->applied));
    return CLI_OK;
}

enum cli_exit cli_call(struct cli *c, const char *method, struct str path,
                       const yyjson_mut_doc *body, yyjson_doc **ret_doc)
{
    struct client_reply r;
    enum cli_exit rc = call(c, method, path, body, &r);

    return rc ? rc : take(c, &r, ret_doc);
}

enum cli_exit cli_find(struct cli *c, const char *method, struct str path,
                       const yyjson_mut_doc *body, yyjson_doc **ret_doc)
{
    struct client_reply r;
    enum cli_exit rc = call(c, method, path, body, &r);

    *ret_doc = NULL;
    return rc || r.status == 404 ? rc : take(c, &r, ret_doc);
}
