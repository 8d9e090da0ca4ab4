/* Tags: names that requests carry, with models and budgets of their own (litellm-controlplane.md
 * 2.7). */

#include "api/parts.h"
#include "audit/audit.h"
#include "store/tag.h"

/* The row as it is shown. */
static yyjson_mut_val *shown(struct call *c, const yyjson_mut_val *row)
{
    static const char *const names[] = {"description", "models",     "model_info",
                                        "created_at",  "updated_at", "created_by"};
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    struct str budget = row_text(row, "budget_id");
    yyjson_mut_val *of = budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL;

    row_put(s, out, "name", row_val(row, "tag_name"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        row_put(s, out, names[i], row_val(row, names[i]));
    if (of)
        row_put(s, out, "litellm_budget_table", of);
    return out;
}

static void reply_done(struct call *c, const yyjson_mut_val *row, const char *done)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_text(s, out, "message",
                 arena_printf(&c->arena, "Tag " STR_FMT " %s successfully",
                              STR_ARG(in_text(c, "name")), done));
    if (row)
        row_put(s, out, "tag", shown(c, row));
    reply(c, out);
}

static bool is_missing(struct call *c, const yyjson_mut_val *row)
{
    if (row)
        return false;
    refuse_text(c, 404, "Tag " STR_FMT " not found", STR_ARG(in_text(c, "name")));
    return true;
}

/* Names by id of those models that were named by id. */
static void put_models(struct call *c, yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = in_val(c, "models"), *names = row_new(s), *models, *m;
    size_t i, n;
    struct str *wanted = row_texts(c, list, &n);

    models = tag_models(s, wanted, n);
    yyjson_mut_arr_foreach(models, i, n, m)
    {
        struct str id = row_text(m, "model_id");
        if (row_has(c->in, "models", id))
            row_put(s, names, id.p, row_val(m, "model_name"));
    }
    row_put(s, row, "models", list ? list : row_list(s));
    row_put(s, row, "model_info", names);
}

/* Models of the database get the tag as well; those of the configuration keep theirs. */
static void tag_deployments(struct call *c, struct str name)
{
    struct store *s = &c->store;
    size_t i, n;
    struct str *wanted = row_texts(c, in_val(c, "models"), &n);
    yyjson_mut_val *models = tag_models(s, wanted, n), *m;

    yyjson_mut_arr_foreach(models, i, n, m)
    {
        yyjson_mut_val *params = row_copy(s, row_val(m, "litellm_params")), *changes = row_new(s);
        struct str id = row_text(m, "model_id");
        yyjson_mut_val *tags = row_copy(s, row_val(params, "tags"));
        if (!yyjson_mut_is_obj(params) || row_has(params, "tags", name))
            continue;
        tags = yyjson_mut_is_arr(tags) ? tags : row_list(s);
        row_append_text(s, tags, name);
        row_put(s, params, "tags", tags);
        row_put(s, changes, "litellm_params", params);
        row_put_text(s, changes, "updated_by", audit_actor(c));
        if (store_update(s, TABLE_MODEL, id, changes))
            audit_updated(c, TABLE_MODEL, id, m, changes);
    }
}

void api_tag_new(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "name");
    yyjson_mut_val *row = row_new(s), *values = budget_values(c, c->in, false), *made;

    if (!budget_check(c, c->in))
        return;
    if (store_get(s, TABLE_TAG, name)) {
        refuse_text(c, 400, "Tag " STR_FMT " already exists", STR_ARG(name));
        return;
    }
    row_put_text(s, row, "tag_name", name);
    row_put_text(s, row, "description", in_text(c, "description"));
    put_models(c, row);
    if (in_set(c, "budget_id"))
        row_put_text(s, row, "budget_id", in_text(c, "budget_id"));
    else if (values)
        row_put_text(s, row, "budget_id", budget_create(c, values));
    row_put_text(s, row, "created_by", audit_actor(c));
    made = store_insert(s, TABLE_TAG, row);
    if (!made)
        return;
    audit_created(c, TABLE_TAG, name, made);
    tag_deployments(c, name);
    reply_done(c, made, "created");
}

