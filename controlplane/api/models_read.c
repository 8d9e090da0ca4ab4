/* Deployments shown, those of the configuration and of the database alike. */

#include "common/gateway/glob.h"

#include "api/models_priv.h"
#include "api/sealed.h"
#include "config.h"
#include "daemon.h"
#include "store/model.h"

/* ---- both places as one list ---- */

static yyjson_mut_val *of_row(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *info = row_val(row, "model_info");
    static const char *const moments[] = {"created_at", "created_by", "updated_at", "updated_by"};

    info = info ? row_copy(s, info) : row_new(s);
    row_put_text(s, info, "id", row_text(row, "model_id"));
    row_put_bool(s, info, "db_model", true);
    row_put_bool(s, info, "blocked", row_bool(row, "blocked"));
    for (size_t i = 0; i < ARRAY_LEN(moments); i++)
        row_put(s, info, moments[i], row_val(row, moments[i]));
    row_put_text(s, out, "model_name", row_text(row, "model_name"));
    row_put(s, out, "litellm_params", values_open(c, row_val(row, "litellm_params")));
    row_put(s, out, "model_info", info);
    return out;
}

static yyjson_mut_val *of_config(struct call *c, yyjson_mut_val *pair)
{
    struct store *s = &c->store;
    yyjson_mut_val *id = yyjson_mut_arr_get(pair, 0), *model = yyjson_mut_arr_get(pair, 1);
    yyjson_mut_val *out = row_new(s), *info = row_val(model, "model_info");

    info = yyjson_mut_is_obj(info) ? row_copy(s, info) : row_new(s);
    row_put(s, info, "id", id);
    row_put_bool(s, info, "db_model", false);
    row_put_text(s, out, "model_name", row_text(model, "model_name"));
    row_put(s, out, "litellm_params", row_val(model, "litellm_params"));
    row_put(s, out, "model_info", info);
    return out;
}

static yyjson_mut_val *configured(struct call *c)
{
    return store_json(&c->store, c->d->config->models);
}

yyjson_mut_val *model_all(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_list(s), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(configured(c), i, n, v)
    {
        (void)yyjson_mut_arr_append(list, of_config(c, v));
    }
    yyjson_mut_arr_foreach(model_rows(s), i, n, v)
    {
        (void)yyjson_mut_arr_append(list, of_row(c, v));
    }
    return list;
}

static yyjson_mut_val *configured_by_id(struct call *c, struct str id)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(configured(c), i, n, v)
    {
        yyjson_mut_val *one = yyjson_mut_arr_get(v, 0);
        if (str_eq((struct str){yyjson_mut_get_str(one), yyjson_mut_get_len(one)}, id))
            return v;
    }
    return NULL;
}

bool model_is_configured(struct call *c, struct str id)
{
    return configured_by_id(c, id);
}

yyjson_mut_val *model_find(struct call *c, struct str id)
{
    yyjson_mut_val *pair = configured_by_id(c, id), *row;

    if (pair)
        return of_config(c, pair);
    row = store_get(&c->store, TABLE_MODEL, id);
    return row ? of_row(c, row) : NULL;
}

bool model_name_is_configured(struct call *c, struct str name)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(configured(c), i, n, v)
    {
        if (str_eq(row_text(yyjson_mut_arr_get(v, 1), "model_name"), name))
            return true;
    }
    return false;
}

bool model_name_exists(struct call *c, struct str name)
{
    return model_name_is_configured(c, name) || model_row_has_name(&c->store, name, STR(""));
}

/* ---- whose ---- */

struct str model_public_name(const yyjson_mut_val *model)
{
    struct str name = row_text(row_val(model, "model_info"), "team_public_model_name");

    return name.n ? name : row_text(model, "model_name");
}

