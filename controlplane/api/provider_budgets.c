/* GET /provider/budgets: what the configuration allows each provider, and what was spent of it. */

#include "common/clock.h"
#include "common/gateway/duration.h"

#include "analytics/metrics.h"
#include "analytics/range.h"
#include "api/report.h"
#include "config.h"
#include "daemon.h"

/* Days of the ledger since the period began; what is shorter than a day counts from midnight. */
static double spent(struct call *c, struct str provider, int64_t seconds)
{
    int32_t today = day_of(clock_wall_us());
    int32_t from = today - (int32_t)MIN(MAX((seconds + 86399) / 86400, 1) - 1, INT64_C(36500));
    struct rows r = TX_QUERY(&c->store.tx,
                             "SELECT sum(spend) FROM \"LiteLLM_DailyUserSpend\""
                             " WHERE date >= $1 AND custom_llm_provider = $2",
                             DB_TEXT(day_text(&c->arena, from)), DB_TEXT(provider));

    return rows_num(r, 0, 0);
}

static void put_provider(struct call *c, struct jw *w, const struct conf_node *one)
{
    const struct conf_node *limit = conf_get(one, STR("max_budget"));
    struct str period = {0}, name = {0};
    int64_t now = clock_wall_us(), seconds = 86400;
    struct duration d;
    bool has_period = false;

    if (!limit)
        limit = conf_get(one, STR("budget_limit"));
    if (conf_text(NULL, conf_get(one, STR("budget_duration")), &period) ||
        conf_text(NULL, conf_get(one, STR("time_period")), &period))
        has_period = duration_parse(period, &d);
    if (has_period)
        seconds = duration_seconds(d, now);
    name = one->key;
    jw_key(w, name);
    jw_obj(w);
    jw_key(w, STR("budget_limit"));
    if (limit && (limit->kind == CONF_INT || limit->kind == CONF_FLOAT))
        jw_put_raw(w, limit->text);
    else
        jw_put_null(w);
    jw_key(w, STR("time_period"));
    if (period.n)
        jw_put_str(w, period);
    else
        jw_put_null(w);
    jw_key(w, STR("spend"));
    jw_put_usd(w, spent(c, name, seconds));
    jw_key(w, STR("budget_reset_at"));
    if (has_period)
        jw_put_str(w, arena_printf(&c->arena, STR_FMT "Z",
                                   STR_ARG(store_time(&c->store, duration_next_reset(d, now)))));
    else
        jw_put_null(w);
    jw_end(w);
}

void api_provider_budgets(struct call *c)
{
    const struct conf_node *budgets = conf_get(
        conf_get(c->d->config->file.root, STR("router_settings")), STR("provider_budget_config"));
    struct out o;

    if (!budgets || budgets->kind != CONF_MAP) {
        refuse_text(c, 404,
                    "No provider budget config found. Please set a provider budget config in the "
                    "router settings. https://docs.litellm.ai/docs/proxy/provider_budget_routing");
        return;
    }
    report_begin(c);
    out_begin(&o, c, STR("application/json"));
    jw_obj(&o.w);
    jw_key(&o.w, STR("providers"));
    jw_obj(&o.w);
    CONF_FOREACH(budgets, one)
    put_provider(c, &o.w, one);
    jw_end(&o.w);
    jw_end(&o.w);
    out_end(&o);
}
