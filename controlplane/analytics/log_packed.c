/*
 * Pages in the order of a value out of packed entries (store/migrations/0017_log_packed.sql): the
 * series of all of them are looked through, which tells how many match and near which values the
 * page lies; then the entries there are read. What no block holds is read as it is, and sorted in
 * between. All in one state of the database.
 */

#include "analytics/log_packed.h"

#include <math.h>
#include <stdlib.h>

#include "common/num.h"

enum {
    LIVE_MAX = 50000,
    MODELS_MAX = 1000, /* parts of a block */
};

#define MS_OF(interval) "(extract(epoch FROM " interval ") * 1000)::float8"

/* The value of a row t, as it is packed; `entry`: the index has it. */
static const struct {
    const char *row, *entry;
} values[LOG_SORTS] = {
    [LOG_BY_START] = {NULL, "0::float8"}, /* one kind */
    [LOG_BY_SPEND] = {NULL, "spend"},
    [LOG_BY_TOKENS] = {NULL, "total_tokens::float8"},
    [LOG_BY_MODEL] = {NULL,
                      "(SELECT c.code FROM weir.log_code c WHERE c.series = l.series)::float8"},
    [LOG_BY_END] = {MS_OF("t.\"endTime\""), NULL},
    [LOG_BY_FIRST_TOKEN] = {MS_OF("CASE WHEN t.\"completionStartTime\" <> t.\"endTime\""
                                  " THEN t.\"completionStartTime\" - t.\"startTime\" END"),
                            NULL},
};

/* ---- blocks, and what lies between ---- */

/* The place of the first entry at `when` or later in block s. */
#define PLACE_AT(when)                                                                             \
    "coalesce((SELECT m.seq * 128 + (SELECT count(*) FROM weir.log l WHERE l.at >= m.at"           \
    " AND l.at < " when " AND (l.at, l.request_id) >= (m.at, m.request_id))"                       \
    " FROM weir.log_mark m WHERE m.block = s.id AND m.at < " when                                  \
    " ORDER BY m.seq DESC LIMIT 1), 0)"

/* Blocks b that are as their rows are, and stretches g that lie in none; `more`: columns of b. */
#define BLOCKS_WITHIN(more)                                                                        \
    "WITH w AS (SELECT coalesce($1::timestamp, '-infinity') AS since,"                             \
    "  coalesce($2::timestamp + interval '1 ms', 'infinity') AS until),"                           \
    " b AS (SELECT k.id, k.since, k.until, k.n" more " FROM weir.log_block k, w"                   \
    "  WHERE k.n IS NOT NULL AND k.until > w.since AND k.since < w.until"                          \
    "  AND NOT EXISTS (SELECT FROM weir.log_touched t WHERE t.block = k.id)),"                     \
    " x AS (SELECT until AS since, lead(since, 1, 'infinity') OVER (ORDER BY since, until)"        \
    "   AS until FROM (SELECT since, until FROM b UNION ALL SELECT '-infinity', '-infinity') x),"  \
    " g AS (SELECT greatest(x.since, w.since) AS since, least(x.until, w.until) AS until"          \
    "  FROM x, w WHERE greatest(x.since, w.since) < least(x.until, w.until))"

/* False: there is no block. */
static bool find_sources(struct packed *p)
{
    static const char sql[] =
        BLOCKS_WITHIN("") ", s AS (SELECT * FROM b UNION ALL SELECT NULL, since, until, 0 FROM g)"
                          " SELECT s.id, s.since, s.until, s.n,"
                          "  CASE WHEN s.since < w.since THEN " PLACE_AT(
                              "w.since") " ELSE 0 END,"
                                         "  CASE WHEN s.until > w.until THEN " PLACE_AT(
                                             "w.until") " ELSE s.n END"
                                                        " FROM s, w ORDER BY s.since, s.until";
    struct rows r =
        TX_QUERY(&p->s->tx, sql, DB_TEXT_OR_NULL(p->q->from), DB_TEXT_OR_NULL(p->q->until));
    bool has_blocks = false;

    p->sources = arena_zalloc(p->s->arena, ((size_t)r.n + 1) * sizeof *p->sources);
    for (int i = 0; p->sources && i < r.n; i++) {
        p->sources[i] = (struct source){.is_block = !rows_is_null(r, i, 0),
                                        .id = rows_text(r, i, 0),
                                        .from = rows_text(r, i, 1),
                                        .to = rows_text(r, i, 2),
                                        .n = (uint32_t)rows_int(r, i, 3),
                                        .first = (uint32_t)rows_int(r, i, 4),
                                        .last = (uint32_t)rows_int(r, i, 5)};
        has_blocks |= p->sources[i].is_block;
        p->n_sources++;
    }
    return has_blocks;
}

