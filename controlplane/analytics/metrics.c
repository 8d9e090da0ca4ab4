#include "analytics/metrics.h"

#include <math.h>

const char metrics_columns[] = ""
#define METRIC_USD(name, sum)   "," sum
#define METRIC_COUNT(name, sum) "," sum
#include "analytics/metrics.def"
    ;

const char metrics_sums[] = ""
#define METRIC_USD(name, sum)   ",sum(" sum ") AS " #name
#define METRIC_COUNT(name, sum) ",sum(" sum ")::bigint AS " #name
#include "analytics/metrics.def"
    ;

/* Members of SpendMetrics, in the order of the arrays. */
static const struct str usd_names[USD_METRICS] = {
#define METRIC_USD(name, sum) STR_INIT(#name),
#define METRIC_COUNT(name, sum)
#include "analytics/metrics.def"
};

static const struct str count_names[COUNT_METRICS] = {
#define METRIC_USD(name, sum)
#define METRIC_COUNT(name, sum) STR_INIT(#name),
#include "analytics/metrics.def"
};

/* Of provisioned capacity, whose cost is not split up here. */
static const struct str absent_names[] = {STR_INIT("flat_cost"), STR_INIT("ptu_hours")};

struct str metric_count_name(enum metric_count m)
{
    return count_names[m];
}

void metrics_read(struct metrics *ret, struct rows r, int row, int col)
{
    for (int i = 0; i < USD_METRICS; i++)
        ret->usd[i] = rows_num(r, row, col + i);
    for (int i = 0; i < COUNT_METRICS; i++)
        ret->count[i] = rows_int(r, row, col + USD_METRICS + i);
}

void metrics_add(struct metrics *to, const struct metrics *m)
{
    for (int i = 0; i < USD_METRICS; i++)
        to->usd[i] += m->usd[i];
    for (int i = 0; i < COUNT_METRICS; i++) /* a row of nonsense wraps, and no more */
        to->count[i] = (int64_t)((uint64_t)to->count[i] + (uint64_t)m->count[i]);
}

struct str usd_text(char out[32], double usd)
{
    int n = 0, digits = 15;

    if (fabs(usd) < 9000) { /* beyond, a double has no pico-dollars */
        int64_t pico = (int64_t)(usd * 1e12 + (usd < 0 ? -0.5 : 0.5));
        if (!pico)
            return STR("0.0");
        usd = (double)pico / 1e12;
    }
    do {
        n = snprintf(out, 32, "%.*g", digits, usd);
    } while (digits++ < 17 && fabs(strtod(out, NULL) - usd) > 0);
    if (!strpbrk(out, ".en")) {
        out[n++] = '.';
        out[n++] = '0';
    }
    return (struct str){out, (size_t)n};
}

void jw_put_usd(struct jw *w, double usd)
{
    char text[32];

    jw_put_raw(w, usd_text(text, isfinite(usd) ? usd : 0)); /* JSON has no NaN */
}

/* "spend" as "total_spend"; what is a total already keeps its name. */
static void put_key(struct jw *w, struct str name, bool is_total)
{
    char total[64] = "total_";

    if (is_total && !str_starts(name, STR("total_"))) {
        memcpy(total + 6, name.p, MIN(name.n, sizeof total - 6));
        name = (struct str){total, name.n + 6};
    }
    jw_key(w, name);
}

static void put(struct jw *w, const struct metrics *m, bool is_total)
{
    for (int i = 0; i < USD_METRICS; i++) {
        put_key(w, usd_names[i], is_total);
        jw_put_usd(w, m->usd[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent_names); i++) {
        put_key(w, absent_names[i], is_total);
        jw_put_raw(w, STR("0.0"));
    }
    for (int i = 0; i < COUNT_METRICS; i++) {
        put_key(w, count_names[i], is_total);
        jw_put_i64(w, m->count[i]);
    }
}

void metrics_put(struct jw *w, const struct metrics *m)
{
    put(w, m, false);
}

void metrics_put_totals(struct jw *w, const struct metrics *m)
{
    put(w, m, true);
}
