#include "publish/roster.h"

#include <sys/random.h>
#include <unistd.h>

#include "common/num.h"

enum {
    WRITE_MS = 3000,
    SILENT_S = 12, /* a row this old is of one that ended, or hangs */
};

void roster_init(struct roster *r)
{
    unsigned char id[16] = {0};
    char host[100] = "?";

    (void)!getrandom(id, sizeof id, 0); /* 16 bytes are never refused once the system is up */
    (void)gethostname(host, sizeof host);
    host[sizeof host - 1] = '\0';
    *r = (struct roster){0};
    r->id[num_put_hex(r->id, id, sizeof id)] = '\0';
    (void)snprintf(r->name, sizeof r->name, "%s:%ld", host, (long)getpid());
}

/* ---- this one's ---- */

struct list {
    struct store *s;
    yyjson_mut_val *nodes;
};

/* A copy, for the session may go; empty texts are null. */
static void put_text(struct store *s, yyjson_mut_val *v, const char *name, const char *text)
{
    row_put_text(s, v, name, text[0] ? arena_str(s->arena, str_of(text)) : (struct str){0});
}

static void put_node(void *ctx, const struct hub_node *n)
{
    struct list *l = ctx;
    struct store *s = l->s;
    yyjson_mut_val *v = row_new(s);

    put_text(s, v, "id", n->id);
    put_text(s, v, "host", n->host);
    put_text(s, v, "version", n->version);
    row_put_int(s, v, "epoch", (int64_t)n->revision.epoch);
    row_put_int(s, v, "revision", (int64_t)n->revision.n);
    row_put_int(s, v, "lag", (int64_t)n->lag);
    row_put_num(s, v, "age_seconds", n->age_seconds);
    put_text(s, v, "state", n->state);
    row_put_bool(s, v, "draining", n->is_draining);
    row_put_int(s, v, "workers", n->workers);
    row_put_int(s, v, "requests", (int64_t)n->requests);
    row_put_int(s, v, "in_flight", (int64_t)n->in_flight);
    row_put_int(s, v, "spool_bytes", (int64_t)n->spool_bytes);
    row_put_bool(s, v, "spool_full", n->spool_is_full);
    row_put_int(s, v, "unshipped_bytes", (int64_t)n->unshipped_bytes);
    row_put_num(s, v, "unshipped_seconds", (double)n->unshipped_ms / 1e3);
    row_put_int(s, v, "resident_bytes", (int64_t)n->resident_bytes);
    row_put_int(s, v, "entities", (int64_t)n->entities);
    row_put_bool(s, v, "config_matches", n->config_matches);
    put_text(s, v, "join", n->token);
    put_text(s, v, "error", n->error);
    (void)yyjson_mut_arr_append(l->nodes, v); /* fresh: no copy */
}

static yyjson_mut_val *own_nodes(struct store *s, struct hub *hub, uint64_t now_ns)
{
    struct list l = {s, row_list(s)};

    hub_each(hub, now_ns, put_node, &l);
    return l.nodes;
}

void roster_write(struct roster *r, struct store *s, struct hub *hub, uint64_t now_ns)
{
    if (r->written_ns && now_ns < r->written_ns + WRITE_MS * UINT64_C(1000000))
        return;
    r->written_ns = now_ns;
    (void)TX_QUERY(&s->tx,
                   "INSERT INTO weir.control_plane (id, name, version, nodes)"
                   " VALUES ($1, $2, $3, $4::jsonb) ON CONFLICT (id) DO UPDATE"
                   " SET nodes = excluded.nodes, at = clock_timestamp()",
                   DB_TEXT(str_of(r->id)), DB_TEXT(str_of(r->name)), DB_TEXT(STR(WEIR_VERSION)),
                   DB_TEXT(row_json(s, own_nodes(s, hub, now_ns))));
    (void)TX_QUERY0(&s->tx, "DELETE FROM weir.control_plane"
                            " WHERE at < clock_timestamp() - interval '2 minutes'");
}

void roster_leave(const struct roster *r, struct tx *tx)
{
    (void)TX_QUERY(tx, "DELETE FROM weir.control_plane WHERE id = $1", DB_TEXT(str_of(r->id)));
}

