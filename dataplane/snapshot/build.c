/*
 * struct config to the flat file of layout.h: arrays first, in the order of the header, then the
 * bytes they refer to. Made in memory, written to a memfd, sealed.
 */

#include "snapshot/build.h"

#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"

#include "snapshot/build_priv.h"
#include "snapshot/sealed.h"
#include "snapshot/slots.h"
#include "snapshot/view.h"

/* ---- names ---- */

enum name_rank { RANK_DEPLOYMENT, RANK_ALIAS, RANK_GROUP, RANK_UPSTREAM, RANK_LISTED, RANKS };

struct name {
    struct str name, alias_of;
    enum name_rank rank;
    enum snap_name_kind kind;
    uint32_t target;
    bool is_listed;
};

static void name_add(struct build *b, const struct name *n)
{
    if (b->n_names == b->cap_names) {
        uint32_t cap = b->cap_names ? b->cap_names * 2 : 64;
        struct name *more = arena_alloc(&b->scratch, cap * sizeof *more);
        if (!more)
            return;
        if (b->n_names)
            memcpy(more, b->names, b->n_names * sizeof *more);
        b->names = more;
        b->cap_names = cap;
    }
    b->names[b->n_names++] = *n;
}

static bool is_served_mode(enum price_mode m)
{
    return m <= PRICE_MODE_RESPONSES;
}

/* The models of a price table that "provider/\*" or "provider/part*" stands for, for listings. */
static void list_pattern(struct build *b, uint32_t group, const struct price_map *map)
{
    const struct config_group *g = &b->c->groups[group];
    const struct config_deployment *d = &b->c->deployments[g->members[0]];
    struct str prefix, part, rest,
        own = arena_printf(&b->scratch, STR_FMT "/", STR_ARG(d->target.provider));

    if (!str_cut(g->name, '/', &prefix, &part) || !str_cut(part, '*', &part, &rest) || rest.n ||
        str_find(prefix, STR("*")) != SIZE_MAX)
        return;
    for (size_t i = 0; i < price_map_count(map); i++) {
        struct priced_model m;
        price_map_row(map, i, &m);
        struct str name = str_starts(m.name, own) ? str_from(m.name, own.n) : m.name;
        if (!str_eq(m.provider, d->target.provider) || !is_served_mode(m.mode) ||
            !str_starts(name, part))
            continue;
        name_add(b, &(struct name){
                        .name = arena_printf(&b->scratch, STR_FMT "/" STR_FMT, STR_ARG(prefix),
                                             STR_ARG(name)),
                        .rank = RANK_LISTED,
                        .kind = SNAP_NAME_LISTED,
                        .target = group,
                        .is_listed = true,
                    });
    }
}

static void alias_add(struct build *b, const struct config_alias *a)
{
    const struct config *c = b->c;
    struct name n = {.name = a->name,
                     .alias_of = a->target,
                     .rank = RANK_ALIAS,
                     .kind = SNAP_NAME_ALIAS,
                     .is_listed = a->is_listed};

    for (uint32_t i = 0; i < c->n_groups; i++)
        if (!c->groups[i].is_pattern && str_eq(c->groups[i].name, a->target)) {
            n.kind = SNAP_NAME_GROUP;
            n.target = i;
        }
    for (uint32_t i = 0; i < c->n_deployments; i++)
        if (str_eq(c->deployments[i].id, a->target)) {
            n.kind = SNAP_NAME_DEPLOYMENT;
            n.target = i;
        }
    name_add(b, &n);
}

static void collect_names(struct build *b)
{
    const struct config *c = b->c;

    for (uint32_t i = 0; i < c->n_groups; i++) {
        const struct config_group *g = &c->groups[i];
        if (!g->is_pattern) {
            name_add(b, &(struct name){.name = g->name,
                                       .rank = RANK_GROUP,
                                       .kind = SNAP_NAME_GROUP,
                                       .target = i,
                                       .is_listed = g->is_listed});
        } else if (g->is_listed) {
            if (c->prices)
                list_pattern(b, i, c->prices);
            list_pattern(b, i, NULL);
        }
    }
    for (uint32_t i = 0; i < c->n_aliases; i++)
        alias_add(b, &c->aliases[i]);
    for (uint32_t i = 0; i < c->n_deployments; i++) {
        const struct config_deployment *d = &c->deployments[i];
        name_add(b, &(struct name){.name = d->id,
                                   .rank = RANK_DEPLOYMENT,
                                   .kind = SNAP_NAME_DEPLOYMENT,
                                   .target = i});
        if (!(d->flags & SNAP_WILDCARD))
            name_add(b, &(struct name){.name = d->litellm_model,
                                       .rank = RANK_UPSTREAM,
                                       .kind = SNAP_NAME_UPSTREAM,
                                       .target = i});
    }
}

