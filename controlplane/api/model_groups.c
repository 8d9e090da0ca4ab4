/* /access_group: a mark on deployments of the database, in their model_info.access_groups. */

#include "api/models_priv.h"
#include "audit/audit.h"
#include "store/model.h"

/* The group as it is shown; NULL with 404. */
static yyjson_mut_val *find(struct call *c, struct str group)
{
    yyjson_mut_val *found = group.n ? model_groups(&c->store, group) : NULL;

    if (!yyjson_mut_arr_size(found)) {
        refuse(c, 404, "Access group '" STR_FMT "' not found", STR_ARG(group));
        return NULL;
    }
    return yyjson_mut_arr_get_first(found);
}

void api_model_group_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put(s, out, "access_groups", model_groups(s, STR("")));
    reply(c, out);
}

void api_model_group_info(struct call *c)
{
    yyjson_mut_val *found = find(c, in_param(c, 0));

    if (found)
        reply(c, found);
}

/* ---- marks ---- */

static bool has(struct texts list, struct str s)
{
    for (size_t i = 0; i < list.n; i++)
        if (str_eq(list.p[i], s))
            return true;
    return false;
}

/* Sets or takes the mark of one deployment; true when that changed it. */
static bool mark(struct call *c, const yyjson_mut_val *row, struct str group, bool wanted)
{
    struct store *s = &c->store;
    yyjson_mut_val *info = row_val(row, "model_info"), *list = row_list(s), *v;
    yyjson_mut_val *changes = row_new(s);
    struct str id = row_text(row, "model_id");
    size_t i, n;

    if (row_has(info, "access_groups", group) == wanted)
        return false;
    yyjson_mut_arr_foreach(row_val(info, "access_groups"), i, n, v)
    {
        if (!str_eq((struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}, group))
            row_append(s, list, v);
    }
    if (wanted)
        row_append_text(s, list, group);
    info = info ? row_copy(s, info) : row_new(s);
    row_put(s, info, "access_groups", list);
    row_put(s, changes, "model_info", info);
    row_put_text(s, changes, "updated_by", c->caller.user_id);
    (void)store_update(s, TABLE_MODEL, id, changes);
    audit_updated(c, TABLE_MODEL, id, row, changes);
    return true;
}

struct wanted {
    struct texts names, ids;
};

static bool is_wanted(const struct wanted *w, const yyjson_mut_val *row)
{
    return w->ids.n ? has(w->ids, row_text(row, "model_id"))
                    : has(w->names, row_text(row, "model_name"));
}

static bool is_among(const yyjson_mut_val *rows, const char *member, struct str value)
{
    yyjson_mut_val *row;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)rows, i, n, row)
    {
        if (str_eq(row_text(row, member), value))
            return true;
    }
    return false;
}

static bool read_wanted(struct call *c, struct wanted *ret)
{
    ret->names = store_texts(&c->store, in_val(c, "model_names"));
    ret->ids = store_texts(&c->store, in_val(c, "model_ids"));
    if (!ret->names.n && !ret->ids.n)
        refuse(c, 400, "Either model_names or model_ids must be provided and non-empty");
    return !c->status;
}

/* Everything named is a deployment of the database. */
static bool check_all_found(struct call *c, const struct wanted *w, const yyjson_mut_val *rows)
{
    for (size_t i = 0; i < w->ids.n; i++)
        if (!is_among(rows, "model_id", w->ids.p[i])) {
            refuse(c, 400, "Deployment with model_id '" STR_FMT "' not found in Database.",
                   STR_ARG(w->ids.p[i]));
            return false;
        }
    for (size_t i = 0; !w->ids.n && i < w->names.n; i++) {
        if (is_among(rows, "model_name", w->names.p[i]))
            continue;
        if (model_name_exists(c, w->names.p[i]))
            refuse(c, 400,
                   "Can't find model '" STR_FMT "' in Database. Access group management is only "
                   "supported for database models.",
                   STR_ARG(w->names.p[i]));
        else
            refuse(c, 400, "Model(s) not found: " STR_FMT, STR_ARG(w->names.p[i]));
        return false;
    }
    return true;
}

static void write_marks(struct call *c, struct str group, const struct wanted *w)
{
    struct store *s = &c->store;
    yyjson_mut_val *rows = model_lock_group(s, w->names, w->ids, group), *out = row_new(s), *row;
    size_t i, n, n_changed = 0, n_wanted = 0;

    if (!check_all_found(c, w, rows))
        return;
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        bool wanted = is_wanted(w, row);
        n_changed += mark(c, row, group, wanted);
        n_wanted += wanted;
    }
    c->is_unchanged = !n_changed;
    row_put_text(s, out, "access_group", group);
    row_put(s, out, "model_names", in_val(c, "model_names"));
    row_put(s, out, "model_ids", in_val(c, "model_ids"));
    row_put_int(s, out, "models_updated", (int64_t)n_wanted);
    reply(c, out);
}

void api_model_group_new(struct call *c)
{
    struct str group = in_text(c, "access_group");
    struct wanted w;

    if (!str_trim(group).n) {
        refuse(c, 400, "access_group is required and cannot be empty");
        return;
    }
    if (!read_wanted(c, &w))
        return;
    if (yyjson_mut_arr_size(model_groups(&c->store, group))) {
        refuse(c, 409,
               "Access group '" STR_FMT "' already exists. Use PUT /access_group/" STR_FMT
               "/update to modify it.",
               STR_ARG(group), STR_ARG(group));
        return;
    }
    write_marks(c, group, &w);
}

void api_model_group_update(struct call *c)
{
    struct str group = in_param(c, 0);
    struct wanted w;

    if (read_wanted(c, &w) && find(c, group))
        write_marks(c, group, &w);
}

void api_model_group_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str group = in_param(c, 0);
    yyjson_mut_val *out = row_new(s), *row;
    size_t i, n, n_changed = 0;

    if (!find(c, group))
        return;
    yyjson_mut_arr_foreach(model_lock_group(s, (struct texts){0}, (struct texts){0}, group), i, n,
                           row)
    {
        n_changed += mark(c, row, group, false);
    }
    model_group_drop_budget(s, group);
    row_put_text(s, out, "access_group", group);
    row_put_int(s, out, "models_updated", (int64_t)n_changed);
    row_put_text(
        s, out, "message",
        arena_printf(&c->arena, "Access group '" STR_FMT "' deleted successfully", STR_ARG(group)));
    reply(c, out);
}
