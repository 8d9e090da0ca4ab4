/* `--check`: the verdict on a file, the models it makes, and what memory they may take. */

#include "common/proc.h"

#include "link/config.h"

static void print_notes(const struct config *c, FILE *out)
{
    static const char *const severities[] = {[CONF_ERROR] = "error", [CONF_WARNING] = "warning"};

    for (const struct conf_note *n = c->file.log.first; n; n = n->next)
        (void)fprintf(out, "%s: " STR_FMT "\n", severities[n->severity], STR_ARG(n->text));
}

static void print_deployment(const struct config_deployment *d, FILE *out)
{
    (void)fprintf(out, "  " STR_FMT "  ->  " STR_FMT "/" STR_FMT, STR_ARG(d->group),
                  STR_ARG(d->target.provider), STR_ARG(d->target.model));
    if (d->flags & SNAP_MOCK)
        (void)fprintf(out, "  answered here\n");
    else if (d->target.unsupported.n)
        (void)fprintf(out, "  not served: " STR_FMT "\n", STR_ARG(d->target.unsupported));
    else if (d->missing_key.n)
        (void)fprintf(out, " @ " STR_FMT "  no key: " STR_FMT "\n", STR_ARG(d->target.api_base),
                      STR_ARG(d->missing_key));
    else
        (void)fprintf(out, " @ " STR_FMT "  key found\n", STR_ARG(d->target.api_base));
}

/* "native: chat, embeddings; translated: messages as responses", of the APIs of clients. */
static void print_apis(const struct config_deployment *d, FILE *out)
{
    static const char *const headings[] = {"    native:", "; translated:"};

    if (d->flags & SNAP_MOCK || d->target.unsupported.n)
        return;
    for (unsigned translated = 0; translated < ARRAY_LEN(headings); translated++) {
        const char *before = headings[translated];
        for (enum api api = 0; api < API_COUNT; api++) {
            enum api via = via_of(&d->via, d->kind, api);
            if (via == API_COUNT || (via != api) != translated)
                continue;
            (void)fprintf(out, "%s " STR_FMT, before, STR_ARG(api_name(api)));
            if (translated)
                (void)fprintf(out, " as " STR_FMT, STR_ARG(api_name(via)));
            before = ",";
        }
    }
    (void)fprintf(out, "\n");
}

static void print_plane(const struct config *c, FILE *out)
{
    for (unsigned i = 0; i < c->plane.n_addresses; i++)
        (void)fprintf(out, "control plane: %s%s\n", c->plane.addresses[i],
                      join_wants_tls(&c->plane) ? " (certificates of WEIR_JOIN)" : "");
}

static void print_memory(const struct config *c, FILE *out)
{
    uint32_t workers = config_workers(c) ? config_workers(c) : proc_cpus();
    uint64_t each = config_worker_memory(c) >> 20;

    (void)fprintf(out, "memory: at most %llu MiB a worker, %llu MiB with %u of them\n",
                  (unsigned long long)each, (unsigned long long)each * workers, workers);
}

int config_check(const char *path, FILE *out)
{
    AUTO_FREE(config) struct config *c = NULL;
    struct err e = {0};

    enum errc rc = config_read(&c, path, config_environ, NULL, &e);
    if (rc) { /* a file that cannot be opened has no verdict */
        (void)fprintf(rc == ERRC_SYS ? stderr : out, "error: %s\n", e.msg);
        return 1;
    }
    print_notes(c, out);
    (void)fprintf(out, "models: %u\n", c->n_deployments);
    for (uint32_t i = 0; i < c->n_deployments; i++) {
        print_deployment(&c->deployments[i], out);
        print_apis(&c->deployments[i], out);
    }
    for (uint32_t i = 0; i < c->n_aliases; i++)
        (void)fprintf(out, "  " STR_FMT "  ->  " STR_FMT "\n", STR_ARG(c->aliases[i].name),
                      STR_ARG(c->aliases[i].target));
    print_plane(c, out);
    print_memory(c, out);
    (void)fprintf(out, "%s: %s\n", path, c->file.log.n_errors ? "refused" : "accepted");
    return c->file.log.n_errors ? 1 : 0;
}
