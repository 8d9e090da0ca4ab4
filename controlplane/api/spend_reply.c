/* Answers made of rows: a JSON array, or CSV. */

#include "analytics/csv.h"
#include "api/report.h"
#include "api/spend.h"

bool wants_csv(const struct call *c)
{
    struct str format = in_text(c, "format");

    return format.p ? str_eq(format, STR("csv"))
                    : str_find(in_header(c, STR("accept")), STR("text/csv")) != SIZE_MAX;
}

void spend_begin(struct call *c)
{
    report_begin(c);
    log_begin(&c->store);
}

/* ---- rows one after the other ---- */

struct list {
    struct out out;
    struct csv csv;
    bool is_csv, begun;
};

static void list_begin(struct list *l, struct call *c)
{
    *l = (struct list){.is_csv = wants_csv(c)};
    if (l->is_csv)
        out_begin_file(&l->out, c, STR("text/csv; charset=utf-8"), STR("spend.csv"));
    else
        out_begin(&l->out, c, STR("application/json"));
    l->csv = csv_init(&l->out.w);
    if (!l->is_csv)
        jw_arr(&l->out.w);
}

static void put_cell(struct csv *csv, yyjson_val *v)
{
    if (yyjson_is_str(v)) {
        csv_put(csv, (struct str){yyjson_get_str(v), yyjson_get_len(v)});
    } else if (!v || yyjson_is_null(v)) {
        csv_put(csv, STR(""));
    } else {
        size_t n;
        char *text = yyjson_val_write(v, 0, &n);
        struct str s = {text, text ? n : 0};
        if (yyjson_is_ctn(v))
            csv_put(csv, s);
        else
            csv_put_raw(csv, s);
        free(text);
    }
}

static void list_put_csv(struct list *l, struct str json)
{
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    size_t i, n;
    yyjson_val *key, *v;

    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, n, key, v)
    {
        if (!l->begun)
            csv_put(&l->csv, (struct str){yyjson_get_str(key), yyjson_get_len(key)});
    }
    if (!l->begun)
        csv_end(&l->csv);
    l->begun = true;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, n, key, v)
    {
        put_cell(&l->csv, v);
    }
    csv_end(&l->csv);
    yyjson_doc_free(doc);
}

static void list_put(struct list *l, struct rows r)
{
    for (int i = 0; i < r.n && out_wants(&l->out); i++) {
        if (l->is_csv)
            list_put_csv(l, rows_text(r, i, 0));
        else
            jw_put_raw(&l->out.w, rows_text(r, i, 0));
    }
}

static void list_end(struct list *l)
{
    if (!l->is_csv)
        jw_end(&l->out.w);
    out_end(&l->out);
}

/* ---- answers ---- */

void reply_rows(struct call *c, struct rows r)
{
    struct list l;

    list_begin(&l, c);
    list_put(&l, r);
    list_end(&l);
}

void reply_cursor(struct call *c, struct str sql, const struct db_arg *args, int n_args,
                  unsigned piece)
{
    struct tx *tx = &c->store.tx;
    struct rows r;
    struct list l;

    if (!sql.n)
        return;
    log_begin(&c->store);
    tx_open_cursor(tx, sql.p, args, n_args);
    if (!tx_ok(tx))
        return;
    list_begin(&l, c);
    while (out_wants(&l.out) && (r = tx_fetch(tx, piece)).n)
        list_put(&l, r);
    tx_end_read_only(tx);
    list_end(&l);
}

void reply_query(struct call *c, const char *sql, const struct db_arg *args, int n_args)
{
    struct str whole = arena_printf(&c->arena, "SELECT row_to_json(r) FROM (%s) r", sql);

    spend_begin(c);
    if (whole.n)
        reply_rows(c, tx_query(&c->store.tx, whole.p, args, n_args));
}

/* ---- days ---- */

bool in_day(struct call *c, const char *name, struct str *ret)
{
    int32_t day;

    *ret = in_text(c, name);
    if (!ret->p || day_read(*ret, &day))
        return true;
    refuse(c, 400, "%s must be a YYYY-MM-DD date, got " STR_FMT, name,
           STR_ARG(python_repr(&c->arena, *ret)));
    return false;
}

bool in_days(struct call *c, struct days *ret)
{
    if (in_text(c, "start_date").p && in_text(c, "end_date").p)
        return in_day(c, "start_date", &ret->from) && in_day(c, "end_date", &ret->to);
    refuse(c, 400, "Please provide start_date and end_date");
    return false;
}
