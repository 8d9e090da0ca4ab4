/*
 * Pages in the order of a value out of packed entries (store/migrations/0017_log_packed.sql and
 * 0019_log_late.sql): the series of all of them are looked through, which tells how many match and
 * near which values the page lies; then the entries there are read. What is in no block, or was
 * written to since, is read as it is. All in one state of the database.
 */

#include "analytics/log_packed.h"

#include "common/num.h"

enum { MODELS_MAX = 1000 /* parts of a block */ };

/* ---- what its files share ---- */

void packed_fail(struct packed *p)
{
    if (tx_ok(&p->s->tx)) {
        p->s->tx.fault = DB_BUG;
        (void)err_set(&p->s->tx.err, ERRC_PROTO, 0, "packed log entries do not fit their block");
    }
}

struct log_key packed_key(const struct packed *p, double value, bool is_null, size_t source,
                          int64_t i)
{
    int64_t sign = p->q->asc ? 1 : -1;

    return (struct log_key){.is_null = is_null,
                            .value = is_null ? 0 : (double)sign * value,
                            .source = sign * (int64_t)source,
                            .i = sign * i};
}

void packed_each(struct packed *p, const struct packed_read *read)
{
    struct rows r;
    size_t at = 0;

    tx_open_bytes(&p->s->tx, read->sql, read->args, read->n_args);
    while ((r = tx_fetch_bytes(&p->s->tx, read->at_once)).n > 0)
        for (int i = 0; i < r.n; i++, at++)
            if (at == read->n || !read->fn(p, at, r, i, read->ctx)) {
                packed_fail(p);
                return;
            }
    if (at < read->n)
        packed_fail(p);
    tx_close_bytes(&p->s->tx);
}

/* ---- the page ---- */

static int64_t next_int(struct str *list)
{
    size_t n = 0;
    int64_t v = 0;

    while (list->n && (*list->p == '{' || *list->p == ','))
        *list = str_from(*list, 1);
    while (n < list->n && list->p[n] != ',' && list->p[n] != '}')
        n++;
    bool is_one = num_i64((struct str){list->p, n}, &v);
    *list = str_from(*list, n);
    return is_one ? v : -1;
}

/* By code whether it matches, and its model's place. */
static bool read_kinds(struct packed *p, const struct log_series *of)
{
    const struct filter *f = &p->q->series;
    bool of_models = p->q->sort == LOG_BY_MODEL;
    struct str sql = arena_printf(
        p->s->arena,
        "SELECT max(code), array_agg(code)::text, array_agg(m)::text, max(m), bool_or(is_null)"
        " FROM (SELECT code, %s AS m, %s AS is_null FROM weir.log_series"
        "  JOIN weir.log_code c ON c.series = id WHERE level = 0%s" STR_FMT ") s",
        of_models ? "dense_rank() OVER (ORDER BY model) - 1" : "0",
        of_models ? "model IS NULL" : "false", f->sql.n ? " AND " : "", STR_ARG(f->sql));

    p->n_models = 1;
    if (!of_models && !of->own.p)
        return true;
    struct rows r = sql.n ? tx_query(&p->s->tx, sql.p, f->args, f->n) : (struct rows){0};
    struct str codes = rows_text(r, 0, 1), models = rows_text(r, 0, 2);
    p->n_kinds = rows_is_null(r, 0, 0) ? 0 : (uint32_t)rows_int(r, 0, 0) + 1;
    p->n_models = (unsigned)rows_int(r, 0, 3) + 1;
    p->has_null = rows_bool(r, 0, 4);
    p->kinds = arena_alloc(p->s->arena, (p->n_kinds + 1) * sizeof *p->kinds);
    if (!p->kinds || !p->n_kinds || p->n_models > MODELS_MAX)
        return false;
    memset(p->kinds, 0xff, (p->n_kinds + 1) * sizeof *p->kinds); /* -1 */
    while (codes.n > 1) {
        int64_t code = next_int(&codes), model = next_int(&models);
        if (code >= 0 && code < p->n_kinds)
            p->kinds[code] = (int16_t)model;
    }
    return true;
}

bool log_page_packed(struct store *s, const struct log_query *q, const struct log_series *of,
                     struct log_page *ret)
{
    struct packed p = {
        .s = s, .q = q, .by_kind = q->sort == LOG_BY_MODEL || q->sort == LOG_BY_START};
    const struct hit *page = NULL;
    size_t n;

    tx_begin_read_only(&s->tx);
    bool is_there = packed_find_sources(&p) && read_kinds(&p, of);
    if (is_there) {
        packed_find_lates(&p);
        is_there = packed_read_live(&p, of);
    }
    if (is_there) {
        packed_choose(&p);
        ret->total = packed_scan(&p, &page, &n);
        if (n)
            ret->rows = packed_read_rows(&p, page, n);
    }
    tx_end_read_only(&s->tx);
    return is_there;
}
