/* The link prepared the parts; here they are put side by side. */

#include "api/models.h"

static void put_model(struct jw *w, struct str name)
{
    jw_obj(w);
    jw_key(w, STR("id"));
    jw_put_str(w, name);
    jw_key(w, STR("object"));
    jw_put_str(w, STR("model"));
    jw_key(w, STR("created")); /* constants, as LiteLLM's */
    jw_put_u64(w, 1677610602);
    jw_key(w, STR("owned_by"));
    jw_put_str(w, STR("openai"));
    jw_end(w);
}

struct str models_list(const struct snapshot *s, struct arena *a)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->names.n; i++) {
        const struct snap_name *n = SNAP_AT(s, s->h->names, struct snap_name, i);
        if (n && n->listed)
            put_model(&w, snap_str(s, n->name));
    }
    jw_end(&w);
    jw_key(&w, STR("object"));
    jw_put_str(&w, STR("list"));
    jw_end(&w);
    return jw_finish(&w);
}

struct str models_one(const struct snapshot *s, struct str id, struct arena *a)
{
    struct snap_found found;
    struct jw w = jw_init(a);

    if (!snap_find(s, id, &found) || !found.group)
        return (struct str){0};
    put_model(&w, id);
    return jw_finish(&w);
}

struct str models_info(const struct snapshot *s, struct str deployment_id, struct arena *a)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->deployments.n; i++) {
        const struct snap_deployment *d = SNAP_AT(s, s->h->deployments, struct snap_deployment, i);
        if (d && d->info_json.n && (!deployment_id.n || str_eq(deployment_id, snap_str(s, d->id))))
            jw_put_raw(&w, snap_str(s, d->info_json));
    }
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}

struct str models_group_info(const struct snapshot *s, struct str group, struct arena *a)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->groups.n; i++) {
        const struct snap_group *g = SNAP_AT(s, s->h->groups, struct snap_group, i);
        if (g && g->info_json.n && (!group.n || str_eq(group, snap_str(s, g->name))))
            jw_put_raw(&w, snap_str(s, g->info_json));
    }
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}