static void narrow(struct store *s, struct log_query *q, const char *sql, struct str value)
{
    enum { STRETCHES_MAX = 6 };
    struct db_arg args[2 * STRETCHES_MAX];
    struct str any = {0};
    int n = 0;

    if (!log_is_covered(s, q->from))
        return;
    struct rows r = TX_QUERY(&s->tx, sql, DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until),
                             DB_TEXT(value), DB_INT(STRETCHES_MAX + 1));
    if (r.n > STRETCHES_MAX || !tx_ok(&s->tx))
        return;
    for (int i = 0; i < r.n; i++) {
        any = arena_printf(s->arena,
                           STR_FMT "%s(t.\"startTime\" >= $?::timestamp"
                                   " AND t.\"startTime\" < $?::timestamp)",
                           STR_ARG(any), i ? " OR " : "");
        args[n++] = DB_TEXT(rows_text(r, i, 0));
        args[n++] = DB_TEXT(rows_text(r, i, 1));
    }
    if (!r.n || any.n)
        log_where_row(q, any.n ? any.p : "false", args, n);
}

#define STRETCHES                                                                                  \
    " SELECT since, until FROM (SELECT since, until FROM b WHERE may UNION ALL SELECT * FROM g) y" \
    " ORDER BY since LIMIT $4"

void log_narrow_session(struct store *s, struct log_query *q, struct str text)
{
    narrow(s, q, BLOCKS_WITHIN(", strpos(k.sessions, $3) > 0 AS may") STRETCHES, text);
}

void log_narrow_token(struct store *s, struct log_query *q, struct str value)
{
    narrow(s, q, BLOCKS_WITHIN(", $3 = ANY (k.tokens) AS may") STRETCHES, value);
}

/* ---- series ---- */

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

/* ---- what no block holds ---- */

/* In `f` the arrays of the stretches come last. */
static struct str live_sql(struct packed *p, const struct log_series *of, struct filter *f)
{
    enum log_sort sort = p->q->sort;
    const char *entry = values[sort].entry, *row = values[sort].row;
    struct str by_duration = arena_printf(p->s->arena, "(%s)::float8", log_duration(p->s));

    *f = entry ? log_entries_of(p->q, of) : log_conditions(p->q);
    if (f->n + 2 > FILTER_ARGS)
        return (struct str){0};
    const char *at = entry ? "l.at" : "t.\"startTime\"", *id = entry ? "l" : "t";
    f->n += 2;
    return arena_printf(
        p->s->arena,
        "SELECT g.o - 1, e.v, e.at, e.request_id FROM unnest($%d::timestamp[], $%d::timestamp[])"
        " WITH ORDINALITY AS g (since, until, o) CROSS JOIN LATERAL (SELECT %s AS v, %s AS at,"
        " %s.request_id FROM %s WHERE %s >= g.since AND %s < g.until AND " STR_FMT " OFFSET 0) e"
        " ORDER BY g.o, %se.at, e.request_id",
        f->n - 1, f->n,
        entry                     ? entry
        : sort == LOG_BY_DURATION ? by_duration.p
                                  : row,
        at, id, entry ? "weir.log l" : "\"LiteLLM_SpendLogs\" t", at, at, STR_ARG(f->sql),
        p->by_kind ? "" : "e.v, ");
}

static bool is_little(struct packed *p, struct db_arg since, struct db_arg until)
{
    struct rows r = TX_QUERY(&p->s->tx,
                             "SELECT count(*) FROM (SELECT FROM unnest($1::timestamp[],"
                             " $2::timestamp[]) AS g (since, until) JOIN weir.log l"
                             " ON l.at >= g.since AND l.at < g.until LIMIT $3) x",
                             since, until, DB_INT(LIVE_MAX + 1));

    return rows_int(r, 0, 0) <= LIVE_MAX;
}