/* ---- all of them ---- */

struct seen { /* a data plane somewhere */
    struct str id;
    bool is_gone;
    double age;
    yyjson_mut_val *node;
};

/* By id; of one id the best first. */
static int by_id(const void *pa, const void *pb)
{
    const struct seen *a = pa, *b = pb;
    int d = memcmp(a->id.p, b->id.p, MIN(a->id.n, b->id.n));

    if (d || a->id.n != b->id.n)
        return d ? d : (a->id.n > b->id.n) - (a->id.n < b->id.n);
    if (a->is_gone != b->is_gone)
        return a->is_gone - b->is_gone;
    return (a->age > b->age) - (a->age < b->age);
}

struct all {
    struct seen *seen;
    size_t n;
    yyjson_mut_val *control_planes;
};

/* Those of one control plane, `age` seconds ago. */
static void add(struct store *s, struct all *all, struct str name, struct str version, double age,
                yyjson_mut_val *nodes)
{
    yyjson_mut_val *one = row_new(s), *node;
    bool is_silent = age > SILENT_S;
    size_t i, n;

    row_put_text(s, one, "name", name);
    row_put_text(s, one, "version", version);
    row_put_num(s, one, "age_seconds", age);
    row_put_int(s, one, "nodes", (int64_t)yyjson_mut_arr_size(nodes));
    row_append(s, all->control_planes, one);
    yyjson_mut_arr_foreach(nodes, i, n, node)
    {
        struct seen *at = &all->seen[all->n];
        yyjson_mut_val *copy = row_copy(s, node);
        struct str id = row_text(copy, "id");
        double own = 0;
        if (!id.n)
            continue;
        (void)row_num(copy, "age_seconds", &own);
        row_put_num(s, copy, "age_seconds", own + age);
        row_put_text(s, copy, "control_plane", name);
        if (is_silent)
            row_put_text(s, copy, "state", STR("gone"));
        *at = (struct seen){id, str_eq(row_text(copy, "state"), STR("gone")), own + age, copy};
        all->n++;
    }
}

static yyjson_mut_val *each_once(struct store *s, struct all *all)
{
    yyjson_mut_val *list = row_list(s);

    qsort(all->seen, all->n, sizeof *all->seen, by_id);
    for (size_t i = 0; i < all->n; i++)
        if (!i || !str_eq(all->seen[i].id, all->seen[i - 1].id))
            (void)yyjson_mut_arr_append(list, all->seen[i].node); /* fresh: no copy */
    return list;
}

yyjson_mut_val *roster_read(const struct roster *r, struct store *s, struct hub *hub,
                            uint64_t now_ns)
{
    yyjson_mut_val *own = own_nodes(s, hub, now_ns), *out = row_new(s), **of;
    struct all all = {.control_planes = row_list(s)};
    size_t most = yyjson_mut_arr_size(own);
    struct rows rows =
        TX_QUERY(&s->tx,
                 "SELECT name, version, extract(epoch FROM clock_timestamp() - at)::float8, nodes"
                 " FROM weir.control_plane WHERE id <> $1 ORDER BY at DESC LIMIT 100",
                 DB_TEXT(str_of(r->id)));

    of = arena_alloc(s->arena, ((size_t)rows.n + 1) * sizeof *of);
    for (int i = 0; of && i < rows.n; i++) {
        of[i] = store_json(s, rows_text(rows, i, 3));
        most += yyjson_mut_arr_size(of[i]);
    }
    all.seen = arena_alloc(s->arena, (most + 1) * sizeof *all.seen);
    if (!of || !all.seen)
        return out;
    add(s, &all, str_of(r->name), STR(WEIR_VERSION), 0, own);
    for (int i = 0; i < rows.n; i++)
        add(s, &all, rows_text(rows, i, 0), rows_text(rows, i, 1), rows_num(rows, i, 2), of[i]);
    row_put(s, out, "nodes", each_once(s, &all));
    row_put(s, out, "control_planes", all.control_planes);
    return out;
}
