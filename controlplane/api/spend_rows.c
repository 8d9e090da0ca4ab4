/* /weir/spend/rows: what was recorded, row by row, for who has a provider's invoice to compare. */

#include "analytics/range.h"
#include "api/parts.h"
#include "api/report.h"
#include "api/span.h"

enum { IDS_MAX = 1000 };

#define COLUMNS                                                                                    \
    "SELECT request_id, CASE WHEN metadata ? 'weir' THEN"                                          \
    " coalesce(metadata -> 'weir' ->> 'response_id', '') ELSE request_id END AS response_id,"      \
    " to_char(\"startTime\", 'YYYY-MM-DD\"T\"HH24:MI:SS.MS'), custom_llm_provider, model,"         \
    " prompt_tokens, completion_tokens, (least(greatest(spend, -9e9), 9e9) * 1e9)::bigint,"        \
    " coalesce(metadata -> 'weir' ->> 'estimated' = 'true', false) FROM \"LiteLLM_SpendLogs\" "

static yyjson_mut_val *rows_list(struct store *s, struct rows r)
{
    yyjson_mut_val *list = row_list(s);

    for (int i = 0; i < r.n; i++) {
        yyjson_mut_val *v = row_new(s);
        row_put_text(s, v, "request_id", rows_text(r, i, 0));
        row_put_text(s, v, "response_id", rows_text(r, i, 1));
        row_put_text(s, v, "at", arena_printf(s->arena, STR_FMT "Z", STR_ARG(rows_text(r, i, 2))));
        row_put_text(s, v, "provider", rows_text(r, i, 3));
        row_put_text(s, v, "model", rows_text(r, i, 4));
        row_put_int(s, v, "prompt_tokens", rows_int(r, i, 5));
        row_put_int(s, v, "completion_tokens", rows_int(r, i, 6));
        row_put_int(s, v, "spend_nusd", rows_int(r, i, 7));
        row_put_bool(s, v, "estimated", rows_bool(r, i, 8));
        (void)yyjson_mut_arr_append(list, v); /* fresh: no copy */
    }
    return list;
}

/* "2026-01-31T10:00:00.000 id": the last row of the page before. */
static bool read_after(struct call *c, struct str *at, struct str *id)
{
    struct str after = in_text(c, "after");
    int32_t day;

    *at = *id = (struct str){0};
    if (!after.n)
        return true;
    if (str_cut(after, ' ', at, id) && at->n == 23 && day_read((struct str){at->p, DATE_TEXT}, &day))
        return true;
    refuse(c, 400, "after: as `next` of the page before said");
    return false;
}

void api_spend_rows(struct call *c)
{
    struct store *s = &c->store;
    struct str provider = in_text(c, "provider"), after_at, after_id;
    int64_t limit = in_int(c, "limit");
    yyjson_mut_val *out = row_new(s);
    struct span span;

    if (!span_read(c, &span, 30) || !read_after(c, &after_at, &after_id))
        return;
    report_begin(c);
    struct rows r = TX_QUERY(
        &s->tx,
        COLUMNS "WHERE \"startTime\" >= greatest($1::timestamp, $4::timestamp)"
                " AND \"startTime\" < $2::date + 1"
                " AND ($3::text IS NULL OR custom_llm_provider = $3)"
                " AND ($4::timestamp IS NULL OR (\"startTime\", request_id) > ($4::timestamp, $5))"
                " ORDER BY \"startTime\", request_id LIMIT $6",
        DB_TEXT(span.from), DB_TEXT(span.to), DB_TEXT_OR_NULL(provider), DB_TEXT_OR_NULL(after_at),
        DB_TEXT_OR_NULL(after_id), DB_INT(limit));
    bool has_more = r.n == limit;
    row_put(s, out, "rows", rows_list(s, r));
    row_put_text(s, out, "next",
                 has_more ? arena_printf(s->arena, STR_FMT " " STR_FMT,
                                         STR_ARG(rows_text(r, r.n - 1, 2)),
                                         STR_ARG(rows_text(r, r.n - 1, 0)))
                          : (struct str){0});
    reply(c, out);
}

void api_spend_rows_by_id(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    size_t n = 0;
    struct str *ids = row_texts(c, in_val(c, "ids"), &n);

    if (n > IDS_MAX) {
        refuse(c, 400, "ids: at most %d", IDS_MAX);
        return;
    }
    report_begin(c);
    struct rows r = TX_QUERY(&s->tx,
                             COLUMNS "WHERE request_id = ANY ($1::text[])"
                                     " ORDER BY \"startTime\", request_id LIMIT 5000",
                             DB_TEXTS(ids, n));
    row_put(s, out, "rows", rows_list(s, r));
    row_put_null(s, out, "next");
    reply(c, out);
}