/* False: there is too much of it. */
static bool read_live(struct packed *p, const struct log_series *of)
{
    struct str *since = arena_alloc(p->s->arena, 2 * (p->n_sources + 1) * sizeof *since);
    struct str *until = since + p->n_sources + 1;
    size_t *source = arena_alloc(p->s->arena, (p->n_sources + 1) * sizeof *source), n = 0;
    struct filter f;

    if (!since || !source)
        return false;
    for (size_t i = 0; i < p->n_sources; i++)
        if (!p->sources[i].is_block) {
            since[n] = p->sources[i].from;
            until[n] = p->sources[i].to;
            source[n++] = i;
        }
    if (!n)
        return true;
    if (!is_little(p, DB_TEXTS(since, n), DB_TEXTS(until, n)))
        return false;
    struct str sql = live_sql(p, of, &f);
    if (!sql.n)
        return false;
    f.args[f.n - 2] = DB_TEXTS(since, n);
    f.args[f.n - 1] = DB_TEXTS(until, n);
    struct rows r = tx_query(&p->s->tx, sql.p, f.args, f.n);
    p->live = arena_alloc(p->s->arena, ((size_t)r.n + 1) * sizeof *p->live);
    for (int i = 0; p->live && i < r.n; i++) {
        double v = rows_num(r, i, 1);
        bool is_null = rows_is_null(r, i, 1);
        if (p->q->sort == LOG_BY_MODEL) { /* a code: its model is known, or is a moment later */
            uint32_t code = (uint32_t)v;
            if (is_null || code >= p->n_kinds || p->kinds[code] < 0)
                return false;
            v = p->kinds[code];
            is_null = p->has_null && p->kinds[code] == (int)p->n_models - 1;
        }
        p->live[p->n_live++] = (struct log_live){
            .key = packed_key(p, isnan(v) ? HUGE_VAL : v, is_null, source[rows_int(r, i, 0)], i),
            .at = rows_text(r, i, 2),
            .request_id = rows_text(r, i, 3)};
    }
    return p->live != NULL;
}

/* ---- the page ---- */

/* The rows themselves; those of a block are found from the mark before them. */
static struct rows read_rows(struct packed *p, const struct found *f, size_t n)
{
    struct str *blocks = arena_alloc(p->s->arena, 4 * (n + 1) * sizeof *blocks);
    struct str *places = blocks + n + 1, *ats = places + n + 1, *ids = ats + n + 1;
    struct str sql = arena_printf(
        p->s->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT
        " FROM (SELECT u.o, coalesce(e.at, u.at) AS at,"
        "  coalesce(e.request_id, u.request_id) AS request_id"
        "  FROM unnest($1::bigint[], $2::integer[], $3::timestamp[], $4::text[])"
        "   WITH ORDINALITY AS u (block, place, at, request_id, o)"
        "  LEFT JOIN weir.log_mark m ON m.block = u.block AND m.seq = u.place / 128"
        "  LEFT JOIN LATERAL (SELECT l.at, l.request_id FROM weir.log l WHERE l.at >= m.at"
        "   AND (l.at, l.request_id) >= (m.at, m.request_id) ORDER BY l.at, l.request_id"
        "   OFFSET u.place %% 128 LIMIT 1) e ON true) p JOIN \"LiteLLM_SpendLogs\" t"
        " ON t.request_id = p.request_id AND t.\"startTime\" = p.at ORDER BY p.o) r",
        STR_ARG(log_columns(p->s, "+00:00")));

    for (size_t i = 0; blocks && i < n; i++) {
        const struct log_live *l = f[i].live;
        blocks[i] = l ? STR("0") : p->sources[f[i].source].id;
        places[i] = arena_printf(p->s->arena, "%u", f[i].place);
        ats[i] = l ? l->at : STR("infinity");
        ids[i] = l ? l->request_id : STR("");
    }
    if (!blocks || !sql.n)
        return (struct rows){0};
    return TX_QUERY(&p->s->tx, sql.p, DB_TEXTS(blocks, n), DB_TEXTS(places, n), DB_TEXTS(ats, n),
                    DB_TEXTS(ids, n));
}

bool log_page_packed(struct store *s, const struct log_query *q, const struct log_series *of,
                     struct log_page *ret)
{
    struct packed p = {
        .s = s, .q = q, .by_kind = q->sort == LOG_BY_MODEL || q->sort == LOG_BY_START};
    const struct found *page = NULL;
    size_t n;

    tx_begin_read_only(&s->tx);
    bool is_there = find_sources(&p) && read_kinds(&p, of) && read_live(&p, of);
    if (is_there) {
        if (log_has_range(q))
            packed_choose(&p);
        ret->total = packed_scan(&p, &page, &n);
        if (n)
            ret->rows = read_rows(&p, page, n);
    }
    tx_end_read_only(&s->tx);
    return is_there;
}
