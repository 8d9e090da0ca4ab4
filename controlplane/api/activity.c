/* Daily activity: pages of rows, and all days at once (litellm-controlplane.md 2.13). */

#include "api/activity_priv.h"

enum {
    PAGE_SIZE_MAX = 5000,
    SLICE_DAYS = 31,
    SLICE_ROWS = 20000, /* beyond, a slice is cut in half */
    ENTITIES_MAX = 50000,
    SLICE_MEMORY = 48 * 1024 * 1024,
};

#define DIM_COLUMNS                                                                                \
    "d.model, d.model_group, d.custom_llm_provider, d.endpoint, d.mcp_namespaced_tool_name"
#define ROW_COLUMNS "d.date, " DIM_COLUMNS ", d.entity, d.api_key"

/* Rows of fold_rows(). */
static const struct daily_statement rows_of_page = {ROW_COLUMNS, metrics_columns,
                                                    "ORDER BY d.date DESC, d.id LIMIT $7 OFFSET $8",
                                                    NULL, DAILY_ROWS};
static const struct daily_statement rows_of_keys = {
    ROW_COLUMNS, metrics_columns, "AND d.api_key = ANY ($7) ORDER BY d.date DESC LIMIT $8", NULL,
    DAILY_ROWS};
static const struct daily_statement cells = {"d.date, " DIM_COLUMNS ", NULL, NULL", metrics_sums,
                                             "GROUP BY d.date, " DIM_COLUMNS, NULL, DAILY_BY_CELL};
static const struct daily_statement entities = {
    "d.date, NULL, NULL, NULL, NULL, NULL, d.entity, NULL", metrics_sums,
    "GROUP BY d.date, d.entity LIMIT $7", NULL, DAILY_BY_ENTITY};

/* ---- rows to sums ---- */

static void fold_rows(struct fold *f, struct rows r, unsigned parts)
{
    struct fold_row row;

    for (int i = 0; i < r.n; i++) {
        row.date = rows_text(r, i, 0);
        for (int k = 0; k < DIMS; k++)
            row.dim[k] = rows_text(r, i, 1 + k);
        metrics_read(&row.m, r, i, 1 + DIMS);
        fold_add(f, &row, parts);
    }
}

static void describe(struct fold *f, enum fold_dim dim, struct rows r)
{
    for (int i = 0; i < r.n; i++)
        fold_describe(f, dim, rows_text(r, i, 0), rows_text(r, i, 1));
}

/* A key by the name it has in the fold; its own may be another. */
static void describe_keys(struct call *c, struct fold *f)
{
    const struct str *names;
    size_t n = fold_names(f, DIM_KEY, &names);
    struct str *keys = arena_alloc(&c->arena, (n + 1) * sizeof *keys);

    if (!keys || !names)
        return;
    for (size_t i = 0; i < n; i++)
        keys[i] = key_of_bucket(names[i]);
    struct rows r = daily_keys(&c->store, keys, n);
    for (int i = 0; i < r.n; i++) {
        struct str key = rows_text(r, i, 0);
        fold_describe(f, DIM_KEY, key_bucket(&c->arena, key),
                      key.n ? rows_text(r, i, 1) : STR(ACTIVITY_NO_KEY));
    }
}

void activity_describe(struct call *c, struct fold *f, enum daily_kind kind)
{
    const struct str *names;
    size_t n = fold_names(f, DIM_ENTITY, &names);

    describe(f, DIM_ENTITY, daily_entities(&c->store, kind, names, names ? n : 0));
    describe_keys(c, f);
    /* paid for as a whole, whatever its requests cost */
    fold_describe(f, DIM_PROVIDER, STR("chatgpt"), STR("{\"subscription_covered\":true}"));
}

/* ---- a page ---- */

static bool check_page(struct call *c, int64_t page, int64_t size)
{
    if (page < 1 || size < 1)
        refuse_text(c, 400, "page and page_size must be >= 1, got page=%lld, page_size=%lld",
                    (long long)page, (long long)size);
    else if (size > PAGE_SIZE_MAX)
        refuse_text(c, 400, "page_size must be <= %d, got page_size=%lld", PAGE_SIZE_MAX,
                    (long long)size);
    return page >= 1 && size >= 1 && size <= PAGE_SIZE_MAX;
}

