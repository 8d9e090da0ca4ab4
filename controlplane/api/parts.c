#include "api/parts.h"

#include "common/gateway/duration.h"

#include "api/limits.h"
#include "audit/audit.h"

static const char *const budget_columns[] = {
    "max_budget", "soft_budget",     "max_parallel_requests", "tpm_limit",      "rpm_limit",
    "tpd_limit",  "budget_duration", "model_max_budget",      "budget_reset_at"};

/* ---- budgets ---- */

yyjson_mut_val *budget_values(struct call *c, const yyjson_mut_val *req, bool clears)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s);
    struct duration d;

    for (size_t i = 0; i < ARRAY_LEN(budget_columns); i++) {
        yyjson_mut_val *v = row_sent(req, budget_columns[i]);
        if (v && (clears || !yyjson_mut_is_null(v)))
            row_put(s, row, budget_columns[i], v);
    }
    if (!yyjson_mut_obj_size(row))
        return NULL;
    if (row_sent(row, "budget_duration") && !row_sent(row, "budget_reset_at")) {
        struct str text = row_text(row, "budget_duration");
        bool resets = duration_parse(text, &d);
        row_put_text(s, row, "budget_reset_at",
                     resets ? limit_next_reset(c, text) : (struct str){0});
    }
    return row;
}

struct str budget_create(struct call *c, const yyjson_mut_val *values)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = values ? row_copy(s, values) : row_new(s), *made;
    struct str id = row_text(row, "budget_id"), by = audit_actor(c);

    if (!id.n)
        id = store_uuid(s);
    row_put_text(s, row, "budget_id", id);
    row_put_text(s, row, "created_by", by);
    row_put_text(s, row, "updated_by", by);
    made = store_insert(s, TABLE_BUDGET, row);
    if (!made)
        return (struct str){0};
    audit_created(c, TABLE_BUDGET, id, made);
    return id;
}

void budget_change(struct call *c, struct str id, const yyjson_mut_val *values)
{
    struct store *s = &c->store;
    yyjson_mut_val *was = store_lock(s, TABLE_BUDGET, id), *changes = row_copy(s, values);

    row_put_text(s, changes, "updated_by", audit_actor(c));
    if (was && store_update(s, TABLE_BUDGET, id, changes))
        audit_updated(c, TABLE_BUDGET, id, was, changes);
}

/* ---- object permissions ---- */

void object_permission_put(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                           struct str existing)
{
    struct store *s = &c->store;
    yyjson_mut_val *wanted = row_val(req, "object_permission"), *made;

    if (!wanted)
        return;
    if (existing.n && yyjson_mut_obj_size(wanted) &&
        store_update(s, TABLE_OBJECT_PERMISSION, existing, wanted))
        return;
    made = row_copy(s, wanted);
    struct str id = store_uuid(s);
    row_put_text(s, made, "object_permission_id", id);
    (void)store_insert(s, TABLE_OBJECT_PERMISSION, made);
    row_put_text(s, row, "object_permission_id", id);
}

yyjson_mut_val *row_with_parts(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, row);
    struct str budget = row_text(row, "budget_id");
    struct str permission = row_text(row, "object_permission_id");

    row_put(s, out, "litellm_budget_table", budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL);
    row_put(s, out, "object_permission",
            permission.n ? store_get(s, TABLE_OBJECT_PERMISSION, permission) : NULL);
    return out;
}

/* ---- rows ---- */

void row_take(struct store *s, yyjson_mut_val *row, const yyjson_mut_val *req,
              const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (row_val(req, names[i]))
            row_put(s, row, names[i], row_val(req, names[i]));
}

struct str *row_texts(struct call *c, const yyjson_mut_val *list, size_t *ret_n)
{
    size_t i, n = yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)list);
    struct str *texts = arena_alloc(&c->arena, (n + 1) * sizeof *texts);
    yyjson_mut_val *v;

    *ret_n = texts ? n : 0;
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        if (texts)
            texts[i] = (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
    }
    return texts;
}

const char *sort_order(struct call *c, const struct sort_column *rows, size_t n, const char *dflt)
{
    struct str by = in_text(c, "sort_by"), order = in_text(c, "sort_order"), offered = {0};
    bool asc = str_ieq(order, STR("asc"));

    if (!by.p)
        return dflt;
    for (size_t i = 0; i < n; i++) {
        offered =
            arena_printf(&c->arena, STR_FMT "%s%s", STR_ARG(offered), i ? ", " : "", rows[i].name);
        if (!str_eq(by, str_of(rows[i].name)))
            continue;
        if (asc || str_ieq(order, STR("desc")))
            return asc ? rows[i].asc : rows[i].desc;
        refuse(c, 400, "Invalid sort order. Must be 'asc' or 'desc'");
        return NULL;
    }
    refuse(c, 400, "Invalid sort column. Must be one of: " STR_FMT, STR_ARG(offered));
    return NULL;
}

void refuse_value(struct call *c, const char *name, const char *text)
{
    struct store *s = &c->store;
    yyjson_mut_val *one = row_new(s), *loc = row_list(s), *list = row_list(s);

    row_append_text(s, loc, STR("body"));
    if (name)
        row_append_text(s, loc, str_of(name));
    row_put_text(s, one, "type", STR("value_error"));
    row_put(s, one, "loc", loc);
    row_put_text(s, one, "msg", arena_printf(&c->arena, "Value error, %s", text));
    row_append(s, list, one);
    refuse_invalid(c, list);
    c->refusal = str_of(text);
}
