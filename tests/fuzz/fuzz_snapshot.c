/*
 * A generation with any bytes changed: whatever snapshot_check() lets pass can be read. Input is a
 * list of changes, an offset and a value of four bytes each, to a generation built from a small
 * configuration.
 */

#include <unistd.h>

#include "link/config.h"
#include "snapshot/build.h"
#include "snapshot/view.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char yaml[] =
    "model_list:\n"
    "- {model_name: a, litellm_params: {model: openai/o3, temperature: 1, extra_body: {x: 1}}}\n"
    "- {model_name: a, litellm_params: {model: openai/b, rpm: 3}, model_info: {id: two}}\n"
    "- {model_name: 'v/*:*', litellm_params: {model: anthropic/*}}\n"
    "- {model_name: '*', litellm_params: {model: openai/*}}\n"
    "router_settings: {model_group_alias: {b: a, c: v/x:y}}\n";

static struct snapshot *original;
static volatile unsigned result; /* keeps the reads */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char path[] = "/tmp/weir-fuzz-snapshot-XXXXXX";
    struct config *c = NULL;
    struct slots *slots = slots_new();
    struct err e;
    int fd = mkstemp(path), generation;

    (void)argc;
    (void)argv;
    ASSERT(slots && fd >= 0 && write(fd, yaml, sizeof yaml - 1) == (ssize_t)sizeof yaml - 1);
    ASSERT(config_read(&c, path, config_environ, NULL, &e) == ERRC_OK && c->file.log.n_errors == 0);
    ASSERT(snapshot_build(&generation, c, 1, slots, &e) == ERRC_OK);
    ASSERT(snapshot_open(&original, generation, &e) == ERRC_OK);
    (void)unlink(path);
    (void)close(fd);
    (void)close(generation);
    slots = slots_free(slots);
    c = config_free(c);
    return 0;
}

/* Every byte counts: reading them is the test. */
static unsigned sum(struct str s)
{
    unsigned v = 0;

    for (size_t i = 0; i < s.n; i++)
        v += (unsigned char)s.p[i];
    return v;
}

static unsigned walk_deployments(const struct snapshot *s)
{
    unsigned v = 0;

    for (uint32_t i = 0; i < s->h->deployments.n; i++) {
        const struct snap_deployment *d = SNAP_AT(s, s->h->deployments, struct snap_deployment, i);
        if (!d)
            continue;
        v += snap_via(s, d, STR("gpt-4o"), API_MESSAGES, i % 2) +
             snap_model(s, d, STR("gpt-4o")).max_output;
        v += sum(snap_str(s, d->id)) + sum(snap_str(s, d->headers)) + sum(snap_str(s, d->model));
        for (unsigned k = 0; k < API_COUNT; k++)
            v += sum(snap_str(s, d->path[k].before)) + sum(snap_str(s, d->path[k].after));
        for (uint32_t k = 0; k < d->edits.n; k++) {
            const struct snap_edit *ed = SNAP_AT(s, d->edits, struct snap_edit, k);
            if (ed)
                v += sum(snap_str(s, ed->a)) + sum(snap_str(s, ed->b));
        }
    }
    return v;
}

static unsigned walk_names(const struct snapshot *s)
{
    static const char *const names[] = {"a", "b", "c", "two", "v/q:r", "openai/b", "none", ""};
    unsigned v = 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct snap_found f;
        if (!snap_find(s, str_of(names[i]), &f))
            continue;
        for (unsigned k = 0; k < f.n_captured; k++)
            v += sum(f.captured[k]);
        for (uint32_t k = 0; f.group && k < f.group->members.n; k++) {
            const struct snap_member *m = SNAP_AT(s, f.group->members, struct snap_member, k);
            v += m ? m->weight : 0;
        }
        v += f.deployment ? f.deployment->mode : 0;
    }
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *copy = malloc(original->size);
    struct snapshot s;

    ASSERT(copy);
    memcpy(copy, original->base, original->size);
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint32_t at;
        memcpy(&at, data + i, sizeof at);
        /* Half of the changes go to the header, where they matter most. */
        at %= (uint32_t)(at & 1 ? sizeof(struct snap_header) : original->size) - 3;
        memcpy(copy + at, data + i + 4, 4);
    }
    if (snapshot_check(&s, copy, original->size, NULL) == ERRC_OK) {
        const struct price *p = snap_price(&s, STR("openai"), STR("gpt-4o"));
        result = walk_deployments(&s) + walk_names(&s) + (p ? p->max_input_tokens : 0);
    }
    free(copy);
    return 0;
}