void api_tag_update(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "name");
    yyjson_mut_val *was = store_lock(s, TABLE_TAG, name), *changes = row_new(s), *now;
    struct str budget = row_text(was, "budget_id");
    yyjson_mut_val *values = budget_values(c, c->in, budget.n > 0);

    if (is_missing(c, was) || !budget_check(c, c->in) || !check_not_negative(c, c->in, "spend"))
        return;
    if (in_sent(c, "description"))
        row_put_text(s, changes, "description", in_text(c, "description"));
    if (in_sent(c, "models"))
        put_models(c, changes);
    if (in_set(c, "spend"))
        row_put_num(s, changes, "spend", in_num(c, "spend"));
    if (values && budget.n)
        budget_change(c, budget, values);
    if (in_set(c, "budget_id"))
        row_put_text(s, changes, "budget_id", in_text(c, "budget_id"));
    else if (values && !budget.n)
        row_put_text(s, changes, "budget_id", budget_create(c, values));
    now = store_update(s, TABLE_TAG, name, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_TAG, name, was, changes);
    reply_done(c, now, "updated");
}

void api_tag_info(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *names = in_val(c, "names"), *out = row_new(s), *missing = row_list(s), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(names, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        yyjson_mut_val *row = store_get(s, TABLE_TAG, name);
        if (row)
            row_put(s, out, name.p, shown(c, row));
        else
            row_append(s, missing, v);
    }
    if (yyjson_mut_arr_size(missing))
        refuse_text(c, 404, "Tags not found: " STR_FMT, STR_ARG(python_list(s, missing)));
    else
        reply(c, out);
}

/* ---- list ---- */

/* YYYY-MM-DD */
static bool check_date(struct call *c, struct str date)
{
    bool is_date = date.n == 10;

    for (size_t i = 0; is_date && i < date.n; i++)
        is_date = i == 4 || i == 7 ? date.p[i] == '-' : date.p[i] >= '0' && date.p[i] <= '9';
    if (is_date && memcmp(date.p + 5, "01", 2) >= 0 && memcmp(date.p + 5, "12", 2) <= 0 &&
        memcmp(date.p + 8, "01", 2) >= 0 && memcmp(date.p + 8, "31", 2) <= 0)
        return true;
    refuse_text(c, 400,
                "Invalid date format, expected YYYY-MM-DD: time data '" STR_FMT
                "' does not match format '%%Y-%%m-%%d'",
                STR_ARG(date));
    return false;
}

static bool check_dates(struct call *c, struct str from, struct str to)
{
    if (!from.p != !to.p) {
        refuse_text(c, 400, "start_date and end_date must be provided together");
        return false;
    }
    if (!from.p)
        return true;
    if (!check_date(c, from) || !check_date(c, to))
        return false;
    if (memcmp(from.p, to.p, 10) <= 0)
        return true;
    refuse_text(c, 400, "start_date must be on or before end_date");
    return false;
}

void api_tag_list(struct call *c)
{
    struct store *s = &c->store;
    struct str from = in_text(c, "start_date"), to = in_text(c, "end_date");
    yyjson_mut_val *rows, *out = row_list(s), *row;
    size_t i, n;

    if (!check_dates(c, from, to))
        return;
    rows = STORE_LIST(s, TABLE_TAG, "ORDER BY t.tag_name LIMIT $1", DB_INT(TAGS_MAX));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, out, shown(c, row));
    }
    tag_append_seen(s, out, from, to);
    reply(c, out);
}

void api_tag_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "name");
    yyjson_mut_val *was = store_lock(s, TABLE_TAG, name);

    if (is_missing(c, was))
        return;
    audit_deleted(c, TABLE_TAG, name, was);
    (void)store_delete(s, TABLE_TAG, name);
    reply_done(c, NULL, "deleted");
}
