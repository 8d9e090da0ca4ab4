/* Tags that clients sent, and the users behind them (litellm-controlplane.md 2.7). */

#include "common/clock.h"

#include "analytics/range.h"
#include "api/parts.h"
#include "api/report.h"
#include "store/filter.h"

enum { TAGS_DISTINCT = 250, PERIODS = 7 };

/* "$3 is NULL or ..." of the tags asked for: an array in $3, a pattern in $4. */
#define TAGS_ASKED                                                                                 \
    " AND ($3::text[] IS NULL OR d.tag = ANY ($3)) AND ($4::text IS NULL OR d.tag ILIKE $4)"

struct asked {
    struct db_arg tags, pattern;
};

static struct asked asked_tags(struct call *c)
{
    size_t n;
    struct str *tags = row_texts(c, in_val(c, "tag_filters"), &n);
    struct str one = in_text(c, "tag_filter");

    return (struct asked){
        n ? DB_TEXTS(tags, n) : DB_NULL,
        !n && one.n ? DB_TEXT(filter_contains(&c->arena, one)) : DB_NULL,
    };
}

/* "results": [{<name>: text}, ...]; the names from `numbers` on hold JSON numbers. */
static void put_rows(struct jw *w, struct rows r, const char *const *names, int n, int numbers)
{
    jw_key(w, STR("results"));
    jw_arr(w);
    for (int i = 0; i < r.n; i++) {
        jw_obj(w);
        for (int k = 0; k < n; k++) {
            jw_key(w, str_of(names[k]));
            if (rows_is_null(r, i, k))
                jw_put_null(w);
            else if (k < numbers)
                jw_put_str(w, rows_text(r, i, k));
            else
                jw_put_raw(w, rows_text(r, i, k));
        }
        jw_end(w);
    }
    jw_end(w);
}

static void reply_rows(struct call *c, struct rows r, const char *const *names, int n, int numbers)
{
    struct out o;

    out_begin(&o, c, STR("application/json"));
    jw_obj(&o.w);
    put_rows(&o.w, r, names, n, numbers);
    jw_end(&o.w);
    out_end(&o);
}

void api_tag_distinct(struct call *c)
{
    static const char *const names[] = {"tag"};

    report_begin(c);
    struct rows r = TX_QUERY(&c->store.tx,
                             "SELECT d.tag FROM \"LiteLLM_DailyTagSpend\" d"
                             " WHERE d.tag LIKE 'User-Agent:%' OR d.tag NOT LIKE '%:%'"
                             " GROUP BY d.tag ORDER BY count(*) DESC, d.tag LIMIT $1",
                             DB_INT(TAGS_DISTINCT));
    reply_rows(c, r, names, 1, 1);
}

/*
 * Users by tag and period: seven of `days` each, which end tomorrow, because somebody's day has
 * begun there. Periods are named as LiteLLM names them.
 */
static void reply_active(struct call *c, int days, const char *sql)
{
    static const char *const names[] = {"tag", "date", "period_start", "period_end",
                                        "active_users"};
    int32_t last = day_of(clock_wall_us()) + 1;
    int32_t first = last - PERIODS * days + (days > 1);
    struct asked asked = asked_tags(c);

    report_begin(c);
    struct db_arg args[] = {DB_TEXT(day_text(&c->arena, first)), DB_TEXT(day_text(&c->arena, last)),
                            asked.tags, asked.pattern};
    struct rows r = tx_query(&c->store.tx, sql, args, ARRAY_LEN(args));
    reply_rows(c, r, names, ARRAY_LEN(names), 4);
}

/* Of a period p.ago periods of n days before the last. */
#define PERIOD(name, n, format)                                                                    \
    "'" name " ' || (7 - p.ago) || ' (' || to_char($2::text::date - p.ago * " n " - (" n           \
    " - 1), '" format "') || ')',"                                                                 \
    " to_char($2::text::date - p.ago * " n " - (" n " - 1), 'YYYY-MM-DD 00:00:00'),"               \
    " to_char($2::text::date - p.ago * " n ", 'YYYY-MM-DD 00:00:00')"

#define ACTIVE_OF(n, columns, group_order)                                                         \
    "SELECT d.tag, " columns ", count(DISTINCT v.user_id)"                                         \
    " FROM \"LiteLLM_DailyTagSpend\" d"                                                            \
    " JOIN \"LiteLLM_VerificationToken\" v ON v.token = d.api_key"                                 \
    " CROSS JOIN LATERAL (SELECT ($2::text::date - d.date::date) / " n " AS ago) p"                \
    " WHERE d.date >= $1 AND d.date <= $2 AND p.ago < 7 AND v.user_id IS NOT NULL" TAGS_ASKED      \
    " GROUP BY d.tag, p.ago ORDER BY " group_order " LIMIT 20000"

