/* /weir/nodes: the data planes connected to this control plane. */

#include "common/clock.h"

#include "api/reply.h"
#include "daemon.h"
#include "publish/hub.h"
#include "publish/publish.h"

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

void api_nodes(struct call *c)
{
    struct store *s = &c->store;
    struct hub *hub = publish_hub(c->d->publish);
    struct list l = {s, row_list(s)};
    struct revision now = hub_revision(hub);
    yyjson_mut_val *out = row_new(s);

    hub_each(hub, clock_mono_ns(), put_node, &l);
    row_put(s, out, "nodes", l.nodes);
    row_put_int(s, out, "epoch", (int64_t)now.epoch);
    row_put_int(s, out, "revision", (int64_t)now.n);
    reply(c, out);
}