/* A list of models, patterns and access groups has the model; an empty one has all. */
static bool list_has(const yyjson_mut_val *list, const yyjson_mut_val *model)
{
    yyjson_mut_val *all = (yyjson_mut_val *)(uintptr_t)list, *v;
    size_t i, n;

    if (!yyjson_mut_arr_size(all))
        return true;
    yyjson_mut_arr_foreach(all, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (name.p &&
            (str_eq(name, STR("all-proxy-models")) || glob_match(name, model_public_name(model)) ||
             row_has(row_val(model, "model_info"), "access_groups", name)))
            return true;
    }
    return false;
}

/* A model of a team is the team's alone. */
static bool is_teams(const yyjson_mut_val *model, const yyjson_mut_val *team)
{
    struct str of = row_text(row_val(model, "model_info"), "team_id");

    return !of.n || (team && str_eq(of, row_text(team, "team_id")));
}

bool model_is_visible(const struct caller *who, const yyjson_mut_val *model)
{
    const yyjson_mut_val *held = row_val(who->key, "models");

    if (rbac_sees_all(who))
        return true;
    if (!is_teams(model, who->team))
        return false;
    if (!row_has(who->key, "models", STR("all-team-models")) && !list_has(held, model))
        return false;
    return list_has(row_val(who->team ? who->team : who->user, "models"), model);
}

/* ---- shown ---- */

static yyjson_mut_val *shown(struct call *c, const yyjson_mut_val *model)
{
    static const char *const hidden[] = {
        "api_key",           "client_secret",        "vertex_credentials", "vertex_ai_credentials",
        "aws_access_key_id", "aws_secret_access_key"};
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, model),
                   *params = row_copy(s, row_val(model, "litellm_params"));

    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        (void)yyjson_mut_obj_remove_key(params, hidden[i]);
    row_put(s, out, "litellm_params", values_mask(c, params));
    return out;
}

/* The team named in teamId as the caller may know it; false with an answer. */
static bool team_asked(struct call *c, yyjson_mut_val **ret_team)
{
    struct str id = in_text(c, "teamId");
    yyjson_mut_val *team = id.n ? store_get(&c->store, TABLE_TEAM, id) : NULL;

    if (id.n && (!team || !(rbac_sees_all(&c->caller) || rbac_runs_team(&c->caller, team) ||
                            team_role_of(team, c->caller.user_id).n))) {
        refuse(c, 404, "Team id=" STR_FMT " not found", STR_ARG(id));
        return false;
    }
    *ret_team = team;
    return true;
}

static bool is_of_team(const yyjson_mut_val *model, const yyjson_mut_val *team)
{
    return !team || (is_teams(model, team) && list_has(row_val(team, "models"), model));
}

void api_model_info(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "litellm_model_id");
    yyjson_mut_val *out = row_new(s), *list = row_list(s), *team, *v;
    size_t i, n;

    if (!team_asked(c, &team))
        return;
    if (id.n) {
        v = model_find(c, id);
        if (!v || !model_is_visible(&c->caller, v)) {
            refuse(c, 400, "Model id = " STR_FMT " not found on litellm proxy", STR_ARG(id));
            return;
        }
        row_append(s, list, shown(c, v));
    } else {
        yyjson_mut_arr_foreach(model_all(c), i, n, v)
        {
            if (model_is_visible(&c->caller, v) && is_of_team(v, team))
                row_append(s, list, shown(c, v));
        }
    }
    row_put(s, out, "data", list);
    reply(c, out);
}

static bool contains_nocase(struct str text, struct str part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (str_ieq((struct str){text.p + i, part.n}, part))
            return true;
    return false;
}

static bool matches(struct call *c, const yyjson_mut_val *model, const yyjson_mut_val *team)
{
    yyjson_mut_val *info = row_val(model, "model_info");
    struct str name = in_text(c, "model"), search = in_text(c, "search");
    struct str id = in_text(c, "modelId"), group = in_text(c, "access_group");

    return model_is_visible(&c->caller, model) && is_of_team(model, team) &&
           (!name.n || str_eq(name, model_public_name(model))) &&
           (!search.n || contains_nocase(model_public_name(model), search)) &&
           (!id.n || str_eq(id, row_text(info, "id"))) &&
           (!group.n || row_has(info, "access_groups", group)) &&
           (!in_set(c, "blocked") || in_bool(c, "blocked") == row_bool(info, "blocked")) &&
           (!in_bool(c, "wildcard_only") ||
            str_find(row_text(model, "model_name"), STR("*")) != SIZE_MAX) &&
           (!in_bool(c, "user_models_only") ||
            rbac_is_self(&c->caller, row_text(info, "created_by")));
}

