#include "api/limits.h"

#include "common/clock.h"
#include "common/gateway/duration.h"

#include "config.h"
#include "daemon.h"

enum { WINDOWS_MAX = 8 }; /* data planes count no more (dataplane/snapshot/identity.h) */

/* ---- checks ---- */

bool check_not_negative(struct call *c, const yyjson_mut_val *req, const char *name)
{
    double d;

    if (!row_num(req, name, &d) || d >= 0)
        return true;
    struct str n = python_float(&c->arena, d);
    refuse(c, 400, "%s must be a non-negative finite number. Received: " STR_FMT, name, STR_ARG(n));
    return false;
}

bool limit_check_duration(struct call *c, const yyjson_mut_val *req, const char *name)
{
    struct str s = row_text(req, name);
    struct duration d;

    if (!s.n || str_eq(s, STR("-1")) || duration_parse(s, &d))
        return true;
    refuse(c, 400, "Unsupported duration unit, passed duration: " STR_FMT, STR_ARG(s));
    return false;
}

bool limit_check_period(struct call *c, const yyjson_mut_val *req, const char *name)
{
    struct str s = row_text(req, name);
    struct duration d;

    if (!s.p || (duration_parse(s, &d) && d.n))
        return true;
    refuse(c, 400,
           "Invalid budget_duration '" STR_FMT "'. Use a format like '1h', '24h', '7d', or '30d'.",
           STR_ARG(s));
    return false;
}

/* A limit by model is a number, or an object with one. */
static bool check_model_budgets(struct call *c, const yyjson_mut_val *req)
{
    static const char *const limits[] = {"max_budget", "budget_limit", "tpm_limit", "rpm_limit"};
    yyjson_mut_val *models = row_val(req, "model_max_budget"), *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach(models, i, n, k, v)
    {
        bool is_number = yyjson_mut_is_num(v) && yyjson_mut_get_num(v) >= 0;
        if (!is_number && !yyjson_mut_is_obj(v)) {
            refuse(c, 400, "Invalid model_max_budget: the limit of %s is no such number or object.",
                   yyjson_mut_get_str(k));
            return false;
        }
        for (size_t x = 0; x < ARRAY_LEN(limits); x++)
            if (!check_not_negative(c, v, limits[x]))
                return false;
        if (!limit_check_period(c, v, "budget_duration"))
            return false;
    }
    return true;
}

bool budget_check(struct call *c, const yyjson_mut_val *req)
{
    static const char *const numbers[] = {"max_budget", "soft_budget", "max_parallel_requests",
                                          "tpm_limit",  "rpm_limit",   "tpd_limit"};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!check_not_negative(c, req, numbers[i]))
            return false;
    return limit_check_period(c, req, "budget_duration") && check_model_budgets(c, req);
}

bool limit_check_windows(struct call *c, const yyjson_mut_val *req)
{
    yyjson_mut_val *windows = row_val(req, "budget_limits"), *w;
    size_t i, n;

    if (yyjson_mut_arr_size(windows) > WINDOWS_MAX) {
        refuse(c, 400, "budget_limits: at most %d windows", WINDOWS_MAX);
        return false;
    }
    yyjson_mut_arr_foreach(windows, i, n, w)
    {
        if (!check_not_negative(c, w, "max_budget") ||
            !limit_check_duration(c, w, "budget_duration"))
            return false;
    }
    return true;
}

bool limit_check_metadata(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *stored)
{
    static const char *const reserved[] = {
        "temp_budget_increase", "temp_budget_expiry", "disable_global_guardrails",
        "allowed_passthrough_routes", "throttle_on_budget_exceeded"};

    for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
        yyjson_mut_val *v = row_val(row_val(req, "metadata"), reserved[i]);
        if (v && !yyjson_mut_equals(v, row_val(stored, reserved[i]))) {
            refuse(c, 403, "Only proxy admins can set %s. Your role=%s", reserved[i],
                   role_name(c->caller.role));
            return false;
        }
    }
    return true;
}

/* ---- parts of rows ---- */

struct str limit_next_reset(struct call *c, struct str duration)
{
    const struct config *config = c->d->config;
    struct rows r = TX_QUERY(&c->store.tx,
                             "SELECT to_char(weir.next_reset($1, to_timestamp($2::bigint / 1e6)"
                             " AT TIME ZONE 'UTC', weir.zone($3), $4::time),"
                             " 'YYYY-MM-DD\"T\"HH24:MI:SS.MS')",
                             DB_TEXT(duration), DB_INT(clock_wall_us()), DB_TEXT(config->zone),
                             DB_TEXT(config->reset_time));

    return rows_text(r, 0, 0);
}

void limit_put_period(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    struct str text = row_text(req, "budget_duration");
    struct duration d;

    if (!row_sent(req, "budget_duration"))
        return;
    bool resets = duration_parse(text, &d);
    row_put_text(s, row, "budget_duration", resets ? text : (struct str){0});
    row_put_text(s, row, "budget_reset_at", resets ? limit_next_reset(c, text) : (struct str){0});
}

void limit_put_windows(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = row_sent(req, "budget_limits");
    yyjson_mut_val *list, *w;
    struct duration d;
    size_t i, n;

    if (!sent)
        return;
    list = yyjson_mut_arr_size(sent) ? row_copy(s, sent) : NULL;
    yyjson_mut_arr_foreach(list, i, n, w)
    {
        struct str text = row_text(w, "budget_duration");
        if (!row_val(w, "reset_at") && duration_parse(text, &d))
            row_put_text(s, w, "reset_at",
                         arena_printf(&c->arena, STR_FMT "Z", STR_ARG(limit_next_reset(c, text))));
    }
    row_put(s, row, "budget_limits", list);
}