static int by_name_and_rank(const void *a, const void *b)
{
    const struct name *x = *(const struct name *const *)a, *y = *(const struct name *const *)b;
    int order = memcmp(x->name.p, y->name.p, MIN(x->name.n, y->name.n));

    if (order == 0)
        order = (x->name.n > y->name.n) - (x->name.n < y->name.n);
    if (order == 0)
        order = (x->rank > y->rank) - (x->rank < y->rank);
    return order ? order : (x > y) - (x < y);
}

/* Of one name the entry of the first rank counts; it is listed when any of them is. */
static void put_names(struct build *b, struct snap_header *h)
{
    uint32_t n = b->n_names, n_order = 0;
    struct name **sorted = arena_alloc(&b->scratch, (n + 1) * sizeof(struct name *));
    struct snap_name *out = arena_zalloc(&b->scratch, (n + 1) * sizeof *out);
    uint32_t *hashes = arena_alloc(&b->scratch, (n + 1) * sizeof *hashes);
    uint32_t *order = arena_alloc(&b->scratch, (n + 1) * sizeof *order);

    if (!sorted || !out || !hashes || !order)
        return;
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = &b->names[i];
    qsort(sorted, n, sizeof(struct name *), by_name_and_rank);
    for (uint32_t i = 0, of = 0; i < n; i++) {
        if (i && str_eq(sorted[i]->name, sorted[of]->name)) {
            sorted[of]->is_listed = sorted[of]->is_listed || sorted[i]->is_listed;
            sorted[i]->is_listed = false;
            continue;
        }
        of = i;
        if (sorted[i]->kind != SNAP_NAME_LISTED)
            order[n_order++] = (uint32_t)(sorted[i] - b->names);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct name *from = &b->names[i];
        hashes[i] = snap_hash(from->name.p, from->name.n);
        out[i] = (struct snap_name){
            .name = flat_put(&b->file, from->name),
            .alias_of = flat_put(&b->file,
                                 from->kind == SNAP_NAME_ALIAS ? from->alias_of : (struct str){0}),
            .kind = from->kind,
            .target = from->target,
            .listed = from->is_listed,
            .hash = hashes[i],
        };
    }
    h->names = flat_array(&b->file, out, n, sizeof *out);
    h->name_index = flat_index(&b->file, hashes, order, n_order, n);
}

/* Bytes of a pattern that are not stars. */
static size_t literal_bytes(struct str pattern)
{
    size_t n = 0;

    for (size_t i = 0; i < pattern.n; i++)
        n += pattern.p[i] != '*';
    return n;
}

static void put_patterns(struct build *b, struct snap_header *h)
{
    const struct config *c = b->c;
    uint32_t n = 0, *groups = arena_alloc(&b->scratch, (c->n_groups + 1) * sizeof *groups);
    struct snap_pattern *out = arena_zalloc(&b->scratch, (c->n_groups + 1) * sizeof *out);

    if (!groups || !out)
        return;
    for (uint32_t i = 0; i < c->n_groups; i++) { /* by insertion: the longest literal part first */
        if (!c->groups[i].is_pattern)
            continue;
        uint32_t at = n++;
        size_t literal = literal_bytes(c->groups[i].name);
        for (; at > 0 && literal_bytes(c->groups[groups[at - 1]].name) < literal; at--)
            groups[at] = groups[at - 1];
        groups[at] = i;
    }
    for (uint32_t i = 0; i < n; i++)
        out[i] = (struct snap_pattern){.pattern = flat_put(&b->file, c->groups[groups[i]].name),
                                       .group = groups[i]};
    h->patterns = flat_array(&b->file, out, n, sizeof *out);
}

/* ---- groups ---- */

/*
 * Weights as simple-shuffle reads them: by `weight` when the first deployment has one, else by
 * `rpm`, else by `tpm`, else even. A deployment without the figure gets no share of the others'.
 */
static int64_t figure_of(const struct config_deployment *first, const struct config_deployment *d)
{
    int64_t v = first->weight >= 0 ? d->weight
                : first->rpm >= 0  ? d->rpm
                : first->tpm >= 0  ? d->tpm
                                   : 1;

    return MAX(v, 0);
}

