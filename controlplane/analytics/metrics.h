#pragma once

/*
 * Sums of a report as two arrays, dollars and whole numbers, read from rows of a daily table or of
 * a query over one, added, and written as LiteLLM's SpendMetrics.
 */

#include "common/jw.h"

#include "store/tx.h"

enum metric_usd {
#define METRIC_USD(name, sum) USD_##name,
#define METRIC_COUNT(name, sum)
#include "analytics/metrics.def"
    USD_METRICS,
};

enum metric_count {
#define METRIC_USD(name, sum)
#define METRIC_COUNT(name, sum) COUNT_##name,
#include "analytics/metrics.def"
    COUNT_METRICS,
};

enum { METRIC_COLUMNS = USD_METRICS + COUNT_METRICS };

struct metrics {
    double usd[USD_METRICS];
    int64_t count[COUNT_METRICS];
};

/* METRIC_COLUMNS further columns of a SELECT, each behind its comma: of rows, and of groups. */
extern const char metrics_columns[];
extern const char metrics_sums[];

/* The METRIC_COLUMNS from `col` on. */
void metrics_read(struct metrics *ret, struct rows r, int row, int col);

struct str metric_count_name(enum metric_count m);

void metrics_add(struct metrics *to, const struct metrics *m);

/* The members, inside an object: "spend", ...; as totals "total_spend", ... */
void metrics_put(struct jw *w, const struct metrics *m);
void metrics_put_totals(struct jw *w, const struct metrics *m);

/*
 * Dollars as a decimal that reads as the same double, rounded to pico-dollars: what adding doubles
 * left behind is no money.
 */
enum { USD_TEXT = 32 };
void jw_put_usd(struct jw *w, double usd);
struct str usd_text(char out[USD_TEXT], double usd);
