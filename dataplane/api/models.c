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

static bool is_shown(const struct models_of *of, struct str model)
{
    struct snap_found found;

    return !of->may || (snap_find(of->s, model, &found) && of->may(of->ctx, model, &found));
}

struct str models_list(const struct models_of *of)
{
    const struct snapshot *s = of->s;
    struct jw w = jw_init(of->arena);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->names.n; i++) {
        const struct snap_name *n = SNAP_AT(s, s->h->names, struct snap_name, i);
        if (n && n->listed && is_shown(of, snap_str(s, n->name)))
            put_model(&w, snap_str(s, n->name));
    }
    jw_end(&w);
    jw_key(&w, STR("object"));
    jw_put_str(&w, STR("list"));
    jw_end(&w);
    return jw_finish(&w);
}

struct str models_one(const struct models_of *of, struct str id)
{
    struct snap_found found;
    struct jw w = jw_init(of->arena);

    if (!snap_find(of->s, id, &found) || !found.group || (of->may && !of->may(of->ctx, id, &found)))
        return (struct str){0};
    put_model(&w, id);
    return jw_finish(&w);
}

struct str models_info(const struct models_of *of, struct str deployment_id)
{
    const struct snapshot *s = of->s;
    struct jw w = jw_init(of->arena);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->deployments.n; i++) {
        const struct snap_deployment *d = SNAP_AT(s, s->h->deployments, struct snap_deployment, i);
        if (d && d->info_json.n &&
            (!deployment_id.n || str_eq(deployment_id, snap_str(s, d->id))) &&
            is_shown(of, snap_str(s, d->group)))
            jw_put_raw(&w, snap_str(s, d->info_json));
    }
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}

struct str models_group_info(const struct models_of *of, struct str group)
{
    const struct snapshot *s = of->s;
    struct jw w = jw_init(of->arena);

    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (uint32_t i = 0; i < s->h->groups.n; i++) {
        const struct snap_group *g = SNAP_AT(s, s->h->groups, struct snap_group, i);
        if (g && g->info_json.n && (!group.n || str_eq(group, snap_str(s, g->name))) &&
            is_shown(of, snap_str(s, g->name)))
            jw_put_raw(&w, snap_str(s, g->info_json));
    }
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}