static struct snap_ref put_members(struct build *b, const struct config_group *g)
{
    const struct config *c = b->c;
    struct snap_member *out = arena_zalloc(&b->scratch, g->n_members * sizeof *out);
    uint32_t lowest = UINT32_MAX, n = 0;
    const struct config_deployment *first = NULL;
    int64_t sum = 0;

    if (!out)
        return (struct snap_ref){0};
    for (uint32_t i = 0; i < g->n_members; i++)
        lowest = MIN(lowest, c->deployments[g->members[i]].order);
    for (uint32_t i = 0; i < g->n_members; i++) {
        const struct config_deployment *d = &c->deployments[g->members[i]];
        if (d->order != lowest)
            continue;
        first = first ? first : d;
        sum += MIN(figure_of(first, d), INT64_MAX / 4096);
    }
    for (uint32_t i = 0; i < g->n_members; i++) {
        const struct config_deployment *d = &c->deployments[g->members[i]];
        if (d->order != lowest)
            continue;
        int64_t w = sum ? MIN(figure_of(first, d), INT64_MAX / 4096) : 1;
        for (int64_t s = sum; s > INT32_MAX; s /= 2) /* the sum fits 31 bits, 0 stays out */
            w = w > 1 ? w / 2 : w;
        if (w)
            out[n++] = (struct snap_member){.deployment = g->members[i], .weight = (uint32_t)w};
    }
    return flat_array(&b->file, out, n, sizeof *out);
}

static struct snap_ref put_access_groups(struct build *b, const struct config_group *g)
{
    const struct conf_node **lists = arena_alloc(&b->scratch, (g->n_members + 1) * sizeof *lists);

    if (!lists)
        return (struct snap_ref){0};
    for (uint32_t i = 0; i < g->n_members; i++)
        lists[i] = conf_get(b->c->deployments[g->members[i]].info, STR("access_groups"));
    return build_name_list(b, lists, g->n_members);
}

/* Stated as free, not merely without a price. */
static bool is_free(const struct config_deployment *d)
{
    if (!(d->flags & SNAP_PRICED) || d->price.item[PRICE_INPUT] != 0 ||
        d->price.item[PRICE_OUTPUT] != 0)
        return false;
    for (unsigned i = 0; i < PRICE_UPLIFT_EU; i++)
        if (d->price.item[i] > 0)
            return false;
    return true;
}

static uint32_t group_flags(const struct config *c, const struct config_group *g)
{
    for (uint32_t i = 0; i < g->n_members; i++)
        if (!is_free(&c->deployments[g->members[i]]))
            return 0;
    return g->n_members ? SNAP_GROUP_FREE : 0;
}

static void put_groups(struct build *b, struct snap_header *h)
{
    const struct config *c = b->c;
    struct snap_group *out = arena_zalloc(&b->scratch, (c->n_groups + 1) * sizeof *out);

    if (!out)
        return;
    for (uint32_t i = 0; i < c->n_groups; i++)
        out[i] = (struct snap_group){.name = flat_put(&b->file, c->groups[i].name),
                                     .members = put_members(b, &c->groups[i]),
                                     .info_json = flat_put(&b->file, c->groups[i].info_json),
                                     .access_groups = put_access_groups(b, &c->groups[i]),
                                     .num_retries = SNAP_NONE,
                                     .flags = group_flags(c, &c->groups[i])};
    h->groups = flat_array(&b->file, out, c->n_groups, sizeof *out);
}

/* ---- deployments, origins, prices ---- */

static struct snap_ref put_edits(struct build *b, const struct target *t)
{
    struct snap_edit *out = arena_zalloc(&b->scratch, (t->n_edits + 1) * sizeof *out);

    if (!out)
        return (struct snap_ref){0};
    for (size_t i = 0; i < t->n_edits; i++)
        out[i] = (struct snap_edit){.op = t->edits[i].op,
                                    .apis = t->edits[i].apis,
                                    .a = flat_put(&b->file, t->edits[i].a),
                                    .b = flat_put(&b->file, t->edits[i].b),
                                    .c = flat_put(&b->file, t->edits[i].c),
                                    .when_model = flat_put(&b->file, t->edits[i].when_model),
                                    .has = t->edits[i].has,
                                    .lacks = t->edits[i].lacks,
                                    .side = (uint16_t)t->edits[i].side,
                                    .only_while = (uint16_t)t->edits[i].only_while};
    return flat_array(&b->file, out, t->n_edits, sizeof *out);
}

