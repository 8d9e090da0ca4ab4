/* Customers: people behind clients, named by requests (litellm-controlplane.md 2.5). */

#include "api/parts.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"
#include "store/filter.h"

enum { IDS_MAX = 500 };

static const char *const columns[] = {"alias",         "blocked", "spend", "allowed_model_region",
                                      "default_model", "models"};

static void refuse_missing(struct call *c, const char *param, struct str id)
{
    refuse_as(c, 404, "not_found", param, "End User Id=" STR_FMT " does not exist in db",
              STR_ARG(id));
}

/* ---- values ---- */

static bool is_model(struct call *c, struct str name)
{
    const struct conf_node *models = c->d->config->file.value[SETTING_TOP_model_list];

    CONF_FOREACH(models, m)
    {
        const struct conf_node *of = conf_get(m, STR("model_name"));
        if (of && str_eq(of->text, name))
            return true;
    }
    return TX_QUERY(&c->store.tx,
                    "SELECT FROM \"LiteLLM_ProxyModelTable\" WHERE model_name = $1 LIMIT 1",
                    DB_TEXT(name))
               .n > 0;
}

static bool check_values(struct call *c)
{
    struct str model = in_text(c, "default_model");

    if (in_set(c, "max_budget") && in_set(c, "budget_id")) {
        refuse_value(c, NULL, "Set either 'max_budget' or 'budget_id', not both.");
        return false;
    }
    if (!budget_check(c, c->in) || !check_not_negative(c, c->in, "spend"))
        return false;
    if (!model.n || is_model(c, model))
        return true;
    refuse(c, 422,
           "Default Model not on proxy. Configure via `/model/new` or config.yaml. "
           "Default_model=" STR_FMT,
           STR_ARG(model));
    return false;
}

/* ---- one ---- */

void api_customer_new(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "user_id"), budget = in_text(c, "budget_id");
    yyjson_mut_val *row = row_new(s), *values = budget_values(c, c->in, false), *made;

    if (!check_values(c))
        return;
    if (store_get(s, TABLE_END_USER, id)) {
        refuse_as(c, 400, "bad_request", "user_id",
                  "Customer already exists, passed user_id=" STR_FMT ". Please pass a new user_id.",
                  STR_ARG(id));
        return;
    }
    row_put_text(s, row, "user_id", id);
    row_take(s, row, c->in, columns, ARRAY_LEN(columns));
    row_put_text(s, row, "budget_id", values ? budget_create(c, values) : budget);
    object_permission_put(c, row, c->in, (struct str){0});
    made = store_insert(s, TABLE_END_USER, row);
    if (!made)
        return;
    audit_created(c, TABLE_END_USER, id, made);
    reply(c, row_with_parts(c, made));
}

void api_customer_info(struct call *c)
{
    struct str id = in_text(c, "end_user_id");
    yyjson_mut_val *row = store_get(&c->store, TABLE_END_USER, id);

    if (row)
        reply(c, row_with_parts(c, row));
    else
        refuse_missing(c, "end_user_id", id);
}

void api_customer_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "user_id");
    yyjson_mut_val *was = store_lock(s, TABLE_END_USER, id), *changes = row_new(s), *now;
    yyjson_mut_val *values = budget_values(c, c->in, false);

    if (!was) {
        refuse_missing(c, "user_id", id);
        return;
    }
    if (!check_values(c))
        return;
    row_take(s, changes, c->in, columns, ARRAY_LEN(columns));
    if (in_set(c, "budget_id"))
        row_put_text(s, changes, "budget_id", in_text(c, "budget_id"));
    if (values && row_val(was, "budget_id"))
        budget_change(c, row_text(was, "budget_id"), values);
    else if (values)
        row_put_text(s, changes, "budget_id", budget_create(c, values));
    object_permission_put(c, changes, c->in, row_text(was, "object_permission_id"));
    row_put_text(s, changes, "user_id", id);
    now = store_update(s, TABLE_END_USER, id, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_END_USER, id, was, changes);
    reply(c, row_with_parts(c, now));
}

void api_customer_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");
    struct str search = in_text(c, "search");
    yyjson_mut_val *rows, *out = row_list(s), *row;
    size_t i, n;

    if (search.n) {
        struct str like = filter_contains(&c->arena, search);
        FILTER_ADD(&f, "t.user_id ILIKE $? OR t.alias ILIKE $?", DB_TEXT(like), DB_TEXT(like));
    }
    rows = filter_page(s, TABLE_END_USER, &f, "t.user_id", size, (page - 1) * size);
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, out, row_with_parts(c, row));
    }
    reply(c, out);
}

