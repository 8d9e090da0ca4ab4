/* Look-ups in a mapped generation. What the file says is checked on opening as far as whole arrays
 * go; single references are clamped by snap_str() where they are used. */

#include "snapshot/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/gateway/capability.h"
#include "common/gateway/price_map.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

enum errc snapshot_check(struct snapshot *s, const void *base, size_t n, struct err *e)
{
    const struct snap_header *h = base;

    *s = (struct snapshot){.base = base, .size = n, .h = h, .refs = 1};
    if (n < sizeof *h || h->magic != SNAP_MAGIC)
        return err_set(e, ERRC_INVALID, 0, "generation: not one");
    if (h->version != SNAP_VERSION || h->header_size != sizeof *h)
        return err_set(e, ERRC_INVALID, 0, "generation: version %u, this program reads %u",
                       h->version, SNAP_VERSION);
    if (h->total_size != n || n > UINT32_MAX)
        return err_set(e, ERRC_INVALID, 0, "generation: %zu bytes, %llu expected", n,
                       (unsigned long long)h->total_size);
    if (!snap_array_fits(s, h->names, sizeof(struct snap_name)) ||
        !snap_array_fits(s, h->patterns, sizeof(struct snap_pattern)) ||
        !snap_array_fits(s, h->groups, sizeof(struct snap_group)) ||
        !snap_array_fits(s, h->deployments, sizeof(struct snap_deployment)) ||
        !snap_array_fits(s, h->origins, sizeof(struct snap_origin)) ||
        !snap_array_fits(s, h->prices, sizeof(struct snap_priced_model)) ||
        !snap_index_fits(s, h->name_index, h->names.n) ||
        !snap_index_fits(s, h->price_index, h->prices.n))
        return err_set(e, ERRC_INVALID, 0, "generation: an array outside the file");
    const struct snap_ref lists[] = {h->settings.allowed_ips,    h->settings.allowed_routes,
                                     h->settings.admin_routes,   h->settings.enforced_params,
                                     h->settings.service_params, h->settings.end_user_headers};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (!snap_array_fits(s, lists[i], sizeof(struct snap_ref)))
            return err_set(e, ERRC_INVALID, 0, "generation: settings outside the file");
    for (uint32_t i = 0; i < h->groups.n; i++) {
        const struct snap_group *g = SNAP_AT(s, h->groups, struct snap_group, i);
        if (!g || !snap_array_fits(s, g->members, sizeof(struct snap_member)) ||
            !snap_array_fits(s, g->access_groups, sizeof(struct snap_ref)))
            return err_set(e, ERRC_INVALID, 0, "generation: members outside the file");
    }
    for (uint32_t i = 0; i < h->deployments.n; i++) {
        const struct snap_deployment *d = SNAP_AT(s, h->deployments, struct snap_deployment, i);
        if (!d || !snap_array_fits(s, d->edits, sizeof(struct snap_edit)))
            return err_set(e, ERRC_INVALID, 0, "generation: edits outside the file");
    }
    return ERRC_OK;
}

enum errc snapshot_map(struct snapshot **ret_s, int fd, size_t least, const char *what,
                       struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_set(e, ERRC_SYS, errno, "%s: fstat", what);
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS)
        return err_set(e, ERRC_INVALID, 0, "%s: not sealed", what);
    if (st.st_size < (off_t)least)
        return err_set(e, ERRC_INVALID, 0, "%s: not one", what);
    struct snapshot *s = malloc(sizeof *s);
    if (!s)
        return err_set(e, ERRC_NOMEM, 0, "%s: a mapping of it", what);
    void *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        free(s);
        return err_set(e, ERRC_SYS, errno, "%s: mmap", what);
    }
    (void)madvise(base, (size_t)st.st_size, MADV_DONTDUMP); /* secrets; a core would have them */
    *s = (struct snapshot){.base = base, .size = (size_t)st.st_size, .refs = 1};
    *ret_s = s;
    return ERRC_OK;
}

enum errc snapshot_open(struct snapshot **ret_s, int fd, struct err *e)
{
    struct snapshot *s;
    enum errc rc = snapshot_map(&s, fd, sizeof(struct snap_header), "generation", e);

    if (rc)
        return rc;
    rc = snapshot_check(s, s->base, s->size, e);
    if (rc)
        return (void)snapshot_unref(s), rc;
    *ret_s = s;
    return ERRC_OK;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    s->refs++;
    return s;
}

struct snapshot *snapshot_unref(struct snapshot *s)
{
    if (!s || --s->refs)
        return NULL;
    (void)munmap((void *)(uintptr_t)s->base, s->size); /* it was mapped so */
    free(s);
    return NULL;
}

/* The entry of `name`, or NULL. */
static const struct snap_name *name_get(const struct snapshot *s, struct str name)
{
    struct snap_ref index = s->h->name_index;
    uint32_t hash = snap_hash(name.p, name.n);

    for (uint32_t i = 0; i < index.n; i++) {
        const uint32_t *at = SNAP_AT(s, index, uint32_t, (hash + i) & (index.n - 1));
        const struct snap_name *e = at ? SNAP_AT(s, s->h->names, struct snap_name, *at) : NULL;
        if (!e)
            return NULL;
        if (e->hash == hash && str_eq(snap_str(s, e->name), name))
            return e;
    }
    return NULL;
}