static uint32_t apis_by_can(const struct target *t)
{
    uint32_t apis = 0;

    for (size_t i = 0; i < t->n_edits; i++)
        if (t->edits[i].has || t->edits[i].lacks || t->edits[i].only_while)
            apis |= t->edits[i].apis;
    return apis;
}

static void put_deployment(struct build *b, struct snap_deployment *out,
                           const struct config_deployment *d, uint32_t slot)
{
    struct flat *f = &b->file;

    *out = (struct snap_deployment){
        .id = flat_put(f, d->id),
        .group = flat_put(f, d->group),
        .provider = flat_put(f, d->target.provider),
        .litellm_model = flat_put(f, d->litellm_model),
        .model = flat_put(f, d->target.model),
        .api_base = flat_put(f, d->target.api_base),
        .headers = flat_put(f, d->target.headers),
        .edits = put_edits(b, &d->target),
        .unsupported = flat_put(f, d->target.unsupported),
        .missing_key = flat_put(f, d->missing_key),
        .mock_response = flat_put(f, d->mock_response),
        .info_json = flat_put(f, d->info_json),
        .base_model = flat_put(f, d->base_model),
        .price = d->price,
        .dialect = d->target.dialect,
        .flags = d->flags,
        .origin = d->origin,
        .slot = slot,
        .timeout_ms = d->timeout_ms,
        .stream_timeout_ms = d->stream_timeout_ms,
        .num_retries = d->num_retries,
        .mode = d->mode,
        .can = d->can,
        .cannot = d->cannot,
        .max_output = d->max_output,
        .by_can = apis_by_can(&d->target),
        .kind = (uint8_t)d->kind,
    };
    for (unsigned kind = 0; kind < VIA_KINDS; kind++)
        for (unsigned i = 0; i < API_COUNT; i++)
            out->via[kind][i] = (uint8_t)via_of(&d->via, (enum via_kind)kind, (enum api)i);
    for (unsigned i = 0; i < API_COUNT; i++)
        out->path[i] = (struct snap_path){.before = flat_put(f, d->target.path[i].before),
                                          .after = flat_put(f, d->target.path[i].after)};
}

static void put_deployments(struct build *b, struct snap_header *h, struct slots *slots)
{
    const struct config *c = b->c;
    struct snap_deployment *out = arena_zalloc(&b->scratch, (c->n_deployments + 1) * sizeof *out);

    if (!out)
        return;
    for (uint32_t i = 0; i < c->n_deployments; i++)
        put_deployment(b, &out[i], &c->deployments[i],
                       slots_get(slots, SLOT_DEPLOYMENT, c->deployments[i].id, h->generation));
    h->deployments = flat_array(&b->file, out, c->n_deployments, sizeof *out);
}

/* What makes two origins one over generations; 0 bytes part the texts. */
static struct str origin_key(struct arena *a, const struct config_origin *o)
{
    return arena_printf(a, STR_FMT " %u %u %08x " STR_FMT " %u %08x", STR_ARG(o->host), o->port,
                        o->flags, snap_hash(o->ca.p, o->ca.n), STR_ARG(o->proxy_host),
                        o->proxy_port, snap_hash(o->proxy_auth.p, o->proxy_auth.n));
}

static void put_origins(struct build *b, struct snap_header *h, struct slots *slots)
{
    const struct config *c = b->c;
    struct snap_origin *out = arena_zalloc(&b->scratch, (c->n_origins + 1) * sizeof *out);
    uint32_t max = config_u32(&c->file, SETTING_WEIR_upstream_max_connections);

    if (!out)
        return;
    for (uint32_t i = 0; i < c->n_origins; i++) {
        const struct config_origin *o = &c->origins[i];
        out[i] = (struct snap_origin){
            .host = flat_put(&b->file, o->host),
            .ca = flat_put(&b->file, o->ca),
            .proxy_host = flat_put(&b->file, o->proxy_host),
            .proxy_auth = flat_put(&b->file, o->proxy_auth),
            .port = o->port,
            .proxy_port = o->proxy_port,
            .flags = o->flags,
            .slot = slots_get(slots, SLOT_ORIGIN, origin_key(&b->scratch, o), h->generation),
            .max_connections = o->max_connections ? o->max_connections : max,
        };
    }
    h->origins = flat_array(&b->file, out, c->n_origins, sizeof *out);
}