/* ---- many ---- */

/* The ids that were named; false with an answer when there are none, or too many. */
static bool ids_of(struct call *c, struct str **ret_ids, size_t *ret_n)
{
    *ret_ids = row_texts(c, in_val(c, "user_ids"), ret_n);
    if (*ret_n && *ret_n <= IDS_MAX)
        return true;
    if (*ret_n)
        refuse(c, 400, "Maximum %d customers can be named at once. Found %zu.", IDS_MAX, *ret_n);
    else
        refuse(c, 400, "user_ids is required, passed user_ids = []");
    return false;
}

/* The rows by id, locked in order; false with a 404 that names those that are not there. */
static bool lock_all(struct call *c, const struct str *ids, size_t n, yyjson_mut_val **ret_rows)
{
    struct str missing = {0};
    struct rows r =
        TX_QUERY(&c->store.tx,
                 "SELECT string_agg(id, ', ' ORDER BY o) FROM unnest($1::text[]) WITH ORDINALITY"
                 " u (id, o) WHERE NOT EXISTS (SELECT FROM \"LiteLLM_EndUserTable\""
                 " WHERE user_id = id)",
                 DB_TEXTS(ids, n));

    missing = rows_text(r, 0, 0);
    *ret_rows = STORE_LIST(&c->store, TABLE_END_USER,
                           "WHERE t.user_id = ANY ($1::text[]) ORDER BY t.user_id FOR UPDATE",
                           DB_TEXTS(ids, n));
    if (!missing.n)
        return true;
    refuse_as(c, 404, "not_found", "user_ids", "End User Id(s)=" STR_FMT " do not exist in db",
              STR_ARG(missing));
    return false;
}

void api_customer_delete(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *rows, *row, *out = row_new(s);
    struct str *ids;
    size_t i, n;

    if (!ids_of(c, &ids, &n) || !lock_all(c, ids, n, &rows))
        return;
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        audit_deleted(c, TABLE_END_USER, row_text(row, "user_id"), row);
        (void)store_delete(s, TABLE_END_USER, row_text(row, "user_id"));
    }
    struct str names = python_list(s, in_val(c, "user_ids"));
    row_put_int(s, out, "deleted_customers", (int64_t)yyjson_mut_arr_size(rows));
    row_put_text(s, out, "message",
                 arena_printf(&c->arena, "Successfully deleted customers with ids: " STR_FMT,
                              STR_ARG(names)));
    reply(c, out);
}

static yyjson_mut_val *set_blocked(struct call *c, struct str id, bool blocked)
{
    struct store *s = &c->store;
    yyjson_mut_val *changes = row_new(s), *was, *now;

    row_put_text(s, changes, "user_id", id);
    row_put_bool(s, changes, "blocked", blocked);
    now = store_insert(s, TABLE_END_USER, changes);
    if (now) {
        audit_created(c, TABLE_END_USER, id, now);
        return now;
    }
    was = store_lock(s, TABLE_END_USER, id);
    now = store_update(s, TABLE_END_USER, id, changes);
    if (now)
        audit_write(c, AUDIT_BLOCKED, TABLE_END_USER, id, was, changes);
    return now;
}

static void reply_blocked(struct call *c, const yyjson_mut_val *list)
{
    yyjson_mut_val *out = row_new(&c->store);

    row_put(&c->store, out, "blocked_users", list);
    reply(c, out);
}

void api_customer_block(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *done = row_list(s);
    struct str *ids;
    size_t n;

    if (!ids_of(c, &ids, &n))
        return;
    for (size_t i = 0; i < n; i++)
        row_append(s, done, set_blocked(c, ids[i], true));
    reply_blocked(c, done);
}

void api_customer_unblock(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *rows, *row, *left = row_list(s);
    struct str *ids;
    size_t i, n;

    if (!ids_of(c, &ids, &n) || !lock_all(c, ids, n, &rows))
        return;
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        (void)set_blocked(c, row_text(row, "user_id"), false);
    }
    rows = STORE_LIST(s, TABLE_END_USER, "WHERE t.blocked ORDER BY t.user_id LIMIT $1",
                      DB_INT(IDS_MAX));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, left, row_val(row, "user_id"));
    }
    reply_blocked(c, left);
}
