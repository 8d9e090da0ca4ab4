/* GET /weir/spend: what was spent, by day, key, team ..., of the daily tables. */

#include "api/report.h"
#include "api/span.h"

/* Sums of nano-dollars, so that no order of adding changes the last digit. */
#define SUMS                                                                                       \
    "sum((least(spend, 9e9) * 1e9)::bigint) AS nusd, sum(api_requests) AS requests, "              \
    "sum(failed_requests) AS failed, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS "     \
    "completion"
/* $1, $2: days; $3: whose rows, or NULL; $4: lines. */
#define LINES(table, id, whose, order)                                                             \
    "SELECT " id " AS id, " SUMS " FROM \"" table "\" WHERE date BETWEEN $1 AND $2 AND " whose     \
    " GROUP BY 1 ORDER BY " order " LIMIT $4"
#define MOST "nusd DESC, id"
#define USER "($3::text IS NULL OR user_id = $3)"
#define ALL  "$3::text IS NULL"
#define NAMED(lines, table, key, name)                                                             \
    "SELECT l.*, t." name " FROM (" lines ") l LEFT JOIN \"" table "\" t ON t." key                \
    " = l.id ORDER BY " MOST
#define UNNAMED(lines) "SELECT l.*, NULL FROM (" lines ") l"

static const struct {
    const char *by, *sql;
    bool is_anybodys; /* users may ask for their own */
} tables[] = {
    {"day", UNNAMED(LINES("LiteLLM_DailyUserSpend", "date", USER, "id")), true},
    {"key",
     NAMED(LINES("LiteLLM_DailyUserSpend", "api_key", USER, MOST), "LiteLLM_VerificationToken",
           "token", "key_alias"),
     true},
    {"user",
     NAMED(LINES("LiteLLM_DailyUserSpend", "coalesce(user_id, '')", USER, MOST),
           "LiteLLM_UserTable", "user_id", "user_alias"),
     true},
    {"model", UNNAMED(LINES("LiteLLM_DailyUserSpend", "coalesce(model, '')", USER, MOST)), true},
    {"provider",
     UNNAMED(LINES("LiteLLM_DailyUserSpend", "coalesce(custom_llm_provider, '')", USER, MOST)),
     true},
    {"team",
     NAMED(LINES("LiteLLM_DailyTeamSpend", "coalesce(team_id, '')", ALL, MOST), "LiteLLM_TeamTable",
           "team_id", "team_alias"),
     false},
    {"organization",
     NAMED(LINES("LiteLLM_DailyOrganizationSpend", "coalesce(organization_id, '')", ALL, MOST),
           "LiteLLM_OrganizationTable", "organization_id", "organization_alias"),
     false},
    {"customer",
     NAMED(LINES("LiteLLM_DailyEndUserSpend", "coalesce(end_user_id, '')", ALL, MOST),
           "LiteLLM_EndUserTable", "user_id", "alias"),
     false},
    {"tag", UNNAMED(LINES("LiteLLM_DailyTagSpend", "coalesce(tag, '')", ALL, MOST)), false},
};

static void put_lines(struct store *s, yyjson_mut_val *list, struct rows r)
{
    for (int i = 0; i < r.n; i++) {
        yyjson_mut_val *line = row_new(s);
        row_put_text(s, line, "id", rows_text(r, i, 0));
        row_put_text(s, line, "alias",
                     rows_is_null(r, i, 6) ? (struct str){0} : rows_text(r, i, 6));
        row_put_num(s, line, "spend", rows_num(r, i, 1) / 1e9);
        row_put_int(s, line, "requests", rows_int(r, i, 2));
        row_put_int(s, line, "failed", rows_int(r, i, 3));
        row_put_int(s, line, "prompt_tokens", rows_int(r, i, 4));
        row_put_int(s, line, "completion_tokens", rows_int(r, i, 5));
        (void)yyjson_mut_arr_append(list, line); /* fresh: no copy */
    }
}

void api_spend_by(struct call *c)
{
    struct store *s = &c->store;
    struct str by = in_text(c, "by"), whose = {0};
    yyjson_mut_val *out = row_new(s), *list = row_list(s);
    struct span span;
    size_t i = 0;

    while (i < ARRAY_LEN(tables) && !str_eq(by, str_of(tables[i].by)))
        i++;
    ASSERT(i < ARRAY_LEN(tables)); /* one of the list's values */
    if (!rbac_sees_all(&c->caller)) {
        whose = c->caller.user_id;
        if (!tables[i].is_anybodys || !whose.n) {
            refuse_gate(c);
            return;
        }
    }
    if (!span_read(c, &span, 30))
        return;
    report_begin(c);
    put_lines(s, list,
              TX_QUERY(&s->tx, tables[i].sql, DB_TEXT(span.from), DB_TEXT(span.to),
                       DB_TEXT_OR_NULL(whose), DB_INT(in_int(c, "limit"))));
    row_put_text(s, out, "from", span.from);
    row_put_text(s, out, "to", span.to);
    row_put(s, out, "lines", list);
    reply(c, out);
}
