/* GET /weir/spend/verify: the comparisons of the hourly job, now, without keeping what differs. GET
 * /weir/spend/differences: what the job kept. */

#include "common/num.h"

#include "api/reply.h"
#include "api/span.h"
#include "config.h"
#include "daemon.h"
#include "store/reconcile.h"

enum { DAYS_MAX = 366, FINDINGS_MAX = 1000 };

static void put_number(struct store *s, yyjson_mut_val *v, const char *name, struct str number)
{
    int64_t n = 0;

    if (num_i64(number, &n))
        row_put_int(s, v, name, n);
    else
        row_put(s, v, name, store_json(s, number));
}

static yyjson_mut_val *findings_list(struct store *s, const struct findings *f)
{
    yyjson_mut_val *list = row_list(s);

    for (size_t i = 0; i < f->n; i++) {
        const struct finding *one = &f->f[i];
        yyjson_mut_val *v = row_new(s);
        row_put_text(s, v, "check", str_of(one->check));
        row_put_text(s, v, "day", one->day.n ? one->day : (struct str){0});
        row_put_text(s, v, "kind", one->kind);
        row_put_text(s, v, "id", one->id);
        row_put_text(s, v, "field", one->field);
        put_number(s, v, "expected", one->expected);
        put_number(s, v, "found", one->found);
        (void)yyjson_mut_arr_append(list, v); /* fresh: no copy */
    }
    return list;
}

void api_spend_verify(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    int64_t rows = 0, n_days = 0, n_gone = 0;
    struct findings f;
    struct span span;

    if (!span_read(c, &span, 0))
        return;
    struct rows days = TX_QUERY(&s->tx,
                                "SELECT to_char(d, 'YYYY-MM-DD') FROM generate_series($1::date,"
                                " $2::date, interval '1 day') AS d LIMIT $3",
                                DB_TEXT(span.from), DB_TEXT(span.to), DB_INT(DAYS_MAX + 1));
    if (days.n > DAYS_MAX) {
        refuse(c, 400, "from, to: at most %d days at once", DAYS_MAX);
        return;
    }
    findings_init(&f, FINDINGS_MAX);
    for (int i = 0; i < days.n && tx_ok(&s->tx); i++) {
        int64_t n = reconcile_day(s, rows_text(days, i, 0), c->d->config->runs_jobs, &f);
        n_gone += n < 0;
        n_days += n >= 0;
        rows += MAX(n, INT64_C(0));
    }
    if (in_bool(c, "totals")) {
        reconcile_totals(s, &f);
        reconcile_spools(s, &f);
    }
    row_put_text(s, out, "from", span.from);
    row_put_text(s, out, "to", span.to);
    row_put_int(s, out, "days", n_days);
    row_put_int(s, out, "days_gone", n_gone);
    row_put_int(s, out, "rows", rows);
    row_put_bool(s, out, "totals", in_bool(c, "totals"));
    row_put_int(s, out, "differences_total", (int64_t)f.total);
    row_put(s, out, "differences", findings_list(s, &f));
    reply(c, out);
}

void api_spend_differences(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    struct rows r = TX_QUERY(
        &s->tx,
        "SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d.last_at DESC, d.id), '[]')::text FROM"
        " (SELECT id, \"check\", nullif(day, '') AS day, kind, entity, field, expected, found,"
        "  to_char(first_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS first_at,"
        "  to_char(last_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS last_at,"
        "  to_char(gone_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS gone_at"
        "  FROM weir.difference WHERE $1 OR gone_at IS NULL ORDER BY last_at DESC, id LIMIT $2) d",
        DB_BOOL(in_bool(c, "gone")), DB_INT(in_int(c, "limit")));

    if (!r.n)
        return; /* a fault */
    row_put(s, out, "differences", store_json(s, rows_text(r, 0, 0)));
    reply(c, out);
}
