/* What checks of deployments found, as a LiteLLM on this database wrote it down; and how this
 * process is, as LiteLLM's diagnostics word it (litellm-controlplane.md 2.16). */

#include "common/clock.h"

#include "api/fields.h"
#include "api/reply.h"
#include "api/sealed.h"
#include "api/settings.h"
#include "daemon.h"
#include "lane.h"
#include "publish/hub.h"
#include "publish/publish.h"
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

/* ---- this process ---- */

/* No checks run in the background, so none are shared. */
void api_health_shared_status(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_bool(s, out, "shared_health_check_enabled", false);
    row_put_text(s, out, "message", STR("Shared health check is not enabled"));
    reply(c, out);
}

void api_health_backlog(struct call *c)
{
    struct store *s = &c->store;
    struct lane_load sum = {0};
    yyjson_mut_val *out = row_new(s);

    for (enum route_lane l = LANE_CRUD; l < LANES; l++) {
        struct lane_load one = lane_load(c->d->lane[l]);
        sum.running += one.running;
        sum.queued += one.queued;
        sum.refused += one.refused;
    }
    row_put_int(s, out, "in_flight_requests", (int64_t)sum.running + sum.queued);
    row_put_int(s, out, "admitted_requests", sum.running);
    row_put_int(s, out, "queued_requests", sum.queued);
    row_put_int(s, out, "rejected_requests", (int64_t)sum.refused);
    reply(c, out);
}

void api_health_readiness_details(struct call *c)
{
    static const char *const never[] = {"use_aiohttp_transport", "is_detailed_debug",
                                        "show_no_redis_warning",
                                        "show_env_credential_login_warning"};
    struct store *s = &c->store;
    struct hub *hub = publish_hub(c->d->publish);
    struct revision now = hub_revision(hub);
    struct hub_applied planes = hub_applied(hub, now, clock_mono_ns());
    yyjson_mut_val *out = row_new(s);

    (void)TX_QUERY0(&s->tx, "SELECT 1"); /* the database answers, or this is 503 */
    row_put_text(s, out, "status", STR("healthy"));
    row_put_text(s, out, "db", STR("connected"));
    row_put_null(s, out, "cache");
    row_put_text(s, out, "litellm_version", STR(WEIR_VERSION));
    row_put(s, out, "success_callbacks", row_list(s));
    row_put_text(s, out, "log_level", STR("INFO"));
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        row_put_bool(s, out, never[i], false);
    row_put_int(s, out, "epoch", (int64_t)now.epoch);
    row_put_int(s, out, "revision", (int64_t)now.n);
    row_put_int(s, out, "data_planes", planes.all);
    row_put_int(s, out, "data_planes_current", planes.have);
    reply(c, out);
}

/* Callbacks that run: none. */
void api_active_callbacks(struct call *c)
{
    static const char *const lists[] = {
        "litellm.callbacks",
        "litellm.input_callback",
        "litellm.failure_callback",
        "litellm.success_callback",
        "litellm._async_success_callback",
        "litellm._async_failure_callback",
        "litellm._async_input_callback",
        "all_litellm_callbacks",
    };
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *timeout = setting_get(c, SETTING_LITELLM_request_timeout);

    row_put_text(s, out, "alerting", STR("None"));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        row_put(s, out, lists[i], row_list(s));
    row_put_int(s, out, "num_callbacks", 0);
    row_put_int(s, out, "num_alerting", 0);
    row_put(s, out, "litellm.request_timeout",
            timeout ? timeout : store_json(s, setting_at(SETTING_LITELLM_request_timeout)->dflt));
    reply(c, out);
}