void api_tag_dau(struct call *c)
{
    reply_active(c, 1,
                 "SELECT d.tag, d.date, NULL, NULL, count(DISTINCT v.user_id)"
                 " FROM \"LiteLLM_DailyTagSpend\" d"
                 " JOIN \"LiteLLM_VerificationToken\" v ON v.token = d.api_key"
                 " WHERE d.date >= $1 AND d.date <= $2 AND v.user_id IS NOT NULL" TAGS_ASKED
                 " GROUP BY d.tag, d.date ORDER BY d.date DESC, 5 DESC, d.tag LIMIT 20000");
}

void api_tag_wau(struct call *c)
{
    reply_active(c, 7, ACTIVE_OF("7", PERIOD("Week", "7", "Mon DD"), "p.ago DESC, 5 DESC, d.tag"));
}

void api_tag_mau(struct call *c)
{
    reply_active(c, 30, ACTIVE_OF("30", PERIOD("Month", "30", "Mon"), "p.ago DESC, 5 DESC, d.tag"));
}

void api_tag_summary(struct call *c)
{
    static const char *const names[] = {
        "tag",          "unique_users", "total_requests", "successful_requests", "failed_requests",
        "total_tokens", "total_spend"};
    struct str from = in_text(c, "start_date"), to = in_text(c, "end_date");
    struct asked asked = asked_tags(c);
    int32_t day;

    if (!day_read(from, &day) || !day_read(to, &day)) {
        refuse_text(c, 400,
                    "Invalid date format. Use YYYY-MM-DD: time data '" STR_FMT
                    "' does not match format '%%Y-%%m-%%d'",
                    STR_ARG(day_read(from, &day) ? to : from));
        return;
    }
    report_begin(c);
    struct rows r = TX_QUERY(
        &c->store.tx,
        "SELECT d.tag, count(DISTINCT v.user_id), sum(d.api_requests), sum(d.successful_requests),"
        " sum(d.failed_requests), sum(d.prompt_tokens + d.completion_tokens),"
        " round(sum(d.spend)::numeric, 12)::float8"
        " FROM \"LiteLLM_DailyTagSpend\" d"
        " LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = d.api_key"
        " WHERE d.date >= $1 AND d.date <= $2" TAGS_ASKED
        " GROUP BY d.tag ORDER BY sum(d.api_requests) DESC, d.tag LIMIT 20000",
        DB_TEXT(from), DB_TEXT(to), asked.tags, asked.pattern);
    reply_rows(c, r, names, ARRAY_LEN(names), 1);
}

void api_tag_users(struct call *c)
{
    static const char *const names[] = {
        "user_id",         "user_email",     "user_agent",   "successful_requests",
        "failed_requests", "total_requests", "total_tokens", "spend"};
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");
    int32_t last = day_of(clock_wall_us()) + 1;
    struct asked asked = asked_tags(c);
    struct db_arg args[] = {DB_TEXT(day_text(&c->arena, last - 30)),
                            DB_TEXT(day_text(&c->arena, last)),
                            asked.tags,
                            asked.pattern,
                            DB_INT(size),
                            DB_INT(page > 1000000 ? INT64_C(1000000000) : (page - 1) * size)};

    report_begin(c);
    struct rows r = tx_query(
        &c->store.tx,
        "WITH k AS MATERIALIZED (SELECT v.user_id, min(d.tag) AS tag,"
        " sum(d.successful_requests) AS ok, sum(d.failed_requests) AS failed,"
        " sum(d.api_requests) AS n, sum(d.prompt_tokens + d.completion_tokens) AS tokens,"
        " round(sum(d.spend)::numeric, 12)::float8 AS spend"
        " FROM \"LiteLLM_DailyTagSpend\" d"
        " JOIN \"LiteLLM_VerificationToken\" v ON v.token = d.api_key"
        " WHERE d.date >= $1 AND d.date <= $2 AND v.user_id <> ''" TAGS_ASKED " GROUP BY v.user_id)"
        " SELECT p.*, (SELECT count(*) FROM k) FROM (SELECT 1) one LEFT JOIN LATERAL"
        " (SELECT k.user_id, u.user_email, k.tag, k.ok, k.failed, k.n, k.tokens, k.spend FROM k"
        "  LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = k.user_id"
        "  ORDER BY k.ok DESC, k.user_id LIMIT $5 OFFSET $6) p ON true",
        args, ARRAY_LEN(args));
    int64_t total = rows_int(r, 0, ARRAY_LEN(names));
    struct out o;
    out_begin(&o, c, STR("application/json"));
    jw_obj(&o.w);
    if (rows_is_null(r, 0, 0))
        r.n = 0; /* there is always a row, for the number */
    put_rows(&o.w, r, names, ARRAY_LEN(names), 3);
    jw_key(&o.w, STR("total_count"));
    jw_put_i64(&o.w, total);
    jw_key(&o.w, STR("page"));
    jw_put_i64(&o.w, page);
    jw_key(&o.w, STR("page_size"));
    jw_put_i64(&o.w, size);
    jw_key(&o.w, STR("total_pages"));
    jw_put_i64(&o.w, (total + size - 1) / size);
    jw_end(&o.w);
    out_end(&o);
}