/* The configured price map before the compiled-in table; of equal names the first counts. */
static void put_prices(struct build *b, struct snap_header *h)
{
    const struct price_map *maps[] = {b->c->prices, NULL};
    size_t cap = (b->c->prices ? price_map_count(b->c->prices) : 0) + price_map_count(NULL);
    struct snap_priced_model *out = arena_zalloc(&b->scratch, (cap + 1) * sizeof *out);
    uint32_t *hashes = arena_alloc(&b->scratch, (cap + 1) * sizeof *hashes);
    uint32_t *order = arena_alloc(&b->scratch, (cap + 1) * sizeof *order);
    uint32_t n = 0;

    if (!out || !hashes || !order)
        return;
    for (size_t k = b->c->prices ? 0 : 1; k < ARRAY_LEN(maps); k++)
        for (size_t i = 0; i < price_map_count(maps[k]); i++) {
            struct priced_model m, own;
            price_map_row(maps[k], i, &m);
            if (k == 1 && b->c->prices && price_map_get(b->c->prices, m.name, &own))
                continue;
            hashes[n] = snap_hash(m.name.p, m.name.n);
            order[n] = n;
            out[n] = (struct snap_priced_model){.name = flat_put(&b->file, m.name),
                                                .hash = hashes[n],
                                                .mode = m.mode,
                                                .features = m.features,
                                                .price = m.price};
            n++;
        }
    h->prices = flat_array(&b->file, out, n, sizeof *out);
    h->price_index = flat_index(&b->file, hashes, order, n, n);
}

/* ---- the whole ---- */

static enum errc seal(int *ret_fd, const struct flat *f, struct err *e)
{
    static const char what[] = "generation";
    int fd;
    enum errc rc = sealed_open(&fd, what, e);

    if (rc)
        return rc;
    rc = sealed_write(fd, f->p, f->n, what, e);
    if (!rc)
        rc = sealed_finish(fd, what, e);
    if (rc)
        (void)close(fd); /* the failure is told already */
    else
        *ret_fd = fd;
    return rc;
}

enum errc snapshot_build(int *ret_fd, const struct config *c, uint64_t n, struct slots *slots,
                         struct err *e)
{
    struct build b = {.c = c};
    struct snap_header h = {.magic = SNAP_MAGIC,
                            .version = SNAP_VERSION,
                            .header_size = sizeof h,
                            .generation = n,
                            .built_us = clock_wall_us()};
    enum errc rc;

    arena_init(&b.scratch, NULL, FLAT_MAX);
    (void)flat_reserve(&b.file, sizeof h);
    collect_names(&b);
    h.config_hash = flat_put(&b.file, c->file.hash);
    build_settings(&b, &h.settings);
    put_names(&b, &h);
    put_patterns(&b, &h);
    put_groups(&b, &h);
    put_deployments(&b, &h, slots);
    put_origins(&b, &h, slots);
    put_prices(&b, &h);
    (void)flat_reserve(&b.file, 0); /* whole words */
    h.total_size = b.file.n;
    if (b.file.failed || !arena_ok(&b.scratch)) {
        rc = err_set(e, ERRC_LIMIT, 0, "generation: larger than %d bytes, or no memory", FLAT_MAX);
    } else {
        memcpy(b.file.p, &h, sizeof h);
        rc = seal(ret_fd, &b.file, e);
    }
    flat_deinit(&b.file);
    arena_reset(&b.scratch);
    return rc;
}

void slots_adopt(struct slots *s, const struct snapshot *generation)
{
    const struct snap_header *h = generation->h;
    struct arena a;

    arena_init(&a, NULL, FLAT_MAX);
    for (uint32_t i = 0; i < h->deployments.n; i++) {
        const struct snap_deployment *d =
            SNAP_AT(generation, h->deployments, struct snap_deployment, i);
        if (d)
            slots_set(s, SLOT_DEPLOYMENT, snap_str(generation, d->id), d->slot, h->generation);
    }
    for (uint32_t i = 0; i < h->origins.n; i++) {
        const struct snap_origin *o = SNAP_AT(generation, h->origins, struct snap_origin, i);
        if (!o)
            continue;
        struct config_origin same = {.host = snap_str(generation, o->host),
                                     .ca = snap_str(generation, o->ca),
                                     .proxy_host = snap_str(generation, o->proxy_host),
                                     .proxy_auth = snap_str(generation, o->proxy_auth),
                                     .port = o->port,
                                     .proxy_port = o->proxy_port,
                                     .flags = o->flags};
        slots_set(s, SLOT_ORIGIN, origin_key(&a, &same), o->slot, h->generation);
    }
    arena_reset(&a);
}
