#include "analytics/metrics.h"

#include <math.h>

#include "common/num.h"

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

/* Members of SpendMetrics, in the order of the arrays, and as they are written. */
struct member {
    struct str name, key;
};
#define MEMBER(name)                                                                               \
    {                                                                                              \
        STR_INIT(#name), STR_INIT("\"" #name "\":")                                                \
    }

static const struct member usd_members[USD_METRICS] = {
#define METRIC_USD(name, sum) MEMBER(name),
#define METRIC_COUNT(name, sum)
#include "analytics/metrics.def"
};

static const struct member count_members[COUNT_METRICS] = {
#define METRIC_USD(name, sum)
#define METRIC_COUNT(name, sum) MEMBER(name),
#include "analytics/metrics.def"
};

/* Of provisioned capacity, whose cost is not split up here. */
static const struct member absent_members[] = {MEMBER(flat_cost), MEMBER(ptu_hours)};

struct str metric_count_name(enum metric_count m)
{
    return count_members[m].name;
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

/* Of a double that has no pico-dollars any more. */
static struct str large_text(char out[USD_TEXT], double usd)
{
    int n, digits = 15;

    do {
        n = snprintf(out, USD_TEXT, "%.*g", digits, usd);
    } while (digits++ < 17 && fabs(strtod(out, NULL) - usd) > 0);
    if (!strpbrk(out, ".en"))
        n += snprintf(out + n, USD_TEXT - (size_t)n, ".0");
    return (struct str){out, (size_t)n};
}

struct str usd_text(char out[USD_TEXT], double usd)
{
    enum { DECIMALS = 12 };
    char *p = out;

    if (!(fabs(usd) < 9000))
        return isfinite(usd) ? large_text(out, usd) : STR("0.0"); /* JSON has no NaN */
    int64_t pico = (int64_t)(usd * 1e12 + (usd < 0 ? -0.5 : 0.5));
    uint64_t v = pico < 0 ? 0 - (uint64_t)pico : (uint64_t)pico;
    uint64_t whole = v / UINT64_C(1000000000000), part = v % UINT64_C(1000000000000);

    if (pico < 0)
        *p++ = '-';
    p += num_put_u64(p, whole);
    *p++ = '.';
    for (int i = DECIMALS - 1; i >= 0; i--, part /= 10)
        p[i] = (char)('0' + part % 10);
    p += DECIMALS;
    while (p[-1] == '0' && p[-2] != '.')
        p--;
    return (struct str){out, (size_t)(p - out)};
}

void jw_put_usd(struct jw *w, double usd)
{
    char text[USD_TEXT];

    jw_put_raw(w, usd_text(text, usd));
}

static char *put_text(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

/* All members at once: a report has them ten thousands of times. */
void metrics_put(struct jw *w, const struct metrics *m)
{
    char out[METRIC_COLUMNS * 80], *p = out, usd[USD_TEXT];

    for (int i = 0; i < USD_METRICS; i++) {
        p = put_text(p, usd_members[i].key);
        p = put_text(p, usd_text(usd, m->usd[i]));
        *p++ = ',';
    }
    for (size_t i = 0; i < ARRAY_LEN(absent_members); i++) {
        p = put_text(p, absent_members[i].key);
        p = put_text(p, STR("0.0,"));
    }
    for (int i = 0; i < COUNT_METRICS; i++) {
        int64_t v = m->count[i];
        p = put_text(p, count_members[i].key);
        if (v < 0)
            *p++ = '-';
        p += num_put_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
        *p++ = ',';
    }
    jw_put_raw(w, (struct str){out, (size_t)(p - out) - 1}); /* without the last comma */
}

/* "spend" as "total_spend"; what is a total already keeps its name. */
static void put_total_key(struct jw *w, struct str name)
{
    char total[64] = "total_";

    if (!str_starts(name, STR("total_"))) {
        memcpy(total + 6, name.p, MIN(name.n, sizeof total - 6));
        name = (struct str){total, name.n + 6};
    }
    jw_key(w, name);
}

void metrics_put_totals(struct jw *w, const struct metrics *m)
{
    for (int i = 0; i < USD_METRICS; i++) {
        put_total_key(w, usd_members[i].name);
        jw_put_usd(w, m->usd[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(absent_members); i++) {
        put_total_key(w, absent_members[i].name);
        jw_put_raw(w, STR("0.0"));
    }
    for (int i = 0; i < COUNT_METRICS; i++) {
        put_total_key(w, count_members[i].name);
        jw_put_i64(w, m->count[i]);
    }
}