struct sorting {
    const char *by; /* NULL: as they come */
    bool desc;
};

static struct str sort_key(const yyjson_mut_val *model, const char *by)
{
    return str_eq(str_of(by), STR("model_name")) ? model_public_name(model)
                                                 : row_text(row_val(model, "model_info"), by);
}

static bool comes_before(const yyjson_mut_val *a, const yyjson_mut_val *b, const struct sorting *o)
{
    struct str x = sort_key(o->desc ? b : a, o->by), y = sort_key(o->desc ? a : b, o->by);
    size_t least = MIN(x.n, y.n);
    int d = least ? memcmp(x.p, y.p, least) : 0;

    return d ? d < 0 : x.n < y.n;
}

/* Stable; from below, so that a list that is sorted costs one pass. */
static void sort(yyjson_mut_val **p, yyjson_mut_val **tmp, size_t n, const struct sorting *o)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n; at += 2 * width) {
            size_t mid = MIN(at + width, n), end = MIN(at + 2 * width, n), i = at, j = mid;
            for (size_t k = at; k < end; k++)
                tmp[k] = i < mid && (j >= end || !comes_before(p[j], p[i], o)) ? p[i++] : p[j++];
        }
        memcpy(p, tmp, n * sizeof *p);
    }
}

static bool sorting_of(struct call *c, struct sorting *ret)
{
    static const char *const columns[] = {"model_name", "created_at", "updated_at"};
    struct str by = in_text(c, "sortBy"), order = in_text(c, "sortOrder");

    *ret = (struct sorting){.desc = str_ieq(order, STR("desc"))};
    if (!ret->desc && !str_ieq(order, STR("asc"))) {
        refuse(c, 400, "Invalid sortOrder: " STR_FMT ". Must be 'asc' or 'desc'", STR_ARG(order));
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (str_eq(by, str_of(columns[i])))
            ret->by = columns[i];
    if (by.n && !ret->by)
        refuse(c, 400,
               "Invalid sortBy field: " STR_FMT
               ". Valid fields: model_name, created_at, updated_at",
               STR_ARG(by));
    return !c->status;
}

void api_model_info_page(struct call *c)
{
    struct store *s = &c->store;
    int64_t page = in_int(c, "page"), size = in_int(c, "size");
    yyjson_mut_val *out = row_new(s), *list = row_list(s), *all, *team, *v, **p;
    struct sorting sorting;
    size_t i, n, found = 0;

    if (!sorting_of(c, &sorting) || !team_asked(c, &team))
        return;
    all = model_all(c);
    n = yyjson_mut_arr_size(all);
    p = arena_alloc(&c->arena, 2 * (n + 1) * sizeof(yyjson_mut_val *));
    if (!p)
        return;
    yyjson_mut_arr_foreach(all, i, n, v)
    {
        if (matches(c, v, team))
            p[found++] = v;
    }
    if (sorting.by)
        sort(p, p + found, found, &sorting);
    for (int64_t at = page - 1 > INT64_MAX / size ? (int64_t)found : (page - 1) * size, left = size;
         at < (int64_t)found && left > 0; at++, left--)
        row_append(s, list, shown(c, p[at]));
    row_put(s, out, "data", list);
    row_put_int(s, out, "total_count", (int64_t)found);
    row_put_int(s, out, "current_page", page);
    row_put_int(s, out, "total_pages", ((int64_t)found + size - 1) / size);
    row_put_int(s, out, "size", size);
    reply(c, out);
}
