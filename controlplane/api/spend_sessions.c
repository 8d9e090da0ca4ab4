/*
 * Log rows with one row a session: the outcome of an agent, else the newest row that is no tool
 * call. Pages go by a session's last activity. They are read from the newest rows, of more and more
 * of them until those decide both the page and the count, so that a year of rows is not grouped for
 * fifty sessions.
 */

#include "api/spend_priv.h"

enum {
    FIRST_READ = LOG_COUNT_MAX + 2, /* a session beyond the count, and an older row */
    EVERYTHING = INT32_MAX,
};

#define KEY "coalesce(nullif(t.session_id, ''), t.request_id)"
/* Which row stands for its session. */
#define BEST                                                                                       \
    "(t.call_type = " AGENT ") DESC, CASE WHEN t.call_type = " AGENT " THEN t.\"endTime\" END"     \
    " DESC NULLS LAST, t.call_type IN " MCP ", t.\"startTime\" DESC, t.request_id"

struct cursor { /* of the last session of a page; p NULL: none */
    struct str last, api_key, key;
};

/* "last|api_key|key" */
static struct cursor read_cursor(struct call *c)
{
    struct cursor at = {0};
    struct str text = in_text(c, "session_cursor"), rest;
    char day[DATE_TEXT];
    int32_t ignored;

    if (!str_cut(text, '|', &at.last, &rest) || !str_cut(rest, '|', &at.api_key, &at.key) ||
        !at.key.n || at.last.n < DATE_TEXT)
        return (struct cursor){0};
    memcpy(day, at.last.p, DATE_TEXT);
    return day_read((struct str){day, DATE_TEXT}, &ignored) ? at : (struct cursor){0};
}

struct reading {
    struct rows rows; /* key, api_key, last, is settled */
    int64_t rows_read, sessions;
};

/* The sessions of the newest `most` rows: those of the page, and one more. */
static void read_sessions(struct call *c, const struct log_query *q, const struct cursor *at,
                          int64_t most, struct reading *ret)
{
    struct filter f = log_conditions(q);
    const char *direction = q->asc ? "ASC" : "DESC", *status = "", *after = "";
    struct str outcome = in_text(c, "status_filter"), part;

    if (outcome.p) {
        f.args[f.n++] = DB_TEXT(outcome);
        part = arena_printf(&c->arena, " WHERE coalesce(status, 'success') = $%d", f.n);
        status = part.n ? part.p : "";
    }
    if (at->key.p) {
        f.args[f.n] = DB_TEXT(at->last);
        f.args[f.n + 1] = DB_TEXT(at->key);
        f.args[f.n + 2] = DB_TEXT(at->api_key);
        part = arena_printf(&c->arena, " WHERE (last, key, api_key) %s ($%d::timestamp, $%d, $%d)",
                            q->asc ? ">" : "<", f.n + 1, f.n + 2, f.n + 3);
        f.n += 3;
        after = part.n ? part.p : "";
    }
    struct str sql = arena_printf(
        &c->arena,
        "WITH t AS MATERIALIZED (SELECT t.request_id, t.session_id, t.api_key, t.status,"
        "  t.call_type, t.\"startTime\", t.\"endTime\" FROM \"LiteLLM_SpendLogs\" t"
        "  WHERE " STR_FMT " ORDER BY t.\"startTime\" DESC LIMIT %lld),"
        " s AS MATERIALIZED (SELECT key, api_key, last FROM (SELECT DISTINCT ON (" KEY
        ", t.api_key) " KEY " AS key, t.api_key, t.status, max(t.\"startTime\") OVER"
        "  (PARTITION BY " KEY ", t.api_key) AS last FROM t ORDER BY " KEY ", t.api_key, " BEST
        ") x%s)"
        " SELECT p.key, p.api_key, p.last::text, p.last > n.oldest, n.n, n.sessions"
        " FROM (SELECT count(*) AS n, min(\"startTime\") AS oldest,"
        "  (SELECT count(*) FROM s) AS sessions FROM t) n LEFT JOIN LATERAL"
        " (SELECT * FROM s%s ORDER BY last %s, key %s, api_key %s LIMIT %lld OFFSET %lld) p ON true"
        " ORDER BY p.last %s, p.key %s, p.api_key %s",
        STR_ARG(f.sql), (long long)most, status, after, direction, direction, direction,
        (long long)q->limit + 1, (long long)(at->key.p ? 0 : q->offset), direction, direction,
        direction);

    *ret = (struct reading){0};
    if (!sql.n)
        return;
    ret->rows = tx_query(&c->store.tx, sql.p, f.args, f.n);
    ret->rows_read = rows_int(ret->rows, 0, 4);
    ret->sessions = rows_int(ret->rows, 0, 5);
    if (rows_is_null(ret->rows, 0, 0))
        ret->rows.n = 0; /* counts alone */
}

