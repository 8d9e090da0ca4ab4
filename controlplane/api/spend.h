#pragma once

/* Between the files of spend: whose rows a caller sees, and reports as JSON or CSV. */

#include "analytics/log.h"
#include "analytics/range.h"
#include "api/reply.h"

/* ---- whose ---- */

/* LiteLLM's read scope: admins see all, users their own and those of teams they may read. */
struct spend_scope {
    bool all;
    struct str user_id; /* empty: nobody's */
    struct str *teams;
    size_t n_teams;
};
struct spend_scope spend_scope_of(struct call *c);

/* The caller's own and no team's: what LiteLLM shows internal users of the whole. */
struct spend_scope spend_own(const struct call *c);

/* May read all of a team's rows. */
bool spend_reads_team(struct call *c, struct str team_id);

/* A condition on columns "user" and team_id. */
void spend_filter(struct filter *f, const struct spend_scope *scope);
void spend_where(struct log_query *q, const struct spend_scope *scope);

/* ---- where it is read ---- */

/* From here on the call reads log rows, where reports are read (api/report.h). */
void spend_begin(struct call *c);

/* ---- answers ---- */

/* The caller asked for CSV. */
bool wants_csv(const struct call *c);

/* Answers with rows of one JSON object each: an array, or a line each below their names. */
void reply_rows(struct call *c, struct rows r);

/* The same of a whole query's, `piece` rows in memory; of a statement whose rows are JSON. */
void reply_cursor(struct call *c, struct str sql, const struct db_arg *args, int n_args,
                  unsigned piece);

/* Runs "SELECT columns FROM ..." and answers with its rows. */
void reply_query(struct call *c, const char *sql, const struct db_arg *args, int n_args);
#define REPLY_QUERY(c, sql, ...)                                                                   \
    reply_query((c), (sql), (const struct db_arg[]){__VA_ARGS__},                                  \
                (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))

/* ---- what reports are of ---- */

/* start_date and end_date of the request, both needed; false with a 400. The wrong way round there
 * is nothing. */
struct days {
    struct str from, to; /* YYYY-MM-DD */
};
bool in_days(struct call *c, struct days *ret);
/* One of them; p NULL when it was not sent. */
bool in_day(struct call *c, const char *name, struct str *ret);

/*
 * Sums of log rows as a relation: day, the columns of weir.log_series, n, spend, prompt_tokens,
 * completion_tokens, total_tokens. Of days $1 to $2, both included. What neither key nor user is
 * asked of is in SPEND_DAYS_OF("log_day_model"), and what is of keys, users and teams alone in
 * SPEND_DAYS_OF("log_day_key"): much smaller, with the other columns at random.
 */
#define SPEND_DAYS SPEND_DAYS_OF("log_day")
#define SPEND_DAYS_OF(table)                                                                       \
    "(SELECT s.*, d.day, d.n, d.spend, d.prompt_tokens, d.completion_tokens, d.total_tokens"       \
    " FROM (SELECT day, series, n, spend, prompt_tokens, completion_tokens, total_tokens"          \
    "   FROM weir." table " UNION ALL"                                                             \
    "  SELECT day, series, n, spend, prompt_tokens, completion_tokens, total_tokens"               \
    "   FROM weir.log_delta) d"                                                                    \
    " JOIN weir.log_series s ON s.id = d.series"                                                   \
    " WHERE d.day >= greatest($1::date, weir.log_summed_from()) AND d.day <= $2::date"             \
    " UNION ALL"                                                                                   \
    " SELECT 0, api_key, \"user\", team_id, organization_id, model, model_group, model_id,"        \
    "  custom_llm_provider, call_type, status, cache_hit, metadata ->> 'user_api_key_alias',"      \
    "  metadata -> 'error_information' ->> 'error_code',"                                          \
    "  metadata -> 'error_information' ->> 'error_class',"                                         \
    "  metadata -> 'error_information' ->> 'error_message' IS NOT NULL, 0::smallint, 0, 0,"        \
    "  \"startTime\"::date, 1, spend, prompt_tokens, completion_tokens, total_tokens"              \
    " FROM \"LiteLLM_SpendLogs\" WHERE \"startTime\" >= $1::date"                                  \
    "  AND \"startTime\" < least($2::date + 1, weir.log_summed_from())) t"

/* The same by tag: day, tag, "user", team_id, n, spend. */
#define SPEND_TAGS                                                                                 \
    "(SELECT day, tag, \"user\", team_id, n, spend FROM (SELECT day, tag, \"user\", team_id, n,"   \
    "   spend FROM weir.log_day_tag UNION ALL SELECT * FROM weir.log_delta_tag) d"                 \
    " WHERE d.day >= greatest($1::date, weir.log_summed_from()) AND d.day <= $2::date"             \
    " UNION ALL"                                                                                   \
    " SELECT \"startTime\"::date, tag, \"user\", team_id, 1, spend FROM \"LiteLLM_SpendLogs\","    \
    "  jsonb_array_elements_text(CASE jsonb_typeof(request_tags) WHEN 'array' THEN request_tags"   \
    "   END) AS tag WHERE tag IS NOT NULL AND \"startTime\" >= $1::date"                           \
    "  AND \"startTime\" < least($2::date + 1, weir.log_summed_from())) t"