struct page {
    int64_t page, size; /* as asked */
    int64_t first;      /* row of all */
    int64_t total;
    int64_t skip; /* of the days it lies in */
    bool is_empty;
};

/* Counts, and narrows the scope to the days that the page lies in: a late page costs no more than
 * an early one. */
static void page_find(struct call *c, struct page *p, struct daily_scope *sc)
{
    static const struct daily_statement by_day = {"d.date, sum(d.n)::bigint", NULL,
                                                  "GROUP BY d.date ORDER BY d.date DESC", NULL,
                                                  DAILY_BY_CELL};
    struct rows r = DAILY_QUERY0(&c->store, sc, &by_day);

    p->is_empty = true;
    for (int i = 0; i < r.n; i++) {
        int64_t before = p->total;
        p->total += rows_int(r, i, 1);
        if (p->total <= p->first || before >= p->first + p->size)
            continue;
        sc->from = rows_text(r, i, 0);
        if (p->is_empty) {
            sc->to = sc->from;
            p->skip = p->first - before;
        }
        p->is_empty = false;
    }
}

static void page_put(struct jw *w, const struct metrics *total, int64_t page, int64_t total_pages,
                     bool has_more)
{
    metrics_put_totals(w, total);
    jw_key(w, STR("page"));
    jw_put_i64(w, page);
    jw_key(w, STR("total_pages"));
    jw_put_i64(w, total_pages);
    jw_key(w, STR("has_more"));
    jw_put_bool(w, has_more);
}

void api_activity(struct call *c)
{
    struct page p = {.page = in_int(c, "page"), .size = in_int(c, "page_size")};
    struct store *s = &c->store;
    struct daily_scope sc;
    struct rows r = {0};
    struct out o;

    if (!activity_scope(c, false, &sc) || !check_page(c, p.page, p.size))
        return;
    if (__builtin_mul_overflow(p.page - 1, p.size, &p.first))
        p.first = INT64_MAX - PAGE_SIZE_MAX;
    report_begin(c);
    page_find(c, &p, &sc);
    if (!p.is_empty)
        r = DAILY_QUERY(s, &sc, &rows_of_page, DB_INT(p.size), DB_INT(p.skip));
    struct fold *f = fold_new(&c->arena);
    if (!f || !tx_ok(&s->tx))
        return;
    fold_rows(f, r, FOLD_ALL);
    activity_describe(c, f, sc.kind);
    out_begin(&o, c, STR("application/json"));
    jw_obj(&o.w);
    jw_key(&o.w, STR("results"));
    jw_arr(&o.w);
    fold_put_days(&o.w, f);
    jw_end(&o.w);
    jw_key(&o.w, STR("metadata"));
    jw_obj(&o.w);
    page_put(&o.w, fold_total(f), p.page, (p.total + p.size - 1) / p.size,
             p.total - p.first > p.size);
    jw_end(&o.w);
    jw_end(&o.w);
    out_end(&o);
}

/* ---- all days ---- */

struct top { /* keys of most spend, and how many there are */
    struct daily_list keys;
    int64_t n_keys;
    struct str by_entity; /* the same by object, as JSON */
};

static bool find_top(struct call *c, const struct daily_scope *sc, int64_t limit, struct top *ret)
{
    static const struct daily_statement st = {
        "coalesce(d.entity, '') AS entity, d.api_key, sum(d.spend) AS spend", NULL, "GROUP BY 1, 2",
        "(SELECT 0, api_key, NULL::bigint FROM k GROUP BY api_key"
        " ORDER BY sum(spend) DESC, api_key LIMIT $7)"
        " UNION ALL (SELECT 1, entity, count(*) FROM k GROUP BY entity LIMIT $8)"
        " UNION ALL SELECT 2, NULL, count(DISTINCT api_key) FROM k",
        DAILY_BY_KEY};
    struct rows r =
        DAILY_QUERY(&c->store, sc, &st, DB_INT(limit), DB_INT(ENTITIES_MAX + INT64_C(1)));
    struct str *keys = arena_alloc(&c->arena, ((size_t)limit + 1) * sizeof *keys);
    struct jw w = jw_init(&c->arena);
    int n_entities = 0;

    *ret = (struct top){.keys = {true, keys, 0}};
    jw_obj(&w);
    for (int i = 0; keys && i < r.n; i++) {
        struct str name = rows_text(r, i, 1);
        switch (rows_int(r, i, 0)) {
        case 0:
            keys[ret->keys.n++] = arena_str(&c->arena, name);
            break;
        case 1:
            jw_key(&w, name.n ? name : STR("Unassigned"));
            jw_put_i64(&w, rows_int(r, i, 2));
            n_entities++;
            break;
        default:
            ret->n_keys = rows_int(r, i, 2);
        }
    }
    jw_end(&w);
    ret->by_entity = jw_finish(&w);
    if (n_entities > ENTITIES_MAX)
        refuse(c, 400, "More than %d objects in this range: take fewer days, or name some of them.",
               ENTITIES_MAX);
    return tx_ok(&c->store.tx) && n_entities <= ENTITIES_MAX;
}

