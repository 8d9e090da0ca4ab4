/* /global/spend/report: by day and team or end user, or by key; and with keys, models and tokens.
 */

#include "common/digest.h"

#include "api/spend.h"

#define DAY(column) "to_char(" column ", 'YYYY-MM-DD\"T\"00:00:00\"+00:00\"')"

/* Sums by key with those of its models. */
#define BY_KEY(condition)                                                                          \
    "SELECT api_key, sum(spend) AS total_cost, sum(prompt_tokens) AS total_input_tokens,"          \
    " sum(completion_tokens) AS total_output_tokens, json_agg(json_build_object('model', model,"   \
    "  'total_cost', spend, 'total_input_tokens', prompt_tokens, 'total_output_tokens',"           \
    "  completion_tokens) ORDER BY spend DESC, model) AS model_details FROM"                       \
    " (SELECT api_key, model, sum(spend) AS spend, sum(prompt_tokens) AS prompt_tokens,"           \
    "   sum(completion_tokens) AS completion_tokens FROM " SPEND_DAYS condition                    \
    "  GROUP BY 1, 2 HAVING sum(n) > 0) m GROUP BY 1 ORDER BY 2 DESC, 1"

/* Sums by day and name, `rows` giving day, name, model, api_key, spend, total_tokens. */
#define BY_DAY(list, name, rows)                                                                   \
    "SELECT " DAY(                                                                                 \
        "day") " AS group_by_day, json_agg(json_build_object('" name "', name,"                    \
               " 'total_spend', spend, 'metadata', metadata) ORDER BY spend DESC, name) AS " list  \
               " FROM"                                                                             \
               " (SELECT day, name, sum(spend) AS spend, json_agg(json_build_object('model', "     \
               "model,"                                                                            \
               "   'api_key', api_key, 'spend', spend, 'total_tokens', total_tokens) ORDER BY "    \
               "spend DESC,"                                                                       \
               "   model, api_key) AS metadata FROM (" rows                                        \
               ") r GROUP BY 1, 2) d GROUP BY day ORDER BY day"

#define TEAMS                                                                                      \
    "SELECT t.day, coalesce(a.team_alias, 'Unassigned Team') AS name, t.model, t.api_key,"         \
    " sum(t.spend) AS spend, sum(t.total_tokens) AS total_tokens FROM " SPEND_DAYS                 \
    " LEFT JOIN \"LiteLLM_TeamTable\" a ON a.team_id = t.team_id"                                  \
    " WHERE $3::text IS NULL OR t.team_id = $3 GROUP BY 1, 2, 3, 4 HAVING sum(t.n) > 0"

/* End users are no part of a series: out of the index and, of rows that it does not have yet, out
 * of the rows. `entries` narrows the one, `rows` the other. */
#define CUSTOMERS(entries, rows)                                                                   \
    "SELECT at::date AS day, end_user AS name, model, api_key, team_id, sum(spend) AS spend,"      \
    " sum(total_tokens) AS total_tokens FROM"                                                      \
    " (SELECT l.at, l.end_user, s.model, s.api_key, s.team_id, l.spend, l.total_tokens"            \
    "   FROM weir.log l JOIN weir.log_series s ON s.id = l.series"                                 \
    "   WHERE l.at >= greatest($1::timestamp, (SELECT covered_from FROM weir.log_state))"          \
    "    AND l.at < $2::date + 1" entries                                                          \
    "  UNION ALL SELECT t.\"startTime\", t.end_user, t.model, t.api_key, t.team_id, t.spend,"      \
    "   t.total_tokens FROM \"LiteLLM_SpendLogs\" t WHERE t.\"startTime\" >= $1::timestamp"        \
    "   AND t.\"startTime\" < least($2::date + 1, (SELECT covered_from FROM weir.log_state))" rows \
    ") x GROUP BY 1, 2, 3, 4, 5"

#define OF_TEAM                                                                                    \
    CUSTOMERS(" AND l.end_user = $4 AND l.series = ANY (ARRAY(SELECT id FROM weir.log_series"      \
              " WHERE level = 0 AND team_id = $3))",                                               \
              " AND t.team_id = $3 AND t.end_user = $4")

/* Of one end user of a team. */
static const char of_team_customer[] = "SELECT " DAY(
    "day") " AS group_by_day, json_agg(json_build_object('team_name', team,"
           " 'customer', name, 'total_spend', spend, 'metadata', metadata)) AS teams_customers FROM"
           " (SELECT x.day, coalesce(a.team_alias, 'Unassigned Team') AS team, x.name,"
           "   sum(x.spend) AS spend, json_agg(json_build_object('model', x.model, 'api_key', "
           "x.api_key,"
           "    'spend', x.spend, 'total_tokens', x.total_tokens) ORDER BY x.spend DESC, x.model,"
           "    x.api_key) AS metadata FROM (" OF_TEAM ") x"
           "  LEFT JOIN \"LiteLLM_TeamTable\" a ON a.team_id = x.team_id GROUP BY 1, 2, 3) d"
           " GROUP BY day ORDER BY day";

void api_global_spend_report(struct call *c)
{
    struct str key = in_text(c, "api_key"), user = in_text(c, "internal_user_id");
    struct str team = in_text(c, "team_id"), customer = in_text(c, "customer_id");
    struct str by = in_text(c, "group_by");
    struct days days;

    if (!in_days(c, &days))
        return;
    struct db_arg from = DB_TEXT(days.from), to = DB_TEXT(days.to);
    if (str_starts(key, STR("sk-")))
        key = sha256_hex(&c->arena, key);
    if (key.p)
        REPLY_QUERY(c, BY_KEY(" WHERE api_key = $3"), from, to, DB_TEXT(key));
    else if (user.p)
        REPLY_QUERY(c, BY_KEY(" WHERE \"user\" = $3"), from, to, DB_TEXT(user));
    else if (team.p && customer.p)
        REPLY_QUERY(c, of_team_customer, from, to, DB_TEXT(team), DB_TEXT(customer));
    else if (str_eq(by, STR("customer")))
        REPLY_QUERY(c, BY_DAY("customers", "customer", CUSTOMERS("", "")), from, to);
    else if (str_eq(by, STR("api_key")))
        REPLY_QUERY(c, BY_KEY(""), from, to);
    else
        REPLY_QUERY(c, BY_DAY("teams", "team_name", TEAMS), from, to, DB_TEXT_OR_NULL(team));
}