/*
 * Fills captured[] when `pattern` matches. Each star takes as much as it can, the first one first,
 * as a regular expression's (.*) would: the pieces between stars are therefore placed from the end
 * on, each as far right as it goes.
 */
static bool pattern_match(struct str pattern, struct str name, struct snap_found *f)
{
    struct str piece[SNAP_STARS + 1], rest = pattern;
    unsigned n = 0;

    while (n < SNAP_STARS && str_cut(rest, '*', &piece[n], &rest))
        n++;
    piece[n] = rest;
    if (n == 0 || memchr(rest.p ? rest.p : "", '*', rest.n) || !str_starts(name, piece[0]))
        return false;
    if (name.n < piece[0].n + piece[n].n || !str_ends(name, piece[n]))
        return false;
    size_t end = name.n - piece[n].n; /* where the star before the last placed piece ends */
    for (unsigned k = n - 1; k > 0; k--) {
        size_t at = end - piece[k].n;
        if (end < piece[0].n + piece[k].n)
            return false;
        while (piece[k].n && memcmp(name.p + at, piece[k].p, piece[k].n) != 0)
            if (at-- == piece[0].n)
                return false;
        f->captured[k] = (struct str){name.p + at + piece[k].n, end - at - piece[k].n};
        end = at;
    }
    f->captured[0] = (struct str){name.p + piece[0].n, end - piece[0].n};
    f->n_captured = n;
    return true;
}

static bool find_pattern(const struct snapshot *s, struct str name, struct snap_found *f)
{
    for (uint32_t i = 0; i < s->h->patterns.n; i++) {
        const struct snap_pattern *p = SNAP_AT(s, s->h->patterns, struct snap_pattern, i);
        if (!p || !pattern_match(snap_str(s, p->pattern), name, f))
            continue;
        f->group = SNAP_AT(s, s->h->groups, struct snap_group, p->group);
        return f->group != NULL;
    }
    return false;
}

bool snap_find(const struct snapshot *s, struct str name, struct snap_found *ret)
{
    const struct snap_name *e = name_get(s, name);

    *ret = (struct snap_found){0};
    if (!e)
        return find_pattern(s, name, ret);
    switch ((enum snap_name_kind)e->kind) {
    case SNAP_NAME_GROUP:
        ret->group = SNAP_AT(s, s->h->groups, struct snap_group, e->target);
        return ret->group != NULL;
    case SNAP_NAME_ALIAS:
        return find_pattern(s, snap_str(s, e->alias_of), ret);
    case SNAP_NAME_UPSTREAM:
        if (find_pattern(s, name, ret))
            return true;
        *ret = (struct snap_found){0};
        break;
    case SNAP_NAME_DEPLOYMENT:
        break;
    case SNAP_NAME_LISTED:
        return false;
    }
    ret->deployment = SNAP_AT(s, s->h->deployments, struct snap_deployment, e->target);
    return ret->deployment != NULL;
}

struct price_search {
    const struct snapshot *s;
    const struct snap_priced_model *found;
};

static bool price_get(void *ctx, struct str name)
{
    struct price_search *search = ctx;
    const struct snapshot *s = search->s;
    struct snap_ref index = s->h->price_index;
    uint32_t hash = snap_hash(name.p, name.n);

    for (uint32_t i = 0; i < index.n; i++) {
        const uint32_t *at = SNAP_AT(s, index, uint32_t, (hash + i) & (index.n - 1));
        const struct snap_priced_model *m =
            at ? SNAP_AT(s, s->h->prices, struct snap_priced_model, *at) : NULL;
        if (!m)
            return false;
        if (m->hash == hash && str_eq(snap_str(s, m->name), name)) {
            search->found = m;
            return true;
        }
    }
    return false;
}

static const struct snap_priced_model *priced_model(const struct snapshot *s, struct str provider,
                                                    struct str model)
{
    struct price_search search = {.s = s};

    return price_lookup(provider, model, price_get, &search) ? search.found : NULL;
}

const struct price *snap_price(const struct snapshot *s, struct str provider, struct str model)
{
    const struct snap_priced_model *m = priced_model(s, provider, model);

    return m ? &m->price : NULL;
}

struct snap_model snap_model(const struct snapshot *s, const struct snap_deployment *d,
                             struct str model)
{
    struct snap_model ret = {d->can, d->max_output};
    struct str provider = snap_str(s, d->provider);
    uint32_t max_output;

    if (!(d->flags & SNAP_WILDCARD))
        return ret;
    const struct snap_priced_model *m = priced_model(s, provider, model);
    uint32_t known = capability_of(provider, model, &max_output);
    ret.can |= (known | capability_priced(m ? m->features : 0)) & ~d->cannot;
    if (!ret.max_output)
        ret.max_output = m && m->price.max_output_tokens ? m->price.max_output_tokens : max_output;
    return ret;
}

enum api snap_via(const struct snapshot *s, const struct snap_deployment *d, struct str model,
                  enum api client, bool stops)
{
    unsigned kind = MIN(d->kind, VIA_KINDS - 1);

    if (d->flags & SNAP_WILDCARD && kind != VIA_RESPONSES) {
        const struct snap_priced_model *m = priced_model(s, snap_str(s, d->provider), model);
        if (m)
            kind = via_kind_of((enum price_mode)m->mode);
    }
    if (stops && client == API_MESSAGES && d->via[kind][client] == API_RESPONSES)
        client = API_CHAT;
    return (enum api)MIN(d->via[kind][client], API_COUNT);
}