/* The days [from, to] of the scope; false: there are too many rows for memory, or a fault. */
static bool fold_slice(struct call *c, struct fold *f, const struct daily_scope *sc,
                       const struct daily_list *keys, bool is_last)
{
    struct store *s = &c->store;
    int64_t most = is_last ? ENTITIES_MAX + INT64_C(1) : SLICE_ROWS;
    struct rows r = DAILY_QUERY(s, sc, &rows_of_keys, DB_TEXTS(keys->id, keys->n), DB_INT(most));

    if (r.n == most)
        return false;
    fold_rows(f, r, FOLD_KEYS | FOLD_ENTITY_KEY);
    r = DAILY_QUERY(s, sc, &entities, DB_INT(most));
    if (r.n == most)
        return false;
    fold_rows(f, r, FOLD_ENTITY);
    fold_rows(f, DAILY_QUERY0(s, sc, &cells), FOLD_DAY | FOLD_DIMS);
    activity_describe(c, f, sc->kind);
    return tx_ok(&s->tx);
}

/* All days, the latest first, and only so many at a time as memory holds. */
static void put_days(struct call *c, struct jw *w, const struct daily_scope *whole,
                     const struct daily_list *keys, struct metrics *total)
{
    struct daily_scope sc = *whole;
    int32_t first, last, days = SLICE_DAYS;
    struct arena a;

    if (!day_read(whole->from, &first) || !day_read(whole->to, &last))
        return;
    arena_init(&a, NULL, SLICE_MEMORY);
    while (last >= first && tx_ok(&c->store.tx) && arena_ok(&c->arena)) {
        int32_t from = MAX(first, last - days + 1);
        struct fold *f = fold_new(&a);
        sc.from = day_text(&a, from);
        sc.to = day_text(&a, last);
        if (f && fold_slice(c, f, &sc, keys, from == last) && arena_ok(&a)) {
            fold_put_days(w, f);
            metrics_add(total, fold_total(f));
            last = from - 1;
        } else if (from < last) {
            days = (last - from + 1) / 2;
        } else {
            c->arena.failed = true; /* not even one day */
        }
        tx_forget(&c->store.tx);
        arena_reset(&a);
    }
}

void api_activity_aggregated(struct call *c)
{
    struct daily_scope sc;
    struct metrics total = {0};
    int64_t limit = in_int(c, "api_key_limit");
    struct top top;
    struct out o;

    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    if (!find_top(c, &sc, limit, &top))
        return;
    tx_forget(&c->store.tx);
    out_begin(&o, c, STR("application/json"));
    jw_obj(&o.w);
    jw_key(&o.w, STR("results"));
    jw_arr(&o.w);
    put_days(c, &o.w, &sc, &top.keys, &total);
    jw_end(&o.w);
    jw_key(&o.w, STR("metadata"));
    jw_obj(&o.w);
    page_put(&o.w, &total, 1, 1, false);
    jw_key(&o.w, STR("api_key_limit"));
    jw_put_i64(&o.w, limit);
    jw_key(&o.w, STR("total_api_keys"));
    jw_put_i64(&o.w, top.n_keys);
    jw_key(&o.w, STR("entity_total_api_keys"));
    jw_put_raw(&o.w, top.by_entity);
    jw_end(&o.w);
    jw_end(&o.w);
    out_end(&o);
}
