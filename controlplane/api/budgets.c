/* Budgets that other objects refer to (litellm-controlplane.md 2.6). */

#include "api/parts.h"
#include "audit/audit.h"
#include "store/filter.h"

static bool is_missing(struct call *c, const yyjson_mut_val *row, struct str id)
{
    if (row)
        return false;
    refuse(c, 404, "Budget not found, budget_id=" STR_FMT, STR_ARG(id));
    return true;
}

void api_budget_new(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *values = budget_values(c, c->in, false);
    struct str id = in_text(c, "budget_id");

    if (!budget_check(c, c->in))
        return;
    if (!values)
        values = row_new(s);
    row_put_text(s, values, "budget_id", id);
    struct str made = budget_create(c, values);
    if (made.n)
        reply(c, store_get(s, TABLE_BUDGET, made));
    else
        refuse(c, 400, "Budget with id '" STR_FMT "' already exists.", STR_ARG(id));
}

void api_budget_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "budget_id");
    yyjson_mut_val *values = budget_values(c, c->in, true), *now;

    if (!id.p) {
        refuse(c, 400, "budget_id is required");
        return;
    }
    if (!budget_check(c, c->in) || is_missing(c, store_lock(s, TABLE_BUDGET, id), id))
        return;
    budget_change(c, id, values ? values : row_new(s));
    now = store_get(s, TABLE_BUDGET, id);
    if (now)
        reply(c, now);
}

void api_budget_info(struct call *c)
{
    size_t n;
    struct str *ids = row_texts(c, in_val(c, "budgets"), &n);

    if (!n) {
        refuse(c, 400, "Specify list of budget id's to query. Passed in=[]");
        return;
    }
    reply(c, STORE_LIST(&c->store, TABLE_BUDGET,
                        "WHERE t.budget_id = ANY ($1::text[]) ORDER BY t.budget_id LIMIT 1000",
                        DB_TEXTS(ids, n)));
}

void api_budget_settings(struct call *c)
{
    static const char *const types[] = {[FIELD_INTEGER] = "Integer",
                                        [FIELD_TEXT] = "String",
                                        [FIELD_NUMBER] = "Float",
                                        [FIELD_OBJECT] = "Object"};
    struct store *s = &c->store;
    yyjson_mut_val *row = store_get(s, TABLE_BUDGET, in_text(c, "budget_id")), *out = row_list(s);
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, FIELDS_BUDGET_LIMITS))) {
        yyjson_mut_val *one = row_new(s);
        row_put_text(s, one, "field_name", f->name);
        row_put_text(s, one, "field_type", str_of(types[f->type]));
        row_put_text(s, one, "field_description", str_of(f->sentence));
        row_put(s, one, "field_value", row_val(row, f->name.p));
        row_put_bool(s, one, "stored_in_db", true);
        row_put_null(s, one, "field_default_value");
        row_append(s, out, one);
    }
    reply(c, out);
}

void api_budget_list(struct call *c)
{
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");

    reply(c, STORE_LIST(&c->store, TABLE_BUDGET, "ORDER BY t.budget_id LIMIT $1 OFFSET $2",
                        DB_INT(size), DB_INT((page - 1) * size)));
}

void api_budget_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "id");
    yyjson_mut_val *was = store_lock(s, TABLE_BUDGET, id);

    if (is_missing(c, was, id))
        return;
    audit_deleted(c, TABLE_BUDGET, id, was);
    (void)store_delete(s, TABLE_BUDGET, id);
    reply(c, was);
}