/* The rows that stand for the first `n` sessions read, in their order. */
static struct rows read_best(struct call *c, const struct log_query *q, const struct reading *read,
                             int n)
{
    struct filter f = log_conditions(q);
    struct str *keys = arena_alloc(&c->arena, 2 * ((size_t)n + 1) * sizeof *keys);
    struct str *api_keys = keys + n + 1;

    if (!keys || f.n + 2 > FILTER_ARGS)
        return (struct rows){0};
    for (int i = 0; i < n; i++) {
        keys[i] = rows_text(read->rows, i, 0);
        api_keys[i] = rows_text(read->rows, i, 1);
    }
    f.args[f.n] = DB_TEXTS(keys, (size_t)n);
    f.args[f.n + 1] = DB_TEXTS(api_keys, (size_t)n);
    struct str sql = arena_printf(
        &c->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM unnest($%d::text[], $%d::text[])"
        " WITH ORDINALITY k (key, api_key, o) CROSS JOIN LATERAL"
        " (SELECT t.* FROM \"LiteLLM_SpendLogs\" t WHERE (t.session_id = k.key OR"
        "  t.request_id = k.key) AND " KEY " = k.key AND t.api_key = k.api_key AND " STR_FMT
        "  ORDER BY " BEST " LIMIT 1) t ORDER BY k.o) r",
        STR_ARG(log_columns(&c->store, "+00:00")), f.n + 1, f.n + 2, STR_ARG(f.sql));
    return sql.n ? tx_query(&c->store.tx, sql.p, f.args, f.n + 2) : (struct rows){0};
}

/* All of the window grouped, in another order than that of time. */
static void by_column(struct call *c, const struct log_query *q, struct log_page *ret)
{
    struct filter f = log_conditions(q);
    struct str outcome = in_text(c, "status_filter"), part = STR("true");

    if (outcome.p) {
        f.args[f.n++] = DB_TEXT(outcome);
        part = arena_printf(&c->arena, "coalesce(t.status, 'success') = $%d", f.n);
    }
    struct str from = arena_printf(&c->arena,
                                   "(SELECT DISTINCT ON (" KEY ", t.api_key) t.* FROM"
                                   " \"LiteLLM_SpendLogs\" t WHERE " STR_FMT " ORDER BY " KEY
                                   ", t.api_key, " BEST ") t WHERE " STR_FMT,
                                   STR_ARG(f.sql), STR_ARG(part));
    struct str sql = arena_printf(&c->arena, "SELECT count(*) FROM " STR_FMT, STR_ARG(from));
    if (sql.n)
        ret->total = rows_int(tx_query(&c->store.tx, sql.p, f.args, f.n), 0, 0);
    struct str by = log_order(&c->store, q, &f);
    sql = arena_printf(&c->arena,
                       "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM " STR_FMT STR_FMT
                       " LIMIT %lld OFFSET %lld) r",
                       STR_ARG(log_columns(&c->store, "+00:00")), STR_ARG(from), STR_ARG(by),
                       (long long)q->limit, (long long)q->offset);
    if (sql.n)
        ret->rows = tx_query(&c->store.tx, sql.p, f.args, f.n);
}

struct str spend_sessions(struct call *c, const struct log_query *q, struct log_page *ret)
{
    struct cursor at = read_cursor(c);
    bool reads_all = q->asc || in_text(c, "status_filter").p; /* the oldest row can decide */
    int64_t most = reads_all ? EVERYTHING : FIRST_READ;
    struct reading read;

    *ret = (struct log_page){0};
    log_begin(&c->store);
    if (q->sort != LOG_BY_START || q->exact.p) {
        by_column(c, q, ret);
        return (struct str){0};
    }
    for (;;) {
        read_sessions(c, q, &at, most, &read);
        bool saw_all = read.rows_read < most || most == EVERYTHING;
        bool is_settled = read.rows.n > q->limit && rows_bool(read.rows, read.rows.n - 1, 3);
        if (!tx_ok(&c->store.tx) || saw_all || (is_settled && read.sessions > LOG_COUNT_MAX))
            break;
        most *= 2;
    }
    bool has_more = read.rows.n > q->limit;
    int n = has_more ? (int)q->limit : read.rows.n;
    ret->total = MIN(read.sessions, (int64_t)LOG_COUNT_MAX);
    ret->is_capped = read.sessions > LOG_COUNT_MAX;
    ret->rows = n ? read_best(c, q, &read, n) : (struct rows){0};
    if (!has_more)
        return STR("\"next_session_cursor\":null,\"has_more\":false");
    struct jw w = jw_init(&c->arena);
    jw_put_str(&w, arena_printf(&c->arena, STR_FMT "|" STR_FMT "|" STR_FMT,
                                STR_ARG(rows_text(read.rows, n - 1, 2)),
                                STR_ARG(rows_text(read.rows, n - 1, 1)),
                                STR_ARG(rows_text(read.rows, n - 1, 0))));
    return arena_printf(&c->arena, "\"next_session_cursor\":" STR_FMT ",\"has_more\":true",
                        STR_ARG(jw_finish(&w)));
}
