/* What checks of deployments found, as a LiteLLM on this database wrote it down
 * (litellm-controlplane.md 2.16). */

#include "api/fields.h"
#include "api/reply.h"
#include "api/sealed.h"
#include "store/filter.h"

static yyjson_mut_val *shown(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, FIELDS_HEALTH_CHECK)))
        row_put(s, out, f->name.p, row_val(row, f->name.p));
    if (row_val(out, "details"))
        row_put(s, out, "details", values_mask(c, row_val(out, "details")));
    return out;
}

void api_health_history(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str model = in_text(c, "model"), status = in_text(c, "status_filter");
    int64_t limit = in_int(c, "limit"), offset = in_int(c, "offset");
    yyjson_mut_val *out = row_new(s), *list = row_list(s), *row;
    size_t i, n;

    if (model.n)
        FILTER_ADD(&f, "t.model_name = $?", DB_TEXT(model));
    if (status.n)
        FILTER_ADD(&f, "t.status = $?", DB_TEXT(status));
    yyjson_mut_arr_foreach(filter_page(s, TABLE_HEALTH_CHECK, &f,
                                       "t.checked_at DESC, t.health_check_id", limit, offset),
                           i, n, row)
    {
        row_append(s, list, shown(c, row));
    }
    row_put_int(s, out, "total_records", (int64_t)yyjson_mut_arr_size(list));
    row_put(s, out, "health_checks", list);
    row_put_int(s, out, "limit", limit);
    row_put_int(s, out, "offset", offset);
    reply(c, out);
}

void api_health_latest(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *checks = row_new(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach(
        STORE_LIST(s, TABLE_HEALTH_CHECK,
                   "JOIN (SELECT DISTINCT ON (model_id, model_name) health_check_id AS id"
                   "  FROM \"LiteLLM_HealthCheckTable\""
                   "  ORDER BY model_id, model_name, checked_at DESC) l ON l.id = t.health_check_id"
                   " ORDER BY t.model_name LIMIT $1",
                   DB_INT(10000)),
        i, n, row)
    {
        struct str id = row_text(row, "model_id");
        row_put(s, checks, id.n ? id.p : row_text(row, "model_name").p, shown(c, row));
    }
    row_put_int(s, out, "total_models", (int64_t)yyjson_mut_obj_size(checks));
    row_put(s, out, "latest_health_checks", checks);
    reply(c, out);
}

void api_health_license(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *limits = row_new(s);

    row_put_bool(s, out, "has_license", false);
    row_put_text(s, out, "license_type", STR("community"));
    row_put_null(s, out, "expiration_date");
    row_put(s, out, "allowed_features", row_list(s));
    row_put_null(s, limits, "max_users");
    row_put_null(s, limits, "max_teams");
    row_put(s, out, "limits", limits);
    reply(c, out);
}
